//! Commands that are printed to be pasted.

use serde_json::Value;

use crate::context::Context;
use crate::db::session::Session;
use crate::failure::Failure;
use crate::plan::Plan;
use crate::report::{Block, Finding, Next, Report};
use crate::settings::{Endpoint, Source};

/// The commands that work on a database. What `util` prints says by itself which one it means.
pub const COMMANDS: [&str; 10] = [
    "backup",
    "migrate",
    "set-master-admin",
    "verify",
    "rollback",
    "status",
    "rehearse",
    "admin",
    "cleanup",
    "stats",
];

/// What a printed command must repeat, because the command line said it: else the paste would go to
/// another database.
pub(super) struct Address(String);

impl Address {
    /// None where a bare command finds the same database.
    pub(super) fn of(cx: &Context, session: &Session) -> Option<Self> {
        let typed = cx.endpoint.as_ref().is_ok_and(is_typed);
        let conninfo = session.login.conninfo.replace('\'', "'\\''");
        typed.then(|| Self(format!("-d '{conninfo}'")))
    }

    /// The same, where no server was asked.
    pub(super) fn unconnected(cx: &Context) -> Option<Self> {
        let endpoint = cx.endpoint.as_ref().ok().filter(|endpoint| is_typed(endpoint))?;
        Some(Self(format!("-d '{}'", endpoint.keepable.uri)))
    }

    /// In what is shown before the question.
    pub(super) fn plan<W>(&self, mut plan: Plan<W>) -> Plan<W> {
        self.findings(&mut plan.findings);
        self.blocks(&mut plan.screen);
        self.data(&mut plan.data);
        plan.next = plan.next.map(|next| self.next(next));
        plan
    }

    /// In how a run ended.
    pub(super) fn result(&self, result: Result<Report, Failure>) -> Result<Report, Failure> {
        match result {
            Ok(mut report) => {
                self.findings(&mut report.findings);
                self.blocks(&mut report.body);
                self.data(&mut report.data);
                report.next = report.next.map(|next| self.next(next));
                report.undo = report.undo.map(|undo| self.line(&undo));
                Ok(report)
            }
            Err(mut failure) => {
                self.findings(&mut failure.findings);
                self.blocks(&mut failure.body);
                failure.data.iter_mut().for_each(|data| self.data(data));
                failure.next = failure.next.map(|next| self.text(&next));
                failure.hints.iter_mut().for_each(|hint| *hint = self.text(hint));
                Err(failure)
            }
        }
    }

    /// Sentences, and the facts that have a command in them; cells and code stay as they are.
    fn blocks(&self, blocks: &mut [Block]) {
        for block in blocks {
            match block {
                Block::Text(text) => *text = self.text(text),
                Block::Facts(facts) => {
                    facts.iter_mut().for_each(|(name, value)| match name.as_str() {
                        "the way back" => *value = self.line(value),
                        "state" => *value = self.text(value),
                        name if name.starts_with("last cleanup of ") => *value = self.text(value),
                        _ => {}
                    })
                }
                _ => {}
            }
        }
    }

    /// The members that are commands, or sentences with one.
    fn data(&self, data: &mut Value) {
        for name in ["next", "unfinished"] {
            match data.get_mut(name) {
                Some(Value::String(text)) => *text = self.text(text),
                Some(Value::Array(texts)) => {
                    for text in texts {
                        if let Value::String(text) = text {
                            *text = self.text(text);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn next(&self, next: Next) -> Next {
        Next { command: self.text(&next.command), ..next }
    }

    fn findings(&self, findings: &mut [Finding]) {
        findings.iter_mut().for_each(|finding| finding.remedy = self.text(&finding.remedy));
    }

    /// A command from its first word on. What else stands in it is quoted, and stays as it is.
    fn line(&self, line: &str) -> String {
        let rest = line.strip_prefix("markenmate ");
        match rest.filter(|rest| COMMANDS.contains(&rest.split(' ').next().unwrap_or_default())) {
            Some(rest) => format!("markenmate {} {rest}", self.0),
            None => line.to_owned(),
        }
    }

    /// Twice is as good as once.
    fn text(&self, text: &str) -> String {
        COMMANDS.iter().fold(text.to_owned(), |text, command| {
            let bare = format!("markenmate {command}");
            text.replace(&bare, &format!("markenmate {} {command}", self.0))
        })
    }
}

/// The command line names more than a password.
fn is_typed(endpoint: &Endpoint) -> bool {
    endpoint.origins.iter().any(|o| o.source == Source::Flag && o.name != "password")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_command_names_the_database_once() {
        let address = Address("-d 'host=b'".into());
        let once = address.text("mend it, then: markenmate status; markenmate util down 2");
        assert_eq!(once, "mend it, then: markenmate -d 'host=b' status; markenmate util down 2");
        assert_eq!(address.text(&once), once);
    }

    #[test]
    fn in_a_command_to_be_pasted_no_quoted_word_is_changed() {
        let address = Address("-d 'host=b'".into());
        let undo = "markenmate admin demote --reason 'after markenmate migrate' -- 7";
        let named = "markenmate -d 'host=b' admin demote --reason 'after markenmate migrate' -- 7";
        assert_eq!(address.line(undo), named);
        assert_eq!(address.line(named), named);
        assert_eq!(address.line("markenmate util down 2"), "markenmate util down 2");
    }

    #[test]
    fn every_command_that_has_a_database_is_known() {
        let all = crate::cli::command();
        let apart = ["demo", "util"];
        let names: Vec<_> = all.get_subcommands().map(|c| c.get_name()).collect();
        let wanted: Vec<_> = names.into_iter().filter(|name| !apart.contains(name)).collect();
        assert_eq!(wanted, COMMANDS);
    }
}
