//! `migrate`: brings the database to a version. What is there already is recorded, never run again.

use std::time::Duration;

use serde_json::json;

use crate::context::Context;
use crate::db::locks::{self, Holder};
use crate::db::patience::{Attempt, Setback};
use crate::db::session::Session;
use crate::failure::{Failure, Kind};
use crate::migrations::plan::{Work, decide};
use crate::migrations::registry;
use crate::migrations::run::{self, Done, Planned};
use crate::migrations::standing::standing;
use crate::migrations::survey::Survey;
use crate::pipeline::{Access, Operation};
use crate::plan::{Plan, Risk, Step};
use crate::report::{Block, Finding, Outcome, Report, Severity, StepStatus};
use crate::settings::Consent;

/// Flags of `migrate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The version or name to go to [default: the latest]
    #[arg(long, value_name = "VERSION|NAME")]
    pub to: Option<String>,
    /// Say by exit code what would happen: 0 nothing, 3 pending, 4 refused, 7 would have to wait
    #[arg(long, conflicts_with = "dry_run")]
    pub check: bool,
}

/// The command.
pub struct Migrate {
    args: Args,
}

impl Migrate {
    /// With these flags.
    pub fn new(args: Args) -> Self {
        Self { args }
    }

    fn target(&self) -> Result<i32, Failure> {
        self.args.to.as_deref().map_or_else(|| Ok(registry::latest()), registry::resolve)
    }
}

impl Operation for Migrate {
    type State = Survey;
    type Work = Planned;

    fn access(&self) -> Access {
        if self.args.check { Access::Read } else { Access::Write }
    }

    async fn inspect(
        &self,
        cx: &Context,
        session: &Session,
        attempt: Attempt,
    ) -> Result<Survey, Setback> {
        self.target()?;
        if self.args.check {
            // Who asks whether all is well is not answered by the history alone.
            return Ok(Survey::look(session).await?);
        }
        if let Some(settled) = Survey::brief(session).await? {
            return Ok(settled);
        }
        if cx.settings.dry_run || cx.settings.consent == Consent::Ask {
            // Who holds locks stands on the screen alone.
            Ok(Survey::full(session).await?)
        } else {
            // Nobody is asked: what is seen under the lock is the plan, with no need of another look.
            run::survey(session, attempt).await
        }
    }

    fn plan(&self, cx: &Context, survey: &Survey) -> Result<Plan<Planned>, Failure> {
        let work = decide(survey, self.target()?)?;
        let steps = if self.args.check {
            vec![Step::new("check", "look whether anything is pending", Risk::ReadOnly)]
        } else {
            steps(&work)
        };
        let settled = work.is_empty();
        Ok(Plan {
            steps,
            screen: screen(cx, survey, &work),
            findings: findings(survey, &work),
            question: question(survey, &work),
            data: json!({
                "applied": [], "adopted": [], "attempts": 0, "longest_lock_ms": null,
                "would_apply": work.apply, "would_adopt": work.adopt,
            }),
            next: settled.then(|| "markenmate verify".to_owned()),
            work: Planned { work, under_lock: survey.under_lock },
        })
    }

    async fn execute(
        &self,
        cx: &Context,
        session: &Session,
        plan: Plan<Planned>,
    ) -> Result<Report, Failure> {
        if self.args.check {
            return check(cx, session, plan).await;
        }
        let began = std::time::Instant::now();
        let target = self.target()?;
        let done = run::run(cx, session, &plan.work, target).await?;
        let undo = undo(&done.value.work, &session.conninfo);
        let attempts = session.attempts();
        Ok(report(plan, done.value, attempts, began.elapsed().as_millis(), undo))
    }
}

fn question(survey: &Survey, work: &Work) -> String {
    match (work.builds_everything(), &survey.rights.others) {
        (false, _) => format!("Migrate {:?} now?", survey.database),
        (true, None) => format!("Build the whole application into {:?}?", survey.database),
        (true, Some(others)) => {
            format!("Build the whole application into {:?}, beside {others}?", survey.database)
        }
    }
}

/// The plan's steps, the very ones that run.
fn steps(work: &Work) -> Vec<Step> {
    let own = work.own_entries().map(|entry| Step {
        sql: Some(entry.sql.to_owned()),
        detail: Some(
            "history and archive, outside the schema that the app's push looks after".into(),
        ),
        ..Step::new(
            format!("own-{}", entry.version),
            format!("set up schema markenmate: V{} {}", entry.version, entry.name),
            Risk::Additive,
        )
    });
    let adopt = work.adopted().map(|entry| Step {
        detail: Some("its objects are all there: recorded as adopted, none of it is run".into()),
        ..Step::new(format!("adopt-{}", entry.version), format!("adopt {entry}"), Risk::Additive)
    });
    let apply = work.entries().map(|entry| {
        let tables: Vec<String> = entry
            .locks
            .iter()
            .map(|t| format!("public.{}", crate::db::identifiers::identifier(t)))
            .collect();
        let locks = match (entry.version, tables.as_slice()) {
            (1, _) => "into an empty database: nothing to lock".to_owned(),
            _ if work.builds_everything() => "in the same transaction: nothing to lock".to_owned(),
            _ => format!(
                "ACCESS EXCLUSIVE on {}, for milliseconds; no table is rewritten",
                tables.join(", ")
            ),
        };
        let verb = if entry.version == 1 { "build" } else { "apply" };
        Step {
            sql: Some(entry.sql.to_owned()),
            detail: Some(format!("{}; {locks}", entry.title)),
            ..Step::new(
                format!("apply-{}", entry.version),
                format!("{verb} {entry}"),
                Risk::Additive,
            )
        }
    });
    own.chain(adopt).chain(apply).collect()
}

/// The one screen before the question.
fn screen(cx: &Context, survey: &Survey, work: &Work) -> Vec<Block> {
    let Some(catalogue) = &survey.catalogue else {
        return vec![Block::Text(format!(
            "nothing to do: {} is at version {}, the latest",
            survey.database,
            registry::latest()
        ))];
    };
    let state = standing(&survey.ledger, catalogue).state;
    if work.is_empty() {
        return vec![Block::Text(format!("nothing to do: {}", state.explained()))];
    }
    let statements: usize = work.entries().map(|entry| statements(entry.sql)).sum::<usize>()
        + work.own_entries().map(|entry| statements(entry.sql)).sum::<usize>();
    let locked = work.locked_tables();
    let lock_timeout = humantime::format_duration(cx.settings.lock_timeout);
    let max_wait = humantime::format_duration(cx.settings.max_wait);
    let holders = match survey.holders.as_slice() {
        [] => "nobody".to_owned(),
        some => some.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
    };
    let fact = |name: &str, value: String| (name.to_owned(), value);
    vec![Block::Facts(vec![
        fact("database", survey.database.clone()),
        fact("state", state.explained().to_owned()),
        fact(
            "last verified backup",
            "none known to this tool: take one first, for example with pg_dump -Fc".into(),
        ),
        fact("locks held now", if locked.is_empty() { "none that matter".into() } else { holders }),
        fact("statements", format!("{statements}, in one transaction, as {}", work.owner)),
        fact(
            "longest lock expected",
            if locked.is_empty() {
                "none on a table in use".into()
            } else {
                format!("milliseconds; queues {lock_timeout} at a time for up to {max_wait}")
            },
        ),
        fact("the way back", undo(work, &survey.conninfo).unwrap_or_else(|| no_undo(work).into())),
    ])]
}

/// Statements of a migration file: semicolons outside of quotes, dollar quotes and comments.
fn statements(sql: &str) -> usize {
    let mut outside = String::new();
    for (n, part) in sql.split("$$").enumerate() {
        if n % 2 == 0 {
            outside.push_str(part);
        }
    }
    outside
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"))
        .map(|l| l.matches(';').count())
        .sum()
}

/// The command that undoes the work, where there is one.
fn undo(work: &Work, conninfo: &str) -> Option<String> {
    if work.builds_everything() {
        return None;
    }
    let version = work.apply.last()?;
    Some(format!(
        "markenmate util down {version} > undo.sql && psql -X -1 -v ON_ERROR_STOP=1 -d {} -f undo.sql",
        shell_quoted(conninfo)
    ))
}

/// What there is to say where no command undoes the work.
fn no_undo(work: &Work) -> &'static str {
    if work.builds_everything() {
        "none: these tables are the application; what else is in the database is not touched"
    } else if work.create_schema.is_some() {
        "DROP SCHEMA markenmate CASCADE; the app's tables stay as they are"
    } else {
        "not needed: only rows are added to the history, the app's tables stay as they are"
    }
}

fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// What is said beside the plan.
fn findings(survey: &Survey, work: &Work) -> Vec<Finding> {
    let mut found: Vec<Finding> = guide_archive(survey).into_iter().collect();
    if let (true, Some(others)) = (work.builds_everything(), &survey.rights.others) {
        found.push(Finding {
            id: "not-empty".into(),
            severity: Severity::Warning,
            title: "The database is not empty, and it is not the application's".into(),
            subject: survey.database.clone(),
            detail: format!("holds {others}: is it the right one? They would not be touched"),
            remedy: "name the application's database, for example: -d markenmate".into(),
        });
    }
    if work.apply.contains(&2) && !work.builds_everything() {
        found.push(Finding {
            id: "old-app-restart".into(),
            severity: Severity::Warning,
            title: "A restart of the old application takes the new columns away again".into(),
            subject: "the application".into(),
            detail: "its push at every start drops what it does not know: is_master_admin, version, \
                     correlation_id, and the new tables while they are empty"
                .into(),
            remedy: "deploy the new application in the same window; until then do not restart the old one".into(),
        });
    }
    found
}

/// A `public.audit_log_archive` made by following the guide is reported: it is no table of ours.
pub fn guide_archive(survey: &Survey) -> Option<Finding> {
    let table = survey.rights.guide_archive.as_ref()?;
    Some(Finding {
        id: "guide-archive".into(),
        severity: Severity::Warning,
        title: "An archive table stands in schema public".into(),
        subject: table.clone(),
        detail: "somebody made it by following the guide; the app's push drops it while it is empty, and \
                 applies nothing at all once it holds a row"
            .into(),
        remedy: format!("ALTER TABLE {table} SET SCHEMA markenmate_guide;  -- after CREATE SCHEMA markenmate_guide"),
    })
}

async fn check(cx: &Context, session: &Session, plan: Plan<Planned>) -> Result<Report, Failure> {
    if plan.work.work.is_empty() {
        let mut report = Report::new(Outcome::NothingToDo);
        report.body = plan.screen;
        report.data = plan.data;
        return Ok(report);
    }
    session.facts.check_writable()?;
    let mut holders = locks::run_holders(session).await?;
    holders.extend(lasting_holders(cx, session, &plan.work.work.locked_tables()).await?);
    if !holders.is_empty() {
        let mut failure = Failure::new(Kind::Busy, "migrate would have to wait for a lock");
        for holder in &holders {
            failure = failure.because(holder).hint(format!("to end it: {}", holder.remedy()));
        }
        return Err(failure);
    }
    let mut report = Report::new(Outcome::Findings);
    report.findings = plan.findings;
    let entries = plan
        .work
        .work
        .adopted()
        .map(|e| ("adopt", e))
        .chain(plan.work.work.entries().map(|e| ("apply", e)));
    for (verb, entry) in entries {
        report.findings.push(Finding {
            id: "pending".into(),
            severity: Severity::Warning,
            title: "A migration is pending".into(),
            subject: entry.to_string(),
            detail: format!("migrate would {verb} it"),
            remedy: "markenmate migrate".into(),
        });
    }
    report.data = plan.data;
    report.next = Some("markenmate migrate".into());
    Ok(report)
}

/// Who holds a lock for longer than the application's own short transactions do. Where the role may
/// not see how old a transaction is, that is who still holds it after a second.
async fn lasting_holders(
    cx: &Context,
    session: &Session,
    tables: &[&str],
) -> Result<Vec<Holder>, Failure> {
    let second = Duration::from_secs(1);
    let mut holders = locks::table_holders(session, tables).await?;
    if holders.iter().any(|holder| holder.transaction_age_s.is_none()) {
        cx.interrupt.pause(second).await?;
        let still = locks::table_holders(session, tables).await?;
        holders.retain(|holder| still.iter().any(|other| other.pid == holder.pid));
    }
    holders.retain(|holder| holder.transaction_age_s.is_none_or(|s| s >= second.as_secs()));
    Ok(holders)
}

fn report(
    plan: Plan<Planned>,
    done: Done,
    attempts: u32,
    ms: u128,
    undo: Option<String>,
) -> Report {
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
        report.next = Some("markenmate verify".into());
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
    report.next = Some("markenmate verify".into());
    report.undo = undo;
    report
}
