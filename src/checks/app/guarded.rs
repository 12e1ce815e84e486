//! Tests 2 and 3: the application is asked to demote the master admin, and the only admin. Only where
//! the guards of the database would refuse it as well.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio_postgres::types::{ToSql, Type};

use super::{Cookie, GUARDED, STEP_UP, TOGGLE, post, refusal};
use crate::checks::registry::{Check, Source};
use crate::checks::verdict::{Status, Verdict};
use crate::console::Console;
use crate::db::foreign::{self, Scope};
use crate::db::identifiers::{literal, quoted};
use crate::db::interrupt::Interrupt;
use crate::db::ledger::{self, Origin, Record};
use crate::db::locks::Wanted;
use crate::db::patience::{Attempt, Patience, Setback};
use crate::db::session::{Mode, Session};
use crate::failure::{Failure, Kind};
use crate::report::{Finding, Severity};
use crate::tools::http::Application;

/// What tests 2 and 3 stand on.
pub struct Ground<'a> {
    /// The database behind the application.
    pub session: &'a Session,
    /// Raised by a signal.
    pub interrupt: &'a Interrupt,
    /// Where waiting is told.
    pub console: &'a Console,
    /// How long the run may wait for locks.
    pub max_wait: Duration,
    /// Who runs this, for the operator ledger.
    pub origin: &'a Origin,
    /// The owner of the application's tables, where we are to become it.
    pub owner: Option<&'a str>,
    /// Why nothing is to be asked.
    pub obstacle: Option<String>,
    /// Which guard is not there, or not what it should be.
    pub unguarded: Option<String>,
}

/// Any of the guide's words will do: the only admin is mostly the master admin, too.
const WORDS: &[&str] = &["Cannot demote the master admin", "Cannot remove the last admin"];

/// What its preparation may have to wait for.
const TABLES: [&str; 4] = ["user", "step_up_token", "ledger", "turn"];

const WHAT: &str = "cannot prepare the question to the application";

/// Runs `app-master-admin` and `app-last-admin`, as far as they are among `checks`.
///
/// # Errors
/// The database cannot be looked at, or a signal came. The token is gone by then.
pub async fn run(
    app: &Application,
    cookie: Option<&Cookie>,
    checks: &[&'static Check],
    ground: &Ground<'_>,
) -> Result<Vec<Verdict>, Failure> {
    let mut verdicts = Vec::new();
    for check in checks.iter().copied() {
        if check.source != Source::App || !GUARDED.contains(&check.id) {
            continue;
        }
        verdicts.push(match (&ground.obstacle, cookie, &ground.unguarded) {
            (Some(obstacle), ..) => Verdict::skipped(check, obstacle.clone()),
            (_, None, _) => {
                Verdict::skipped(check, "needs an admin's session: --app-cookie-file FILE")
            }
            (.., Some(missing)) => Verdict::skipped(
                check,
                format!("a broken guard of the application could do harm: {missing}"),
            ),
            (None, Some(cookie), None) => one(app, cookie, check, ground).await?,
        });
    }
    Ok(verdicts)
}

async fn one(
    app: &Application,
    cookie: &Cookie,
    check: &'static Check,
    ground: &Ground<'_>,
) -> Result<Verdict, Failure> {
    let question = match ground.question(check, cookie).await {
        Ok(Ok(question)) => question,
        Ok(Err(reason)) => return Ok(Verdict::skipped(check, reason)),
        Err(failure) => return denied(check, failure),
    };
    let before = ground.state(&question.target).await?;
    let token = match ground.token(check, &question).await {
        Ok(Ok(token)) => token,
        Ok(Err(reason)) => return Ok(Verdict::skipped(check, reason)),
        Err(failure) => return denied(check, failure),
    };
    let body = json!({ "userId": question.target, "stepUpToken": token.expose_secret() });
    let answer = post(app, body.to_string(), Some(cookie), ground.interrupt).await;
    let spent = match &answer {
        Ok(Ok(_)) => ground.spent(&token).await,
        // After a signal nothing is asked any more.
        _ => Ok(false),
    };
    let left = ground.take_back(&token).await;
    let (answer, spent) = (answer?, spent?);
    let after = ground.state(&question.target).await?;
    let url = app.url(TOGGLE);
    let mut findings = Vec::new();
    if after != before {
        findings.push(changed(check, &question.target, &before, &after));
    }
    let says = |words: &[&str]| {
        answer.as_ref().is_ok_and(|answer| words.iter().any(|word| answer.body.contains(word)))
    };
    let mut verdict = refusal(check, &url, &answer, WORDS, true);
    if after == before {
        let refused = verdict.status == Status::Pass || says(STEP_UP);
        if refused && !spent && !says(WORDS) {
            verdict = Verdict::found(check, vec![strange(check, url)]);
        }
        for finding in verdict.findings.iter_mut().filter(|f| f.severity == Severity::Error) {
            finding.remedy = format!("the database kept it; {}", finding.remedy);
        }
    }
    if left.is_err() {
        findings.push(left_behind(check));
    }
    if !findings.is_empty() {
        verdict.findings.extend(findings);
        verdict = Verdict::found(check, verdict.findings);
    }
    Ok(verdict)
}

/// It may well be at work, on a database in which nobody knows of the token.
fn strange(check: &Check, url: String) -> Finding {
    Finding {
        severity: Severity::Warning,
        ..check.finding(
            url,
            "it refused, but did not use the step-up token that was made in this database: nothing was judged".into(),
            Some("is it the application of this database? Else name that one: --app-url".into()),
        )
    }
}

fn denied(check: &'static Check, failure: Failure) -> Result<Verdict, Failure> {
    match failure.kind {
        Kind::Refused => Ok(Verdict::denied(check, failure.causes.join(": "))),
        _ => Err(failure),
    }
}

fn left_behind(check: &Check) -> Finding {
    Finding {
        severity: Severity::Warning,
        ..check.finding(
            "public.step_up_token".into(),
            "the token made for this test could not be deleted; it is void a minute after it was made".into(),
            Some("DELETE FROM public.step_up_token WHERE expires_at < now();".into()),
        )
    }
}

fn changed(check: &Check, id: &str, before: &str, after: &str) -> Finding {
    check.finding(
        format!("public.\"user\" {id}"),
        format!("was {before:?}, and is {after:?} after the question: neither the application nor the database kept it"),
        Some("give the role back, then: markenmate verify --probe".into()),
    )
}

/// Who asks to demote whom.
struct Question {
    asking: String,
    target: String,
}

impl Ground<'_> {
    fn role(&self) -> String {
        self.owner.map(|owner| format!("SET LOCAL ROLE {};", quoted(owner))).unwrap_or_default()
    }

    /// Or the reason why there is none.
    async fn question(
        &self,
        check: &Check,
        cookie: &Cookie,
    ) -> Result<Result<Question, String>, Failure> {
        let Some(token) = cookie.session() else {
            return Ok(Err("the cookie holds no better-auth.session_token".into()));
        };
        let sql = include_str!("ground.sql");
        let rows = self.read(sql, &[(&token.expose_secret(), Type::TEXT)]).await?;
        let row = rows.first().ok_or_else(|| Failure::unexpected(WHAT))?;
        let text = |name: &str| row.get::<_, Option<String>>(name);
        if row.get::<_, bool>("replays") {
            let reason = "session_replication_role is set, so that no guard may hold for the application: see \
                          `replication-role`";
            return Ok(Err(reason.into()));
        }
        let Some(asking) = text("asking") else {
            return Ok(Err("the cookie's session is none of this database, or is over".into()));
        };
        if !row.get::<_, bool>("asking_is_admin") {
            // Whoever is no admin is refused for that alone.
            return Ok(Err(format!("the cookie's session is of {asking}, who is no admin")));
        }
        let admins: i64 = row.get("admins");
        let target = match check.id {
            "app-master-admin" => {
                text("master").ok_or_else(|| "there is no master admin".to_owned())
            }
            _ if admins == 1 => text("an_admin").ok_or_else(|| "there is no admin".to_owned()),
            _ => Err(format!("asked only about a single admin, and there are {admins}")),
        };
        Ok(target.map(|target| Question { asking, target }))
    }

    async fn read(
        &self,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<tokio_postgres::Row>, Failure> {
        let session = self.session;
        session.begin_within(Mode::Read, session.timeouts(), WHAT, &self.role()).await?;
        let rows = session.query(WHAT, sql, parameters).await;
        session.roll_back().await;
        rows
    }

    /// Role and flag.
    async fn state(&self, id: &str) -> Result<String, Failure> {
        let sql = "SELECT concat_ws(', ', concat(u.role), CASE WHEN concat(u.is_master_admin) = 't' THEN 'master admin' END) \
                     FROM public.\"user\" u WHERE u.id = $1";
        let rows = self.read(sql, &[(&id, Type::TEXT)]).await?;
        Ok(rows.first().map(|row| row.get(0)).unwrap_or_else(|| "gone".to_owned()))
    }

    /// A token for whoever asks, and its row in the operator ledger; or the reason why there is none.
    async fn token(
        &self,
        check: &Check,
        question: &Question,
    ) -> Result<Result<SecretString, String>, Failure> {
        let Self { session, console, interrupt, .. } = *self;
        let patience = Patience::new(session, console, interrupt, &TABLES, self.max_wait)
            .wanting(Wanted::Rows);
        let once =
            async |attempt| self.make_token(attempt, check, question).await.map_err(Setback::from);
        patience.exercise(once).await.map(|tried| tried.value)
    }

    async fn make_token(
        &self,
        attempt: Attempt,
        check: &Check,
        question: &Question,
    ) -> Result<Result<SecretString, String>, Failure> {
        let session = self.session;
        let opening = format!("{}{}", self.role(), foreign::refuse(Scope::Admins));
        session.begin_within(Mode::Write, attempt.timeouts, WHAT, &opening).await?;
        let made = match self.lets_go(&question.target).await {
            Ok(None) => self.record_token(check, question).await.map(Ok),
            Ok(Some(reason)) => Ok(Err(reason)),
            Err(failure) => Err(failure),
        };
        match made {
            Ok(Ok(_)) => drop(session.commit(WHAT, "COMMIT").await?),
            _ => session.roll_back().await,
        }
        made
    }

    /// The very change that the application is asked for, tried, and never kept. The last thing
    /// before the question: the guards may have been there when the catalogue was read.
    async fn lets_go(&self, target: &str) -> Result<Option<String>, Failure> {
        let sql = format!(
            "SAVEPOINT trial; UPDATE public.\"user\" SET role = 'user' WHERE id = {}",
            literal(target)
        );
        match self.session.run(WHAT, &sql).await {
            Err(failure) if matches!(failure.sqlstate.as_deref(), Some("MM101" | "MM102")) => {
                self.session.run(WHAT, "ROLLBACK TO SAVEPOINT trial").await.map(|_| None)
            }
            Err(failure) if failure.sqlstate.is_some() && failure.kind == Kind::Unexpected => {
                let said = failure.causes.join(": ");
                Ok(Some(format!("tried here, it is refused, but not by the guards: {said}")))
            }
            Err(failure) => Err(failure),
            Ok(_) => Ok(Some(format!(
                "a broken guard of the application could do harm: tried here, the database let {target} be demoted"
            ))),
        }
    }

    async fn record_token(
        &self,
        check: &Check,
        question: &Question,
    ) -> Result<SecretString, Failure> {
        let session = self.session;
        let user = (&question.asking as &(dyn ToSql + Sync), Type::TEXT);
        let rows = session.query(WHAT, include_str!("token.sql"), &[user]).await?;
        let token: String =
            rows.first().map(|row| row.get(0)).ok_or_else(|| Failure::unexpected(WHAT))?;
        let detail = json!({ "check": check.id, "step_up_token_for": question.asking }).to_string();
        let record = Record {
            command: "verify --app-url",
            subject: Some(&question.target),
            outcome: "done",
            detail: Some(&detail),
        };
        ledger::append(session, self.origin, &record).await?;
        Ok(token.into())
    }

    /// Whether the application used it up.
    async fn spent(&self, token: &SecretString) -> Result<bool, Failure> {
        let sql = "SELECT FROM public.step_up_token WHERE token = $1 AND NOT used";
        Ok(self.read(sql, &[(&token.expose_secret(), Type::TEXT)]).await?.is_empty())
    }

    /// Whatever signals came.
    async fn take_back(&self, token: &SecretString) -> Result<(), Failure> {
        let sql = format!(
            "{}{};DELETE FROM public.step_up_token WHERE token = {}",
            self.role(),
            foreign::refuse(Scope::Admins),
            literal(token.expose_secret())
        );
        self.session.take_back("cannot delete the token", &sql).await
    }
}
