//! The only proof of a backup is a restore: into a throw-away server, compared with the manifest.

use std::path::Path;

use crate::context::Context;
use crate::db::identifiers::{literal, quoted};
use crate::db::session::Session;
use crate::failure::Failure;
use crate::report::Finding;
use crate::sandbox::{Sandbox, SandboxOptions};
use crate::settings::{Endpoint, EndpointFlags, Env};
use crate::tools::postgres_binaries::PostgresBinaries;

use super::proof::Backup;
use super::restore::{How, Source, into};
use super::restored::compare_with;

const DATABASE: &str = "restored";

/// Whether a server is installed here that the backup can be restored on.
///
/// # Errors
/// Refused where there is none: says what to install.
pub fn has_server(cx: &Context, backup: &Backup) -> Result<(), Failure> {
    let major = backup.manifest.archive.server_major();
    let installed = PostgresBinaries::find(&cx.env, None).map_err(|failure| {
        failure.hint(format!("Debian and Ubuntu: apt-get install postgresql-{major}"))
    })?;
    if installed.major() >= major {
        return Ok(());
    }
    Err(Failure::refused(format!(
        "a backup of PostgreSQL {major} cannot be restored on the installed {}",
        installed.version
    ))
    .hint(format!("Debian and Ubuntu: apt-get install postgresql-{major}"))
    .hint("MARKENMATE_PG_BINDIR names the folder of another server's programs"))
}

/// Restores and compares.
///
/// # Errors
/// Refused where the restore fails.
pub async fn run(
    cx: &Context,
    backup: &Backup,
    identity: Option<&Path>,
) -> Result<Vec<Finding>, Failure> {
    let sandbox = Sandbox::start(&cx.env, SandboxOptions::default())?;
    cx.interrupt.check()?;
    prepare(&sandbox, backup).await?;
    let session = open(cx, &sandbox).await?;
    let how = How { jobs: 2, identity: identity.map(Path::to_path_buf) };
    into(cx, &session, &Source::Proven(backup.clone()), &how).await?;
    // A plain dump leaves its settings behind.
    let session = open(cx, &sandbox).await?;
    compare_with(&session, &backup.manifest).await
}

/// A database of the same encoding, and the roles, which are in no dump of a database.
async fn prepare(sandbox: &Sandbox, backup: &Backup) -> Result<(), Failure> {
    for role in backup.manifest.roles.iter().filter(|role| *role != "postgres") {
        sandbox.execute("postgres", &format!("CREATE ROLE {}", quoted(role))).await?;
    }
    let encoding = literal(&backup.manifest.database.encoding);
    let sql = format!("CREATE DATABASE {DATABASE} TEMPLATE template0 ENCODING {encoding}");
    sandbox.execute("postgres", &sql).await
}

async fn open(cx: &Context, sandbox: &Sandbox) -> Result<Session, Failure> {
    let flags =
        EndpointFlags { database_url: Some(sandbox.url(DATABASE)), ..EndpointFlags::default() };
    let endpoint = Endpoint::resolve(&flags, &Env::of([("HOME", "/nonexistent")]))?;
    Session::open(&endpoint, &cx.settings, &cx.interrupt).await
}
