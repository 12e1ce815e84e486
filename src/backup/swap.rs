//! Giving a restored database the live one's name: both names change in one transaction, so that no kill
//! leaves anything to be undone, while whoever is connected is sent away.

use std::time::{Duration, Instant};

use crate::context::Context;
use crate::db::identifiers::{literal, quoted};
use crate::db::session::{Mode, Rows, Session, Timeouts};
use crate::failure::{Failure, Kind};

use super::preflight::Live;
use super::staging::{Maintenance, Staged, named, open};

/// What the swap has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swapped {
    /// The name under which the database that was live is kept.
    pub kept_as: String,
    /// How long new connections had to wait at most.
    pub held: Duration,
}

/// How long one attempt may keep new connections waiting.
const LONGEST: Duration = Duration::from_secs(2);

/// How long it is looked for what became of a lost commit.
const LONG: Duration = Duration::from_secs(60);

/// How often sessions are sent away meanwhile.
const OFTEN: Duration = Duration::from_millis(5);

const WHAT: &str = "cannot swap the names of both databases";

/// Changes both names.
///
/// # Errors
/// Busy where somebody stays connected whom we may not send away; unknown where the answer to COMMIT was
/// lost and the server cannot be asked. In all other cases nothing was changed.
pub async fn swap(
    cx: &Context,
    maintenance: &Maintenance,
    staged: &Staged,
) -> Result<Swapped, Failure> {
    let live = maintenance.live();
    // To the millisecond: a restore may follow upon another.
    let stamp = cx.started_at.format("%Y%m%d%H%M%S%3f");
    let kept_as = named(&live.name, &format!("_before_restore_{stamp}"));
    let began = Instant::now();
    let mut pause = Duration::from_millis(100);
    loop {
        cx.interrupt.check()?;
        let failure = match in_reach(maintenance.worker(), &[live.oid, staged.oid]).await {
            Err(failure) => failure,
            Ok(()) => {
                let started = Instant::now();
                match attempt(cx, maintenance, staged, &kept_as).await {
                    Ok(()) => return Ok(Swapped { kept_as, held: started.elapsed() }),
                    Err(failure) => failure,
                }
            }
        };
        // Somebody is connected, or came too late to be sent away; a statement that took too long.
        let in_use = ["55006", "57014", "55P03"].map(Some).contains(&failure.sqlstate.as_deref());
        if !(in_use || failure.kind == Kind::Busy) || cx.interrupt.is_raised() {
            return Err(failure);
        }
        if began.elapsed() + pause > cx.settings.max_wait {
            return Err(Failure { kind: Kind::Busy, ..failure });
        }
        cx.interrupt.pause(pause).await?;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

async fn attempt(
    cx: &Context,
    maintenance: &Maintenance,
    staged: &Staged,
    kept_as: &str,
) -> Result<(), Failure> {
    let live = maintenance.live();
    maintenance.still_alone().await?;
    let session = open(cx, maintenance.worker(), &live.name).await?;
    let timeouts = Timeouts { lock: LONGEST, statement: LONGEST };
    let sql = format!("{};{}", same_sql(live, staged), rename_sql(live, &staged.name, kept_as));
    let both = [live.oid, staged.oid];
    let renamed = tokio::select! {
        renamed = session.begin_within(Mode::Write, timeouts, WHAT, &sql) => renamed,
        failure = send_away(maintenance.worker(), &both) => Err(failure),
    };
    let transaction = match renamed.and_then(|sets| transaction(&sets)) {
        Ok(transaction) => transaction,
        Err(failure) => {
            session.end().await;
            return Err(failure);
        }
    };
    cx.interrupt.set_committing(true);
    let committed = session.commit(WHAT, "COMMIT").await;
    let committed = match committed {
        Err(failure) if session.is_closed() => {
            settle(cx, maintenance, staged, &transaction, failure).await
        }
        other => other.map(drop),
    };
    cx.interrupt.set_committing(false);
    committed
}

/// How many of both databases are those that were looked at, and the transaction's id.
fn same_sql(live: &Live, staged: &Staged) -> String {
    let one = |name: &str, oid| format!("datname = {} AND oid = {oid}", literal(name));
    format!(
        "SELECT (SELECT count(*) FROM pg_database WHERE {} OR {})::text AS both_there, pg_current_xact_id()::text AS transaction",
        one(&live.name, live.oid),
        one(&staged.name, staged.oid)
    )
}

/// The swap's transaction, where it is of the right databases.
fn transaction(sets: &[Rows]) -> Result<String, Failure> {
    let row = sets.iter().flatten().find(|row| row.try_get("both_there").is_ok());
    match row.and_then(|row| Some((row.get("both_there")?, row.get("transaction")?))) {
        Some(("2", id)) => Ok(id.to_owned()),
        _ => Err(Failure::refused(WHAT)
            .because("one of them was renamed or dropped meanwhile")
            .hint("run the same command again: it looks anew")),
    }
}

/// The connection is gone with the answer: the transaction's id says what became of it, and where the
/// server does not know it any more, the name. A commit that waits for a standby is still under way.
async fn settle(
    cx: &Context,
    maintenance: &Maintenance,
    staged: &Staged,
    transaction: &str,
    failure: Failure,
) -> Result<(), Failure> {
    let sql = format!(
        "SELECT oid::text, pg_xact_status({}::xid8) FROM pg_database WHERE datname = {}",
        literal(transaction),
        literal(&maintenance.live().name)
    );
    let deadline = Instant::now() + cx.settings.max_wait.min(LONG);
    loop {
        let asked = match open(cx, maintenance.worker(), &maintenance.live().name).await {
            Ok(session) => session.once(Mode::Read, WHAT, &sql).await,
            Err(failure) => Err(failure),
        };
        if let Some(row) = asked.ok().as_ref().and_then(|sets| sets.last()?.first()) {
            let is_ours = row.get(0) == Some(staged.oid.to_string().as_str());
            match (row.get(1), is_ours) {
                (Some("in progress"), false) => {}
                (_, true) => return Ok(()),
                (_, false) => return Err(failure),
            }
        }
        if Instant::now() >= deadline {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Err(Failure::new(
        Kind::Unknown,
        "the connection was lost during COMMIT: whether the names were swapped is not known",
    )
    .because(failure)
    .hint(format!(
        "in psql, \\l shows it: they were if there is no database {} any more",
        staged.name
    )))
}

/// Sends everybody away, again and again.
async fn send_away(worker: &Session, oids: &[u32]) -> Failure {
    let sessions = sessions_sql(oids);
    let sql =
        format!("SELECT pg_terminate_backend(pid::int) FROM ({sessions}) s WHERE NOT out_of_reach");
    loop {
        if let Err(failure) = worker.once(Mode::Read, WHAT, &sql).await {
            return failure;
        }
        tokio::time::sleep(OFTEN).await;
    }
}

/// Who is connected to these.
pub(super) fn sessions_sql(oids: &[u32]) -> String {
    let oids: Vec<String> = oids.iter().map(u32::to_string).collect();
    include_str!("sessions.sql").replace("%OIDS%", &oids.join(", "))
}

/// Nobody is kept waiting for a swap that cannot be: whoever we may not send away is named first.
async fn in_reach(worker: &Session, oids: &[u32]) -> Result<(), Failure> {
    let sets = worker.once(Mode::Read, WHAT, &sessions_sql(oids)).await?;
    let text = |row: &tokio_postgres::SimpleQueryRow, name| row.get(name).unwrap_or("?").to_owned();
    let mut staying = sets
        .iter()
        .flatten()
        .filter(|row| row.get("out_of_reach") == Some("t"))
        .map(|row| {
            let about = ["application", "username", "state"].map(|name| text(row, name));
            (text(row, "pid"), format!("{:?} as {}, {}", about[0], about[1], about[2]))
        })
        .peekable();
    if staying.peek().is_none() {
        return Ok(());
    }
    let failure =
        Failure::new(Kind::Busy, "the database is in use by sessions that are not ours to end");
    Err(staying.take(10).fold(failure, |failure, (pid, about)| {
        failure
            .because(format!("pid {pid} ({about})"))
            .hint(format!("SELECT pg_terminate_backend({pid});  -- as a superuser"))
    }))
}

fn rename_sql(live: &Live, staged: &str, kept_as: &str) -> String {
    let (name, staged, kept_as) = (quoted(&live.name), quoted(staged), quoted(kept_as));
    let comment = live.comment.as_deref().map_or_else(|| "NULL".into(), literal);
    format!(
        "ALTER DATABASE {name} RENAME TO {kept_as};\
         ALTER DATABASE {staged} RENAME TO {name};\
         ALTER DATABASE {name} ALLOW_CONNECTIONS true CONNECTION LIMIT {};\
         COMMENT ON DATABASE {name} IS {comment}",
        live.connection_limit
    )
}

/// The statements that swap back, for psql: whoever is connected is sent away here, too.
pub fn undo(live: &Live, swapped: &Swapped) -> String {
    let (name, kept_as) = (quoted(&live.name), quoted(&swapped.kept_as));
    // As unique as the name that it comes from.
    let stamp = swapped.kept_as.rsplit('_').next().unwrap_or_default();
    let aside = quoted(&named(&live.name, &format!("_restored_{stamp}")));
    format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname IN ({}, {}) \
         AND pid <> pg_backend_pid() AND backend_type = 'client backend' \
         AND usesysid IN (SELECT oid FROM pg_roles WHERE pg_has_role(oid, 'USAGE')); \
         ALTER DATABASE {name} RENAME TO {aside}; ALTER DATABASE {kept_as} RENAME TO {name};",
        literal(&live.name),
        literal(&swapped.kept_as)
    )
}
