//! What every scenario stands on. All of it blocks: a test is a plain function.
#![allow(dead_code)]

use std::sync::OnceLock;

use markenmate::sandbox::{Sandbox, SandboxOptions};
use markenmate::settings::Env;

pub mod app;
pub mod aside;
pub mod campaign;
mod database;
mod invocation;
pub mod own_server;
pub mod proxy;
pub mod pty;
pub mod schema;
mod scrub;
pub mod slow;
pub mod state;
pub mod stub_app;
pub mod tls_server;

#[allow(unused_imports)]
pub use self::{
    database::{BASELINE_USERS, Row, Session, TestDb, database_on, schema_file, sql},
    invocation::{Invocation, Run, Running, kill_says, markenmate, wait_until},
    scrub::scrub,
};

/// The variable that names the binaries of the server under test, for the version matrix.
const BINDIR_VARIABLE: &str = "MARKENMATE_TEST_BINDIR";

/// The one server of this process. A static is never dropped: what removes the server is that its
/// keeper sees this process end.
pub fn cluster() -> &'static Sandbox {
    static CLUSTER: OnceLock<Sandbox> = OnceLock::new();
    CLUSTER.get_or_init(|| start(&[]))
}

/// A server of the test's own, for what must not happen to the shared one.
pub fn start(settings: &[(&str, &str)]) -> Sandbox {
    let settings = settings.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let bindir = env().var(BINDIR_VARIABLE).map(Into::into);
    Sandbox::start(&env(), SandboxOptions { bindir, settings }).unwrap()
}

/// A server of the distribution's, whose package of pg_cron is installed, and pg_cron at work in the
/// database `live`.
pub fn start_with_cron() -> Sandbox {
    let installed =
        std::fs::read_dir("/usr/lib/postgresql").unwrap().map(|entry| entry.unwrap().path());
    let has_cron = |dir: &std::path::PathBuf| dir.join("lib/pg_cron.so").is_file();
    let dir = installed.into_iter().find(has_cron).expect("pg_cron, which scripts/test installs");
    let settings = [("shared_preload_libraries", "pg_cron"), ("cron.database_name", "live")];
    let settings = settings.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec();
    Sandbox::start(&env(), SandboxOptions { bindir: Some(dir.join("bin")), settings }).unwrap()
}

/// The test process's own environment.
pub fn env() -> Env {
    Env::real()
}
