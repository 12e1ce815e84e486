//! Whose rows are rehearsed with: a backup that was named, the newest verified one of the database as it
//! is, or one that is taken now.

use std::path::Path;

use chrono::Utc;

use super::fingerprint;
use crate::backup::gate::{self, Identity};
use crate::backup::manifest::SUFFIX;
use crate::backup::place::beside;
use crate::backup::proof::Backup;
use crate::commands::backup;
use crate::context::Context;
use crate::db::session::Session;
use crate::failure::Failure;
use crate::migrations::fingerprint::Fingerprint;
use crate::report::{Finding, Severity};

/// Where the rows come from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// A backup that is there.
    There(Box<Backup>),
    /// One that is taken now, and why no other will do.
    Now(String),
}

/// Chooses.
///
/// # Errors
/// Refused where the one that was named is none.
pub(super) fn choose(
    cx: &Context,
    named: Option<&Path>,
    identity: &Identity,
    now: Option<&Fingerprint>,
) -> Result<Source, Failure> {
    if let Some(path) = named {
        if path.symlink_metadata().is_ok() && beside(path, SUFFIX).symlink_metadata().is_err() {
            return Err(Failure::refused(format!("{} has no manifest", path.display()))
                .because("what it is of, and whether it is what was written, is not known")
                .hint("take one that has: markenmate backup"));
        }
        return Ok(Source::There(Box::new(Backup::open(path)?)));
    }
    let fallback = gate::look(&cx.settings.backup_dir, identity, &[])?;
    let Some(path) = fallback.newest_chosen else {
        return Ok(Source::Now("there is no verified backup of this database".into()));
    };
    let backup = Backup::open(&path)?;
    if !fingerprint::is_of_now(&backup.manifest, now) {
        return Ok(Source::Now(format!(
            "the schema, or triggers, policies and grants, are not what they were when {} was taken",
            path.display()
        )));
    }
    if let Some(age) = age(&backup) {
        return Ok(Source::Now(format!("{} is {} old", path.display(), gate::shown(age))));
    }
    if backup.is_encrypted() {
        return Ok(Source::Now(format!(
            "{} is encrypted: --from PATH --identity FILE",
            path.display()
        )));
    }
    Ok(Source::There(Box::new(backup)))
}

/// How old its rows are, where that is older than a backup may be without being spoken of.
fn age(backup: &Backup) -> Option<std::time::Duration> {
    let age = (Utc::now() - backup.manifest.snapshot_at).to_std().unwrap_or_default();
    (age > gate::USUAL_AGE).then_some(age)
}

/// What a certificate says of rows that are not of today.
pub(super) fn old_rows(backup: &Backup) -> Option<Finding> {
    let age = age(backup)?;
    Some(Finding {
        id: "old-rows".into(),
        severity: Severity::Warning,
        title: "The rows that were rehearsed with are old".into(),
        subject: backup.path.display().to_string(),
        detail: format!(
            "it is {} old: what was written since was not rehearsed with",
            gate::shown(age)
        ),
        remedy: "leave out --from, or take a backup now: markenmate backup".into(),
    })
}

impl Source {
    /// The backup, every byte of which is as it was written.
    ///
    /// # Errors
    /// Refused where it is not; whatever a backup fails with.
    pub(super) async fn ready(
        &self,
        cx: &Context,
        session: &Session,
        identity: Option<&Path>,
    ) -> Result<Backup, Failure> {
        match self {
            Self::Now(_) => Backup::open(&backup::only_reading(cx, session).await?),
            Self::There(backup) => {
                let findings = backup.differences(cx).await?;
                if !findings.is_empty() {
                    let what = format!("{} is not what was written", backup.path.display());
                    return Err(Failure::refused(what).with_findings(findings));
                }
                backup.read_through(cx, identity).await?;
                Ok(backup.as_ref().clone())
            }
        }
    }

    /// The step, for plans.
    pub(super) fn step(&self, cx: &Context) -> (String, Option<String>) {
        match self {
            Self::There(backup) => (
                format!("read every byte of {}", backup.path.display()),
                Some(format!("of {}", backup.manifest.snapshot_at.format("%Y-%m-%d %H:%M:%S UTC"))),
            ),
            Self::Now(why) => (
                format!("back up into {}, and verify it", cx.settings.backup_dir.display()),
                Some(format!(
                    "{why}; the database is only read, and the backup stays: it is one like any other"
                )),
            ),
        }
    }
}
