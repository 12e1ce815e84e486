//! COMMIT, and where its answer is lost, the truth about it.

use std::pin::pin;
use std::time::{Duration, Instant};

use crate::context::Context;
use crate::db::identifiers::quoted;
use crate::db::interrupt::Interrupt;
use crate::db::locks;
use crate::db::session::{Mode, Session};
use crate::failure::{Failure, Kind};

use super::plan::Work;

/// A commit that took place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    /// How long the app's tables were locked, the commit's own way included.
    pub locked: Option<Duration>,
    /// The answer was lost, and it was found that the commit took place.
    pub recovered: bool,
}

/// Seconds since the migration got its first lock; it notes the time itself. In one round trip with
/// COMMIT: the locks are held while it travels.
const COMMIT: &str = "SELECT extract(epoch FROM clock_timestamp())::float8 \
    - nullif(current_setting('markenmate.locked_at', true), '')::float8; COMMIT";

/// Commits.
pub async fn commit(cx: &Context, session: &Session, work: &Work) -> Result<Committed, Failure> {
    cx.interrupt.set_committing(true);
    let result = committed(cx, session, work).await;
    cx.interrupt.set_committing(false);
    result
}

async fn committed(cx: &Context, session: &Session, work: &Work) -> Result<Committed, Failure> {
    let began = Instant::now();
    let mut answer = pin!(session.commit("cannot commit", COMMIT));
    let answered = tokio::select! {
        answered = &mut answer => answered,
        () = tokio::time::sleep(LONG) => {
            // A dead network says nothing at all. An answer that comes after all is the truth.
            let silence = Failure::unexpected(format!("no answer for {} s", LONG.as_secs()));
            tokio::select! {
                answered = &mut answer => answered,
                found = find_out(cx, session, work, silence) => {
                    return found.map(|()| Committed { locked: None, recovered: true });
                }
            }
        }
    };
    let failure = match answered {
        Err(failure) => failure,
        Ok(sets) => {
            let held = sets.iter().flatten().next().and_then(|row| row.get(0)?.parse().ok());
            let held = held.map(|s: f64| Duration::from_secs_f64(s.max(0.0)));
            return Ok(Committed { locked: held.map(|h| h + began.elapsed()), recovered: false });
        }
    };
    // A server on its way down answers with an error first and is gone a moment later.
    session.roll_back().await;
    if !session.is_closed() {
        return Err(failure);
    }
    find_out(cx, session, work, failure).await?;
    Ok(Committed { locked: None, recovered: true })
}

/// After so long without an answer to COMMIT it is looked for by another connection. Longer than the
/// server keeps a session of ours that never got it.
const LONG: Duration = Duration::from_secs(15);

/// What one look at the server said.
enum Answer {
    Committed,
    NotCommitted,
    /// The server that answers now took over from the one that was committing, and does not have it.
    LeftBehind,
    /// Another server is there now: no use in asking again.
    Never(String),
    NotYet(String),
}

const BROKE: &str = "the connection broke during COMMIT";

/// The history row decides, also after a failover; without it, the old session is given time to
/// end. A signal shortens the asking, and changes nothing about the answer.
async fn find_out(
    cx: &Context,
    lost: &Session,
    work: &Work,
    failure: Failure,
) -> Result<(), Failure> {
    cx.console.say(&format!("{BROKE}; looking whether it took place"));
    let deadline = Instant::now() + cx.settings.max_wait.min(Duration::from_secs(60));
    loop {
        let why = match look(cx, lost, work).await {
            Answer::Committed => return Ok(()),
            Answer::NotCommitted => {
                return Err(Failure::unexpected("the connection broke; nothing was changed")
                    .because(failure)
                    .hint("run the same command again"));
            }
            Answer::LeftBehind => {
                return Err(Failure::unexpected(
                    "a failover took place during COMMIT; the server that took over has not been changed",
                )
                .because(failure)
                .hint("run the same command again: it goes to the server that took over")
                .hint("the server that failed may hold the migration: do not let it come back as it is"));
            }
            Answer::Never(why) => return Err(unknown().because(why)),
            Answer::NotYet(why) => why,
        };
        if Instant::now() >= deadline || cx.interrupt.is_raised() {
            return Err(unknown().because(why));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn unknown() -> Failure {
    Failure::new(
        Kind::Unknown,
        "the connection broke during COMMIT: whether the migration took place is not known",
    )
    .hint("when the server is back, run: markenmate status")
}

async fn look(cx: &Context, lost: &Session, work: &Work) -> Answer {
    // An interrupt of its own: the signal that may have come is not for these statements.
    let session = match Session::open(&lost.endpoint, &cx.settings, &Interrupt::default()).await {
        Ok(session) => session,
        Err(error) => return Answer::NotYet(error.to_string()),
    };
    if session.facts.system_identifier != lost.facts.system_identifier {
        return Answer::Never("another server answers under this name now".into());
    }
    if session.facts.system_identifier.is_none() {
        return Answer::Never(
            "whether it is the same server cannot be told without pg_control_system()".into(),
        );
    }
    if session.facts.standby {
        return Answer::NotYet("the server is a standby now".into());
    }
    match was_committed(cx, &session, work).await {
        Ok(Some(true)) => Answer::Committed,
        Ok(Some(false)) if session.facts.timeline != lost.facts.timeline => Answer::LeftBehind,
        Ok(Some(false)) => Answer::NotCommitted,
        Ok(None) => Answer::NotYet("the old session is still at work".into()),
        Err(error) => Answer::NotYet(error.to_string()),
    }
}

/// None: a session still holds the lock between runs, so its absence says nothing yet.
async fn was_committed(
    cx: &Context,
    session: &Session,
    work: &Work,
) -> Result<Option<bool>, Failure> {
    let what = "cannot look whether the migration took place";
    // The lock first, then the row: a commit is visible before its locks are released.
    let busy = !locks::run_holders(session).await?.is_empty();
    let role = if work.become_owner {
        format!("SET LOCAL ROLE {};", quoted(&work.owner))
    } else {
        "".into()
    };
    let is_there = async |sql: &str| {
        let sets = session.once(Mode::Read, what, &format!("{role}{sql}")).await?;
        Ok::<_, Failure>(sets.iter().any(|rows| !rows.is_empty()))
    };
    let committed = is_there("SELECT 1 WHERE to_regclass('markenmate.run') IS NOT NULL").await?
        && is_there(&format!("SELECT 1 FROM markenmate.run WHERE run_id = '{}'", cx.run_id))
            .await?;
    Ok((committed || !busy).then_some(committed))
}
