//! The numbers that rows of an archive get, in the order in which they come.

use tokio_postgres::SimpleQueryRow;

use crate::failure::Failure;

/// Reads the last number that `archive` gave: SQL, for [`last`].
pub(super) fn last_sql(archive: &str) -> String {
    include_str!("last_number.sql").replace("%ARCHIVE%", archive)
}

/// The last number.
///
/// # Errors
/// Refused (4) where rows have higher ones: what comes next could not be told from them.
pub(super) fn last(row: &SimpleQueryRow, archive: &str) -> Result<i64, Failure> {
    let what = "cannot read the archive's last number";
    let number = row.get("last_number").and_then(|text| text.parse().ok());
    let number = number.ok_or_else(|| Failure::unexpected(what))?;
    if row.get("behind") != Some("t") {
        return Ok(number);
    }
    Err(Failure::refused(format!(
        "rows of markenmate.{archive} have higher numbers than its sequence gave"
    ))
    .because("were its rows restored without the sequence? new rows could not be told from old ones")
    .hint(format!(
        "as the owner: SELECT setval('markenmate.{archive}_archive_id_seq', (SELECT max(archive_id) FROM markenmate.{archive}));"
    )))
}
