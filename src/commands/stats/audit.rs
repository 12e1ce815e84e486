//! `stats audit`: who did what, what failed, and what does not look right.

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::sink::{Readers, Sink};
use super::{audit_shown, own_version, refuse_foreign, rfc3339, window};
use crate::checks::run::TABLES;
use crate::commands::verify::{self, Since};
use crate::context::Context;
use crate::db::catalogue::Catalogue;
use crate::db::locks::Wanted;
use crate::db::patience::{Attempt, Patience, Setback};
use crate::db::session::Session;
use crate::failure::Failure;
use crate::migrations::survey::Survey;
use crate::pipeline::{Access, Operation};
use crate::plan::{Plan, Risk, Step};
use crate::report::Report;
use crate::stats::audit::Scope;
use crate::stats::audit::anomalies::{self, Found};
use crate::stats::audit::metadata::{self, Unparsed};
use crate::stats::audit::who::{self, Deed};

/// Flags of `stats audit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// From when on: a time in RFC 3339, or an age
    #[arg(long, value_name = "TIME|AGE", default_value = "30d", value_parser = verify::since)]
    pub since: Since,
    /// Only what this user did: an email address or an id
    #[arg(long, value_name = "USER")]
    pub actor: Option<String>,
    /// Only this action, as the audit log has it: CHANGE_ROLE for example
    #[arg(long, value_name = "ACTION")]
    pub action: Option<String>,
    /// Write who did what, and what does not look right, as CSV; - to standard output, and no report
    /// then, so that --format json is refused
    #[arg(long, value_name = "FILE|-", value_parser = Sink::parse)]
    pub csv: Option<Sink>,
    /// End with exit code 3 where something does not look right
    #[arg(long, value_name = "WEIGHT", value_parser = PossibleValuesParser::new(["warning"]).map(|_| ()))]
    pub fail_on: Option<()>,
}

/// The command.
pub struct Audit {
    args: Args,
}

impl Audit {
    /// With these flags.
    pub fn new(args: Args) -> Self {
        Self { args }
    }

    /// Refuses what contradicts itself, before there is a connection.
    pub(super) fn check(&self, cx: &Context) -> Result<(), Failure> {
        self.args.csv.iter().try_for_each(|sink| sink.check("--csv", cx.settings.format))
    }
}

/// What was seen, in one moment.
pub(super) struct Seen {
    pub(super) scope: Scope,
    /// Why the archive is left out; none where it is not, or where there is none.
    pub(super) unread: Option<String>,
    pub(super) deeds: Vec<Deed>,
    pub(super) unparsed: Unparsed,
    pub(super) anomalies: Vec<Found>,
    /// Nobody is, or was, the actor that was asked for.
    pub(super) lacks_actor: bool,
}

impl Operation for Audit {
    type State = String;
    type Work = String;

    fn access(&self) -> Access {
        Access::Read
    }

    /// The window only: all that is read is of one moment.
    async fn inspect(
        &self,
        cx: &Context,
        _session: &Session,
        _attempt: Attempt,
    ) -> Result<String, Setback> {
        Ok(rfc3339(window(self.args.since, cx.started_at)?))
    }

    fn plan(&self, _cx: &Context, since: &String) -> Result<Plan<String>, Failure> {
        let mut steps = vec![
            Step::new("who", "who did what, and how often it failed", Risk::ReadOnly),
            Step::new(audit_shown::UNPARSED, audit_shown::UNPARSED_TITLE, Risk::ReadOnly),
        ];
        let looked_for = anomalies::ALL.iter();
        steps.extend(
            looked_for.map(|a| Step::new(a.id, format!("{}: {}", a.id, a.title), Risk::ReadOnly)),
        );
        Ok(Plan {
            work: since.clone(),
            steps,
            screen: Vec::new(),
            findings: Vec::new(),
            question: String::new(),
            asks_later: false,
            data: serde_json::json!({ "since": since }),
            next: None,
        })
    }

    async fn execute(
        &self,
        cx: &Context,
        session: &Session,
        plan: Plan<String>,
    ) -> Result<Report, Failure> {
        let limit = cx.settings.max_wait;
        let patience = Patience::new(session, &cx.console, &cx.interrupt, &TABLES, limit)
            .wanting(Wanted::Reading);
        let read = patience.exercise(async |attempt| {
            let seen = self.read(session, &plan.work, attempt).await;
            session.roll_back().await;
            seen.map_err(Setback::from)
        });
        let seen = read.await?.value;
        if let Some(notice) = audit_shown::notice(&seen) {
            cx.console.say(&format!("notice: {notice}"));
        }
        let mut report = audit_shown::report(&seen, self.args.fail_on.is_some());
        if let Some(sink) = &self.args.csv {
            let text = audit_shown::csv(&seen);
            sink.write(cx, &text, Readers::Owner, &mut report)?;
        }
        Ok(report)
    }
}

impl Audit {
    async fn read(
        &self,
        session: &Session,
        since: &str,
        attempt: Attempt,
    ) -> Result<Seen, Failure> {
        let survey = Survey::opening(session, attempt.timeouts).await?;
        refuse_foreign(&survey)?;
        let catalogue = survey.catalogue.as_ref();
        if catalogue.is_none_or(lacks_audit_log) {
            return Err(Failure::refused("there is no audit log in this database")
                .because("version 2 of the schema brings it")
                .hint("to see where the database stands: markenmate status"));
        }
        verify::read_as_owner(session, &survey).await?;
        let (archive, unread) = match own_version(&survey) {
            Ok(own) => (own > 0, None),
            Err(reason) => (false, Some(reason)),
        };
        let mut scope = Scope {
            since: since.to_owned(),
            actor: self.args.actor.clone(),
            action: self.args.action.clone(),
            archive,
        };
        let unread = match unread {
            None if archive => scope.unreadable_archive(session).await?,
            unread => unread,
        };
        scope.archive &= unread.is_none();
        let deeds = who::read(session, &scope).await?;
        let lacks_actor =
            scope.actor.is_some() && deeds.is_empty() && !who::knows_actor(session, &scope).await?;
        let unparsed = metadata::look(session, &scope).await?;
        let anomalies = anomalies::find(session, &scope).await?;
        Ok(Seen { scope, unread, deeds, unparsed, anomalies, lacks_actor })
    }
}

fn lacks_audit_log(catalogue: &Catalogue) -> bool {
    !catalogue.tables.contains_key("audit_log")
}
