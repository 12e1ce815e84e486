//! Consent: what a plan's risk asks for, on the command line or by asking.

use std::sync::Arc;

use super::answers::choices;
use crate::console::escape;
use crate::context::Context;
use crate::db::interrupt::interrupted;
use crate::db::session::Session;
use crate::failure::Failure;
use crate::plan::{Plan, Risk};
use crate::render;
use crate::settings::Consent;
use crate::tools::shell;

/// What an operator types to confirm: the database, and its host where that is another machine,
/// because development, staging and production are all called the same.
pub fn phrase_for(session: &Session) -> String {
    let database = &session.facts.database;
    if session.is_local { database.clone() } else { format!("{database}@{}", session.host) }
}

pub(super) fn check_phrase(given: &str, expected: &str) -> Result<(), Failure> {
    if given == expected {
        return Ok(());
    }
    Err(Failure::refused(format!("--confirm {given:?} does not name this database"))
        .because(format!("the database you are connected to is confirmed with {expected:?}"))
        .hint("look at the target line: is this the database you meant?"))
}

/// Whether consent was given on the command line. Refused where it was not, and nobody can be asked.
///
/// # Errors
/// Refused, with the flag that gives it.
pub fn can_consent(cx: &Context, risk: Risk, phrase: &str) -> Result<bool, Failure> {
    match (&cx.settings.consent, risk) {
        // `--confirm` was compared when the server's name for the database was known.
        (_, Risk::ReadOnly) | (Consent::Confirm(_), _) | (Consent::Yes, Risk::Additive) => Ok(true),
        (given, _) if !cx.console.is_interactive() => Err(no_consent(given, risk, phrase)),
        _ => Ok(false),
    }
}

/// Asks for what the plan's risk needs, with `phrase` as [`phrase_for`] has it. An answer that is
/// neither yes nor no is returned.
///
/// # Errors
/// Refused where it is not given.
pub async fn consent<W>(
    cx: &Context,
    phrase: &str,
    plan: &Plan<W>,
) -> Result<Option<String>, Failure> {
    let risk = plan.risk();
    if can_consent(cx, risk, phrase)? {
        return Ok(None);
    }
    cx.console.insist_rendered(&render::human::screen(plan, &cx.console));
    if risk == Risk::Destructive {
        let question = format!("{} Type {phrase} to go on", plan.question);
        let typed = asked(cx, move |console| console.ask(&question)).await?;
        return check_typed(&typed, phrase).map(|()| None);
    }
    let question = format!("{} [{}]", plan.question, choices(&plan.question));
    let typed = asked(cx, move |console| console.ask(&question)).await?;
    match typed.trim().to_lowercase().as_str() {
        "y" | "yes" | "j" | "ja" => Ok(None),
        other => Ok(Some(other.to_owned())),
    }
}

fn check_typed(typed: &str, phrase: &str) -> Result<(), Failure> {
    if typed.trim() == phrase {
        return Ok(());
    }
    Err(Failure::refused(format!("{} is not {phrase}; nothing was changed", escape(typed.trim()))))
}

fn no_consent(given: &Consent, risk: Risk, phrase: &str) -> Failure {
    let mut failure =
        Failure::refused("this needs your consent, and there is no terminal to ask on");
    if *given == Consent::Yes {
        failure = failure.because("--yes is not enough for what takes something away");
    }
    let failure = match risk {
        Risk::Destructive => failure.hint(format!("to consent: --confirm {}", shell::word(phrase))),
        _ => failure.hint("to consent: --yes"),
    };
    failure.hint("to see what would be done: --dry-run")
}

/// Asks on a thread of its own, so that a signal ends the waiting.
///
/// # Errors
/// What the asking ends in, or the signal.
pub async fn asked<T: Send + 'static>(
    cx: &Context,
    ask: impl FnOnce(&crate::console::Console) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let console = Arc::clone(&cx.console);
    let answer = tokio::task::spawn_blocking(move || ask(&console));
    tokio::select! {
        answer = answer => answer.unwrap_or_else(|e| Err(Failure::unexpected("cannot ask").because(e))),
        () = cx.interrupt.raised(1) => {
            cx.console.restore();
            Err(interrupted())
        }
    }
}
