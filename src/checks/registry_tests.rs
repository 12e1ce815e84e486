use std::collections::BTreeSet;

use super::*;
use crate::db::catalogue::{Column, Table};

#[test]
fn list_and_folder_are_equal() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/checks");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| {
            entry
                .unwrap()
                .file_name()
                .into_string()
                .unwrap()
                .strip_suffix(".sql")
                .map(str::to_owned)
        })
        // What the runner asks for itself.
        .filter(|stem| stem != "admins" && !stem.starts_with("statements_"))
        .collect();
    let listed: BTreeSet<String> = ALL
        .iter()
        .filter(|check| matches!(check.source, Source::Sql(_) | Source::Statements(_)))
        .map(|check| check.id.replace('-', "_"))
        .collect();
    assert_eq!(files, listed);
}

#[test]
fn ids_are_unique_and_every_check_says_what_mends_it() {
    let unique: BTreeSet<&str> = ALL.iter().map(|check| check.id).collect();
    assert_eq!(unique.len(), ALL.len());
    for check in &ALL {
        assert!(!check.remedy.is_empty() && !check.title.is_empty(), "{}", check.id);
    }
}

#[test]
fn statements_stand_alone_and_name_their_schema() {
    for check in &ALL {
        let (Source::Sql(sql) | Source::Statements(sql)) = check.source else { continue };
        assert!(!sql.trim_end().ends_with(';'), "{}: a savepoint follows", check.id);
        for table in ["token_lending", "audit_log", "step_up_token", "app_log", "\"user\""] {
            for keyword in ["FROM", "JOIN"] {
                assert!(!sql.contains(&format!("{keyword} {table}")), "{}: {table}", check.id);
            }
        }
    }
}

#[test]
fn only_and_skip_select_in_the_lists_order() {
    let [orphans, history] = ["orphans", "history"].map(|id| find(id).unwrap());
    let picked = select(&[orphans, history], &[]).unwrap();
    assert_eq!(picked, [history, orphans]);
    assert_eq!(select(&[], &[history]).unwrap().len(), ALL.len() - 1);
    assert_eq!(select(&[orphans], &[orphans]).unwrap_err().kind.exit_code(), 2);
}

#[test]
fn who_is_at_work_is_told_by_the_lock_between_cleanups() {
    let Source::Sql(sql) = find("export-unfinished").unwrap().source else { panic!() };
    let (class, object) = crate::db::locks::CLEANUP_KEY;
    assert!(sql.contains(&format!("l.classid = {class} AND l.objid = {object}")), "{sql}");
}

#[test]
fn an_unknown_id_names_the_known_ones() {
    let said = find("orphan").unwrap_err();
    assert!(said.contains("orphans, keys-validated"), "{said}");
}

#[test]
fn what_is_missing_is_said() {
    let mut catalogue = Catalogue::default();
    let needs = v2(&["user.role"]);
    let missing = |requires: &Requires, version, catalogue: &Catalogue| {
        requires.missing(version, 1, catalogue)
    };
    assert_eq!(
        missing(&needs, 1, &catalogue).unwrap(),
        "belongs to version 2; judged against version 1"
    );
    assert_eq!(missing(&needs, 2, &catalogue).unwrap(), "table public.\"user\" is missing");
    catalogue.tables.insert("user".into(), Table::default());
    let said = missing(&needs, 2, &catalogue).unwrap();
    assert_eq!(said, "column public.\"user\".role is missing");
    let role = Column { data_type: "text".into(), not_null: true, default: None, generated: None };
    catalogue.tables.entry("user".into()).or_default().columns.insert("role".into(), role);
    assert_eq!(missing(&needs, 2, &catalogue), None);
    assert!(missing(&LEDGER, 2, &catalogue).unwrap().contains("no operator ledger yet"));
}

/// The chain is walked with the very expression that wrote it.
#[test]
fn the_ledgers_hash_is_written_once() {
    let Source::Sql(sql) = find("ledger-chain").unwrap().source else { panic!("no SQL") };
    assert!(sql.contains(crate::db::ledger::HASH.trim()));
}
