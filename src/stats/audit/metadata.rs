//! Rows whose metadata is no JSON. Before version 16 the server can only cast, which ends at the first one: what
//! does not look like the application's own is read page by page and parsed here.

use serde::Serialize;
use serde::de::IgnoredAny;

use crate::db::session::{Rows, Session};
use crate::failure::Failure;

use super::super::run::fenced;
use super::Scope;

/// A page: that many rows are looked at, and that many bytes come at once.
const PAGE_ROWS: u32 = 10_000;
const PAGE_BYTES: u32 = 1024 * 1024;
/// What is longer is not read.
const LONGEST: u32 = 256 * 1024;
/// How many are named.
const NAMED: usize = 20;

/// What is no JSON.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unparsed {
    /// Rows whose metadata is no JSON.
    pub count: u64,
    /// Rows whose metadata is too long to be judged: more than 256 KiB.
    pub too_long: u64,
    /// The first of them.
    pub examples: Vec<Example>,
}

/// One of them.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// The row's id.
    pub id: i64,
    /// It is in the archive.
    pub archived: bool,
    /// What is wrong with it.
    pub why: String,
}

/// Looks through live rows and the archive, in the open transaction. Changes nothing.
///
/// # Errors
/// What the server says.
pub async fn look(session: &Session, scope: &Scope) -> Result<Unparsed, Failure> {
    let mut found = Unparsed::default();
    let mut tables = vec![("public.audit_log", "id", false)];
    if scope.archive {
        tables.push(("markenmate.audit_log_archive", "archive_id", true));
    }
    for (table, key, archived) in tables {
        let mut after = i64::MIN;
        loop {
            let sql = page(table, key, after, scope);
            let rows = fenced(session, "the metadata of the audit log", &sql).await?;
            let Some(end) = found.page(&rows, archived) else { break };
            after = end;
        }
    }
    Ok(found)
}

fn page(table: &str, key: &str, after: i64, scope: &Scope) -> String {
    // The condition comes last: it holds what an operator typed.
    include_str!("page.sql")
        .replace("%table%", table)
        .replace("%key%", key)
        .replace("%after%", &format!("({after})"))
        .replace("%rows%", &PAGE_ROWS.to_string())
        .replace("%bytes%", &PAGE_BYTES.to_string())
        .replace("%longest%", &LONGEST.to_string())
        .replace("%condition%", &scope.condition())
}

impl Unparsed {
    /// Judges a page; gives how far it came, none where there was nothing.
    fn page(&mut self, rows: &Rows, archived: bool) -> Option<i64> {
        for row in rows {
            if row.get("is_end") == Some("t") {
                return row.get("key")?.parse().ok();
            }
            let id = row.get("id").and_then(|id| id.parse().ok()).unwrap_or_default();
            let why = match row.get("metadata") {
                None => {
                    self.too_long += 1;
                    format!("{} bytes: too long to be judged", row.get("bytes").unwrap_or_default())
                }
                // The server's own parser takes numbers of any size, and any depth.
                Some(text) => match serde_json::from_str::<IgnoredAny>(text) {
                    Ok(_) => continue,
                    Err(error) => {
                        self.count += 1;
                        error.to_string()
                    }
                },
            };
            if self.examples.len() < NAMED {
                self.examples.push(Example { id, archived, why });
            }
        }
        None
    }
}
