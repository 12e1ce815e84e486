//! Taking versions back: one transaction, everything or nothing. What is large is copied before anybody
//! waits; under the locks only what changed since is picked up.

use std::time::Duration;

use super::beside;
use super::decide::{Back, decide, refuse_dependents};
use super::look;
use super::parts::{PARTS, Part};
use crate::context::Context;
use crate::db::catalogue::{self, Catalogue, compare};
use crate::db::facts::TIMELINE;
use crate::db::identifiers::quoted;
use crate::db::ledger::{self, Record};
use crate::db::patience::{Attempt, Patience, Setback, Tried};
use crate::db::session::{Session, set_local};
use crate::failure::{Failure, Kind};
use crate::migrations::commit::{self, Committed};
use crate::migrations::registry;
use crate::migrations::run;

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reverted {
    /// The versions, the newest first.
    pub versions: Vec<i32>,
    /// How long the app's tables were locked, COMMIT included.
    pub locked: Option<Duration>,
    /// The lost COMMIT was found to have taken place.
    pub recovered: bool,
}

const WHAT: &str = "cannot roll back";

/// So often the locks are tried for before what was copied is given up with them.
const TRIES: u32 = 2;
const PAUSE: Duration = Duration::from_millis(250);

/// Brings the database back to `target` as planned.
///
/// # Errors
/// Refused, where it is not what was planned any more; busy, where the locks were not to be had;
/// unknown, where COMMIT's answer was lost and nobody can say.
pub async fn revert(
    cx: &Context,
    session: &Session,
    back: &Back,
    target: i32,
) -> Result<Tried<Reverted>, Failure> {
    let tables = back.locked_tables();
    let patience =
        Patience::new(session, &cx.console, &cx.interrupt, &tables, cx.settings.max_wait);
    patience.exercise(async |attempt| once(cx, session, back, target, attempt).await).await
}

async fn once(
    cx: &Context,
    session: &Session,
    back: &Back,
    target: i32,
    attempt: Attempt,
) -> Result<Reverted, Setback> {
    let timeline = match uncommitted(cx, session, back, target, attempt).await {
        Ok(timeline) => timeline,
        Err(setback) => return Err(run::given_up(session, setback).await),
    };
    let Committed { locked, recovered } =
        commit::commit(cx, session, &back.role(), timeline).await?;
    Ok(Reverted { versions: back.revert.clone(), locked, recovered })
}

/// Everything but COMMIT; also the server's timeline, by which a failover is known.
async fn uncommitted(
    cx: &Context,
    session: &Session,
    back: &Back,
    target: i32,
    attempt: Attempt,
) -> Result<Option<String>, Setback> {
    let survey = run::survey(session, attempt).await?;
    let now = decide(&survey, target)?;
    if now != *back {
        return Err(Failure::refused(
            "the database changed between the plan and the lock; nothing was changed",
        )
        .because(format!("planned: take back {:?}; now: {:?}", back.revert, now.revert))
        .hint("run the same command again to see the new plan")
        .into());
    }
    let leaving: Vec<&Part> =
        PARTS.iter().filter(|part| back.revert.contains(&part.version)).collect();
    refuse_dependents(&look::dependents(session, &leaving).await?)?;
    let suffix = suffix(cx);
    let sql = format!(
        "{TIMELINE};SET LOCAL statement_timeout = 0;{}{}",
        set_local("run_id", &cx.run_id.to_string()),
        set_local("suffix", &suffix),
    );
    let sets = session.run(WHAT, &sql).await?;
    let timeline = sets.first().and_then(|rows| rows.first()).and_then(|row| row.get(0));
    let timeline = timeline.map(str::to_owned);
    session.run(WHAT, &format!("{}SELECT 1", back.role())).await?;
    run::apply_own(session, &back.own).await?;
    run::record(cx, session, "rollback").await?;
    session.run(WHAT, "RESET ROLE").await?;
    for entry in back.entries() {
        if let Some(aside) = entry.aside {
            session.run(&format!("cannot copy what {entry} holds"), aside).await?;
        }
    }
    lock(cx, session, back, attempt).await?;
    // Nobody builds any more.
    if look::has_new_dependents(session, &leaving).await? {
        refuse_dependents(&look::dependents(session, &leaving).await?)?;
    }
    let beside = beside::read(session, &leaving).await?;
    for entry in back.entries() {
        let Some(down) = entry.down else { continue };
        session.run(&format!("cannot take back {entry}"), down).await?;
    }
    as_before(session, back, target).await?;
    let subject = registry::find(target).map(ToString::to_string);
    let detail =
        serde_json::json!({ "reverted": back.revert, "set_aside_as": suffix, "beside": beside });
    let detail = detail.to_string();
    let record = Record {
        command: "rollback",
        subject: subject.as_deref(),
        outcome: "done",
        detail: Some(&detail),
    };
    ledger::append(session, &cx.origin(), &record).await?;
    Ok(timeline)
}

/// What is set aside carries when, and the run.
fn suffix(cx: &Context) -> String {
    let run = cx.run_id.to_string();
    let run = run.split('-').next().unwrap_or_default();
    format!("_{}_{run}", cx.started_at.format("%Y%m%dt%H%M%S"))
}

/// All locks or none, within one lock timeout, so that the app never waits longer than that for all of
/// them. Where they are not to be had, what was copied is kept for the next try.
async fn lock(
    cx: &Context,
    session: &Session,
    back: &Back,
    attempt: Attempt,
) -> Result<(), Failure> {
    let sql = lock_sql(&back.locked_tables(), attempt.timeouts.lock);
    for left in (0..TRIES).rev() {
        session.run(WHAT, "SAVEPOINT unlocked").await?;
        match session.run(WHAT, &sql).await {
            Err(failure) if failure.kind == Kind::Busy && left > 0 => {
                session.run(WHAT, "ROLLBACK TO SAVEPOINT unlocked").await?;
                cx.interrupt.pause(PAUSE).await?;
            }
            locked => return locked.map(drop),
        }
    }
    Ok(())
}

fn lock_sql(tables: &[&str], timeout: Duration) -> String {
    const LEFT: &str = "SELECT set_config('lock_timeout', greatest(1, ceil(1000 * \
        (current_setting('markenmate.queue_until')::float8 - extract(epoch FROM clock_timestamp()))))::text, true);";
    let ms = timeout.as_millis().max(1);
    let mut sql = format!(
        "SET LOCAL lock_timeout = '{ms}ms';\
         SELECT set_config('markenmate.queue_until', (extract(epoch FROM clock_timestamp()) + {ms} / 1000.0)::text, true);"
    );
    for (n, table) in tables.iter().enumerate() {
        sql.push_str(&format!("LOCK TABLE public.{} IN ACCESS EXCLUSIVE MODE;", quoted(table)));
        if n == 0 {
            sql.push_str("SELECT set_config('markenmate.locked_at', extract(epoch FROM clock_timestamp())::text, true);");
        }
        if n + 1 < tables.len() {
            sql.push_str(LEFT);
        }
    }
    sql
}

/// Schema `public` is what it was before the versions came, or nothing is committed.
async fn as_before(session: &Session, back: &Back, target: i32) -> Result<(), Failure> {
    let Some(entry) = registry::find(target) else { return Ok(()) };
    let sets = session.run(WHAT, catalogue::sql()).await?;
    let catalogue = Catalogue::from_rows(sets.last())?;
    let missing = compare(entry.contract(), &catalogue).into_iter().map(|d| d.subject);
    let left = back.entries().flat_map(|entry| entry.present(&catalogue));
    let differences: Vec<String> = missing.chain(left).collect();
    if differences.is_empty() {
        return Ok(());
    }
    let what = format!("the way back does not end at {entry}: nothing was changed");
    Err(differences.iter().fold(Failure::unexpected(what), Failure::because))
}
