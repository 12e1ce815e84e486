//! One cleanup of a database at a time.

use crate::db::locks;
use crate::db::session::{Mode, Session};
use crate::failure::{Failure, Kind};

/// Takes the lock between cleanups of this database, for as long as the session's transaction is open.
///
/// # Errors
/// Busy (7), with whoever has it.
pub async fn take(guard: &Session) -> Result<(), Failure> {
    const WHAT: &str = "cannot take the lock between cleanups";
    let sql = locks::try_cleanup_lock_sql();
    let sets = guard.begin_within(Mode::Guard, guard.timeouts(), WHAT, &sql).await?;
    let yes = |from_end: usize| sets.iter().rev().nth(from_end)?.first()?.get(0);
    match (yes(1), yes(0)) {
        (Some("t"), Some("t")) => return Ok(()),
        (Some("t"), _) => {
            guard.end().await;
            return Err(Failure::refused(WHAT).because(
                "what is between us and the server hands each statement to another session: a pooler in statement mode",
            ).hint("connect to the server itself"));
        }
        _ => guard.end().await,
    }
    let holders = locks::cleanup_holders(guard).await.unwrap_or_default();
    let busy = Failure::new(
        Kind::Busy,
        "another cleanup of this database is at work; nothing was changed",
    );
    let busy =
        busy.hint("run it again when that one has ended: markenmate status says when it has");
    Err(holders.iter().take(3).fold(busy, |failure, holder| {
        failure.because(holder).hint(format!("to end it: {}", holder.remedy()))
    }))
}

/// The pids of these sessions, as the server has them.
///
/// # Errors
/// The server's.
pub async fn pids(sessions: &[&Session]) -> Result<Vec<i32>, Failure> {
    const WHAT: &str = "cannot see which sessions are ours";
    let mut pids = Vec::new();
    for session in sessions {
        let sets = session.once(Mode::Read, WHAT, "SELECT pg_backend_pid()").await?;
        let pid = sets.last().and_then(|rows| rows.first()).and_then(|row| row.get(0));
        pids.extend(pid.and_then(|pid| pid.parse::<i32>().ok()));
    }
    Ok(pids)
}
