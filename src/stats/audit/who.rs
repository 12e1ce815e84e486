//! Who did what, and how often it failed.

use serde::Serialize;
use tokio_postgres::SimpleQueryRow;

use crate::db::session::Session;
use crate::failure::Failure;

use super::super::run::fenced;
use super::Scope;

/// What one user did of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deed {
    /// The user's id, as the row has it.
    pub actor: String,
    /// None: there is no such user any more.
    pub email: Option<String>,
    /// As it is now; none where the user is gone.
    pub role: Option<String>,
    /// As the row has it.
    pub action: String,
    /// How many rows.
    pub count: u64,
    /// How many of these are in the archive.
    pub archived: u64,
    /// When it was first done: RFC 3339; none where no row has a time that is one.
    pub first: Option<String>,
    /// When it was last done, likewise.
    pub last: Option<String>,
}

/// What failed of what one user tried.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rate {
    /// The user's id.
    pub actor: String,
    /// None: there is no such user any more.
    pub email: Option<String>,
    /// Step-ups that failed.
    pub step_up_failures: u64,
    /// All of them.
    pub step_ups: u64,
    /// From 0 to 1; none where there were none.
    pub step_up_rate: Option<f64>,
    /// Changes of roles that were refused.
    pub role_failures: u64,
    /// All of them.
    pub role_changes: u64,
    /// From 0 to 1; none where there were none.
    pub role_rate: Option<f64>,
}

/// Whether an action is one that failed, by the application's words for it.
pub fn is_failure(action: &str) -> bool {
    is_step_up_failure(action) || action.starts_with("AUTHZ_FAILURE")
}

fn is_step_up_failure(action: &str) -> bool {
    action == "STEP_UP_AUTH_FAILURE"
}

fn is_role_failure(action: &str) -> bool {
    action.strip_prefix("AUTHZ_FAILURE_").is_some_and(|rest| rest.contains("ROLE"))
}

/// Reads it, ordered by actor, in the open transaction. Changes nothing.
///
/// # Errors
/// What the server says.
pub async fn read(session: &Session, scope: &Scope) -> Result<Vec<Deed>, Failure> {
    session.run("cannot review the audit log", &scope.set()).await?;
    let rows = fenced(session, "the audit log", &scope.sql(include_str!("who.sql"))).await?;
    Ok(rows.iter().map(deed).collect())
}

/// Whether the actor that is asked for is a user, or that of any row there is, be it out of scope.
///
/// # Errors
/// What the server says.
pub async fn knows_actor(session: &Session, scope: &Scope) -> Result<bool, Failure> {
    let rows = fenced(session, "the actor", &scope.sql(include_str!("actor.sql"))).await?;
    Ok(rows.first().and_then(|row| row.get(0)) == Some("t"))
}

fn deed(row: &SimpleQueryRow) -> Deed {
    let text = |name| row.get(name).map(str::to_owned);
    let number = |name| row.get(name).and_then(|n| n.parse().ok()).unwrap_or_default();
    Deed {
        actor: text("actor").unwrap_or_default(),
        email: text("email"),
        role: text("role"),
        action: text("action").unwrap_or_default(),
        count: number("count"),
        archived: number("archived"),
        first: text("first"),
        last: text("last"),
    }
}

/// What failed, of those who tried at all; the most failures first.
pub fn rates(deeds: &[Deed]) -> Vec<Rate> {
    let rate = |of: &[Deed]| {
        let count = |which: fn(&str) -> bool| -> u64 {
            of.iter().filter(|deed| which(&deed.action)).map(|deed| deed.count).sum()
        };
        let step_up_failures = count(is_step_up_failure);
        let step_ups = step_up_failures + count(|action| action == "STEP_UP_AUTH_SUCCESS");
        let role_failures = count(is_role_failure);
        let role_changes = role_failures + count(|action| action == "CHANGE_ROLE");
        let part = |some: u64, all: u64| (all > 0).then(|| some as f64 / all as f64);
        let first = of.first()?;
        Some(Rate {
            actor: first.actor.clone(),
            email: first.email.clone(),
            step_up_failures,
            step_ups,
            step_up_rate: part(step_up_failures, step_ups),
            role_failures,
            role_changes,
            role_rate: part(role_failures, role_changes),
        })
    };
    let mut rates: Vec<_> = deeds
        .chunk_by(|a, b| a.actor == b.actor)
        .filter_map(rate)
        .filter(|rate| rate.step_ups + rate.role_changes > 0)
        .collect();
    rates.sort_by_key(|rate| std::cmp::Reverse(rate.step_up_failures + rate.role_failures));
    rates
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deed(actor: &str, action: &str, count: u64) -> Deed {
        Deed {
            actor: actor.into(),
            email: None,
            role: None,
            action: action.into(),
            count,
            archived: 0,
            first: None,
            last: None,
        }
    }

    #[test]
    fn rates_are_of_what_was_tried() {
        let deeds = [
            deed("a", "STEP_UP_AUTH_SUCCESS", 3),
            deed("a", "STEP_UP_AUTH_FAILURE", 1),
            deed("b", "LENDING_CREATE", 9),
            deed("c", "CHANGE_ROLE", 2),
            deed("c", "AUTHZ_FAILURE_TOGGLE_ADMIN_ROLE", 6),
            deed("c", "AUTHZ_FAILURE_OTHER", 1),
        ];
        let rates = rates(&deeds);
        let seen: Vec<_> = rates
            .iter()
            .map(|r| (r.actor.as_str(), r.step_up_rate, r.role_rate, r.role_failures))
            .collect();
        assert_eq!(seen, [("c", None, Some(0.75), 6), ("a", Some(0.25), None, 0)]);
    }
}
