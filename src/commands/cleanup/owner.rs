//! Whose the database is, and what it must have before anything is cleaned up.

use crate::db::identifiers::quoted;
use crate::failure::Failure;
use crate::migrations::survey::{History, Survey, refuse_damage, refuse_foreign};
use crate::migrations::{registry, setup};

/// What makes us the owner, if it takes that; and whether schema `markenmate` is to be brought up to date first, which
/// only happens where `may_set_up`.
///
/// # Errors
/// Refused (4): the tool's own schema is not there yet; the tables are not ours.
pub(super) fn role(survey: &Survey, may_set_up: bool) -> Result<(String, bool), Failure> {
    match &survey.history {
        History::Known => {}
        History::Damaged(damage) => return Err(refuse_damage(damage)),
        History::Denied => {
            return Err(Failure::refused(format!(
                "role {} may not read the history",
                survey.rights.user
            ))
            .hint(format!("connect as {}, or as a member of that role", survey.rights.owner())));
        }
    }
    if survey.rights.table_owner.is_none() {
        return Err(refuse_foreign(survey, "clean up"));
    }
    let own = survey.histories.own.iter().filter_map(|row| row.number()).max().unwrap_or_default();
    let sets_up = own < registry::CLEANUP;
    if sets_up && may_set_up {
        setup::decide(survey)?;
    } else if sets_up {
        return Err(Failure::refused("there is no archive in this database yet")
            .because(
                "what is cleaned up goes into schema markenmate, which migrate brings up to date",
            )
            .hint("markenmate migrate"));
    }
    let rights = &survey.rights;
    match rights.owner() == rights.user {
        true => Ok((String::new(), sets_up)),
        false if rights.becomes_table_owner => {
            Ok((format!("SET LOCAL ROLE {};", quoted(rights.owner())), sets_up))
        }
        false => Err(Failure::refused(format!("the tables belong to {}", rights.owner()))
            .hint(format!("connect as {}, or as a member of that role", rights.owner()))),
    }
}
