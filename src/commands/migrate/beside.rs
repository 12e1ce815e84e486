//! What is said beside the plan, and by `status`.

use crate::migrations::plan::Work;
use crate::migrations::survey::Survey;
use crate::report::{Finding, Severity};

/// What is said beside the plan.
pub(super) fn findings(survey: &Survey, work: &Work) -> Vec<Finding> {
    let mut found: Vec<Finding> = guide_archive(survey).into_iter().collect();
    if work.builds_everything() {
        found.extend(not_empty(survey));
    }
    if !work.is_empty() {
        found.extend(event_triggers(survey));
    }
    if work.apply.contains(&2) {
        found.extend(set_aside(survey));
    }
    if work.apply.contains(&2) && !work.builds_everything() {
        found.push(Finding {
            id: "old-app-restart".into(),
            severity: Severity::Warning,
            title: "A restart of the old application takes the new columns away again".into(),
            subject: "the application".into(),
            detail: "its push at every start drops what it does not know: is_master_admin, version, \
                     correlation_id, and the new tables while they are empty"
                .into(),
            remedy: "deploy the new application in the same window; until then do not restart the old one".into(),
        });
    }
    found
}

/// They can refuse whatever is made or dropped, and run with the rights of whoever does it.
fn event_triggers(survey: &Survey) -> Option<Finding> {
    let names = survey.rights.event_triggers.as_ref()?;
    Some(Finding {
        id: "event-triggers".into(),
        severity: Severity::Warning,
        title: "Event triggers run along with what is made and dropped".into(),
        subject: names.clone(),
        detail: "their code runs with each statement of migrate, and may refuse it".into(),
        remedy: "know what they do (psql: \\dy), or switch them off meanwhile: ALTER EVENT TRIGGER NAME DISABLE;".into(),
    })
}

/// A database without the application that holds something else may be the wrong one.
pub fn not_empty(survey: &Survey) -> Option<Finding> {
    let others = survey.rights.others.as_ref()?;
    Some(Finding {
        id: "not-empty".into(),
        severity: Severity::Warning,
        title: "The database is not empty, and it is not the application's".into(),
        subject: survey.database.clone(),
        detail: format!("holds {others}: is it the right one? They are not touched"),
        remedy: "name the application's database, for example: -d markenmate".into(),
    })
}

/// What a way back, or `cleanup orphans`, has set aside does not come back by itself.
pub fn set_aside(survey: &Survey) -> Option<Finding> {
    let orphans = survey.rights.orphans_aside;
    let tables = survey.rights.set_aside.saturating_sub(orphans);
    let part = format!(
        "migrate brings {} of them back; the others could not return, or were never registered",
        survey.kept.iter().filter(|kept| !kept.lost).count()
    );
    let by_rollback = (tables > 0).then(|| {
        format!(
            "{tables} table(s) hold what a rollback took out of public; {}",
            match survey.kept.iter().any(|kept| kept.returning) {
                true => "some of it is on its way back, and migrate goes on with it",
                false if survey.kept.is_empty() => "it could not return, or was never registered",
                false if survey.kept.len() == tables as usize => "migrate brings it back",
                false => &part,
            }
        )
    });
    let by_cleanup = (orphans > 0).then(|| {
        format!(
            "{orphans} table(s) hold rows that pointed to nothing: cleanup orphans set them aside"
        )
    });
    let details: Vec<String> = by_rollback.into_iter().chain(by_cleanup).collect();
    let remedy = match (survey.kept.is_empty(), orphans) {
        (false, _) => "markenmate migrate",
        (true, 0) => "markenmate cleanup set-aside --dry-run",
        (true, _) => {
            "markenmate cleanup orphans --put-back; what is not wanted back: markenmate cleanup set-aside --dry-run"
        }
    };
    (!details.is_empty()).then(|| Finding {
        id: "set-aside".into(),
        severity: Severity::Warning,
        title: "Rows are set aside".into(),
        subject: "schema markenmate_quarantine".into(),
        detail: details.join("; "),
        remedy: remedy.into(),
    })
}

/// A `public.audit_log_archive` made by following the guide is reported: it is no table of ours.
pub fn guide_archive(survey: &Survey) -> Option<Finding> {
    let table = survey.rights.guide_archive.as_ref()?;
    Some(Finding {
        id: "guide-archive".into(),
        severity: Severity::Warning,
        title: "An archive table stands in schema public".into(),
        subject: table.clone(),
        detail: "somebody made it by following the guide; the app's push drops it while it is empty, and \
                 applies nothing at all once it holds a row"
            .into(),
        remedy: "once the database is migrated, this takes its rows over: markenmate cleanup audit".into(),
    })
}
