//! What there is to see in a database before its migrations are planned.

use crate::db::catalogue::{self, Catalogue};
use crate::db::identifiers::literal;
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
}

const WHAT: &str = "cannot survey the database";

impl Survey {
    /// The shortest look that can find "nothing to do": the histories and whether the newest
    /// migration's objects are there. One round trip; None where more must be looked at.
    pub async fn brief(session: &Session) -> Result<Option<Self>, Failure> {
        if !(session.facts.has_history && session.facts.reads_history) {
            return Ok(None);
        }
        let sql = format!("{}{}", ledger::sql(), probe_sql());
        let sets = session.once(Mode::Read, WHAT, &sql).await?;
        let ledger = Ledger::from_rows(&sets);
        let gone = sets.get(2).is_none_or(|rows| !rows.is_empty());
        let settled = !gone && super::standing::is_settled(&ledger);
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
        let sets = session.once(Mode::Read, WHAT, &full_sql(history_readable(session))).await?;
        Self::read(session, &sets, history_readable(session))
    }

    /// The same without the history, for one that cannot be read because it is damaged.
    pub async fn without_history(session: &Session) -> Result<Self, Failure> {
        let sets = session.once(Mode::Read, WHAT, &full_sql(false)).await?;
        Self::read(session, &sets, false)
    }

    /// Everything but the holders, within the open transaction: under the lock another run may
    /// have made the history that was not there before.
    pub async fn within(session: &Session, history_exists: bool) -> Result<Self, Failure> {
        let sets = session.run(WHAT, &full_sql(history_exists)).await?;
        Self::read(session, &sets, history_exists)
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

/// The statement that names what the newest migration added and is gone: no row, all there.
fn probe_sql() -> String {
    let added =
        registry::find(registry::latest()).map(registry::Entry::additions).unwrap_or_default();
    let columns: Vec<String> = added
        .tables
        .iter()
        .flat_map(|(table, parts)| {
            parts.columns.keys().map(move |c| format!("({}, {})", literal(table), literal(c)))
        })
        .collect();
    if columns.is_empty() {
        return "SELECT WHERE false;".into();
    }
    format!(
        "SELECT v.t FROM (VALUES {}) v(t, c) WHERE NOT EXISTS (SELECT FROM pg_class r \
           JOIN pg_namespace n ON n.oid = r.relnamespace AND n.nspname = 'public' \
           JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped \
          WHERE r.relname = v.t AND a.attname = v.c) LIMIT 1;",
        columns.join(", ")
    )
}
