//! A schema in one hash.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

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
