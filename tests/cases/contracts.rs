//! What a migration makes is exactly what its contract says, no less and no more.

use markenmate::migrations::registry;

use crate::support::schema::shape;
use crate::support::{TestDb, env, markenmate};

/// `MARKENMATE_UPDATE_CONTRACTS=1` writes the contracts anew from what the migrations make.
#[test]
fn a_contract_is_what_its_migration_makes() {
    for entry in &registry::APP {
        let db = TestDb::empty();
        let to = entry.version.to_string();
        markenmate(&["migrate", "--yes", "--to", &to]).db(&db).run().assert_code(0);
        let made = shape(&db);
        if env().var("MARKENMATE_UPDATE_CONTRACTS").is_some() {
            let path = format!(
                "{}/migrations/{}.contract.json",
                env!("CARGO_MANIFEST_DIR"),
                entry.file_stem()
            );
            std::fs::write(path, serde_json::to_string_pretty(&made).unwrap() + "\n").unwrap();
        }
        assert_eq!(&made, entry.contract(), "{entry}");
    }
}
