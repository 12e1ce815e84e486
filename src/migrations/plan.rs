//! Which migrations are adopted and which are applied. Pure: decided from a survey, and again from
//! another one under the lock.

use crate::db::identifiers::{identifier, quoted};
use crate::db::{history, ledger};
use crate::failure::Failure;

use super::back::returning::Kept;
use super::back::{lost, parts};
use super::effects::{Effect, effects};
use super::mending;
use super::registry::{self, Entry, OwnEntry};
use super::standing::{Standing, State, standing};
use super::survey::{History, Master, Survey, refuse_damage};

/// What a run would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Work {
    /// The role that will own everything.
    pub owner: String,
    /// We have to become that role first.
    pub become_owner: bool,
    /// Schema `markenmate` has to be made; by ourselves where we may, else by the owner.
    pub create_schema: Option<SchemaBy>,
    /// Versions of the tool's own schema to apply.
    pub own: Vec<i32>,
    /// Versions found in the database, to be recorded and never run.
    pub adopt: Vec<i32>,
    /// Versions to apply.
    pub apply: Vec<i32>,
    /// What was set aside and returns.
    pub returns: Vec<Kept>,
}

/// Who creates schema `markenmate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaBy {
    /// The connected role, for the owner.
    Ourselves,
    /// The owner.
    Owner,
}

impl Work {
    /// The statement that makes us the owner, if it takes one.
    pub fn role(&self) -> String {
        match self.become_owner {
            true => format!("SET LOCAL ROLE {};", quoted(&self.owner)),
            false => String::new(),
        }
    }

    /// Nothing to do.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty()
            && self.adopt.is_empty()
            && self.apply.is_empty()
            && self.returns.is_empty()
    }

    /// The migrations to apply.
    pub fn entries(&self) -> impl Iterator<Item = &'static Entry> + '_ {
        self.apply.iter().filter_map(|version| registry::find(*version))
    }

    /// The migrations to record.
    pub fn adopted(&self) -> impl Iterator<Item = &'static Entry> + '_ {
        self.adopt.iter().filter_map(|version| registry::find(*version))
    }

    /// The tool's own migrations to apply.
    pub fn own_entries(&self) -> impl Iterator<Item = &'static OwnEntry> + '_ {
        registry::OWN.iter().filter(|entry| self.own.contains(&entry.version))
    }

    /// What is done to tables that are in use, in order.
    pub fn effects(&self) -> Vec<Effect> {
        if self.is_empty() {
            return Vec::new();
        }
        let own = self.own_entries().map(|entry| entry.sql);
        let apply = self.entries().map(|entry| entry.sql);
        let (kept, beside) = (self.written_by_us(), self.written_for_returns());
        let between = [kept.as_str(), beside.as_str()];
        let texts = own.chain(between).chain(apply).chain([ledger::LOCK]);
        // A statement whose effect cannot be told is caught by a test.
        effects(texts).unwrap_or_default()
    }

    /// What we write of our own beside the ledger: where it is another's, all of it is locked for a look at it.
    fn written_by_us(&self) -> String {
        if self.own.contains(&1) {
            return String::new();
        }
        let there = registry::OWN.iter().filter(|entry| !self.own.contains(&entry.version));
        let mut names: Vec<&str> = match self.become_owner {
            true => there.flat_map(mending::makes).collect(),
            false if self.returns.is_empty() => vec!["run"],
            false => vec!["run", "set_aside"],
        };
        names.extend([history::APP]);
        names.iter().map(|name| writes("markenmate", name)).collect()
    }

    /// What returns is written, and where others own the tables those are locked with them that hang on them by a
    /// key.
    fn written_for_returns(&self) -> String {
        if self.returns.is_empty() {
            return String::new();
        }
        let mut tables: Vec<&str> = self.returns.iter().map(|kept| kept.table.as_str()).collect();
        if self.become_owner {
            tables.extend(parts::locked_with());
        }
        tables.sort_unstable();
        tables.dedup();
        tables.retain(|table| {
            !self.entries().any(|entry| {
                entry.adds_table(table) && entry.contract().tables.contains_key(*table)
            })
        });
        tables.iter().map(|table| writes("public", table)).collect()
    }

    /// The whole application is built into an empty database.
    pub fn builds_everything(&self) -> bool {
        self.apply.first() == Some(&1)
    }
}

fn writes(schema: &str, table: &str) -> String {
    format!("LOCK TABLE {schema}.{} IN ROW EXCLUSIVE MODE;", quoted(table))
}

/// Decides what brings the surveyed database to `target`, or why nothing may be done.
pub fn decide(survey: &Survey, target: i32) -> Result<Work, Failure> {
    refuse_damage_or_denial(survey)?;
    let Some(catalogue) = &survey.catalogue else {
        // The short look finds only databases at the latest version.
        return refuse_down(registry::latest(), target).map(|()| Work::default());
    };
    let standing = standing(&survey.histories, catalogue);
    refuse(&standing, survey, "markenmate migrate")?;
    refuse_down(standing.recorded, target)?;
    let at = standing.held;
    let has_own =
        |version: i32| survey.histories.own.iter().any(|row| row.number() == Some(version));
    let mut work = Work {
        adopt: (standing.recorded + 1..=at.min(target)).collect(),
        apply: (at + 1..=target).collect(),
        own: registry::OWN.iter().map(|e| e.version).filter(|v| !has_own(*v)).collect(),
        returns: survey.kept.iter().filter(|kept| kept.version <= target).cloned().collect(),
        ..Work::default()
    };
    if work.is_empty() {
        return Ok(work);
    }
    refuse_lost(&work.returns)?;
    if work.builds_everything() {
        refuse_foreign(&survey.database)?;
    }
    if work.apply.contains(&registry::GUARDS) {
        refuse_masters(&survey.masters)?;
    }
    survey.rights.check("migrate", &survey.database)?;
    work.owner = survey.rights.owner().to_owned();
    work.become_owner = work.owner != survey.rights.user;
    work.create_schema = match (&survey.rights.own_schema_owner, survey.rights.user_creates_schemas)
    {
        (Some(_), _) => None,
        (None, true) => Some(SchemaBy::Ourselves),
        (None, false) => Some(SchemaBy::Owner),
    };
    Ok(work)
}

/// Nothing is done where the history cannot be read, or is not to be trusted.
pub(super) fn refuse_damage_or_denial(survey: &Survey) -> Result<(), Failure> {
    match &survey.history {
        History::Known => Ok(()),
        History::Damaged(damage) => Err(refuse_damage(damage)),
        History::Denied => Err(Failure::refused(format!(
            "role {:?} may not read the history in schema markenmate",
            survey.rights.user
        ))
        .hint(format!(
            "connect as {}, who owns the app's tables, or have somebody grant what markenmate util grants prints",
            identifier(survey.rights.owner())
        ))),
    }
}

fn refuse_down(recorded: i32, target: i32) -> Result<(), Failure> {
    if target >= recorded {
        return Ok(());
    }
    Err(Failure::refused(format!(
        "the database is at version {recorded}; migrate only goes up, not to {target}"
    ))
    .hint(format!("to take it back: markenmate rollback --to {target}")))
}

/// Refuses a database whose history and catalogue do not agree.
pub(super) fn refuse(standing: &Standing, survey: &Survey, command: &str) -> Result<(), Failure> {
    let (message, hint) = match standing.state {
        State::Newer => {
            ("was migrated by a newer markenmate", "use that version, or a newer one".to_owned())
        }
        // Not even the oldest version is whole.
        State::Partial if standing.held == 0 => (
            "holds part of the application's schema, or something else under its names: nothing was changed",
            format!(
                "is it the right database? If so, mend each difference as shown, then run {command} again"
            ),
        ),
        State::Partial => (
            "is half-migrated: nothing was changed",
            format!(
                "mend each difference as shown, then run markenmate migrate{}: what is there is adopted",
                if command == "markenmate migrate" { " again" } else { "" }
            ),
        ),
        State::Drifted => (
            "differs from what its migration history records: nothing was changed",
            format!("mend each difference as shown, then run {command} again"),
        ),
        _ => return Ok(()),
    };
    let mut failure =
        Failure::refused(format!("database {:?} {message}", survey.database)).hint(hint);
    if standing.state != State::Newer {
        failure = failure.hint(
            "the app waits behind an ALTER TABLE that waits: SET lock_timeout = '50ms'; before it, and try again",
        );
    }
    if standing.state == State::Drifted
        && standing.findings.iter().any(|f| f.id == "drift" && f.detail.starts_with("missing"))
    {
        failure = failure.because(
            "a start of the old application drops what it does not know: deploy the new one first",
        );
    }
    let mut keys = standing.findings.iter().filter(|f| f.subject.starts_with("constraint "));
    if keys.any(|f| KEYS.iter().any(|key| f.remedy.contains(key))) {
        failure = failure.hint(
            "where a key cannot be made, or not be validated, over rows that point to nothing, set those aside first: \
             markenmate cleanup orphans",
        );
    }
    let mut findings = standing.findings.clone();
    mending::to_paste(&mut findings, &survey.conninfo);
    Err(failure.with_findings(findings))
}

/// What makes a key hold for all rows.
const KEYS: [&str; 2] = ["FOREIGN KEY", "VALIDATE CONSTRAINT"];

/// Nothing is taken for returned that somebody dropped.
fn refuse_lost(returns: &[Kept]) -> Result<(), Failure> {
    let Some(finding) = lost::lost(returns) else { return Ok(()) };
    Err(Failure::refused("something that a rollback kept is gone: nothing was changed")
        .because(&finding.detail)
        .hint(format!("to go on without it: {}", finding.remedy))
        .hint("where a backup has it: put it back first, under the same name")
        .with_findings(vec![finding]))
}

/// The guards are not put up around what they forbid: more than one master admin, or one without the role.
fn refuse_masters(masters: &[Master]) -> Result<(), Failure> {
    let message = match masters {
        [] => return Ok(()),
        [master] if master.role == "admin" => return Ok(()),
        [_] => "the master admin is no admin: nothing was changed",
        _ => "there is more than one master admin: nothing was changed",
    };
    let named = masters.iter().fold(Failure::refused(message), Failure::because);
    let hint = match masters {
        [_] => {
            "one admin is to have it: markenmate set-master-admin USER --transfer --break-glass --reason TEXT"
        }
        _ => {
            "one of them is to stay, on the word of one: markenmate set-master-admin USER --transfer --as ONE_OF_THEM"
        }
    };
    Err(named.hint(hint))
}

/// The server's own databases are nobody's application.
pub fn is_servers_own(database: &str) -> bool {
    database == "postgres" || database.starts_with("template")
}

fn refuse_foreign(database: &str) -> Result<(), Failure> {
    if is_servers_own(database) {
        return Err(Failure::refused(format!(
            "{database:?} is one of the server's own databases: the application is not built into it"
        ))
        .hint("name the application's database, for example: -d markenmate")
        .hint("to make one: CREATE DATABASE markenmate;"));
    }
    Ok(())
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
