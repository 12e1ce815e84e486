//! What a command would do, as data: `--dry-run` shows it, `execute` carries out the very same.

use serde_json::Value;

use crate::report::{Block, Finding, Next, StepResult, StepStatus};

/// What a step may cost; the highest in a plan decides which consent is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// Changes nothing.
    ReadOnly,
    /// Adds, and takes nothing away.
    Additive,
    /// Takes something away, or is done where it was hardly meant.
    Destructive,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The step's id, the same in every run.
    pub id: String,
    /// What the step does.
    pub title: String,
    /// What it may cost.
    pub risk: Risk,
    /// More about it: locks, sizes, names.
    pub detail: Option<String>,
    /// The SQL it runs, where it is SQL.
    pub sql: Option<String>,
}

impl Step {
    /// A step without detail or SQL.
    pub fn new(id: impl Into<String>, title: impl Into<String>, risk: Risk) -> Self {
        Self { id: id.into(), title: title.into(), risk, detail: None, sql: None }
    }

    /// What the step looks like in a report.
    pub fn result(&self, status: StepStatus, duration_ms: Option<u64>) -> StepResult {
        StepResult {
            id: self.id.clone(),
            title: self.title.clone(),
            status,
            duration_ms,
            detail: self.detail.clone(),
        }
    }
}

/// A plan: steps for people and machines, `work` for whoever carries it out.
#[derive(Debug, Clone)]
pub struct Plan<W> {
    /// What is to be done, in the command's own terms.
    pub work: W,
    /// What is to be done, step by step. Empty: nothing to do.
    pub steps: Vec<Step>,
    /// What the operator reads before the question.
    pub screen: Vec<Block>,
    /// What was seen while planning and does not stop it.
    pub findings: Vec<Finding>,
    /// The yes/no question.
    pub question: String,
    /// It is asked by the work itself, when all that comes before it is done and seen.
    pub asks_later: bool,
    /// The command's part of the JSON document of a dry run, or where there is nothing to do.
    pub data: Value,
    /// The command to run next, where there is nothing to do.
    pub next: Option<Next>,
}

impl<W> Plan<W> {
    /// The highest risk of any step.
    pub fn risk(&self) -> Risk {
        self.steps.iter().map(|step| step.risk).max().unwrap_or(Risk::ReadOnly)
    }
}
