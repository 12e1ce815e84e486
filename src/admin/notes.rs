//! What is written about a change or its refusal, last in the transaction.

use serde_json::json;

use crate::db::ledger::{self, Record};
use crate::failure::{Failure, Kind};

use super::change::{Authority, Done, Work};
use super::people::{self, Depth, Person};
use super::record::{self, Entry, action};
use super::standing::Standing;

impl Work<'_> {
    /// That the glass is broken: before what it was broken for.
    pub(super) async fn note_broken(&self) -> Result<(), Failure> {
        let Authority::BreakGlass { reason } = &self.request.authority else { return Ok(()) };
        let broken = record::GlassBroken { command: self.request.command, reason };
        let metadata = record::json(&broken)?;
        let entry = self.entry(action::BREAK_GLASS, None, &metadata);
        record::audit(self.cx, self.session, entry).await
    }

    pub(super) async fn note_done(&self, done: &Done) -> Result<Option<ledger::Head>, Failure> {
        let detail = json!({
            "actor": done.actor.as_ref().map(|actor| &actor.id),
            "break_glass": matches!(self.request.authority, Authority::BreakGlass { .. }),
            "previous_master": done.previous.iter().map(|master| &master.id).collect::<Vec<_>>(),
            "revoked": done.revoked,
        });
        self.ledger("done", &detail.to_string()).await
    }

    async fn ledger(&self, outcome: &str, detail: &str) -> Result<Option<ledger::Head>, Failure> {
        let record = Record {
            command: self.request.command,
            subject: Some(&self.request.target.id),
            outcome,
            detail: Some(detail),
        };
        ledger::append(self.session, &self.cx.origin(), &record).await
    }

    /// Writes what was refused, and to whom; where nobody of the app acts, of the one it is about.
    pub(super) async fn refused(
        &self,
        standing: &Standing,
        failure: Failure,
        actor: Option<&Person>,
    ) -> Result<Failure, Failure> {
        // The one it is about may be gone by now.
        let target = &self.request.target.id;
        let is_there = people::by_id(self.session, standing, Depth::Bare, target).await?.is_some();
        let broken = is_there && matches!(self.request.authority, Authority::BreakGlass { .. });
        if broken {
            self.note_broken().await?;
        }
        if actor.is_some() || broken {
            let metadata = record::json(&record::Refused { reason: words(&failure) })?;
            let mut entry = self.entry(action::REFUSED, actor, &metadata);
            if !is_there {
                entry.target = None;
            }
            record::audit(self.cx, self.session, entry).await?;
        }
        let why = words(&failure).to_owned();
        self.note_refused(failure, actor, &why).await
    }

    /// Writes it into the ledger, which is told more than the screen; where there is none, that is said.
    pub(super) async fn note_refused(
        &self,
        failure: Failure,
        actor: Option<&Person>,
        why: &str,
    ) -> Result<Failure, Failure> {
        let named = match &self.request.authority {
            Authority::Actor { typed, .. } => Some(typed),
            _ => None,
        };
        let actor = actor.map(|actor| &actor.id);
        let mut detail = json!({ "actor": actor, "named": named, "reason": why });
        // Where it is not, the text stays what the count of wrong passwords looks for.
        if matches!(self.request.authority, Authority::BreakGlass { .. }) {
            detail["break_glass"] = true.into();
        }
        match self.ledger("refused", &detail.to_string()).await? {
            Some(_) => Ok(failure),
            None => Ok(failure.with_findings(vec![record::no_ledger()])),
        }
    }

    /// Of the actor; where there is none, of the one it is about.
    pub(super) fn entry<'a>(
        &'a self,
        action: &'a str,
        actor: Option<&'a Person>,
        metadata: &'a str,
    ) -> Entry<'a> {
        let target = self.request.target.id.as_str();
        let actor = actor.map_or(target, |actor| actor.id.as_str());
        Entry { actor, action, target: Some(target), metadata: Some(metadata) }
    }
}

/// A guard of ours, or one of the database's own (V3): refused, not forbidden to the role.
pub(super) fn is_guards(failure: &Failure) -> bool {
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
