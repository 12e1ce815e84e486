//! `rehearse`: the whole way there, back and there again with the database's rows, on another database. What came
//! of it is kept as a certificate, which `migrate --require-rehearsal` can want.

use std::path::{Path, PathBuf};

use chrono::Utc;
use serde_json::json;

use crate::backup::certificate::{self, Certificate, Paper, Verdict};
use crate::backup::gate::Identity;
use crate::backup::preflight::Live;
use crate::backup::proof::Backup;
use crate::backup::staging::Maintenance;
use crate::context::Context;
use crate::db::patience::{Attempt, Setback};
use crate::db::session::Session;
use crate::failure::Failure;
use crate::migrations::fingerprint::Fingerprint;
use crate::migrations::plan::decide;
use crate::migrations::registry;
use crate::migrations::standing::{State, standing};
use crate::migrations::survey::{History, Survey};
use crate::pipeline::{Access, Operation};
use crate::plan::{Plan, Risk, Step};
use crate::render::human;
use crate::report::{Block, Finding, Next, Outcome, Report, Severity};

mod course;
pub mod fingerprint;
mod ground;
pub mod live;
mod next;
mod page;
mod source;
mod stages;

use course::Course;
use ground::Ground;
use source::Source;
use stages::{Made, Stages};

/// Flags of `rehearse`.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// The backup whose rows are rehearsed with [default: the newest verified one of the database as it is, else one that is taken now]
    #[arg(long, value_name = "BACKUP")]
    pub from: Option<PathBuf>,
    /// The file of the secret key, where that backup is encrypted
    #[arg(long, value_name = "FILE", requires = "from")]
    pub identity: Option<PathBuf>,
    /// In a scratch database on the database's own server, instead of on a throw-away one here
    #[arg(long)]
    pub on_server: bool,
    /// Where the certificate goes [default: in --backup-dir, named after the moment]; a page for people goes beside it, as .txt
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
}

/// The command.
pub struct Rehearse {
    args: Args,
}

/// What there is to see.
pub struct Seen {
    survey: Survey,
    /// What a restored database does not show.
    live: Vec<Finding>,
    source: Source,
    /// Of the database as it is now.
    now: Option<Fingerprint>,
    paper: Paper,
}

/// What is to be done.
pub struct Work {
    source: Source,
    /// Why `migrate` would be refused on the live database.
    refusal: Option<Failure>,
    now: Option<Fingerprint>,
    paper: Paper,
}

impl Rehearse {
    /// With these flags.
    pub fn new(args: Args) -> Self {
        Self { args }
    }

    fn identity(&self) -> Option<&std::path::Path> {
        self.args.identity.as_deref()
    }
}

impl Operation for Rehearse {
    type State = Seen;
    type Work = Work;

    /// The live database is only read.
    fn access(&self) -> Access {
        Access::Read
    }

    async fn inspect(
        &self,
        cx: &Context,
        session: &Session,
        _attempt: Attempt,
    ) -> Result<Seen, Setback> {
        let named = self.args.certificate.as_deref();
        let paper = Paper::at(named, &cx.settings.backup_dir, cx.started_at);
        paper.check()?;
        let survey = Survey::look(session).await?;
        let now = Fingerprint::of(session, &survey).await?;
        let live = live::findings(session, &survey).await?;
        let identity = Identity::of(session).await?;
        let from = self.args.from.as_deref();
        let source = source::choose(cx, from, &identity, now.as_ref())?;
        if self.args.on_server {
            ground::stays_within(session).await?;
        }
        match &source {
            Source::There(backup) if self.args.on_server => {
                ground::look(cx, session, backup, self.identity()).await?;
            }
            Source::There(backup) => {
                let of = &backup.manifest;
                ground::can_sandbox(cx, of.archive.server_major(), of.database.bytes)?;
            }
            Source::Now(_) if self.args.on_server => ground::may_create(session).await?,
            Source::Now(_) => {
                let bytes = ground::bytes(session).await?;
                ground::can_sandbox(cx, session.facts.server_version_num / 10_000, bytes)?;
            }
        }
        Ok(Seen { survey, live, source, now, paper })
    }

    fn plan(&self, cx: &Context, seen: &Seen) -> Result<Plan<Work>, Failure> {
        let Seen { survey, live, source, now, paper } = seen;
        let refusal = decide(survey, registry::latest()).err();
        if survey.history != History::Known
            && let Some(failure) = refusal
        {
            return Err(failure);
        }
        let state = survey.catalogue.as_ref().map(|c| standing(&survey.histories, c).state);
        if state == Some(State::Pristine) && self.args.from.is_none() {
            return Err(Failure::refused("there is nothing to rehearse with")
                .because(format!("none of the application's tables is in {:?}", survey.database))
                .hint("look at the target line: is this the database you meant?")
                .hint("or name a backup: --from BACKUP"));
        }
        let warnings = live.iter().filter(|finding| finding.severity == Severity::Warning).cloned();
        let risk = if self.args.on_server { Risk::Additive } else { Risk::ReadOnly };
        Ok(Plan {
            steps: steps(cx, source, risk),
            screen: vec![Block::Facts(vec![
                ("database".into(), format!("{}: only read", survey.database)),
                ("state".into(), state.map(State::explained).unwrap_or_default().into()),
                ("rehearsed on".into(), self.place()),
                ("certificate".into(), paper.certificate.display().to_string()),
            ])],
            findings: refusal.iter().flat_map(privileges).chain(warnings).collect(),
            question: format!(
                "Rehearse in a scratch database beside {:?}? It takes room and work there.",
                survey.database
            ),
            asks_later: false,
            data: json!({ "stages": [], "certificate": paper.certificate }),
            next: None,
            work: Work {
                source: source.clone(),
                // A missing privilege is the role's that looks, not the database's.
                refusal: refusal
                    .filter(|failure| privileges(failure).is_empty())
                    .or_else(|| live::refusal(live)),
                now: now.clone(),
                paper: paper.clone(),
            },
        })
    }

    async fn execute(
        &self,
        cx: &Context,
        session: &Session,
        plan: Plan<Work>,
    ) -> Result<Report, Failure> {
        let Work { source, refusal, now, paper } = &plan.work;
        let mut stages = Stages::new(cx);
        let ready = async { source.ready(cx, session, self.identity()).await.map(Made::of) };
        let backup = stages.run(stages::BACKUP, ready).await?;
        let is_same = fingerprint::is_of_now(&backup.manifest, now.as_ref());
        let live = refusal.as_ref().filter(|_| is_same);
        let mut remarks = plan.findings;
        remarks.extend((!is_same).then(|| other_schema(&backup)));
        remarks.extend(source::old_rows(&backup));
        let maintenance = self.beside(cx, session, &backup, &mut remarks).await?;
        let place = certificate::Ground {
            kind: if self.args.on_server { "server" } else { "sandbox" }.into(),
            server_version: String::new(),
        };
        let (ground, gone) =
            self.go(cx, &backup, maintenance, live, &mut stages, &mut remarks).await?;
        remarks.extend(ground.as_ref().and_then(|ground| ground::other_major(ground, &backup)));
        let mut certificate = Certificate {
            certificate: 1,
            tool_version: env!("CARGO_PKG_VERSION").into(),
            run_id: cx.run_id.to_string(),
            began_at: cx.started_at,
            finished_at: Utc::now(),
            verdict: if gone.is_ok() { Verdict::Pass } else { Verdict::Fail },
            failed_stage: stages.failed().map(|stage| stage.id.clone()),
            database: backup.manifest.database.clone(),
            schema: certificate::Schema {
                sha256: fingerprint::schema_of(&backup.manifest),
                beside: backup.manifest.beside.clone(),
                state: backup.manifest.schema.state.clone(),
            },
            backup: certificate::Origin {
                path: backup.path.clone(),
                manifest_sha256: backup.manifest.sha256.clone(),
                snapshot_at: backup.manifest.snapshot_at,
            },
            migrations: fingerprint::migrations(),
            ground: ground.unwrap_or(place),
            stages: stages.all().to_vec(),
            findings: remarks,
            sha256: String::new(),
        };
        if let (Err(failure), Some(stage)) = (gone, stages.failed()) {
            let found = stages::findings(&stage.id, failure);
            certificate.findings.splice(..0, found);
        }
        let beside = self.args.certificate.is_some().then_some(&*cx.settings.backup_dir);
        let of = certificate.database.clone();
        let mut report = report(&stages, certificate, paper, beside)?;
        if report.outcome == Outcome::Done {
            let counts = next::counts(&of, &Identity::of(session).await?, is_same);
            report.next = Some(next::passed(counts, self.args.certificate.as_deref()));
        }
        Ok(report)
    }
}

impl Rehearse {
    fn place(&self) -> String {
        match self.args.on_server {
            true => "a scratch database on the same server, dropped afterwards".into(),
            false => "a throw-away PostgreSQL here, gone afterwards".into(),
        }
    }

    /// A place on the live server, where that is asked for.
    async fn beside(
        &self,
        cx: &Context,
        session: &Session,
        backup: &Backup,
        remarks: &mut Vec<Finding>,
    ) -> Result<Option<Maintenance>, Failure> {
        if !self.args.on_server {
            return Ok(None);
        }
        let live: Live = ground::look(cx, session, backup, self.identity()).await?;
        remarks.extend(ground::remark(&live));
        let maintenance = Maintenance::enter(cx, session, &live).await?;
        for name in maintenance.halves().await? {
            cx.console.say(&format!("a run that was killed had left {name}: dropped"));
        }
        Ok(Some(maintenance))
    }

    /// Restores, goes the course and leaves nothing. What says no to the way is the inner result.
    #[allow(clippy::type_complexity)]
    async fn go(
        &self,
        cx: &Context,
        backup: &Backup,
        maintenance: Option<Maintenance>,
        live: Option<&Failure>,
        stages: &mut Stages<'_>,
        remarks: &mut Vec<Finding>,
    ) -> Result<(Option<certificate::Ground>, Result<(), Failure>), Failure> {
        let identity = self.identity();
        let restored = async {
            let ground = match maintenance {
                Some(maintenance) => Ground::server(cx, maintenance, backup, identity).await?,
                None => Ground::sandbox(cx, backup, identity).await?,
            };
            let said = format!("{} tables", backup.manifest.tables.len());
            Ok(Made::of(ground).saying(said))
        };
        let ground = match stages.run(stages::RESTORE, restored).await {
            Ok(ground) => ground,
            Err(failure) if stages::is_verdict(&failure) => {
                let failure = match self.args.on_server {
                    true => failure,
                    false => ground::verdict(failure)?,
                };
                return Ok((None, Err(failure)));
            }
            Err(failure) => return Err(failure),
        };
        let gone = async {
            remarks.extend(ground.remark(cx).await?);
            let mut course = Course { cx, ground: &ground, live, remarks: Vec::new() };
            let gone = course.run(stages).await;
            remarks.append(&mut course.remarks);
            if gone.as_ref().is_err_and(|failure| !stages::is_verdict(failure)) {
                return gone.map(|()| (None, Ok(())));
            }
            if gone.is_err()
                && let Some(failure) = ground.gave_out(cx).await
            {
                return Err(failure);
            }
            // Where the server that was rehearsed on is gone, that says nothing of the way.
            Ok((Some(ground.described(&ground.session(cx).await?)), gone))
        };
        let gone = gone.await;
        ground.leave().await?;
        gone
    }
}

fn steps(cx: &Context, source: &Source, risk: Risk) -> Vec<Step> {
    let (title, detail) = source.step(cx);
    let first = Step { detail, ..Step::new(stages::BACKUP, title, Risk::ReadOnly) };
    let rest = stages::ALL[1..].iter().map(|(id, title)| Step::new(*id, *title, risk));
    [first].into_iter().chain(rest).collect()
}

/// What the role lacks to migrate the live database.
fn privileges(failure: &Failure) -> Vec<Finding> {
    let missing = failure.findings.iter().filter(|finding| finding.id == "privilege");
    missing.map(|f| Finding { severity: Severity::Warning, ..f.clone() }).collect()
}

fn other_schema(backup: &Backup) -> Finding {
    Finding {
        id: "other-schema".into(),
        severity: Severity::Warning,
        title: "The backup is of another schema, or of other triggers, policies and grants, than there are now".into(),
        subject: backup.path.display().to_string(),
        detail: "what is rehearsed is not what migrate would do now: --require-rehearsal does not take it"
            .into(),
        remedy: "leave out --from, or take a backup now: markenmate backup".into(),
    }
}

/// Writes both papers, and says what came of it. A no is written into the folder of the others as well, which is
/// `beside` where the certificate goes elsewhere: an older yes there counts no longer.
fn report(
    stages: &Stages<'_>,
    certificate: Certificate,
    paper: &Paper,
    beside: Option<&Path>,
) -> Result<Report, Failure> {
    let (text, certificate) = certificate.seal();
    let page = page::page(&certificate, &paper.certificate);
    let people = human::page(&page, &certificate.findings);
    paper.write(&text, &people)?;
    if let Some(folder) =
        beside.filter(|folder| certificate.verdict == Verdict::Fail && folder.is_dir())
    {
        let copy = Paper::at(None, folder, certificate.began_at);
        if copy.certificate.symlink_metadata().is_err() {
            copy.write(&text, &people)?;
        }
    }
    let passed = certificate.verdict == Verdict::Pass;
    let mut report = Report::new(if passed { Outcome::Done } else { Outcome::Findings });
    report.steps = stages.results();
    report.data = json!({
        "stages": certificate.stages,
        "certificate": paper.certificate,
        "page": paper.page,
        "verdict": certificate.verdict.word(),
        "failed_stage": certificate.failed_stage,
    });
    // The stages are shown as steps.
    report.body = page;
    report.body.retain(|block| !matches!(block, Block::Table { .. } | Block::Findings));
    report.next = Some(match passed {
        true => Next::run("markenmate migrate --require-rehearsal"),
        false => Next::after("mend what is named", "markenmate rehearse"),
    });
    report.findings = certificate.findings;
    Ok(report)
}
