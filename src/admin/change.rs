//! The one transaction of a change: who acts proves it, everything is judged anew under the locks, and
//! change, audit rows and the ledger's row are committed together. A refusal is committed, too.

use secrecy::SecretString;
use tokio_postgres::types::{ToSql, Type};

use crate::context::Context;
use crate::db::foreign::{self, Scope};
use crate::db::ledger;
use crate::db::locks::Wanted;
use crate::db::patience::{Attempt, Patience, Setback};
use crate::db::session::{Mode, Session};
use crate::failure::Failure;

use super::authenticate::Proof;
use super::commit;
use super::master::Wish;
use super::notes::is_guards;
use super::people::Person;
use super::standing::{self, Standing};

/// The tables that a change may have to wait for.
pub const TABLES: [&str; 7] =
    ["user", "account", "session", "audit_log", "step_up_token", "ledger", "turn"];

pub(super) const WHAT: &str = "cannot change the app's users";

/// Whatever is refused after one of these is taken back to it, and recorded.
const PROVEN: &str = "SAVEPOINT proven";
const BACK_TO_PROVEN: &str = "ROLLBACK TO SAVEPOINT proven";
const CHANGE: &str = "SAVEPOINT change";
const BACK_TO_CHANGE: &str = "ROLLBACK TO SAVEPOINT change";

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
        /// Also by a password that others know.
        allow_default_password: bool,
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
    SetMaster {
        /// As asked for.
        wish: Wish,
        /// The ids of who had it when it was looked at, in order.
        masters: Vec<String>,
    },
}

/// A change that was asked for.
#[derive(Debug)]
pub struct Request {
    /// As typed: `admin demote`.
    pub command: &'static str,
    /// What.
    pub change: Change,
    /// Whose role, sessions or flag, as they were when they were looked at.
    pub target: Person,
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
    /// How many of them were over already.
    pub expired: usize,
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
    let work = Work { cx, session, request };
    let proof = work.prove().await?;
    let once = async |attempt| work.once(attempt, proof.as_ref()).await;
    match work.patience().exercise(once).await?.value {
        Conclusion::Changed(done) | Conclusion::Nothing(done) => Ok(done),
        Conclusion::Refused(failure) => Err(failure),
    }
}

/// A request at work.
pub(super) struct Work<'a> {
    pub(super) cx: &'a Context,
    pub(super) session: &'a Session,
    pub(super) request: &'a Request,
}

impl Work<'_> {
    pub(super) fn patience(&self) -> Patience<'_> {
        let Self { cx, session, .. } = self;
        Patience::new(session, &cx.console, &cx.interrupt, &TABLES, cx.settings.max_wait)
            .wanting(Wanted::Rows)
    }

    /// Opens a transaction on the owner's behalf, in which something is noted.
    pub(super) async fn begin(&self, attempt: Attempt) -> Result<Standing, Failure> {
        self.open(attempt, None).await
    }

    /// The same, with a lock on all users where the database's own guards do not order changes of admins: the
    /// strongest first, as of two that share a weaker one neither gets it.
    async fn begin_change(&self, attempt: Attempt) -> Result<Standing, Failure> {
        let alone = "LOCK TABLE public.\"user\" IN SHARE ROW EXCLUSIVE MODE";
        let alone = (self.request.change != Change::RevokeSessions).then_some(alone);
        self.open(attempt, alone).await
    }

    async fn open(&self, attempt: Attempt, unguarded: Option<&str>) -> Result<Standing, Failure> {
        let session = self.session;
        let sets = session.begin_within(Mode::Write, attempt.timeouts, WHAT, standing::SQL).await?;
        let standing = Standing::of(&sets);
        standing.check()?;
        standing.act_for_owner(session).await?;
        if let Some(lock) = unguarded.filter(|_| !standing.has_function) {
            session.run(WHAT, lock).await?;
        }
        session.run(WHAT, &foreign::refuse(Scope::Admins)).await?;
        Ok(standing)
    }

    /// Commits what was written, or ends the transaction without a trace.
    pub(super) async fn close<T>(&self, written: Result<T, Failure>) -> Result<T, Setback> {
        match written {
            Ok(value) => {
                commit::commit(self.cx, self.session).await.map(|_| value).map_err(Setback::from)
            }
            Err(failure) => {
                self.session.end().await;
                Err(failure.into())
            }
        }
    }

    async fn once(&self, attempt: Attempt, proof: Option<&Proof>) -> Result<Conclusion, Setback> {
        match self.conclude(attempt, proof).await {
            Ok(Conclusion::Changed(done)) => {
                let recovered = commit::commit(self.cx, self.session).await?;
                Ok(Conclusion::Changed(Done { recovered, ..done }))
            }
            Ok(Conclusion::Nothing(done)) => {
                self.session.end().await;
                Ok(Conclusion::Nothing(done))
            }
            concluded => self.close(concluded).await,
        }
    }

    /// Everything but COMMIT.
    async fn conclude(
        &self,
        attempt: Attempt,
        proof: Option<&Proof>,
    ) -> Result<Conclusion, Failure> {
        let session = self.session;
        let standing = self.begin_change(attempt).await?;
        self.lock(proof.map(|proof| &proof.actor)).await?;
        // Rows may have been waited for, and whoever held them knew.
        session.run(WHAT, &foreign::refuse(Scope::Admins)).await?;
        let actor = match proof {
            None => None,
            Some(proof) => match self.still(&standing, proof).await? {
                Ok(actor) => Some(actor),
                Err((reason, actor)) => {
                    let refused = self.refused(&standing, reason.into(), actor.as_ref()).await?;
                    return Ok(Conclusion::Refused(refused));
                }
            },
        };
        let actor = actor.as_ref();
        session.run(WHAT, PROVEN).await?;
        if let Some(actor) = actor
            && let Err(reason) = self.step_up(actor).await?
        {
            session.run(WHAT, BACK_TO_PROVEN).await?;
            let refused = self.refused(&standing, reason.into(), Some(actor)).await?;
            return Ok(Conclusion::Refused(refused));
        }
        session.run(WHAT, CHANGE).await?;
        match self.change(&standing, actor).await {
            Ok(mut done) if !done.nothing => {
                done.ledger = self.note_done(&done).await?;
                Ok(Conclusion::Changed(done))
            }
            Ok(done) => Ok(Conclusion::Nothing(done)),
            Err(failure) if is_guards(&failure) => {
                session.run(WHAT, BACK_TO_CHANGE).await?;
                Ok(Conclusion::Refused(self.refused(&standing, failure, actor).await?))
            }
            Err(failure) => Err(failure),
        }
    }

    /// The rows of all concerned, in one order: where admins are counted, all of theirs, whatever the
    /// database's own guards do.
    async fn lock(&self, actor: Option<&Person>) -> Result<(), Failure> {
        let others = match &self.request.change {
            Change::Demote => "OR concat(u.role) = 'admin'",
            Change::SetMaster { .. } => "OR u.is_master_admin",
            Change::Promote | Change::RevokeSessions => "",
        };
        let sql = format!(
            "SELECT u.id::text FROM public.\"user\" u WHERE u.id IN ($1, $2) {others} \
              ORDER BY u.id FOR NO KEY UPDATE"
        );
        let target = &self.request.target.id;
        let actor = actor.map_or(target, |actor| &actor.id);
        let parameters: [(&(dyn ToSql + Sync), Type); 2] =
            [(target, Type::TEXT), (actor, Type::TEXT)];
        self.session.query(WHAT, &sql, &parameters).await.map(drop)
    }
}
