//! Who acts proves it: the app's password, judged once at a time, and a step-up token made and spent in
//! the transaction of the change.

use tokio_postgres::types::Type;

use crate::db::patience::Attempt;
use crate::failure::{Failure, Kind};

use super::change::{Authority, WHAT, Work};
use super::guards::{self, Reason, Verdict};
use super::people::{self, Person};
use super::record::{self, Entry, action};
use super::{lockout, password};

/// A lock that nobody of the app waits for.
const PATIENT_MS: u128 = 5000;

impl Work<'_> {
    /// Who acts, where somebody of the app does and the password is right. One after the other: of many
    /// guesses at once each sees those before it.
    pub(super) async fn authenticated(
        &self,
        attempt: Attempt,
    ) -> Result<Result<Option<Person>, (Reason, Option<Person>)>, Failure> {
        let Authority::Actor { typed, id, password } = &self.request.authority else {
            return Ok(Ok(None));
        };
        // The same work for nobody as for somebody.
        let who = id.as_deref().unwrap_or(typed);
        self.queue(who, attempt).await?;
        let actor = people::by_id(self.session, who).await?.filter(|_| id.is_some());
        let misses = lockout::misses(self.session, who).await?;
        let Some(actor) = actor else {
            password::judge_nobody(password)?;
            return Ok(Err((Reason::NotAuthenticated, None)));
        };
        if let Some(until) = lockout::locked_until(&misses) {
            let reason = Reason::LockedOut { until: until.to_owned() };
            return Ok(Err((reason, Some(actor))));
        }
        if let Verdict::Denied(reason) = guards::judgeable(&actor) {
            return Ok(Err((reason, Some(actor))));
        }
        match password::judge(password, actor.hash().unwrap_or_default())? {
            password::Verdict::Right => Ok(Ok(Some(actor))),
            password::Verdict::Wrong => Ok(Err((Reason::NotAuthenticated, Some(actor)))),
            password::Verdict::UnknownFormat => Ok(Err((Reason::UnknownHash, Some(actor)))),
        }
    }

    /// Nobody of the app waits for this lock, nor for any other of ours yet: it may take longer.
    async fn queue(&self, who: &str, attempt: Attempt) -> Result<(), Failure> {
        let short = attempt.timeouts.lock.as_millis().max(1);
        let long = self.cx.settings.max_wait.as_millis().clamp(short, PATIENT_MS.max(short));
        self.session.run(WHAT, &format!("SET LOCAL lock_timeout = '{long}ms'")).await?;
        let sql =
            "SELECT pg_advisory_xact_lock(hashtext('markenmate step-up'), hashtext($1))::text";
        self.session.query(WHAT, sql, &[(&who, Type::TEXT)]).await?;
        self.session.run(WHAT, &format!("SET LOCAL lock_timeout = '{short}ms'")).await.map(drop)
    }

    /// The actor under the lock, where still an admin with the same password.
    pub(super) async fn still(
        &self,
        before: &Person,
    ) -> Result<Result<Person, (Reason, Option<Person>)>, Failure> {
        let Some(actor) = people::by_id(self.session, &before.id).await? else {
            return Ok(Err((Reason::NotAuthenticated, None)));
        };
        if actor.credentials != before.credentials {
            // Judged again, by what it is now.
            let changed = "the acting admin's password was changed meanwhile";
            return Err(Failure::new(Kind::Busy, changed));
        }
        Ok(match guards::acting(&actor) {
            Verdict::Allowed => Ok(actor),
            Verdict::Denied(reason) => Err((reason, Some(actor))),
        })
    }

    /// What the app wants of an admin before each change.
    pub(super) async fn step_up(&self, actor: &Person) -> Result<Result<(), Reason>, Failure> {
        let session = self.session;
        let token = record::issue_token(session, &actor.id).await?;
        if !record::spend_token(session, &actor.id, &token).await? {
            return Ok(Err(Reason::TokenNotSpent));
        }
        let right = Entry { actor: &actor.id, action: action::RIGHT, target: None, metadata: None };
        record::audit(self.cx, session, right).await?;
        Ok(Ok(()))
    }
}
