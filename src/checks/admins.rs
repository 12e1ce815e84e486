//! The last query of the guide's step 4: the admins, and who is master.

use serde::Serialize;
use tokio_postgres::SimpleQueryRow;

use crate::db::catalogue::Catalogue;

/// An admin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Admin {
    /// The user's id.
    pub id: String,
    /// The email address.
    pub email: String,
    /// `admin`
    pub role: String,
    /// None where the column does not exist yet.
    pub is_master_admin: Option<bool>,
}

/// The statement that lists them, oldest first; none where there is no table of users.
pub fn sql(catalogue: &Catalogue) -> Option<String> {
    let user = catalogue.tables.get("user")?;
    let has = |column: &str| user.columns.contains_key(column);
    let master = if has("is_master_admin") { "is_master_admin::text" } else { "NULL" };
    let whole = ["id", "email", "role", "created_at"].into_iter().all(has);
    whole.then(|| include_str!("admins.sql").replace("%MASTER%", master))
}

impl Admin {
    /// Reads one row of [`sql`].
    pub fn from_row(row: &SimpleQueryRow) -> Self {
        let text = |name| row.get(name).unwrap_or_default().to_owned();
        Self {
            id: text("id"),
            email: text("email"),
            role: text("role"),
            is_master_admin: row.get("is_master_admin").map(|value| value == "true"),
        }
    }
}
