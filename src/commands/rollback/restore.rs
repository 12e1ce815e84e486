//! `rollback --restore` brings a backup back: beside the live database, compared, and only then under its
//! name.

use std::path::PathBuf;
use std::time::Instant;

use serde_json::json;

use crate::backup::gate::Identity;
use crate::backup::manifest::Table;
use crate::backup::preflight::{self, Live};
use crate::backup::restore::{self, Hands, How, Source};
use crate::backup::restored::{self, Owners};
use crate::backup::staging::{Maintenance, Staged};
use crate::backup::swap::{self, Swapped};
use crate::commands::backup;
use crate::context::Context;
use crate::db::identifiers::quoted;
use crate::db::ledger;
use crate::db::patience::{Attempt, Setback};
use crate::db::session::Session;
use crate::failure::{Failure, Kind};
use crate::pipeline::{self, Access, Operation};
use crate::plan::{Plan, Risk, Step};
use crate::report::{Block, Finding, Next, Outcome, Report, StepResult, StepStatus};
use crate::tools::shell;

use super::{Args, recorded, shown, source};

/// The command.
pub struct Restore {
    args: Args,
    path: Option<PathBuf>,
}

/// What was seen, and what will be restored.
#[derive(Debug, Clone)]
pub struct Seen {
    source: Source,
    fingerprint: String,
    live: Live,
    free_bytes: Option<u64>,
}

impl Restore {
    /// With these flags, of that backup; none: the newest verified one.
    pub fn new(args: Args, path: Option<PathBuf>) -> Self {
        Self { args, path }
    }

    fn how(&self) -> How {
        How {
            jobs: self.args.jobs,
            identity: self.args.identity.clone(),
            without_tablespaces: false,
        }
    }
}

impl Operation for Restore {
    type State = Seen;
    type Work = Seen;

    fn access(&self) -> Access {
        Access::Write
    }

    async fn inspect(
        &self,
        cx: &Context,
        session: &Session,
        _attempt: Attempt,
    ) -> Result<Seen, Setback> {
        if !cx.settings.dry_run {
            // Not after an hour.
            pipeline::can_consent(cx, Risk::Destructive, &pipeline::phrase_for(session))?;
        }
        let identity = Identity::of(session).await?;
        let path = source::choose(cx, self.path.as_deref(), &identity)?;
        let source = source::proven(cx, &path, self.args.identity.as_deref()).await?;
        let roles = match &source {
            Source::Proven(backup) => backup.manifest.roles.clone(),
            Source::Bare(_, summary) => summary.roles.iter().cloned().collect(),
        };
        let extensions = source.extensions(cx, &self.how()).await?;
        let live = Live::look(session, &roles, &extensions).await?;
        let fingerprint = source::fingerprint(cx, &source).await?;
        Ok(Seen { free_bytes: live.free_bytes(session), source, fingerprint, live })
    }

    fn plan(&self, _cx: &Context, seen: &Seen) -> Result<Plan<Seen>, Failure> {
        let Seen { source, live, free_bytes, .. } = seen;
        let obstacles = preflight::obstacles(source, live, *free_bytes);
        if !obstacles.is_empty() {
            let what =
                format!("{} cannot be restored here: nothing was changed", source.path().display());
            return Err(Failure::refused(what).with_findings(obstacles));
        }
        Ok(Plan {
            work: seen.clone(),
            steps: shown::steps(source, live, !self.args.no_safety_backup),
            screen: shown::screen(source),
            findings: preflight::remarks(source, live),
            question: shown::question(source, live),
            asks_later: true,
            data: json!({ "path": source.path() }),
            next: None,
        })
    }

    async fn execute(
        &self,
        cx: &Context,
        session: &Session,
        plan: Plan<Seen>,
    ) -> Result<Report, Failure> {
        let Seen { source, fingerprint, live, .. } = &plan.work;
        let mut done = Done::of(cx, &plan.steps);
        let phrase = pipeline::phrase_for(session);
        let mut safety = None;
        if !self.args.no_safety_backup {
            let without = |failure: Failure| {
                match failure.kind {
                Kind::Interrupted => failure,
                _ => failure.hint("to go on without a safety backup: --no-safety-backup; what is live is kept under another name either way"),
            }
            };
            let made = done.step(shown::BACKUP, backup::of_what_goes(cx, session)).await;
            safety = Some(made.map_err(without)?);
        }
        // A database that is not to be trusted any more is what a restore is for.
        let went = ledger::head(session).await.unwrap_or_default();
        let maintenance = Maintenance::enter(cx, session, live).await?;
        let (whole, mut dropped) = maintenance.leavings(fingerprint).await?;
        let (staged, left_out) = match whole {
            Some(staged) => {
                cx.console.say(&format!("it was restored before, into {}", staged.name));
                (staged, Vec::new())
            }
            None => self.stage(cx, &maintenance, &plan.work, &mut done).await?,
        };
        self.agree(cx, &phrase, &plan, &staged).await?;
        maintenance.still_alike(&staged).await?;
        let swapping = swap::swap(cx, &maintenance, &staged);
        let waits = |failure: Failure| match failure.kind {
            // It may have its name.
            Kind::Unknown => failure,
            _ => failure.hint(shown::waits(&staged, source)),
        };
        let swapped = done.step(shown::SWAP, swapping).await.map_err(waits)?;
        // The server goes on with what a killed run had asked it for: it may have come to light since.
        dropped.extend(maintenance.leavings("").await.map(|(_, late)| late).unwrap_or_default());
        let unrecorded = recorded::record(cx, session, source, &swapped, went).await;
        let mut report = Report::new(Outcome::Done);
        report.steps = done.finish();
        report.data = json!({
            "path": source.path(),
            "kept_as": swapped.kept_as,
            "safety_backup": safety,
            "held_ms": u64::try_from(swapped.held.as_millis()).unwrap_or(u64::MAX),
        });
        report.body.push(Block::Text(format!(
            "{} is {} now; what was there before is {}",
            live.name,
            source.path().display(),
            swapped.kept_as
        )));
        report.findings.extend(plan.findings);
        report.findings.extend(unrecorded);
        report.findings.extend(shown::left_out(&left_out));
        report.findings.extend(shown::dropped(&dropped));
        let drop = format!("DROP DATABASE {};", quoted(&swapped.kept_as));
        report.findings.push(shown::kept(&swapped.kept_as, &drop));
        report.next = Some(Next::run("markenmate verify"));
        report.undo = Some(undo(&maintenance, live, &swapped));
        Ok(report)
    }
}

impl Restore {
    /// Restores beside the live database and compares. Whatever fails leaves nothing.
    async fn stage(
        &self,
        cx: &Context,
        maintenance: &Maintenance,
        seen: &Seen,
        done: &mut Done<'_>,
    ) -> Result<(Staged, Vec<String>), Failure> {
        let of = match &seen.source {
            Source::Proven(backup) => Some(&backup.manifest.database),
            Source::Bare(..) => None,
        };
        let staged = done.step(shown::CREATE, maintenance.create(cx, of)).await?;
        let filled = self.fill(cx, maintenance, seen, &staged, done).await;
        match filled {
            Ok(left_out) => Ok((staged, left_out)),
            Err(failure) => {
                // A signal must not stop this; where it fails the next run does it.
                let _ = maintenance.drop(&staged.name).await;
                Err(failure)
            }
        }
    }

    async fn fill(
        &self,
        cx: &Context,
        maintenance: &Maintenance,
        seen: &Seen,
        staged: &Staged,
        done: &mut Done<'_>,
    ) -> Result<Vec<String>, Failure> {
        let session = maintenance.connect_to_fill(cx, staged).await?;
        let how = self.how();
        let restoring = restore::into(cx, Hands::of(&session), &seen.source, &how);
        let left_out = done.step(shown::RESTORE, restoring).await?;
        // What the session was given, and a plain dump has set, is not for the rest.
        let session = maintenance.connect(cx, staged).await?;
        done.step(shown::ANALYZE, analyze(&session)).await?;
        done.step(shown::COMPARE, same(&session, &seen.source)).await?;
        maintenance.mark(staged, &seen.fingerprint, seen.source.path()).await?;
        Ok(left_out)
    }

    /// Asks, where consent was not given on the command line.
    async fn agree(
        &self,
        cx: &Context,
        phrase: &str,
        plan: &Plan<Seen>,
        staged: &Staged,
    ) -> Result<(), Failure> {
        let swap = plan.steps.iter().filter(|step| step.id == shown::SWAP).cloned().collect();
        let last = Plan { steps: swap, ..plan.clone() };
        let agreed = pipeline::consent(cx, phrase, &last).await;
        agreed.map(drop).map_err(|failure| failure.hint(shown::waits(staged, &plan.work.source)))
    }
}

/// As long as it takes, whatever the database's settings say.
async fn analyze(session: &Session) -> Result<(), Failure> {
    const WHAT: &str = "cannot analyze the restored database";
    session.run(WHAT, "SET statement_timeout = 0; SET lock_timeout = 0").await?;
    session.run(WHAT, "ANALYZE").await.map(drop)
}

/// Refused where it is not what was dumped.
async fn same(session: &Session, source: &Source) -> Result<(), Failure> {
    let findings = compare(session, source).await?;
    if findings.is_empty() {
        return Ok(());
    }
    let what = "what was restored is not what was dumped: nothing was changed";
    Err(Failure::refused(what).with_findings(findings))
}

async fn compare(session: &Session, source: &Source) -> Result<Vec<Finding>, Failure> {
    match source {
        Source::Proven(backup) => {
            restored::compare_with(session, &backup.manifest, Owners::AsDumped).await
        }
        Source::Bare(_, summary) => {
            let table = |(name, rows): (&String, &Option<u64>)| Table {
                name: name.clone(),
                rows: *rows,
                checksum: None,
            };
            restored::count(session, &summary.tables.iter().map(table).collect::<Vec<_>>()).await
        }
    }
}

/// To paste.
fn undo(maintenance: &Maintenance, live: &Live, swapped: &Swapped) -> String {
    format!(
        "psql -X -1 -v ON_ERROR_STOP=1 -d {} -c {}  # when nobody is connected",
        shell::word(&maintenance.worker().login.conninfo),
        shell::word(&swap::undo(live, swapped))
    )
}

/// What was done so far, and how long it took.
struct Done<'a> {
    cx: &'a Context,
    steps: &'a [Step],
    results: Vec<StepResult>,
}

impl<'a> Done<'a> {
    fn of(cx: &'a Context, steps: &'a [Step]) -> Self {
        Self { cx, steps, results: Vec::new() }
    }

    async fn step<T>(
        &mut self,
        id: &str,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.cx.interrupt.check()?;
        let step = self.steps.iter().find(|step| step.id == id);
        if let Some(step) = step {
            self.cx.console.say(&step.title);
        }
        let began = Instant::now();
        let value = work.await?;
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.results.extend(step.map(|step| step.result(StepStatus::Done, Some(ms))));
        Ok(value)
    }

    /// All steps; those an earlier run has done are passed over.
    fn finish(self) -> Vec<StepResult> {
        let done = |step: &Step| self.results.iter().find(|result| result.id == step.id).cloned();
        self.steps
            .iter()
            .map(|s| done(s).unwrap_or_else(|| s.result(StepStatus::Skipped, None)))
            .collect()
    }
}
