//! A throw-away PostgreSQL from the installed binaries, for `demo`, `rehearse` and the tests.
//!
//! It listens on a unix socket only, is as fast as a server can be that may forget everything,
//! and is gone when its [`Sandbox`] is dropped or its process ends, however it ends: a shell of its
//! own process group waits for our end of a pipe to close, stops the server and removes the folder. Where that shell
//! was killed as well, the next sandbox removes what is left (`leavings.rs`).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use tokio_postgres::{Client, Config, NoTls};
use uuid::Uuid;

use self::account::Account;
use self::keeper::{Keeper, Order};
use crate::failure::Failure;
use crate::settings::Env;
use crate::tools::postgres_binaries::PostgresBinaries;

mod account;
mod keeper;
mod leavings;
pub mod sample;

/// The superuser, without a password.
const USER: &str = "postgres";

const PORT: &str = "5432";

/// What a unix socket's path may have at most: 104 bytes on macOS with the closing zero.
const LONGEST_SOCKET: usize = 103;

/// Speed over safety: nothing here is to survive.
const SETTINGS: [(&str, &str); 8] = [
    ("fsync", "off"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
    ("listen_addresses", ""),
    ("port", PORT),
    ("max_connections", "200"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
];

/// What a sandbox may be asked for.
#[derive(Debug, Clone, Default)]
pub struct SandboxOptions {
    /// The folder that holds `initdb` and `postgres`; found where none is given.
    pub bindir: Option<PathBuf>,
    /// Server settings, over the sandbox's own.
    pub settings: Vec<(String, String)>,
}

/// A running throw-away server. Dropping it waits until server and folder are gone.
#[derive(Debug)]
pub struct Sandbox {
    keeper: Keeper,
    binaries: PostgresBinaries,
    port: String,
}

impl Sandbox {
    /// Makes a cluster (UTF-8, locale C, which every platform and version has) and starts it.
    /// Blocks for about a second. As root the server runs as `postgres`, or as `nobody`.
    ///
    /// # Errors
    /// Refused where no server is installed; unexpected, with the end of the server's log, where
    /// it does not start.
    pub fn start(env: &Env, options: SandboxOptions) -> Result<Self, Failure> {
        let binaries = PostgresBinaries::find(env, options.bindir.as_deref())?;
        let mut settings = SETTINGS.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec();
        settings.extend(options.settings);
        let port = settings.iter().rev().find(|(name, _)| name == "port");
        let port = port.map_or_else(|| PORT.to_owned(), |(_, value)| value.clone());
        let arguments: Vec<String> = settings
            .iter()
            .flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")])
            .collect();
        let name = format!("markenmate-{}", &Uuid::new_v4().simple().to_string()[..12]);
        let order = Order {
            name: &name,
            bindir: &binaries.bindir,
            places: places(&env.temp_dir(), &name),
            arguments: &arguments,
            account: Account::unprivileged()?,
        };
        leavings::sweep(&order.places, order.account.as_ref());
        Ok(Self { keeper: Keeper::start(env, &order)?, binaries, port })
    }

    /// A libpq URI of `database`: superuser, socket, no password.
    pub fn url(&self, database: &str) -> String {
        let host = percent_encoded(&self.socket_dir().to_string_lossy(), "/");
        let database = percent_encoded(database, "");
        format!("postgresql://{USER}@/{database}?host={host}&port={}", self.port)
    }

    /// The folder of the socket: `host` as libpq takes it.
    pub fn socket_dir(&self) -> &Path {
        &self.keeper.folder
    }

    /// The cluster's data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.keeper.folder.join("data")
    }

    /// What the server has logged.
    pub fn log_path(&self) -> PathBuf {
        self.keeper.folder.join("server.log")
    }

    /// The port: part of the socket's name.
    pub fn port(&self) -> &str {
        &self.port
    }

    /// The folder of the server's programs. `psql` and `pg_dump` need not be among them.
    pub fn bindir(&self) -> &Path {
        &self.binaries.bindir
    }

    /// The server's version, `15.18` for example.
    pub fn version(&self) -> &str {
        &self.binaries.version
    }

    /// The server's major version.
    pub fn major(&self) -> u32 {
        self.binaries.major()
    }

    /// Connects to `database` as the superuser.
    ///
    /// # Errors
    /// A connection failure where the server does not let us in.
    pub async fn connect(&self, database: &str) -> Result<Client, Failure> {
        let mut config = Config::new();
        config.host_path(self.socket_dir()).user(USER).dbname(database);
        config.port(self.port.parse().unwrap_or(5432));
        let (client, connection) = config.connect(NoTls).await.map_err(|error| {
            Failure::connection(format!("cannot connect to the throw-away database {database}"))
                .because_of(&error)
        })?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Runs SQL, one statement or several, in `database`.
    ///
    /// # Errors
    /// What the server said, where it refused a statement.
    pub async fn execute(&self, database: &str, sql: &str) -> Result<(), Failure> {
        let client = self.connect(database).await?;
        client.batch_execute(sql).await.map_err(|error| {
            Failure::unexpected(format!("running SQL in the throw-away database {database}"))
                .because_of(&error)
        })
    }

    /// Makes a database, from `template` where one is given (nobody may be connected to it).
    ///
    /// # Errors
    /// What the server said, where it refused.
    pub async fn create_database(&self, name: &str, template: Option<&str>) -> Result<(), Failure> {
        let template = template.unwrap_or("template1");
        let sql = format!("CREATE DATABASE {} TEMPLATE {}", quoted(name), quoted(template));
        self.execute(USER, &sql).await
    }

    /// Drops a database and whoever is connected to it.
    ///
    /// # Errors
    /// What the server said, where it refused.
    pub async fn drop_database(&self, name: &str) -> Result<(), Failure> {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name));
        self.execute(USER, &sql).await
    }
}

/// The folder under which a server will probably be made, and the bytes that are free there.
pub fn room(env: &Env) -> Option<(PathBuf, u64)> {
    let place = places(&env.temp_dir(), NAME).into_iter().find(|place| place.is_dir())?;
    let seen = rustix::fs::statvfs(&place).ok()?;
    Some((place, seen.f_bavail.saturating_mul(seen.f_frsize)))
}

/// As long as the names that folders get.
const NAME: &str = "markenmate-000000000000";

/// Where the folder may be made: the usual place where the socket's path is short enough.
fn places(temp_dir: &Path, name: &str) -> [PathBuf; 2] {
    let tmp = PathBuf::from("/tmp");
    let socket = temp_dir.join(name).join(".s.PGSQL.65535");
    let fits = socket.as_os_str().len() <= LONGEST_SOCKET;
    [if fits { temp_dir.to_path_buf() } else { tmp.clone() }, tmp]
}

fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

fn percent_encoded(text: &str, also_safe: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c) || also_safe.contains(c);
    text.bytes().fold(String::new(), |mut out, byte| {
        match char::from(byte) {
            c if c.is_ascii() && safe(c) => out.push(c),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_temporary_folder_is_not_used_for_the_socket() {
        let long = PathBuf::from(format!("/{}", "x".repeat(90)));
        assert_eq!(places(&long, "markenmate-0")[0], Path::new("/tmp"));
        assert_eq!(places(Path::new("/var/tmp"), "markenmate-0")[0], Path::new("/var/tmp"));
    }

    #[test]
    fn what_a_uri_would_misread_is_encoded() {
        assert_eq!(percent_encoded("/tmp/a b", "/"), "/tmp/a%20b");
        assert_eq!(percent_encoded("größe/?&", ""), "gr%C3%B6%C3%9Fe%2F%3F%26");
    }
}
