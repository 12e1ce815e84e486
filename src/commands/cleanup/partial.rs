//! A cleanup that did not come to its end: what was done stays done, and is told job by job.

use std::time::Duration;

use serde_json::{Value, json};

use super::outcome::{At, Outcomes};
use super::rows::Seen;
use super::shown;
use crate::cleanup::ground::Due;
use crate::cleanup::tally::Tally;
use crate::failure::{Failure, Kind, Steps};
use crate::plan::{Plan, Step};
use crate::report::{Next, StepResult, StepStatus};

/// The failure, with what was done before it, and what goes on.
pub(super) fn ended(failure: Failure, plan: &Plan<Seen>, all: &Outcomes, again: Next) -> Failure {
    let took = all.since.map(|since| since.elapsed()).unwrap_or_default();
    let jobs: Vec<Value> =
        (0..).zip(&plan.work.dues).map(|(n, due)| job(&failure, n, due, all, took)).collect();
    let steps = plan.steps.iter().map(|step| became(step, plan, all, took)).collect();
    let data = json!({
        "jobs": jobs, "remaining": null, "files": all.files, "remaining_export": null,
        "unfinished": plan.work.unfinished, "orphans": all.moved,
    });
    let mut failure = after(failure, all);
    failure.findings.extend(plan.findings.iter().cloned());
    if matches!(failure.kind, Kind::Partial | Kind::Unknown | Kind::Interrupted) {
        failure.next = Some(again.command);
    }
    (failure.steps, failure.data) = (Some(Box::new(Steps(steps))), Some(data));
    failure
}

/// A job as JSON has it.
fn job(failure: &Failure, n: usize, due: &Due, all: &Outcomes, took: Duration) -> Value {
    if let Some(done) = all.done.get(n) {
        return json!(done);
    }
    let is_begun = all.at == At::Job(n);
    let tally = if is_begun { all.tally.clone() } else { Tally::default() };
    let outcome = match failure.kind {
        _ if !is_begun => "not_begun",
        Kind::Interrupted => "interrupted",
        _ => "failed",
    };
    json!({
        "id": due.job.id, "outcome": outcome, "matched": due.matched, "archived": tally.archived, "deleted": tally.deleted,
        // A server that crashed may have taken back the last batches.
        "at_most": tally.is_at_most, "skipped": null, "remaining": null,
        "duration_ms": if is_begun { u64::try_from(took.as_millis()).ok() } else { None },
    })
}

/// What became of a step.
fn became(step: &Step, plan: &Plan<Seen>, all: &Outcomes, took: Duration) -> StepResult {
    let begun = match all.at {
        At::Nothing => None,
        At::Job(n) => plan.work.dues.get(n).map(|due| due.job.id),
        At::SetUp => Some("set-up"),
        At::Orphans => Some("orphans"),
        At::Export => Some("export"),
    };
    let done = all.done.iter().find(|done| done.id == step.id);
    if let Some(done) = done {
        let mut result = step.result(StepStatus::Done, Some(done.duration_ms));
        result.title = shown::title_of(done, &result.title);
        return result;
    }
    let is_over = match step.id.as_str() {
        "set-up" => all.set_up,
        "orphans" => all.at == At::Export,
        _ => false,
    };
    if is_over {
        return step.result(StepStatus::Done, None);
    }
    let is_begun = begun == Some(step.id.as_str());
    let took = u64::try_from(took.as_millis()).ok().filter(|_| is_begun);
    let mut result =
        step.result(if is_begun { StepStatus::Failed } else { StepStatus::Skipped }, took);
    result.detail = Some(match is_begun {
        false => "not begun".to_owned(),
        true => match all.at {
            At::Job(_) => all.tally.told(),
            At::Export => format!("{} file(s) were done", all.files.len()),
            _ => "nothing of it was done".to_owned(),
        },
    });
    result
}

/// Other work is done already.
fn after(failure: Failure, all: &Outcomes) -> Failure {
    let done = all.done.iter().filter(|done| done.deleted > 0).map(|done| (done.id, done.deleted));
    let moved = all.moved.iter().map(|moved| (moved.what.as_str(), moved.rows));
    let files = all.files.iter().map(|file| (file.name.as_str(), file.rows));
    let failure = match all.set_up {
        true => failure.after_changes().because("done before: schema markenmate was set up"),
        false => failure,
    };
    let all: Vec<_> = done.chain(moved).chain(files).collect();
    if all.is_empty() {
        return failure;
    }
    all.iter()
        .fold(failure.after_changes(), |failure, (what, rows)| {
            failure.because(format!("done before: {what}, {rows} rows"))
        })
        .hint("what is done stays done: run it again, and it goes on")
}
