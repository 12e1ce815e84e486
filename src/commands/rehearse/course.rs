//! The course of it: up, looked at, back, compared, up again, compared. Each by what the commands themselves
//! call, with a run id of its own.

use std::collections::BTreeSet;

use super::ground::Ground;
use super::stages::{self, Made, Stages};
use crate::backup::image::{self, Image, Without};
use crate::commands::admin::authority;
use crate::commands::set_master_admin::{self, SetMasterAdmin};
use crate::commands::verify::{self, Verify};
use crate::context::Context;
use crate::db::foreign::{self, Scope};
use crate::db::identifiers::quoted;
use crate::db::patience::{Attempt, Setback};
use crate::db::session::{Mode, Session};
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

type Known = BTreeSet<(String, String, String)>;

/// What a dump without privileges says nothing of.
const GRANTS: [&str; 2] = ["own-grants", "app-grants"];

/// A rehearsal at work on its own database.
pub(super) struct Course<'a> {
    pub(super) cx: &'a Context,
    pub(super) ground: &'a Ground,
    /// What speaks against it on the live database, which a restored one does not show.
    pub(super) live: Option<&'a Failure>,
    /// What is said beside the verdict.
    pub(super) remarks: Vec<Finding>,
}

/// What there is before anything is done.
struct Start {
    work: Work,
    /// Errors of `verify` by check, subject and detail: more of the same is new.
    known: Known,
    /// All that the way back leaves.
    image: Image,
}

/// What there is once the new columns and tables are in use.
struct Used {
    /// All that the way back leaves.
    old: Image,
    whole: Image,
}

impl Course<'_> {
    /// All of it.
    ///
    /// # Errors
    /// The first stage that failed.
    pub(super) async fn run(&mut self, stages: &mut Stages<'_>) -> Result<(), Failure> {
        let Start { work, known, image: start } =
            stages.run(stages::PREFLIGHT, self.preflight()).await?;
        stages.run(stages::MIGRATE, self.migrate(&work)).await?;
        stages.run(stages::MASTER, self.set_master()).await?;
        stages.run(stages::VERIFY, self.verify(&known)).await?;
        let Used { old, whole: migrated } = stages.run(stages::USE, self.used(start)).await?;
        stages.run(stages::ROLLBACK, self.roll_back()).await?;
        stages.run(stages::COMPARE, self.compare(&without(), &old, "the start")).await?;
        stages.run(stages::AGAIN, self.migrate_again()).await?;
        let (whole, first) = (Without::default(), "the first time");
        stages.run(stages::COMPARE_AGAIN, self.compare(&whole, &migrated, first)).await
    }

    /// As each command has one of its own, which knows what is there when it begins.
    async fn session(&self) -> Result<Session, Failure> {
        self.ground.session(self.cx).await
    }

    async fn preflight(&self) -> Result<Made<Start>, Failure> {
        if let Some(failure) = self.live {
            return Err((*failure).clone());
        }
        let session = self.session().await?;
        let survey = Survey::look(&session).await?;
        let work = decide(&survey, registry::latest())?;
        let state = survey.catalogue.as_ref().map(|c| standing(&survey.histories, c).state.word());
        let said = format!(
            "{}; adopts {:?}, applies {:?}",
            state.unwrap_or_default(),
            work.adopt,
            work.apply
        );
        let known = self.known_errors(&work).await?;
        let image = image::take(&session, &without()).await?;
        Ok(Made::of(Start { work, known, image }).saying(said))
    }

    /// What is wrong before anything was done is not the migration's.
    async fn known_errors(&self, work: &Work) -> Result<Known, Failure> {
        let held = work.apply.first().map_or(registry::latest(), |first| first - 1);
        let report = self.verified(Some(held.to_string()), false).await?;
        let errors = report.findings.into_iter().filter(|f| f.severity == Severity::Error);
        Ok(errors.map(|finding| key(&finding)).collect())
    }

    async fn migrate(&mut self, work: &Work) -> Result<Made<()>, Failure> {
        if work.is_empty() {
            return Ok(Made::of(()).saying("nothing to do").skipped());
        }
        let (cx, session) = (self.cx.apart(), self.session().await?);
        let planned = Planned { work: work.clone(), under_lock: false, rehearsed: None };
        let done = run::run(&cx, &session, &planned, registry::latest()).await?.value;
        let Work { returns, .. } = &done.work;
        let returned = returning::carry_out(&cx, &session, &done.work.role(), returns).await?;
        let rows: u64 = returned.iter().map(|one| one.rows).sum();
        let mut said = format!("adopted {:?}, applied {:?}", done.work.adopt, done.work.apply);
        let known: Vec<String> = self.remarks.iter().map(|remark| remark.subject.clone()).collect();
        let left = returned.iter().filter(|one| one.left > 0 && !known.contains(&one.what));
        self.remarks.extend(left.map(|one| Finding {
            id: "left".into(),
            severity: Severity::Warning,
            title: "Not all that was set aside can return".into(),
            subject: one.what.clone(),
            detail: format!(
                "{} of {} could not: of users or rows that are gone, or where something else stands now",
                one.left,
                one.left + one.rows
            ),
            remedy: "it stays where it is kept: markenmate cleanup set-aside --dry-run".into(),
        }));
        if !returned.is_empty() {
            said.push_str(&format!(", {rows} rows and values brought back"));
        }
        Ok(Made::of(()).saying(said).locking(done.locked))
    }

    async fn migrate_again(&mut self) -> Result<Made<()>, Failure> {
        let work = decide(&Survey::look(&self.session().await?).await?, registry::latest())?;
        self.migrate(&work).await
    }

    /// As the command would; where an account's password speaks against it, that is said, and it is done
    /// all the same: here nobody signs in.
    async fn set_master(&mut self) -> Result<Made<()>, Failure> {
        let (cx, session) = (self.cx.apart(), self.session().await?);
        let refusal = match planned(&cx, &session, &master(false)).await {
            Ok(_) => None,
            Err(failure) if failure.kind == Kind::Refused => Some(failure),
            Err(failure) => return Err(failure),
        };
        let operation = master(true);
        let plan = planned(&cx, &session, &operation).await?;
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
        let report = operation.execute(&cx, &session, plan).await?;
        let email = report.data["master_admin"]["email"].as_str().unwrap_or_default().to_owned();
        Ok(Made::of(()).saying(email))
    }

    async fn verified(&self, to: Option<String>, probe: bool) -> Result<Report, Failure> {
        let (cx, session) = (self.cx.apart(), self.session().await?);
        let skip: &[&str] = if self.ground.has_privileges() { &[] } else { &GRANTS };
        let operation = Verify::new(verify::Args::of(to, probe).without(skip));
        let plan = planned(&cx, &session, &operation).await?;
        operation.execute(&cx, &session, plan).await
    }

    async fn verify(&mut self, known: &Known) -> Result<Made<()>, Failure> {
        let report = self.verified(None, true).await?;
        let checks = report.data["checks"].as_array().map_or(0, Vec::len);
        if report.outcome == Outcome::Findings {
            let (old, new) = by_age(report.findings, known);
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
        Ok(Made::of(()).saying(format!("{checks} checks")))
    }

    /// Writes what the way back is to keep. Up to here nothing of the start has changed; what changes now is the
    /// doing of the database's own triggers, and is no fault of the way back.
    async fn used(&mut self, start: Image) -> Result<Made<Used>, Failure> {
        const WHAT: &str = "cannot write as the application does";
        let session = self.session().await?;
        let verified = image::take(&session, &without()).await?.differences(&start);
        if !verified.is_empty() {
            let what = "migrate or set-master-admin changed what was there before";
            return Err(Failure::refused(what).with_findings(verified));
        }
        let rights = Survey::look(&session).await?.rights;
        let role = match rights.becomes_table_owner && rights.owner() != rights.user {
            true => format!("SET LOCAL ROLE {};", quoted(rights.owner())),
            false => String::new(),
        };
        let sql = format!(
            "{role}SET LOCAL statement_timeout = 0;{};{}",
            foreign::refuse(Scope::Returning),
            include_str!("use.sql")
        );
        let sets = session.once(Mode::Write, WHAT, &sql).await?;
        let row = sets.last().and_then(|rows| rows.first());
        let count = |name| row.and_then(|row| row.get(name)).unwrap_or_default();
        let said = format!(
            "{} versions above 1, {} correlation ids, {} audit rows, {} step-up tokens",
            count("versions"),
            count("correlation_ids"),
            count("audit_rows"),
            count("tokens")
        );
        let old = image::take(&session, &without()).await?;
        let touched = old.differences(&start).into_iter().map(|finding| Finding {
            severity: Severity::Warning,
            title: "A change of a version or a correlation id changes more than that".into(),
            detail: format!("{}, once its new columns were written", finding.detail),
            remedy:
                "look at the triggers of that table: what returns after a rollback fires them, too"
                    .into(),
            ..finding
        });
        self.remarks.extend(touched);
        let whole = image::take(&session, &Without::default()).await?;
        Ok(Made::of(Used { old, whole }).saying(said))
    }

    async fn roll_back(&self) -> Result<Made<()>, Failure> {
        let (cx, session) = (self.cx.apart(), self.session().await?);
        let look = look::look(&session, BACK).await?;
        let back = ways_back::plan(&look, BACK)?;
        let done = revert::revert(&cx, &session, &back, BACK).await?.value;
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
        let now = image::take(&self.session().await?, without).await?;
        let findings = now.differences(before);
        if findings.is_empty() {
            return Ok(Made::of(()).saying(format!("the same: {}", now.extent())));
        }
        Err(Failure::refused(format!("it is not what it was: {what}")).with_findings(findings))
    }
}

/// Errors that were there before, and those that were not. Pure.
fn by_age(found: Vec<Finding>, known: &Known) -> (Vec<Finding>, Vec<Finding>) {
    let is_old = |f: &Finding| known.contains(&key(f));
    found.into_iter().filter(|f| f.severity == Severity::Error).partition(is_old)
}

fn key(finding: &Finding) -> (String, String, String) {
    (finding.id.clone(), finding.subject.clone(), finding.detail.clone())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_of_the_same_is_new() {
        let finding = |detail: &str, severity| Finding {
            id: "orphans".into(),
            severity,
            title: String::new(),
            subject: "public.token_lending.user_id".into(),
            detail: detail.into(),
            remedy: String::new(),
        };
        let known = Known::from([key(&finding("3 rows", Severity::Error))]);
        let found = vec![
            finding("3 rows", Severity::Error),
            finding("10 rows", Severity::Error),
            finding("11 rows", Severity::Warning),
        ];
        let (old, new) = by_age(found, &known);
        assert_eq!((old.len(), new.len()), (1, 1));
        assert_eq!(new[0].detail, "10 rows");
    }
}
