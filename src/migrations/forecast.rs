//! Before anything is locked: which statement takes which lock, how large the table is, who is in the way
//! now, and how long it will take. One judgement, for `--dry-run` and for `--check`.

use std::time::Duration;

use crate::context::Context;
use crate::db::identifiers::literal;
use crate::db::lock_mode::LockMode;
use crate::db::locks::{self, Holder, HolderKind};
use crate::db::session::{Mode, Session};
use crate::failure::{Failure, Kind};

use super::effects::{Effect, Table};

/// The application's own transactions are shorter: they are no reason to wait.
const SHORT: Duration = Duration::from_secs(1);

/// What a statement takes that changes the catalogue only.
const EACH: Duration = Duration::from_millis(1);

/// Bytes a second of a table that is read, as `scripts/bench forecast` measures it: 460 to 1200 MB/s on two
/// busy cores, from memory.
pub const READ: f64 = 400e6;

/// Bytes a second of a table that is written anew with its indexes: 23 to 67 MB/s there.
pub const WRITTEN: f64 = 20e6;

/// What there is to see, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Sight {
    /// Of each table.
    pub sizes: Vec<Size>,
    /// Who holds what on these tables.
    pub holders: Vec<Held>,
    /// Another run of this tool.
    pub runs: Vec<Holder>,
}

/// How large a table is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Size {
    /// As `schema.table`, quoted where needed.
    pub table: String,
    /// What a scan reads: without indexes and what is stored beside.
    pub bytes: u64,
    /// As the server last counted.
    pub rows: Option<u64>,
}

/// A holder, and whether it stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Who, what, on which table.
    pub holder: Holder,
    /// Its transaction is no short one.
    pub lasts: bool,
}

impl Held {
    /// It does not simply end. A prepared transaction never does, however young it is.
    fn stays(&self) -> bool {
        self.lasts || self.holder.kind() == HolderKind::Prepared
    }
}

/// Whether a statement gets its lock at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Go,
    /// Somebody is in the way.
    Wait,
}

/// What is forecast of one statement and one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What the statement does.
    pub effect: Effect,
    /// None: nothing is known of the table.
    pub size: Option<Size>,
    /// Who holds something on the table; each session once, with what is most in the way.
    pub holders: Vec<Holder>,
    /// Whether it waits.
    pub verdict: Verdict,
    /// Why.
    pub why: String,
}

/// What is forecast of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forecast {
    /// In the order in which they run.
    pub lines: Vec<Line>,
    /// Who has to end first: a session once, with all the tables where it is in the way.
    pub waits_for: Vec<Holder>,
    /// How long the locks are held once they are had; COMMIT not included.
    pub locked: Duration,
}

/// Looks at the tables of `effects`. Where the age of somebody's transaction may not be seen, it looks
/// again after a second.
///
/// # Errors
/// The server's, or a signal.
pub async fn look(cx: &Context, session: &Session, effects: &[Effect]) -> Result<Sight, Failure> {
    let runs = locks::run_holders(session).await?;
    if effects.is_empty() {
        return Ok(Sight { runs, ..Sight::default() });
    }
    let names: Vec<&str> = effects.iter().map(|effect| effect.table.name.as_str()).collect();
    let held = locks::table_holders(session, &names).await?;
    let in_the_way = |holder: &&Holder| effects.iter().any(|effect| is_kept_out(effect, holder));
    let mut still = Vec::new();
    if held.iter().filter(in_the_way).any(|holder| holder.transaction_age_s.is_none()) {
        cx.interrupt.pause(SHORT).await?;
        still = locks::table_holders(session, &names).await?;
    }
    let lasts = |holder: &Holder| match holder.transaction_age_s {
        Some(age) => age >= SHORT.as_secs(),
        None => still.iter().any(|other| other.transaction == holder.transaction),
    };
    let holders = held.into_iter().map(|holder| Held { lasts: lasts(&holder), holder }).collect();
    Ok(Sight { sizes: sizes(session, effects).await?, holders, runs })
}

const SIZES: &str = "cannot see how large the tables are";

async fn sizes(session: &Session, effects: &[Effect]) -> Result<Vec<Size>, Failure> {
    let pair = |table: &Table| format!("({}, {})", literal(&table.schema), literal(&table.name));
    let tables: Vec<String> = effects.iter().map(|effect| pair(&effect.table)).collect();
    let sql = include_str!("sizes.sql").replace("%TABLES%", &tables.join(", "));
    let as_of = |bytes| sql.replace("%BYTES%", bytes);
    let seen = session.once(Mode::Read, SIZES, &as_of("pg_relation_size(c.oid)")).await;
    let sets = match seen {
        // Behind whoever queues for the table: as large as it was when the server last counted.
        Err(failure) if failure.kind == Kind::Busy => {
            let pages = "c.relpages * current_setting('block_size')::bigint";
            session.once(Mode::Read, SIZES, &as_of(pages)).await?
        }
        seen => seen?,
    };
    let size = |row: &tokio_postgres::SimpleQueryRow| Size {
        table: row.get("name").unwrap_or_default().to_owned(),
        bytes: row.get("bytes").and_then(|bytes| bytes.parse().ok()).unwrap_or_default(),
        rows: row.get("rows").and_then(|rows| rows.parse().ok()),
    };
    Ok(sets.iter().flatten().map(size).collect())
}

fn is_kept_out(effect: &Effect, holder: &Holder) -> bool {
    holder.root == effect.table.to_string() && holder.keeps_out(effect.lock)
}

/// What `effects`, in one transaction and in this order, meet with.
pub fn forecast(effects: Vec<Effect>, sight: &Sight) -> Forecast {
    let mut had: Vec<(Table, LockMode)> = Vec::new();
    let mut forecast = Forecast { waits_for: sight.runs.clone(), ..Forecast::default() };
    for effect in effects {
        let size = sight.sizes.iter().find(|size| size.table == effect.table.to_string()).cloned();
        forecast.locked += time(&effect, size.as_ref());
        let has =
            had.iter().any(|(table, lock)| *table == effect.table && lock.covers(effect.lock));
        let (verdict, why) = if has {
            (Verdict::Go, "a statement before it has the lock".to_owned())
        } else {
            judge(&effect, sight, &mut forecast.waits_for)
        };
        had.push((effect.table.clone(), effect.lock));
        forecast.lines.push(Line { holders: holders(&effect, sight), effect, size, verdict, why });
    }
    forecast
}

/// Whether the statement waits, and why; whom it waits for joins the others.
fn judge(effect: &Effect, sight: &Sight, waits_for: &mut Vec<Holder>) -> (Verdict, String) {
    let on_it = || sight.holders.iter().filter(|held| held.holder.root == effect.table.to_string());
    let mut reasons: Vec<String> = Vec::new();
    for held in on_it().filter(|held| held.stays() && held.holder.keeps_out(effect.lock)) {
        let holder = &held.holder;
        let reason = format!("{} {}", holder.who(), reason(holder));
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
        match waits_for.iter_mut().find(|other| other.is_same(holder)) {
            None => waits_for.push(holder.clone()),
            Some(other) if other.relation.split(", ").any(|table| table == holder.relation) => {}
            Some(other) => other.relation = format!("{}, {}", other.relation, holder.relation),
        }
    }
    if !reasons.is_empty() {
        return (Verdict::Wait, reasons.join("; "));
    }
    let why = if on_it().any(|held| held.holder.keeps_out(effect.lock)) {
        "transactions shorter than a second end by themselves"
    } else if on_it().next().is_some() {
        "whoever holds it lets this lock in beside"
    } else {
        "nobody holds it"
    };
    (Verdict::Go, why.to_owned())
}

/// Why that holder does not simply end.
pub fn reason(holder: &Holder) -> String {
    let since = match holder.transaction_age_s {
        Some(age) => format!(" for {age} s"),
        None => " for more than a second".to_owned(),
    };
    match holder.kind() {
        HolderKind::Dump => "is a backup: it holds its locks until it ends".into(),
        HolderKind::Prepared => {
            "is prepared: it holds its locks, over restarts too, until it is committed or rolled back".into()
        }
        HolderKind::Autovacuum => {
            "is autovacuum: it gives way to whoever queues longer than deadlock_timeout, as a run does once".into()
        }
        HolderKind::Wraparound => {
            "is autovacuum against wraparound: it gives way to nobody, and starts again where it is ended".into()
        }
        HolderKind::Idle => {
            format!("has been idle in a transaction{since}: it holds its locks until somebody ends it")
        }
        HolderKind::Session => format!("has been at work{since}"),
    }
}

/// Each session once, with the lock that is most in the way.
fn holders(effect: &Effect, sight: &Sight) -> Vec<Holder> {
    let mut found: Vec<Holder> = Vec::new();
    let on_it = sight.holders.iter().filter(|held| held.holder.root == effect.table.to_string());
    for held in on_it {
        match found.iter_mut().find(|other| other.is_same(&held.holder)) {
            None => found.push(held.holder.clone()),
            Some(other) if !other.keeps_out(effect.lock) && held.holder.keeps_out(effect.lock) => {
                *other = held.holder.clone();
            }
            Some(_) => {}
        }
    }
    found
}

fn time(effect: &Effect, size: Option<&Size>) -> Duration {
    let bytes = size.map_or(0.0, |size| size.bytes as f64);
    let rewritten = if effect.rewrites { bytes / WRITTEN } else { 0.0 };
    EACH + Duration::from_secs_f64(f64::from(effect.scans) * bytes / READ + rewritten)
}

#[cfg(test)]
#[path = "forecast_tests.rs"]
mod tests;
