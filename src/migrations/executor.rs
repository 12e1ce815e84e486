//! refinery on our own transaction: it decides the order and writes the history, we own BEGIN,
//! lock, timeouts, role and COMMIT.

use std::fmt;

use refinery::Migration;
use refinery_core::AsyncMigrate;
use refinery_core::traits::r#async::{AsyncQuery, AsyncTransaction};

use crate::db::history;
use crate::db::session::Session;
use crate::failure::Failure;

/// The open transaction, as refinery sees it.
pub struct Executor<'a> {
    session: &'a Session,
    what: String,
    around: [String; 2],
    failure: Option<Failure>,
}

/// Stands for the failure that [`Executor`] keeps.
#[derive(Debug)]
pub struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the statement failed")
    }
}

impl std::error::Error for Failed {}

impl<'a> Executor<'a> {
    /// Runs inside the transaction that is open on `session`; `what` is being attempted.
    pub fn new(session: &'a Session, what: impl Into<String>) -> Self {
        Self { session, what: what.into(), around: Default::default(), failure: None }
    }

    /// Puts statements before and after what refinery executes, in the same round trip.
    pub fn between(self, before: String, after: String) -> Self {
        Self { around: [before, after], ..self }
    }

    /// The failure behind refinery's error.
    pub fn explain(self, error: &refinery::Error) -> Failure {
        self.failure.unwrap_or_else(|| Failure::unexpected(self.what).because_of(error))
    }
}

impl AsyncTransaction for Executor<'_> {
    type Error = Failed;

    /// A migration and its history row in one round trip.
    async fn execute<'a, T: Iterator<Item = &'a str> + Send + 'a>(
        &'a mut self,
        queries: T,
    ) -> Result<usize, Self::Error> {
        let texts: Vec<&str> = queries.filter(|text| !text.is_empty()).collect();
        if texts.is_empty() {
            return Ok(0);
        }
        let [before, after] = &self.around;
        let sql = format!("{before}{};\n{after}", texts.join(";\n"));
        match self.session.run(&self.what, &sql).await {
            Ok(_) => Ok(texts.len()),
            Err(failure) => {
                self.failure = Some(failure);
                Err(Failed)
            }
        }
    }
}

impl AsyncQuery<Vec<Migration>> for Executor<'_> {
    async fn query<'a>(&'a mut self, query: &'a str) -> Result<Vec<Migration>, Self::Error> {
        let rows = match self.session.run(&self.what, query).await {
            Ok(sets) => sets.into_iter().flatten(),
            Err(failure) => {
                self.failure = Some(failure);
                return Err(Failed);
            }
        };
        // Rows that are no migration were refused before, by `standing::history_findings`.
        Ok(rows
            .filter_map(|row| {
                let version = row.get("version")?.parse().ok()?;
                let checksum = row.get("checksum")?.parse().ok()?;
                let applied_on = time::OffsetDateTime::parse(
                    row.get("applied_on")?,
                    &time::format_description::well_known::Rfc3339,
                );
                Some(Migration::applied(
                    version,
                    row.get("name")?.to_owned(),
                    applied_on.ok()?,
                    checksum,
                ))
            })
            .collect())
    }
}

impl AsyncMigrate for Executor<'_> {
    /// The tool's own first migration makes the app's history; only its own must be there before.
    fn assert_migrations_table_query(migration_table_name: &str) -> String {
        if migration_table_name.ends_with(history::OWN) {
            include_str!("own_history.sql").replace("%TABLE%", migration_table_name)
        } else {
            String::new()
        }
    }
}
