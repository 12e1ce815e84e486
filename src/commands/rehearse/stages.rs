//! The stages of a rehearsal, each timed, and what became of them.

use std::time::{Duration, Instant};

use crate::backup::certificate::Stage;
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::report::{Finding, Severity, StepResult, StepStatus};

/// The ids and what they do, in their order.
pub(super) const ALL: [(&str, &str); 11] = [
    (BACKUP, "take the backup, or read all of it"),
    (RESTORE, "restore it, and compare it with its manifest"),
    (PREFLIGHT, "look where it stands and what migrate would do, and digest every row"),
    (MIGRATE, "migrate to the latest version"),
    (MASTER, "designate the master admin"),
    (VERIFY, "verify, and try the guards"),
    (USE, "write as the new application does, and digest every row once more"),
    (ROLLBACK, "roll back to version 1"),
    (COMPARE, "compare schema and every table's checksum with the start"),
    (AGAIN, "migrate once more, and bring back what was set aside"),
    (COMPARE_AGAIN, "compare schema, rows, flags, versions and sequences with the first time"),
];

pub(super) const BACKUP: &str = "backup";
pub(super) const RESTORE: &str = "restore";
pub(super) const PREFLIGHT: &str = "preflight";
pub(super) const MIGRATE: &str = "migrate";
pub(super) const MASTER: &str = "set-master-admin";
pub(super) const VERIFY: &str = "verify";
pub(super) const USE: &str = "use";
pub(super) const ROLLBACK: &str = "rollback";
pub(super) const COMPARE: &str = "compare";
pub(super) const AGAIN: &str = "migrate-again";
pub(super) const COMPARE_AGAIN: &str = "compare-again";

/// What a stage has to say for itself.
pub(super) struct Made<T> {
    pub(super) value: T,
    pub(super) detail: Option<String>,
    /// There was nothing to do.
    pub(super) skipped: bool,
    pub(super) locked: Option<Duration>,
}

impl<T> Made<T> {
    pub(super) fn of(value: T) -> Self {
        Self { value, detail: None, skipped: false, locked: None }
    }

    pub(super) fn saying(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    pub(super) fn locking(self, locked: Option<Duration>) -> Self {
        Self { locked, ..self }
    }

    pub(super) fn skipped(self) -> Self {
        Self { skipped: true, ..self }
    }
}

/// All of them.
pub(super) struct Stages<'a> {
    cx: &'a Context,
    all: Vec<Stage>,
}

impl<'a> Stages<'a> {
    pub(super) fn new(cx: &'a Context) -> Self {
        let stage = |(id, title): (&str, &str)| Stage {
            id: id.into(),
            title: title.into(),
            status: StepStatus::Skipped,
            duration_ms: None,
            locked_ms: None,
            detail: None,
        };
        Self { cx, all: ALL.into_iter().map(stage).collect() }
    }

    /// Carries one out.
    pub(super) async fn run<T>(
        &mut self,
        id: &str,
        work: impl Future<Output = Result<Made<T>, Failure>>,
    ) -> Result<T, Failure> {
        self.cx.interrupt.check()?;
        let Some(stage) = self.all.iter_mut().find(|stage| stage.id == id) else {
            return work.await.map(|made| made.value);
        };
        self.cx.console.say(&format!("rehearsing: {}", stage.title));
        let began = Instant::now();
        let result = work.await;
        stage.duration_ms = u64::try_from(began.elapsed().as_millis()).ok();
        match result {
            Ok(made) => {
                stage.status = if made.skipped { StepStatus::Skipped } else { StepStatus::Done };
                stage.detail = made.detail;
                stage.locked_ms = made.locked.map(milliseconds);
                Ok(made.value)
            }
            Err(failure) => {
                stage.status = StepStatus::Failed;
                stage.detail = Some(failure.to_string());
                Err(failure)
            }
        }
    }

    /// The one that failed.
    pub(super) fn failed(&self) -> Option<&Stage> {
        self.all.iter().find(|stage| stage.status == StepStatus::Failed)
    }

    pub(super) fn all(&self) -> &[Stage] {
        &self.all
    }

    /// For the report.
    pub(super) fn results(&self) -> Vec<StepResult> {
        let result = |stage: &Stage| StepResult {
            id: stage.id.clone(),
            title: stage.title.clone(),
            status: stage.status,
            duration_ms: stage.duration_ms,
            detail: match (stage.locked_ms, &stage.detail) {
                (Some(ms), Some(detail)) => Some(format!("{detail}; tables locked for {ms} ms")),
                (Some(ms), None) => Some(format!("tables locked for {ms} ms")),
                (None, detail) => detail.clone(),
            },
        };
        self.all.iter().map(result).collect()
    }
}

/// To a tenth.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

/// Whether it says no to the way, and not that it could not be gone.
pub(super) fn is_verdict(failure: &Failure) -> bool {
    // No room, no memory, a broken disk: of the server it was tried on.
    if failure
        .sqlstate
        .as_deref()
        .is_some_and(|code| code.starts_with("53") || code.starts_with("58"))
    {
        return false;
    }
    matches!(failure.kind, Kind::Refused | Kind::Unexpected | Kind::Partial | Kind::Unknown)
}

/// What a stage failed with, as findings.
pub(super) fn findings(stage: &str, failure: Failure) -> Vec<Finding> {
    let hints = failure.hints.join("; ");
    let mut found = failure.findings.clone();
    if found.is_empty() || !failure.causes.is_empty() {
        found.insert(
            0,
            Finding {
                id: "rehearsal".into(),
                severity: Severity::Error,
                title: format!("The rehearsal failed at {stage}"),
                subject: stage.into(),
                detail: failure.to_string(),
                remedy: if hints.is_empty() {
                    "mend what is named, then rehearse again".into()
                } else {
                    hints
                },
            },
        );
    }
    found
}
