//! What a rehearsal was of, as hashes: to be compared with the database as it is.

use serde_json::json;

use super::standing;
use super::survey::{History, Survey};
use crate::db::catalogue::schema_hash;
use crate::failure::Failure;

/// The schema that was seen; none where it is not known whole.
pub fn schema(survey: &Survey) -> Option<String> {
    let known = survey.history == History::Known;
    let catalogue = survey.catalogue.as_ref().filter(|_| known)?;
    Some(schema_hash(catalogue, &json!(standing::migrations(&survey.histories))))
}

/// Nothing is done to what was not rehearsed with.
pub(super) fn refuse_changed() -> Failure {
    Failure::refused("the schema was changed since it was rehearsed with: nothing was changed")
        .hint("rehearse: markenmate rehearse")
}
