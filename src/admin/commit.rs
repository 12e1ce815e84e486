//! COMMIT, and where its answer is lost, the truth about it.

use std::time::{Duration, Instant};

use crate::context::Context;
use crate::db::facts::TIMELINE;
use crate::db::identifiers::literal;
use crate::db::interrupt::Interrupt;
use crate::db::session::{Mode, Session};
use crate::failure::{Failure, Kind};

use super::record;
use super::standing::{self, Standing};

/// So long is looked for at most.
const LONGEST: Duration = Duration::from_secs(60);
/// A COMMIT that says nothing for so long is looked for elsewhere.
const SILENCE: Duration = Duration::from_secs(15);

/// The open transaction, as it can be asked for afterwards.
struct Transaction {
    id: String,
    timeline: Option<String>,
}

/// What another connection sees.
enum Answer {
    Committed,
    NotCommitted,
    NotYet(String),
}

/// Commits. True: the answer was lost, and it was found that the commit took place.
///
/// # Errors
/// Nothing was changed; or exit 6, where that could not be found out.
pub async fn commit(cx: &Context, session: &Session) -> Result<bool, Failure> {
    let sql = format!("SELECT pg_current_xact_id()::text;{TIMELINE}");
    let sets = session.run("cannot commit", &sql).await?;
    let value = |n: usize| sets.get(n)?.first()?.get(0).map(str::to_owned);
    let transaction = Transaction { id: value(0).unwrap_or_default(), timeline: value(1) };
    cx.interrupt.set_committing(true);
    let committed = carry_out(cx, session, &transaction).await;
    cx.interrupt.set_committing(false);
    committed
}

async fn carry_out(
    cx: &Context,
    session: &Session,
    transaction: &Transaction,
) -> Result<bool, Failure> {
    let lost = tokio::select! {
        answered = session.commit("cannot commit", "COMMIT") => match answered {
            Ok(_) => return Ok(false),
            Err(failure) => {
                // A server on its way down answers with an error first and is gone a moment later.
                session.roll_back().await;
                if !session.is_closed() && !says_nothing(&failure) {
                    return Err(failure);
                }
                failure
            }
        },
        () = tokio::time::sleep(SILENCE) => Failure::unexpected("COMMIT was not answered"),
    };
    cx.console.say(&format!("{lost}; looking whether it took place"));
    find_out(cx, session, transaction, &lost).await.map(|()| true)
}

/// An error that tells of a connection's or a server's end, and nothing about the commit.
fn says_nothing(failure: &Failure) -> bool {
    let sqlstate = failure.sqlstate.as_deref().unwrap_or_default();
    ["08", "57P", "58", "25P03"].iter().any(|class| sqlstate.starts_with(class))
}

async fn find_out(
    cx: &Context,
    session: &Session,
    transaction: &Transaction,
    lost: &Failure,
) -> Result<(), Failure> {
    let deadline = Instant::now() + cx.settings.max_wait.min(LONGEST);
    loop {
        let why = match look(cx, session, transaction).await {
            Answer::Committed => return Ok(()),
            Answer::NotCommitted => {
                let failure = Failure::unexpected(
                    "the connection was lost during COMMIT: nothing was changed",
                );
                return Err(failure.because(lost).hint("run the same command again"));
            }
            Answer::NotYet(why) => why,
        };
        if Instant::now() >= deadline || cx.interrupt.is_raised() {
            return Err(Failure::new(
                Kind::Unknown,
                "the connection was lost during COMMIT: whether it took place is not known",
            )
            .because(lost)
            .because(why)
            .hint("when the server is back, look: markenmate admin list"));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn look(cx: &Context, lost: &Session, transaction: &Transaction) -> Answer {
    // An interrupt of its own: the signal that may have come is not for these statements.
    let opened = Session::open(&lost.endpoint, &cx.settings, &Interrupt::default()).await;
    let session = match opened {
        Ok(session) => session,
        Err(failure) => return Answer::NotYet(failure.to_string()),
    };
    if session.facts.standby {
        return Answer::NotYet("the server is a standby now".into());
    }
    if session.facts.system_identifier != lost.facts.system_identifier {
        return Answer::NotYet("another server answers under this name now".into());
    }
    let asked = ask(cx, &session, transaction).await;
    asked.unwrap_or_else(|failure| Answer::NotYet(failure.to_string()))
}

/// The run's row decides, also after a failover; without it the transaction's id, where the server is
/// the one that was committing.
async fn ask(
    cx: &Context,
    session: &Session,
    transaction: &Transaction,
) -> Result<Answer, Failure> {
    const WHAT: &str = "cannot look whether it took place";
    // The state first: a commit that ends in between is seen by its rows.
    let state = format!("SELECT pg_xact_status({}::xid8);{TIMELINE}", literal(&transaction.id));
    let sets = session.once(Mode::Read, WHAT, &state).await?;
    let value = |n: usize| sets.get(n)?.first()?.get(0).map(str::to_owned);
    let same_line = value(1) == transaction.timeline;
    if has_rows(cx, session).await? {
        return Ok(Answer::Committed);
    }
    Ok(match (same_line, value(0).as_deref()) {
        (true, Some("committed")) => Answer::Committed,
        (true, Some("in progress")) => Answer::NotYet("the commit is still under way".into()),
        // Aborted, or a server that took over and does not have it.
        _ => Answer::NotCommitted,
    })
}

async fn has_rows(cx: &Context, session: &Session) -> Result<bool, Failure> {
    const WHAT: &str = "cannot look whether it took place";
    let sets = session.begin_within(Mode::Read, session.timeouts(), WHAT, standing::SQL).await?;
    let standing = Standing::of(&sets);
    standing.act_for_owner(session).await?;
    let run = literal(&cx.run_id.to_string());
    let mut rows = Vec::new();
    if standing.has_records {
        let sql = format!(
            "SELECT 1 FROM public.audit_log WHERE correlation_id = {run} AND action <> '{}' LIMIT 1",
            // Committed before: the attempt.
            record::action::WRONG
        );
        rows.extend(session.run(WHAT, &sql).await?);
    }
    let there =
        session.run(WHAT, "SELECT 1 WHERE to_regclass('markenmate.ledger') IS NOT NULL").await?;
    if there.iter().flatten().next().is_some() {
        let sql = format!("SELECT 1 FROM markenmate.ledger WHERE run_id = {run} LIMIT 1");
        rows.extend(session.run(WHAT, &sql).await?);
    }
    session.end().await;
    Ok(rows.iter().flatten().next().is_some())
}
