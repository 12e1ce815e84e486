//! Reading metrics: in one read-only transaction for all of them, one round trip and one look at each thing, and a
//! savepoint around each so that one failure does not hide the rest.

use tokio_postgres::SimpleQueryRow;

use crate::db::catalogue::Catalogue;
use crate::db::identifiers::identifier;
use crate::db::session::{Rows, Session, set_local};
use crate::failure::{Failure, Kind};

use super::reading::{Labels, Reading, Sample, Why};
use super::registry::{self, ALL, Limit, Metric, Source, Statement};
use super::threshold::{Threshold, limit};

/// What is known of the database already.
#[derive(Debug)]
pub struct Request<'a> {
    /// RFC 3339: where the window begins, which ends now.
    pub since: &'a str,
    /// What `--threshold` says.
    pub thresholds: &'a [Threshold],
    /// The highest version that is recorded.
    pub version: i32,
    /// The version of the tool's own schema, or why it cannot be told.
    pub own: Result<i32, &'a str>,
    /// Schema `public`.
    pub catalogue: &'a Catalogue,
}

const WHAT: &str = "cannot read the metrics";

/// Reads all that come from the database, in the open transaction. Changes nothing.
pub async fn run(session: &Session, request: &Request<'_>) -> Result<Vec<Reading>, Failure> {
    // Compiling a statement takes longer than it saves where each is run once.
    let settings = format!("{}SET LOCAL jit = off", set_local("since", request.since));
    session.run(WHAT, &settings).await?;
    let uncounted = uncounted(session).await?;
    let missing = |metric: &Metric| request.missing(metric, uncounted.as_ref());
    let mut answers = Vec::new();
    for statement in registry::statements() {
        let of = |metric: &&Metric| metric.source == Source::Sql(statement);
        if ALL.iter().filter(of).any(|metric| missing(metric).is_none()) {
            let answer = match fenced(session, statement.about, statement.sql).await {
                Ok(rows) => Ok(rows),
                Err(failure) => Err(refused_or_broken(failure)?),
            };
            answers.push(Answer { statement, answer });
        }
    }
    let mut readings = Vec::new();
    for metric in &ALL {
        let Source::Sql(statement) = metric.source else { continue };
        let limit = limit(metric, request.thresholds);
        let failed = answers.iter().find(|a| a.statement == statement);
        let failed = failed.and_then(|answer| answer.answer.as_ref().err().cloned());
        readings.push(match missing(metric).or(failed) {
            Some((why, reason)) => Reading::skipped(metric, limit, why, reason),
            None => reading(metric, limit, &answers)?,
        });
    }
    Ok(readings)
}

/// What a statement told, or why nothing.
struct Answer {
    statement: &'static Statement,
    answer: Result<Rows, (Why, String)>,
}

impl Request<'_> {
    fn missing(&self, metric: &Metric, uncounted: Option<&(Why, String)>) -> Option<(Why, String)> {
        let requires = &metric.requires;
        let ours = requires.own > 0 || requires.version > 0;
        match (self.own, uncounted) {
            (Err(reason), _) if ours => Some((Why::Denied, reason.to_owned())),
            (_, Some(reason)) if requires.statements => Some(reason.clone()),
            (own, _) => requires
                .missing(self.version, own.unwrap_or(0), self.catalogue)
                .map(|reason| (Why::Absent, reason)),
        }
    }
}

/// Why pg_stat_statements tells nothing, and how to have it tell.
async fn uncounted(session: &Session) -> Result<Option<(Why, String)>, Failure> {
    let sets = session.run(WHAT, include_str!("statements.sql")).await?;
    let Some(row) = sets.first().and_then(|rows| rows.first()) else { return Ok(None) };
    let is = |name| row.get(name) == Some("t");
    let made = "CREATE EXTENSION pg_stat_statements;";
    let loaded =
        "shared_preload_libraries = 'pg_stat_statements' in postgresql.conf, and a restart";
    let absent = |enable: String| {
        Some((Why::Absent, format!("statements are not counted here; to enable it: {enable}")))
    };
    Ok(match (is("is_loaded"), is("is_made"), row.get("off")) {
        (false, false, _) => absent(format!("{loaded}; then, in this database: {made}")),
        (false, true, _) => absent(loaded.into()),
        (true, false, _) => absent(format!("in this database: {made}")),
        (true, true, Some(off)) => absent(format!("take away {off}")),
        (true, true, None) if !is("shows_all") => {
            let role = identifier(row.get("role").unwrap_or_default());
            Some((
                Why::Denied,
                format!(
                    "other roles' statements are not shown to {role}: GRANT pg_read_all_stats TO {role};"
                ),
            ))
        }
        (true, true, None) => None,
    })
}

/// The rows that name the metric. What is no number is a fault of the statement, not of the database.
fn reading(metric: &'static Metric, limit: Limit, answers: &[Answer]) -> Result<Reading, Failure> {
    let mut reading = Reading::of(metric, limit, Vec::new());
    let rows = answers.iter().flat_map(|answer| answer.answer.iter().flatten());
    for row in rows.filter(|row| row.get("metric") == Some(metric.id)) {
        let labels = labels(row);
        match row.get("value").map(str::parse::<f64>) {
            Some(Ok(value)) if value.is_finite() => reading.samples.push(Sample { labels, value }),
            Some(_) => {
                return Err(Failure::unexpected(format!("cannot read metric {}", metric.id))
                    .because("the server gave a value that is no number"));
            }
            None if labels.is_empty() => {}
            None => reading.unknown.push(labels),
        }
    }
    Ok(reading)
}

fn labels(row: &SimpleQueryRow) -> Labels {
    let columns = row.columns().iter().enumerate();
    let labels = columns.filter(|(_, column)| !["metric", "value"].contains(&column.name()));
    labels
        .filter_map(|(n, column)| Some((column.name().to_owned(), row.get(n)?.to_owned())))
        .collect()
}

/// A missing privilege says nothing about the database; any other error is said for what it is.
pub(super) fn refused_or_broken(failure: Failure) -> Result<(Why, String), Failure> {
    let said = failure.causes.join(": ");
    match failure.sqlstate.as_deref() {
        Some("42501") => Ok((Why::Denied, format!("may not be read: {said}"))),
        Some("57014") => Ok((
            Why::Broken,
            format!(
                "took too long: {said}; give it more time, for example: --statement-timeout 30m"
            ),
        )),
        Some(sqlstate) if failure.kind == Kind::Unexpected => {
            Ok((Why::Broken, format!("could not be read: {said} (SQLSTATE {sqlstate})")))
        }
        _ => Err(failure),
    }
}

/// One statement between savepoints, in one round trip; after an error the transaction is usable.
pub(super) async fn fenced(session: &Session, id: &str, sql: &str) -> Result<Rows, Failure> {
    let what = format!("cannot read {id}");
    let text = format!("SAVEPOINT one;\n{sql};\nRELEASE SAVEPOINT one");
    match session.run(&what, &text).await {
        Ok(sets) => Ok(sets.into_iter().next().unwrap_or_default()),
        Err(failure) if failure.sqlstate.is_none() || failure.kind == Kind::Interrupted => {
            Err(failure)
        }
        Err(failure) => {
            session.run(&what, "ROLLBACK TO SAVEPOINT one").await?;
            Err(failure)
        }
    }
}
