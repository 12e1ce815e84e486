//! Consent for what is done on this machine, without a server.

use crate::context::Context;
use crate::failure::Failure;
use crate::plan::Plan;
use crate::report::Report;
use crate::settings::Consent;

use super::address::Address;
use super::{check_phrase, consent, dry_run, nothing_to_do};

/// The plan where it is to be carried out; else how the command ends without. `phrase`: what
/// `--confirm` is compared with.
///
/// # Errors
/// The end: shown, nothing to do, refused.
pub async fn agreed<W>(
    cx: &Context,
    phrase: &str,
    plan: Plan<W>,
) -> Result<Plan<W>, Result<Report, Failure>> {
    if let Consent::Confirm(given) = &cx.settings.consent {
        check_phrase(given, phrase).map_err(Err)?;
    }
    if cx.settings.dry_run {
        return Err(Ok(dry_run(&plan)));
    }
    if plan.steps.is_empty() {
        return Err(Ok(nothing_to_do(plan)));
    }
    match consent(cx, phrase, &plan).await.map_err(Err)? {
        None => Ok(plan),
        Some(_) => Err(Err(Failure::refused("not confirmed; nothing was changed"))),
    }
}

/// How it ended, with commands to paste that name the database where the command line did.
///
/// # Errors
/// The same.
pub fn addressed(cx: &Context, result: Result<Report, Failure>) -> Result<Report, Failure> {
    match Address::unconnected(cx) {
        None => result,
        Some(address) => address.result(result),
    }
}
