//! Rows that point to nothing: set aside in `markenmate_quarantine`, never just deleted, and put back from there.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::context::Context;
use crate::db::foreign::{self, Scope};
use crate::db::identifiers::literal;
use crate::db::ledger::{self, Record};
use crate::db::session::{Mode, Session};
use crate::failure::Failure;

/// Rows of a table that one key does not find a row for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Orphans {
    /// `public.ticket.user_id`
    pub subject: String,
    /// How many.
    pub rows: u64,
    /// The table, as SQL writes it.
    #[serde(skip)]
    child: String,
    /// Its bare name.
    #[serde(skip)]
    pub table: String,
    /// The condition on a row `c` of it.
    #[serde(skip)]
    condition: String,
    /// The columns that the key would have emptied; none: the row would have gone.
    pub emptied: Option<String>,
    #[serde(skip)]
    sets: Option<String>,
}

/// What went, or came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// `public.ticket`, or `public.ticket.closed_by_admin_id`
    pub what: String,
    /// Rows, or values.
    pub rows: u64,
    /// Where they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_as: Option<String>,
    /// What could not come back, and is there still.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<u64>,
    /// What keeps it there: `3: user_id finds no row in public."user"`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
    /// Of the table in `markenmate_quarantine`, where it comes back from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it was set aside, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// `WITH` and the keys, those that were lost among them.
const KEYS: &str = include_str!("../../db/keys.sql");

const WHAT: &str = "cannot see to rows that point to nothing";

/// Looks for them by `sql`, which `verify` asks as well.
///
/// # Errors
/// The server's.
pub async fn look(session: &Session, role: &str, sql: &str) -> Result<Vec<Orphans>, Failure> {
    let sets = session.once(Mode::Read, WHAT, &format!("{role}{sql}")).await?;
    let orphans = |row: &tokio_postgres::SimpleQueryRow| {
        Some(Orphans {
            subject: row.get("subject")?.to_owned(),
            rows: row.get("n")?.parse().ok()?,
            child: row.get("child")?.to_owned(),
            table: row.get("table_name")?.to_owned(),
            condition: row.get("condition")?.to_owned(),
            emptied: row.get("emptied").map(str::to_owned),
            sets: row.get("sets").map(str::to_owned),
        })
    };
    Ok(sets.last().into_iter().flatten().filter_map(orphans).collect())
}

/// Sets these aside, and whatever would go with them, in one transaction.
///
/// # Errors
/// Busy, where rows are held by others; refused, where code of others would run.
pub async fn set_aside(
    cx: &Context,
    session: &Session,
    role: &str,
    orphans: &[Orphans],
) -> Result<Vec<Moved>, Failure> {
    let sql = include_str!("aside.sql")
        .replace("%RUN%", &literal(&cx.run_id.to_string()))
        .replace("%TAG%", &tag(cx));
    carry_out(cx, session, role, &followed(&sql, "", orphans), "orphans").await
}

/// Refuses what [`set_aside`] and [`put_back`] would refuse, as far as it shows without a lock and without a change.
///
/// # Errors
/// Refused: code of others would run, rows hang on these by a key that deletes nothing, values could not be kept.
pub async fn foresee(session: &Session, role: &str, orphans: &[Orphans]) -> Result<(), Failure> {
    let code = foreign::refuse_unlocked(Scope::Everything);
    let sql = followed(include_str!("foreseen.sql"), "USING relations, ats", orphans);
    let sql = format!("{role}{};{code};{sql}", foreign::plain());
    session.once(Mode::Snapshot, WHAT, &sql).await.map(drop)
}

/// What is followed from `orphans`; `using` are the parameters of a statement that asks whether a row goes.
fn followed(sql: &str, using: &str, orphans: &[Orphans]) -> String {
    let found: Vec<_> = orphans
        .iter()
        .map(|o| json!({ "child": o.child, "table_name": o.table, "condition": o.condition, "emptied": o.emptied, "sets": o.sets }))
        .collect();
    sql.replace("%HANGS%", include_str!("hangs.sql").trim_end())
        .replace(" %USING%", &format!(" {using}"))
        .replace("%KEYS%", KEYS)
        .replace("%FOUND%", &format!("{}::jsonb", literal(&json!(found).to_string())))
}

/// Puts back what is set aside, as far as the keys take it.
///
/// # Errors
/// As for [`set_aside`].
pub async fn put_back(cx: &Context, session: &Session, role: &str) -> Result<Vec<Moved>, Failure> {
    let sql = include_str!("back.sql").replace("%TAG%", &tag(cx)).replace("%KEYS%", KEYS);
    carry_out(cx, session, role, &sql, "orphans put back").await
}

/// What tells this run's tables from another's.
fn tag(cx: &Context) -> String {
    literal(&cx.run_id.simple().to_string().chars().take(8).collect::<String>())
}

/// How many tables of what is set aside are there.
///
/// # Errors
/// The server's.
pub async fn kept(session: &Session, role: &str) -> Result<u64, Failure> {
    let sql = "SELECT count(*) FROM markenmate.set_aside s \
                 JOIN pg_class c ON c.relname = s.name AND c.relnamespace = to_regnamespace('markenmate_quarantine') \
                WHERE s.state = 'orphans' AND c.relkind = 'r'";
    let sets = session.once(Mode::Read, WHAT, &format!("{role}{sql}")).await?;
    let row = sets.last().and_then(|rows| rows.first()).and_then(|row| row.get(0)?.parse().ok());
    row.ok_or_else(|| Failure::unexpected(WHAT))
}

async fn carry_out(
    cx: &Context,
    session: &Session,
    role: &str,
    sql: &str,
    subject: &str,
) -> Result<Vec<Moved>, Failure> {
    let moved = in_transaction(cx, session, role, sql, subject).await;
    session.end().await;
    moved
}

async fn in_transaction(
    cx: &Context,
    session: &Session,
    role: &str,
    sql: &str,
    subject: &str,
) -> Result<Vec<Moved>, Failure> {
    let sql = format!("{role}{};{};{sql}", foreign::plain(), foreign::refuse(Scope::Everything));
    let sets = session.begin_within(Mode::Write, session.timeouts(), WHAT, &sql).await?;
    let told =
        sets.last().and_then(|rows| rows.first()).and_then(|row| row.get("told")).unwrap_or("[]");
    let moved: Vec<Moved> =
        serde_json::from_str(told).map_err(|error| Failure::unexpected(WHAT).because(error))?;
    if moved.iter().any(|moved| moved.rows > 0) {
        let record = Record {
            command: "cleanup",
            subject: Some(subject),
            outcome: "done",
            detail: Some(told),
        };
        ledger::append(session, &cx.origin(), &record).await?;
    }
    session.commit(WHAT, "COMMIT").await?;
    Ok(moved)
}
