//! Running checks: in one read-only transaction for all of them, one round trip each, and a
//! savepoint around each so that one failure does not hide the rest.

use crate::db::catalogue::Catalogue;
use crate::db::ledger::{self, Head};
use crate::db::session::{Rows, Session, set_local};
use crate::failure::{Failure, Kind};
use crate::report::{Finding, Severity};

use super::admins::{self, Admin};
use super::registry::{Check, LEDGER_SINCE, Source};
use super::statements;
use super::verdict::Verdict;

/// What is to be checked, and what is known of the database already.
#[derive(Debug)]
pub struct Request<'a> {
    /// Which checks; those that are computed elsewhere are passed over.
    pub checks: &'a [&'static Check],
    /// The version the database is judged against.
    pub version: i32,
    /// The version of the tool's own schema.
    pub own: i32,
    /// The head of the operator ledger that was exported before.
    pub ledger_head: Option<&'a Head>,
    /// RFC 3339: from when on logs are judged. None: the last 24 hours.
    pub since: Option<&'a str>,
    /// Schema `public`.
    pub catalogue: &'a Catalogue,
}

/// What the checks saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// One a check, in the order of the request.
    pub verdicts: Vec<Verdict>,
    /// The guide's list of admins; empty where it may not be read.
    pub admins: Vec<Admin>,
    /// Where the operator ledger ends; none where there is none, or it may not be read.
    pub ledger_head: Option<Head>,
}

const WHAT: &str = "cannot run the checks";

/// What an ALTER TABLE of the app's tables by somebody else would make us wait for.
pub const TABLES: [&str; 5] = ["user", "token_lending", "app_log", "audit_log", "step_up_token"];

/// Runs them in the open transaction, in which the catalogue was read: all of it is one moment.
/// Changes nothing.
pub async fn run(session: &Session, request: &Request<'_>) -> Result<Seen, Failure> {
    let since = set_local("since", request.since.unwrap_or_default());
    let head = request.ledger_head.map(ToString::to_string).unwrap_or_default();
    let head = set_local("ledger_head", &head);
    session.run(WHAT, &format!("{since}{head}")).await?;
    let mut seen = Seen::default();
    for check in request.checks {
        let (Source::Sql(sql) | Source::Statements(sql)) = check.source else { continue };
        let missing = check.requires.missing(request.version, request.own, request.catalogue);
        seen.verdicts.push(match missing {
            Some(reason) => Verdict::skipped(check, reason),
            None if check.source == Source::Statements(sql) => {
                statements::judge(session, check, sql).await?
            }
            None => judge(session, check, sql).await?,
        });
    }
    seen.admins = list_admins(session, request.catalogue).await?;
    if request.own >= LEDGER_SINCE {
        seen.ledger_head = match fenced(session, "ledger-chain", ledger::HEAD_SQL).await {
            Ok(rows) => ledger::head_from(&[rows]),
            Err(failure) if failure.sqlstate.is_some() && failure.kind != Kind::Busy => None,
            Err(failure) => return Err(failure),
        };
    }
    Ok(seen)
}

async fn judge(session: &Session, check: &'static Check, sql: &str) -> Result<Verdict, Failure> {
    match fenced(session, check.id, sql).await {
        Ok(rows) => Ok(Verdict::found(check, rows.iter().map(|row| finding(check, row)).collect())),
        Err(failure) => refused_or_broken(check, failure),
    }
}

/// A missing privilege says nothing about the database; any other error is a finding of its own.
pub(super) fn refused_or_broken(
    check: &'static Check,
    failure: Failure,
) -> Result<Verdict, Failure> {
    let said = failure.causes.join(": ");
    match failure.sqlstate.as_deref() {
        Some("42501") => Ok(Verdict::denied(check, format!("may not be read: {said}"))),
        Some("57014") => Ok(Verdict::found(
            check,
            vec![broken(check, said, "give it more time, for example: --statement-timeout 30m")],
        )),
        Some(sqlstate) if failure.kind == Kind::Unexpected => {
            let remedy = "mend what `contract` reports, then run markenmate verify again; \
                          to leave this check out: --skip with its id";
            let said = format!("{said} (SQLSTATE {sqlstate})");
            Ok(Verdict::found(check, vec![broken(check, said, remedy)]))
        }
        _ => Err(failure),
    }
}

fn broken(check: &Check, said: String, remedy: &str) -> Finding {
    let detail = format!("could not be judged: {said}");
    let finding = check.finding(format!("check {}", check.id), detail, Some(remedy.into()));
    Finding { severity: Severity::Error, ..finding }
}

pub(super) fn finding(check: &Check, row: &tokio_postgres::SimpleQueryRow) -> Finding {
    let text = |name| row.try_get(name).ok().flatten().map(str::to_owned);
    check.finding(
        text("subject").unwrap_or_default(),
        text("detail").unwrap_or_default(),
        text("remedy"),
    )
}

async fn list_admins(session: &Session, catalogue: &Catalogue) -> Result<Vec<Admin>, Failure> {
    let Some(sql) = admins::sql(catalogue) else { return Ok(Vec::new()) };
    match fenced(session, "admins", &sql).await {
        Ok(rows) => Ok(rows.iter().map(Admin::from_row).collect()),
        Err(failure) if failure.sqlstate.is_some() && failure.kind != Kind::Busy => Ok(Vec::new()),
        Err(failure) => Err(failure),
    }
}

/// One statement between savepoints, in one round trip; after an error the transaction is usable.
pub(super) async fn fenced(session: &Session, id: &str, sql: &str) -> Result<Rows, Failure> {
    let what = format!("cannot run check {id}");
    let text = format!("SAVEPOINT one_check;\n{sql};\nRELEASE SAVEPOINT one_check");
    match session.run(&what, &text).await {
        Ok(sets) => Ok(sets.into_iter().next().unwrap_or_default()),
        Err(failure) if failure.sqlstate.is_none() || failure.kind == Kind::Interrupted => {
            Err(failure)
        }
        Err(failure) => {
            session.run(&what, "ROLLBACK TO SAVEPOINT one_check").await?;
            Err(failure)
        }
    }
}
