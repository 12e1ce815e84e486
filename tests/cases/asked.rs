//! What `verify` was asked for by a flag is judged, or it is said that it was not; and what it says to type next
//! asks for the same.

use serde_json::{Value, json};

use crate::support::{TestDb, markenmate, sql};

const HEAD: &str = "7:0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f";

fn verify(url: &str, args: &[&str], code: i32) -> Value {
    markenmate(&[&["verify", "--format", "json"], args].concat())
        .url(url)
        .run()
        .assert_code(code)
        .json()
}

/// A login that may read the tables of schema `public`, and nothing else; the caller drops it.
fn reader(db: &TestDb) -> String {
    let role = format!("reads_{}", db.name);
    sql(
        db,
        &format!("CREATE ROLE {role} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"),
    );
    role
}

fn drop_role(db: &TestDb, role: &str) {
    sql(db, &format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn an_exported_head_that_nobody_looks_for_is_a_wrong_command_line() {
    let db = TestDb::migrated();
    for more in [["--only", "orphans"], ["--skip", "ledger-chain"]] {
        let document = verify(&db.url, &[&["--ledger-head", HEAD], &more[..]].concat(), 2);
        assert!(
            document["error"]["message"].as_str().unwrap().contains("ledger-chain"),
            "{document:#}"
        );
    }
}

#[test]
fn an_exported_head_that_could_not_be_looked_for_was_not_found() {
    let args = ["--only", "ledger-chain", "--ledger-head", HEAD];
    let found = |document: &Value| -> (Value, String) {
        let finding = &document["findings"][0];
        assert_eq!(finding["severity"], "error", "{document:#}");
        assert_eq!(finding["subject"], format!("head {HEAD}"));
        (document["data"]["checks"][0]["status"].clone(), finding["detail"].to_string())
    };
    let none = TestDb::hardened();
    let (status, detail) = found(&verify(&none.url, &args, 3));
    assert!(
        status == "fail" && detail.contains("was not found: there is no operator ledger"),
        "{detail}"
    );
    let db = TestDb::migrated();
    let role = reader(&db);
    let (status, detail) = found(&verify(&db.url_as(&role), &args, 3));
    assert!(status == "fail" && detail.contains("was not found"), "{detail}");
    // Without a head to look for it is skipped as ever.
    assert_eq!(verify(&none.url, &args[..2], 0)["data"]["checks"][0]["status"], "skipped");
    drop_role(&db, &role);
}

#[test]
fn a_probe_that_was_asked_for_and_not_tried_is_a_warning() {
    let db = TestDb::migrated();
    let role = reader(&db);
    let args = ["--probe", "--yes", "--only", "probe-last-admin"];
    let document = verify(&db.url_as(&role), &args, 0);
    let detail = document["findings"][0]["detail"].to_string();
    assert!(detail.contains("was asked for, and was not judged: permission denied"), "{detail}");
    assert_eq!(document["findings"][0]["severity"], "warning");
    let strict = [&args[..], &["--fail-on", "warning"]].concat();
    verify(&db.url_as(&role), &strict, 3);
    let human = markenmate(&[&["verify"], &args[..]].concat()).url(&db.url_as(&role)).run();
    let said = "Not everything that was asked for could be judged";
    assert!(human.stdout.contains(said), "{}", human.stdout);
    drop_role(&db, &role);
    sql(&db, &format!("ALTER DATABASE {} SET default_transaction_read_only = on", db.name));
    let document = verify(&db.url, &strict, 3);
    assert!(
        document["findings"][0]["detail"].to_string().contains("default_transaction_read_only")
    );
    // Nobody asked.
    verify(&db.url, &["--only", "probe-last-admin", "--fail-on", "warning"], 0);
}

#[test]
fn the_next_command_asks_for_the_same() {
    let db = TestDb::migrated();
    let args = ["--only", "master-admin-set,admin-exists", "--probe", "--fail-on", "warning"];
    let document = verify(&db.url, &args, 3);
    let next = "markenmate verify --only master-admin-set,admin-exists --fail-on warning --probe";
    assert_eq!(document["next"], next);
}

#[test]
fn where_nothing_is_to_be_migrated_the_next_look_is_at_that_version() {
    let db = TestDb::baseline();
    let args = ["migrate", "--yes", "--to", "2", "--format", "json"];
    for _ in 0..2 {
        let document = markenmate(&args).db(&db).run().assert_code(0).json();
        let next = document["next"].as_str().unwrap();
        assert!(
            ["markenmate verify --to 2", "markenmate set-master-admin"].contains(&next),
            "{next}"
        );
    }
    let dry = ["migrate", "--dry-run", "--to", "2", "--format", "json"];
    let document = markenmate(&dry).db(&db).run().assert_code(0).json();
    assert_eq!(
        (&document["outcome"], &document["next"]),
        (&json!("nothing_to_do"), &json!("markenmate verify --to 2"))
    );
    let dry = ["migrate", "--dry-run", "--format", "json"];
    let document = markenmate(&dry).db(&TestDb::migrated()).run().assert_code(0).json();
    assert_eq!(document["next"], "markenmate verify");
}
