//! Who acts proves it. The attempt is written down as a wrong password before it is judged, so that no end
//! of the run keeps it out of the count; judged outside of any transaction; taken back at once where it was right.

use secrecy::{ExposeSecret, SecretString};

use crate::db::foreign::{self, Scope};
use crate::db::patience::{Attempt, Obstacle, Setback};
use crate::failure::{Failure, Kind};

use super::change::{Authority, Work};
use super::guards::{self, Reason, Verdict};
use super::people::{self, Depth, Person};
use super::record::{self, Entry, action};
use super::standing::Standing;
use super::{lockout, password};

/// Who proved to be that user, and the row that says it was tried.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) actor: Person,
    charge: String,
    /// The statement that makes us whoever wrote that row.
    role: Option<String>,
}

/// What comes before a verdict.
enum Charged {
    /// Somebody, as the password is to be judged.
    Somebody(Proof),
    /// Nobody has that name: written down, and told when somebody's verdict would be.
    Nobody(Failure),
    /// So many are being judged that another would be one too many.
    TooMany,
    /// It is not judged at all.
    Over(Failure),
}

impl Work<'_> {
    /// Who acts, where somebody of the app does and the password is right.
    ///
    /// # Errors
    /// Refused; the record of it was committed.
    pub(super) async fn prove(&self) -> Result<Option<Proof>, Failure> {
        let Authority::Actor { typed, id, password, .. } = &self.request.authority else {
            return Ok(None);
        };
        let charge = async |attempt| self.charge(attempt, typed, id.as_deref()).await;
        let charged = match self.patience().exercise(charge).await?.value {
            Charged::Over(failure) => return Err(failure),
            charged => charged,
        };
        let (hash, why) = match &charged {
            Charged::Somebody(proof) => match guards::judgeable(&proof.actor) {
                Verdict::Allowed => (proof.actor.hash(), None),
                Verdict::Denied(reason) => (None, Some(reason)),
            },
            _ => (None, None),
        };
        let (hash, typed) = (hash.map(SecretString::from), password.clone());
        let right = self.cx.interrupt.during(move || judged(&typed, hash.as_ref())).await??;
        match charged {
            Charged::Somebody(proof) if right => {
                self.take_back(&proof).await;
                Ok(Some(proof))
            }
            Charged::Somebody(proof) => {
                let why = why.unwrap_or(Reason::NotAuthenticated).to_string();
                let note = async |attempt| self.note_wrong(attempt, &proof, &why).await;
                Err(self.patience().exercise(note).await?.value)
            }
            Charged::Nobody(failure) | Charged::Over(failure) => Err(failure),
            Charged::TooMany => Err(too_many()),
        }
    }

    /// Counts, and writes one more down, in the order of the actor's row: of many guesses at once each
    /// sees those before it.
    async fn charge(
        &self,
        attempt: Attempt,
        typed: &str,
        id: Option<&str>,
    ) -> Result<Charged, Setback> {
        let session = self.session;
        let charged = async {
            let standing = self.begin(attempt).await?;
            let actor = match id {
                Some(id) => {
                    people::lock(session, id).await?;
                    people::by_id(session, &standing, Depth::Passwords, id).await?
                }
                None => None,
            };
            let misses = match &actor {
                Some(actor) => lockout::misses(session, &actor.id).await?,
                None => lockout::misses_of_nobody(session, typed).await?,
            };
            if lockout::is_open(&misses) {
                return Ok(Charged::TooMany);
            }
            if let Some(lock) = lockout::lock(&misses) {
                let reason = Reason::LockedOut(lock);
                let refused = self.refused(&standing, reason.into(), actor.as_ref()).await?;
                return Ok(Charged::Over(refused));
            }
            let Some(actor) = actor else {
                let reason = Reason::NotAuthenticated;
                let words = reason.to_string();
                let refused = self.note_refused(reason.into(), None, &words).await?;
                let misses = lockout::misses_of_nobody(session, typed).await?;
                return Ok(Charged::Nobody(lockout::tell(refused, &misses)));
            };
            let metadata = Some(record::NOT_JUDGED);
            let wrong = Entry { actor: &actor.id, action: action::WRONG, target: None, metadata };
            let charge = record::charge(self.cx, session, wrong).await?;
            Ok(Charged::Somebody(Proof { actor, charge, role: standing.role() }))
        };
        let charged = charged.await;
        if let Ok(Charged::TooMany) = charged {
            session.end().await;
            return Err(Setback::Obstacle(Obstacle::Run, too_many()));
        }
        self.close(charged).await
    }

    /// The charge stays.
    async fn note_wrong(
        &self,
        attempt: Attempt,
        proof: &Proof,
        why: &str,
    ) -> Result<Failure, Setback> {
        let noted = async {
            self.begin(attempt).await?;
            record::judged(self.session, &proof.charge).await?;
            let misses = lockout::misses(self.session, &proof.actor.id).await?;
            let refused = lockout::tell(Reason::NotAuthenticated.into(), &misses);
            self.note_refused(refused, Some(&proof.actor), why).await
        };
        let noted = noted.await;
        self.close(noted).await
    }

    /// The actor under the lock, where still an admin with the same password.
    pub(super) async fn still(
        &self,
        standing: &Standing,
        before: &Proof,
    ) -> Result<Result<Person, (Reason, Option<Person>)>, Failure> {
        let session = self.session;
        let id = &before.actor.id;
        let Some(actor) = people::by_id(session, standing, Depth::Bare, id).await? else {
            return Ok(Err((Reason::NotAuthenticated, None)));
        };
        let hashes = people::hashes(session, &before.actor.accounts).await?;
        if hashes != before.actor.credentials {
            return Ok(Err((Reason::PasswordChanged, Some(actor))));
        }
        Ok(match guards::acting(&actor) {
            Verdict::Denied(reason) => Err((reason, Some(actor))),
            Verdict::Allowed => match self.anybodys(&actor) {
                Some(reason) => Err((reason, Some(actor))),
                None => Ok(actor),
            },
        })
    }

    /// Why the right password proves nothing: others know it as well.
    fn anybodys(&self, actor: &Person) -> Option<Reason> {
        match &self.request.authority {
            Authority::Actor { password, allow_default_password: false, .. } => {
                if password::is_seed(password) {
                    return Some(Reason::SeedPassword);
                }
                actor.must_change_password.then_some(Reason::MustChangePassword)
            }
            _ => None,
        }
    }

    /// Takes a charge back as soon as its password was right: whatever becomes of the change, it was no
    /// guess. Where that fails, as in an audit log that keeps all, it counts until the change succeeds.
    async fn take_back(&self, proof: &Proof) {
        let role = proof.role.as_ref().map(|role| format!("{role};")).unwrap_or_default();
        let discharge = record::discharge(&proof.charge);
        let sql = format!("{role}{};{discharge}", foreign::refuse(Scope::Admins));
        if let Err(failure) = self.session.take_back("cannot take the attempt back", &sql).await {
            tracing::info!(%failure, "the attempt is counted");
        }
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

fn too_many() -> Failure {
    Failure::new(Kind::Busy, "five runs in that admin's name are under way")
}

/// The same work for nobody, and for who has no hash that can be judged, as for anybody.
fn judged(password: &SecretString, hash: Option<&SecretString>) -> Result<bool, Failure> {
    match hash {
        Some(hash) => {
            Ok(password::judge(password, hash.expose_secret())? == password::Verdict::Right)
        }
        None => password::judge_nobody(password).map(|()| false),
    }
}
