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
use crate::db::session::Session;
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
/// of the way.
pub(super) fn without_rights(failure: Failure) -> Result<Failure, Failure> {
    match restore_test::lacks_rights(&failure) {
        true => Err(failure.hint("to rehearse with them: --on-server")),
        false => Ok(failure),
    }
}

/// Whether a server is installed here that takes what one of that major version dumped, to be thrown away
/// afterwards.
///
/// # Errors
/// Refused where there is none: says what else can be done.
pub(super) fn can_sandbox(cx: &Context, major: u32) -> Result<(), Failure> {
    restore_test::has_server_of(cx, major).map_err(|failure| {
        failure.hint("or in a scratch database on the server itself: --on-server")
    })
}
