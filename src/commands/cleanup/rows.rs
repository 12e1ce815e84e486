//! `cleanup [JOB]...`: rows whose time is over leave the application's tables, in batches that it does not feel.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::shown;
use crate::cleanup::export::{Export, File, Months};
use crate::cleanup::ground::{Due, Ground};
use crate::cleanup::jobs::{self, GUIDE_ARCHIVE, Job};
use crate::cleanup::run::{Done, Limits, Run};
use crate::context::Context;
use crate::db::identifiers::quoted;
use crate::db::patience::{Attempt, Setback};
use crate::db::session::Session;
use crate::failure::{Failure, Kind};
use crate::migrations::registry;
use crate::migrations::survey::Survey;
use crate::pipeline::{Access, Operation};
use crate::plan::{Plan, Risk, Step};
use crate::report::{Block, Next, Outcome, Report, StepStatus};

/// Flags of `cleanup`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// What is cleaned up; without any: tokens and audit, the guide's two
    #[arg(value_enum, value_name = "JOB")]
    jobs: Vec<JobArg>,
    /// Audit and log rows older than this leave [default: 90d]
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<Duration>,
    /// How long one batch may take, about
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = batch_time)]
    batch_time: Duration,
    /// Begin no further batch after this time, and say what is left
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    max_duration: Option<Duration>,
    /// Then move the archive's oldest months into files in this folder
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
    /// Months that were over before this age are exported [default: --older-than]
    #[arg(long, value_name = "AGE", value_parser = age, requires = "export")]
    export_older_than: Option<Duration>,
}

/// A job as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum JobArg {
    /// Step-up tokens that have expired
    Tokens,
    /// Audit rows, into markenmate.audit_log_archive
    Audit,
    /// Log rows, into markenmate.app_log_archive
    AppLog,
}

const USUAL_AGE: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// What a timestamp can still be subtracted from.
const MOST: Duration = Duration::from_secs(1000 * 366 * 24 * 60 * 60);

fn before(now: DateTime<Utc>, age: Duration) -> DateTime<Utc> {
    let age = TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
    now.checked_sub_signed(age).unwrap_or(DateTime::<Utc>::MIN_UTC)
}

fn age(text: &str) -> Result<Duration, String> {
    let age =
        humantime::parse_duration(text).map_err(|e| format!("{e}; write 90d, 12months, 2y"))?;
    if age > MOST { Err("that is more than a thousand years".into()) } else { Ok(age) }
}

fn batch_time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|e| format!("{e}; write 50ms, 1s"))?;
    match time {
        time if time < Duration::from_millis(1) => Err("1ms is the least".into()),
        time if time > Duration::from_secs(60) => {
            Err("60s is the most: rows are locked for so long".into())
        }
        time => Ok(time),
    }
}

/// The command.
pub struct Rows {
    args: Args,
}

/// What is there to clean up, and as whom.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What makes us the owner, if it takes that.
    role: String,
    dues: Vec<Due>,
    export: Option<Export>,
    months: Vec<Months>,
}

impl Rows {
    /// With these flags.
    pub fn new(args: Args) -> Self {
        Self { args }
    }

    fn jobs(&self) -> Vec<&'static Job> {
        let wanted = |job: &&Job| match self.args.jobs.as_slice() {
            [] => ["tokens", "audit"].contains(&job.id),
            named => named.iter().any(|named| named.id() == job.id),
        };
        jobs::ALL.iter().filter(wanted).collect()
    }

    /// What the archives of these jobs have for files.
    async fn months(
        &self,
        session: &Session,
        role: &str,
        now: DateTime<Utc>,
    ) -> Result<(Option<Export>, Vec<Months>), Failure> {
        let Some(folder) = &self.args.export else { return Ok((None, Vec::new())) };
        let age = self.args.export_older_than.or(self.args.older_than).unwrap_or(USUAL_AGE);
        let export = Export::into(folder, before(now, age));
        let mut months = Vec::new();
        for archive in self.jobs().iter().filter_map(|job| job.archive) {
            months.push(export.months(session, role, archive).await?);
        }
        Ok((Some(export), months))
    }

    fn cut_off(&self, job: &Job, now: DateTime<Utc>) -> DateTime<Utc> {
        let age = if job.aged { self.args.older_than.unwrap_or(USUAL_AGE) } else { Duration::ZERO };
        before(now, age)
    }

    /// The same once more.
    fn again(&self) -> Next {
        let mut command = String::from("markenmate cleanup");
        for job in &self.args.jobs {
            command += &format!(" {}", job.id());
        }
        if let Some(age) = self.args.older_than {
            command += &format!(
                " --older-than {}",
                humantime::format_duration(age).to_string().replace(' ', "")
            );
        }
        Next::run(command)
    }

    /// # Errors
    /// Usage: an age for what has none.
    fn check(&self) -> Result<(), Failure> {
        if self.args.older_than.is_some() && self.jobs().iter().all(|job| !job.aged) {
            return Err(Failure::usage("--older-than belongs to audit and app-log")
                .hint("a step-up token says itself when its time is over"));
        }
        if self.args.export.is_some() && self.jobs().iter().all(|job| job.archive.is_none()) {
            return Err(Failure::usage("--export belongs to audit and app-log")
                .hint("an expired step-up token is kept nowhere"));
        }
        Ok(())
    }
}

impl JobArg {
    const fn id(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Audit => "audit",
            Self::AppLog => "app-log",
        }
    }
}

impl Operation for Rows {
    type State = Seen;
    type Work = Seen;

    fn access(&self) -> Access {
        Access::Write
    }

    fn waits_for(&self) -> &'static [&'static str] {
        &["step_up_token", "audit_log", "app_log"]
    }

    async fn inspect(&self, _cx: &Context, session: &Session, _: Attempt) -> Result<Seen, Setback> {
        self.check()?;
        let survey = Survey::look(session).await?;
        let role = role(&survey)?;
        let ground = Ground::look(session).await?;
        let mut jobs = self.jobs();
        if jobs.iter().any(|job| job.id == "audit") && ground.has_guide_archive() {
            jobs.insert(0, &GUIDE_ARCHIVE);
        }
        let mut dues = Vec::new();
        for job in jobs {
            let cut_off = self.cut_off(job, ground.now);
            dues.push(ground.due(session, &role, job, cut_off).await?);
        }
        let (export, months) = self.months(session, &role, ground.now).await?;
        Ok(Seen { role, dues, export, months })
    }

    fn plan(&self, cx: &Context, seen: &Seen) -> Result<Plan<Seen>, Failure> {
        let work = seen.clone();
        let matched = work.dues.iter().map(|due| due.matched).sum::<u64>()
            + work.months.iter().map(|months| months.rows).sum::<u64>();
        let step = |due: &Due| {
            let risk = if due.matched > 0 { Risk::Additive } else { Risk::ReadOnly };
            let mut step = Step::new(due.job.id, shown::title(due), risk);
            step.sql = Some(due.sql());
            step
        };
        let mut steps: Vec<Step> = work.dues.iter().map(step).collect();
        if let Some(export) = &work.export {
            let risk = if work.months.iter().any(|m| m.rows > 0) {
                Risk::Additive
            } else {
                Risk::ReadOnly
            };
            steps.push(Step::new("export", shown::export_title(export), risk));
        }
        // That it ran is written down all the same, but a dry run has nothing to show.
        if cx.settings.dry_run && matched == 0 {
            steps.clear();
        }
        Ok(Plan {
            data: json!({ "jobs": work.dues.iter().map(shown::planned).collect::<Vec<_>>(), "export": work.months }),
            screen: shown::screen(&work.dues, &work.months),
            work,
            steps,
            findings: Vec::new(),
            question: "Go on?".into(),
            asks_later: false,
            next: None,
        })
    }

    async fn execute(
        &self,
        cx: &Context,
        session: &Session,
        plan: Plan<Seen>,
    ) -> Result<Report, Failure> {
        let began = Instant::now();
        let guard = Session::open(&session.endpoint, &cx.settings, &cx.interrupt).await?;
        Run::lock(&guard).await?;
        let limits = Limits {
            batch_time: self.args.batch_time,
            until: self.args.max_duration.map(|most| began + most),
        };
        let run = Run { cx, session, guard: &guard, role: &plan.work.role, limits };
        let mut done = Vec::new();
        for due in &plan.work.dues {
            done.push(run.job(due).await.map_err(|failure| after(failure, &done))?);
        }
        let mut files = Vec::new();
        let began = Instant::now();
        if let Some(export) = &plan.work.export {
            for months in &plan.work.months {
                let exported = export.carry_out(cx, session, &plan.work.role, months.archive).await;
                files.extend(exported.map_err(|failure| after(failure, &done))?);
            }
        }
        guard.end().await;
        Ok(report(&plan, &done, &files, began.elapsed(), self.again()))
    }
}

/// # Errors
/// Refused (4): the tool's own schema is not there yet; the tables are not ours.
fn role(survey: &Survey) -> Result<String, Failure> {
    let own = survey.histories.own.iter().filter_map(|row| row.number()).max().unwrap_or_default();
    if own < registry::CLEANUP {
        return Err(Failure::refused("there is no archive in this database yet")
            .because(
                "what is cleaned up goes into schema markenmate, which migrate brings up to date",
            )
            .hint("markenmate migrate"));
    }
    let rights = &survey.rights;
    match rights.owner() == rights.user {
        true => Ok(String::new()),
        false if rights.becomes_table_owner => {
            Ok(format!("SET LOCAL ROLE {};", quoted(rights.owner())))
        }
        false => Err(Failure::refused(format!("the tables belong to {}", rights.owner()))
            .hint(format!("connect as {}, or as a member of that role", rights.owner()))),
    }
}

/// Other jobs are done already.
fn after(mut failure: Failure, done: &[Done]) -> Failure {
    if done.iter().all(|done| done.deleted == 0) {
        return failure;
    }
    if failure.kind != Kind::Interrupted {
        failure.kind = Kind::Partial;
    }
    done.iter().fold(failure, |failure, done| {
        failure.because(format!("done before: {}, {} rows", done.id, done.deleted))
    })
}

fn report(
    plan: &Plan<Seen>,
    done: &[Done],
    files: &[File],
    export: Duration,
    again: Next,
) -> Report {
    let deleted: u64 = done.iter().map(|done| done.deleted).sum();
    let remaining: u64 = done.iter().map(|done| done.remaining).sum();
    let nothing = deleted == 0 && remaining == 0 && files.is_empty();
    let mut report = Report::new(if nothing { Outcome::NothingToDo } else { Outcome::Done });
    for (step, done) in plan.steps.iter().zip(done) {
        report.steps.push(step.result(StepStatus::Done, Some(done.duration_ms)));
    }
    if let (Some(step), Some(_)) = (plan.steps.get(done.len()), &plan.work.export) {
        let took = u64::try_from(export.as_millis()).unwrap_or(u64::MAX);
        report.steps.push(step.result(StepStatus::Done, Some(took)));
    }
    report.data = json!({ "jobs": done, "remaining": remaining, "files": files });
    report.body = if nothing {
        vec![Block::Text("nothing to do: no row has had its time".into())]
    } else {
        shown::results(done, files)
    };
    report.next = Some(if remaining == 0 { Next::run("markenmate status") } else { again });
    report
}
