//! The only place that knows how results look.

use crate::console::Console;
use crate::context::Context;
use crate::failure::{Ending, Failure};
use crate::report::Outcome;
use crate::settings::Format;

pub mod csv;
pub mod github;
pub mod human;
mod json;
pub mod junit;
pub mod prometheus;

/// Shows how a command ended and returns the exit code.
pub fn show(cx: &Context, command: &str, ending: &Ending) -> u8 {
    let code = match &ending.result {
        Ok(report) => report.exit_code(),
        Err(failure) => failure.kind.exit_code(),
    };
    let printed = match (cx.settings.format, &ending.result) {
        (Format::Json, _) => {
            let document = json::Document::new(cx, command, ending, code);
            cx.console.print(&document.to_text())
        }
        (Format::Human, Ok(report)) => cx.console.print(&human::report(report, &cx.console)),
        (Format::Human, Err(failure)) => {
            // What was asked for, as far as it is there, is no talk: it goes through a pipe.
            let seen = human::seen(failure, &cx.console);
            let printed = if seen.is_empty() { Ok(()) } else { cx.console.print(&seen) };
            cx.console.insist_rendered(&human::failure(failure));
            printed
        }
    };
    match printed {
        Ok(()) => code,
        Err(mut failure) => {
            if ending.result.as_ref().is_ok_and(|report| report.outcome == Outcome::Done) {
                failure = failure.hint("the work itself is done: only the report was lost");
            }
            cx.console.insist_rendered(&human::failure(&failure));
            failure.kind.exit_code()
        }
    }
}

/// Shows a failure from before there was a context: a wrong command line.
pub fn show_early(console: &Console, format: Format, command: &str, failure: &Failure) -> u8 {
    match format {
        Format::Json => drop(console.print(&json::early(command, failure))),
        Format::Human => console.insist_rendered(&human::failure(failure)),
    }
    failure.kind.exit_code()
}
