//! The application's way with a database: one statement at a time, its parameters as text, and
//! databases with and without guards for it.

use std::error::Error;

use bytes::BytesMut;
use futures_util::StreamExt;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type};
use tokio_postgres::{Client, NoTls};

use super::{Session, TestDb, markenmate};

/// A small installation in a database at this version: tests/fixtures/guards.sql says who is there.
pub fn at_version(version: u32) -> TestDb {
    let db = TestDb::empty();
    let to = version.to_string();
    markenmate(&["migrate", "--yes", "--to", &to]).db(&db).run().assert_code(0);
    db.session().sql(FIXTURE);
    db
}

/// Puts the small installation back, as a superuser whom nothing guards.
pub const FIXTURE: &str = include_str!("../fixtures/guards.sql");

/// Runs SQL whatever the guards and the keys say.
#[track_caller]
pub fn past_guards(session: &Session, sql: &str) {
    session.sql(&format!(
        "SET session_replication_role = replica; {sql}; RESET session_replication_role"
    ));
}

/// What a statement gave: how many rows it touched, and the rows as the server sent them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub count: u64,
    pub rows: Vec<Vec<Option<Vec<u8>>>>,
}

/// An answer, or SQLSTATE and message.
pub type Said = Result<Answer, (String, String)>;

/// One connection of the application's.
pub struct App {
    runtime: Runtime,
    client: Client,
}

impl App {
    pub fn open(url: &str) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
            tokio::spawn(connection);
            client
        });
        Self { runtime, client }
    }

    /// One statement.
    pub fn ask(&self, sql: &str, parameters: &[&str]) -> Said {
        self.runtime.block_on(async {
            let rows = self.client.query_raw(sql, parameters.iter().map(|text| Text(text))).await;
            let mut rows = Box::pin(rows.map_err(said)?);
            let mut answer = Answer { count: 0, rows: Vec::new() };
            while let Some(row) = rows.next().await {
                let row = row.map_err(said)?;
                let values = (0..row.len()).map(|n| row.get::<_, Option<Raw>>(n).map(|raw| raw.0));
                answer.rows.push(values.collect());
            }
            answer.count = rows.rows_affected().unwrap_or_default();
            Ok(answer)
        })
    }
}

/// SQLSTATE and message of what the server refused.
pub fn said(error: tokio_postgres::Error) -> (String, String) {
    let error = error.as_db_error().unwrap_or_else(|| panic!("{error:?}"));
    (error.code().code().to_owned(), error.message().to_owned())
}

/// A parameter as node-postgres sends it: text, whatever its type.
#[derive(Debug)]
struct Text<'a>(&'a str);

impl ToSql for Text<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    fn to_sql_checked(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.to_sql(ty, out)
    }
}

/// A value of any type, unread.
struct Raw(Vec<u8>);

impl<'a> FromSql<'a> for Raw {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
