//! What became of one check.

use serde::Serialize;

use super::registry::Check;
use crate::report::{Finding, Severity};

/// A check's result in one word; the words are a promise to scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It holds.
    Pass,
    /// It found what must be mended.
    Fail,
    /// It found what should be looked at.
    Warn,
    /// It could not be judged here.
    Skipped,
}

impl Status {
    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Warn => "warn",
            Self::Skipped => "skipped",
        }
    }
}

/// One check and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Which check.
    pub check: &'static Check,
    /// In one word.
    pub status: Status,
    /// Why it was skipped.
    pub reason: Option<String>,
    /// It was skipped because the role may not look.
    pub denied: bool,
    /// What it found.
    pub findings: Vec<Finding>,
}

impl Verdict {
    /// Judged by what was found: the gravest finding decides.
    pub fn found(check: &'static Check, findings: Vec<Finding>) -> Self {
        let status = match findings.iter().map(|finding| finding.severity).max() {
            Some(Severity::Error) => Status::Fail,
            Some(Severity::Warning) => Status::Warn,
            Some(Severity::Info) | None => Status::Pass,
        };
        Self { check, status, reason: None, denied: false, findings }
    }

    /// Not judged.
    pub fn skipped(check: &'static Check, reason: impl Into<String>) -> Self {
        let reason = Some(reason.into());
        Self { check, status: Status::Skipped, reason, denied: false, findings: Vec::new() }
    }

    /// Not judged, because the role may not look.
    pub fn denied(check: &'static Check, reason: impl Into<String>) -> Self {
        Self { denied: true, ..Self::skipped(check, reason) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::registry;

    #[test]
    fn the_gravest_finding_decides() {
        let check = &registry::ALL[0];
        let with = |severities: &[Severity]| {
            let findings = severities.iter().map(|severity| Finding {
                severity: *severity,
                ..check.finding("s".into(), "d".into(), None)
            });
            Verdict::found(check, findings.collect()).status
        };
        assert_eq!(with(&[]), Status::Pass);
        assert_eq!(with(&[Severity::Info]), Status::Pass);
        assert_eq!(with(&[Severity::Warning, Severity::Info]), Status::Warn);
        assert_eq!(with(&[Severity::Warning, Severity::Error]), Status::Fail);
    }
}
