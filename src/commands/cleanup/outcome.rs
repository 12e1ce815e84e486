//! What became of a cleanup.

use std::time::{Duration, Instant};

use serde_json::json;

use super::rows::Seen;
use super::shown;
use crate::cleanup::export::File;
use crate::cleanup::jobs::{self, GUIDE_ARCHIVE};
use crate::cleanup::orphans::Moved;
use crate::cleanup::run::Done;
use crate::cleanup::tally::Tally;
use crate::db::locks::{self, Wanted};
use crate::db::session::Session;
use crate::plan::Plan;
use crate::report::{Block, Finding, Next, Outcome, Report, StepStatus};

/// Why rows whose time is over are there still.
pub(super) async fn held(session: &Session, done: &[Done]) -> Vec<Finding> {
    let mut found = Vec::new();
    for done in
        done.iter().filter(|done| done.remaining > done.waiting && done.receipt.outcome == "done")
    {
        let table = jobs::find(done.id).map_or(GUIDE_ARCHIVE.table, |job| job.table);
        let holders = locks::table_holders(session, &[table]).await.unwrap_or_default();
        found.push(shown::held(done, table, &locks::in_the_way(holders, Wanted::Rows)));
    }
    found
}

/// How far it came.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// Nothing is begun.
    #[default]
    Nothing,
    /// A job, by its place in the plan.
    Job(usize),
    /// Schema `markenmate`.
    SetUp,
    /// What points to nothing.
    Orphans,
    /// Files.
    Export,
}

/// What became of everything.
#[derive(Default)]
pub(super) struct Outcomes {
    pub(super) at: At,
    /// Since when.
    pub(super) since: Option<Instant>,
    /// Schema `markenmate` was brought up to date.
    pub(super) set_up: bool,
    pub(super) done: Vec<Done>,
    /// What the job at work did so far.
    pub(super) tally: Tally,
    pub(super) held: Vec<Finding>,
    pub(super) moved: Vec<Moved>,
    pub(super) files: Vec<File>,
    /// Rows that wait for a file: the time was over.
    pub(super) left: u64,
    pub(super) exported_in: Duration,
    pub(super) asked: Vec<&'static str>,
}

impl Outcomes {
    /// Something else is begun.
    pub(super) fn begin(&mut self, at: At) {
        self.at = at;
        self.since = Some(Instant::now());
    }
}

/// Why nothing was done.
pub(super) fn what_is_not(asked: &[&str]) -> String {
    let mut reasons = Vec::new();
    if asked.iter().any(|asked| !["orphans", PUT_BACK].contains(asked)) {
        reasons.push("no row has had its time");
    }
    if asked.contains(&"orphans") {
        reasons.push("no row points to a row that is gone");
    }
    if asked.contains(&PUT_BACK) {
        reasons.push("nothing is set aside that could be put back");
    }
    reasons.join(", and ")
}

pub(super) const PUT_BACK: &str = "--put-back";

pub(super) fn report(plan: &Plan<Seen>, all: &Outcomes, again: Next) -> Report {
    let Outcomes { done, moved, files, left, exported_in, .. } = all;
    let deleted: u64 = done.iter().map(|done| done.deleted).sum();
    let remaining: u64 = done.iter().map(|done| done.remaining).sum();
    let took_over = done.iter().any(|done| done.id == GUIDE_ARCHIVE.id);
    let nothing =
        deleted == 0 && remaining + left == 0 && files.is_empty() && moved.is_empty() && !took_over;
    let none_moved = !all.set_up
        && deleted == 0
        && !took_over
        && files.is_empty()
        && moved.iter().all(|moved| moved.rows == 0);
    let mut report = Report::new(match nothing || remaining + left == 0 && none_moved {
        true => Outcome::NothingToDo,
        false => Outcome::Done,
    });
    report.findings.clone_from(&plan.findings);
    report.findings.extend(all.held.iter().cloned());
    for step in plan.steps.iter().filter(|step| step.id != "export" || !files.is_empty()) {
        let took = match done.iter().find(|done| done.id == step.id) {
            Some(done) => Some(done.duration_ms),
            None if step.id == "export" => u64::try_from(exported_in.as_millis()).ok(),
            None => None,
        };
        let in_vain = step.id == "orphans" && moved.iter().all(|moved| moved.rows == 0);
        let status = if in_vain { StepStatus::Skipped } else { StepStatus::Done };
        let mut result = step.result(status, took);
        if let Some(done) = done.iter().find(|done| done.id == step.id) {
            result.title = shown::title_of(done, &result.title);
        }
        if step.id == "orphans" {
            result.title = shown::orphans_title(moved, &result.title);
        }
        report.steps.push(result);
    }
    report.data = json!({
        "jobs": done, "remaining": remaining, "files": files, "remaining_export": left, "unfinished": plan.work.unfinished, "orphans": moved
    });
    report.body = if nothing {
        vec![Block::Text(format!("nothing to do: {}", what_is_not(&all.asked)))]
    } else {
        shown::results(done, moved, files, *left)
    };
    report.body.extend(plan.work.unfinished.iter().cloned().map(Block::Text));
    report.next = Some(if remaining + left == 0 { Next::run("markenmate status") } else { again });
    if moved.iter().any(|moved| moved.kept_as.is_some()) {
        report.undo = Some("markenmate cleanup orphans --put-back".into());
    }
    report
}
