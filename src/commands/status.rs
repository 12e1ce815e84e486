//! `status`: where the database stands, and the one safe next command. Reads only; also on a
//! standby and for a reader.

use serde_json::json;

use crate::context::Context;
use crate::db::identifiers::identifier;
use crate::db::ledger;
use crate::db::patience::{Attempt, Setback};
use crate::db::session::Session;
use crate::failure::Failure;
use crate::migrations::back::lost;
use crate::migrations::mending;
use crate::migrations::standing::{self, MigrationStatus, Standing, State};
use crate::migrations::survey::{History, Survey};
use crate::pipeline::{Access, Operation};
use crate::plan::{Plan, Risk, Step};
use crate::report::{Block, Finding, Outcome, Report, Severity};

use super::doctor::{self, Further};
use super::migrate::beside;
use super::scheduled::{self, Schedule};

/// Flags of `status`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// The command.
pub struct Status {}

impl Status {
    /// With these flags.
    pub fn new(_args: Args) -> Self {
        Self {}
    }
}

/// What `status` says.
pub struct Seen {
    standing: Standing,
    migrations: Vec<MigrationStatus>,
    survey: Survey,
    further: Further,
    schedule: Option<Schedule>,
}

impl Operation for Status {
    type State = (Survey, Further, Option<Schedule>);
    type Work = Seen;

    fn access(&self) -> Access {
        Access::Read
    }

    async fn inspect(
        &self,
        cx: &Context,
        session: &Session,
        _attempt: Attempt,
    ) -> Result<Self::State, Setback> {
        let survey = Survey::full(session).await?;
        let further = doctor::look_further(session, &survey).await?;
        let schedule = match survey.history {
            History::Known => scheduled::look(cx, session, &survey).await?,
            History::Denied | History::Damaged(_) => None,
        };
        Ok((survey, further, schedule))
    }

    fn plan(&self, _cx: &Context, seen: &Self::State) -> Result<Plan<Seen>, Failure> {
        let (survey, further, schedule) = seen;
        let nothing = crate::db::catalogue::Catalogue::default();
        let catalogue = survey.catalogue.as_ref().unwrap_or(&nothing);
        let judged = standing::standing(&survey.histories, catalogue);
        let (standing, migrations) = match survey.history {
            // Nothing that it says is told as if it were so.
            History::Damaged(_) => (Standing { state: State::Drifted, ..judged }, Vec::new()),
            _ if further.mends_history.is_some() && judged.state != State::Newer => {
                let migrations = standing::migrations(&survey.histories);
                (Standing { state: State::Drifted, ..judged }, migrations)
            }
            _ => {
                let mut migrations = standing::migrations(&survey.histories);
                if survey.history == History::Denied {
                    migrations.iter_mut().for_each(|migration| migration.state = "unknown");
                }
                (judged, migrations)
            }
        };
        let (survey, further, schedule) = (survey.clone(), further.clone(), schedule.clone());
        let work = Seen { standing, migrations, survey, further, schedule };
        Ok(Plan {
            work,
            steps: vec![Step::new("status", "look where the database stands", Risk::ReadOnly)],
            screen: Vec::new(),
            findings: Vec::new(),
            question: String::new(),
            asks_later: false,
            data: json!({}),
            next: None,
        })
    }

    async fn execute(
        &self,
        cx: &Context,
        session: &Session,
        plan: Plan<Seen>,
    ) -> Result<Report, Failure> {
        let Seen { standing, migrations, survey, further, schedule } = plan.work;
        let state = standing.state;
        let head = match survey.history {
            History::Known => ledger::head(session).await?,
            History::Denied | History::Damaged(_) => None,
        };
        let head = head.map(|head| head.to_string());
        let mut report = Report::new(Outcome::Done);
        report.body = body(cx, &standing, &migrations, &survey, schedule.as_ref());
        if let Some(head) = &head {
            report.body.push(Block::Text(format!("the operator ledger ends with {head}")));
        }
        report.data = json!({
            "state": standing.state,
            "migrations": migrations,
            "next": null,
            "owner": survey.rights.table_owner,
            "ledger_head": head,
            "schedule": schedule.as_ref().map(Schedule::json),
            "set_aside": survey.kept.iter().map(|kept| json!({
                "what": kept.what(), "kept_as": kept.name, "returning": kept.returning,
            })).collect::<Vec<_>>(),
        });
        report.findings = standing.findings;
        mending::to_paste(&mut report.findings, &survey.conninfo);
        report.findings.extend(unreadable(&survey));
        report.findings.extend(doctor::history(&survey, &further));
        report.findings.extend(doctor::blocking(state, &survey));
        if state == State::Pristine {
            report.findings.extend(beside::not_empty(&survey));
        }
        report.findings.extend(beside::guide_archive(&survey));
        report.findings.extend(lost::lost(&survey.kept));
        report.findings.extend(beside::set_aside(&survey));
        report.findings.extend(schedule.iter().flat_map(Schedule::findings));
        report.findings.extend(further.findings);
        report.findings.extend(doctor::rolled_back(session, state, &survey).await?);
        report.findings.extend(
            survey.holders.iter().filter(|h| h.transaction_age_s > Some(60)).map(|holder| {
                Finding {
                    id: "lock-holder".into(),
                    severity: Severity::Warning,
                    title: "A transaction is open for more than a minute".into(),
                    subject: holder.relation.clone(),
                    detail: format!("{holder}: migrate would wait for it"),
                    remedy: holder.remedy(),
                }
            }),
        );
        let next = doctor::next(state, &survey, &report.findings, session.facts.standby);
        report.data["next"] = json!(next.command);
        report.data["next_first"] = json!(next.first);
        let errors = report.findings.iter().filter(|found| found.severity == Severity::Error);
        report.data["errors"] = json!(errors.count());
        report.next = Some(next);
        Ok(report)
    }
}

fn body(
    cx: &Context,
    standing: &Standing,
    migrations: &[MigrationStatus],
    survey: &Survey,
    schedule: Option<&Schedule>,
) -> Vec<Block> {
    let state = match survey.history {
        History::Denied => format!(
            "{}: by what schema public holds; whether that is recorded may not be read",
            standing.state.word()
        ),
        _ => standing.state.explained().to_owned(),
    };
    let mut facts = vec![("state".to_owned(), state)];
    if let Some(owner) = &survey.rights.table_owner {
        facts.push(("owner of the app's tables".into(), owner.clone()));
    }
    facts.extend(schedule.map(Schedule::facts).unwrap_or_default());
    let rows = migrations.iter().map(|m| {
        let guide = m.guide.map(|g| format!(" (guide: {g})")).unwrap_or_default();
        let version = m.version.as_i64().map_or_else(|| m.version.to_string(), |n| format!("V{n}"));
        vec![
            format!("{version} {}{guide}", m.name),
            m.state.to_owned(),
            m.applied_at.as_deref().map(to_the_second).unwrap_or_default(),
            m.applied_by.clone().unwrap_or_default(),
        ]
    });
    let columns = ["migration", "state", "at", "by"].map(str::to_owned).to_vec();
    let mut body = vec![Block::Facts(facts), Block::Table { columns, rows: rows.collect() }];
    if cx.settings.verbose > 0 {
        let from_endpoint = cx.endpoint.iter().flat_map(|endpoint| &endpoint.origins);
        let rows = from_endpoint
            .chain(&cx.settings.origins)
            .map(|o| vec![o.name.to_owned(), o.shown.clone(), o.source.to_string()]);
        let columns = ["setting", "value", "from"].map(str::to_owned).to_vec();
        body.push(Block::Table { columns, rows: rows.collect() });
    }
    body
}

/// RFC 3339 without fractions; anything else as it stands there.
fn to_the_second(stamp: &str) -> String {
    chrono::DateTime::parse_from_rfc3339(stamp).map_or_else(
        |_| stamp.to_owned(),
        |time| time.to_utc().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
    )
}

fn unreadable(survey: &Survey) -> Option<Finding> {
    let user = identifier(&survey.rights.user);
    (survey.history == History::Denied).then(|| Finding {
        id: "history-unreadable".into(),
        severity: Severity::Warning,
        title: "The migration history cannot be read".into(),
        subject: "schema markenmate".into(),
        detail: format!(
            "role {user} may not read it: what is recorded is not known, the state is judged by the catalogue"
        ),
        remedy: format!(
            "GRANT USAGE ON SCHEMA markenmate TO {user}; GRANT SELECT ON ALL TABLES IN SCHEMA markenmate TO {user};"
        ),
    })
}
