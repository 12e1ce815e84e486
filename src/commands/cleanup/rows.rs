//! `cleanup [JOB]...`: rows whose time is over leave the application's tables, in batches that it does not feel.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::json;

use super::args::{Args, JobArg, USUAL_AGE, before};
use super::foreseen;
use super::outcome::{At, Outcomes, PUT_BACK, held, report, what_is_not};
use super::owner;
use super::partial;
use super::shown;
use crate::checks::registry::{self as checks, Source};
use crate::cleanup::export::{Export, Months};
use crate::cleanup::ground::{Due, Ground};
use crate::cleanup::guide;
use crate::cleanup::jobs::{self, GUIDE_ARCHIVE, Job};
use crate::cleanup::lock;
use crate::cleanup::orphans::{self, Moved, Orphans};
use crate::cleanup::patient::patiently;
use crate::cleanup::run::{Limits, Run};
use crate::cleanup::tally::Tally;
use crate::context::Context;
use crate::db::patience::{Attempt, Setback};
use crate::db::session::Session;
use crate::failure::Failure;
use crate::migrations::setup;
use crate::migrations::survey::Survey;
use crate::pipeline::{Access, Operation};
use crate::plan::{Plan, Risk, Step};
use crate::report::{Block, Finding, Next, Report};
use crate::tools::shell;

/// From so many rows on a second session pays.
const MANY: u64 = 20_000;

/// The command.
pub struct Rows {
    args: Args,
}

/// What is there to clean up, and as whom.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What makes us the owner, if it takes that.
    pub(super) role: String,
    /// Schema `markenmate` is brought up to date first.
    sets_up: bool,
    pub(super) dues: Vec<Due>,
    findings: Vec<Finding>,
    pub(super) export: Option<Export>,
    pub(super) months: Vec<Months>,
    /// Exports of other archives that did not end: what is to be said.
    pub(super) unfinished: Vec<String>,
    pub(super) orphans: Vec<Orphans>,
    /// Tables of what was set aside before.
    pub(super) kept: u64,
    /// What a run would be refused; only a dry run asks.
    refusal: Option<Failure>,
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

    fn wants_orphans(&self) -> bool {
        self.args.jobs.contains(&JobArg::Orphans)
    }

    /// What was to be done.
    fn asked(&self) -> Vec<&'static str> {
        let orphans = if self.args.put_back { PUT_BACK } else { "orphans" };
        let jobs = self.jobs().into_iter().map(|job| job.id);
        jobs.chain(self.wants_orphans().then_some(orphans)).collect()
    }

    /// Where files go; refused where that is no folder.
    fn export(&self, now: DateTime<Utc>) -> Result<Option<Export>, Failure> {
        let Some(folder) = &self.args.export else { return Ok(None) };
        let age = self.args.export_older_than.or(self.args.older_than).unwrap_or(USUAL_AGE);
        let mut export = Export::into(folder, before(now, age));
        export.look()?;
        export.flags = self.args.flags(&["--older-than", "--export-older-than"]);
        Ok(Some(export))
    }

    /// What the archives of these jobs have for files, once `dues` are done.
    async fn months(
        &self,
        session: &Session,
        role: &str,
        export: &Export,
        dues: &[Due],
    ) -> Result<Vec<Months>, Failure> {
        let mut months = Vec::new();
        for archive in self.jobs().iter().filter_map(|job| job.archive) {
            months.push(export.months(session, role, archive, dues).await?);
        }
        Ok(months)
    }

    fn cut_off(&self, job: &Job, now: DateTime<Utc>) -> DateTime<Utc> {
        let age = if job.aged { self.args.older_than.unwrap_or(USUAL_AGE) } else { Duration::ZERO };
        before(now, age)
    }

    /// Sets aside, or puts back.
    async fn orphans(
        &self,
        cx: &Context,
        session: &Session,
        seen: &Seen,
    ) -> Result<Vec<Moved>, Failure> {
        if seen.orphans.is_empty() && seen.kept == 0 {
            return Ok(Vec::new());
        }
        let tables: Vec<String> =
            seen.orphans.iter().map(|orphans| orphans.table.clone()).collect();
        let tables: Vec<&str> = tables.iter().map(String::as_str).chain(["user"]).collect();
        patiently(cx, session, &tables, &[], async || match self.args.put_back {
            true => orphans::put_back(cx, session, &seen.role).await,
            false => orphans::set_aside(cx, session, &seen.role, &seen.orphans).await,
        })
        .await
    }

    /// The same once more.
    fn again(&self) -> Next {
        let mut command = String::from("markenmate cleanup");
        for job in &self.args.jobs {
            command += &format!(" {}", job.id());
        }
        if self.args.put_back {
            command += " --put-back";
        }
        if let Some(folder) = &self.args.export {
            command += &format!(" --export {}", shell::word(&folder.to_string_lossy()));
        }
        command += &self.args.flags(&[]);
        Next::run(command)
    }

    /// # Errors
    /// Usage: an age for what has none.
    fn check(&self) -> Result<(), Failure> {
        if self.args.older_than.is_some() && self.jobs().iter().all(|job| !job.aged) {
            return Err(Failure::usage("--older-than belongs to audit and app-log")
                .hint("a step-up token says itself when its time is over"));
        }
        if self.args.put_back && self.args.jobs != [JobArg::Orphans] {
            return Err(Failure::usage("--put-back belongs to orphans, by themselves")
                .hint("markenmate cleanup orphans --put-back"));
        }
        if self.args.export.is_some() && self.jobs().iter().all(|job| job.archive.is_none()) {
            return Err(Failure::usage("--export belongs to audit and app-log")
                .hint("an expired step-up token is kept nowhere"));
        }
        Ok(())
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

    async fn inspect(&self, cx: &Context, session: &Session, _: Attempt) -> Result<Seen, Setback> {
        self.check()?;
        let survey = Survey::look(session).await?;
        // A key over such rows keeps migrate from its work: what is to be mended first does not wait for it.
        let may_set_up = self.args.jobs == [JobArg::Orphans] && !self.args.put_back;
        let (role, sets_up) = owner::role(&survey, may_set_up)?;
        let ground = Ground::look(session, &role).await?;
        let jobs = self.jobs();
        let (mut dues, mut findings, mut stays) = (Vec::new(), Vec::new(), None);
        if jobs.iter().any(|job| job.id == "audit") && ground.has_guide_archive() {
            match guide::due(session, &ground, &role).await? {
                Ok(due) => dues.push(due),
                Err(why) => {
                    ground.read_guide_archive()?;
                    stays = guide::spared(&ground);
                    findings.push(shown::not_taken_over(&why));
                }
            }
            findings.push(shown::the_guides_job());
        }
        for job in jobs {
            let cut_off = self.cut_off(job, ground.now);
            let spared = stays.as_deref().filter(|_| job.id == "audit");
            let mut due = ground.due(session, &role, job, cut_off, spared).await?;
            if spared.is_some() {
                let all = ground.due(session, &role, job, cut_off, None).await?;
                due.waiting = all.matched.saturating_sub(due.matched);
                findings.extend(shown::waiting(&due));
            }
            dues.push(due);
        }
        let export = self.export(ground.now)?;
        let (mut months, mut unfinished) = (Vec::new(), Vec::new());
        if let Some(export) = &export {
            months = self.months(session, &role, export, &dues).await?;
            findings.extend(months.iter().filter_map(shown::stays));
            findings.extend(shown::shared(export, &export.shared_with(session, &months)));
            unfinished = export.others(session, &role, &months).await?;
        }
        let (mut found, mut kept) = (Vec::new(), 0);
        if self.args.put_back {
            kept = orphans::kept(session, &role).await?;
        } else if self.wants_orphans() {
            found = orphans::look(session, &role, verified_by()?).await?;
        }
        let (orphans, refusal) = (found, None);
        let mut seen = Seen {
            role,
            sets_up,
            dues,
            findings,
            export,
            months,
            unfinished,
            orphans,
            kept,
            refusal,
        };
        if cx.settings.dry_run {
            seen.refusal = foreseen::refusal(cx, session, &seen).await?;
        }
        Ok(seen)
    }

    fn plan(&self, cx: &Context, seen: &Seen) -> Result<Plan<Seen>, Failure> {
        let work = seen.clone();
        let matched = work.dues.iter().map(|due| due.matched).sum::<u64>()
            + work.months.iter().map(|months| months.rows + months.begun).sum::<u64>()
            + work.orphans.iter().map(|orphans| orphans.rows).sum::<u64>()
            + work.kept;
        let step = |due: &Due| {
            // A table that is dropped is asked about, empty as it is.
            let changes = due.matched > 0 || due.job == &GUIDE_ARCHIVE;
            let risk = if changes { Risk::Additive } else { Risk::ReadOnly };
            let mut step = Step::new(due.job.id, shown::title(due), risk);
            step.sql = Some(due.sql());
            step
        };
        let mut steps: Vec<Step> = work.dues.iter().map(step).collect();
        let wanted = work.months.iter().any(|months| months.rows + months.begun > 0);
        if let Some(export) = work.export.as_ref().filter(|_| wanted) {
            steps.push(Step::new("export", shown::export_title(export), Risk::Additive));
        }
        steps.extend(shown::set_up(work.sets_up && !work.orphans.is_empty()));
        steps.extend(shown::orphans_step(&work.orphans, work.kept));
        // That it ran is written down all the same, but a dry run has nothing to show.
        let takes_over = work.dues.iter().any(|due| due.job == &GUIDE_ARCHIVE);
        if cx.settings.dry_run && matched == 0 && !takes_over {
            steps.clear();
        }
        let mut screen = shown::screen(&work.dues, &work.months, &work.unfinished, &work.orphans);
        let settled = steps.is_empty() && screen.is_empty();
        if settled {
            screen.push(Block::Text(format!("nothing to do: {}", what_is_not(&self.asked()))));
        }
        let plan = Plan {
            data: json!({ "jobs": work.dues.iter().map(shown::planned).collect::<Vec<_>>(), "export": work.months, "unfinished": work.unfinished, "orphans": work.orphans }),
            screen,
            work,
            steps,
            findings: seen.findings.clone(),
            question: "Go on?".into(),
            asks_later: false,
            next: settled.then(|| Next::run("markenmate status")),
        };
        match seen.refusal.clone() {
            None => Ok(plan),
            // What there is to do is seen all the same.
            Some(refusal) => Err(Failure { body: plan.screen, data: Some(plan.data), ..refusal }
                .with_findings(plan.findings)),
        }
    }

    async fn execute(
        &self,
        cx: &Context,
        session: &Session,
        plan: Plan<Seen>,
    ) -> Result<Report, Failure> {
        let mut all = Outcomes::default();
        match self.carry_out(cx, session, &plan.work, &mut all).await {
            Ok(()) => Ok(report(&plan, &all, self.again())),
            Err(failure) => Err(partial::ended(failure, &plan, &all, self.again())),
        }
    }
}

impl Rows {
    /// Everything, in its order; `all` has what was done, also where it ends in the middle.
    async fn carry_out(
        &self,
        cx: &Context,
        session: &Session,
        work: &Seen,
        all: &mut Outcomes,
    ) -> Result<(), Failure> {
        let began = Instant::now();
        let guard = Session::open(&session.endpoint, &cx.settings, &cx.interrupt).await?;
        lock::take(&guard).await?;
        let limits = Limits {
            batch_time: self.args.batch_time,
            until: self.args.max_duration.map(|most| began + most),
        };
        let export = match work.export.clone() {
            None => None,
            Some(mut export) => {
                export.until = limits.until;
                Some(export.ready(cx, session, &work.role, &work.months).await?)
            }
        };
        let many = work.dues.iter().any(|due| due.matched >= MANY);
        let second = match many && self.args.jobs_at_once > 1 {
            true => Some(Session::open(&session.endpoint, &cx.settings, &cx.interrupt).await?),
            false => None,
        };
        let second = second.as_ref();
        let workers: Vec<_> = [Some(session), second].into_iter().flatten().collect();
        let ours = lock::pids(&workers).await?;
        let run = Run { cx, session, second, guard: &guard, ours, role: &work.role, limits };
        for (n, due) in work.dues.iter().enumerate() {
            all.begin(At::Job(n));
            all.tally = Tally::default();
            all.done.push(run.job(due, &mut all.tally).await?);
        }
        all.held = held(session, &all.done).await;
        all.asked = self.asked();
        if work.sets_up && !work.orphans.is_empty() {
            all.begin(At::SetUp);
            all.set_up = setup::set_up(cx, session).await?;
        }
        all.begin(At::Orphans);
        all.moved = self.orphans(cx, session, work).await?;
        all.begin(At::Export);
        for (export, months) in export.iter().flat_map(|e| work.months.iter().map(move |m| (e, m)))
        {
            let (role, archive) = (&work.role, months.archive);
            all.left += export.carry_out(cx, session, role, archive, &mut all.files).await?;
        }
        all.exported_in = all.since.map(|since| since.elapsed()).unwrap_or_default();
        guard.end().await;
        Ok(())
    }
}

/// What `verify` asks.
fn verified_by() -> Result<&'static str, Failure> {
    match checks::find("orphans").map(|check| &check.source) {
        Ok(Source::Sql(sql)) => Ok(sql),
        _ => Err(Failure::unexpected("there is no check for rows that point to nothing")),
    }
}
