//! The operator ledger: one row for every run that changed something, written last in the transaction
//! of the change itself and chained to the row before by SHA-256. Evidence, not prevention: whoever has
//! the owner's rights can write the whole chain anew, but not so that it ends in a head exported before.

use std::fmt;

use super::foreign;
use super::history;
use super::identifiers::literal;
use super::session::{Mode, Rows, Session};
use crate::failure::Failure;

/// The hash of row `f` from all its other columns, as an SQL expression.
pub const HASH: &str = include_str!("hash.sql");

/// Who runs this, and why: the same for all rows of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The run's id.
    pub run_id: String,
    /// The user of the operating system, as far as it has a name.
    pub os_user: Option<String>,
    /// The machine's name.
    pub host: Option<String>,
    /// `--reason`
    pub reason: Option<String>,
    /// `--approved-by`
    pub approved_by: Option<String>,
}

/// What was done or refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// As typed: `admin demote`.
    pub command: &'a str,
    /// Whom or what it was about.
    pub subject: Option<&'a str>,
    /// `done` or `refused`.
    pub outcome: &'a str,
    /// More about it, as JSON text.
    pub detail: Option<&'a str>,
}

/// The newest row: what an exported chain ends in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The row's number, from 1.
    pub number: u64,
    /// Its hash, 64 hexadecimal digits.
    pub hash: String,
}

impl Head {
    /// Reads `12:0f3a…`, as [`fmt::Display`] writes it.
    ///
    /// # Errors
    /// A text that says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let head = text.trim().split_once(':').and_then(|(number, hash)| {
            let number = number.parse().ok().filter(|n| (1..=i64::MAX as u64).contains(n))?;
            let is_hash = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
            is_hash.then(|| Self { number, hash: hash.to_ascii_lowercase() })
        });
        head.ok_or_else(|| {
            "write it as `verify` and `status` print it: a number, a colon, 64 hexadecimal digits"
                .into()
        })
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, self.hash)
    }
}

/// The statement that asks for the newest row; [`head_from`] reads its answer.
pub const HEAD_SQL: &str = include_str!("head.sql");

/// The statement that asks whether there is a ledger that the role of this moment may write: one
/// row, `writable`, `denied` or `absent`.
pub const THERE: &str = include_str!("there.sql");

/// What is locked first: of two that share a weaker lock neither gets this one.
pub const LOCK: &str = "LOCK TABLE markenmate.ledger IN SHARE ROW EXCLUSIVE MODE";

const WHAT: &str = "cannot write the operator ledger";

/// Writes one row in the open transaction; to be the last statement before COMMIT, as a lock is held from
/// here on. None: there is no ledger yet.
///
/// # Errors
/// Refused where the role of this moment may not write it: a change without its row is none. The server's;
/// the ledger holds code of somebody else's; the lock was not to be had in time.
pub async fn append(
    session: &Session,
    origin: &Origin,
    record: &Record<'_>,
) -> Result<Option<Head>, Failure> {
    let sets = session.run(WHAT, THERE).await?;
    match sets.iter().flatten().next().and_then(|row| row.get(0)) {
        Some("writable") => {}
        Some("denied") => return Err(denied()),
        _ => return Ok(None),
    }
    let sets = session
        .run(WHAT, &format!("{LOCK};{};{}", foreign::plain(), statement(origin, record)))
        .await?;
    Ok(newest(&sets, |row| Some((row.get("number")?.parse().ok()?, row.get("hash")?.to_owned()))))
}

/// The statement that writes one row where there is a ledger, and else nothing: for scripts that others run.
pub fn where_there_is_one(origin: &Origin, record: &Record<'_>) -> String {
    let each = statement(origin, record);
    let (lock, row) = each.split_once(";\n").unwrap_or((&each, ""));
    let execute = |sql: &str| format!("EXECUTE {};", literal(sql.trim().trim_end_matches(';')));
    format!(
        "DO {};",
        literal(&format!(
            "BEGIN\n    IF to_regclass('markenmate.ledger') IS NOT NULL THEN\n{}\n{}\n    END IF;\nEND",
            execute(lock),
            execute(row)
        ))
    )
}

/// The newest row, in a transaction of its own. None: there is none, or it may not be read.
///
/// # Errors
/// The server's.
pub async fn head(session: &Session) -> Result<Option<Head>, Failure> {
    const WHAT: &str = "cannot read the operator ledger";
    let plain = if session.facts.is_history_owner { "" } else { foreign::plain() };
    let sql = format!("{plain};{HEAD_SQL};");
    // Who may read the histories may read where the ledger ends.
    let sql = history::reading(&session.facts, sql.clone()).unwrap_or(sql);
    match session.once(Mode::Read, WHAT, &sql).await {
        Ok(sets) => Ok(head_from(&sets)),
        // undefined_table, undefined_column, invalid_schema_name, insufficient_privilege
        Err(failure) => match failure.sqlstate.as_deref() {
            Some("42P01" | "42703" | "3F000" | "42501") => Ok(None),
            _ => Err(failure),
        },
    }
}

/// What was done last to the versions, where that was taking them back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenBack {
    /// When, UTC, to the second.
    pub at: String,
    /// `rollback`, `util down 2`
    pub command: String,
    /// By whom: the users of the operating system, where that is known, and of the database.
    pub by: String,
    /// `--reason`
    pub reason: Option<String>,
}

/// Reads it. None: it was something else, or there is no ledger, or it may not be read.
///
/// # Errors
/// The server's.
pub async fn taken_back(session: &Session) -> Result<Option<TakenBack>, Failure> {
    let what = "cannot read the operator ledger";
    let sql = format!("{};{};", foreign::plain(), include_str!("taken_back.sql"));
    let sql = history::reading(&session.facts, sql.clone()).unwrap_or(sql);
    let sets = match session.once(Mode::Read, what, &sql).await {
        Ok(sets) => sets,
        Err(failure) if failure.sqlstate.is_some() => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let row = sets.last().and_then(|rows| rows.first());
    Ok(row.filter(|row| row.get("command") != Some("migrate")).map(|row| {
        let text = |name| row.get(name).unwrap_or_default().to_owned();
        TakenBack {
            at: text("at"),
            command: text("command"),
            by: text("by"),
            reason: row.get("reason").map(str::to_owned),
        }
    }))
}

/// Reads the answer to the statement that asks for the head.
pub fn head_from(sets: &[Rows]) -> Option<Head> {
    sets.last()?.first().and_then(|row| Head::parse(row.get("head")?).ok())
}

fn newest(
    sets: &[Rows],
    read: impl Fn(&tokio_postgres::SimpleQueryRow) -> Option<(u64, String)>,
) -> Option<Head> {
    let (number, hash) = read(sets.last()?.first()?)?;
    Some(Head { number, hash })
}

fn denied() -> Failure {
    Failure::refused("this role may not write the operator ledger: nothing was changed")
        .because("every change leaves a row in markenmate.ledger, which belongs to the owner of the app's tables")
        .hint("connect as that owner, or as a member of it")
}

/// What a caller gave is put in at once: a text that looks like the name of another place stays a text.
fn statement(origin: &Origin, record: &Record<'_>) -> String {
    let text = |text: Option<&str>| {
        let kept = text.map(|text| literal(&text.replace('\0', "")));
        kept.map_or_else(|| "NULL::text".to_owned(), |text| format!("{text}::text"))
    };
    let places = [
        ("RUN", text(Some(&origin.run_id))),
        ("COMMAND", text(Some(record.command))),
        ("SUBJECT", text(record.subject)),
        ("OUTCOME", text(Some(record.outcome))),
        ("DETAIL", text(record.detail)),
        ("VERSION", text(Some(env!("CARGO_PKG_VERSION")))),
        ("OS_USER", text(origin.os_user.as_deref())),
        ("HOST", text(origin.host.as_deref())),
        ("REASON", text(origin.reason.as_deref())),
        ("APPROVED_BY", text(origin.approved_by.as_deref())),
        ("HASH", HASH.to_owned()),
    ];
    let mut sql = String::new();
    for (at, part) in include_str!("append.sql").split('%').enumerate() {
        let place = places.iter().find(|(name, _)| at % 2 == 1 && *name == part);
        sql.push_str(place.map_or(part, |(_, value)| value));
    }
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_is_written() {
        let head = Head { number: 12, hash: "0f".repeat(32) };
        assert_eq!(Head::parse(&head.to_string()), Ok(head.clone()));
        assert_eq!(Head::parse(&format!(" {}\n", head.to_string().to_uppercase())), Ok(head));
        for wrong in ["", "12", "12:abc", ":", &format!("0:{}", "0".repeat(64)), "x:y"] {
            assert!(Head::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_was_typed_stays_a_text() {
        let origin = Origin { reason: Some("%HASH% O'Brien \\".into()), ..Origin::default() };
        let record =
            Record { command: "x", subject: Some("%REASON%"), outcome: "done", detail: None };
        let sql = statement(&origin, &record);
        assert!(sql.contains("'%REASON%'::text AS subject"), "{sql}");
        assert!(sql.contains(" E'%HASH% O''Brien \\\\'::text AS reason"), "{sql}");
        assert!(sql.contains("NULL::text AS detail") && sql.contains("encode(sha256("), "{sql}");
    }
}
