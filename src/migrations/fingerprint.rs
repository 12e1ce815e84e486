//! What a rehearsal was of, as hashes: to be compared with the database as it is.

use serde_json::json;

use super::standing;
use super::survey::{History, Survey};
use crate::db::catalogue::{beside_sql, schema_hash};
use crate::db::session::{Mode, Session};
use crate::failure::Failure;

/// A schema and what is beside it, as they were rehearsed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// As [`schema`] has it.
    pub schema: String,
    /// As `beside` has it.
    pub beside: String,
}

impl Fingerprint {
    /// The database as it is; none where its history is not known whole.
    ///
    /// # Errors
    /// The server's.
    pub async fn of(session: &Session, survey: &Survey) -> Result<Option<Self>, Failure> {
        let Some(schema) = schema(survey) else { return Ok(None) };
        Ok(Some(Self { schema, beside: beside(session, survey).await? }))
    }
}

/// The schema that was seen; none where it is not known whole.
pub fn schema(survey: &Survey) -> Option<String> {
    let known = survey.history == History::Known;
    let catalogue = survey.catalogue.as_ref().filter(|_| known)?;
    Some(schema_hash(catalogue, &json!(standing::migrations(&survey.histories))))
}

/// What is beside the schema: triggers of others, policies, grants; in the transaction of the survey where that is
/// still open.
async fn beside(session: &Session, survey: &Survey) -> Result<String, Failure> {
    const WHAT: &str = "cannot look at triggers, policies and grants";
    let sets = match survey.under_lock {
        true => session.run(WHAT, beside_sql()).await?,
        false => session.once(Mode::Read, WHAT, beside_sql()).await?,
    };
    let row = sets.last().and_then(|rows| rows.first());
    let hash = row.and_then(|row| row.get("beside")).map(str::to_owned);
    hash.ok_or_else(|| Failure::unexpected(WHAT).because("the server said nothing"))
}

/// Nothing is done to what was not rehearsed with.
pub(super) fn refuse_changed() -> Failure {
    Failure::refused("the schema, or a trigger, policy or grant, was changed since it was rehearsed with: nothing was changed")
        .hint("rehearse: markenmate rehearse")
}
