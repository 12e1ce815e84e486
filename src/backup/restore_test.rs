//! The only proof of a backup is a restore: into a throw-away server, compared with the manifest.
//!
//! What a backup holds is not trusted: a check, an index or a partition's key may call a function that
//! whoever owned the database wrote, and a superuser's server runs programs of this machine. So all but
//! extensions is made, filled and owned by a role that may do nothing else, and no role of the backup is a
//! superuser here.

use std::path::Path;

use crate::context::Context;
use crate::db::identifiers::{identifier, literal, quoted};
use crate::db::session::Session;
use crate::failure::Failure;
use crate::report::Finding;
use crate::sandbox::{Sandbox, SandboxOptions};
use crate::settings::{Endpoint, EndpointFlags, Env};
use crate::tools::postgres_binaries::PostgresBinaries;

use super::proof::Backup;
use super::restore::{Hands, How, Source, into};
use super::restored::{Owners, compare_with};

const DATABASE: &str = "restored";

const PREPARING: &str = "cannot prepare the throw-away server";

/// Makes the extensions; the name is nobody's in a backup.
const SUPERUSER: &str = "markenmate_sandbox_superuser";

/// Makes and fills all the rest.
const FILLER: &str = "markenmate_sandbox_filler";

/// Whether a server is installed here that the backup can be restored on.
///
/// # Errors
/// Refused where there is none: says what to install.
pub fn has_server(cx: &Context, backup: &Backup) -> Result<(), Failure> {
    has_server_of(cx, backup.manifest.archive.server_major())
}

/// The same for what a server of that major version dumps.
///
/// # Errors
/// As above.
pub fn has_server_of(cx: &Context, major: u32) -> Result<(), Failure> {
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
    let restored = Throwaway::restore(cx, backup, identity).await?;
    compare_with(&restored.session(cx).await?, &backup.manifest, Owners::Anybody).await
}

/// A throw-away server and a backup restored in it; both are gone when it is dropped, or the process ends.
pub struct Throwaway {
    sandbox: Sandbox,
}

impl Throwaway {
    /// Starts the server and restores.
    ///
    /// # Errors
    /// Refused where the restore fails.
    pub async fn restore(
        cx: &Context,
        backup: &Backup,
        identity: Option<&Path>,
    ) -> Result<Self, Failure> {
        let sandbox = Sandbox::start(&cx.env, SandboxOptions::default())?;
        cx.interrupt.check()?;
        prepare(cx, &sandbox, backup).await?;
        let extensions = open(cx, &sandbox, SUPERUSER, DATABASE).await?;
        // Before PostgreSQL 15 it is not the database's owner's.
        let sql = format!("ALTER SCHEMA public OWNER TO {FILLER}");
        extensions.run(PREPARING, &sql).await?;
        let rest = open(cx, &sandbox, FILLER, DATABASE).await?;
        let identity = identity.map(Path::to_path_buf);
        let how = How { jobs: 2, identity, without_tablespaces: true };
        let hands = Hands { extensions: &extensions, rest: &rest };
        let restored = into(cx, hands, &Source::Proven(Box::new(backup.clone())), &how).await;
        restored.map_err(|failure| without_rights(failure, &backup.path))?;
        Ok(Self { sandbox })
    }

    /// A session of the role that owns all of it and has no other rights. Of its own: a plain dump leaves
    /// its settings behind.
    ///
    /// # Errors
    /// The server is gone.
    pub async fn session(&self, cx: &Context) -> Result<Session, Failure> {
        open(cx, &self.sandbox, FILLER, DATABASE).await
    }
}

/// A database of the same encoding, and the roles, which are in no dump of a database.
async fn prepare(cx: &Context, sandbox: &Sandbox, backup: &Backup) -> Result<(), Failure> {
    sandbox.execute("postgres", &format!("CREATE ROLE {SUPERUSER} SUPERUSER LOGIN")).await?;
    let session = open(cx, sandbox, SUPERUSER, "postgres").await?;
    // The server's first role is a superuser for ever, and the backup may know one of its name.
    session.run(PREPARING, "ALTER ROLE postgres RENAME TO markenmate_sandbox_first").await?;
    // Rows that policies hide are restored and counted as well.
    session.run(PREPARING, &format!("CREATE ROLE {FILLER} LOGIN BYPASSRLS")).await?;
    // An extension's tables, which it does not own, may hold rows that are dumped.
    for role in ["pg_read_all_data", "pg_write_all_data"] {
        session.run(PREPARING, &format!("GRANT {role} TO {FILLER}")).await.or_else(older)?;
    }
    for role in backup.manifest.roles.iter().filter(|role| !role.starts_with("pg_")) {
        let role = quoted(role);
        session.run(PREPARING, &format!("CREATE ROLE {role}; GRANT {role} TO {FILLER}")).await?;
    }
    let encoding = literal(&backup.manifest.database.encoding);
    let sql =
        format!("CREATE DATABASE {DATABASE} TEMPLATE template0 ENCODING {encoding} OWNER {FILLER}");
    session.run(PREPARING, &sql).await.map(drop)
}

/// Whether a restore failed only because the role that restores here may do nothing else.
pub fn lacks_rights(failure: &Failure) -> bool {
    let denied = |cause: &String| {
        ["permission denied", "must be superuser", "only superuser", "must be owner"]
            .iter()
            .any(|words| cause.to_ascii_lowercase().contains(words))
    };
    failure.causes.iter().any(denied)
}

/// What is missing is not to be had here: says why, and where it is.
fn without_rights(failure: Failure, path: &Path) -> Failure {
    if !lacks_rights(&failure) {
        return failure;
    }
    failure
        .hint("a restore test makes all but extensions without a superuser's rights, as it may run them")
        .hint(format!(
            "with them: markenmate rollback --restore {}, which asks before it swaps",
            path.display()
        ))
}

/// PostgreSQL 13 has no such roles.
fn older(failure: Failure) -> Result<Vec<crate::db::session::Rows>, Failure> {
    match failure.sqlstate.as_deref() {
        Some("42704") => Ok(Vec::new()),
        _ => Err(failure),
    }
}

async fn open(
    cx: &Context,
    sandbox: &Sandbox,
    role: &str,
    database: &str,
) -> Result<Session, Failure> {
    let url = sandbox.url(database).replacen("postgres@", &format!("{}@", identifier(role)), 1);
    let flags = EndpointFlags { database_url: Some(url), ..EndpointFlags::default() };
    let endpoint = Endpoint::resolve(&flags, &Env::of([("HOME", "/nonexistent")]))?;
    Session::open(&endpoint, &cx.settings, &cx.interrupt).await
}
