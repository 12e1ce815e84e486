//! The review of the audit log: who did what, what failed, what does not look right. What is in the archive
//! belongs to it.

pub mod anomalies;
pub mod metadata;
pub mod who;

use super::run::{fenced, refused_or_broken};
use crate::db::identifiers::literal;
use crate::db::session::{Session, set_local};
use crate::failure::Failure;

/// Which rows are reviewed.
#[derive(Debug, Clone)]
pub struct Scope {
    /// RFC 3339: from then on.
    pub since: String,
    /// Only this user's: an id, or an email address in any case.
    pub actor: Option<String>,
    /// Only this action.
    pub action: Option<String>,
    /// Whether there is an archive that may be read.
    pub archive: bool,
}

/// What a statement sees before its own text: `every` row there is, and `audit`, those in scope.
const EVERY: &str = include_str!("every.sql");
const ARCHIVED: &str = include_str!("archived.sql");

impl Scope {
    /// Why the archive cannot be read: a missing privilege, another shape. None where it can.
    ///
    /// # Errors
    /// What has nothing to do with the archive.
    pub async fn unreadable_archive(&self, session: &Session) -> Result<Option<String>, Failure> {
        let sql = format!("SELECT FROM ({}) a LIMIT 0", ARCHIVED.replacen("UNION ALL", "", 1));
        match fenced(session, "the archive", &sql).await {
            Ok(_) => Ok(None),
            Err(failure) => refused_or_broken(failure).map(|(_, reason)| Some(reason)),
        }
    }

    /// A statement about the rows in scope: `audit`, of `every`.
    pub(super) fn sql(&self, statement: &str) -> String {
        let archived = if self.archive { ARCHIVED } else { "" };
        EVERY.replace("/* the archive */", archived) + statement
    }

    /// What the statements look at, for the open transaction.
    pub(super) fn set(&self) -> String {
        let set =
            |name, value: &Option<String>| set_local(name, value.as_deref().unwrap_or_default());
        format!(
            "{}{}{}",
            set_local("since", &self.since),
            set("actor", &self.actor),
            set("action", &self.action)
        )
    }

    /// The same as a condition on a table's own columns, for reading it page by page.
    pub(super) fn condition(&self) -> String {
        // A time that is none is in every window; what is infinitely young is so already.
        let mut condition = format!(
            "(created_at >= {}::timestamptz OR created_at < '0001-01-01 00:00:00+00')",
            literal(&self.since)
        );
        if let Some(actor) = &self.actor {
            let actor = literal(actor);
            condition.push_str(&format!(
                " AND (user_id = {actor} OR user_id IN (SELECT u.id FROM public.\"user\" u \
                 WHERE lower(u.email) = lower({actor})))"
            ));
        }
        if let Some(action) = &self.action {
            condition.push_str(&format!(" AND action = {}", literal(action)));
        }
        condition
    }
}
