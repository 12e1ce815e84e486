//! What went wrong, and the one table of exit codes.

use std::fmt;

use crate::report::{Block, Finding, Outcome, Report, StepResult, Target};

/// What sort of failure this is; it alone decides exit code and outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command line or a setting is wrong.
    Usage,
    /// A guard, a precondition, a missing privilege or missing consent. Nothing was changed.
    Refused,
    /// The server cannot be reached, does not know us, or is not trusted.
    Connection,
    /// Some of the work was committed, some not.
    Partial,
    /// Whether the work was committed could not be found out.
    Unknown,
    /// A lock was not to be had in time. Nothing was changed.
    Busy,
    /// A signal ended the work; the statement on the server was cancelled.
    Interrupted,
    /// Anything else. Nothing is half-done.
    Unexpected,
}

impl Kind {
    /// The exit code, the outcome in JSON, and the word for `error.kind`.
    const fn row(self) -> (u8, Outcome, &'static str) {
        match self {
            Self::Unexpected => (1, Outcome::Failed, "unexpected"),
            Self::Usage => (2, Outcome::Failed, "usage"),
            Self::Refused => (4, Outcome::Refused, "refused"),
            Self::Connection => (5, Outcome::Failed, "connection"),
            Self::Partial => (6, Outcome::Partial, "partial"),
            Self::Unknown => (6, Outcome::Unknown, "unknown"),
            Self::Busy => (7, Outcome::Busy, "busy"),
            Self::Interrupted => (130, Outcome::Interrupted, "interrupted"),
        }
    }

    /// The process's exit code.
    pub const fn exit_code(self) -> u8 {
        self.row().0
    }

    /// The `outcome` of the JSON document.
    pub const fn outcome(self) -> Outcome {
        self.row().1
    }

    /// The `error.kind` of the JSON document.
    pub const fn word(self) -> &'static str {
        self.row().2
    }
}

/// Steps of a plan that did not come to its end; apart, as hardly any failure has some.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps(pub Vec<StepResult>);

/// A failure as the operator gets it: what, why, and what to type next.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Decides the exit code.
    pub kind: Kind,
    /// What could not be done.
    pub message: String,
    /// Why, outermost cause first.
    pub causes: Vec<String>,
    /// The server's SQLSTATE where one was given.
    pub sqlstate: Option<String>,
    /// What to type next.
    pub hints: Vec<String>,
    /// What was found and led to a refusal.
    pub findings: Vec<Finding>,
    /// What became of the plan's steps, where some were begun.
    pub steps: Option<Box<Steps>>,
    /// The command's `data`, where a failure has some.
    pub data: Option<serde_json::Value>,
    /// What is seen all the same, before the message.
    pub body: Vec<Block>,
    /// A command to paste once the reason is gone.
    pub next: Option<String>,
}

impl Failure {
    /// A failure of `kind` that says `message`.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            causes: Vec::new(),
            sqlstate: None,
            hints: Vec::new(),
            findings: Vec::new(),
            steps: None,
            data: None,
            body: Vec::new(),
            next: None,
        }
    }

    /// The command line or a setting is wrong (exit 2).
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// A precondition does not hold (exit 4).
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, message)
    }

    /// No connection (exit 5).
    pub fn connection(message: impl Into<String>) -> Self {
        Self::new(Kind::Connection, message)
    }

    /// Anything else (exit 1).
    pub fn unexpected(message: impl Into<String>) -> Self {
        Self::new(Kind::Unexpected, message)
    }

    /// Adds a reason below the ones there are.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Adds the whole chain of an error's sources as reasons.
    #[must_use]
    pub fn because_of(mut self, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            if self.causes.last() != Some(&text) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Says what was being attempted, with the present message as its cause.
    #[must_use]
    pub fn attempting(mut self, what: impl Into<String>) -> Self {
        let inner = std::mem::replace(&mut self.message, what.into());
        self.causes.insert(0, inner);
        self
    }

    /// Some of the work was done before it: nothing of it says otherwise any longer.
    #[must_use]
    pub fn after_changes(mut self) -> Self {
        const UNTOUCHED: &str = "nothing was changed";
        if self.kind != Kind::Interrupted {
            self.kind = Kind::Partial;
        }
        self.hints.retain(|hint| !hint.starts_with(UNTOUCHED));
        self.message = self.message.replace(&format!("; {UNTOUCHED}"), "");
        self
    }

    /// Adds what was found.
    #[must_use]
    pub fn with_findings(mut self, findings: Vec<Finding>) -> Self {
        self.findings.extend(findings);
        self
    }
}

/// How a command ended, and where it was at work.
#[derive(Debug, Clone)]
pub struct Ending {
    /// None: it never got to a server.
    pub target: Option<Target>,
    /// What came of it.
    pub result: Result<Report, Failure>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for cause in &self.causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_a_change_does_not_deny_it() {
        let failure = Failure::new(Kind::Busy, "in the way; nothing was changed")
            .hint("nothing was changed: run it again")
            .hint("wait")
            .after_changes();
        assert_eq!((failure.kind, failure.to_string()), (Kind::Partial, "in the way".into()));
        assert_eq!(failure.hints, ["wait"]);
    }

    #[test]
    fn attempting_keeps_the_cause() {
        let failure = Failure::refused("inner").because("deepest").attempting("outer");
        assert_eq!(failure.to_string(), "outer: inner: deepest");
        assert_eq!(failure.kind.exit_code(), 4);
    }
}
