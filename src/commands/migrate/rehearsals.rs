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

/// What is required, and what there is.
#[derive(Debug, Clone)]
pub(super) struct Required {
    age: Option<Duration>,
    wanted: Option<Wanted>,
    rehearsed: Rehearsed,
    /// What it would be refused over.
    live: Option<Failure>,
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
    let folder: &Path = path.as_deref().unwrap_or(&cx.settings.backup_dir);
    let wanted = fingerprint::wanted(session, survey).await?;
    let rehearsed = match &wanted {
        Some(wanted) => rehearsed::look(folder, wanted)?,
        None => Rehearsed::default(),
    };
    // Another role may have rehearsed than the one that migrates. Last, as it may fail the transaction.
    let live = live::refusal(&live::findings(session, survey).await?);
    Ok(Some(Required { age, wanted, rehearsed, live }))
}

impl Required {
    /// Refuses where it is not there, or too old by now.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let Some(why) = self.rehearsed.lacks(self.age, Utc::now()) else {
            return self.live.clone().map_or(Ok(()), Err);
        };
        let what = "the rehearsal that is required is not there: nothing was changed";
        let failure = Failure::refused(what).because(why);
        let failure = self.rehearsed.passed_over.iter().take(5).fold(failure, Failure::because);
        Err(failure.hint(REHEARSE))
    }

    /// What it must still be of when it begins, which may be hours later.
    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        let Wanted { schema, beside, .. } = self.wanted.clone()?;
        Some(Fingerprint { schema, beside })
    }
}
