//! `stats`: what the database tells about its use, with thresholds; and the review of the audit log. Reads
//! only, also on a standby, for a reader, and on the application's database in any state.

use chrono::{DateTime, SecondsFormat, Utc};
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::backup::gate::Identity;
use crate::checks::run::TABLES;
use crate::commands::verify::{self, Since};
use crate::context::Context;
use crate::db::catalogue::Catalogue;
use crate::db::identifiers::identifier;
use crate::db::locks::Wanted;
use crate::db::patience::{Attempt, Patience, Setback};
use crate::db::session::Session;
use crate::failure::{Ending, Failure};
use crate::migrations::standing::{State, standing};
use crate::migrations::survey::{self, History, Survey};
use crate::pipeline::{self, Access, Operation};
use crate::plan::{Plan, Risk, Step};
use crate::render::prometheus::{self, Origin};
use crate::report::Report;
use crate::stats::reading::Reading;
use crate::stats::registry::{ALL, Metric, Source};
use crate::stats::run::{self, Request};
use crate::stats::threshold::Threshold;

mod audit;
mod audit_shown;
mod kept;
mod shown;
mod sink;

pub use audit::Audit;
use sink::{Readers, Sink};

/// Flags of `stats` and what stands below it.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// What else there is to see.
    #[command(subcommand)]
    pub what: Option<What>,
    /// Where the window begins, which failures, tokens and growth are counted in: a time in RFC 3339, or an age
    #[arg(long, value_name = "TIME|AGE", default_value = "24h", value_parser = verify::since)]
    pub since: Since,
    /// Where a metric is over, in its unit, or none; may be given more than once (--dry-run lists the metrics)
    #[arg(long, value_name = "ID=VALUE", value_parser = Threshold::parse)]
    pub threshold: Vec<Threshold>,
    /// End with exit code 3 where a metric is over
    #[arg(long, value_name = "WEIGHT", value_parser = PossibleValuesParser::new(["warning"]).map(|_| ()))]
    pub fail_on: Option<()>,
    /// Write the metrics for node_exporter's textfile collector; - to standard output, and no report then, so that
    /// --format json is refused
    #[arg(long, value_name = "FILE|-", value_parser = Sink::parse)]
    pub prometheus: Option<Sink>,
}

/// What else there is to see.
#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Who did what, what failed, and what does not look right in the audit log and its archive
    Audit(audit::Args),
}

/// Runs it.
pub async fn run(cx: &Context, args: Args) -> Ending {
    match args.what {
        None => checked(cx, Stats::new(args), Stats::check).await,
        Some(What::Audit(args)) => checked(cx, Audit::new(args), Audit::check).await,
    }
}

async fn checked<O: Operation>(
    cx: &Context,
    operation: O,
    check: impl Fn(&O, &Context) -> Result<(), Failure>,
) -> Ending {
    match check(&operation, cx) {
        Ok(()) => pipeline::drive(cx, &operation).await,
        Err(failure) => Ending { target: None, result: Err(failure) },
    }
}

/// The command.
pub struct Stats {
    args: Args,
}

impl Stats {
    /// With these flags.
    pub fn new(args: Args) -> Self {
        Self { args }
    }

    /// Refuses what contradicts itself, before there is a connection.
    fn check(&self, cx: &Context) -> Result<(), Failure> {
        let format = cx.settings.format;
        self.args.prometheus.iter().try_for_each(|sink| sink.check("--prometheus", format))
    }
}

/// The window's beginning: it is over already.
///
/// # Errors
/// Usage (exit 2) where it is still to come.
fn window(since: Since, now: DateTime<Utc>) -> Result<DateTime<Utc>, Failure> {
    let at = since.before(now).max(DateTime::UNIX_EPOCH);
    // Values a day are divided by it.
    if now - at >= chrono::TimeDelta::seconds(1) {
        return Ok(at);
    }
    Err(Failure::usage(format!("--since {}: nothing was written since then", rfc3339(at)))
        .hint("write a time that has been, such as 2025-11-03T08:00:00Z, or an age such as 2h"))
}

fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

impl Operation for Stats {
    type State = DateTime<Utc>;
    type Work = DateTime<Utc>;

    fn access(&self) -> Access {
        Access::Read
    }

    /// The window only: all that is read is of one moment.
    async fn inspect(
        &self,
        cx: &Context,
        _session: &Session,
        _attempt: Attempt,
    ) -> Result<DateTime<Utc>, Setback> {
        Ok(window(self.args.since, cx.started_at)?)
    }

    fn plan(&self, cx: &Context, since: &DateTime<Utc>) -> Result<Plan<DateTime<Utc>>, Failure> {
        let with_sql = cx.settings.verbose > 0;
        Ok(Plan {
            work: *since,
            steps: ALL.iter().map(|metric| step(metric, with_sql)).collect(),
            screen: Vec::new(),
            findings: Vec::new(),
            question: String::new(),
            asks_later: false,
            data: serde_json::json!({ "since": rfc3339(*since) }),
            next: None,
        })
    }

    /// The size of a table is asked under a lock on it, so whoever holds one exclusively is waited for.
    async fn execute(
        &self,
        cx: &Context,
        session: &Session,
        plan: Plan<DateTime<Utc>>,
    ) -> Result<Report, Failure> {
        let since = plan.work;
        let limit = cx.settings.max_wait;
        let patience = Patience::new(session, &cx.console, &cx.interrupt, &TABLES, limit)
            .wanting(Wanted::Reading);
        let read = patience.exercise(async |attempt| {
            let read = self.read(session, since, attempt).await;
            session.roll_back().await;
            read.map_err(Setback::from)
        });
        let (mut readings, identity) = read.await?.value;
        // With no transaction open: a folder may be far away.
        let folder = &cx.settings.backup_dir;
        readings.extend(kept::read(folder, &identity, &self.args.threshold, cx.started_at));
        // As the registry has them, whoever has read them.
        readings.sort_by_key(|r| ALL.iter().position(|metric| metric == r.metric));
        let fails = self.args.fail_on.is_some();
        let mut report = shown::report(&readings, &rfc3339(since), folder, fails);
        if let Some(sink) = &self.args.prometheus {
            let origin = Origin {
                database: &session.facts.database,
                read_at: cx.started_at.timestamp_millis() as f64 / 1000.0,
                window: (cx.started_at - since).as_seconds_f64(),
            };
            let text = prometheus::document(origin, &readings);
            sink.write(cx, &text, Readers::All, &mut report)?;
        }
        Ok(report)
    }
}

impl Stats {
    /// All that the database tells, in one moment, and which database it is.
    async fn read(
        &self,
        session: &Session,
        since: DateTime<Utc>,
        attempt: Attempt,
    ) -> Result<(Vec<Reading>, Identity), Failure> {
        let survey = Survey::opening(session, attempt.timeouts).await?;
        refuse_foreign(&survey)?;
        verify::read_as_owner(session, &survey).await?;
        let nothing = Catalogue::default();
        let own = own_version(&survey);
        let newest = survey.histories.app.iter().filter_map(|row| row.number()).max();
        let request = Request {
            since: &rfc3339(since),
            thresholds: &self.args.threshold,
            version: newest.unwrap_or(0),
            own: own.as_ref().copied().map_err(String::as_str),
            catalogue: survey.catalogue.as_ref().unwrap_or(&nothing),
        };
        let readings = run::run(session, &request).await?;
        let identity = Identity {
            system_identifier: session.facts.system_identifier.clone(),
            oid: survey.rights.database_oid,
        };
        Ok((readings, identity))
    }
}

/// Where nothing is the application's, zeros would say that all is well with it.
///
/// # Errors
/// Refused (exit 4) where none of its tables is there.
fn refuse_foreign(survey: &Survey) -> Result<(), Failure> {
    let state = survey.catalogue.as_ref().map(|c| standing(&survey.histories, c).state);
    if state != Some(State::Pristine) {
        return Ok(());
    }
    Err(survey::refuse_foreign(survey, "tell of it"))
}

/// The version of the tool's own schema, or why it cannot be told.
fn own_version(survey: &Survey) -> Result<i32, String> {
    match &survey.history {
        History::Known => {
            Ok(survey.histories.own.iter().filter_map(|row| row.number()).max().unwrap_or(0))
        }
        History::Denied => {
            let role = identifier(&survey.rights.user);
            Err(format!(
                "role {role} may not read schema markenmate: markenmate util grants prints what a reader needs"
            ))
        }
        History::Damaged(damage) => Err(format!("the history cannot be read: {}", damage.said)),
    }
}

/// A statement stands with the first metric that it tells of.
fn step(metric: &Metric, with_sql: bool) -> Step {
    let is_first = ALL.iter().find(|m| m.source == metric.source) == Some(metric);
    let sql = match metric.source {
        Source::Sql(statement) if with_sql && is_first => Some(statement.sql.to_owned()),
        Source::Sql(_) | Source::Folder => None,
    };
    let limit = metric
        .limit
        .value()
        .map_or_else(String::new, |limit| format!("; threshold {}", metric.unit.shown(limit)));
    let title = format!("{}: {}{limit}", metric.id, metric.title);
    Step { sql, ..Step::new(metric.id, title, Risk::ReadOnly) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_begins_before_now() {
        let now = Utc::now();
        let at = |text| window(verify::since(text).unwrap(), now);
        assert_eq!(at("24h").unwrap(), now - chrono::TimeDelta::hours(24));
        assert_eq!(at("90000years").unwrap(), DateTime::UNIX_EPOCH);
        for wrong in ["0s", "2999-01-01T00:00:00Z"] {
            assert_eq!(at(wrong).unwrap_err().kind.exit_code(), 2, "{wrong}");
        }
    }
}
