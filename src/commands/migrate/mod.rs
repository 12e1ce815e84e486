//! `migrate`: brings the database to a version. What is there already is recorded, never run again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Utc;
use serde_json::json;
use tokio::sync::OnceCell;

use crate::backup::gate::{self, Fallback, Identity, Requirement};
use crate::backup::rehearsed;
use crate::commands::{backup, forecast as foreseen};
use crate::context::Context;
use crate::db::patience::{Attempt, Setback};
use crate::db::session::Session;
use crate::failure::Failure;
use crate::migrations::back::{self, returning};
use crate::migrations::forecast::{self, Forecast, Sight};
use crate::migrations::plan::{Work, decide};
use crate::migrations::registry;
use crate::migrations::run::{self, Done, Planned};
use crate::migrations::survey::Survey;
use crate::pipeline::{Access, Operation};
use crate::plan::{Plan, Risk, Step};
use crate::report::{Block, Finding, Next, Outcome, Report, Severity, StepStatus};
use crate::settings::Consent;
use crate::tools::shell;

mod backups;
pub mod beside;
mod left;
mod rehearsals;
mod shown;

use beside::findings;
use shown::{question, screen, steps, undo, verify_at};

/// Flags of `migrate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The version or name to go to [default: the latest]
    #[arg(long, value_name = "VERSION|NAME")]
    pub to: Option<String>,
    /// Say by exit code what would happen: 0 nothing, 3 pending, 4 refused, 7 would have to wait
    #[arg(long, conflicts_with = "dry_run")]
    pub check: bool,
    /// Refuse unless a verified backup of this database is that young, there or in --backup-dir
    #[arg(long, value_name = "AGE[,PATH]", value_parser = Requirement::parse)]
    pub require_backup: Option<Requirement>,
    /// Refuse unless these migrations were rehearsed with this database as it is, with rows not older than AGE; certified there or in --backup-dir
    #[arg(long, value_name = "AGE[,PATH]", num_args = 0..=1, value_parser = rehearsed::Requirement::parse)]
    #[allow(clippy::option_option)]
    pub require_rehearsal: Option<Option<rehearsed::Requirement>>,
}

/// The command.
pub struct Migrate {
    args: Args,
    /// Backups that are not what was written.
    changed: OnceCell<Vec<PathBuf>>,
}

impl Migrate {
    /// With these flags.
    pub fn new(args: Args) -> Self {
        Self { args, changed: OnceCell::new() }
    }

    async fn survey(
        &self,
        cx: &Context,
        session: &Session,
        attempt: Attempt,
    ) -> Result<Survey, Setback> {
        if self.args.check {
            // Who asks whether all is well is not answered by the history alone.
            return Ok(Survey::look(session).await?);
        }
        if let Some(settled) = Survey::brief(session).await? {
            return Ok(settled);
        }
        if cx.settings.dry_run || cx.settings.consent == Consent::Ask {
            Ok(Survey::look(session).await?)
        } else {
            // Nobody is asked: what is seen under the lock is the plan, with no need of another look.
            run::survey(session, attempt).await
        }
    }

    /// The command as it carries out what `--dry-run` has shown.
    fn in_earnest(&self) -> String {
        let to = self.args.to.as_deref().map(|to| format!(" --to {}", shell::word(to)));
        format!("markenmate migrate{}", to.unwrap_or_default())
    }

    /// Who is in the way is for the screen, and for `--check`: whoever runs at once sees it on the way.
    async fn sight(
        &self,
        cx: &Context,
        session: &Session,
        survey: &Survey,
    ) -> Result<Sight, Failure> {
        let asked = self.args.check || cx.settings.dry_run || cx.settings.consent == Consent::Ask;
        match decide(survey, self.target()?) {
            Ok(work) if asked && !work.is_empty() => {
                forecast::look(cx, session, &work.effects()).await
            }
            _ => Ok(Sight::default()),
        }
    }

    /// The backups of a database that holds something to lose.
    fn fallback(
        &self,
        cx: &Context,
        session: &Session,
        survey: &Survey,
    ) -> Result<Fallback, Failure> {
        if !survey.rights.holds_users {
            return Ok(Fallback::default());
        }
        let identity = Identity {
            system_identifier: session.facts.system_identifier.clone(),
            oid: survey.rights.database_oid,
        };
        let changed = self.changed.get().map(Vec::as_slice).unwrap_or_default();
        gate::look(self.backups(cx), &identity, changed)
    }

    /// What `--require-backup` demands, where there is something to lose.
    fn required(
        &self,
        fallback: &Fallback,
        settled: bool,
        survey: &Survey,
    ) -> Option<(Duration, Fallback)> {
        let required = self.args.require_backup.as_ref()?;
        (!settled && survey.rights.holds_users).then(|| (required.age, fallback.clone()))
    }

    /// A backup, or the folder of them.
    fn backups<'a>(&'a self, cx: &'a Context) -> &'a Path {
        let named = self.args.require_backup.as_ref().and_then(|required| required.path.as_deref());
        named.unwrap_or(&cx.settings.backup_dir)
    }

    /// What is required is read whole, once, and before any lock is taken.
    async fn prove(&self, cx: &Context, session: &Session) -> Result<(), Failure> {
        if self.args.require_backup.is_none() || self.changed.initialized() {
            return Ok(());
        }
        let identity = Identity::of(session).await?;
        let changed = gate::changed(cx, self.backups(cx), &identity).await?;
        // It was empty a moment ago.
        let _ = self.changed.set(changed);
        Ok(())
    }

    fn target(&self) -> Result<i32, Failure> {
        self.args.to.as_deref().map_or_else(|| Ok(registry::latest()), registry::resolve)
    }
}

/// What is to be done, and what must be there to fall back on.
pub struct Todo {
    planned: Planned,
    required: Option<(Duration, Fallback)>,
    forecast: Forecast,
    rehearsal: Option<rehearsals::Required>,
}

/// What there is to see: the database, the backups of it, and who uses its tables.
pub struct Seen {
    survey: Survey,
    fallback: Fallback,
    sight: Sight,
    rehearsal: Option<rehearsals::Required>,
}

impl Operation for Migrate {
    type State = Seen;
    type Work = Todo;

    fn access(&self) -> Access {
        if self.args.check { Access::Check } else { Access::Write }
    }

    fn waits_for(&self) -> &'static [&'static str] {
        &back::decide::TABLES
    }

    async fn inspect(
        &self,
        cx: &Context,
        session: &Session,
        attempt: Attempt,
    ) -> Result<Seen, Setback> {
        self.target()?;
        self.prove(cx, session).await?;
        let survey = self.survey(cx, session, attempt).await?;
        let required = self.args.require_rehearsal.as_ref();
        let looked = async {
            let fallback = self.fallback(cx, session, &survey)?;
            Ok::<_, Failure>((fallback, rehearsals::look(cx, required, session, &survey).await?))
        };
        match looked.await {
            Ok((fallback, rehearsal)) => {
                let sight = self.sight(cx, session, &survey).await?;
                Ok(Seen { survey, fallback, sight, rehearsal })
            }
            Err(failure) => {
                session.end().await;
                Err(failure.into())
            }
        }
    }

    fn plan(&self, cx: &Context, seen: &Seen) -> Result<Plan<Todo>, Failure> {
        let Seen { survey, fallback, sight, rehearsal } = seen;
        let target = self.target()?;
        let work = decide(survey, target)?;
        let forecast = forecast::forecast(work.effects(), sight);
        let steps = if self.args.check {
            vec![Step::new("check", "look whether anything is pending", Risk::ReadOnly)]
        } else {
            steps(&work, survey.rights.others.is_some())
        };
        let settled = work.is_empty();
        let mut findings = findings(survey, &work);
        let at_risk = survey.rights.holds_users && !work.apply.is_empty();
        if let Some((age, fallback)) = self.required(fallback, settled, survey) {
            backups::require(&fallback, age)?;
        }
        let rehearsal = rehearsal.as_ref().filter(|_| !settled);
        findings.extend(rehearsal.map_or(Ok(Vec::new()), rehearsals::Required::check)?);
        let unbacked = at_risk.then(|| fallback.lacks(gate::USUAL_AGE, Utc::now())).flatten();
        findings.extend(unbacked.iter().map(|why| backups::unbacked(why, fallback)));
        Ok(Plan {
            steps,
            screen: screen(cx, survey, &work, fallback, &forecast),
            findings,
            question: question(survey, &work, unbacked.is_some()),
            asks_later: false,
            data: json!({
                "applied": [], "adopted": [], "attempts": 0, "longest_lock_ms": null,
                "would_apply": work.apply, "would_adopt": work.adopt,
                "forecast": foreseen::json(&forecast),
                "expected_lock_ms": foreseen::milliseconds(&forecast),
            }),
            next: Some(Next::run(if settled { verify_at(target) } else { self.in_earnest() })),
            work: Todo {
                planned: Planned {
                    work,
                    under_lock: survey.under_lock,
                    rehearsed: rehearsal.and_then(rehearsals::Required::fingerprint),
                },
                required: self.required(fallback, settled, survey),
                forecast,
                rehearsal: rehearsal.cloned(),
            },
        })
    }

    /// `b`: a backup, verified; then the same question once more.
    async fn instead(
        &self,
        cx: &Context,
        session: &Session,
        answer: &str,
    ) -> Result<bool, Failure> {
        match answer {
            "b" | "backup" | "back up" | "back up now" => {
                backup::now(cx, session).await.map(|_| true)
            }
            _ => Ok(false),
        }
    }

    async fn execute(
        &self,
        cx: &Context,
        session: &Session,
        plan: Plan<Todo>,
    ) -> Result<Report, Failure> {
        if self.args.check {
            return check(session, plan, &self.in_earnest());
        }
        // The question may have been answered hours later.
        if let Some((age, fallback)) = &plan.work.required {
            backups::require(fallback, *age)?;
        }
        if let Some(Err(failure)) = plan.work.rehearsal.as_ref().map(rehearsals::Required::check) {
            session.end().await;
            return Err(failure);
        }
        let began = std::time::Instant::now();
        let target = self.target()?;
        let done = run::run(cx, session, &plan.work.planned, target).await?;
        let undo = undo(&done.value.work);
        let attempts = session.attempts();
        let ms = began.elapsed().as_millis();
        let Work { returns, .. } = &done.value.work;
        let role = done.value.work.role();
        let returned = returning::carry_out(cx, session, &role, returns).await?;
        let missing = shown::missing(session, &role, returns).await;
        let mut report = report(plan, done.value, attempts, ms, undo);
        shown::returned(&mut report, &returned);
        report.findings.extend(missing);
        Ok(report)
    }
}

fn check(session: &Session, plan: Plan<Todo>, in_earnest: &str) -> Result<Report, Failure> {
    if plan.work.planned.work.is_empty() {
        let mut report = Report::new(Outcome::NothingToDo);
        report.body = plan.screen;
        report.data = plan.data;
        return Ok(report);
    }
    session.facts.check_writable()?;
    let mut report = Report::new(Outcome::Findings);
    report.findings = plan.findings;
    let entries = plan
        .work
        .planned
        .work
        .adopted()
        .map(|e| ("adopt", e))
        .chain(plan.work.planned.work.entries().map(|e| ("apply", e)));
    for (verb, entry) in entries {
        report.findings.push(Finding {
            id: "pending".into(),
            severity: Severity::Warning,
            title: "A migration is pending".into(),
            subject: entry.to_string(),
            detail: format!("migrate would {verb} it"),
            remedy: in_earnest.into(),
        });
    }
    let returns = plan.work.planned.work.returns.iter();
    report.findings.extend(returns.map(|kept| Finding {
        id: "pending".into(),
        severity: Severity::Warning,
        title: "Something that a rollback set aside is to return".into(),
        subject: kept.what(),
        detail: format!("migrate would bring it back from markenmate_quarantine.{}", kept.name),
        remedy: in_earnest.into(),
    }));
    let waits_for = &plan.work.forecast.waits_for;
    if !waits_for.is_empty() {
        let what = "migrate would have to wait for a lock";
        let mut failure = foreseen::busy(what, waits_for, &format!("{in_earnest} --check"));
        (failure.data, failure.findings) = (Some(plan.data), report.findings);
        return Err(failure);
    }
    report.data = plan.data;
    report.next = Some(Next::run(in_earnest));
    Ok(report)
}

fn report(plan: Plan<Todo>, done: Done, attempts: u32, ms: u128, undo: Option<String>) -> Report {
    let Done { work, locked, recovered } = done;
    let nothing = work.is_empty();
    let mut report = Report::new(if nothing { Outcome::NothingToDo } else { Outcome::Done });
    let longest = locked.map(|time| (time.as_secs_f64() * 10_000.0).round() / 10.0);
    report.data = json!({
        "applied": work.apply, "adopted": work.adopt,
        "attempts": attempts, "longest_lock_ms": longest,
    });
    if nothing {
        report.body.push(Block::Text("nothing to do: another run of markenmate came first".into()));
        report.next = Some(Next::run("markenmate verify"));
        return report;
    }
    report.steps = plan.steps.iter().map(|s| s.result(StepStatus::Done, None)).collect();
    let locked = longest.map(|ms| format!(", tables locked for {ms} ms")).unwrap_or_default();
    report.body.push(Block::Text(format!(
        "committed in {ms} ms, {} attempt{}{locked}",
        attempts,
        if attempts == 1 { "" } else { "s" }
    )));
    if recovered {
        report.body.push(Block::Text(
            "the connection broke during COMMIT; the history shows that it took place".into(),
        ));
    }
    report.findings = plan.findings;
    report.findings.retain(|finding| finding.id != "not-empty");
    // The guide's next step, where there may be an admin already.
    let flagged = work.apply.contains(&registry::FLAG) && !work.builds_everything();
    let newest = work.apply.iter().chain(&work.adopt).max().copied();
    let next = match newest {
        _ if flagged => "markenmate set-master-admin".to_owned(),
        Some(version) => verify_at(version),
        None => "markenmate verify".to_owned(),
    };
    report.next = Some(Next::run(next));
    report.undo = undo;
    report
}
