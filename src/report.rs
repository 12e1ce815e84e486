//! What a command found and did, free of how it will look.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a run ended. Words and exit codes are a promise to scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The work was done.
    Done,
    /// There was no work.
    NothingToDo,
    /// `--dry-run`: a plan exists and was shown.
    Planned,
    /// Something must be looked at.
    Findings,
    /// Refused before anything was changed.
    Refused,
    /// Some of the work was committed.
    Partial,
    /// Whether the work was committed is not known.
    Unknown,
    /// It failed.
    Failed,
    /// A lock was not to be had in time.
    Busy,
    /// A signal ended it.
    Interrupted,
}

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Should be looked at.
    Warning,
    /// Must be mended.
    Error,
}

/// Something that was looked for and seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The check's id, the same in every run.
    pub id: String,
    /// How much it weighs.
    pub severity: Severity,
    /// What the check is about.
    pub title: String,
    /// Which object or row.
    pub subject: String,
    /// What is wrong with it.
    pub detail: String,
    /// The command or SQL that mends it.
    pub remedy: String,
}

/// What became of one step of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepStatus {
    /// Carried out.
    Done,
    /// Not needed, or not possible here.
    Skipped,
    /// Tried in vain.
    Failed,
    /// Would be carried out.
    Planned,
}

/// One step and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepResult {
    /// The step's id, the same in every run.
    pub id: String,
    /// What the step does.
    pub title: String,
    /// What became of it.
    pub status: StepStatus,
    /// Wall time in milliseconds, where it was taken.
    pub duration_ms: Option<u64>,
    /// More about it.
    pub detail: Option<String>,
}

/// A piece of a report for people. Every string is one line of untrusted text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// The title of what follows.
    Heading(String),
    /// One line.
    Text(String),
    /// Names and their values.
    Facts(Vec<(String, String)>),
    /// Rows under column titles.
    Table {
        /// Column titles.
        columns: Vec<String>,
        /// Cells, a row each, as many as there are titles.
        rows: Vec<Vec<String>>,
    },
    /// The report's findings, here instead of at the end.
    Findings,
    /// Several lines to be copied, SQL mostly. Line breaks are kept.
    Code(String),
}

/// The command to run next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// What people do before it.
    pub first: Option<String>,
    /// To paste.
    pub command: String,
}

impl Next {
    /// A command that can be run at once.
    pub fn run(command: impl Into<String>) -> Self {
        Self { first: None, command: command.into() }
    }

    /// A command that makes sense once this was done.
    pub fn after(first: impl Into<String>, command: impl Into<String>) -> Self {
        Self { first: Some(first.into()), command: command.into() }
    }
}

impl std::fmt::Display for Next {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.first {
            None => f.write_str(&self.command),
            Some(first) => write!(f, "{first}, then: {}", self.command),
        }
    }
}

/// The result of a command.
#[derive(Debug, Clone)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// What was done.
    pub steps: Vec<StepResult>,
    /// What was seen.
    pub findings: Vec<Finding>,
    /// The command's own part of the JSON document.
    pub data: Value,
    /// The command's own part for people.
    pub body: Vec<Block>,
    /// What is long and looked up rather than read, after all the rest.
    pub appendix: Vec<Block>,
    /// The command to run next.
    pub next: Option<Next>,
    /// The exact command that undoes what was done.
    pub undo: Option<String>,
}

impl Report {
    /// An empty report that ended with `outcome`.
    pub fn new(outcome: Outcome) -> Self {
        Self {
            outcome,
            steps: Vec::new(),
            findings: Vec::new(),
            data: Value::Object(serde_json::Map::new()),
            body: Vec::new(),
            appendix: Vec::new(),
            next: None,
            undo: None,
        }
    }

    /// The process's exit code. What did not end well is a `Failure` and has its own.
    pub const fn exit_code(&self) -> u8 {
        match self.outcome {
            Outcome::Findings => 3,
            _ => 0,
        }
    }
}

/// Where a command was at work, as the JSON document and the target line have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Target {
    /// Host, or the folder of the socket.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The database's name as the server has it.
    pub database: String,
    /// The role.
    pub user: String,
    /// As the server prints it.
    pub server_version: String,
    /// Names the cluster.
    pub system_identifier: Option<String>,
    /// `primary` or `standby`.
    pub role: &'static str,
    /// TLS.
    pub encrypted: bool,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let version = self.server_version.split(' ').next().unwrap_or_default();
        write!(
            f,
            "{}@{}:{} as {} (PostgreSQL {version}, {})",
            self.database, self.host, self.port, self.user, self.role
        )
    }
}
