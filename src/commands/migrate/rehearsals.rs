//! `--require-rehearsal`: a certificate of these migrations with this database as it is.

use std::path::Path;
use std::time::Duration;

use chrono::Utc;

use crate::backup::rehearsed::{self, Rehearsed, Requirement, Wanted};
use crate::commands::rehearse::{fingerprint, live};
use crate::context::Context;
use crate::db::session::Session;
use crate::failure::Failure;
use crate::migrations::fingerprint::Fingerprint;
use crate::migrations::survey::Survey;
use crate::report::{Finding, Severity};

/// What is required, and what there is.
#[derive(Debug, Clone)]
pub(super) struct Required {
    age: Option<Duration>,
    wanted: Option<Wanted>,
    rehearsed: Rehearsed,
    /// What it would be refused over.
    live: Option<Failure>,
    /// The database's name and its server's major version.
    at: (String, u32),
}

const REHEARSE: &str = "rehearse: markenmate rehearse";

/// Looks for certificates, where one is required and there is something to lose.
///
/// # Errors
/// Refused where the folder cannot be read; the server's.
pub(super) async fn look(
    cx: &Context,
    requirement: Option<&Option<Requirement>>,
    session: &Session,
    survey: &Survey,
) -> Result<Option<Required>, Failure> {
    // Without a catalogue there is nothing to do.
    let asked = requirement.filter(|_| survey.rights.holds_users && survey.catalogue.is_some());
    let Some(requirement) = asked else { return Ok(None) };
    let Requirement { age, path } = requirement.clone().unwrap_or_default();
    if let Some(path) = path.as_ref().filter(|path| path.symlink_metadata().is_err()) {
        let what = format!("there is no {}: no rehearsal can be looked for there", path.display());
        return Err(Failure::refused(what)
            .hint("--require-rehearsal [AGE][,PATH]: a certificate, or a folder of them"));
    }
    let folder: &Path = path.as_deref().unwrap_or(&cx.settings.backup_dir);
    let wanted = fingerprint::wanted(session, survey).await?;
    let rehearsed = match &wanted {
        Some(wanted) => rehearsed::look(folder, wanted)?,
        None => Rehearsed::default(),
    };
    // Another role may have rehearsed than the one that migrates. Last, as it may fail the transaction.
    let live = live::refusal(&live::findings(session, survey).await?);
    let at = (survey.database.clone(), session.facts.server_version_num / 10_000);
    Ok(Some(Required { age, wanted, rehearsed, live, at }))
}

impl Required {
    /// Refuses where it is not there, or too old by now. What was otherwise there and is no reason to refuse.
    pub(super) fn check(&self) -> Result<Vec<Finding>, Failure> {
        let Some(why) = self.rehearsed.lacks(self.age, Utc::now()) else {
            return self.live.clone().map_or_else(|| Ok(self.elsewhere()), Err);
        };
        let what = "the rehearsal that is required is not there: nothing was changed";
        let failure = Failure::refused(what).because(why);
        let failure = self.rehearsed.passed_over.iter().take(5).fold(failure, Failure::because);
        Err(failure.hint(REHEARSE))
    }

    fn elsewhere(&self) -> Vec<Finding> {
        let Some((path, certificate)) = &self.rehearsed.newest else { return Vec::new() };
        let (database, major) = &self.at;
        let version = certificate.ground.server_version.split('.').next().unwrap_or_default();
        let warning = |detail: String, remedy: &str| Finding {
            id: "rehearsal".into(),
            severity: Severity::Warning,
            title: "It was rehearsed elsewhere".into(),
            subject: path.display().to_string(),
            detail,
            remedy: remedy.into(),
        };
        let name = &certificate.database.name;
        let renamed = (name != database).then(|| {
            let detail = format!(
                "it is of a database called {name:?}, and this is {database:?}: renamed, or a copy of the whole server, which has the same identity"
            );
            warning(detail, "look at the target line; where it is a copy, rehearse with it: markenmate rehearse")
        });
        let other = (version != major.to_string()).then(|| {
            let detail = format!("it was rehearsed on PostgreSQL {version}; this is {major}");
            warning(
                detail,
                "to rehearse on the same: markenmate rehearse --on-server, or MARKENMATE_PG_BINDIR",
            )
        });
        renamed.into_iter().chain(other).collect()
    }

    /// What it must still be of when it begins, which may be hours later.
    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        let Wanted { schema, beside, .. } = self.wanted.clone()?;
        Some(Fingerprint { schema, beside })
    }
}
