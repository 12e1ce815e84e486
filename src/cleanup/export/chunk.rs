//! The rows of one file.

use chrono::NaiveDate;
use tokio_postgres::SimpleQueryRow;

use super::WHAT;
use crate::db::session::Rows;
use crate::failure::Failure;

/// The rows of a file, before it is written.
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    pub(super) name: String,
    pub(super) month: NaiveDate,
    pub(super) ids: [i64; 2],
    pub(super) rows: u64,
    pub(super) checksum: i128,
}

impl Chunk {
    pub(super) fn read(row: &SimpleQueryRow, name: String) -> Result<Self, Failure> {
        Ok(Self {
            name,
            month: number(row, "month")?,
            ids: [number(row, "first_archive_id")?, number(row, "last_archive_id")?],
            rows: number(row, "rows")?,
            checksum: number(row, "checksum")?,
        })
    }

    /// The condition on a row `a` of the archive.
    pub(super) fn range(&self) -> String {
        let [first, last] = self.ids;
        let from = format!("'{}T00:00:00Z'::timestamptz", self.month);
        format!(
            "a.archive_id BETWEEN {first} AND {last} AND a.created_at >= {from} \
             AND a.created_at < ({from} AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC'"
        )
    }
}

pub(super) fn first(sets: &[Rows]) -> Result<&SimpleQueryRow, Failure> {
    sets.last().and_then(|rows| rows.first()).ok_or_else(|| Failure::unexpected(WHAT))
}

pub(super) fn number<T: std::str::FromStr>(row: &SimpleQueryRow, name: &str) -> Result<T, Failure> {
    row.get(name).and_then(|text| text.parse().ok()).ok_or_else(|| Failure::unexpected(WHAT))
}
