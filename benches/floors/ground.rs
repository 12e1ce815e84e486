//! What every row stands on: a server that commits as real ones do, databases, the two clients.

use std::cell::Cell;
use std::future::Future;
use std::path::{Path, PathBuf};

use markenmate::migrations::registry;
use markenmate::sandbox::sample::Sample;
use markenmate::sandbox::{Sandbox, SandboxOptions};
use markenmate::settings::Env;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls};

use super::child::{self, Program};

/// The sandbox forgets for speed; here a commit is to cost what it costs.
const LASTING: [(&str, &str); 3] =
    [("fsync", "on"), ("synchronous_commit", "on"), ("full_page_writes", "on")];

/// Before the first migration, unrecorded.
pub const BASELINE: &str = "bench_baseline";
/// At the latest version.
pub const CURRENT: &str = "bench_current";

pub struct Ground {
    pub server: Sandbox,
    /// Longer campaigns.
    pub full: bool,
    /// Rounds of each row.
    pub times: u32,
    tool: PathBuf,
    psql: PathBuf,
    pg_dump: PathBuf,
    runtime: Runtime,
    databases: Cell<u32>,
}

impl Ground {
    pub fn lay(tool: PathBuf, full: bool) -> Self {
        let env = Env::real();
        let settings = LASTING.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec();
        let server = Sandbox::start(&env, SandboxOptions { settings, ..SandboxOptions::default() });
        let server = server.unwrap_or_else(|failure| {
            eprintln!("error: {}: {}", failure, failure.hints.join("; "));
            std::process::exit(1);
        });
        let [psql, pg_dump] = ["psql", "pg_dump"].map(|name| client(&env, server.bindir(), name));
        let times = if full { 41 } else { 15 };
        let databases = Cell::new(0);
        let ground =
            Self { server, full, times, tool, psql, pg_dump, runtime: runtime(), databases };
        ground.build(BASELINE, Sample::default());
        ground.create(CURRENT, Some(BASELINE));
        child::run(&ground.tool(["migrate", "--yes", "-d", &ground.url(CURRENT)]));
        ground
    }

    /// markenmate with these arguments.
    pub fn tool<const N: usize>(&self, arguments: [&str; N]) -> Program {
        program(&self.tool, &arguments)
    }

    /// markenmate, where findings (3) are as good an end as none.
    pub fn findings<const N: usize>(&self, arguments: [&str; N]) -> Program {
        let words =
            ["sh", "-c", "\"$@\"; case $? in 0 | 3) ;; *) false ;; esac", "sh"].map(Into::into);
        Program(words.into_iter().chain(self.tool(arguments).0).collect())
    }

    /// psql, the real one, without a start-up file.
    pub fn psql<const N: usize>(&self, arguments: [&str; N]) -> Program {
        program(&self.psql, &[&["-X"], arguments.as_slice()].concat())
    }

    /// pg_dump, the real one.
    pub fn pg_dump<const N: usize>(&self, arguments: [&str; N]) -> Program {
        program(&self.pg_dump, &arguments)
    }

    /// A database before the first migration with so many rows: its URL.
    pub fn build(&self, name: &str, sample: Sample) -> String {
        self.create(name, None);
        self.execute(name, registry::APP[0].sql);
        self.execute(name, &sample.sql());
        self.url(name)
    }

    pub fn url(&self, database: &str) -> String {
        self.server.url(database)
    }

    /// A database before the first migration, for one run.
    pub fn fresh(&self) -> String {
        let number = self.databases.replace(self.databases.get() + 1);
        if number > 0 {
            self.wait(self.server.drop_database(&format!("bench_{}", number - 1))).unwrap();
        }
        let name = format!("bench_{number}");
        self.create(&name, Some(BASELINE));
        // What making it left to write is not to be written during the run.
        self.execute(&name, "CHECKPOINT");
        self.url(&name)
    }

    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    pub fn execute(&self, database: &str, sql: &str) {
        self.wait(self.server.execute(database, sql)).unwrap();
    }

    /// A database, empty or a copy of another.
    pub fn create(&self, name: &str, template: Option<&str>) {
        self.wait(self.server.create_database(name, template)).unwrap();
    }
}

fn program(path: &Path, arguments: &[&str]) -> Program {
    let path = path.as_os_str().to_owned();
    Program::new(std::iter::once(path).chain(arguments.iter().map(Into::into)))
}

/// The first program of that name that is no script: Debian's wrapper in perl costs 27 ms.
fn client(env: &Env, bindir: &Path, name: &str) -> PathBuf {
    // Where initdb really lies, should its folder hold links only.
    let initdb = bindir.join("initdb").canonicalize().unwrap();
    let places = initdb.parent().map(PathBuf::from).into_iter().chain(env.path());
    let binary = |path: &PathBuf| {
        std::fs::read(path).is_ok_and(|bytes| !bytes.is_empty() && !bytes.starts_with(b"#!"))
    };
    places.map(|dir| dir.join(name)).find(binary).unwrap_or_else(|| {
        eprintln!(
            "error: {name} was not found; Debian and Ubuntu: apt-get install postgresql-client"
        );
        std::process::exit(1);
    })
}

pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A connection on a runtime that its caller drives.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
