//! Which versions are taken back. Pure: decided from a survey, and again from another one under the lock.

use super::look::{Dependent, Look};
use crate::db::identifiers::quoted;
use crate::db::lock_mode::LockMode;
use crate::failure::Failure;
use crate::migrations::effects::{Effect, Table};
use crate::migrations::plan::{refuse, refuse_damage_or_denial};
use crate::migrations::registry::{self, Entry};
use crate::migrations::standing::{State, standing};
use crate::migrations::survey::{Survey, refuse_foreign};
use crate::report::{Finding, Severity};

/// What a run would take back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Back {
    /// The role that owns everything.
    pub owner: String,
    /// We have to become that role first.
    pub become_owner: bool,
    /// Versions of the tool's own schema to apply first.
    pub own: Vec<i32>,
    /// Versions, the newest first.
    pub revert: Vec<i32>,
}

/// What the versions have added to, in the order in which it is locked.
pub const TABLES: [&str; 5] = ["user", "token_lending", "app_log", "step_up_token", "audit_log"];

/// What of our own is written on the way.
const WRITTEN: [(&str, LockMode); 4] = [
    ("run", LockMode::RowExclusive),
    ("refinery_schema_history", LockMode::RowExclusive),
    ("set_aside", LockMode::RowExclusive),
    ("ledger", LockMode::ShareRowExclusive),
];

impl Back {
    /// The statement that makes us the owner, if it takes one.
    pub fn role(&self) -> String {
        match self.become_owner {
            true => format!("SET LOCAL ROLE {};", quoted(&self.owner)),
            false => String::new(),
        }
    }

    /// The migrations, the newest first.
    pub fn entries(&self) -> impl Iterator<Item = &'static Entry> + '_ {
        self.revert.iter().filter_map(|version| registry::find(*version))
    }

    /// What is done to the app's tables. The SQL of the way back is put together as it runs, so that its
    /// effects cannot be told from its text.
    pub fn effects(&self) -> Vec<Effect> {
        let reads = |table: &str| ["user", "token_lending", "app_log"].contains(&table);
        let effect = |table: &'static str| Effect {
            statement: format!("take back what was added to {table}"),
            table: Table { schema: "public".into(), name: table.into() },
            lock: LockMode::AccessExclusive,
            scans: u32::from(self.revert.contains(&2) && reads(table)),
            rewrites: false,
        };
        let own = |(name, lock): &(&str, LockMode)| Effect {
            statement: format!("record it in {name}"),
            table: Table { schema: "markenmate".into(), name: (*name).into() },
            lock: *lock,
            scans: 0,
            rewrites: false,
        };
        let written = match self.own.is_empty() {
            true => WRITTEN.as_slice(),
            false => &[],
        };
        written.iter().map(own).chain(self.locked_tables().into_iter().map(effect)).collect()
    }

    /// The app's tables that are locked, in the order in which the migrations lock them.
    pub fn locked_tables(&self) -> Vec<&'static str> {
        // The guards stand on all of them but one.
        let locked = |table: &&str| self.revert.contains(&2) || *table != "app_log";
        TABLES.into_iter().filter(locked).collect()
    }
}

/// Decides what brings the surveyed database back to `target`, or why nothing may be done.
pub fn decide(survey: &Survey, target: i32) -> Result<Back, Failure> {
    refuse_damage_or_denial(survey)?;
    let Some(catalogue) = &survey.catalogue else { return Ok(Back::default()) };
    let standing = standing(&survey.histories, catalogue);
    refuse(&standing, survey, "markenmate rollback")?;
    if standing.state == State::Pristine {
        return Err(refuse_foreign(survey, "take back"));
    }
    if standing.held > standing.recorded && standing.held > target {
        return Err(Failure::refused(format!(
            "version {} is in database {:?} and not in its history: nothing was changed",
            standing.held, survey.database
        ))
        .because("what is taken back is what is recorded")
        .hint("to record it: markenmate migrate; then: markenmate rollback"));
    }
    let has_own =
        |version: i32| survey.histories.own.iter().any(|row| row.number() == Some(version));
    let revert: Vec<i32> = (target + 1..=standing.recorded).rev().collect();
    if revert.is_empty() {
        return Ok(Back::default());
    }
    survey.rights.check("roll back", &survey.database)?;
    let owner = survey.rights.owner().to_owned();
    Ok(Back {
        become_owner: owner != survey.rights.user,
        owner,
        own: registry::OWN.iter().map(|e| e.version).filter(|v| !has_own(*v)).collect(),
        revert,
    })
}

/// What others hung on it is never dropped along.
pub fn refuse_dependents(dependents: &[Dependent]) -> Result<(), Failure> {
    if dependents.is_empty() {
        return Ok(());
    }
    let finding = |dependent: &Dependent| Finding {
        id: "dependent".into(),
        severity: Severity::Error,
        title: "Something of somebody else's hangs on what goes".into(),
        subject: format!("{} {}", dependent.what, dependent.subject),
        detail: "stands on a table or a column that is to be set aside; nothing is dropped along"
            .into(),
        remedy: dependent.remedy.clone(),
    };
    let what = "others have built on what would be taken back: nothing was changed";
    Err(Failure::refused(what)
        .hint("take each away as shown, then run the same command again")
        .with_findings(dependents.iter().map(finding).collect()))
}

fn refuse_homeless(database: &str, owner: &str) -> Failure {
    Failure::refused(
        "there is no schema markenmate_quarantine, and none may be made: nothing was changed",
    )
    .because(format!("role {owner:?} may not create schemas in database {database:?}"))
    .hint(format!(
        "as a superuser or the database's owner: GRANT CREATE ON DATABASE {} TO {};",
        quoted(database),
        quoted(owner)
    ))
}

/// What is kept has to be the owner's, who brings it back.
fn refuse_guest(owner: &str, kept_by: &str) -> Failure {
    Failure::refused("schema markenmate_quarantine belongs to another role: nothing was changed")
        .because(format!("it belongs to {kept_by:?}, and the app's tables to {owner:?}"))
        .hint(format!(
            "as {kept_by:?} or a superuser: ALTER SCHEMA markenmate_quarantine OWNER TO {};",
            quoted(owner)
        ))
}

/// The whole plan, dependents included.
pub fn plan(look: &Look, target: i32) -> Result<Back, Failure> {
    let back = decide(&look.survey, target)?;
    if !back.revert.is_empty() {
        refuse_dependents(&look.dependents)?;
        if look.homeless {
            return Err(refuse_homeless(&look.survey.database, &back.owner));
        }
        if let Some(kept_by) = look.kept_by.as_ref().filter(|kept_by| **kept_by != back.owner) {
            return Err(refuse_guest(&back.owner, kept_by));
        }
    }
    Ok(back)
}
