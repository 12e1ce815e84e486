//! `rollback [--to VERSION]`: takes versions back, and sets aside what they brought. `migrate` brings it back.

use serde_json::json;

use super::{Args, ways};
use crate::backup::gate::{self, Fallback, Identity};
use crate::backup::preflight;
use crate::commands::forecast as foreseen;
use crate::context::Context;
use crate::db::patience::{Attempt, Setback};
use crate::db::session::Session;
use crate::failure::Failure;
use crate::migrations::back::beside;
use crate::migrations::back::decide::{self, Back};
use crate::migrations::back::look::{self, Look};
use crate::migrations::back::revert::{self, Reverted};
use crate::migrations::forecast::{self, Forecast, Sight};
use crate::migrations::registry;
use crate::migrations::survey::Survey;
use crate::pipeline::{self, Access, Operation};
use crate::plan::{Plan, Risk, Step};
use crate::report::{Block, Finding, Next, Outcome, Report, Severity, StepStatus};
use crate::tools::shell;

/// The command.
pub struct To {
    args: Args,
}

/// What was seen.
pub struct Seen {
    look: Look,
    fallback: Fallback,
    sight: Sight,
    free_bytes: Option<u64>,
}

/// What is taken back, and what is foreseen of it.
pub struct Todo {
    back: Back,
    forecast: Forecast,
}

impl To {
    /// With these flags.
    pub fn new(args: Args) -> Self {
        Self { args }
    }

    /// The command as it carries out what was looked at.
    fn in_earnest(&self) -> String {
        let to = self.args.to.as_deref().map(|to| format!(" --to {}", shell::word(to)));
        format!("markenmate rollback{}", to.unwrap_or_default())
    }

    /// Refused where nobody could consent to what there is to do; where there is nothing, nobody need.
    async fn consents(&self, cx: &Context, session: &Session, target: i32) -> Result<(), Failure> {
        let phrase = pipeline::phrase_for(session);
        let Err(refused) = pipeline::can_consent(cx, Risk::Destructive, &phrase) else {
            return Ok(());
        };
        match decide::decide(&Survey::look(session).await?, target)?.revert.is_empty() {
            true => Ok(()),
            false => Err(refused),
        }
    }

    fn target(&self) -> Result<i32, Failure> {
        self.args.to.as_deref().map_or(Ok(1), registry::resolve)
    }
}

impl Operation for To {
    type State = Seen;
    type Work = Todo;

    fn access(&self) -> Access {
        if self.args.check { Access::Check } else { Access::Write }
    }

    fn waits_for(&self) -> &'static [&'static str] {
        &decide::TABLES
    }

    async fn inspect(
        &self,
        cx: &Context,
        session: &Session,
        _attempt: Attempt,
    ) -> Result<Seen, Setback> {
        let target = self.target()?;
        if !cx.settings.dry_run && !self.args.check {
            // Not after all has been counted.
            self.consents(cx, session, target).await?;
        }
        let look = look::look(session, target).await?;
        let identity = Identity::of(session).await?;
        // What cannot be looked at is no reason not to go the other way.
        let fallback = gate::look(&cx.settings.backup_dir, &identity, &[]).unwrap_or_default();
        let sight = match decide::plan(&look, target) {
            Ok(back) if !back.revert.is_empty() => {
                forecast::look(cx, session, &back.effects()).await?
            }
            _ => Sight::default(),
        };
        let free_bytes = preflight::free_bytes(session).await;
        Ok(Seen { look, fallback, sight, free_bytes })
    }

    fn plan(&self, cx: &Context, seen: &Seen) -> Result<Plan<Todo>, Failure> {
        let target = self.target()?;
        let back = decide::plan(&seen.look, target)?;
        ways::refuse_full(&seen.look, seen.free_bytes)?;
        let mut forecast = forecast::forecast(back.effects(), &seen.sight);
        ways::counted(&mut forecast, &seen.look);
        let settled = back.revert.is_empty();
        let entry = registry::find(target).map(ToString::to_string).unwrap_or_default();
        let database = &seen.look.survey.database;
        let screen = if settled {
            vec![Block::Text(format!("nothing to do: {database} is not above {entry}"))]
        } else {
            ways::screen(cx, &seen.look, &back, target, &seen.fallback, &forecast)
        };
        let steps = match (settled, self.args.check) {
            (_, true) => {
                vec![Step::new("check", "look whether it could be done now", Risk::ReadOnly)]
            }
            (true, false) => Vec::new(),
            (false, false) => ways::steps(&back, target),
        };
        Ok(Plan {
            steps,
            screen,
            findings: if settled { Vec::new() } else { findings(&seen.look) },
            question: format!("Take {database:?} back to {entry}?"),
            asks_later: false,
            data: json!({
                "reverted": [],
                "would_revert": back.revert,
                "set_aside": ways::keeps(&seen.look),
                "ways": ways::ways(&seen.look, &back, &seen.fallback, &forecast),
                "forecast": foreseen::json(&forecast),
                "expected_lock_ms": foreseen::milliseconds(&forecast),
            }),
            next: Some(Next::run(match settled {
                true => "markenmate status".into(),
                false => self.in_earnest(),
            })),
            work: Todo { back, forecast },
        })
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
        let target = self.target()?;
        let began = std::time::Instant::now();
        let done = revert::revert(cx, session, &plan.work.back, target).await?.value;
        let ms = began.elapsed().as_millis();
        let run = cx.run_id.to_string();
        // It is done: what cannot be counted is no failure.
        let role = plan.work.back.role();
        let kept = if done.recovered {
            // By another connection: that one is gone.
            let again = Session::open(&session.endpoint, &cx.settings, &cx.interrupt).await;
            match again {
                Ok(session) => look::kept(&session, &run, &role).await,
                Err(failure) => Err(failure),
            }
        } else {
            look::kept(session, &run, &role).await
        };
        let kept = kept.unwrap_or_default();
        Ok(report(plan, &done, &kept, session.attempts(), ms, target))
    }
}

fn check(session: &Session, plan: Plan<Todo>, in_earnest: &str) -> Result<Report, Failure> {
    let mut report = Report::new(Outcome::NothingToDo);
    report.body = plan.screen;
    report.data = plan.data;
    report.findings = plan.findings;
    if plan.work.back.revert.is_empty() {
        return Ok(report);
    }
    session.facts.check_writable()?;
    let waits_for = &plan.work.forecast.waits_for;
    if !waits_for.is_empty() {
        let what = "rollback would have to wait for a lock";
        let mut failure = foreseen::busy(what, waits_for, &format!("{in_earnest} --check"));
        (failure.data, failure.findings) = (Some(report.data), report.findings);
        return Err(failure);
    }
    report.outcome = Outcome::Findings;
    report.next = Some(Next::run(in_earnest));
    Ok(report)
}

/// Who would put back what is taken, and what nobody puts back.
fn findings(look: &Look) -> Vec<Finding> {
    let when =
        "keep this, and run it once migrate has brought them back; the ledger keeps it as well";
    let mut found = clients(look);
    found.extend(beside::findings(&look.beside, "Does not return by itself", when));
    found
}

/// Who would put back what is taken.
fn clients(look: &Look) -> Vec<Finding> {
    let finding = |client: &look::Client| Finding {
        id: "connected".into(),
        severity: Severity::Warning,
        title: "An application is connected".into(),
        subject: format!("{} as {} from {}", client.application, client.user, client.host),
        detail: format!(
            "{} session(s): the new code pushes its columns back when it next starts, empty",
            client.sessions
        ),
        remedy: "deploy the old code first (git revert, build, start), then roll back".into(),
    };
    look.clients.iter().map(finding).collect()
}

fn report(
    plan: Plan<Todo>,
    done: &Reverted,
    kept: &[(String, String, u64)],
    attempts: u32,
    ms: u128,
    target: i32,
) -> Report {
    let mut report = Report::new(Outcome::Done);
    let longest = done.locked.map(|time| (time.as_secs_f64() * 10_000.0).round() / 10.0);
    let set_aside: Vec<_> = kept
        .iter()
        .map(|(what, name, rows)| json!({ "what": what, "rows": rows, "kept_as": format!("markenmate_quarantine.{name}") }))
        .collect();
    report.data = json!({
        "reverted": done.versions, "set_aside": set_aside,
        "attempts": attempts, "longest_lock_ms": longest,
    });
    report.steps = plan.steps.iter().map(|s| s.result(StepStatus::Done, None)).collect();
    let locked = longest.map(|ms| format!(", tables locked for {ms} ms")).unwrap_or_default();
    report.body.push(Block::Text(format!(
        "committed in {ms} ms, {attempts} attempt{}{locked}",
        if attempts == 1 { "" } else { "s" }
    )));
    if done.recovered {
        report.body.push(Block::Text(
            "the connection broke during COMMIT; the history shows that it took place".into(),
        ));
    }
    if !kept.is_empty() {
        report.body.push(Block::Table {
            columns: ["set aside", "rows", "as"].map(str::to_owned).to_vec(),
            rows: kept
                .iter()
                .map(|(what, name, rows)| {
                    vec![what.clone(), rows.to_string(), format!("markenmate_quarantine.{name}")]
                })
                .collect(),
        });
    }
    report.findings = plan.findings;
    report.next = Some(Next::run(format!("markenmate verify --to {target}")));
    report.undo = Some("markenmate migrate".into());
    report
}
