//! Reading metrics: in one read-only transaction for all of them, one round trip each, and a savepoint
//! around each so that one failure does not hide the rest.

use tokio_postgres::SimpleQueryRow;

use crate::db::catalogue::Catalogue;
use crate::db::identifiers::identifier;
use crate::db::session::{Rows, Session, set_local};
use crate::failure::{Failure, Kind};

use super::reading::{Reading, Sample, Why};
use super::registry::{ALL, Metric, Source};
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
    session.run(WHAT, &set_local("since", request.since)).await?;
    let uncounted = uncounted(session).await?;
    let mut readings = Vec::new();
    for metric in &ALL {
        let Source::Sql(sql) = metric.source else { continue };
        let limit = limit(metric, request.thresholds);
        readings.push(match request.missing(metric, uncounted.as_ref()) {
            Some((why, reason)) => Reading::skipped(metric, limit, why, reason),
            None => match fenced(session, metric.id, sql).await {
                Ok(rows) => Reading::of(metric, limit, samples(metric, &rows)?),
                Err(failure) => {
                    let (why, reason) = refused_or_broken(failure)?;
                    Reading::skipped(metric, limit, why, reason)
                }
            },
        });
    }
    Ok(readings)
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

/// What is no number is a fault of the statement, not of the database.
fn samples(metric: &Metric, rows: &Rows) -> Result<Vec<Sample>, Failure> {
    let sample = |row: &SimpleQueryRow| {
        let mut labels = Vec::new();
        let mut value = None;
        for (n, column) in row.columns().iter().enumerate() {
            match column.name() {
                "value" => value = row.get(n).and_then(|text| text.parse::<f64>().ok()),
                name => labels.push((name.to_owned(), row.get(n).unwrap_or_default().to_owned())),
            }
        }
        let value = value.filter(|value| value.is_finite());
        value.map(|value| Sample { labels, value }).ok_or_else(|| {
            Failure::unexpected(format!("cannot read metric {}", metric.id))
                .because("the server gave a value that is no number")
        })
    };
    rows.iter().map(sample).collect()
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
