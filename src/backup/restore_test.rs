//! The only proof of a backup is a restore: into a throw-away server, compared with the manifest.
//!
//! What a backup holds is not trusted: a check, an index or a partition's key may call a function that
//! whoever owned the database wrote, and a superuser's server runs programs of this machine. So all but
//! extensions is made, filled and owned by a role that may do nothing else, and no role of the backup is a
//! superuser here.

use std::path::{Path, PathBuf};

use crate::context::Context;
use crate::db::identifiers::{identifier, literal, quoted};
use crate::db::session::Session;
use crate::failure::{Failure, Kind};
use crate::report::{Finding, Severity};
use crate::sandbox::{self, Sandbox, SandboxOptions};
use crate::settings::{Endpoint, EndpointFlags, Env};
use crate::tools::postgres_binaries::PostgresBinaries;

use super::dump::megabytes;
use super::manifest::Database;
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
    let Database { bytes, .. } = backup.manifest.database;
    has_server_of(cx, backup.manifest.archive.server_major(), bytes + bytes / 4)
}

/// The same for what a server of that major version dumps, and that many bytes of it.
///
/// # Errors
/// As above; refused where there is no room for it.
pub fn has_server_of(cx: &Context, major: u32, bytes: u64) -> Result<(), Failure> {
    has_room(sandbox::room(&cx.env), bytes)?;
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

/// Whether it fits into what is free. Pure.
fn has_room(free: Option<(PathBuf, u64)>, bytes: u64) -> Result<(), Failure> {
    let needed = bytes.saturating_add(EMPTY);
    match free {
        Some((place, free)) if free < needed => Err(Failure::refused(format!(
            "a throw-away server for it needs about {}, and {} has {} left",
            megabytes(needed),
            place.display(),
            megabytes(free)
        ))
        .hint("name a folder with more room: TMPDIR=DIR")),
        _ => Ok(()),
    }
}

/// What a server takes before anything is in it, its log of writes included.
const EMPTY: u64 = 96 * 1024 * 1024;

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
    /// The locale that the database had and that is not installed here.
    pub lacks_locale: Option<String>,
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
        let here = |mut failure: Failure| {
            failure.findings.push(says_nothing("the throw-away server is not to be had"));
            failure
        };
        let sandbox = Sandbox::start(&cx.env, SandboxOptions::default()).map_err(here)?;
        cx.interrupt.check()?;
        let lacks_locale = prepare(cx, &sandbox, backup).await.map_err(here)?;
        let throwaway = Self { sandbox, lacks_locale };
        match throwaway.fill(cx, backup, identity).await {
            Ok(()) => Ok(throwaway),
            Err(failure) => Err(match throwaway.gave_out(cx).await {
                Some(why) => why.because(failure),
                None => throwaway.without_locale(without_rights(failure, &backup.path)),
            }),
        }
    }

    async fn fill(
        &self,
        cx: &Context,
        backup: &Backup,
        identity: Option<&Path>,
    ) -> Result<(), Failure> {
        let sandbox = &self.sandbox;
        let extensions = open(cx, sandbox, SUPERUSER, DATABASE).await?;
        // Before PostgreSQL 15 it is not the database's owner's.
        let sql = format!("ALTER SCHEMA public OWNER TO {FILLER}");
        extensions.run(PREPARING, &sql).await?;
        let rest = open(cx, sandbox, FILLER, DATABASE).await?;
        let identity = identity.map(Path::to_path_buf);
        let how = How { jobs: 2, identity, without_tablespaces: true };
        let hands = Hands { extensions: &extensions, rest: &rest };
        into(cx, hands, &Source::Proven(Box::new(backup.clone())), &how).await.map(drop)
    }

    /// Whether the server itself failed, which says nothing of what was done there: why.
    pub async fn gave_out(&self, cx: &Context) -> Option<Failure> {
        let log = std::fs::read(self.sandbox.log_path()).unwrap_or_default();
        let said = String::from_utf8_lossy(&log).lines().find_map(of_the_system);
        let answers = match open(cx, &self.sandbox, FILLER, DATABASE).await {
            Ok(session) => session.run("cannot ask", "SELECT 1").await.is_ok(),
            Err(failure) if failure.kind == Kind::Interrupted => return Some(failure),
            Err(_) => false,
        };
        let said = said.or_else(|| (!answers).then(|| "it does not answer any more".to_owned()))?;
        let what = "the throw-away server gave out: nothing is known of what was tried there";
        let mut failure = Failure::refused(what).because(said);
        failure.findings.push(says_nothing(what));
        Some(failure.hint(
            "look for room and memory, then try again; to name a folder with more room: TMPDIR=DIR",
        ))
    }

    /// What was refused may only be refused because letters and their order are others here.
    fn without_locale(&self, mut failure: Failure) -> Failure {
        let Some(locale) = &self.lacks_locale else { return failure };
        let what = format!(
            "the database's locale {locale} is not installed here: what was refused may hold there"
        );
        failure.findings.push(says_nothing(&what));
        failure.because(what).hint("install it (Debian and Ubuntu: locale-gen)")
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

/// What a server logs when it is not what was asked of it that failed: no room, no memory, a process killed.
fn of_the_system(line: &str) -> Option<String> {
    const ENDS: [&str; 3] =
        ["No space left on device", "Disk quota exceeded", "Cannot allocate memory"];
    let (_, said) = ["ERROR:  ", "FATAL:  ", "PANIC:  ", "LOG:  "]
        .iter()
        .find_map(|severity| line.split_once(severity))?;
    let killed =
        said.starts_with("server process (PID ") && said.contains("was terminated by signal");
    let is_it = killed || said == "out of memory" || ENDS.iter().any(|end| said.ends_with(end));
    is_it.then(|| said.to_owned())
}

/// What marks a failure that is no verdict.
const SAYS_NOTHING: &str = "not-here";

fn says_nothing(detail: &str) -> Finding {
    Finding {
        id: SAYS_NOTHING.into(),
        severity: Severity::Error,
        title: "It cannot be told here".into(),
        subject: "the throw-away server".into(),
        detail: detail.into(),
        remedy: "mend what is named, or use another server".into(),
    }
}

/// Whether a failure is the machine's, and not of what was restored.
pub fn is_no_verdict(failure: &Failure) -> bool {
    failure.findings.iter().any(|finding| finding.id == SAYS_NOTHING)
}

/// A database of the same encoding and, where it is installed, locale, and the roles, which are in no dump of a
/// database. The locale that it had to do without.
async fn prepare(
    cx: &Context,
    sandbox: &Sandbox,
    backup: &Backup,
) -> Result<Option<String>, Failure> {
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
    let Database { encoding, collate, ctype, .. } = &backup.manifest.database;
    // What is nearest: letters are letters there, and what is in no locale sorts by its bytes.
    for (sort, letters) in [(collate.as_str(), ctype.as_str()), ("C.UTF-8", "C.UTF-8"), ("C", "C")]
    {
        let sql = format!(
            "CREATE DATABASE {DATABASE} TEMPLATE template0 OWNER {FILLER} ENCODING {} LC_COLLATE {} LC_CTYPE {}",
            literal(encoding),
            literal(sort),
            literal(letters)
        );
        match session.run(PREPARING, &sql).await {
            Ok(_) if (sort, letters) == (collate, ctype) => return Ok(None),
            Ok(_) if collate == ctype => return Ok(Some(collate.clone())),
            Ok(_) => return Ok(Some(format!("{collate} (letters: {ctype})"))),
            // No such locale; not one of this encoding.
            Err(failure) if matches!(failure.sqlstate.as_deref(), Some("42809" | "22023")) => {}
            Err(failure) => return Err(failure),
        }
    }
    Err(Failure::refused(PREPARING).because(format!("there is no locale for encoding {encoding}")))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_before_it_is_tried() {
        let free = |bytes| Some((PathBuf::from("/tmp"), bytes));
        assert!(has_room(free(EMPTY + 10), 10).is_ok() && has_room(None, u64::MAX).is_ok());
        let refused = has_room(free(EMPTY + 9), 10).unwrap_err();
        assert!(refused.message.contains("/tmp") && refused.hints[0].contains("TMPDIR"));
    }

    #[test]
    fn what_the_machine_lacks_is_told_from_what_was_asked() {
        for line in [
            "2026-01-01 00:00:00.000 UTC [7] ERROR:  could not extend file \"base/5/7\": No space left on device",
            "2026-01-01 00:00:00.000 UTC [7] PANIC:  could not write to file \"pg_wal/x\": No space left on device",
            "2026-01-01 00:00:00.000 UTC [7] LOG:  server process (PID 9) was terminated by signal 9: Killed",
            "2026-01-01 00:00:00.000 UTC [7] ERROR:  out of memory",
        ] {
            assert!(of_the_system(line).is_some(), "{line}");
        }
        for line in [
            "2026-01-01 00:00:00.000 UTC [7] ERROR:  new row violates check constraint \"No space left on device\"",
            "2026-01-01 00:00:00.000 UTC [7] CONTEXT:  COPY t, line 1: \"No space left on device",
            "\tNo space left on device",
        ] {
            assert_eq!(of_the_system(line), None, "{line}");
        }
    }
}
