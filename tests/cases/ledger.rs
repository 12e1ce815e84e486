//! The operator ledger: every command that changes something leaves one row, last in its transaction and
//! chained to the row before; `verify` finds the first link that does not hold.

use serde_json::Value;

use crate::support::state::one;
use crate::support::{Invocation, Session, TestDb, cluster, markenmate, sql};

fn json(command: Invocation, code: i32) -> Value {
    command.run().assert_code(code).json()
}

/// What `verify` says of the chain: its status and its findings' subjects and details.
fn judged(db: &TestDb, head: Option<&str>) -> (String, Vec<String>) {
    let mut args = vec!["verify", "--only", "ledger-chain", "--format", "json"];
    args.extend(head.iter().flat_map(|head| ["--ledger-head", head]));
    let run = markenmate(&args).db(db).run();
    let said = run.json();
    let status = said["data"]["checks"][0]["status"].as_str().unwrap().to_owned();
    let findings = said["findings"].as_array().unwrap().iter();
    let text = |f: &Value| {
        format!("{}: {}", f["subject"].as_str().unwrap(), f["detail"].as_str().unwrap())
    };
    assert_eq!(run.code, if status == "fail" { 3 } else { 0 }, "{said}");
    (status, findings.map(text).collect())
}

fn head(db: &TestDb) -> String {
    let said = json(markenmate(&["status", "--format", "json"]).db(db), 0);
    let verified =
        json(markenmate(&["verify", "--only", "ledger-chain", "--format", "json"]).db(db), 0);
    assert_eq!(said["data"]["ledger_head"], verified["data"]["ledger_head"]);
    said["data"]["ledger_head"].as_str().unwrap().to_owned()
}

fn rows(db: &TestDb) -> Vec<String> {
    let all = sql(
        db,
        "SELECT number || ' ' || command || ' ' || coalesce(subject, '-') || ' ' || outcome \
           FROM markenmate.ledger ORDER BY number",
    );
    all.into_iter().map(|row| row[0].clone().unwrap()).collect()
}

/// A database with five rows: two migrations, three backups.
fn five() -> TestDb {
    let db = TestDb::baseline();
    markenmate(&["migrate", "--yes", "--to", "2"]).db(&db).run().assert_code(0);
    sql(
        &db,
        "INSERT INTO public.\"user\" (id, name, email) VALUES ('a', 'A', 'a@example.org'); \
         UPDATE public.\"user\" SET role = 'admin'",
    );
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    for name in ["one.dump", "two.dump", "three.dump"] {
        markenmate(&["backup", "-o", name]).db(&db).run().assert_code(0);
    }
    assert_eq!(judged(&db, None), ("pass".into(), vec![]));
    db
}

#[test]
fn every_change_leaves_one_row_and_nothing_else_does() {
    let db = five();
    let wanted = [
        "1 migrate V2 security_hardening (guide: 0001_ancient_jasper_sitwell) done",
        "2 migrate V3 guards done",
        "3 backup one.dump done",
        "4 backup two.dump done",
        "5 backup three.dump done",
    ];
    assert_eq!(rows(&db), wanted);
    for args in [
        &["migrate", "--yes"][..],
        &["migrate", "--check"],
        &["status"],
        &["verify"],
        &["backup", "list"],
        &["migrate", "--dry-run"],
    ] {
        markenmate(args).db(&db).run();
    }
    assert_eq!(rows(&db), wanted);
}

#[test]
fn a_row_says_who_and_why() {
    let db = TestDb::baseline();
    let args =
        ["migrate", "--yes", "--reason", "Wartung 'Ä' \\", "--approved-by", "Technical Lead"];
    let run = json(markenmate(&[&args[..], &["--format", "json"]].concat()).db(&db), 0);
    let row = &sql(
        &db,
        "SELECT run_id, reason, approved_by, tool_version, os_user, host, database_user, detail, previous_hash, \
                (recorded_at > now() - interval '1 minute')::text FROM markenmate.ledger",
    )[0];
    let text = |at: usize| row[at].clone().unwrap_or_default();
    assert_eq!(Value::from(text(0)), run["run_id"]);
    assert_eq!([text(1), text(2)], ["Wartung 'Ä' \\", "Technical Lead"]);
    assert_eq!(text(3), env!("CARGO_PKG_VERSION"));
    assert!(!text(4).is_empty() && !text(5).is_empty() && !text(6).is_empty(), "{row:?}");
    let detail: Value = serde_json::from_str(&text(7)).unwrap();
    assert_eq!(detail["applied"], serde_json::json!([2, 3]));
    assert_eq!([text(8), text(9)], ["0".repeat(64), "true".into()]);
    assert_eq!(one(&db.session(), "SELECT count(*) FROM markenmate.run"), "1");
}

/// A migration that is taken back leaves no row.
#[test]
fn what_did_not_happen_is_not_there() {
    let db = TestDb::baseline();
    sql(
        &db,
        "CREATE FUNCTION public.no() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN \
                  IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity LIKE '%keep_audit%') THEN \
                      RAISE 'no'; END IF; END $$; \
              CREATE EVENT TRIGGER no ON ddl_command_end EXECUTE FUNCTION public.no()",
    );
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(1);
    sql(&db, "DROP EVENT TRIGGER no");
    assert_eq!(one(&db.session(), "SELECT to_regclass('markenmate.ledger') IS NULL"), "t");
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    assert_eq!(rows(&db).len(), 1);
}

#[test]
fn a_change_in_any_column_of_any_row_is_named() {
    let db = five();
    let columns = sql(
        &db,
        "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute \
          WHERE attrelid = 'markenmate.ledger'::regclass AND attnum > 0 AND attname <> 'number'",
    );
    assert_eq!(columns.len(), 16);
    let session = db.session();
    for number in 1..=5 {
        for column in &columns {
            let (name, kind) = (column[0].as_deref().unwrap(), column[1].as_deref().unwrap());
            let changed = match kind {
                "text" => format!("coalesce(overlay({name} placing 'x' from 1 for 1), 'x')"),
                _ => format!("{name} + interval '1 microsecond'"),
            };
            session.sql("CREATE TEMP TABLE kept AS TABLE markenmate.ledger");
            session.sql(&format!(
                "UPDATE markenmate.ledger SET {name} = {changed} WHERE number = {number}"
            ));
            let (status, found) = judged(&db, None);
            session.sql(
                "DELETE FROM markenmate.ledger; INSERT INTO markenmate.ledger TABLE kept; DROP TABLE kept",
            );
            assert_eq!(status, "fail", "{name} of {number}");
            assert_eq!(
                found,
                [format!(
                    "markenmate.ledger, row {number}: was changed after it was written: its hash is not that of its columns"
                )],
                "{name}"
            );
        }
    }
    assert_eq!(judged(&db, None).0, "pass");
}

#[test]
fn rows_removed_swapped_or_written_anew_are_named() {
    let db = five();
    let exported = head(&db);
    assert!(exported.starts_with("5:"), "{exported}");
    let session = db.session();
    let tried = |change: &str, head: Option<&str>| {
        session.sql("CREATE TEMP TABLE kept AS TABLE markenmate.ledger");
        session.sql(change);
        let judged = judged(&db, head);
        session.sql(
            "DELETE FROM markenmate.ledger; INSERT INTO markenmate.ledger TABLE kept; DROP TABLE kept",
        );
        judged
    };
    let found = tried("DELETE FROM markenmate.ledger WHERE number = 3", None).1;
    assert!(
        found[0].starts_with("markenmate.ledger, row 4: is the first after number 2"),
        "{found:?}"
    );
    let found = tried("DELETE FROM markenmate.ledger WHERE number = 1", None).1;
    assert!(
        found[0].starts_with("markenmate.ledger, row 2: is the first after number 0"),
        "{found:?}"
    );
    let found = tried(
        "UPDATE markenmate.ledger SET number = -number WHERE number IN (2, 4); \
         UPDATE markenmate.ledger SET number = 6 + number WHERE number < 0",
        None,
    );
    assert!(found.1[0].starts_with("markenmate.ledger, row 2: was changed"), "{found:?}");

    // The newest rows gone: only a head that was exported tells.
    let newest = "DELETE FROM markenmate.ledger WHERE number > 3";
    assert_eq!(tried(newest, None).0, "pass");
    let found = tried(newest, Some(&exported)).1;
    assert_eq!(
        found,
        ["markenmate.ledger, row 5: is the exported head, and is gone: the ledger ends with row 3"]
    );
    assert_eq!(judged(&db, Some(&exported)), ("pass".into(), vec![]));

    // The last row written anew with a hash that fits.
    let rehash = format!(
        "UPDATE markenmate.ledger l SET reason = 'forged' WHERE number = 5; \
         UPDATE markenmate.ledger f SET hash = {} WHERE number = 5",
        markenmate::db::ledger::HASH
    );
    assert_eq!(tried(&rehash, None).0, "pass");
    let found = tried(&rehash, Some(&exported)).1;
    assert_eq!(
        found,
        ["markenmate.ledger, row 5: is not the row that was exported: it was written anew since"]
    );
    // One in the middle: the row after it tells.
    let found = tried(&rehash.replace("number = 5", "number = 2"), None).1;
    assert!(found[0].starts_with("markenmate.ledger, row 3: does not continue"), "{found:?}");
    let wrong = markenmate(&["verify", "--ledger-head", "5"]).db(&db).run();
    assert!(wrong.code == 2 && wrong.stderr.contains("64 hexadecimal digits"), "{wrong:?}");
}

#[test]
fn without_a_ledger_it_is_skipped_and_one_that_is_gone_is_an_error() {
    let db = TestDb::hardened();
    assert_eq!(judged(&db, None).0, "skipped");
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    sql(&db, "DROP TABLE markenmate.ledger");
    let (status, found) = judged(&db, None);
    assert!(status == "fail" && found[0].contains("42P01"), "{found:?}");
}

/// The row goes to the database that has the name now, and names both heads.
#[test]
fn a_restore_names_both_heads() {
    let db = five();
    let path = db.folder().join("two.dump");
    let restored = json(
        markenmate(&[
            "rollback",
            "--restore",
            path.to_str().unwrap(),
            "--confirm",
            &db.name,
            "--format",
            "json",
        ])
        .db(&db),
        0,
    );
    let kept = restored["data"]["kept_as"].as_str().unwrap().to_owned();
    let newest = &sql(
        &db,
        "SELECT number::text, command, detail, outcome FROM markenmate.ledger ORDER BY number DESC LIMIT 1",
    )[0];
    // The backup's own row came after its snapshot: the restored ledger ends before it.
    assert_eq!(newest[0].as_deref(), Some("4"));
    assert_eq!(newest[1].as_deref(), Some("rollback --restore"));
    let detail: Value = serde_json::from_str(newest[2].as_deref().unwrap()).unwrap();
    assert_eq!(detail["kept_as"], Value::from(kept.clone()));
    // Five rows, and the safety backup's.
    assert!(detail["head_before"].as_str().unwrap().starts_with("6:"), "{detail}");
    assert!(detail["head_restored"].as_str().unwrap().starts_with("3:"), "{detail}");
    assert_eq!(judged(&db, None).0, "pass");
    let before = detail["head_before"].as_str().unwrap();
    let found = judged(&db, Some(before)).1;
    assert!(
        found[0].contains("row 4 is of a restore, and its detail names the head before it"),
        "{found:?}"
    );
    let session = Session::open(&cluster().url("postgres"));
    session.sql(&format!("DROP DATABASE \"{kept}\" WITH (FORCE)"));
}
