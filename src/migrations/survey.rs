//! What there is to see in a database before its migrations are planned.

use crate::db::catalogue::{self, Catalogue};
use crate::db::identifiers::{identifier, literal};
use crate::db::ledger::{self, Ledger};
use crate::db::locks::{self, Holder};
use crate::db::session::{Mode, Rows, Session};
use crate::failure::Failure;

use super::registry;
use super::rights::{self, Rights};

/// Everything planning needs.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// The database's name.
    pub database: String,
    /// What psql takes for `-d` to reach it.
    pub conninfo: String,
    /// Both histories; empty where there are none.
    pub ledger: Ledger,
    /// False: the role may not read the history that exists.
    pub ledger_readable: bool,
    /// Schema `public`. None: history and probe say that there is nothing to do.
    pub catalogue: Option<Catalogue>,
    /// For whom we would act, and whether we may.
    pub rights: Rights,
    /// Who holds locks on the tables that would be locked.
    pub holders: Vec<Holder>,
    /// Seen under the lock between runs, in a transaction that is still open.
    pub under_lock: bool,
}

const WHAT: &str = "cannot survey the database";

impl Survey {
    /// The shortest look that can find "nothing to do": the histories and whether the newest
    /// migration's objects are there. One round trip; None where more must be looked at.
    pub async fn brief(session: &Session) -> Result<Option<Self>, Failure> {
        if !(session.facts.has_history && session.facts.reads_history) {
            return Ok(None);
        }
        let sql = format!("{}{}", ledger::brief_sql(), probe_sql());
        let sets = match session.once(Mode::Read, WHAT, &sql).await {
            Ok(sets) => sets,
            // A history changed by hand: the full look reads it as it is.
            Err(failure) if failure.sqlstate.as_deref() == Some("42703") => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let ledger = Ledger::from_brief_rows(&sets);
        let there = sets.iter().skip(2).flatten().any(|row| row.get(0) == Some("t"));
        let settled = there && super::standing::is_settled(&ledger);
        Ok(settled.then(|| Self {
            database: session.facts.database.clone(),
            conninfo: session.conninfo.clone(),
            ledger,
            ledger_readable: true,
            ..Self::default()
        }))
    }

    /// Everything, in two round trips of their own.
    pub async fn full(session: &Session) -> Result<Self, Failure> {
        let mut survey = Self::look(session).await?;
        survey.holders = locks::table_holders(session, &lockable()).await?;
        Ok(survey)
    }

    /// Everything but the holders, in one round trip.
    pub async fn look(session: &Session) -> Result<Self, Failure> {
        let sets = session.once(Mode::Snapshot, WHAT, &full_sql(history_readable(session))).await?;
        Self::read(session, &sets, history_readable(session))
    }

    /// The same without the history, for one that cannot be read because it is damaged.
    pub async fn without_history(session: &Session) -> Result<Self, Failure> {
        let sets = session.once(Mode::Snapshot, WHAT, &full_sql(false)).await?;
        Self::read(session, &sets, false)
    }

    /// Everything but the holders, within the transaction that holds the lock between runs. Another
    /// run may have made the history that was not there before.
    pub async fn under_lock(session: &Session, history_exists: bool) -> Result<Self, Failure> {
        let sets = session.run(WHAT, &full_sql(history_exists)).await?;
        Ok(Self { under_lock: true, ..Self::read(session, &sets, history_exists)? })
    }

    fn read(session: &Session, sets: &[Rows], with_ledger: bool) -> Result<Self, Failure> {
        let (ledger, rest) =
            if with_ledger { sets.split_at(2.min(sets.len())) } else { sets.split_at(0) };
        let rights = rest.get(1).and_then(|rows| rows.first()).map(Rights::from_row);
        Ok(Self {
            database: session.facts.database.clone(),
            conninfo: session.conninfo.clone(),
            ledger: Ledger::from_rows(ledger),
            ledger_readable: with_ledger || !session.facts.has_history,
            catalogue: Some(Catalogue::from_rows(rest.first())?),
            rights: rights.unwrap_or_default(),
            holders: Vec::new(),
            under_lock: false,
        })
    }
}

/// The statement that says, as `kept`, whether there is a history.
pub const HISTORY_EXISTS: &str = "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n \
    ON n.oid = c.relnamespace WHERE n.nspname = 'markenmate' \
    AND c.relname = 'refinery_schema_history') AS kept;";

fn history_readable(session: &Session) -> bool {
    session.facts.has_history && session.facts.reads_history
}

fn full_sql(with_ledger: bool) -> String {
    let ledger = if with_ledger { ledger::sql() } else { String::new() };
    format!("{ledger}{};{};", catalogue::SQL, rights::SQL)
}

/// The app's tables that any migration locks.
fn lockable() -> Vec<&'static str> {
    registry::APP.iter().flat_map(|entry| entry.locks.iter().copied()).collect()
}

/// The statement that says whether the newest migration's tables and columns are there. By
/// functions, which are quicker on a new backend than joins.
fn probe_sql() -> String {
    let Some(newest) = registry::find(registry::latest()) else { return String::new() };
    let added = newest.additions();
    let whole = |table: &str| newest.adds_table(table);
    let oid =
        |table: &str| format!("to_regclass({})", literal(&format!("public.{}", identifier(table))));
    let tables =
        added.tables.keys().filter(|t| whole(t)).map(|t| format!("{} IS NOT NULL", oid(t)));
    let columns: Vec<String> = added
        .tables
        .iter()
        .filter(|(table, _)| !whole(table))
        .flat_map(|(t, parts)| parts.columns.keys().map(move |c| (t, c)))
        .map(|(t, c)| format!("({}, {})", oid(t), literal(c)))
        .collect();
    let mut conditions: Vec<String> = tables.collect();
    if !columns.is_empty() {
        conditions.push(format!(
            "(SELECT count(*) = {} FROM pg_attribute WHERE NOT attisdropped \
               AND (attrelid, attname) IN ({}))",
            columns.len(),
            columns.join(", ")
        ));
    }
    conditions.push("true".into());
    format!("SELECT {};", conditions.join(" AND "))
}
