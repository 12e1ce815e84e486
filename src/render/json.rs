//! The JSON document: one a run, also on failure. Its shape is a promise to scripts.

use std::sync::LazyLock;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::context::Context;
use crate::failure::{Ending, Failure};
use crate::report::{Finding, Outcome, StepResult, Target};

/// The document of one run.
#[derive(Serialize)]
pub struct Document<'a> {
    schema: u8,
    tool_version: &'static str,
    run_id: String,
    command: &'a str,
    dry_run: bool,
    outcome: Outcome,
    exit_code: u8,
    target: Option<&'a Target>,
    steps: &'a [StepResult],
    findings: &'a [Finding],
    data: &'a Value,
    next: Option<&'a str>,
    undo: Option<&'a str>,
    error: Option<Error<'a>>,
    started_at: String,
    finished_at: String,
}

#[derive(Serialize)]
struct Error<'a> {
    kind: &'static str,
    message: &'a str,
    causes: &'a [String],
    sqlstate: Option<&'a str>,
    hints: &'a [String],
}

impl<'a> From<&'a Failure> for Error<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self {
            kind: failure.kind.word(),
            message: &failure.message,
            causes: &failure.causes,
            sqlstate: failure.sqlstate.as_deref(),
            hints: &failure.hints,
        }
    }
}

static NOTHING: LazyLock<Value> = LazyLock::new(|| Value::Object(serde_json::Map::new()));

impl<'a> Document<'a> {
    /// Of a run that had a context.
    pub fn new(cx: &Context, command: &'a str, ending: &'a Ending, exit_code: u8) -> Self {
        let mut document = Self::empty(command, exit_code);
        document.run_id = cx.run_id.to_string();
        document.dry_run = cx.settings.dry_run;
        document.started_at = stamp(cx.started_at);
        document.target = ending.target.as_ref();
        match &ending.result {
            Ok(report) => {
                document.outcome = report.outcome;
                document.steps = &report.steps;
                document.findings = &report.findings;
                document.data = &report.data;
                document.next = report.next.as_ref().map(|next| next.command.as_str());
                document.undo = report.undo.as_deref();
            }
            Err(failure) => document.fail(failure),
        }
        document
    }

    fn empty(command: &'a str, exit_code: u8) -> Self {
        let now = stamp(Utc::now());
        Self {
            schema: 1,
            tool_version: env!("CARGO_PKG_VERSION"),
            run_id: String::new(),
            command,
            dry_run: false,
            outcome: Outcome::Failed,
            exit_code,
            target: None,
            steps: &[],
            findings: &[],
            data: &NOTHING,
            next: None,
            undo: None,
            error: None,
            started_at: now.clone(),
            finished_at: now,
        }
    }

    fn fail(&mut self, failure: &'a Failure) {
        self.outcome = failure.kind.outcome();
        self.steps = failure.steps.as_deref().map_or(&[], |steps| steps.0.as_slice());
        self.findings = &failure.findings;
        self.data = failure.data.as_ref().unwrap_or(&NOTHING);
        self.next = failure.next.as_deref();
        self.error = Some(Error::from(failure));
    }

    /// The document and a line break.
    pub fn to_text(&self) -> String {
        // Strings, numbers and maps with string keys: nothing here can fail to serialize.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// The document of a run that ended before it had a context.
pub fn early(command: &str, failure: &Failure) -> String {
    let mut document = Document::empty(command, failure.kind.exit_code());
    document.run_id = uuid::Uuid::new_v4().to_string();
    document.fail(failure);
    document.to_text()
}

fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
