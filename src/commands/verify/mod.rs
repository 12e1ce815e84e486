//! `verify`: the guide's steps 4 and 5 and its success criteria, as findings. Reads only, also on a
//! standby, for a reader, and on a database in any state, unless something is to be tried.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::checks::registry::{self, Check};
use crate::checks::run::{self, Request, Seen};
use crate::context::Context;
use crate::db::catalogue::Catalogue;
use crate::db::identifiers::{literal, quoted};
use crate::db::ledger::Head;
use crate::db::locks::Wanted;
use crate::db::patience::{Attempt, Patience, Setback};
use crate::db::session::Session;
use crate::failure::Failure;
use crate::migrations;
use crate::migrations::survey::Survey;
use crate::pipeline::{Access, Operation};
use crate::plan::{Plan, Risk, Step};
use crate::report::{Report, Severity};

mod asked;
mod computed;
mod live;
mod output;
mod passwords;

use live::Live;

/// Flags of `verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these checks, separated by commas (--dry-run lists them)
    #[arg(long, value_name = "IDS", value_delimiter = ',', value_parser = registry::find)]
    pub only: Vec<&'static Check>,
    /// All but these checks
    #[arg(long, value_name = "IDS", value_delimiter = ',', value_parser = registry::find)]
    pub skip: Vec<&'static Check>,
    /// Judge against this version instead of the latest
    #[arg(long, value_name = "VERSION|NAME")]
    pub to: Option<String>,
    /// End with exit code 3 on findings of this weight or more
    #[arg(long, default_value = "error", value_name = "WEIGHT", value_parser = PossibleValuesParser::new(["warning", "error"]).map(weight))]
    pub fail_on: Severity,
    /// Judge logs from then on: a time in RFC 3339, or an age such as 2h [default: when the hardening was recorded, else 24h]
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub since: Option<Since>,
    /// The head of the operator ledger as an earlier run printed it: what came before must still be there
    #[arg(long, value_name = "NUMBER:HASH", value_parser = Head::parse)]
    pub ledger_head: Option<Head>,
    /// Try the guide's four security tests on the database itself, in one transaction that is rolled back
    #[arg(long)]
    pub probe: bool,
    /// Ask the running application at this address: is it healthy, does it want a step-up?
    #[arg(long, value_name = "URL")]
    pub app_url: Option<String>,
    /// An admin's Cookie header, for the tests of the master and the last admin (asked where the database guards them, too)
    #[arg(long, value_name = "FILE", requires = "app_url")]
    pub app_cookie_file: Option<PathBuf>,
    /// Write the checks to this file as JUnit XML too
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Print findings as GitHub workflow commands too (with --format json on stderr)
    #[arg(long)]
    pub github: bool,
}

impl Args {
    /// All checks, judged against a version, none: the latest; and whether the guards are tried.
    pub fn of(to: Option<String>, probe: bool) -> Self {
        Self {
            only: Vec::new(),
            skip: Vec::new(),
            to,
            fail_on: Severity::Error,
            since: None,
            ledger_head: None,
            probe,
            app_url: None,
            app_cookie_file: None,
            junit: None,
            github: false,
        }
    }

    /// All but these.
    #[must_use]
    pub fn without(self, ids: &[&str]) -> Self {
        Self { skip: ids.iter().filter_map(|id| registry::find(id).ok()).collect(), ..self }
    }
}

fn weight(word: String) -> Severity {
    if word == "warning" { Severity::Warning } else { Severity::Error }
}

/// From when on logs are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// A moment.
    At(DateTime<Utc>),
    /// So long before this run.
    Ago(Duration),
}

impl Since {
    /// The moment. An age beyond what a date can say is the beginning of time.
    pub(super) fn before(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::At(at) => at,
            Self::Ago(age) => chrono::TimeDelta::from_std(age)
                .ok()
                .and_then(|age| now.checked_sub_signed(age))
                .unwrap_or(DateTime::UNIX_EPOCH),
        }
    }
}

/// Reads a time or an age.
pub(super) fn since(text: &str) -> Result<Since, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(Since::At(at.to_utc()));
    }
    humantime::parse_duration(text)
        .map(Since::Ago)
        .map_err(|_| "write a time such as 2025-11-03T08:00:00Z, or an age such as 2h or 7d".into())
}

/// The command.
pub struct Verify {
    args: Args,
}

impl Verify {
    /// With these flags.
    pub fn new(args: Args) -> Self {
        Self { args }
    }
}

/// What is to be judged, and against what.
pub struct Work {
    checks: Vec<&'static Check>,
    version: i32,
    live: Live,
}

/// One moment of the database: what was judged in it, and what is to be judged after it.
struct Looked {
    seen: Seen,
    survey: Survey,
    passwords: Option<(&'static Check, passwords::Read)>,
}

impl Operation for Verify {
    type State = Live;
    type Work = Work;

    fn access(&self) -> Access {
        Access::Read
    }

    /// The flags only: what is judged is looked at in the moment of the checks.
    async fn inspect(
        &self,
        cx: &Context,
        session: &Session,
        _attempt: Attempt,
    ) -> Result<Live, Setback> {
        if let Some(file) = &self.args.junit {
            output::check_folder(file)?;
        }
        Ok(Live::of(&self.args, cx, session)?)
    }

    fn plan(&self, cx: &Context, live: &Live) -> Result<Plan<Work>, Failure> {
        let checks = registry::select(&self.args.only, &self.args.skip)?;
        asked::check_head(&self.args, &checks)?;
        let version = match &self.args.to {
            Some(text) => migrations::registry::resolve(text)?,
            None => migrations::registry::latest(),
        };
        let with_sql = cx.settings.verbose > 0;
        let steps = checks.iter().map(|check| step(check, live.risk(check), with_sql)).collect();
        let (screen, question) = live.screen(&checks);
        Ok(Plan {
            work: Work { checks, version, live: live.clone() },
            steps,
            screen,
            findings: Vec::new(),
            question,
            asks_later: false,
            data: serde_json::json!({ "version": version }),
            next: None,
        })
    }

    /// Printing a default takes a lock on its table, so whoever holds one exclusively is waited for.
    async fn execute(
        &self,
        cx: &Context,
        session: &Session,
        plan: Plan<Work>,
    ) -> Result<Report, Failure> {
        let limit = cx.settings.max_wait;
        let patience = Patience::new(session, &cx.console, &cx.interrupt, &run::TABLES, limit)
            .wanting(Wanted::Reading);
        let judged = patience.exercise(async |attempt| {
            let judged = self.judge(cx, session, &plan.work, attempt).await;
            session.roll_back().await;
            judged.map_err(Setback::from)
        });
        let Looked { mut seen, survey, passwords } = judged.await?.value;
        let Work { checks, version, live } = &plan.work;
        if let Some((check, read)) = passwords {
            seen.verdicts.push(read.judge(check, &cx.interrupt).await?);
        }
        seen.verdicts.extend(live.verdicts(cx, session, checks, *version, &survey).await?);
        let nothing = Catalogue::default();
        let catalogue = survey.catalogue.as_ref().unwrap_or(&nothing);
        computed::Judged { survey: &survey, catalogue }.correct(&mut seen.verdicts);
        asked::find_head(&mut seen.verdicts, self.args.ledger_head.as_ref());
        seen.verdicts.sort_by_key(|v| registry::ALL.iter().position(|check| check == v.check));
        let failing = self.args.fail_on;
        let mut report = output::report(&seen, *version, &self.args);
        if let Some(file) = &self.args.junit {
            output::write_junit(file, &session.facts.database, &seen.verdicts, failing)
                .map_err(|failure| failure.with_findings(report.findings.clone()))?;
        }
        if self.args.github {
            output::annotate(cx, &mut report);
        }
        Ok(report)
    }
}

impl Verify {
    /// Looks and judges within one moment of the database.
    async fn judge(
        &self,
        cx: &Context,
        session: &Session,
        work: &Work,
        attempt: Attempt,
    ) -> Result<Looked, Failure> {
        let survey = Survey::opening(session, attempt.timeouts).await?;
        read_as_owner(session, &survey).await?;
        let Work { checks, version, .. } = work;
        let nothing = Catalogue::default();
        let catalogue = survey.catalogue.as_ref().unwrap_or(&nothing);
        let since = self.since(cx, &survey, *version);
        let request = Request {
            checks,
            version: *version,
            own: survey.histories.own.iter().filter_map(|row| row.number()).max().unwrap_or(0),
            ledger_head: self.args.ledger_head.as_ref(),
            since: since.as_deref(),
            catalogue,
        };
        let mut seen = run::run(session, &request).await?;
        let judged = computed::Judged { survey: &survey, catalogue };
        seen.verdicts.extend(judged.verdicts(checks, *version));
        let passwords = match checks.iter().find(|check| check.id == passwords::ID) {
            Some(check) => {
                Some((*check, passwords::read(session, check, *version, catalogue).await?))
            }
            None => None,
        };
        Ok(Looked { seen, survey, passwords })
    }

    /// `--since`, or when the hardening was recorded, or what is judged of what came before it.
    fn since(&self, cx: &Context, survey: &Survey, version: i32) -> Option<String> {
        let at = match self.args.since {
            Some(since) => Some(since.before(cx.started_at)),
            None => survey
                .histories
                .app
                .iter()
                .find(|row| row.number() == Some(version.min(migrations::registry::FLAG)))
                .and_then(|row| DateTime::parse_from_rfc3339(&row.applied_on).ok())
                .map(|at| at.to_utc()),
        };
        at.map(|at| at.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

/// A member of the owner who does not inherit reads as the owner from here on; whoever has the owner's
/// rights already may have more of its own.
pub(super) async fn read_as_owner(session: &Session, survey: &Survey) -> Result<(), Failure> {
    let Some(owner) = live::owner(survey) else { return Ok(()) };
    const WHAT: &str = "cannot read as the owner of the app's tables";
    let asks = format!("SELECT pg_has_role({}, 'USAGE')", literal(owner));
    let inherits = session.run(WHAT, &asks).await?;
    if inherits.iter().flatten().any(|row| row.get(0) == Some("f")) {
        session.run(WHAT, &format!("SET LOCAL ROLE {}", quoted(owner))).await?;
    }
    Ok(())
}

fn step(check: &Check, risk: Risk, with_sql: bool) -> Step {
    let sql = match check.source {
        registry::Source::Sql(sql)
        | registry::Source::Probe(sql)
        | registry::Source::Statements(sql)
            if with_sql =>
        {
            Some(sql.to_owned())
        }
        _ => None,
    };
    Step { sql, ..Step::new(check.id, format!("{}: {}", check.id, check.title), risk) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_takes_a_time_or_an_age() {
        assert_eq!(since("2h"), Ok(Since::Ago(Duration::from_secs(7200))));
        let at = since("2025-11-03T09:00:00+01:00").unwrap();
        assert_eq!(at, since("2025-11-03T08:00:00Z").unwrap());
        assert!(since("yesterday").unwrap_err().contains("2025-11-03T08:00:00Z"));
    }
}
