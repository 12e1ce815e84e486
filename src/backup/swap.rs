//! Giving a restored database the live one's name: both names change in one transaction, so that no kill
//! leaves anything to be undone, while whoever is connected is sent away.

use std::time::{Duration, Instant};

use crate::context::Context;
use crate::db::identifiers::{literal, quoted};
use crate::db::session::{Mode, Session, Timeouts};
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
        let failure = match in_reach(maintenance.worker(), live.oid).await {
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
    let session = open(cx, maintenance.worker()).await?;
    let timeouts = Timeouts { lock: LONGEST, statement: LONGEST };
    let sql = rename_sql(live, &staged.name, kept_as);
    let renamed = tokio::select! {
        renamed = session.begin_within(Mode::Write, timeouts, WHAT, &sql) => renamed,
        failure = send_away(maintenance.worker(), live.oid) => Err(failure),
    };
    if let Err(failure) = renamed {
        session.end().await;
        return Err(failure);
    }
    cx.interrupt.set_committing(true);
    let committed = session.commit(WHAT, "COMMIT").await;
    let committed = match committed {
        Err(failure) if session.is_closed() => settle(cx, maintenance, staged, failure).await,
        other => other.map(drop),
    };
    cx.interrupt.set_committing(false);
    committed
}

/// The connection is gone with the answer: the name says what became of it.
async fn settle(
    cx: &Context,
    maintenance: &Maintenance,
    staged: &Staged,
    failure: Failure,
) -> Result<(), Failure> {
    let name = literal(&maintenance.live().name);
    let sql = format!("SELECT oid::text FROM pg_database WHERE datname = {name}");
    for _ in 0..20 {
        let asked = match open(cx, maintenance.worker()).await {
            Ok(session) => session.once(Mode::Read, WHAT, &sql).await,
            Err(failure) => Err(failure),
        };
        if let Ok(sets) = asked {
            let oid = sets.last().and_then(|rows| rows.first()).and_then(|row| row.get(0));
            return match oid == Some(staged.oid.to_string().as_str()) {
                true => Ok(()),
                false => Err(failure),
            };
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
async fn send_away(worker: &Session, oid: u32) -> Failure {
    let sessions = include_str!("sessions.sql").replace("%OID%", &oid.to_string());
    let sql =
        format!("SELECT pg_terminate_backend(pid::int) FROM ({sessions}) s WHERE NOT out_of_reach");
    loop {
        if let Err(failure) = worker.once(Mode::Read, WHAT, &sql).await {
            return failure;
        }
        tokio::time::sleep(OFTEN).await;
    }
}

/// Nobody is kept waiting for a swap that cannot be: whoever we may not send away is named first.
async fn in_reach(worker: &Session, oid: u32) -> Result<(), Failure> {
    let sql = include_str!("sessions.sql").replace("%OID%", &oid.to_string());
    let sets = worker.once(Mode::Read, WHAT, &sql).await?;
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
         ALTER DATABASE {name} CONNECTION LIMIT {};\
         COMMENT ON DATABASE {name} IS {comment}",
        live.connection_limit
    )
}

/// The statements that swap back, for psql.
pub fn undo(live: &Live, swapped: &Swapped) -> String {
    let (name, kept_as) = (quoted(&live.name), quoted(&swapped.kept_as));
    let aside = quoted(&named(&live.name, "_restored"));
    format!("ALTER DATABASE {name} RENAME TO {aside}; ALTER DATABASE {kept_as} RENAME TO {name};")
}
