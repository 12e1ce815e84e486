//! A schema in one hash, and what is beside it in another.

use std::sync::LazyLock;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::foreign::FUNCTION_CODE;
use super::Catalogue;

/// Schema `public` with its owners and our triggers, and which versions are recorded, in one hash. Of
/// `migrations`, as `data.migrations` of `status` has them, version and state count.
pub fn schema_hash(catalogue: &Catalogue, migrations: &Value) -> String {
    let recorded: Vec<_> = migrations
        .as_array()
        .into_iter()
        .flatten()
        .filter(|migration| migration["state"] != "pending")
        .map(|migration| json!([migration["version"], migration["name"], migration["state"]]))
        .collect();
    let document = json!({ "catalogue": catalogue, "recorded": recorded });
    hex::encode(Sha256::digest(document.to_string()))
}

/// The statement whose one cell, `beside`, is a hash of what [`schema_hash`] leaves out: triggers of others,
/// policies, grants, event triggers, and what others hung on schema `public`.
pub fn beside_sql() -> &'static str {
    static SQL: LazyLock<String> =
        LazyLock::new(|| include_str!("beside.sql").replace("%FUNCTION_CODE%", FUNCTION_CODE));
    &SQL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_told_by_its_catalogue_and_its_history() {
        let mut catalogue = Catalogue::default();
        let recorded = |state: &str| json!([{ "version": 1, "name": "baseline", "state": state, "applied_at": "then" }]);
        let none = schema_hash(&catalogue, &json!([]));
        assert_eq!(schema_hash(&catalogue, &recorded("pending")), none);
        assert_ne!(schema_hash(&catalogue, &recorded("applied")), none);
        catalogue.others.insert("v".into(), "v".into());
        assert_ne!(schema_hash(&catalogue, &json!([])), none);
    }
}
