//! `cleanup set-aside`: drops what rollback and restore have kept. Nothing else ever does.

use serde_json::json;

use crate::backup::kept::{self, Kept as Database};
use crate::context::Context;
use crate::db::catalogue::Catalogue;
use crate::db::identifiers::quoted;
use crate::db::ledger::{self, Record};
use crate::db::patience::{Attempt, Patience, Setback};
use crate::db::session::{Mode, Session};
use crate::failure::{Failure, Kind};
use crate::migrations::back::stock::{self, Kept};
use crate::migrations::own;
use crate::migrations::survey::Survey;
use crate::pipeline::{self, Access, Operation};
use crate::plan::{Plan, Risk, Step};
use crate::report::{Block, Next, Outcome, Report, StepStatus};

/// Flags of `cleanup set-aside`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these, by the names that are listed; without any, all
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// The command.
pub struct SetAside {
    args: Args,
}

/// What is kept.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    role: String,
    tables: Vec<Kept>,
    databases: Vec<Database>,
    /// Consent was not given, and nobody can be asked.
    refusal: Option<Failure>,
}

impl SetAside {
    /// With these flags.
    pub fn new(args: Args) -> Self {
        Self { args }
    }

    fn wants(&self, name: &str) -> bool {
        let same = |wanted: &String| {
            wanted == name || Some(wanted.as_str()) == name.strip_prefix(stock::SCHEMA)
        };
        self.args.names.is_empty() || self.args.names.iter().any(same)
    }
}

impl Operation for SetAside {
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
        let survey = Survey::look(session).await?;
        let nothing = Catalogue::default();
        let catalogue = survey.catalogue.as_ref().unwrap_or(&nothing);
        if let Some(finding) = own::lacking(&survey.histories, catalogue) {
            return Err(Failure::refused("schema markenmate is not whole: nothing was dropped")
                .hint("mend it as shown, then run the same command again")
                .with_findings(vec![finding])
                .into());
        }
        let registered = survey.registers_kept();
        let role = match survey.rights.becomes_table_owner
            && survey.rights.owner() != survey.rights.user
        {
            true => format!("SET LOCAL ROLE {};", quoted(survey.rights.owner())),
            false => String::new(),
        };
        let tables = match registered {
            true => stock::stock(session, &role).await?,
            false => Vec::new(),
        };
        let consents = match cx.settings.dry_run {
            true => Ok(true),
            false => {
                let phrase = pipeline::phrase_for(session);
                pipeline::can_consent(cx, Risk::Destructive, &phrase)
            }
        };
        let databases = kept::kept(session).await?;
        Ok(Seen { role, tables, databases, refusal: consents.err() })
    }

    fn plan(&self, _cx: &Context, seen: &Seen) -> Result<Plan<Seen>, Failure> {
        let work = Seen {
            role: seen.role.clone(),
            tables: seen.tables.iter().filter(|t| self.wants(&t.name)).cloned().collect(),
            databases: seen.databases.iter().filter(|d| self.wants(&d.name)).cloned().collect(),
            refusal: None,
        };
        self.refuse_unknown(seen)?;
        let is_empty = work.tables.is_empty() && work.databases.is_empty();
        let refusal = seen.refusal.clone().filter(|_| !is_empty);
        // What is kept is listed all the same.
        if let Some(refusal) = refuse_returning(&work.tables).err().or(refusal) {
            return Err(Failure { body: screen(&work), data: Some(data(&work)), ..refusal });
        }
        let steps: Vec<Step> = work
            .tables
            .iter()
            .map(|t| {
                let title = match t.state.as_str() {
                    stock::LOST => format!("write {} off: it is gone", t.name),
                    _ => format!("drop {} with its {} rows", t.name, t.rows),
                };
                Step::new(t.name.clone(), title, Risk::Destructive)
            })
            .chain(work.databases.iter().map(|d| {
                Step::new(
                    d.name.clone(),
                    format!("drop database {} of {}", d.name, bytes(d.bytes)),
                    Risk::Destructive,
                )
            }))
            .collect();
        let settled = steps.is_empty();
        let screen = match settled {
            true => vec![Block::Text("nothing to do: nothing is set aside".into())],
            false => screen(&work),
        };
        Ok(Plan {
            data: data(&work),
            work,
            steps,
            screen,
            findings: Vec::new(),
            question: "Drop all of this, for good?".into(),
            asks_later: false,
            next: settled.then(|| Next::run("markenmate status")),
        })
    }

    async fn execute(
        &self,
        cx: &Context,
        session: &Session,
        plan: Plan<Seen>,
    ) -> Result<Report, Failure> {
        let Seen { role, tables, databases, .. } = &plan.work;
        if !tables.is_empty() {
            let patience =
                Patience::new(session, &cx.console, &cx.interrupt, &[], cx.settings.max_wait);
            let drops = async |attempt| stock::drop_all(cx, session, role, tables, attempt).await;
            patience.exercise(drops).await?;
        }
        for (n, database) in databases.iter().enumerate() {
            let before = tables.len() + n;
            kept::drop_database(session, database)
                .await
                .map_err(|failure| after(failure, before))?;
            // It is gone: where its row cannot be written, it is said and no more.
            if let Err(failure) = record(cx, session, role, database).await {
                cx.console
                    .say(&format!("{}: the ledger has no row of it: {failure}", database.name));
            }
        }
        let mut report = Report::new(Outcome::Done);
        report.steps = plan.steps.iter().map(|s| s.result(StepStatus::Done, None)).collect();
        let names = tables.iter().map(|t| &t.name).chain(databases.iter().map(|d| &d.name));
        report.data = json!({ "tables": tables, "databases": databases, "dropped": names.collect::<Vec<_>>() });
        let lost = tables.iter().filter(|table| table.state == stock::LOST).count();
        let written_off = match lost {
            0 => String::new(),
            some => format!("; {some} that somebody had dropped before are written off"),
        };
        report.body.push(Block::Text(format!(
            "{} table(s) and {} database(s) were dropped{written_off}",
            tables.len() - lost,
            databases.len()
        )));
        report.next = Some(Next::run("markenmate status"));
        Ok(report)
    }
}

impl SetAside {
    fn refuse_unknown(&self, seen: &Seen) -> Result<(), Failure> {
        let there = |wanted: &&String| {
            let one = Self { args: Args { names: vec![(*wanted).clone()] } };
            seen.tables.iter().any(|t| one.wants(&t.name))
                || seen.databases.iter().any(|d| one.wants(&d.name))
        };
        match self.args.names.iter().find(|wanted| !there(wanted)) {
            None => Ok(()),
            Some(name) => {
                Err(Failure::refused(format!("nothing of the name {name:?} is set aside"))
                    .hint("to see what is: markenmate cleanup set-aside --dry-run"))
            }
        }
    }
}

/// What is on its way back is not dropped from under it.
fn refuse_returning(tables: &[Kept]) -> Result<(), Failure> {
    match tables.iter().find(|table| table.state == "returning") {
        None => Ok(()),
        Some(table) => Err(stock::is_returning(table)),
    }
}

/// Some is dropped already.
fn after(mut failure: Failure, dropped: usize) -> Failure {
    if dropped > 0 && failure.kind != Kind::Interrupted {
        failure.kind = Kind::Partial;
        // Names that are gone by now would be refused: what is left is shown first.
        failure.next = Some("markenmate cleanup set-aside --dry-run".into());
    }
    failure.hint("whoever is connected to it must go first; what was dropped before stays so")
}

async fn record(
    cx: &Context,
    session: &Session,
    role: &str,
    database: &Database,
) -> Result<(), Failure> {
    const WHAT: &str = "cannot write the operator ledger";
    let detail = json!({ "database": database.name, "bytes": database.bytes }).to_string();
    let record = Record {
        command: "cleanup set-aside",
        subject: Some(&database.name),
        outcome: "done",
        detail: Some(&detail),
    };
    session.begin_within(Mode::Write, session.timeouts(), WHAT, role).await?;
    let appended = ledger::append(session, &cx.origin(), &record).await;
    if appended.is_ok() {
        session.commit(WHAT, "COMMIT").await?;
    }
    session.end().await;
    appended.map(drop)
}

fn data(work: &Seen) -> serde_json::Value {
    json!({ "tables": work.tables, "databases": work.databases, "dropped": [] })
}

fn screen(work: &Seen) -> Vec<Block> {
    let mut screen = Vec::new();
    if !work.tables.is_empty() {
        let row = |t: &Kept| {
            let what = t.what.clone().unwrap_or_else(|| "?".into());
            vec![
                what,
                t.state.clone(),
                t.since.clone().unwrap_or_default(),
                t.rows.to_string(),
                bytes(t.bytes),
                t.name.clone(),
            ]
        };
        screen.push(Block::Table {
            columns: ["what", "state", "since (UTC)", "rows", "size", "kept as"]
                .map(str::to_owned)
                .to_vec(),
            rows: work.tables.iter().map(row).collect(),
        });
    }
    if !work.databases.is_empty() {
        let row = |d: &Database| vec![d.name.clone(), bytes(d.bytes), d.sessions.to_string()];
        screen.push(Block::Table {
            columns: ["database kept by a restore", "size", "sessions"].map(str::to_owned).to_vec(),
            rows: work.databases.iter().map(row).collect(),
        });
    }
    if work.tables.iter().any(|table| table.state == "kept") {
        screen.push(Block::Text("what is kept would return with: markenmate migrate".into()));
    }
    screen
}

/// In the unit that fits.
fn bytes(bytes: u64) -> String {
    match bytes {
        0..=9_999 => format!("{bytes} B"),
        10_000..=9_999_999 => format!("{} kB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}
