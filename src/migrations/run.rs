//! Carrying out a plan: one transaction under the lock, planned anew inside it, tried again as a
//! whole where a lock was not to be had, and never reported as done before that is known.

use std::time::{Duration, Instant};

use refinery::{Runner, Target};

use crate::context::Context;
use crate::db::identifiers::quoted;
use crate::db::patience::{Attempt, Obstacle, Patience, Setback, Tried};
use crate::db::session::{Mode, Session, set_local};
use crate::db::{ledger, locks};
use crate::failure::{Failure, Kind};

use super::executor::Executor;
use super::plan::{SchemaBy, Work, decide};
use super::registry;
use super::survey::{HISTORY_EXISTS, Survey};

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

/// Brings the database to `target` as `planned`.
pub async fn run(
    cx: &Context,
    session: &Session,
    planned: &Work,
    target: i32,
) -> Result<Tried<Done>, Failure> {
    let tables = planned.locked_tables();
    let patience =
        Patience::new(session, &cx.console, &cx.interrupt, &tables, cx.settings.max_wait);
    patience
        .exercise(async |attempt| {
            let result = once(cx, session, planned, target, attempt).await;
            if result.is_err() {
                session.roll_back().await;
            }
            result
        })
        .await
}

async fn once(
    cx: &Context,
    session: &Session,
    planned: &Work,
    target: i32,
    attempt: Attempt,
) -> Result<Done, Setback> {
    let history_exists = take_lock(session, attempt).await?;
    let survey = Survey::within(session, history_exists).await?;
    let work = decide(&survey, target)?;
    if work.is_empty() {
        session.roll_back().await;
        return Ok(Done::default());
    }
    if work != *planned {
        return Err(Setback::Fatal(changed(planned, &work)));
    }
    prepare(cx, session, &work).await?;
    apply_own(session, &work).await?;
    record_run(cx, session).await?;
    adopt(session, &work).await?;
    apply(session, &work, target).await?;
    let (locked, recovered) = commit(cx, session).await?;
    Ok(Done { work, locked, recovered })
}

const WHAT: &str = "cannot migrate";

/// Seconds since the migration got its first lock; it notes the time itself. In one round trip with
/// COMMIT: the locks are held while it travels.
const COMMIT: &str = "SELECT extract(epoch FROM clock_timestamp() - \
    nullif(current_setting('markenmate.locked_at', true), '')::timestamptz)::float8; COMMIT";

/// Takes the lock between runs, and says whether there is a history now that we have it.
async fn take_lock(session: &Session, attempt: Attempt) -> Result<bool, Setback> {
    let what = "cannot take the lock between runs of markenmate";
    let sql = locks::try_lock_sql() + HISTORY_EXISTS;
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
    Ok(yes("kept"))
}

/// Schema, role and what the history's rows say about this run.
async fn prepare(cx: &Context, session: &Session, work: &Work) -> Result<(), Failure> {
    let owner = quoted(&work.owner);
    let schema = format!("CREATE SCHEMA IF NOT EXISTS markenmate AUTHORIZATION {owner};");
    let become_owner =
        if work.become_owner { format!("SET LOCAL ROLE {owner};") } else { String::new() };
    let run_id = set_local("run_id", &cx.run_id.to_string());
    let sql = match work.create_schema {
        Some(SchemaBy::Ourselves) => format!("{schema}{become_owner}{run_id}"),
        Some(SchemaBy::Owner) => format!("{become_owner}{schema}{run_id}"),
        None => format!("{become_owner}{run_id}"),
    };
    session.run(WHAT, &sql).await.map(drop)
}

async fn apply_own(session: &Session, work: &Work) -> Result<(), Failure> {
    if work.own.is_empty() {
        return Ok(());
    }
    let migrations: Result<Vec<_>, _> = registry::OWN.iter().map(|e| e.migration()).collect();
    let executor = Executor::new(session, "cannot set up schema markenmate");
    refine(executor, Runner::new(&migrations?), ledger::OWN).await
}

async fn record_run(cx: &Context, session: &Session) -> Result<(), Failure> {
    use tokio_postgres::types::Type;
    let reason = cx.settings.reason.as_deref();
    let approved_by = cx.settings.approved_by.as_deref();
    session
        .query(
            "cannot record the run",
            "INSERT INTO markenmate.run (run_id, command, tool_version, reason, approved_by) \
             VALUES ($1::text::uuid, 'migrate', $2, $3, $4)",
            &[
                (&cx.run_id.to_string(), Type::TEXT),
                (&env!("CARGO_PKG_VERSION"), Type::TEXT),
                (&reason, Type::TEXT),
                (&approved_by, Type::TEXT),
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
    refine(executor, runner, ledger::APP).await
}

async fn apply(session: &Session, work: &Work, target: i32) -> Result<(), Failure> {
    if work.apply.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = work.entries().map(ToString::to_string).collect();
    let runner = Runner::new(&app_migrations()?).set_target(Target::Version(target));
    let executor = Executor::new(session, format!("cannot apply {}", names.join(", ")));
    refine(executor, runner, ledger::APP).await
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

/// COMMIT, and where the answer is lost, the truth about it. How long the app's tables were locked,
/// and true where the answer was lost and found.
async fn commit(cx: &Context, session: &Session) -> Result<(Option<Duration>, bool), Failure> {
    let began = Instant::now();
    match session.run("cannot commit", COMMIT).await {
        Ok(sets) => {
            let held = sets.iter().flatten().next().and_then(|row| row.get(0)?.parse().ok());
            Ok((held.map(|s: f64| Duration::from_secs_f64(s.max(0.0)) + began.elapsed()), false))
        }
        Err(failure) if !session.is_closed() => Err(failure),
        Err(failure) => find_out(cx, session, failure).await.map(|()| (None, true)),
    }
}

/// After a lost COMMIT: the history row decides, also after a failover; without it, the old
/// backend is given time to end.
async fn find_out(cx: &Context, lost: &Session, failure: Failure) -> Result<(), Failure> {
    let endpoint = cx.endpoint.clone()?;
    let unknown = |why: String| {
        let mut unknown = Failure::new(
            Kind::Unknown,
            "the connection broke during COMMIT: whether the migration took place is not known",
        )
        .because(why)
        .hint("when the server is back, run: markenmate status");
        unknown.sqlstate.clone_from(&failure.sqlstate);
        unknown
    };
    cx.console.say("the connection broke during COMMIT; looking whether it took place");
    let deadline = Instant::now() + cx.settings.max_wait.min(Duration::from_secs(60));
    loop {
        let why = match Session::open(&endpoint, &cx.settings, &cx.interrupt).await {
            Err(error) => error.to_string(),
            Ok(session) if session.facts.system_identifier != lost.facts.system_identifier => {
                return Err(unknown("another server answers under this name now".into()));
            }
            Ok(session) if session.facts.standby => "the server is a standby now".to_owned(),
            Ok(session) => match was_committed(cx, &session).await? {
                Some(true) => return Ok(()),
                Some(false) => {
                    return Err(Failure::unexpected("the connection broke; nothing was changed")
                        .because(failure)
                        .hint("run the same command again"));
                }
                None => "the old session is still at work".to_owned(),
            },
        };
        if Instant::now() >= deadline {
            return Err(unknown(why));
        }
        cx.interrupt.pause(Duration::from_millis(200)).await?;
    }
}

/// None: another session still holds the lock between runs, so nothing can be said yet.
async fn was_committed(cx: &Context, session: &Session) -> Result<Option<bool>, Failure> {
    let what = "cannot look whether the migration took place";
    if session.facts.has_history {
        let sql = format!("SELECT 1 FROM markenmate.run WHERE run_id = '{}'", cx.run_id);
        let sets = session.once(Mode::Read, what, &sql).await?;
        if sets.iter().any(|rows| !rows.is_empty()) {
            return Ok(Some(true));
        }
    }
    let busy = !locks::run_holders(session).await?.is_empty();
    Ok((!busy).then_some(false))
}
