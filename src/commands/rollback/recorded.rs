//! A restore's row in the operator ledger: of the database that has the name now, as the one that was
//! live takes its own ledger along.

use serde_json::json;

use crate::backup::restore::Source;
use crate::backup::swap::Swapped;
use crate::context::Context;
use crate::db::ledger::{self, Head, Record};
use crate::db::session::{Mode, Session};
use crate::failure::Failure;
use crate::report::{Finding, Severity};

/// Writes it; it names both heads: where the ledger of the database that went away ended, and where the
/// restored one's did. What could not be written is said: the restore has taken place.
pub(super) async fn record(
    cx: &Context,
    session: &Session,
    source: &Source,
    swapped: &Swapped,
    went: Option<Head>,
) -> Option<Finding> {
    let why = match append(cx, session, source, swapped, went.as_ref()).await {
        Ok(Some(_)) => return None,
        Ok(None) => "it has no operator ledger, or this role may not write it".to_owned(),
        Err(failure) => failure.to_string(),
    };
    let ended = went.map_or_else(String::new, |head| format!("; the one before ended with {head}"));
    Some(Finding {
        id: "ledger".into(),
        severity: Severity::Warning,
        title: "The restore is not in the operator ledger".into(),
        subject: "the restored database".into(),
        detail: format!("{why}{ended}"),
        remedy: "keep this output; markenmate migrate begins a ledger where there is none".into(),
    })
}

async fn append(
    cx: &Context,
    before: &Session,
    source: &Source,
    swapped: &Swapped,
    went: Option<&Head>,
) -> Result<Option<Head>, Failure> {
    const WHAT: &str = "cannot write the restore into the operator ledger";
    // The name leads to the other database now.
    let session = Session::open(&before.endpoint, &cx.settings, &cx.interrupt).await?;
    let came = ledger::head(&session).await?;
    let detail = json!({
        "kept_as": swapped.kept_as,
        "head_before": went.map(ToString::to_string),
        "head_restored": came.map(|head| head.to_string()),
    });
    let (subject, detail) = (source.path().display().to_string(), detail.to_string());
    let record = Record {
        command: "rollback --restore",
        subject: Some(&subject),
        outcome: "done",
        detail: Some(&detail),
    };
    session.begin_within(Mode::Write, session.timeouts(), WHAT, "").await?;
    let written = ledger::append(&session, &cx.origin(), &record).await;
    match &written {
        Ok(Some(_)) => session.commit(WHAT, "COMMIT").await.map(drop)?,
        _ => session.end().await,
    }
    written
}
