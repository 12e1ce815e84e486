//! The only proof of a backup is a restore: into a throw-away server, compared with the manifest.

use std::process::Stdio;

use crate::context::Context;
use crate::db::identifiers::{literal, quoted};
use crate::db::interrupt::{Interrupt, interrupted};
use crate::db::session::Session;
use crate::failure::Failure;
use crate::report::Finding;
use crate::sandbox::{Sandbox, SandboxOptions};
use crate::settings::{Endpoint, EndpointFlags, Env};
use crate::tools::postgres_client::ClientProgram;

use super::contents;
use super::form::Form;
use super::proof::Backup;
use super::restored::{Restored, differences};

const DATABASE: &str = "restored";

/// Restores and compares.
///
/// # Errors
/// Refused where no server is installed that is new enough, or the restore fails.
pub async fn run(cx: &Context, backup: &Backup) -> Result<Vec<Finding>, Failure> {
    let sandbox = Sandbox::start(&cx.env, SandboxOptions::default())?;
    cx.interrupt.check()?;
    let major = backup.manifest.archive.server_major();
    if sandbox.major() < major {
        return Err(Failure::refused(format!(
            "a backup of PostgreSQL {major} cannot be restored on the installed {}",
            sandbox.version()
        ))
        .hint(format!("Debian and Ubuntu: apt-get install postgresql-{major}"))
        .hint("MARKENMATE_PG_BINDIR names the folder of another server's programs"));
    }
    prepare(&sandbox, backup).await?;
    restore(cx, &sandbox, backup).await?;
    let session = open(cx, &sandbox).await?;
    let snapshot = contents::snapshot(&session, session.timeouts()).await?;
    let restored = Restored {
        tables: snapshot.tables(&session, backup.manifest.checksums).await?,
        sequences: snapshot.sequences.into_iter().map(|s| (s.name, s.last_value)).collect(),
        catalogue: snapshot.catalogue,
    };
    session.end().await;
    Ok(differences(&backup.manifest, &restored))
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

async fn restore(cx: &Context, sandbox: &Sandbox, backup: &Backup) -> Result<(), Failure> {
    let plain = backup.manifest.archive.form == Form::Plain;
    let name = if plain { "psql" } else { "pg_restore" };
    let program = ClientProgram::find(&cx.env, name, sandbox.major())?;
    let mut command = program.command(&cx.env, None);
    command.arg("--dbname").arg(sandbox.url(DATABASE)).stdout(Stdio::null()).stderr(Stdio::piped());
    match backup.manifest.archive.form {
        Form::Plain => command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "--file"]),
        Form::Custom => command.args(["--exit-on-error"]),
        Form::Directory => command.args(["--exit-on-error", "--jobs", "2"]),
    };
    let child = command
        .arg(&backup.path)
        .spawn()
        .map_err(|error| Failure::unexpected(format!("cannot start {name}")).because(error))?;
    let output = tokio::select! {
        output = child.wait_with_output() => output,
        () = cx.interrupt.raised(1) => return Err(interrupted()),
    };
    let output = output
        .map_err(|error| Failure::unexpected(format!("cannot wait for {name}")).because(error))?;
    if output.status.success() {
        return Ok(());
    }
    let failure = Failure::refused(format!("{} cannot be restored", backup.path.display()));
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().take(8).fold(failure, Failure::because))
}

async fn open(cx: &Context, sandbox: &Sandbox) -> Result<Session, Failure> {
    let flags =
        EndpointFlags { database_url: Some(sandbox.url(DATABASE)), ..EndpointFlags::default() };
    let endpoint = Endpoint::resolve(&flags, &Env::of([("HOME", "/nonexistent")]))?;
    Session::open(&endpoint, &cx.settings, &Interrupt::default()).await
}
