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

/// A contract's names are printed as the server prints them.
#[test]
fn names_are_quoted_where_the_server_quotes_them() {
    let db = crate::support::TestDb::empty();
    let session = db.session();
    let words = session.sql("SELECT word, quote_ident(word) FROM pg_get_keywords() ORDER BY 1");
    assert!(words.len() > 400);
    for word in words {
        let [Some(word), Some(quoted)] = &word[..] else { panic!("{word:?}") };
        // A later server may quote more words than this one.
        let ours = markenmate::db::identifiers::identifier(word);
        assert!(ours == *quoted || *quoted == *word, "{word}: {ours} for {quoted}");
    }
    for name in ["version", "position_1", "audit_log", "Größe", "a\"b", "1st", ""] {
        let quoted = session.sql(&format!("SELECT quote_ident('{name}')"))[0][0].clone().unwrap();
        assert_eq!(markenmate::db::identifiers::identifier(name), quoted);
    }
}
