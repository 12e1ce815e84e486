//! Who the server is and who we are to it, and whether that will do.

use std::borrow::Cow;

use tokio_postgres::SimpleQueryRow;

use crate::failure::Failure;

use super::identifiers::identifier;
use super::session::Rows;

/// The statement to ask where there is a history that we may not read.
pub const UNREAD: &str = include_str!("unread.sql");

/// The statement that reads the timeline of a primary's write-ahead log.
pub const TIMELINE: &str = include_str!("timeline.sql");

/// The statement that reads [`Facts`] as one row, with or without the cluster's name, for which a
/// privilege is needed.
pub fn sql(with_identifier: bool) -> Cow<'static, str> {
    const SQL: &str = include_str!("facts.sql");
    match with_identifier {
        true => SQL.into(),
        false => SQL.replace("(pg_control_system()).system_identifier::text", "NULL").into(),
    }
}

/// The oldest and the newest major version this tool was tested on.
pub const SUPPORTED_MAJORS: std::ops::RangeInclusive<u32> = 13..=18;

/// Who the server is and who we are to it.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The database's name as the server has it.
    pub database: String,
    /// The role that runs our statements.
    pub user: String,
    /// As printed by the server.
    pub server_version: String,
    /// For comparisons: 150018.
    pub server_version_num: u32,
    /// Names the cluster; none where the role may not read it.
    pub system_identifier: Option<String>,
    /// In recovery: nothing can be written here.
    pub standby: bool,
    /// `default_transaction_read_only` holds for this role or database.
    pub read_only: bool,
    /// The role is a superuser.
    pub superuser: bool,
    /// The tool's history exists.
    pub has_history: bool,
    /// The role may read it.
    pub reads_history: bool,
    /// Both its tables belong to the very role that we are: what runs when we look is our own.
    pub is_history_owner: bool,
    /// Who may read it, where we may not as ourselves but may become that role.
    pub history_owner: Option<String>,
    /// The server can be told to expand no view: 13.16, 14.13, 15.8, 16.4, 17.0 and later.
    pub restricts_views: bool,
}

impl Facts {
    /// Reads them from what a batch answered whose last statement was [`sql`].
    pub fn of(sets: &[Rows], what: &str) -> Result<Self, Failure> {
        let row = sets.last().and_then(|rows| rows.first());
        row.and_then(Self::read).ok_or_else(|| {
            Failure::unexpected(what).because("the server gave no facts about itself")
        })
    }

    /// Reads the answer to [`sql`].
    fn read(row: &SimpleQueryRow) -> Option<Self> {
        Some(Self {
            database: row.get("database")?.to_owned(),
            user: row.get("user")?.to_owned(),
            server_version: row.get("server_version")?.to_owned(),
            server_version_num: row.get("server_version_num")?.parse().ok()?,
            system_identifier: row.get("system_identifier").map(str::to_owned),
            standby: row.get("standby")? == "t",
            read_only: row.get("read_only")? == "on",
            superuser: row.get("superuser")? == "on",
            has_history: row.get("has_history")? == "t",
            reads_history: row.get("reads_history")? == "t",
            is_history_owner: row.get("is_history_owner")? == "t",
            history_owner: None,
            restricts_views: row.get("restricts_views")? == "t",
        })
    }

    /// Adds the answer to [`UNREAD`].
    pub fn learn(&mut self, sets: &[Rows]) {
        let row = sets.last().and_then(|rows| rows.first());
        self.has_history = row.is_some_and(|row| row.get("has_history") == Some("t"));
        self.history_owner = row.and_then(|row| row.get("owner")).map(str::to_owned);
    }

    /// A version this tool was tested on.
    pub fn is_supported(&self) -> bool {
        SUPPORTED_MAJORS.contains(&(self.server_version_num / 10_000))
    }

    /// Refuses servers this tool was never tested on.
    pub fn check_version(&self) -> Result<(), Failure> {
        check_version(self.server_version_num, &self.server_version)
    }

    /// Refuses to write where nothing can be written.
    pub fn check_writable(&self) -> Result<(), Failure> {
        if self.standby {
            return Err(Failure::refused("this server is a standby: nothing can be written here")
                .hint("connect to the primary, for example with target_session_attrs=read-write")
                .hint("`markenmate status` and `markenmate verify` work on a standby"));
        }
        if self.read_only {
            let (user, database) = (identifier(&self.user), identifier(&self.database));
            return Err(Failure::refused(format!(
                "role {user} may only read database {database}: default_transaction_read_only is on"
            ))
            .hint(
                "connect as a role that may write (-U ROLE); where that was not meant, in psql \\drds shows \
                 whose setting it is",
            )
            .hint(format!(
                "the role's: ALTER ROLE {user} RESET default_transaction_read_only;"
            ))
            .hint(format!(
                "the database's: ALTER DATABASE {database} RESET default_transaction_read_only;"
            )));
        }
        Ok(())
    }
}

fn check_version(number: u32, printed: &str) -> Result<(), Failure> {
    let major = number / 10_000;
    if SUPPORTED_MAJORS.contains(&major) {
        return Ok(());
    }
    let failure =
        Failure::refused(format!("PostgreSQL {printed} is not supported")).because(format!(
            "this version of markenmate was tested on PostgreSQL {} to {}",
            SUPPORTED_MAJORS.start(),
            SUPPORTED_MAJORS.end()
        ));
    Err(if major < *SUPPORTED_MAJORS.start() {
        failure.hint("upgrade the server first: its major version gets no more fixes")
    } else {
        failure.hint("use a newer version of markenmate")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_outside_the_tested_range_are_refused() {
        assert!(check_version(130_000, "13.0").is_ok());
        assert!(check_version(180_004, "18.4").is_ok());
        let old = check_version(120_022, "12.22").err().map(|f| f.kind.exit_code());
        assert_eq!(old, Some(4));
        assert!(check_version(190_000, "19beta1").is_err());
    }
}
