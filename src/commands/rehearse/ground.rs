//! Where it is rehearsed: on a throw-away server, or in a scratch database beside the live one.

use std::path::Path;

use crate::backup::certificate;
use crate::backup::preflight::{self, Live};
use crate::backup::proof::Backup;
use crate::backup::restore::{self, Hands, How, Source};
use crate::backup::restore_test::{self, Throwaway};
use crate::backup::restored::{self, Owners};
use crate::backup::staging::{Maintenance, Staged};
use crate::context::Context;
use crate::db::identifiers::identifier;
use crate::db::session::{Mode, Session};
use crate::failure::Failure;
use crate::report::{Finding, Severity};

/// A database that holds what was backed up, and is gone afterwards.
pub(super) enum Ground {
    /// On a throw-away server: everything belongs to a role without rights.
    Sandbox(Throwaway),
    /// On the live server.
    Server(Box<Maintenance>, Staged),
}

/// What a scratch database on the server must know of it.
pub(super) async fn look(
    cx: &Context,
    session: &Session,
    backup: &Backup,
    identity: Option<&Path>,
) -> Result<Live, Failure> {
    session.facts.check_writable()?;
    let mut backup = backup.clone();
    // That it cannot be restored is what a rehearsal is to find.
    backup.manifest.broken_keys.clear();
    let source = Source::Proven(Box::new(backup.clone()));
    let extensions = source.extensions(cx, &how(identity)).await?;
    let live = Live::look(session, &backup.manifest.roles, &extensions).await?;
    // It takes no name away: whose database this is does not matter, nor what is prepared in it. Its
    // owner's rights in schema public may come from owning it.
    let owner = if live.owns { live.owner.clone() } else { live.user.clone() };
    let app_owner = source.owner_of_users().map(str::to_owned);
    let live = Live { owns: true, prepared: 0, owner, app_owner, ..live };
    let obstacles = preflight::obstacles(&source, &live, live.free_bytes(session));
    if obstacles.is_empty() {
        return Ok(live);
    }
    let what = format!("{} cannot be restored on this server", backup.path.display());
    Err(Failure::refused(what).with_findings(obstacles))
}

/// Before a backup is taken for it: whether a scratch database may be made at all.
///
/// # Errors
/// Refused, with what grants it; a standby; the server's.
pub(super) async fn may_create(session: &Session) -> Result<(), Failure> {
    session.facts.check_writable()?;
    let sql = "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user";
    let sets = session.once(Mode::Read, "cannot look at the role's rights", sql).await?;
    if sets.last().and_then(|rows| rows.first()).and_then(|row| row.get(0)) == Some("t") {
        return Ok(());
    }
    let user = identifier(&session.facts.user);
    Err(Failure::refused("no scratch database may be made on this server: nothing was changed")
        .because(format!("{user} may not make databases"))
        .hint(format!("ALTER ROLE {user} CREATEDB;"))
        .hint("or rehearse without --on-server, on a throw-away server here"))
}

/// Who trusts whom there.
pub(super) fn remark(live: &Live) -> Option<Finding> {
    let risky = live.superuser && live.app_owner.as_ref() != Some(&live.user);
    risky.then(|| Finding {
        id: "rights".into(),
        severity: Severity::Warning,
        title: "It is rehearsed with a superuser's rights".into(),
        subject: live.user.clone(),
        detail: "what the backup's owner wrote into checks, indexes and views runs with them on this server"
            .into(),
        remedy: "connect as the owner, with CREATEDB; or rehearse without --on-server".into(),
    })
}

/// The database's own triggers run when a copy of it is written, and through some extensions they write elsewhere:
/// in the live database, above all, which is on the same server. A remark where there are triggers.
///
/// # Errors
/// Refused where they could.
pub(super) async fn stays_within(session: &Session) -> Result<Option<Finding>, Failure> {
    const WHAT: &str = "cannot look at the database's triggers";
    let sets = session.once(Mode::Read, WHAT, include_str!("reach.sql")).await?;
    let row = sets.last().and_then(|rows| rows.first());
    let text = |name| row.and_then(|row| row.get(name)).map(str::to_owned);
    let Some(run) = text("run") else { return Ok(None) };
    if let Some(means) = text("means") {
        let what = "the database's own triggers could write beyond a scratch database: it is not rehearsed beside the live one";
        return Err(Failure::refused(what)
            .because(format!("would run: {run}"))
            .because(format!("through which code reaches elsewhere: {means}"))
            .hint(
                "rehearse on a throw-away server, which nothing else is on: leave out --on-server",
            ));
    }
    Ok(Some(Finding {
        id: "triggers".into(),
        severity: Severity::Warning,
        title: "The database's own triggers run in the scratch database".into(),
        subject: run,
        detail:
            "what they do beyond tables (a file, a role, a notification) is done on the live server"
                .into(),
        remedy: "know what they do; or rehearse without --on-server".into(),
    }))
}

/// Another version than the database's may lock, plan and refuse otherwise.
pub(super) fn other_major(ground: &certificate::Ground, backup: &Backup) -> Option<Finding> {
    let there = ground.server_version.split('.').next().unwrap_or_default();
    let of = backup.manifest.archive.server_major();
    (there != of.to_string()).then(|| Finding {
        id: "other-version".into(),
        severity: Severity::Warning,
        title: "It is rehearsed on another version of PostgreSQL".into(),
        subject: format!("PostgreSQL {}", ground.server_version),
        detail: format!("the database's own is {of}"),
        remedy: format!(
            "install postgresql-{of}, or name its programs: MARKENMATE_PG_BINDIR; or --on-server"
        ),
    })
}

fn how(identity: Option<&Path>) -> How {
    How { jobs: 2, identity: identity.map(Path::to_path_buf), without_tablespaces: true }
}

impl Ground {
    /// A throw-away server with the backup in it.
    ///
    /// # Errors
    /// Refused where the backup cannot be restored, or is not what was dumped then.
    pub(super) async fn sandbox(
        cx: &Context,
        backup: &Backup,
        identity: Option<&Path>,
    ) -> Result<Self, Failure> {
        keys_hold(backup)?;
        let ground = Self::Sandbox(Throwaway::restore(cx, backup, identity).await?);
        ground.compared(cx, backup).await?;
        Ok(ground)
    }

    /// A scratch database on the live server. Whatever fails leaves nothing.
    ///
    /// # Errors
    /// As above.
    pub(super) async fn server(
        cx: &Context,
        maintenance: Maintenance,
        backup: &Backup,
        identity: Option<&Path>,
    ) -> Result<Self, Failure> {
        keys_hold(backup)?;
        let staged = maintenance.create_scratch(cx, &backup.manifest.database).await?;
        let ground = Self::Server(Box::new(maintenance), staged);
        let filled = async {
            let Self::Server(maintenance, staged) = &ground else { return Ok(()) };
            let session = maintenance.connect_to_fill(cx, staged).await?;
            let source = Source::Proven(Box::new(backup.clone()));
            restore::into(cx, Hands::of(&session), &source, &how(identity)).await?;
            ground.compared(cx, backup).await
        };
        match filled.await {
            Ok(()) => Ok(ground),
            Err(failure) => {
                // Where this fails the next run does it.
                let _ = ground.leave().await;
                Err(failure)
            }
        }
    }

    /// It is what was dumped, and the planner knows it.
    async fn compared(&self, cx: &Context, backup: &Backup) -> Result<(), Failure> {
        const WHAT: &str = "cannot analyze the restored database";
        let session = self.session(cx).await?;
        let owners = match self {
            Self::Sandbox(_) => Owners::Anybody,
            Self::Server(..) => Owners::AsDumped,
        };
        let findings = restored::compare_with(&session, &backup.manifest, owners).await?;
        if !findings.is_empty() {
            let what = format!("{} does not restore to what was dumped", backup.path.display());
            return Err(Failure::refused(what).with_findings(findings));
        }
        session.run(WHAT, "SET statement_timeout = 0; SET lock_timeout = 0").await?;
        session.run(WHAT, "ANALYZE").await.map(drop)
    }

    /// A session of whoever owns it.
    ///
    /// # Errors
    /// Not let in.
    pub(super) async fn session(&self, cx: &Context) -> Result<Session, Failure> {
        match self {
            Self::Sandbox(throwaway) => throwaway.session(cx).await,
            Self::Server(maintenance, staged) => maintenance.connect(cx, staged).await,
        }
    }

    /// Whether it is the server that failed, and not what was tried there.
    pub(super) async fn gave_out(&self, cx: &Context) -> Option<Failure> {
        match self {
            Self::Sandbox(throwaway) => throwaway.gave_out(cx).await,
            Self::Server(..) => None,
        }
    }

    /// Whether grants are what they are on the live database.
    pub(super) const fn has_privileges(&self) -> bool {
        matches!(self, Self::Server(..))
    }

    /// What is otherwise there than where the database lives.
    ///
    /// # Errors
    /// Refused where what was restored would write beyond it.
    pub(super) async fn remark(&self, cx: &Context) -> Result<Option<Finding>, Failure> {
        let locale = match self {
            Self::Server(..) => return stays_within(&self.session(cx).await?).await,
            Self::Sandbox(throwaway) => throwaway.lacks_locale.as_ref(),
        };
        Ok(locale.map(|locale| Finding {
            id: "locale".into(),
            severity: Severity::Warning,
            title: "It is rehearsed in another locale".into(),
            subject: locale.clone(),
            detail: "it is not installed here: what is a letter, and what comes before what, may be other there".into(),
            remedy: "install it (Debian and Ubuntu: locale-gen), or rehearse with --on-server".into(),
        }))
    }

    /// For the certificate.
    pub(super) fn described(&self, session: &Session) -> certificate::Ground {
        let kind = match self {
            Self::Sandbox(_) => "sandbox",
            Self::Server(..) => "server",
        };
        let server_version = session.facts.server_version.clone();
        certificate::Ground { kind: kind.into(), server_version }
    }

    /// Leaves nothing, even after a signal.
    ///
    /// # Errors
    /// The server refuses: the next run tries again.
    pub(super) async fn leave(self) -> Result<(), Failure> {
        match self {
            Self::Sandbox(_) => Ok(()),
            Self::Server(maintenance, staged) => maintenance.as_ref().drop(&staged.name).await,
        }
    }
}

/// Rows whose parents are gone: their keys cannot be made again.
fn keys_hold(backup: &Backup) -> Result<(), Failure> {
    let finding = |key: &String| {
        Finding {
        id: "restored".into(),
        severity: Severity::Error,
        title: "The backup cannot be restored".into(),
        subject: key.clone(),
        detail: "rows point to nothing: no restore can make this key again, whatever becomes of the migration"
            .into(),
        remedy: "mend the rows that this names, then rehearse again: markenmate verify --only orphans".into(),
    }
    };
    let found: Vec<_> = backup.manifest.broken_keys.iter().map(finding).collect();
    match found.is_empty() {
        true => Ok(()),
        false => Err(Failure::refused(format!("{} cannot be restored", backup.path.display()))
            .with_findings(found)),
    }
}

/// A sandbox's role may do nothing but restore: what takes more cannot be rehearsed there, which says nothing
/// of the way; nor does what this machine lacks.
pub(super) fn verdict(failure: Failure) -> Result<Failure, Failure> {
    if restore_test::is_no_verdict(&failure) {
        return Err(
            failure.hint("or rehearse in a scratch database on the server itself: --on-server")
        );
    }
    match restore_test::lacks_rights(&failure) {
        true => Err(failure.hint("to rehearse with them: --on-server")),
        false => Ok(failure),
    }
}

/// What the live database takes on its server's disk.
pub(super) async fn bytes(session: &Session) -> Result<u64, Failure> {
    let sql = "SELECT pg_database_size(current_database())::text";
    let sets = session.once(Mode::Read, "cannot ask for the database's size", sql).await?;
    let cell = sets.last().and_then(|rows| rows.first()).and_then(|row| row.get(0));
    Ok(cell.and_then(|bytes| bytes.parse().ok()).unwrap_or_default())
}

/// Whether a server is installed here that takes what one of that major version dumped, to be thrown away
/// afterwards, and has room for a database of that many bytes, there, back and there again.
///
/// # Errors
/// Refused where there is none: says what else can be done.
pub(super) fn can_sandbox(cx: &Context, major: u32, bytes: u64) -> Result<(), Failure> {
    // Rows that are rewritten and set aside stand there twice.
    restore_test::has_server_of(cx, major, bytes.saturating_mul(5) / 2).map_err(|failure| {
        failure.hint("or in a scratch database on the server itself: --on-server")
    })
}
