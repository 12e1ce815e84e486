//! The one safe next command. Pure.

use crate::db::identifiers::identifier;
use crate::migrations::back::lost;
use crate::migrations::plan::is_servers_own;
use crate::migrations::standing::State;
use crate::migrations::survey::{History, Survey};
use crate::report::{Finding, Next, Severity};

use super::{AT_WORK, HALF, INDEXES, ROLLED_BACK, blocking};

const AGAIN: &str = "markenmate status";

/// What to run next, where that was `found`. On a standby nothing can be mended.
pub fn next(state: State, survey: &Survey, found: &[Finding], on_standby: bool) -> Next {
    let next = on_primary(state, survey, found);
    let reads = [AGAIN, "markenmate verify"].contains(&next.command.as_str());
    if !on_standby || reads && next.first.is_none() {
        return next;
    }
    let first = next.first.map(|first| format!(", {first}")).unwrap_or_default();
    Next::after(format!("on the primary{first}"), next.command)
}

fn on_primary(state: State, survey: &Survey, found: &[Finding]) -> Next {
    let mend = || Next::after("mend each finding as it says", AGAIN);
    let has = |id: &str| found.iter().any(|finding| finding.id == id);
    if survey.history != History::Known {
        return mend();
    }
    if has(AT_WORK) {
        return Next::after("wait until the restore has ended", AGAIN);
    }
    if let Some(lost) = lost::lost(&survey.kept)
        && matches!(state, State::Current | State::Pending)
    {
        return Next::run(lost.remedy);
    }
    if state == State::Current
        && let Some(blocker) = blocking(state, survey)
    {
        return Next::run(blocker.remedy);
    }
    match state {
        State::Current if !survey.kept.is_empty() => Next::run("markenmate migrate"),
        State::Current if has(HALF) || has(INDEXES) => mend(),
        // As `migrate` says it.
        State::Current if survey.lacks_master => Next::run("markenmate set-master-admin"),
        State::Current => Next::run("markenmate verify"),
        State::Pristine if is_servers_own(&survey.database) => Next::after(
            "this is one of the server's own databases: name the application's, for example -d markenmate",
            AGAIN,
        ),
        State::Pristine => {
            Next::after("make sure that this is the right database", "markenmate migrate --dry-run")
        }
        State::Baseline | State::HardenedUnrecorded | State::Pending => {
            if !survey.rights.missing(&survey.database).is_empty() {
                let owner = identifier(survey.rights.owner());
                let first = format!("connect as {owner}, or as a member of it");
                return Next::after(first, "markenmate migrate");
            }
            match blocking(state, survey) {
                Some(blocker) => Next::run(blocker.remedy),
                None => match found.iter().find(|finding| finding.id == ROLLED_BACK) {
                    Some(_) => Next::after(
                        "once what it was rolled back for is mended",
                        "markenmate migrate",
                    ),
                    None => Next::run("markenmate migrate"),
                },
            }
        }
        State::Partial | State::Drifted => {
            let errors = found.iter().filter(|finding| finding.severity == Severity::Error);
            match errors.collect::<Vec<_>>().as_slice() {
                // One command, and no line of a shell's.
                [only] if only.remedy.starts_with("markenmate ") && !only.remedy.contains("&&") => {
                    Next::run(only.remedy.clone())
                }
                _ => mend(),
            }
        }
        State::Newer => {
            Next::after("use the markenmate that migrated this database, or a newer one", AGAIN)
        }
    }
}
