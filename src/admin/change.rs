//! The one transaction of a change: who acts proves it, everything is judged anew under the locks, and
//! change, audit rows and the ledger's row are committed together. A refusal is committed, too.

use secrecy::SecretString;
use serde_json::json;
use tokio_postgres::types::{ToSql, Type};

use crate::context::Context;
use crate::db::ledger::{self, Record};
use crate::db::patience::{Attempt, Patience, Setback};
use crate::db::session::{Mode, Session};
use crate::failure::{Failure, Kind};

use super::commit;
use super::guards::Reason;
use super::master::Wish;
use super::people::{self, Person};
use super::record::{self, Entry, action};
use super::standing::{self, Standing};

/// The tables that a change may have to wait for.
pub const TABLES: [&str; 5] = ["user", "account", "session", "audit_log", "step_up_token"];

pub(super) const WHAT: &str = "cannot change the app's users";

const SAVEPOINT: &str = "SAVEPOINT change";
const BACK: &str = "ROLLBACK TO SAVEPOINT change";

/// On whose word something is done.
#[derive(Debug)]
pub enum Authority {
    /// Whoever may write into the database: nobody has the flag yet, so nobody can hand it on.
    Operator,
    /// A user of the app, by password.
    Actor {
        /// As typed.
        typed: String,
        /// Who that was when it was looked at; none: nobody.
        id: Option<String>,
        /// As typed.
        password: SecretString,
    },
    /// Nobody of the app can sign in. Guards hold all the same.
    BreakGlass {
        /// `--reason`
        reason: String,
    },
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// `user` becomes `admin`.
    Promote,
    /// `admin` becomes `user`.
    Demote,
    /// All sessions end.
    RevokeSessions,
    /// The master admin's flag moves.
    SetMaster(Wish),
}

/// A change that was asked for.
#[derive(Debug)]
pub struct Request {
    /// As typed: `admin demote`.
    pub command: &'static str,
    /// What.
    pub change: Change,
    /// Whose role, sessions or flag.
    pub target: String,
    /// On whose word.
    pub authority: Authority,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The user it was about, as it was before.
    pub target: Person,
    /// Who proved to be an admin.
    pub actor: Option<Person>,
    /// It was so already.
    pub nothing: bool,
    /// How many sessions ended.
    pub revoked: usize,
    /// Who had the master admin's flag before.
    pub previous: Vec<Person>,
    /// The ledger's new row; none: there is no ledger to write into.
    pub ledger: Option<ledger::Head>,
    /// The COMMIT's answer was lost, and it was found to have taken place.
    pub recovered: bool,
}

/// How an attempt ends.
enum Conclusion {
    Changed(Done),
    Nothing(Done),
    /// It is not done; what was written about it is kept.
    Refused(Failure),
}

/// Does it, or refuses.
///
/// # Errors
/// Refused (exit 4): the record of it was committed. All else changed nothing.
pub async fn carry_out(
    cx: &Context,
    session: &Session,
    request: &Request,
) -> Result<Done, Failure> {
    let patience =
        Patience::new(session, &cx.console, &cx.interrupt, &TABLES, cx.settings.max_wait);
    let work = Work { cx, session, request };
    Ok(patience.exercise(async |attempt| work.once(attempt).await).await?.value)
}

/// A request at work.
pub(super) struct Work<'a> {
    pub(super) cx: &'a Context,
    pub(super) session: &'a Session,
    pub(super) request: &'a Request,
}

impl Work<'_> {
    async fn once(&self, attempt: Attempt) -> Result<Done, Setback> {
        let concluded = self.conclude(attempt).await;
        let recovered = match &concluded {
            Ok(Conclusion::Changed(_) | Conclusion::Refused(_)) => {
                commit::commit(self.cx, self.session).await
            }
            Ok(Conclusion::Nothing(_)) | Err(_) => {
                self.session.end().await;
                Ok(false)
            }
        };
        match concluded.map_err(Setback::from)? {
            Conclusion::Changed(done) => Ok(Done { recovered: recovered?, ..done }),
            Conclusion::Nothing(done) => Ok(done),
            Conclusion::Refused(failure) => {
                recovered?;
                Err(Setback::Fatal(failure))
            }
        }
    }

    /// Everything but COMMIT.
    async fn conclude(&self, attempt: Attempt) -> Result<Conclusion, Failure> {
        let session = self.session;
        let sets = session.begin_within(Mode::Write, attempt.timeouts, WHAT, standing::SQL).await?;
        let standing = Standing::of(&sets);
        standing.check()?;
        standing.act_for_owner(session).await?;
        let actor = match self.authenticated(attempt).await? {
            Ok(actor) => actor,
            Err((reason, actor)) => return self.unproven(reason, actor.as_ref()).await,
        };
        self.lock(&standing, actor.as_ref()).await?;
        let actor = match &actor {
            None => None,
            Some(actor) => match self.still(actor).await? {
                Ok(actor) => Some(actor),
                Err((reason, actor)) => return self.unproven(reason, actor.as_ref()).await,
            },
        };
        // Whatever is refused from here on is taken back, and recorded.
        session.run(WHAT, SAVEPOINT).await?;
        if let Some(actor) = &actor
            && let Err(reason) = self.step_up(actor).await?
        {
            session.run(WHAT, BACK).await?;
            return self.refused(reason.into(), Some(actor)).await;
        }
        session.run(WHAT, SAVEPOINT).await?;
        match self.change(&standing, actor.as_ref()).await {
            Ok(mut done) if !done.nothing => {
                done.ledger = self.note_done(&done).await?;
                Ok(Conclusion::Changed(done))
            }
            Ok(done) => Ok(Conclusion::Nothing(done)),
            Err(failure) if is_guards(&failure) => {
                session.run(WHAT, BACK).await?;
                self.refused(failure, actor.as_ref()).await
            }
            Err(failure) => Err(failure),
        }
    }

    /// The rows of all concerned, in one order; the whole table where no trigger keeps the last admin.
    async fn lock(&self, standing: &Standing, actor: Option<&Person>) -> Result<(), Failure> {
        let moves_role = self.request.change != Change::RevokeSessions;
        if moves_role && !(standing.has_function && standing.has_triggers) {
            let sql = "LOCK TABLE public.\"user\" IN SHARE ROW EXCLUSIVE MODE";
            self.session.run(WHAT, sql).await?;
        }
        let masters = match self.request.change {
            Change::SetMaster(_) => "OR u.is_master_admin",
            _ => "",
        };
        let sql = format!(
            "SELECT u.id::text FROM public.\"user\" u WHERE u.id IN ($1, $2) {masters} \
              ORDER BY u.id FOR NO KEY UPDATE"
        );
        let actor = actor.map_or(self.request.target.as_str(), |actor| actor.id.as_str());
        let parameters: [(&(dyn ToSql + Sync), Type); 2] =
            [(&self.request.target, Type::TEXT), (&actor, Type::TEXT)];
        self.session.query(WHAT, &sql, &parameters).await.map(drop)
    }
}

/// What is written last.
impl Work<'_> {
    async fn note_done(&self, done: &Done) -> Result<Option<ledger::Head>, Failure> {
        let reason = match &self.request.authority {
            Authority::BreakGlass { reason } => Some(reason.as_str()),
            _ => None,
        };
        if let Some(reason) = reason {
            let broken = record::GlassBroken { command: self.request.command, reason };
            let metadata = record::json(&broken)?;
            let entry = self.entry(action::BREAK_GLASS, None, &metadata);
            record::audit(self.cx, self.session, entry).await?;
        }
        let detail = json!({
            "actor": done.actor.as_ref().map(|actor| &actor.id),
            "break_glass": reason.is_some(),
            "previous_master": done.previous.iter().map(|master| &master.id).collect::<Vec<_>>(),
            "revoked": done.revoked,
        });
        self.ledger("done", &detail.to_string()).await
    }

    async fn ledger(&self, outcome: &str, detail: &str) -> Result<Option<ledger::Head>, Failure> {
        let record = Record {
            command: self.request.command,
            subject: Some(&self.request.target),
            outcome,
            detail: Some(detail),
        };
        ledger::append(self.session, &self.cx.origin(), &record).await
    }

    /// Writes that somebody did not prove who they are, or that they may.
    async fn unproven(
        &self,
        reason: Reason,
        actor: Option<&Person>,
    ) -> Result<Conclusion, Failure> {
        match actor {
            Some(actor) if reason == Reason::NotAuthenticated => {
                let action = action::WRONG;
                let wrong = Entry { actor: &actor.id, action, target: None, metadata: None };
                record::audit(self.cx, self.session, wrong).await?;
                self.note_refused(reason.into(), Some(actor)).await
            }
            Some(actor) => self.refused(reason.into(), Some(actor)).await,
            None => self.note_refused(reason.into(), None).await,
        }
    }

    /// Writes what was refused, and to whom.
    async fn refused(
        &self,
        failure: Failure,
        actor: Option<&Person>,
    ) -> Result<Conclusion, Failure> {
        if let Some(actor) = actor {
            let metadata = record::json(&record::Refused { reason: words(&failure) })?;
            let mut entry = self.entry(action::REFUSED, Some(actor), &metadata);
            // The one it is about may be gone by now.
            if people::by_id(self.session, &self.request.target).await?.is_none() {
                entry.target = None;
            }
            record::audit(self.cx, self.session, entry).await?;
        }
        self.note_refused(failure, actor).await
    }

    async fn note_refused(
        &self,
        failure: Failure,
        actor: Option<&Person>,
    ) -> Result<Conclusion, Failure> {
        let named = match &self.request.authority {
            Authority::Actor { typed, .. } => Some(typed),
            _ => None,
        };
        let actor = actor.map(|actor| &actor.id);
        let detail = json!({ "actor": actor, "named": named, "reason": words(&failure) });
        self.ledger("refused", &detail.to_string()).await?;
        Ok(Conclusion::Refused(failure))
    }

    /// Of the actor; where there is none, of the one it is about.
    pub(super) fn entry<'a>(
        &'a self,
        action: &'a str,
        actor: Option<&'a Person>,
        metadata: &'a str,
    ) -> Entry<'a> {
        let target = self.request.target.as_str();
        let actor = actor.map_or(target, |actor| actor.id.as_str());
        Entry { actor, action, target: Some(target), metadata: Some(metadata) }
    }
}

/// A guard of ours, or one of the database's own (V3): refused, not forbidden to the role.
fn is_guards(failure: &Failure) -> bool {
    let code = failure.sqlstate.as_deref();
    failure.kind == Kind::Refused && code.is_none_or(|code| code.starts_with("MM1"))
}

/// What the guard said; the server's own words are the first cause.
fn words(failure: &Failure) -> &str {
    match (&failure.sqlstate, failure.causes.first()) {
        (Some(_), Some(cause)) => cause,
        _ => &failure.message,
    }
}
