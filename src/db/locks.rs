//! The lock between runs of this tool, and who holds the locks that a run is waiting for.

use super::identifiers::literal;
use super::lock_mode::LockMode;
use super::session::Session;
use crate::failure::Failure;

/// The advisory lock every changing run takes, transaction-scoped: session locks are void behind
/// a transaction pooler. The two halves spell "mark" and "mate".
const KEY: (i32, i32) = (0x6d61_726b, 0x6d61_7465);

/// Somebody who holds a lock, as far as we may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// None: a prepared transaction.
    pub pid: Option<i32>,
    /// Names its transaction, as long as the server runs.
    pub transaction: String,
    /// The table, or what is held.
    pub relation: String,
    /// Of which table it is a child; else the same.
    pub root: String,
    /// The strongest mode held, or waited for.
    pub mode: String,
    /// It does not have it yet; who comes later waits behind it all the same.
    pub queued: bool,
    /// The role.
    pub user: String,
    /// The application's name, or the prepared transaction's.
    pub application: String,
    /// `active`, `idle in transaction`, ...
    pub state: String,
    /// Since when its transaction is open, in seconds.
    pub transaction_age_s: Option<u64>,
    /// An autovacuum worker gives way to whoever waits longer than deadlock_timeout.
    pub autovacuum: bool,
    /// One that prevents the transaction ids from wrapping around, which gives way to nobody.
    pub wraparound: bool,
    /// A pg_dump holds its locks until it ends.
    pub pg_dump: bool,
    /// A superuser's, which we are not: it is not ours to end.
    pub out_of_reach: bool,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "pid {pid}")?,
            None => f.write_str("prepared transaction")?,
        }
        write!(f, " ({:?} as {}, {}", self.application, self.user, self.state)?;
        if let Some(age) = self.transaction_age_s {
            write!(f, ", transaction open for {age} s")?;
        }
        let has = if self.queued { "is queued for" } else { "holds" };
        write!(f, ") {has} {} on {}", self.mode, self.relation)
    }
}

/// What sort of session holds a lock; it decides how long that may take, and what helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HolderKind {
    /// pg_dump
    Dump,
    /// A prepared transaction: no session has it any more.
    Prepared,
    /// Autovacuum.
    Autovacuum,
    /// Autovacuum that prevents wraparound.
    Wraparound,
    /// A transaction in which nothing happens.
    Idle,
    /// Any other session.
    Session,
}

impl Holder {
    /// What sort of session it is.
    pub fn kind(&self) -> HolderKind {
        match self {
            Self { pid: None, .. } => HolderKind::Prepared,
            Self { wraparound: true, .. } => HolderKind::Wraparound,
            Self { autovacuum: true, .. } => HolderKind::Autovacuum,
            Self { pg_dump: true, .. } => HolderKind::Dump,
            _ if self.state.starts_with("idle in transaction") => HolderKind::Idle,
            _ => HolderKind::Session,
        }
    }

    /// In short.
    pub fn who(&self) -> String {
        match self.pid {
            Some(pid) => format!("pid {pid}"),
            None => format!("prepared transaction {:?}", self.application),
        }
    }

    /// Whether somebody who wants that lock on the same table has to wait.
    pub fn keeps_out(&self, wanted: LockMode) -> bool {
        // What is no lock on a table, as those of SERIALIZABLE, keeps nobody out.
        LockMode::named(&self.mode).is_some_and(|held| held.conflicts(wanted))
    }

    /// The same session, or the same prepared transaction.
    pub fn is_same(&self, other: &Self) -> bool {
        self.pid == other.pid && (self.pid.is_some() || self.application == other.application)
    }

    /// What ends it, to paste.
    pub fn remedy(&self) -> String {
        match self.pid {
            Some(pid) if self.out_of_reach => {
                format!("SELECT pg_terminate_backend({pid});  -- as a superuser")
            }
            Some(pid) => format!("SELECT pg_terminate_backend({pid});"),
            None => format!("ROLLBACK PREPARED '{}';", self.application.replace('\'', "''")),
        }
    }
}

/// What a run wants of the tables, which decides who can be in its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// To look at them: ACCESS SHARE.
    Reading,
    /// To change rows: ROW EXCLUSIVE, and the rows themselves, which SELECT FOR UPDATE holds as well.
    Rows,
    /// Triggers and keys: SHARE ROW EXCLUSIVE.
    Triggers,
    /// Everything: ACCESS EXCLUSIVE.
    Everything,
}

impl Wanted {
    /// Whether whoever holds a lock of this mode can be in the way.
    pub fn waits_for(self, mode: &str) -> bool {
        match self {
            Self::Reading => mode == "AccessExclusive",
            Self::Rows => mode != "AccessShare",
            Self::Triggers => mode != "AccessShare" && mode != "RowShare",
            Self::Everything => true,
        }
    }
}

/// Those who are in the way, each once with all that they hold; the strongest first.
pub fn in_the_way(holders: Vec<Holder>, wanted: Wanted) -> Vec<Holder> {
    let mut each: Vec<(Holder, Vec<String>)> = Vec::new();
    let queued = holders.iter().filter(|holder| holder.queued && wanted.waits_for(&holder.mode));
    let queued: Vec<_> = queued.cloned().collect();
    // And who keeps from its lock whoever is queued before us.
    let is_behind = |holder: &Holder| {
        let behind = |other: &Holder| {
            let mode = LockMode::named(&other.mode);
            other.relation == holder.relation && mode.is_some_and(|mode| holder.keeps_out(mode))
        };
        queued.iter().any(behind)
    };
    let is_in_the_way = |holder: &Holder| wanted.waits_for(&holder.mode) || is_behind(holder);
    for holder in holders.into_iter().filter(is_in_the_way) {
        let same = |other: &Holder| {
            other.pid == holder.pid
                && (holder.pid.is_some() || other.application == holder.application)
        };
        match each.iter_mut().find(|(other, _)| same(other)) {
            // What it holds on a table besides the strongest tells nothing.
            Some((_, tables)) if tables.contains(&holder.relation) => {}
            Some((other, tables)) => {
                tables.push(holder.relation.clone());
                other.relation += &format!(", {} on {}", holder.mode, holder.relation);
            }
            None => {
                let tables = vec![holder.relation.clone()];
                each.push((holder, tables));
            }
        }
    }
    each.into_iter().map(|(holder, _)| holder).collect()
}

/// The lock between restores of one database, taken outside of it: it is about to lose its name.
pub const RESTORE: i32 = 0x7265_7374;

/// The statement that tries for the lock between restores of the database with this oid: one value.
pub fn try_restore_lock_sql(oid: u32) -> String {
    // The same bits: keys are signed.
    format!("SELECT pg_try_advisory_xact_lock({RESTORE}, {})", oid.cast_signed())
}

/// The statement that says who holds the same lock in another database than that.
pub fn restore_lock_holders_sql(oid: u32, beside: &str) -> String {
    format!(
        "SELECT l.pid::text FROM pg_locks l JOIN pg_database d ON d.oid = l.database \
          WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 \
            AND l.classid = {RESTORE} AND l.objid = {oid} AND d.datname <> {}",
        literal(beside)
    )
}

/// The lock between cleanups of one database, which keeps no other run out: they go on for hours.
pub const CLEANUP_KEY: (i32, i32) = (KEY.0, 0x636c_6561);

/// As [`try_lock_sql`], for the lock between cleanups.
pub fn try_cleanup_lock_sql() -> String {
    try_sql(CLEANUP_KEY)
}

/// Another cleanup of this database.
pub async fn cleanup_holders(session: &Session) -> Result<Vec<Holder>, Failure> {
    key_holders(session, CLEANUP_KEY, "the lock between cleanups").await
}

/// The statement that tries for the lock and proves that it is our own session which holds it:
/// one row, `taken` and `ours`.
pub fn try_lock_sql() -> String {
    try_sql(KEY)
}

fn try_sql((class, object): (i32, i32)) -> String {
    format!(
        "SELECT pg_try_advisory_xact_lock({class}, {object}) AS taken;\
         SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted \
            AND classid = {class} AND objid = {object} AND objsubid = 2 \
            AND pid = pg_backend_pid()) AS ours;"
    )
}

/// Those who hold a lock on one of the application's `tables`, on a child of one, or on a table of our own, or keep
/// even readers of the catalogue away from any of the application's; whose transaction is short comes last, else the strongest first; ourselves
/// left out.
pub async fn table_holders(session: &Session, tables: &[&str]) -> Result<Vec<Holder>, Failure> {
    let names: Vec<String> =
        tables.iter().map(|t| format!("'{}'", t.replace('\'', "''"))).collect();
    let sql = include_str!("table_holders.sql").replace("%TABLES%", &names.join(", "));
    holders(session, &sql).await
}

/// Another run of this tool that holds the lock between runs.
pub async fn run_holders(session: &Session) -> Result<Vec<Holder>, Failure> {
    key_holders(session, KEY, "the lock between runs of markenmate").await
}

async fn key_holders(
    session: &Session,
    (class, object): (i32, i32),
    told: &str,
) -> Result<Vec<Holder>, Failure> {
    let sql = include_str!("run_holders.sql")
        .replace("%CLASS%", &class.to_string())
        .replace("%OBJECT%", &object.to_string())
        .replace("%TOLD%", &literal(told));
    holders(session, &sql).await
}

async fn holders(session: &Session, sql: &str) -> Result<Vec<Holder>, Failure> {
    let rows = session.once(super::session::Mode::Read, "cannot see who holds locks", sql).await?;
    Ok(rows
        .iter()
        .flatten()
        .map(|row| {
            let text = |name| row.get(name).unwrap_or_default().to_owned();
            Holder {
                pid: row.get("pid").and_then(|pid| pid.parse().ok()),
                transaction: text("transaction"),
                relation: text("relation"),
                root: text("root"),
                mode: text("mode"),
                queued: row.get("queued") == Some("t"),
                user: text("username"),
                application: text("application"),
                state: text("state"),
                transaction_age_s: row.get("age").and_then(|age| age.parse().ok()),
                autovacuum: row.get("autovacuum") == Some("t"),
                wraparound: row.get("wraparound") == Some("t"),
                pg_dump: row.get("pg_dump") == Some("t"),
                out_of_reach: row.get("out_of_reach") == Some("t"),
            }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(pid: i32, mode: &str, relation: &str) -> Holder {
        Holder {
            pid: Some(pid),
            transaction: String::new(),
            relation: relation.into(),
            root: relation.into(),
            mode: mode.into(),
            queued: false,
            user: "u".into(),
            application: "a".into(),
            state: "active".into(),
            transaction_age_s: None,
            autovacuum: false,
            wraparound: false,
            pg_dump: false,
            out_of_reach: false,
        }
    }

    #[test]
    fn who_reads_is_in_nobodys_way_but_who_wants_all() {
        let modes = ["AccessShare", "RowShare", "RowExclusive", "AccessExclusive"];
        let waits = |wanted: Wanted| modes.map(|mode| wanted.waits_for(mode));
        assert_eq!(waits(Wanted::Reading), [false, false, false, true]);
        assert_eq!(waits(Wanted::Rows), [false, true, true, true]);
        assert_eq!(waits(Wanted::Triggers), [false, false, true, true]);
        assert_eq!(waits(Wanted::Everything), [true; 4]);
    }

    #[test]
    fn each_is_named_once_with_all_that_it_holds() {
        let held = vec![
            holder(1, "RowExclusive", "public.a"),
            holder(2, "RowExclusive", "public.a"),
            holder(1, "RowShare", "public.a"),
            holder(1, "RowShare", "public.b"),
            holder(3, "AccessShare", "public.a"),
        ];
        let named: Vec<_> =
            in_the_way(held, Wanted::Rows).iter().map(ToString::to_string).collect();
        assert_eq!(
            named,
            [
                "pid 1 (\"a\" as u, active) holds RowExclusive on public.a, RowShare on public.b",
                "pid 2 (\"a\" as u, active) holds RowExclusive on public.a",
            ]
        );
    }
}
