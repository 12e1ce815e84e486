//! Which server and database, as which user.

use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use super::child::{self, Login};
use super::hosts::{self, Host};
use super::kept::Keepable;
use super::layers::Layers;
use super::passfile::{Passfile, Wanted};
use super::transport::{self, ChannelBinding, TargetSession, Tcp, TlsSettings};
use super::values::choice;
use super::{Env, Origin, Source, passfile};
use crate::failure::Failure;

/// What the command line says about the database.
#[derive(Clone, Default)]
#[allow(missing_docs)]
pub struct EndpointFlags {
    /// `-d`: a libpq URI, a `key=value` string or a plain name.
    pub database_url: Option<String>,
    pub host: Option<String>,
    pub port: Option<String>,
    pub username: Option<String>,
    /// `-W`
    pub ask_password: bool,
}

impl fmt::Debug for EndpointFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointFlags")
            .field("database_url", &self.database_url.as_ref().map(|_| "(not shown)"))
            .field("host", &self.host)
            .field("port", &self.port)
            .field("username", &self.username)
            .field("ask_password", &self.ask_password)
            .finish()
    }
}

/// One database as one user, on one server or on the first of several that fits.
///
/// `Display` and `Debug` show hosts, ports, database and user; never a password.
#[derive(Clone)]
pub struct Endpoint {
    /// Where host, port, database, user, password and sslmode came from. Never a secret.
    pub origins: Vec<Origin>,
    /// What was passed over while resolving, such as a password file others can read.
    pub warnings: Vec<String>,
    /// The servers to try, in order; at least one.
    pub hosts: Vec<Host>,
    /// How the connection is protected.
    pub tls: TlsSettings,
    /// Whether the password exchange is bound to the TLS connection.
    pub channel_binding: ChannelBinding,
    /// Which of the servers will do.
    pub target_session: TargetSession,
    /// Try the servers in random order (`load_balance_hosts`).
    pub shuffle: bool,
    /// Times and probes.
    pub tcp: Tcp,
    /// What the user wants the session to be called, in place of the tool's own name.
    pub application_name: Option<String>,
    /// Startup options, where the user gave some.
    pub options: Option<String>,
    /// The same as one line that a file may keep.
    pub keepable: Keepable,
    database: String,
    user: String,
    user_source: Source,
    ask_password: bool,
}

impl Endpoint {
    /// Resolves flags and environment: `--host`, `-p`, `-U` > `-d` > `DATABASE_URL` > service
    /// file > `PG*` > password file and defaults, keyword by keyword as in libpq.
    ///
    /// # Errors
    /// Usage (exit 2): a text cannot be read, values do not fit together, or nothing names a
    /// database: unlike libpq's, this client never takes the user's name for one.
    pub fn resolve(flags: &EndpointFlags, env: &Env) -> Result<Self, Failure> {
        let layers = Layers::collect(flags, env)?;
        let (database, database_source) = database(&layers)?;
        let (user, user_source) = user(&layers)?;
        let (hosts, host_source) = hosts::resolve(&layers)?;
        let (tls, tls_source) = transport::tls(&layers, env)?;
        let shuffle =
            choice(&layers, "load_balance_hosts", &[("disable", false), ("random", true)])?;
        let text = |name| layers.text(name).map(|found| found.value.to_owned());
        let mut endpoint = Self {
            origins: Vec::new(),
            warnings: Vec::new(),
            hosts,
            channel_binding: transport::channel_binding(&layers)?,
            target_session: transport::target_session(&layers)?,
            shuffle: shuffle.unwrap_or(false),
            tcp: transport::tcp(&layers)?,
            application_name: text("application_name"),
            options: text("options"),
            keepable: Keepable::default(),
            tls,
            database,
            user,
            user_source,
            ask_password: flags.ask_password,
        };
        let port_source = layers.text("port").map_or(Source::Default, |f| f.source.clone());
        endpoint.note("host", list(&endpoint.hosts, |host| host.name.clone()), host_source);
        endpoint.note("port", list(&endpoint.hosts, |host| host.port.to_string()), port_source);
        endpoint.note("database", endpoint.database.clone(), database_source);
        endpoint.note("user", endpoint.user.clone(), endpoint.user_source.clone());
        endpoint.note("sslmode", endpoint.tls.mode.word().to_owned(), tls_source);
        endpoint.find_passwords(&layers, env);
        endpoint.keepable = endpoint.keepable(&layers);
        Ok(endpoint)
    }

    fn note(&mut self, name: &'static str, shown: String, source: Source) {
        self.origins.push(Origin { name, shown, source });
    }

    fn find_passwords(&mut self, layers: &Layers, env: &Env) {
        let hidden = || "(not shown)".to_owned();
        if let Some((password, source)) = layers.password(&self.user) {
            for host in &mut self.hosts {
                host.password = Some(SecretString::from(password.to_owned()));
            }
            self.note("password", hidden(), source.clone());
            return;
        }
        let named = layers.text("passfile").map(|found| PathBuf::from(found.value));
        let Some(path) = named.or_else(|| env.home().map(|home| home.join(".pgpass"))) else {
            return;
        };
        let (file, warning) = Passfile::read(&path);
        self.warnings.extend(warning);
        let Some(file) = file else { return };
        let (database, user) = (&self.database, &self.user);
        for host in &mut self.hosts {
            let wanted = Wanted { host: host.passfile_name(), port: host.port, database, user };
            host.password = file.password(&wanted);
        }
        if self.hosts.iter().any(|host| host.password.is_some()) {
            self.note("password", hidden(), Source::File(path));
        }
    }

    /// `-W` was given and no password has been set since.
    pub fn needs_password_prompt(&self) -> bool {
        self.ask_password
    }

    /// Uses this password for every server.
    pub fn set_password(&mut self, password: SecretString) {
        self.ask_password = false;
        for host in &mut self.hosts {
            host.password = Some(password.clone());
        }
        self.origins.retain(|origin| origin.name != "password");
        self.note("password", "(not shown)".to_owned(), Source::Flag);
    }

    /// The password for one of [`Endpoint::hosts`].
    pub fn password<'a>(&self, host: &'a Host) -> Option<&'a SecretString> {
        host.password.as_ref()
    }

    /// Where the password came from, if there is one.
    pub fn password_source(&self) -> Option<&Source> {
        let mut origins = self.origins.iter();
        origins.find(|origin| origin.name == "password").map(|origin| &origin.source)
    }

    /// The user to connect as.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Nobody named the user: it is the operating system's.
    pub fn user_is_default(&self) -> bool {
        self.user_source == Source::Default
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// For messages: hosts, ports, database and user.
    pub fn describe(&self) -> String {
        self.to_string()
    }

    /// For a child that uses libpq, and the server that was really connected.
    pub fn login(&self, host: &Host) -> Login {
        let (database, user) = (&self.database, &self.user);
        let wanted = Wanted { host: host.passfile_name(), port: host.port, database, user };
        let line = |password: &SecretString| {
            SecretString::from(passfile::line(&wanted, password.expose_secret()))
        };
        Login {
            conninfo: child::conninfo(self, host),
            inside: child::inside(self),
            password: host.password.clone(),
            passfile_line: host.password.as_ref().map(line),
        }
    }

    /// Another database of the same servers, as the same user.
    #[must_use]
    pub fn with_database(&self, name: &str) -> Self {
        Self { database: name.to_owned(), ..self.clone() }
    }

    /// The same, with one more server setting for the session. A pooler in between may not take it.
    #[must_use]
    pub fn with_setting(&self, name: &str, value: &str) -> Self {
        let options = self.options.iter().map(String::as_str);
        let setting = format!("-c {name}={value}");
        let options = options.chain([setting.as_str()]).collect::<Vec<_>>().join(" ");
        Self { options: Some(options), ..self.clone() }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = list(&self.hosts, Host::shown);
        write!(f, "database {} at {hosts} as {}", self.database, self.user)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

fn list(hosts: &[Host], part: impl Fn(&Host) -> String) -> String {
    hosts.iter().map(part).collect::<Vec<_>>().join(",")
}

fn database(layers: &Layers) -> Result<(String, Source), Failure> {
    match layers.text("dbname") {
        Some(found) => Ok((found.value.to_owned(), found.source.clone())),
        None => Err(Failure::usage("no database was named, and none is guessed")
            .because("--database-url, DATABASE_URL, the service file and PGDATABASE do not name one")
            .hint("pass --database-url postgresql://USER@HOST:PORT/DATABASE")
            .hint("or set DATABASE_URL to what the app uses; for its compose file: postgresql://markenmate:markenmate@localhost:5432/markenmate")),
    }
}

fn user(layers: &Layers) -> Result<(String, Source), Failure> {
    if let Some(found) = layers.text("user") {
        return Ok((found.value.to_owned(), found.source.clone()));
    }
    match whoami::username() {
        Ok(name) => Ok((name, Source::Default)),
        Err(error) => Err(Failure::usage("no user was named, and the system's has no name")
            .because(error)
            .hint("pass -U USER, or name the user in the URL")),
    }
}

#[cfg(test)]
#[path = "endpoint_tests.rs"]
mod tests;
