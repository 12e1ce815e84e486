//! What does not look right in an audit log, one line each.

use tokio_postgres::SimpleQueryRow;

use crate::db::session::Session;
use crate::failure::Failure;
use crate::report::{Finding, Severity};
use crate::tools::shell;

use super::super::run::fenced;
use super::Scope;

/// Something to look for.
#[derive(Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// The same in every version of this tool.
    pub id: &'static str,
    /// What it is.
    pub title: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
    /// The rest of a statement that returns `(actor, email, detail)` where it is about somebody, else
    /// `(object, detail)`; no rows: there is nothing of it. Before it stands `WITH every …, audit …`, to which it
    /// may add.
    pub sql: &'static str,
}

const ASK: &str = "ask the person whether it was them; if not: markenmate admin revoke-sessions, and a new password";

/// All of them. A test holds this list and the folder equal.
#[rustfmt::skip]
pub static ALL: [Anomaly; 9] = [
    Anomaly { id: "not-admin", title: "Somebody who is no admin now did what admins do", remedy: "was the role taken away on purpose? What they did: markenmate stats audit --actor {actor}", sql: include_str!("not_admin.sql") },
    Anomaly { id: "own-role", title: "Somebody changed their own role, which the application refuses", remedy: "was it done past the application? markenmate verify --only last-admin-guard,master-admin-guard", sql: include_str!("own_role.sql") },
    Anomaly { id: "no-step-up", title: "A role was changed without a step-up", remedy: "is an application at work that does not ask for one? markenmate verify --only step-up-guard,step-up-tokens", sql: include_str!("no_step_up.sql") },
    Anomaly { id: "failure-burst", title: "Many failures in a short time", remedy: ASK, sql: include_str!("failure_burst.sql") },
    Anomaly { id: "guessed", title: "A step-up succeeded after many that failed", remedy: ASK, sql: include_str!("guessed.sql") },
    Anomaly { id: "no-correlation-id", title: "Rows that belong to no action", remedy: "is an older application at work? markenmate verify --only correlation-ids", sql: include_str!("no_correlation_id.sql") },
    Anomaly { id: "no-action", title: "Rows that do not say what was done", remedy: "who wrote them, if not the application?", sql: include_str!("no_action.sql") },
    Anomaly { id: "no-time", title: "Rows whose time is none", remedy: "who wrote them, if not the application? what is infinitely young is never moved into the archive", sql: include_str!("no_time.sql") },
    Anomaly { id: "to-come", title: "Rows of a time to come", remedy: "does the clock of the server, or of the application's host, run ahead?", sql: include_str!("to_come.sql") },
];

/// Something that was found, and about whom or what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// As people read it: its subject is an email address, an id or an object.
    pub finding: Finding,
    /// A user's id.
    pub actor: Option<String>,
    /// None where the user is gone, too.
    pub email: Option<String>,
    /// A table or a column, where it is about nobody.
    pub object: Option<String>,
}

impl Anomaly {
    fn found(&self, row: &SimpleQueryRow) -> Found {
        let text = |name| row.try_get(name).ok().flatten().map(str::to_owned);
        let [actor, email, object] = ["actor", "email", "object"].map(text);
        let subject = email.as_ref().or(actor.as_ref()).or(object.as_ref());
        let finding = Finding {
            id: self.id.into(),
            severity: Severity::Warning,
            title: self.title.into(),
            subject: subject.cloned().unwrap_or_default(),
            detail: text("detail").unwrap_or_default(),
            remedy: self
                .remedy
                .replace("{actor}", &actor.as_deref().map_or("ID".into(), shell::word)),
        };
        Found { finding, actor, email, object }
    }
}

/// Looks for all of them, in the open transaction. Changes nothing.
///
/// # Errors
/// What the server says.
pub async fn find(session: &Session, scope: &Scope) -> Result<Vec<Found>, Failure> {
    let mut found = Vec::new();
    for anomaly in &ALL {
        let rows = fenced(session, anomaly.id, &scope.sql(anomaly.sql)).await?;
        found.extend(rows.iter().map(|row| anomaly.found(row)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn list_and_folder_are_equal() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/stats/audit");
        let names = std::fs::read_dir(folder).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let files: BTreeSet<String> = names
            .filter_map(|name| name.strip_suffix(".sql").map(str::to_owned))
            .filter(|stem| !["every", "archived", "who", "page", "actor"].contains(&stem.as_str()))
            .collect();
        let listed: BTreeSet<String> =
            ALL.iter().map(|anomaly| anomaly.id.replace('-', "_")).collect();
        assert_eq!(files, listed);
    }
}
