//! What restores have left beside the live database, for whoever only looks.

use tokio_postgres::SimpleQueryRow;

use crate::db::locks;

use super::WHOLE;
use super::leavings::restored_beside;

/// A database that a restore of the live one has made, and that has not got its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// Its name.
    pub name: String,
    /// The role that owns it.
    pub owner: String,
    /// We have that role's rights.
    pub is_ours: bool,
    /// Restored and compared: only the name is missing.
    pub is_whole: bool,
    /// The restore is at work on it still.
    pub at_work: bool,
}

impl Beside {
    /// The statement that looks for them; [`Beside::read`] reads its rows.
    pub fn sql() -> String {
        include_str!("beside.sql").replace("%RESTORE%", &locks::RESTORE.to_string())
    }

    /// Reads a row; none where it is no leaving of a restore of `live`, or not by its `owners`: a name
    /// is anybody's to give.
    pub fn read(row: &SimpleQueryRow, live: &str, owners: &[&str]) -> Option<Self> {
        let text = |name| row.try_get(name).ok().flatten().unwrap_or_default();
        let (name, owner) = (text("name"), text("owner"));
        restored_beside(name, live)?;
        owners.contains(&owner).then(|| Self {
            name: name.to_owned(),
            owner: owner.to_owned(),
            is_ours: text("ours") == "t",
            is_whole: text("closed") == "t" && text("comment").starts_with(WHOLE),
            at_work: text("at_work") == "t",
        })
    }
}
