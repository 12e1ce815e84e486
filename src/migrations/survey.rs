//! What there is to see in a database before its migrations are planned.

use crate::db::catalogue::{self, Catalogue, Own};
use crate::db::facts::Facts;
use crate::db::foreign;
use crate::db::history::{self, Histories};
use crate::db::identifiers::quoted;
use crate::db::locks::{self, Holder};
use crate::db::session::{Mode, Rows, Session, Timeouts};
use crate::failure::Failure;

use super::back::returning::{self, Kept};
use super::registry::{self, Entry};
use super::rights::{self, Rights};

/// Everything planning needs.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// The database's name.
    pub database: String,
    /// What psql takes for `-d` to reach it.
    pub conninfo: String,
    /// Both histories; empty where there are none.
    pub histories: Histories,
    /// Whether that is all there is to know.
    pub history: History,
    /// Schema `public`. None: history and probe say that there is nothing to do.
    pub catalogue: Option<Catalogue>,
    /// For whom we would act, and whether we may.
    pub rights: Rights,
    /// Whoever is master admin, as far as that matters for what is pending.
    pub masters: Vec<Master>,
    /// Nobody is, though an admin could be.
    pub lacks_master: bool,
    /// What a rollback keeps, and what of it is on its way back.
    pub kept: Vec<Kept>,
    /// Who holds locks on the tables that would be locked.
    pub holders: Vec<Holder>,
    /// Seen under the lock between runs, in a transaction that is still open.
    pub under_lock: bool,
}

/// Whoever has the master admin's flag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Master {
    /// The email address.
    pub email: String,
    /// The id.
    pub id: String,
    /// `admin`, if all is well.
    pub role: String,
    /// The id of the oldest admin, who may be somebody else.
    pub oldest_admin: Option<String>,
}

impl std::fmt::Display for Master {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (id {}, role {})", self.email, self.id, self.role)
    }
}

/// What is known of the histories.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum History {
    /// All there is, be it that there is none.
    #[default]
    Known,
    /// They exist, and the role may not read them.
    Denied,
    /// They exist, and cannot be read.
    Damaged(Damage),
}

/// Why the histories cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// What is wrong.
    pub said: String,
    /// What mends it.
    pub remedy: &'static str,
}

const WHAT: &str = "cannot survey the database";

impl Survey {
    /// The shortest look that can find "nothing to do": the histories and whether the newest
    /// migration's objects are there. One round trip; None where more must be looked at.
    pub async fn brief(session: &Session) -> Result<Option<Self>, Failure> {
        let Some(reading) = history::brief_sql(&session.facts) else { return Ok(None) };
        let sql = format!("{reading}{PROBE}{RETURNS}");
        let sets = match session.once(Mode::Read, WHAT, &sql).await {
            Ok(sets) => sets,
            // The full look says what is wrong with it.
            Err(failure) if damage(&failure).is_some() => return Ok(None),
            // Who reads the history may not read what was set aside.
            Err(failure) if failure.sqlstate.as_deref() == Some("42501") => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let histories = Histories::from_brief_rows(&sets);
        let mut answers = sets.iter().skip(2).flatten();
        let there = answers.any(|row| row.get(0) == Some("t")) && answers.next().is_none();
        let settled = there && super::standing::is_settled(&histories);
        Ok(settled.then(|| Self {
            database: session.facts.database.clone(),
            conninfo: session.login.conninfo.clone(),
            histories,
            ..Self::default()
        }))
    }

    /// Everything, in two round trips of their own.
    pub async fn full(session: &Session) -> Result<Self, Failure> {
        let mut survey = Self::look(session).await?;
        let lockable = lockable();
        let tables: Vec<&str> = lockable.iter().map(String::as_str).collect();
        survey.holders = locks::table_holders(session, &tables).await?;
        Ok(survey)
    }

    /// Everything but the holders, in one round trip; in more where the history is damaged, or where who
    /// is master admin matters.
    pub async fn look(session: &Session) -> Result<Self, Failure> {
        let reading = history::sql(&session.facts);
        match session.once(Mode::Snapshot, WHAT, &full_sql(reading.as_deref())).await {
            Ok(sets) => {
                let mut survey = Self::read(session, &session.facts, &sets)?;
                (survey.masters, survey.lacks_master) = survey.find_masters(session).await?;
                survey.kept = survey.find_kept(session).await?;
                Ok(survey)
            }
            Err(failure) => {
                let damage = damage(&failure).ok_or(failure)?;
                let sets = session.once(Mode::Snapshot, WHAT, &full_sql(None)).await?;
                Self::damaged(session, damage, &sets)
            }
        }
    }

    /// Where there is a register of it. Who may not read it brings nothing back.
    async fn find_kept(&self, session: &Session) -> Result<Vec<Kept>, Failure> {
        if !self.registers_kept() {
            return Ok(Vec::new());
        }
        match session.once(Mode::Read, WHAT, &self.kept_sql()).await {
            Ok(sets) => Ok(sets.last().map(Kept::from_rows).unwrap_or_default()),
            Err(failure) if failure.sqlstate.as_deref() == Some("42501") => Ok(Vec::new()),
            Err(failure) => Err(failure),
        }
    }

    fn kept_sql(&self) -> String {
        let role = match self.rights.becomes_table_owner {
            true => format!("SET LOCAL ROLE {};", quoted(self.rights.owner())),
            false => String::new(),
        };
        format!("{role}{};{}", foreign::plain(), returning::SQL)
    }

    /// Whether there is a register of what a rollback keeps.
    pub fn registers_kept(&self) -> bool {
        let is_there = |own: &Own| own.there.iter().any(|name| name == "set_aside");
        let own = self.catalogue.as_ref().and_then(|catalogue| catalogue.own.as_ref());
        self.histories.own.iter().any(|row| row.number() == Some(registry::SET_ASIDE))
            && own.is_none_or(is_there)
    }

    /// The guards are not put up around what they forbid, and where they stand somebody may have gone round
    /// them. The migration looks again under its locks; who may not read this is refused there or before.
    async fn find_masters(&self, session: &Session) -> Result<(Vec<Master>, bool), Failure> {
        let user = self.catalogue.as_ref().and_then(|catalogue| catalogue.tables.get("user"));
        let columns = ["is_master_admin", "created_at"];
        let flagged =
            user.is_some_and(|user| columns.iter().all(|name| user.columns.contains_key(*name)));
        if !flagged {
            return Ok(Default::default());
        }
        let sets = match session.once(Mode::Read, WHAT, include_str!("masters.sql")).await {
            Ok(sets) => sets,
            Err(failure) if failure.sqlstate.as_deref() == Some("42501") => {
                return Ok(Default::default());
            }
            Err(failure) => return Err(failure),
        };
        let text = |row: &tokio_postgres::SimpleQueryRow, name| {
            row.get(name).unwrap_or_default().to_owned()
        };
        let master = |row| Master {
            email: text(row, "email"),
            id: text(row, "id"),
            role: text(row, "role"),
            oldest_admin: row.get("oldest_admin").map(str::to_owned),
        };
        let [masters, admins] = sets.as_slice() else { return Err(Failure::unexpected(WHAT)) };
        let has_admin = admins.first().and_then(|row| row.get(0)) == Some("t");
        Ok((masters.iter().map(master).collect(), masters.is_empty() && has_admin))
    }

    /// Everything but the holders, in a transaction that is opened and left open: what is looked at
    /// in it afterwards is of the same moment.
    pub async fn opening(session: &Session, timeouts: Timeouts) -> Result<Self, Failure> {
        let sets =
            session.begin_within(Mode::Snapshot, timeouts, WHAT, &session.facts_sql()).await?;
        let facts = session.facts_from(&sets, WHAT).await?;
        let reading = history::sql(&facts);
        let fenced =
            format!("SAVEPOINT survey;{}RELEASE SAVEPOINT survey", full_sql(reading.as_deref()));
        match session.run(WHAT, &fenced).await {
            Ok(sets) => Self::read(session, &facts, &sets),
            Err(failure) => {
                let damage = damage(&failure).ok_or(failure)?;
                let sql = format!("ROLLBACK TO SAVEPOINT survey;{}", full_sql(None));
                Self::damaged(session, damage, &session.run(WHAT, &sql).await?)
            }
        }
    }

    fn damaged(session: &Session, damage: Damage, sets: &[Rows]) -> Result<Self, Failure> {
        let survey = Self::read(session, &session.facts, sets)?;
        Ok(Self { history: History::Damaged(damage), histories: Histories::default(), ..survey })
    }

    /// Everything but the holders, within the transaction that holds the lock between runs. `facts`
    /// were read under it: another run may have made the history that was not there before.
    pub async fn under_lock(session: &Session, facts: &Facts) -> Result<Self, Failure> {
        let reading = history::sql(facts);
        let sets =
            session.run(WHAT, &full_sql(reading.as_deref())).await.map_err(
                |failure| match damage(&failure) {
                    Some(damage) => refuse_damage(&damage),
                    None => failure,
                },
            )?;
        let mut survey = Self { under_lock: true, ..Self::read(session, facts, &sets)? };
        if survey.registers_kept() {
            let sets = session.run(WHAT, &format!("{};RESET ROLE", survey.kept_sql())).await?;
            survey.kept = sets.last().map(Kept::from_rows).unwrap_or_default();
        }
        Ok(survey)
    }

    fn read(session: &Session, facts: &Facts, sets: &[Rows]) -> Result<Self, Failure> {
        // Catalogue and rights come last, and are always there.
        let (reading, rest) = sets.split_at(sets.len().saturating_sub(2));
        let rights = rest.get(1).and_then(|rows| rows.first()).map(Rights::from_row);
        let denied = facts.has_history && history::sql(facts).is_none();
        Ok(Self {
            database: facts.database.clone(),
            conninfo: session.login.conninfo.clone(),
            histories: Histories::from_rows(reading),
            history: if denied { History::Denied } else { History::Known },
            catalogue: Some(Catalogue::from_rows(rest.first())?),
            rights: rights.unwrap_or_default(),
            masters: Vec::new(),
            lacks_master: false,
            kept: Vec::new(),
            holders: Vec::new(),
            under_lock: false,
        })
    }
}

/// What is wrong with the histories, where that is why they could not be read.
fn damage(failure: &Failure) -> Option<Damage> {
    let remedy = match failure.sqlstate.as_deref()? {
        foreign::NOT_PLAIN => {
            "its code would run with your rights: drop it as the owner of schema markenmate, then run the \
             same command again"
        }
        // undefined_table, undefined_column, wrong_object_type, and object_not_in_prerequisite_state
        // where the server expands no view.
        "42P01" | "42703" | "42809" | "55000" => {
            "to see what mends it: markenmate status; else a backup has the tables of schema markenmate"
        }
        _ => return None,
    };
    Some(Damage { said: failure.causes.join(": "), remedy })
}

/// Nothing is done to a database whose history is not to be trusted.
pub fn refuse_damage(damage: &Damage) -> Failure {
    Failure::refused("the migration history is not to be trusted: nothing was changed")
        .because(&damage.said)
        .hint(damage.remedy)
        .hint("to see what else there is: markenmate verify")
}

/// Another database than the application's: what there is nothing to do in it.
pub fn refuse_foreign(survey: &Survey, nothing: &str) -> Failure {
    Failure::refused(format!(
        "none of the application's tables is in database {:?}: there is nothing to {nothing}",
        survey.database
    ))
    .hint("name the application's database, for example: -d markenmate")
}

fn full_sql(reading: Option<&str>) -> String {
    format!("{}{};{};", reading.unwrap_or_default(), catalogue::sql(), rights::SQL)
}

/// The app's tables that any migration locks.
fn lockable() -> Vec<String> {
    registry::APP.iter().flat_map(Entry::effects).map(|effect| effect.table.name).collect()
}

/// The statement that says whether what the migrations added to the application's schema and our own is there,
/// the guards enabled and calling ours. By functions, which are quicker on a new backend than joins; in a
/// file, as reading the contracts for it would be half of a no-op's work. A test holds it to them.
const PROBE: &str = include_str!("probe.sql");

/// A row where something that was set aside is to return.
const RETURNS: &str =
    "SELECT 'returns' FROM markenmate.set_aside WHERE state IN ('kept', 'returning') LIMIT 1;";

#[cfg(test)]
#[path = "survey_tests.rs"]
mod tests;
