//! Checks of pg_stat_statements: wherever its extension was put, and only where it has something to say.

use tokio_postgres::SimpleQueryRow;

use super::registry::Check;
use super::run::{fenced, finding, refused_or_broken};
use super::verdict::Verdict;
use crate::db::identifiers::identifier;
use crate::db::session::Session;
use crate::failure::Failure;

/// What stands in a check's text in place of the function.
const PLACE: &str = "%STATEMENTS%";

const ABSENT: &str = "there is no pg_stat_statements here; to have it: shared_preload_libraries = 'pg_stat_statements' \
     in postgresql.conf, a restart, then CREATE EXTENSION pg_stat_statements;";
const NOT_LOADED: &str = "pg_stat_statements is not loaded; to have it: shared_preload_libraries = \
     'pg_stat_statements' in postgresql.conf, and a restart";
const OLD: &str =
    "pg_stat_statements is older than 1.8; to mend it: ALTER EXTENSION pg_stat_statements UPDATE;";
const NOTHING: &str =
    "pg_stat_statements has seen neither an audit row nor an update of a lending yet";

/// Judges it in the open transaction.
///
/// # Errors
/// The server does not answer.
pub(super) async fn judge(
    session: &Session,
    check: &'static Check,
    sql: &str,
) -> Result<Verdict, Failure> {
    let there = fenced(session, check.id, include_str!("statements_there.sql")).await?;
    let Some(row) = there.first() else { return Ok(Verdict::skipped(check, ABSENT)) };
    let text = |name| row.try_get(name).ok().flatten().unwrap_or_default();
    let role = identifier(text("user"));
    if text("is_new") != "t" {
        return Ok(Verdict::skipped(check, OLD));
    }
    if text("may") != "t" {
        let reason = format!("role {role} may not call {}", text("function"));
        return Ok(Verdict::denied(check, reason));
    }
    let asks = |sql: &str| sql.replace(PLACE, text("function"));
    let found = match fenced(session, check.id, &asks(sql)).await {
        Ok(rows) => rows.iter().map(|row| finding(check, row)).collect::<Vec<_>>(),
        Err(failure) if failure.sqlstate.as_deref() == Some("55000") => {
            return Ok(Verdict::skipped(check, NOT_LOADED));
        }
        Err(failure) => return refused_or_broken(check, failure),
    };
    if !found.is_empty() {
        return Ok(Verdict::found(check, found));
    }
    let seen = fenced(session, check.id, &asks(include_str!("statements_seen.sql"))).await?;
    let count = |name| seen.first().and_then(|row: &SimpleQueryRow| row.get(name)) != Some("0");
    Ok(match (count("seen"), count("hidden")) {
        (false, true) => {
            let reason = format!(
                "role {role} sees its own statements only; to see all: GRANT pg_read_all_stats TO {role};"
            );
            Verdict::denied(check, reason)
        }
        (false, false) => Verdict::skipped(check, NOTHING),
        (true, _) => Verdict::found(check, found),
    })
}
