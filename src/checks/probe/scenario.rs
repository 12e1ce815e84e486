//! A probe's steps, as its `.sql` file has them: a comment before each statement says what is expected.

use serde::Serialize;

/// What is expected of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// It succeeds, and the next steps stand on it.
    Kept,
    /// The same, where the guards have a gate.
    Gate,
    /// It succeeds and finds its row; anything else is a finding.
    Let { subject: &'static str },
    /// What cannot be tried here: the catalogue has one row for it.
    Seen { subject: &'static str },
    /// It is refused with one of these SQLSTATEs and in these words.
    Refused { states: &'static str, words: &'static str, subject: &'static str },
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) expected: Expected,
    pub(super) sql: String,
    /// What it is let through for all the same: somebody came in between, and all is tried again.
    pub(super) unless: Option<String>,
    /// On which condition it is run at all.
    pub(super) only: Option<String>,
}

/// What the server is told of a step.
#[derive(Serialize)]
pub(super) struct Wire<'a> {
    kind: &'static str,
    sql: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unless: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    only: Option<&'a str>,
}

impl Step {
    pub(super) fn wire(&self) -> Wire<'_> {
        let kind = match self.expected {
            Expected::Kept | Expected::Let { .. } | Expected::Seen { .. } => "keep",
            Expected::Gate => "gate",
            Expected::Refused { .. } => "try",
        };
        let (unless, only) = (self.unless.as_deref(), self.only.as_deref());
        Wire { kind, sql: &self.sql, unless, only }
    }
}

/// Reads a file; `fill` puts the probe's own names in.
pub(super) fn steps(file: &'static str, fill: impl Fn(&str) -> String) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in file.lines() {
        if let Some(step) = steps.last_mut() {
            if let Some(sql) = line.strip_prefix("-- unless ") {
                step.unless = Some(fill(sql));
                continue;
            }
            if let Some(sql) = line.strip_prefix("-- only ") {
                step.only = Some(fill(sql));
                continue;
            }
        }
        match line.strip_prefix("-- ").and_then(expected) {
            Some(expected) => {
                steps.push(Step { expected, sql: String::new(), unless: None, only: None })
            }
            None => {
                if let Some(step) = steps.last_mut() {
                    step.sql.push_str(&fill(line));
                    step.sql.push('\n');
                }
            }
        }
    }
    steps
}

fn expected(line: &'static str) -> Option<Expected> {
    let mut parts = line.split('|').map(str::trim);
    let head = parts.next()?;
    match (head.split_once(' '), head) {
        (None, "keep") => Some(Expected::Kept),
        (None, "gate") => Some(Expected::Gate),
        (None, "see") => Some(Expected::Seen { subject: parts.next()? }),
        (None, "let") => Some(Expected::Let { subject: parts.next()? }),
        (Some(("try", states)), _) => {
            Some(Expected::Refused { states, words: parts.next()?, subject: parts.next()? })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_says_what_is_expected_of_a_statement() {
        let file = "-- keep\nINSERT %A%\n  INTO t\n-- gate\nSELECT 1\n-- let | this\nX\n\
                    -- try MM101 MM103 || that\nY\n-- try 40001 | Words | it\nZ\n-- unless SELECT %A%\n\
                    -- see | it\n-- only SELECT 2\nW\n";
        let steps = steps(file, |line| line.replace("%A%", "'a'"));
        let refused = |states, words, subject| Expected::Refused { states, words, subject };
        let expected = [
            (Expected::Kept, "INSERT 'a'\n  INTO t\n"),
            (Expected::Gate, "SELECT 1\n"),
            (Expected::Let { subject: "this" }, "X\n"),
            (refused("MM101 MM103", "", "that"), "Y\n"),
            (refused("40001", "Words", "it"), "Z\n"),
            (Expected::Seen { subject: "it" }, "W\n"),
        ];
        let seen: Vec<_> = steps.iter().map(|s| (s.expected, s.sql.as_str())).collect();
        assert_eq!(seen, expected);
        let unless: Vec<_> = steps.iter().filter_map(|step| step.unless.as_deref()).collect();
        assert_eq!(unless, ["SELECT 'a'"]);
        assert_eq!(steps[5].only.as_deref(), Some("SELECT 2"));
    }
}
