//! On whose behalf the schema is changed, and whether we may. Everything missing is found before
//! anything is done, and said at once.

use tokio_postgres::SimpleQueryRow;

use crate::db::identifiers::identifier;
use crate::failure::Failure;
use crate::report::{Finding, Severity};

/// The statement that reads [`Rights`] as one row.
pub const SQL: &str = include_str!("rights.sql");

/// What the role may do, and for whom it would do it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    /// The role that runs our statements.
    pub user: String,
    /// The owner of `public."user"`; none in a database without the app.
    pub table_owner: Option<String>,
    /// The owner of the database.
    pub database_owner: String,
    /// We may `SET ROLE` to the tables' owner.
    pub becomes_table_owner: bool,
    /// We may `SET ROLE` to the database's owner.
    pub becomes_database_owner: bool,
    /// We may create schemas in the database.
    pub user_creates_schemas: bool,
    /// The tables' owner may.
    pub table_owner_creates_schemas: bool,
    /// We may create tables in `public`.
    pub user_creates_in_public: bool,
    /// The tables' owner may.
    pub table_owner_creates_in_public: bool,
    /// The database's owner may.
    pub database_owner_creates_in_public: bool,
    /// The owner of schema `markenmate`, if there is one.
    pub own_schema_owner: Option<String>,
    /// A `public.audit_log_archive` that somebody made by following the guide.
    pub guide_archive: Option<String>,
    /// Tells the database from a later one of the same name.
    pub database_oid: u32,
    /// There is something in `public."user"`, or was.
    pub holds_users: bool,
    /// Tables that ways back have set aside.
    pub set_aside: u32,
    /// Those among them that `cleanup orphans` has set aside.
    pub orphans_aside: u32,
    /// Databases of the server that are named like those into which is restored.
    pub restoring: u32,
    /// Event triggers that run along with our statements, by name.
    pub event_triggers: Option<String>,
    /// Databases of the server that are named like those that a restore keeps.
    pub before_restore: u32,
    /// Tables and views of something else, the first few by name, in a database without the app.
    pub others: Option<String>,
}

impl Rights {
    /// Reads the answer to [`SQL`].
    pub fn from_row(row: &SimpleQueryRow) -> Self {
        let text = |name| row.get(name).map(str::to_owned);
        let yes = |name| row.get(name) == Some("t");
        Self {
            user: text("user").unwrap_or_default(),
            table_owner: text("table_owner"),
            database_owner: text("database_owner").unwrap_or_default(),
            becomes_table_owner: yes("becomes_table_owner"),
            becomes_database_owner: yes("becomes_database_owner"),
            user_creates_schemas: yes("user_creates_schemas"),
            table_owner_creates_schemas: yes("table_owner_creates_schemas"),
            user_creates_in_public: yes("user_creates_in_public"),
            table_owner_creates_in_public: yes("table_owner_creates_in_public"),
            database_owner_creates_in_public: yes("database_owner_creates_in_public"),
            own_schema_owner: text("own_schema_owner"),
            guide_archive: text("guide_archive"),
            database_oid: row
                .get("database_oid")
                .and_then(|oid| oid.parse().ok())
                .unwrap_or_default(),
            holds_users: yes("holds_users"),
            set_aside: row
                .get("set_aside")
                .and_then(|count| count.parse().ok())
                .unwrap_or_default(),
            orphans_aside: row
                .get("orphans_aside")
                .and_then(|count| count.parse().ok())
                .unwrap_or_default(),
            restoring: row
                .get("restoring")
                .and_then(|count| count.parse().ok())
                .unwrap_or_default(),
            event_triggers: text("event_triggers"),
            before_restore: row
                .get("before_restore")
                .and_then(|count| count.parse().ok())
                .unwrap_or_default(),
            others: text("others").filter(|names| !names.is_empty()),
        }
    }

    /// The role to which everything will belong: the owner of the app's tables; in an empty
    /// database its owner, where we may act for it, else ourselves.
    pub fn owner(&self) -> &str {
        match &self.table_owner {
            Some(owner) => owner,
            None if self.becomes_database_owner => &self.database_owner,
            None => &self.user,
        }
    }

    /// Everything that is missing, each with the statement that grants it.
    pub fn missing(&self, database: &str) -> Vec<Finding> {
        let (user, owner) = (identifier(&self.user), identifier(self.owner()));
        let mut found = Vec::new();
        let mut lacks = |subject: &str, detail: String, remedy: String| {
            found.push(Finding {
                id: "privilege".into(),
                severity: Severity::Error,
                title: "A privilege is missing".into(),
                subject: subject.into(),
                detail,
                remedy,
            });
        };
        if self.table_owner.is_some() && !self.becomes_table_owner {
            lacks(
                "role membership",
                format!(
                    "role {user} is neither {owner}, who owns the app's tables, nor a member of it"
                ),
                format!("GRANT {owner} TO {user};  -- or connect as {owner}: -U {owner}"),
            );
        }
        if self.own_schema_owner.is_none()
            && !self.user_creates_schemas
            && !(self.becomes_table_owner && self.table_owner_creates_schemas)
        {
            lacks(
                "database",
                if user == owner {
                    format!("role {owner} may not create the schema markenmate in the database")
                } else {
                    format!(
                        "neither {user} nor {owner} may create the schema markenmate in the database"
                    )
                },
                format!("GRANT CREATE ON DATABASE {} TO {owner};", identifier(database)),
            );
        }
        if !self.owner_creates_in_public() {
            lacks(
                "schema public",
                format!("{owner} may not create tables in schema public"),
                format!("GRANT USAGE, CREATE ON SCHEMA public TO {owner};"),
            );
        }
        if let Some(schema_owner) = self.own_schema_owner.as_deref()
            && schema_owner != self.owner()
        {
            lacks(
                "schema markenmate",
                format!(
                    "schema markenmate belongs to {}, the app's tables to {owner}",
                    identifier(schema_owner)
                ),
                format!("ALTER SCHEMA markenmate OWNER TO {owner};  -- and of the tables in it"),
            );
        }
        found
    }

    fn owner_creates_in_public(&self) -> bool {
        match &self.table_owner {
            Some(_) => self.table_owner_creates_in_public,
            None if self.becomes_database_owner => self.database_owner_creates_in_public,
            None => self.user_creates_in_public,
        }
    }

    /// Refuses what `verb` says, naming all that is missing in one message.
    pub fn check(&self, verb: &str, database: &str) -> Result<(), Failure> {
        let missing = self.missing(database);
        if missing.is_empty() {
            return Ok(());
        }
        let mut failure = Failure::refused(format!(
            "role {} may not {verb} this database",
            identifier(&self.user)
        ));
        for finding in &missing {
            failure = failure.because(&finding.detail).hint(&finding.remedy);
        }
        Err(failure
            .hint("the whole set for an operator and for a reader: markenmate util grants")
            .with_findings(missing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stranger() -> Rights {
        Rights {
            user: "ops".into(),
            table_owner: Some("app".into()),
            database_owner: "postgres".into(),
            ..Rights::default()
        }
    }

    #[test]
    fn a_stranger_is_told_everything_at_once() {
        let found = stranger().missing("m");
        let subjects: Vec<&str> = found.iter().map(|f| f.subject.as_str()).collect();
        assert_eq!(subjects, ["role membership", "database", "schema public"]);
        assert!(
            stranger()
                .check("migrate", "m")
                .is_err_and(|f| f.kind.exit_code() == 4 && f.findings.len() == 3)
        );
    }

    #[test]
    fn a_member_of_an_owner_who_may_create_lacks_nothing() {
        let rights = Rights {
            becomes_table_owner: true,
            table_owner_creates_schemas: true,
            table_owner_creates_in_public: true,
            ..stranger()
        };
        assert_eq!(rights.missing("m"), []);
        assert_eq!(rights.owner(), "app");
    }
}
