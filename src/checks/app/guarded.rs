//! Tests 2 and 3: the application is asked to demote the master admin, and the only admin. Only where
//! the guards of the database would refuse it as well.

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio_postgres::types::{ToSql, Type};

use super::{Cookie, TOGGLE, post, refusal};
use crate::checks::registry::{Check, Source};
use crate::checks::verdict::Verdict;
use crate::db::identifiers::{literal, quoted};
use crate::db::interrupt::Interrupt;
use crate::db::ledger::{self, Origin, Record};
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
    let ids = ["app-master-admin", "app-last-admin"];
    let mut verdicts = Vec::new();
    for check in checks.iter().copied() {
        if check.source != Source::App || !ids.contains(&check.id) {
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
        Ok(token) => token,
        Err(failure) => return denied(check, failure),
    };
    let body = json!({ "userId": question.target, "stepUpToken": token.expose_secret() });
    let answer = post(app, body.to_string(), Some(cookie), ground.interrupt).await;
    let left = ground.take_back(&token).await;
    let mut verdict = refusal(check, &app.url(TOGGLE), &answer?, WORDS, true);
    let mut more = Vec::new();
    if left.is_err() {
        more.push(left_behind(check));
    }
    let after = ground.state(&question.target).await?;
    if after != before {
        more.push(changed(check, &question.target, &before, &after));
    }
    if !more.is_empty() {
        verdict.findings.extend(more);
        verdict = Verdict::found(check, verdict.findings);
    }
    Ok(verdict)
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
        let sql = "SELECT concat_ws(', ', u.role::text, CASE WHEN (to_jsonb(u) ->> 'is_master_admin')::boolean \
                                                             THEN 'master admin' END) \
                     FROM public.\"user\" u WHERE u.id = $1";
        let rows = self.read(sql, &[(&id, Type::TEXT)]).await?;
        Ok(rows.first().map(|row| row.get(0)).unwrap_or_else(|| "gone".to_owned()))
    }

    /// A token for whoever asks, and its row in the operator ledger.
    async fn token(&self, check: &Check, question: &Question) -> Result<SecretString, Failure> {
        let session = self.session;
        session.begin_within(Mode::Write, session.timeouts(), WHAT, &self.role()).await?;
        let made = self.record_token(check, question).await;
        match made {
            Ok(_) => drop(session.commit(WHAT, "COMMIT").await?),
            Err(_) => session.roll_back().await,
        }
        made
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

    /// Whatever signals came.
    async fn take_back(&self, token: &SecretString) -> Result<(), Failure> {
        let sql = format!(
            "BEGIN;SET LOCAL search_path = pg_catalog;SET LOCAL lock_timeout = '2s';{}\
             DELETE FROM public.step_up_token WHERE token = {};COMMIT",
            self.role(),
            literal(token.expose_secret())
        );
        let deleted = self.session.regardless("cannot delete the token", &sql).await;
        if deleted.is_err() {
            self.session.roll_back().await;
        }
        deleted
    }
}
