use std::collections::BTreeSet;
use std::path::Path;

use super::*;

fn folder(name: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_dir(path)
        .expect("the folder exists")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .filter(|file| file != "own")
        .collect()
}

#[test]
fn checksums_are_refinerys() {
    for entry in &APP {
        let migration = entry.migration().expect("a migration");
        assert_eq!(entry.checksum(), migration.checksum().to_string());
    }
    for entry in &OWN {
        let migration = entry.migration().expect("a migration");
        assert_eq!(entry.checksum(), migration.checksum().to_string());
    }
}

#[test]
fn registry_and_folder_are_equal() {
    let mut expected = BTreeSet::new();
    for entry in &APP {
        expected.insert(format!("{}.sql", entry.file_stem()));
        expected.insert(format!("{}.contract.json", entry.file_stem()));
        if entry.aside.is_some() {
            expected.insert(format!("{}.aside.sql", entry.file_stem()));
        }
        if entry.down.is_some() {
            expected.insert(format!("{}.down.sql", entry.file_stem()));
        }
    }
    assert_eq!(folder("migrations"), expected);
    let own: BTreeSet<String> =
        OWN.iter().map(|e| format!("V{}__{}.sql", e.version, e.name)).collect();
    assert_eq!(folder("migrations/own"), own);
}

#[test]
fn versions_count_from_one_and_only_the_first_has_no_way_back() {
    for (n, entry) in (1..).zip(&APP) {
        assert_eq!(entry.version, n);
        assert_eq!(entry.down.is_none(), n == 1, "{entry}");
        let parsed: Result<Catalogue, _> = serde_json::from_str(entry.contract);
        assert!(parsed.is_ok(), "{entry}: {parsed:?}");
    }
}

#[test]
fn a_version_goes_by_number_name_and_the_guides_file() {
    for text in
        ["2", "V2", "security_hardening", "V2__security_hardening", "0001_ancient_jasper_sitwell"]
    {
        assert_eq!(resolve(text).ok(), Some(2), "{text}");
    }
    assert_eq!(resolve("4").map_err(|f| f.kind.exit_code()), Err(2));
}

#[test]
fn version_two_adds_what_the_guide_lists() {
    let added = APP[1].additions();
    let tables: Vec<&str> = added.tables.keys().map(String::as_str).collect();
    assert_eq!(tables, ["app_log", "audit_log", "step_up_token", "token_lending", "user"]);
    assert_eq!(added.tables["user"].columns.keys().collect::<Vec<_>>(), ["is_master_admin"]);
}

#[test]
fn both_histories_have_the_same_columns() {
    let columns = |sql: &str| -> Vec<String> {
        let body = sql.split("refinery_schema_history (").last().unwrap_or(sql);
        let body = body.split("%TABLE% (").last().unwrap_or(body);
        let lines = body.lines().skip(1).take_while(|line| line.starts_with("    "));
        lines.map(|line| line.trim().to_owned()).collect()
    };
    let app = columns(OWN[0].sql);
    assert_eq!(app.len(), 8, "{app:?}");
    assert_eq!(columns(include_str!("own_history.sql")), app);
}
