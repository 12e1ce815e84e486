//! What restores have left beside the live database, for whoever only looks.

use tokio_postgres::SimpleQueryRow;

use crate::db::locks;

use super::leavings::{marked_with, restored_beside};

/// A database that a restore of the live one has made, and that has not got its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// Its name.
    pub name: String,
    /// The role that owns it.
    pub owner: String,
    /// We have that role's rights.
    pub is_ours: bool,
    /// Restored and compared, only the name is missing: the path of the backup, where that is known.
    pub whole_of: Option<String>,
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
            whole_of: marked_with(text("comment"))
                .filter(|_| text("closed") == "t")
                .map(|(_, path)| path.to_owned()),
            at_work: text("at_work") == "t",
        })
    }
}
