//! The course of it: up, looked at, back, compared, up again, compared. Each by what the commands themselves
//! call, with a run id of its own.

use std::collections::BTreeSet;

use super::stages::{self, Made, Stages};
use crate::backup::image::{self, Image, Without};
use crate::commands::admin::authority;
use crate::commands::set_master_admin::{self, SetMasterAdmin};
use crate::commands::verify::{self, Verify};
use crate::context::Context;
use crate::db::patience::{Attempt, Setback};
use crate::db::session::Session;
use crate::failure::{Failure, Kind};
use crate::migrations::back::{decide as ways_back, look, returning, revert};
use crate::migrations::plan::{Work, decide};
use crate::migrations::registry;
use crate::migrations::run::{self, Planned};
use crate::migrations::standing::standing;
use crate::migrations::survey::Survey;
use crate::pipeline::Operation;
use crate::report::{Finding, Outcome, Report, Severity};

/// Where the way back ends: the schema before the guide's migration.
const BACK: i32 = 1;

/// A rehearsal at work on its own database.
pub(super) struct Course<'a> {
    pub(super) cx: &'a Context,
    pub(super) session: &'a Session,
    /// What speaks against it on the live database, which a restored one does not show.
    pub(super) live: Option<&'a Failure>,
    /// What is said beside the verdict.
    pub(super) remarks: Vec<Finding>,
}

/// What there is before anything is done.
struct Start {
    work: Work,
    /// Errors of `verify` by check and subject.
    known: BTreeSet<(String, String)>,
    /// All that the way back leaves.
    image: Image,
}

impl Course<'_> {
    /// All of it.
    ///
    /// # Errors
    /// The first stage that failed.
    pub(super) async fn run(&mut self, stages: &mut Stages<'_>) -> Result<(), Failure> {
        let Start { work, known, image } = stages.run(stages::PREFLIGHT, self.preflight()).await?;
        stages.run(stages::MIGRATE, self.migrate(&work)).await?;
        stages.run(stages::MASTER, self.set_master()).await?;
        let migrated = stages.run(stages::VERIFY, self.verify(&known)).await?;
        stages.run(stages::ROLLBACK, self.roll_back()).await?;
        stages.run(stages::COMPARE, self.compare(&without(), &image, "the start")).await?;
        stages.run(stages::AGAIN, self.migrate_again()).await?;
        let (whole, first) = (Without::default(), "the first time");
        stages.run(stages::COMPARE_AGAIN, self.compare(&whole, &migrated, first)).await
    }

    async fn preflight(&self) -> Result<Made<Start>, Failure> {
        if let Some(failure) = self.live {
            return Err((*failure).clone());
        }
        let survey = Survey::look(self.session).await?;
        let work = decide(&survey, registry::latest())?;
        let state = survey.catalogue.as_ref().map(|c| standing(&survey.histories, c).state.word());
        let said = format!(
            "{}; adopts {:?}, applies {:?}",
            state.unwrap_or_default(),
            work.adopt,
            work.apply
        );
        let known = self.known_errors(&work).await?;
        let image = image::take(self.session, &without()).await?;
        Ok(Made::of(Start { work, known, image }).saying(said))
    }

    /// What is wrong before anything was done is not the migration's.
    async fn known_errors(&self, work: &Work) -> Result<BTreeSet<(String, String)>, Failure> {
        let held = work.apply.first().map_or(registry::latest(), |first| first - 1);
        let report = self.verified(Some(held.to_string()), false).await?;
        let errors = report.findings.into_iter().filter(|f| f.severity == Severity::Error);
        Ok(errors.map(|finding| (finding.id, finding.subject)).collect())
    }

    async fn migrate(&self, work: &Work) -> Result<Made<()>, Failure> {
        if work.is_empty() {
            return Ok(Made::of(()).saying("nothing to do").skipped());
        }
        let cx = self.cx.apart();
        let planned = Planned { work: work.clone(), under_lock: false };
        let done = run::run(&cx, self.session, &planned, registry::latest()).await?.value;
        let Work { returns, .. } = &done.work;
        let returned = returning::carry_out(&cx, self.session, &done.work.role(), returns).await?;
        let rows: u64 = returned.iter().map(|one| one.rows).sum();
        let mut said = format!("adopted {:?}, applied {:?}", done.work.adopt, done.work.apply);
        if !returned.is_empty() {
            said.push_str(&format!(", {rows} rows and values brought back"));
        }
        Ok(Made::of(()).saying(said).locking(done.locked))
    }

    async fn migrate_again(&self) -> Result<Made<()>, Failure> {
        let work = decide(&Survey::look(self.session).await?, registry::latest())?;
        self.migrate(&work).await
    }

    /// As the command would; where an account's password speaks against it, that is said, and it is done
    /// all the same: here nobody signs in.
    async fn set_master(&mut self) -> Result<Made<()>, Failure> {
        let cx = self.cx.apart();
        let refusal = match planned(&cx, self.session, &master(false)).await {
            Ok(_) => None,
            Err(failure) if failure.kind == Kind::Refused => Some(failure),
            Err(failure) => return Err(failure),
        };
        let operation = master(true);
        let plan = planned(&cx, self.session, &operation).await?;
        self.remarks.extend(refusal.map(|failure| Finding {
            id: stages::MASTER.into(),
            severity: Severity::Warning,
            title: "set-master-admin will be refused".into(),
            subject: "the master admin".into(),
            detail: format!("set-master-admin will be refused: {failure}"),
            remedy: failure.hints.join("; "),
        }));
        if plan.steps.is_empty() {
            return Ok(Made::of(()).saying("there is one already").skipped());
        }
        let report = operation.execute(&cx, self.session, plan).await?;
        let email = report.data["master_admin"]["email"].as_str().unwrap_or_default().to_owned();
        Ok(Made::of(()).saying(email))
    }

    async fn verified(&self, to: Option<String>, probe: bool) -> Result<Report, Failure> {
        let cx = self.cx.apart();
        let operation = Verify::new(verify::Args::of(to, probe));
        let plan = planned(&cx, self.session, &operation).await?;
        operation.execute(&cx, self.session, plan).await
    }

    async fn verify(&mut self, known: &BTreeSet<(String, String)>) -> Result<Made<Image>, Failure> {
        let report = self.verified(None, true).await?;
        let checks = report.data["checks"].as_array().map_or(0, Vec::len);
        if report.outcome == Outcome::Findings {
            let is_old = |f: &Finding| known.contains(&(f.id.clone(), f.subject.clone()));
            let errors = report.findings.into_iter().filter(|f| f.severity == Severity::Error);
            let (old, new): (Vec<_>, Vec<_>) = errors.partition(is_old);
            self.remarks.extend(old.into_iter().map(|finding| Finding {
                severity: Severity::Warning,
                detail: format!("{}; it was so before", finding.detail),
                ..finding
            }));
            if !new.is_empty() {
                let what = "verify finds what was not there before the migration";
                return Err(Failure::refused(what).with_findings(new));
            }
        }
        let image = image::take(self.session, &Without::default()).await?;
        Ok(Made::of(image).saying(format!("{checks} checks")))
    }

    async fn roll_back(&self) -> Result<Made<()>, Failure> {
        let cx = self.cx.apart();
        let look = look::look(self.session, BACK).await?;
        let back = ways_back::plan(&look, BACK)?;
        let done = revert::revert(&cx, self.session, &back, BACK).await?.value;
        let kept: u64 = look.keeps.iter().map(|keep| keep.rows).sum();
        let said = format!("took back {:?}; {kept} rows and values set aside", done.versions);
        Ok(Made::of(()).saying(said).locking(done.locked))
    }

    async fn compare(
        &self,
        without: &Without,
        before: &Image,
        what: &str,
    ) -> Result<Made<()>, Failure> {
        let now = image::take(self.session, without).await?;
        let findings = now.differences(before);
        if findings.is_empty() {
            return Ok(Made::of(()).saying(format!("the same: {}", now.extent())));
        }
        Err(Failure::refused(format!("it is not what it was: {what}")).with_findings(findings))
    }
}

/// What versions above [`BACK`] bring: a database may have it at the start.
fn without() -> Without {
    registry::APP
        .iter()
        .filter(|entry| entry.version > BACK)
        .fold(Without::default(), |without, entry| {
            without.and(entry.additions(), |table| entry.adds_table(table))
        })
}

fn master(all_the_same: bool) -> SetMasterAdmin {
    SetMasterAdmin::new(set_master_admin::Args {
        user: None,
        transfer: false,
        allow_no_login: all_the_same,
        authority: authority::Args {
            allow_default_password: all_the_same,
            ..authority::Args::default()
        },
    })
}

/// What a command would do.
async fn planned<O: Operation>(
    cx: &Context,
    session: &Session,
    operation: &O,
) -> Result<crate::plan::Plan<O::Work>, Failure> {
    let attempt = Attempt { number: 1, timeouts: session.timeouts() };
    let state = operation.inspect(cx, session, attempt).await;
    let state = state.map_err(|setback| match setback {
        Setback::Fatal(failure) | Setback::Obstacle(_, failure) => failure,
    })?;
    operation.plan(cx, &state)
}
