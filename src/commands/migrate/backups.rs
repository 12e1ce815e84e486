//! What `migrate` has to do with backups: the gate before it, and one on the way.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::backup::gate::{Fallback, USUAL_AGE};
use crate::failure::Failure;
use crate::report::{Finding, Severity};
use crate::tools::shell;

const TAKE_ONE: &str = "markenmate backup";

/// `--require-backup`
pub(super) fn require(fallback: &Fallback, age: Duration) -> Result<(), Failure> {
    let Some(why) = fallback.lacks(age, Utc::now()) else { return Ok(()) };
    let failure = Failure::refused("the backup that is required is not there: nothing was changed")
        .because(why);
    let failure = fallback.passed_over.iter().take(5).fold(failure, Failure::because);
    Err(failure
        .hint(format!("take one: {TAKE_ONE}"))
        .hint("then prove it: markenmate backup verify PATH"))
}

/// Beside the plan, where nobody required one.
pub(super) fn unbacked(why: &str, fallback: &Fallback) -> Finding {
    // Whose they are not is no news; what this one's lack is.
    let (foreign, own): (Vec<&String>, Vec<&String>) =
        fallback.passed_over.iter().partition(|said| said.contains(" is of another "));
    let mut others: Vec<String> = own.into_iter().take(2).cloned().collect();
    if !foreign.is_empty() {
        others.push(format!("{} of other databases lie there", foreign.len()));
    }
    let others = match others.is_empty() {
        true => String::new(),
        false => format!(" ({})", others.join("; ")),
    };
    Finding {
        id: "no-backup".into(),
        severity: Severity::Warning,
        title: "There is no verified backup of this database from the last 24 hours".into(),
        subject: "backup".into(),
        detail: format!("{why}{others}"),
        remedy: remedy(fallback, Utc::now()),
    }
}

/// One that is young enough and was only never read is proven; else one is taken, and proven at once.
fn remedy(fallback: &Fallback, now: DateTime<Utc>) -> String {
    let young = |of: &DateTime<Utc>| (now - of).to_std().unwrap_or_default() <= USUAL_AGE;
    match fallback.newest_unverified.as_ref().filter(|(_, of)| young(of)) {
        Some((path, _)) => {
            format!("{TAKE_ONE} verify {}", shell::word(&path.display().to_string()))
        }
        None => format!("{TAKE_ONE} --restore-test"),
    }
}
