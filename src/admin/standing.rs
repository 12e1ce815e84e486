//! How far the database is, as far as it matters for admins.

use crate::db::identifiers::quoted;
use crate::db::session::{Rows, Session};
use crate::failure::Failure;

/// The statement that reads [`Standing`].
pub const SQL: &str = include_str!("standing.sql");

/// What there is to stand on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The owner of `public."user"`; none in a database without the app.
    pub owner: Option<String>,
    is_owner: bool,
    becomes_owner: bool,
    owner_may: bool,
    columns: Vec<String>,
    /// `account.issuer` is there.
    pub has_issuer: bool,
    /// `is_master_admin` is there.
    pub has_flag: bool,
    /// The audit log and the step-up tokens are there.
    pub has_records: bool,
    /// The role may read who has a password.
    pub reads_accounts: bool,
    /// The role may read who is signed in.
    pub reads_sessions: bool,
    /// `markenmate.set_master_admin` is there.
    pub has_function: bool,
    is_owners_function: bool,
}

impl Standing {
    /// Reads the answer to [`SQL`].
    pub fn of(sets: &[Rows]) -> Self {
        let Some(row) = sets.last().and_then(|rows| rows.first()) else { return Self::default() };
        let yes = |name: &str| row.get(name) == Some("t");
        Self {
            owner: row.get("owner").map(str::to_owned),
            is_owner: yes("is_owner"),
            becomes_owner: yes("becomes_owner"),
            owner_may: row.get("owner_may") != Some("f"),
            columns: row.get("columns").unwrap_or_default().split(' ').map(str::to_owned).collect(),
            has_issuer: yes("has_issuer"),
            has_flag: yes("has_flag"),
            has_records: yes("has_records"),
            reads_accounts: yes("reads_accounts"),
            reads_sessions: yes("reads_sessions"),
            has_function: yes("has_function"),
            is_owners_function: yes("is_owners_function"),
        }
    }

    /// Whether `public."user"` has a column.
    pub fn has_column(&self, column: &str) -> bool {
        self.columns.iter().any(|there| there == column)
    }

    /// Acts for the owner of the app's tables from here on in this transaction, where we may: the
    /// guards' functions and the ledger are the owner's. Not where that role could not do what is to be
    /// done: some of the tables are another's.
    pub async fn act_for_owner(&self, session: &Session) -> Result<(), Failure> {
        match self.role() {
            Some(sql) => {
                session.run("cannot act for the owner of the app's tables", &sql).await.map(drop)
            }
            None => Ok(()),
        }
    }

    /// The statement for that; none: we act as ourselves.
    pub fn role(&self) -> Option<String> {
        let owner = self.owner.as_deref();
        owner
            .filter(|_| self.becomes_owner && self.owner_may && !self.is_owner)
            .map(|owner| format!("SET LOCAL ROLE {}", quoted(owner)))
    }

    /// Whether what is done is done with the owner's rights, and these are enough.
    pub fn acts_as_owner(&self) -> bool {
        self.owner_may && (self.is_owner || self.role().is_some())
    }

    /// Refuses a database that the app is not in, or whose admins cannot be changed yet.
    pub fn check(&self) -> Result<(), Failure> {
        self.check_users()?;
        if !self.has_flag || !self.has_records {
            let what = if self.has_flag { "audit_log, step_up_token" } else { "is_master_admin" };
            return Err(Failure::refused(format!(
                "the guide's migration is not in this database: {what} is missing"
            ))
            .hint("first: markenmate migrate"));
        }
        if self.has_function && !self.is_owners_function {
            return Err(Failure::refused(
                "markenmate.set_master_admin is not what markenmate made: it would run somebody else's code",
            )
            .hint("markenmate verify names what is different"));
        }
        Ok(())
    }

    /// Refuses a database that the app is not in.
    pub fn check_users(&self) -> Result<(), Failure> {
        match self.owner {
            Some(_) => Ok(()),
            None => Err(Failure::refused(
                "the app is not in this database: there is no public.\"user\"",
            )
            .hint("look at the target line: is this the database you meant?")
            .hint("to see where it stands: markenmate status")),
        }
    }
}
