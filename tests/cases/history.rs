//! Histories edited by hand, objects gone after the migration, targets, odd databases.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::own_server::succeed;
use crate::support::state::{assert_hardened, assert_migrated, fingerprint, one, versions};
use crate::support::{TestDb, cluster, markenmate, sql};

fn migrated() -> TestDb {
    let db = TestDb::baseline();
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    db
}

fn json_of(db: &TestDb, args: &[&str], code: i32) -> Value {
    let args = [args, &["--format", "json"]].concat();
    markenmate(&args).db(db).run().assert_code(code).json()
}

/// Edits a history: `state` and a part of the one finding; migrate refuses and changes nothing.
#[track_caller]
fn edited(edit: &str, state: &str, part: &str) {
    let db = migrated();
    sql(&db, edit);
    let before = fingerprint(&db.session());
    let document = json_of(&db, &["status"], 0);
    assert_eq!(document["data"]["state"], state, "{edit}: {document:#}");
    let details: Vec<_> = document["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["detail"].as_str().unwrap())
        .collect();
    assert!(details.iter().any(|detail| detail.contains(part)), "{edit}: {details:?}");
    let refused = json_of(&db, &["migrate", "--yes"], 4);
    assert_eq!(refused["outcome"], "refused");
    assert_eq!(refused["findings"], document["findings"]);
    markenmate(&["migrate", "--check"]).db(&db).run().assert_code(4);
    markenmate(&["status"]).db(&db).run().assert_code(0);
    assert_eq!(fingerprint(&db.session()), before, "{edit}");
}

const HISTORY: &str = "markenmate.refinery_schema_history";

#[test]
fn edited_rows_are_seen_and_refused() {
    for (change, part) in [
        ("SET name = 'other' WHERE version = 2", "is named \"other\""),
        ("SET name = NULL WHERE version = 2", "is named \"\""),
        ("SET checksum = '1' WHERE version = 2", "has checksum \"1\""),
        ("SET checksum = NULL WHERE version = 1", "has checksum \"\""),
        ("SET applied_on = 'yesterday' WHERE version = 2", "which is no time"),
        ("SET applied_on = NULL WHERE version = 2", "which is no time"),
        ("SET version = -1 WHERE version = 2", "is no version"),
        ("SET version = 0 WHERE version = 1", "is no version"),
    ] {
        edited(&format!("UPDATE {HISTORY} {change}"), "drifted", part);
    }
}

#[test]
fn a_missing_first_row_is_seen_and_refused() {
    edited(
        &format!("DELETE FROM {HISTORY} WHERE version = 1"),
        "drifted",
        "although V3 is recorded",
    );
    let own = "UPDATE markenmate.refinery_own_history SET checksum = 'x'";
    edited(own, "drifted", "has checksum \"x\"");
}

#[test]
fn a_history_of_another_shape_is_seen_and_refused() {
    edited(&format!("ALTER TABLE {HISTORY} DROP COLUMN checksum"), "drifted", "has checksum \"\"");
    let text = format!(
        "ALTER TABLE {HISTORY} DROP CONSTRAINT refinery_schema_history_pkey;
         ALTER TABLE {HISTORY} ALTER COLUMN version TYPE text;
         INSERT INTO {HISTORY} (version, name) VALUES ('two', E'evil\\x1b[31m')"
    );
    edited(&text, "drifted", "is no version");
}

#[test]
fn a_newer_history_is_left_to_a_newer_tool() {
    for table in ["refinery_schema_history", "refinery_own_history"] {
        edited(
            &format!(
                "INSERT INTO markenmate.{table} (version, name, applied_on, checksum) VALUES (99, 'later', '', '')"
            ),
            "newer",
            "by a newer markenmate",
        );
    }
}

/// What a start of the old application does: its push drops what it does not know.
#[test]
fn objects_gone_after_the_migration_are_seen_and_come_back_by_the_remedies() {
    let db = migrated();
    sql(
        &db,
        r#"ALTER TABLE public."user" DROP COLUMN is_master_admin;
           ALTER TABLE public.token_lending DROP COLUMN version;
           ALTER TABLE public.app_log DROP COLUMN correlation_id;
           DROP TABLE public.audit_log, public.step_up_token"#,
    );
    assert_eq!(json_of(&db, &["status"], 0)["data"]["state"], "drifted");
    let before = fingerprint(&db.session());
    let refused = json_of(&db, &["migrate", "--yes"], 4);
    let findings = refused["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 5, "{findings:#?}");
    let causes = refused["error"]["causes"].to_string();
    assert!(causes.contains("a start of the old application drops"), "{causes}");
    assert_eq!(fingerprint(&db.session()), before);
    for finding in findings {
        sql(&db, finding["remedy"].as_str().unwrap());
    }
    assert_eq!(json_of(&db, &["migrate", "--yes"], 0)["outcome"], "nothing_to_do");
    assert_migrated(&db.url);
}

#[test]
fn the_servers_own_databases_are_not_built_into() {
    for name in ["postgres", "template1"] {
        let url = cluster().url(name);
        let session = crate::support::Session::open(&url);
        let before = fingerprint(&session);
        drop(session);
        for args in [["migrate", "--yes"], ["migrate", "--dry-run"], ["migrate", "--check"]] {
            let run = markenmate(&args).url(&url).run().assert_code(4);
            assert!(run.stderr.contains("one of the server's own databases"), "{}", run.stderr);
        }
        for command in ["status", "verify"] {
            let run = markenmate(&[command]).url(&url).run();
            assert!(!run.stdout.contains("markenmate migrate"), "{}", run.stdout);
        }
        assert_eq!(fingerprint(&crate::support::Session::open(&url)), before);
    }
}

#[test]
fn versions_are_gone_up_one_by_one() {
    let db = TestDb::empty();
    let first = json_of(&db, &["migrate", "--yes", "--to", "1"], 0);
    assert_eq!(first["data"]["applied"], json!([1]));
    assert_eq!(versions(&db.session()), "1");
    assert_eq!(json_of(&db, &["status"], 0)["data"]["state"], "pending");
    let again = json_of(&db, &["migrate", "--yes", "--to", "1"], 0);
    assert_eq!(again["outcome"], "nothing_to_do");
    let second = json_of(&db, &["migrate", "--yes", "--to", "2"], 0);
    assert_eq!(second["data"]["applied"], json!([2]));
    assert_hardened(&db.url);
    let third = json_of(&db, &["migrate", "--yes", "--to", "3"], 0);
    assert_eq!(third["data"]["applied"], json!([3]));
    assert_migrated(&db.url);
    let down = json_of(&db, &["migrate", "--yes", "--to", "1"], 4);
    assert!(down["error"]["message"].as_str().unwrap().contains("only goes up"), "{down:#}");
    let down = json_of(&db, &["migrate", "--yes", "--to", "2"], 4);
    assert!(down["error"]["message"].as_str().unwrap().contains("only goes up"), "{down:#}");
    json_of(&db, &["migrate", "--yes", "--to", "4"], 2);
}

/// The last words of a run are commands to paste: here they are pasted.
#[test]
fn a_database_of_any_name_is_migrated_and_its_undo_line_works() {
    for name in ["it's \"ours\"", "größe = 100 %", "a=b", "back\\slash"] {
        let db = TestDb::named(name);
        let document = json_of(&db, &["migrate", "--yes"], 0);
        assert_eq!(document["target"]["database"], name);
        assert_migrated(&db.url);
        drop(document);

        let db = TestDb::named(&format!("{name} 2"));
        // Named on the command line, it stands in the line that is to be pasted.
        let run = markenmate(&["migrate", "--yes", "-d", &db.url]).run().assert_code(0);
        let undo = run.stdout.lines().find_map(|line| line.strip_prefix("undo: ")).unwrap();
        let path = std::path::Path::new(env!("CARGO_BIN_EXE_markenmate")).parent().unwrap();
        let path = format!("{}:/usr/bin:/bin", path.display());
        let line = format!("{undo} --confirm \"$NAME\"");
        let mut shell = Command::new("/bin/sh");
        succeed(shell.args(["-c", &line]).env_clear().env("PATH", path).env("NAME", &db.name));
        assert_eq!(versions(&db.session()), "1", "{undo}");
        assert_eq!(one(&db.session(), "SELECT to_regclass('public.audit_log')::text"), "");
        markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
        assert_migrated(&db.url);
    }
}
