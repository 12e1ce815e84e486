//! The job of pg_cron.

use serde_json::json;

use crate::cleanup::schedule::marker::Ours;
use crate::cleanup::schedule::names::Names;
use crate::cleanup::schedule::pg_cron::{self, Here, There};
use crate::context::Context;
use crate::db::identifiers::{identifier, quoted};
use crate::db::ledger::{self, Record};
use crate::db::patience::{Attempt, Setback};
use crate::db::session::{Mode, Session};
use crate::failure::Failure;
use crate::pipeline::{Access, Operation};
use crate::plan::{Plan, Risk, Step};
use crate::report::{Block, Next, Outcome, Report, StepStatus};

use super::{Wish, data};

/// The operation.
pub(super) struct Job {
    wish: Wish,
}

/// What there is to see.
pub(super) struct Seen {
    database: String,
    names: Names,
    here: Here,
    /// Where pg_cron lives, and what is there.
    cron: Option<(String, Option<There>, Vec<pg_cron::Job>)>,
}

/// What is to be done, in pg_cron's own database.
#[derive(Debug)]
pub(super) struct Work {
    names: Names,
    cron_database: String,
    gone: Vec<pg_cron::Job>,
    wanted: Option<pg_cron::Job>,
    /// Who owns the ledger, where we are somebody else.
    role: String,
}

impl Job {
    /// For this.
    pub(super) fn new(wish: Wish) -> Self {
        Self { wish }
    }
}

impl Operation for Job {
    type State = Seen;
    type Work = Work;

    fn access(&self) -> Access {
        if self.wish == Wish::Print { Access::Read } else { Access::Write }
    }

    async fn inspect(
        &self,
        cx: &Context,
        session: &Session,
        _attempt: Attempt,
    ) -> Result<Seen, Setback> {
        let database = session.facts.database.clone();
        let names = Names::of(&database);
        let here = Here::look(session).await?;
        let cron = match here.cron_database(&database) {
            None => None,
            Some(name) => {
                let other = beside(cx, session, &name).await?;
                let cron = other.as_ref().unwrap_or(session);
                let there = There::look(cron).await?;
                let jobs = match there.as_ref().is_some_and(There::may_look) {
                    true => pg_cron::jobs(cron, &names).await?,
                    false => Vec::new(),
                };
                Some((name, there, jobs))
            }
        };
        Ok(Seen { database, names, here, cron })
    }

    fn plan(&self, _cx: &Context, seen: &Seen) -> Result<Plan<Work>, Failure> {
        let (cron_database, there, jobs) = seen.cron.as_ref().ok_or_else(pg_cron::not_loaded)?;
        let ours = |job: &&pg_cron::Job| job.ours() != Ours::No;
        let foreign = jobs.iter().filter(|job| !ours(job)).count();
        let mut gone: Vec<_> = jobs.iter().filter(ours).cloned().collect();
        let mut screen = Vec::new();
        let wanted = match self.wish {
            Wish::Remove => None,
            _ => Some(pg_cron::wanted(
                &seen.names,
                &seen.database,
                &seen.here,
                there.as_ref(),
                cron_database,
            )?),
        };
        let name = seen.names.server_job();
        if foreign > 0 && self.wish == Wish::Install {
            return Err(Failure::refused(format!("a job {name:?} is there, and not ours"))
                .because("its SQL does not begin with the line that says that markenmate wrote it")
                .hint(format!(
                    "in database {}: SELECT * FROM cron.job; and cron.unschedule",
                    identifier(cron_database)
                )));
        }
        if foreign > 0 {
            screen.push(Block::Text(format!("a job {name:?} is left: it is not ours")));
        }
        let state = match (jobs.as_slice(), &wanted) {
            ([], _) => "absent",
            ([only], Some(wanted)) if only.is(wanted) => "installed",
            _ => "differs",
        };
        let settled = state == "installed" && self.wish == Wish::Install;
        let mut steps: Vec<Step> = Vec::new();
        if self.wish != Wish::Print && !settled {
            for job in &gone {
                let by_hand = match job.ours() {
                    Ours::Changed { .. } => ", which was changed by hand",
                    _ => "",
                };
                let title = format!("unschedule {name}{by_hand}");
                let detail = Some(format!("{} as {}: {}", job.schedule, job.username, job.command));
                steps.push(Step {
                    detail,
                    sql: Some(job.unschedule()),
                    ..Step::new("unschedule", title, Risk::Additive)
                });
            }
        }
        let sql =
            wanted.as_ref().map(|job| job.schedule(&seen.names, job.username != seen.here.user()));
        if let Some(job) = wanted.as_ref().filter(|_| !settled) {
            let risk = if self.wish == Wish::Print { Risk::ReadOnly } else { Risk::Additive };
            let title = format!(
                "schedule {name} in database {}: {} as {}",
                identifier(cron_database),
                pg_cron::RHYTHM.words,
                identifier(&job.username)
            );
            steps.push(Step { sql: sql.clone(), ..Step::new("schedule", title, risk) });
        }
        if steps.is_empty() {
            gone.clear();
            screen.push(Block::Text(match self.wish {
                Wish::Remove => {
                    "nothing to do: pg_cron has no job of ours for this database".into()
                }
                _ => "nothing to do: it is set up as it would be".into(),
            }));
        }
        let owner = seen.here.owner().filter(|owner| *owner != seen.here.user());
        Ok(Plan {
            data: data(json!({
                "via": ["pg-cron"],
                "cron_database": cron_database,
                "job": { "name": name, "state": state, "wanted": wanted, "found": jobs },
                "sql": sql,
            })),
            work: Work {
                names: seen.names.clone(),
                cron_database: cron_database.clone(),
                gone,
                wanted,
                role: owner
                    .map(|owner| format!("SET LOCAL ROLE {};", quoted(owner)))
                    .unwrap_or_default(),
            },
            steps,
            screen,
            findings: Vec::new(),
            question: if self.wish == Wish::Remove { "Remove this?" } else { "Set this up?" }
                .into(),
            asks_later: false,
            next: Some(Next::run("markenmate status")),
        })
    }

    async fn execute(
        &self,
        cx: &Context,
        session: &Session,
        plan: Plan<Work>,
    ) -> Result<Report, Failure> {
        let Work { names, cron_database, gone, wanted, role } = &plan.work;
        let mut report = Report::new(Outcome::Done);
        report.data = plan.data.clone();
        if self.wish == Wish::Print {
            report.body.push(Block::Heading(format!("in database {}", identifier(cron_database))));
            let sql = plan.steps.iter().filter_map(|step| step.sql.clone());
            report.body.extend(sql.map(|sql| Block::Code(format!("{sql};"))));
            report.next = Some(Next::run("markenmate cleanup schedule --via pg-cron --install"));
            return Ok(report);
        }
        let other = beside(cx, session, cron_database).await?;
        pg_cron::change(other.as_ref().unwrap_or(session), names, gone, wanted.as_ref()).await?;
        // It is done: where its row cannot be written, it is said and no more.
        let outcome = if wanted.is_some() { "installed" } else { "removed" };
        if let Err(failure) = record(cx, session, role, &names.server_job(), outcome).await {
            cx.console.say(&format!("the ledger has no row of it: {failure}"));
        }
        report.steps = plan.steps.iter().map(|s| s.result(StepStatus::Done, None)).collect();
        report.body.clone_from(&plan.screen);
        report.next = Some(Next::run("markenmate status"));
        if let Some(job) = wanted {
            let role = identifier(&job.username);
            report.body.push(Block::Text(format!(
                "pg_cron logs in as {role} without a password (pg_hba.conf, or cron.use_background_workers = on); \
                 status says how the job's last run ended"
            )));
            report.body.push(Block::Text(
                "audit rows are not for one statement: markenmate cleanup schedule --via systemd, or cron".into(),
            ));
            report.undo = Some("markenmate cleanup schedule --via pg-cron --remove".into());
        }
        Ok(report)
    }
}

/// A session of pg_cron's own database, where that is another one.
pub(in crate::commands) async fn beside(
    cx: &Context,
    session: &Session,
    name: &str,
) -> Result<Option<Session>, Failure> {
    if name == session.facts.database {
        return Ok(None);
    }
    let endpoint = session.endpoint.with_database(name);
    let opened = Session::open(&endpoint, &cx.settings, &cx.interrupt).await;
    let what = || format!("cannot look into database {}, where pg_cron is", identifier(name));
    opened.map(Some).map_err(|failure| failure.attempting(what()))
}

async fn record(
    cx: &Context,
    session: &Session,
    role: &str,
    job: &str,
    outcome: &str,
) -> Result<(), Failure> {
    const WHAT: &str = "cannot write the operator ledger";
    let record = Record { command: "cleanup schedule", subject: Some(job), outcome, detail: None };
    session.begin_within(Mode::Write, session.timeouts(), WHAT, role).await?;
    let appended = ledger::append(session, &cx.origin(), &record).await;
    if appended.is_ok() {
        session.commit(WHAT, "COMMIT").await?;
    }
    session.end().await;
    appended.map(drop)
}
