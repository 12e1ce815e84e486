//! Databases that restores have kept under another name.

use serde::Serialize;

use super::staging::named;
use crate::db::identifiers::{literal, quoted};
use crate::db::session::{Mode, Session};
use crate::failure::Failure;

/// What was live until a restore took its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Its name now.
    pub name: String,
    /// On disk.
    pub bytes: u64,
    /// Who is connected to it.
    pub sessions: u64,
}

/// Those of the session's database that belong to its role.
///
/// # Errors
/// The server's.
pub async fn kept(session: &Session) -> Result<Vec<Kept>, Failure> {
    let start = named(&session.facts.database, "_before_restore_");
    let pattern =
        format!("{}%", start.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
    let sql = include_str!("kept.sql").replace("%PATTERN%", &literal(&pattern));
    let sets =
        session.once(Mode::Read, "cannot look for databases that restores have kept", &sql).await?;
    let number = |row: &tokio_postgres::SimpleQueryRow, name| {
        row.get(name).and_then(|text| text.parse().ok()).unwrap_or_default()
    };
    let kept = |row: &tokio_postgres::SimpleQueryRow| Kept {
        name: row.get("name").unwrap_or_default().to_owned(),
        bytes: number(row, "bytes"),
        sessions: number(row, "sessions"),
    };
    Ok(sets.iter().flatten().map(kept).collect())
}

/// Drops one. No transaction can hold it.
///
/// # Errors
/// The server's: somebody is connected to it.
pub async fn drop_database(session: &Session, kept: &Kept) -> Result<(), Failure> {
    let what = format!("cannot drop database {:?}", kept.name);
    session.run(&what, &format!("DROP DATABASE {}", quoted(&kept.name))).await.map(drop)
}
