//! Carrying out a plan: one transaction under the lock, planned anew inside it, tried again as a
//! whole where a lock was not to be had, and never reported as done before that is known.

use std::time::Duration;

use refinery::{Runner, Target};

use crate::context::Context;
use crate::db::facts::{Facts, TIMELINE};
use crate::db::identifiers::quoted;
use crate::db::ledger::{self, Record};
use crate::db::patience::{Attempt, Obstacle, Patience, Setback, Tried};
use crate::db::session::{Mode, Session, set_local};
use crate::db::{history, locks};
use crate::failure::{Failure, Kind};

use super::back::returning;
use super::commit::{self, Committed};
use super::effects;
use super::executor::Executor;
use super::fingerprint::{self, Fingerprint};
use super::plan::{SchemaBy, Work, decide};
use super::registry;
use super::survey::Survey;

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// What was really done: empty where another run came first.
    pub work: Work,
    /// How long the app's tables were locked, COMMIT included.
    pub locked: Option<Duration>,
    /// The lost COMMIT was found to have taken place.
    pub recovered: bool,
}

/// What is to be done, and whether the lock between runs is held for it already.
#[derive(Debug, Clone)]
pub struct Planned {
    /// What is to be done.
    pub work: Work,
    /// Planned from a survey under the lock, in a transaction that is still open.
    pub under_lock: bool,
    /// What was rehearsed with, where that is required: every attempt looks at it anew.
    pub rehearsed: Option<Fingerprint>,
}

/// Surveys the database under the lock between runs, and leaves the transaction open.
pub async fn survey(session: &Session, attempt: Attempt) -> Result<Survey, Setback> {
    let surveyed = async {
        let facts = take_lock(session, attempt).await?;
        Ok(Survey::under_lock(session, &facts).await?)
    };
    match surveyed.await {
        Ok(survey) => Ok(survey),
        Err(setback) => Err(given_up(session, setback).await),
    }
}

/// Brings the database to `target` as `planned`.
pub async fn run(
    cx: &Context,
    session: &Session,
    planned: &Planned,
    target: i32,
) -> Result<Tried<Done>, Failure> {
    let effects = planned.work.effects();
    let locks = effects::locks(&effects);
    let tables: Vec<&str> = locks.iter().map(|(table, _)| table.name.as_str()).collect();
    let locking = locks.iter().map(|(table, lock)| (table.to_string(), *lock)).collect();
    let patience =
        Patience::new(session, &cx.console, &cx.interrupt, &tables, cx.settings.max_wait)
            .locking(locking);
    patience.exercise(async |attempt| once(cx, session, planned, target, attempt).await).await
}

async fn once(
    cx: &Context,
    session: &Session,
    planned: &Planned,
    target: i32,
    attempt: Attempt,
) -> Result<Done, Setback> {
    let (work, timeline) = match uncommitted(cx, session, planned, target, attempt).await {
        Ok(done) => done,
        Err(setback) => return Err(given_up(session, setback).await),
    };
    if work.is_empty() {
        session.roll_back().await;
        return Ok(Done::default());
    }
    let Committed { locked, recovered } =
        commit::commit(cx, session, &work.role(), timeline).await?;
    Ok(Done { work, locked, recovered })
}

/// Everything but COMMIT; also the server's timeline, by which a failover is known.
async fn uncommitted(
    cx: &Context,
    session: &Session,
    planned: &Planned,
    target: i32,
    attempt: Attempt,
) -> Result<(Work, Option<String>), Setback> {
    let work = if planned.under_lock && attempt.number == 1 {
        planned.work.clone()
    } else {
        planned_again(session, planned, target, attempt).await?
    };
    if work.is_empty() {
        return Ok((work, None));
    }
    let timeline = prepare(cx, session, &work, attempt).await?;
    apply_own(session, &work.own).await?;
    record(cx, session, "migrate").await?;
    adopt(session, &work).await?;
    if !work.returns.is_empty() {
        // While the application still goes on beside us.
        returning::refuse(session).await?;
        // Before the guards are put up, which know no two masters.
        apply(session, &work, target.min(registry::GUARDS - 1)).await?;
        returning::flags(session, target).await?;
        returning::begin(session, target).await?;
    }
    apply(session, &work, target).await?;
    let (subject, detail) = told(&work);
    let record = Record {
        command: "migrate",
        subject: Some(&subject),
        outcome: "done",
        detail: Some(&detail),
    };
    ledger::append(session, &cx.origin(), &record).await?;
    Ok((work, timeline))
}

/// Under the lock there is nothing left to do, or the very work that was planned.
async fn planned_again(
    session: &Session,
    planned: &Planned,
    target: i32,
    attempt: Attempt,
) -> Result<Work, Setback> {
    let survey = survey(session, attempt).await?;
    let work = decide(&survey, target)?;
    if !work.is_empty()
        && planned.rehearsed.is_some()
        && planned.rehearsed != Fingerprint::of(session, &survey).await?
    {
        return Err(Setback::Fatal(fingerprint::refuse_changed()));
    }
    if work.is_empty() || work == planned.work {
        return Ok(work);
    }
    Err(Setback::Fatal(changed(&planned.work, &work)))
}

/// Takes back what the attempt has done.
pub(super) async fn given_up(session: &Session, setback: Setback) -> Setback {
    session.end().await;
    if session.is_closed() { cut_off(setback) } else { setback }
}

/// The connection broke before COMMIT was sent.
fn cut_off(setback: Setback) -> Setback {
    match setback {
        Setback::Fatal(failure) | Setback::Obstacle(_, failure)
            if failure.kind != Kind::Interrupted
                && !failure.hints.iter().any(|hint| hint == TAKEN_BACK) =>
        {
            Setback::Fatal(failure.hint(TAKEN_BACK))
        }
        other => other,
    }
}

const TAKEN_BACK: &str = "nothing was changed: the server takes back what was not committed; \
                          when it is back, run the same command again";

const WHAT: &str = "cannot migrate";

/// Takes the lock between runs, and looks at the server again now that we have it.
async fn take_lock(session: &Session, attempt: Attempt) -> Result<Facts, Setback> {
    let what = "cannot take the lock between runs of markenmate";
    session.tries();
    let sql = locks::try_lock_sql() + &session.facts_sql();
    let sets = session.begin_within(Mode::Write, attempt.timeouts, what, &sql).await?;
    let yes = |name: &str| {
        sets.iter().flatten().any(|row| row.try_get(name).is_ok_and(|v| v == Some("t")))
    };
    if !yes("taken") {
        let failure = Failure::new(Kind::Busy, "another run of markenmate is at work");
        return Err(Setback::Obstacle(Obstacle::Run, failure));
    }
    if !yes("ours") {
        return Err(Setback::Fatal(Failure::refused(
            "the lock just taken is not held by this session: statements of one transaction reach \
             different servers",
        )
        .hint("connect to the primary itself, or through a pooler in transaction or session mode")));
    }
    Ok(session.facts_from(&sets, what).await?)
}

/// Schema, role, what the history's rows say about this run, and how long this attempt may queue:
/// the transaction may be the one that looked. Returns the server's timeline.
pub(super) async fn prepare(
    cx: &Context,
    session: &Session,
    work: &Work,
    attempt: Attempt,
) -> Result<Option<String>, Failure> {
    let owner = quoted(&work.owner);
    let schema = format!("CREATE SCHEMA IF NOT EXISTS markenmate AUTHORIZATION {owner};");
    let become_owner =
        if work.become_owner { format!("SET LOCAL ROLE {owner};") } else { String::new() };
    let schema_and_role = match work.create_schema {
        Some(SchemaBy::Ourselves) => format!("{schema}{become_owner}"),
        Some(SchemaBy::Owner) => format!("{become_owner}{schema}"),
        None => become_owner,
    };
    let sql = format!(
        "{TIMELINE};SET LOCAL lock_timeout = '{}ms';{}{schema_and_role}",
        attempt.timeouts.lock.as_millis().max(1),
        set_local("run_id", &cx.run_id.to_string()),
    );
    let sets = session.run(WHAT, &sql).await?;
    Ok(sets.first().and_then(|rows| rows.first()).and_then(|row| row.get(0)).map(str::to_owned))
}

/// What the ledger is told: where the database is brought, and by what.
fn told(work: &Work) -> (String, String) {
    let newest = work.entries().last().or_else(|| work.adopted().last()).map(ToString::to_string);
    let detail =
        serde_json::json!({ "applied": work.apply, "adopted": work.adopt, "own": work.own });
    (newest.unwrap_or_else(|| "schema markenmate".into()), detail.to_string())
}

/// Brings schema `markenmate` up to date, where that is to be done.
pub(super) async fn apply_own(session: &Session, own: &[i32]) -> Result<(), Failure> {
    if own.is_empty() {
        return Ok(());
    }
    let migrations: Result<Vec<_>, _> = registry::OWN.iter().map(|e| e.migration()).collect();
    let executor = Executor::new(session, "cannot set up schema markenmate");
    refine(executor, Runner::new(&migrations?), history::OWN).await
}

/// The run's own row, by which a lost COMMIT is found.
pub(super) async fn record(cx: &Context, session: &Session, command: &str) -> Result<(), Failure> {
    use tokio_postgres::types::Type;
    let reason = cx.settings.reason.as_deref();
    let approved_by = cx.settings.approved_by.as_deref();
    session
        .query(
            "cannot record the run",
            "INSERT INTO markenmate.run (run_id, command, tool_version, reason, approved_by) \
             VALUES ($1::text::uuid, $5, $2, $3, $4)",
            &[
                (&cx.run_id.to_string(), Type::TEXT),
                (&env!("CARGO_PKG_VERSION"), Type::TEXT),
                (&reason, Type::TEXT),
                (&approved_by, Type::TEXT),
                (&command, Type::TEXT),
            ],
        )
        .await
        .map(drop)
}

/// Records what is there already; nothing of it is run.
async fn adopt(session: &Session, work: &Work) -> Result<(), Failure> {
    let Some(highest) = work.adopt.last() else { return Ok(()) };
    let runner = Runner::new(&app_migrations()?).set_target(Target::FakeVersion(*highest));
    let executor = Executor::new(session, "cannot record the adopted migrations")
        .between(set_local("adopted", "on"), set_local("adopted", "off"));
    refine(executor, runner, history::APP).await
}

async fn apply(session: &Session, work: &Work, target: i32) -> Result<(), Failure> {
    let names: Vec<String> =
        work.entries().filter(|e| e.version <= target).map(ToString::to_string).collect();
    if names.is_empty() {
        return Ok(());
    }
    let runner = Runner::new(&app_migrations()?).set_target(Target::Version(target));
    let executor = Executor::new(session, format!("cannot apply {}", names.join(", ")));
    refine(executor, runner, history::APP).await
}

fn app_migrations() -> Result<Vec<refinery::Migration>, Failure> {
    registry::APP.iter().map(registry::Entry::migration).collect()
}

async fn refine(
    mut executor: Executor<'_>,
    mut runner: Runner,
    table: &str,
) -> Result<(), Failure> {
    runner.set_migration_table_name(format!("markenmate.{table}"));
    match runner.run_async(&mut executor).await {
        Ok(_) => Ok(()),
        Err(error) => Err(executor.explain(&error)),
    }
}

fn changed(planned: &Work, now: &Work) -> Failure {
    let line = |work: &Work| {
        format!(
            "adopt {:?}, apply {:?}, own schema {:?}, for {}",
            work.adopt, work.apply, work.own, work.owner
        )
    };
    Failure::refused("the database changed between the plan and the lock; nothing was changed")
        .because(format!("planned: {}", line(planned)))
        .because(format!("now: {}", line(now)))
        .hint("run the same command again to see the new plan")
}
