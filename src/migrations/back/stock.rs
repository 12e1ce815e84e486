//! What rollbacks keep in `markenmate_quarantine`, and dropping it.

use serde::Serialize;

use super::parts::name;
use crate::context::Context;
use crate::db::foreign;
use crate::db::identifiers::{literal, quoted};
use crate::db::ledger::{self, Record};
use crate::db::patience::{Attempt, Setback};
use crate::db::session::{Mode, Rows, Session};
use crate::failure::Failure;
use crate::migrations::run;

/// A table that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// `markenmate_quarantine.audit_log_…`
    pub name: String,
    /// What it was; none: nothing is known of it.
    pub what: Option<String>,
    /// `kept`, `returning` or `left`; `lost`: it is registered, and somebody dropped it.
    pub state: String,
    /// Since when, UTC, to the minute.
    pub since: Option<String>,
    /// Its rows.
    pub rows: u64,
    /// On disk.
    pub bytes: u64,
}

/// What is registered and is not there.
pub const LOST: &str = "lost";

/// Where they are.
pub const SCHEMA: &str = "markenmate_quarantine.";

const WHAT: &str = "cannot look at what is set aside";

/// All of it; nothing where there is no register. `role` makes us the owner, if it takes one.
///
/// # Errors
/// The server's.
pub async fn stock(session: &Session, role: &str) -> Result<Vec<Kept>, Failure> {
    let sql = format!("{role}{};{}", foreign::plain(), include_str!("stock.sql"));
    let sets = session.once(Mode::Read, WHAT, &sql).await?;
    let Some(rows) = sets.last().filter(|rows| !rows.is_empty()) else { return Ok(Vec::new()) };
    let count = |row: &tokio_postgres::SimpleQueryRow| match row.get("state") {
        Some(LOST) => "SELECT 0".to_owned(),
        _ => {
            let name = quoted(row.get("name").unwrap_or_default());
            format!("SELECT count(*) FROM markenmate_quarantine.{name}")
        }
    };
    let counts = rows.iter().map(count);
    let counts = counts.collect::<Vec<_>>().join(";");
    let sql = format!("{role}SET LOCAL statement_timeout = 0;{counts}");
    let counted = session.once(Mode::Read, WHAT, &sql).await?;
    let count =
        |set: &Rows| set.first().and_then(|row| row.get(0)?.parse().ok()).unwrap_or_default();
    let kept = |(row, set): (&tokio_postgres::SimpleQueryRow, &Rows)| Kept {
        name: format!("{SCHEMA}{}", row.get("name").unwrap_or_default()),
        what: row.get("of_table").map(|table| name(table, row.get("of_column"))),
        state: row.get("state").unwrap_or_default().to_owned(),
        since: row.get("since").map(str::to_owned),
        rows: count(set),
        bytes: row.get("bytes").and_then(|bytes| bytes.parse().ok()).unwrap_or_default(),
    };
    Ok(rows.iter().zip(&counted).map(kept).collect())
}

/// Drops these in one transaction, with their rows in the ledger.
///
/// # Errors
/// Busy, where another run is at work or somebody reads them; the server's, where something hangs on one.
pub async fn drop_all(
    cx: &Context,
    session: &Session,
    role: &str,
    kept: &[Kept],
    attempt: Attempt,
) -> Result<(), Setback> {
    match uncommitted(cx, session, role, kept, attempt).await {
        Ok(()) => Ok(session.commit(WHAT_DROP, "COMMIT").await.map(drop)?),
        Err(setback) => Err(run::given_up(session, setback).await),
    }
}

const WHAT_DROP: &str = "cannot drop what is set aside";

/// What is on its way back is not dropped from under it.
pub fn is_returning(one: &Kept) -> Failure {
    Failure::refused(format!("{} is on its way back: nothing was dropped", one.name))
        .hint("bring it back first: markenmate migrate")
}

async fn uncommitted(
    cx: &Context,
    session: &Session,
    role: &str,
    kept: &[Kept],
    attempt: Attempt,
) -> Result<(), Setback> {
    let survey = run::survey(session, attempt).await?;
    let returning = |one: &&Kept| {
        survey.kept.iter().any(|kept| {
            kept.returning && !kept.lost && one.name == format!("{SCHEMA}{}", kept.name)
        })
    };
    if let Some(one) = kept.iter().find(returning) {
        return Err(Setback::Fatal(is_returning(one)));
    }
    let mut sql = role.to_owned();
    for one in kept {
        let table = one.name.strip_prefix(SCHEMA).unwrap_or(&one.name);
        if one.state != LOST {
            sql.push_str(&format!("DROP TABLE markenmate_quarantine.{};", quoted(table)));
        }
        sql.push_str(&format!(
            "UPDATE markenmate.set_aside SET state = 'dropped', finished_at = now() WHERE name = {};",
            literal(table)
        ));
    }
    session.run(WHAT_DROP, &sql).await?;
    let detail = serde_json::to_string(kept)
        .map_err(|error| Failure::unexpected(WHAT_DROP).because(error))?;
    let record = Record {
        command: "cleanup set-aside",
        subject: None,
        outcome: "done",
        detail: Some(&detail),
    };
    ledger::append(session, &cx.origin(), &record).await?;
    Ok(())
}
