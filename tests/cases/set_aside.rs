//! `cleanup set-aside`: what rollback and restore have kept goes when somebody says so, and only then.

use crate::support::state::{assert_migrated, one};
use crate::support::{Run, TestDb, markenmate, sql};

use super::rollback::{rollback, used};

fn cleanup(db: &TestDb, args: &[&str]) -> Run {
    markenmate(&[&["cleanup", "set-aside", "--format", "json"], args].concat()).db(db).run()
}

fn tables(db: &TestDb) -> String {
    one(
        &db.session(),
        "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = to_regnamespace('markenmate_quarantine')",
    )
}

#[test]
fn what_is_kept_is_listed_and_dropped_only_on_the_typed_phrase() {
    let db = used();
    assert_eq!(cleanup(&db, &[]).assert_code(0).json()["outcome"], "nothing_to_do");
    rollback(&db, &[]).assert_code(0);
    assert_eq!(tables(&db), "5");
    let listed = cleanup(&db, &["--dry-run"]).assert_code(0).json();
    let of = |what: &str| {
        let tables = listed["data"]["tables"].as_array().unwrap();
        tables
            .iter()
            .find(|table| table["what"] == what)
            .unwrap_or_else(|| panic!("{listed:#}"))
            .clone()
    };
    assert_eq!(of("public.audit_log")["state"], "kept");
    assert!(of("public.audit_log")["rows"].as_u64() > Some(3));
    assert!(of("public.token_lending.version")["bytes"].as_u64() > Some(0));
    // Where nobody can be asked it is listed all the same.
    let refused = cleanup(&db, &["--yes"]).assert_code(4).json();
    assert_eq!(refused["data"], listed["data"], "{refused:#}");
    let piped = markenmate(&["cleanup", "set-aside"]).db(&db).run().assert_code(4);
    let name = of("public.audit_log")["name"].as_str().unwrap().to_owned();
    assert!(piped.stdout.contains(&name), "{}", piped.stdout);
    assert!(piped.stderr.contains("to consent: --confirm"), "{}", piped.stderr);
    assert_eq!(tables(&db), "5");
    let unknown = cleanup(&db, &["other", "--confirm", &db.name]).assert_code(4);
    assert!(unknown.stdout.contains("nothing of the name"), "{}", unknown.stdout);

    // One of them, by its name.
    let name = of("public.step_up_token")["name"].as_str().unwrap().to_owned();
    let done = cleanup(&db, &[&name, "--confirm", &db.name]).assert_code(0).json();
    assert_eq!(done["data"]["dropped"], serde_json::json!([name]), "{done:#}");
    assert_eq!(tables(&db), "4");
    // The rest returns.
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    assert_migrated(&db.url);
    assert_eq!(tables(&db), "0");
    let session = db.session();
    assert_eq!(one(&session, "SELECT count(*) FROM public.step_up_token"), "0");
    assert_ne!(one(&session, "SELECT count(*) FROM public.audit_log"), "0");
    let ledger = "SELECT count(*) FROM markenmate.ledger WHERE command = 'cleanup set-aside' AND detail LIKE '%step_up_token%'";
    assert_eq!(one(&session, ledger), "1");
    markenmate(&["verify", "--only", "ledger-chain"]).db(&db).run().assert_code(0);
}

#[test]
fn what_could_not_return_is_counted_and_stays_until_it_is_dropped() {
    let db = used();
    let session = db.session();
    let user = "(SELECT u.id FROM public.\"user\" u WHERE u.role <> 'admin' ORDER BY u.id LIMIT 1)";
    let rows =
        one(&session, &format!("SELECT count(*) FROM public.audit_log WHERE user_id = {user}"));
    rollback(&db, &[]).assert_code(0);
    sql(&db, &format!("DELETE FROM public.\"user\" WHERE id = {user}"));
    let done =
        markenmate(&["migrate", "--yes", "--format", "json"]).db(&db).run().assert_code(0).json();
    let audit = done["data"]["returned"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["what"] == "public.audit_log")
        .unwrap();
    assert_eq!(audit["archived"].to_string(), rows, "{done:#}");
    let left = done["findings"].as_array().unwrap().iter().find(|f| f["id"] == "set-aside-left");
    // Its remedy shows first what it would take.
    assert_eq!(left.unwrap()["remedy"], "markenmate cleanup set-aside --dry-run");
    assert!(
        done["findings"].as_array().unwrap().iter().any(|f| f["id"] == "set-aside-left"),
        "{done:#}"
    );
    // It is not asked for again.
    let again =
        markenmate(&["migrate", "--yes", "--format", "json"]).db(&db).run().assert_code(0).json();
    assert_eq!(again["outcome"], "nothing_to_do", "{again:#}");
    let listed = cleanup(&db, &["--dry-run"]).assert_code(0).json();
    assert!(
        listed["data"]["tables"].as_array().unwrap().iter().all(|t| t["state"] == "left"),
        "{listed:#}"
    );
    cleanup(&db, &["--confirm", &db.name]).assert_code(0);
    assert_eq!(tables(&db), "0");
}

#[test]
fn what_is_on_its_way_back_is_not_dropped() {
    let db = used();
    rollback(&db, &[]).assert_code(0);
    sql(&db, "UPDATE markenmate.set_aside SET state = 'returning' WHERE of_table = 'audit_log'");
    let check = markenmate(&["migrate", "--check", "--format", "json"]).db(&db).run();
    let check = check.assert_code(3).json();
    let pending = |finding: &serde_json::Value| finding["subject"] == "public.audit_log";
    assert!(check["findings"].as_array().unwrap().iter().any(pending), "{check:#}");
    let run = cleanup(&db, &["--confirm", &db.name]).assert_code(4);
    assert!(run.stdout.contains("is on its way back"), "{}", run.stdout);
    assert_eq!(tables(&db), "5");
}

#[test]
fn a_database_that_a_restore_kept_is_dropped_when_nobody_is_connected() {
    let db = TestDb::migrated();
    let kept = format!("{}_before_restore_20260101120000", db.name);
    let other = format!("{}_before_restore_of_mine", db.name);
    let maintenance = db.session();
    for name in [&kept, &other] {
        maintenance.sql(&format!("CREATE DATABASE \"{name}\""));
    }
    let session = crate::support::Session::open(&db.url.replace(&db.name, &kept));
    let run = cleanup(&db, &["--confirm", &db.name]).assert_code(1);
    assert!(run.stdout.contains("whoever is connected"), "{}", run.stdout);
    drop(session);
    let gone = || {
        one(
            &maintenance,
            &format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{kept}'"),
        ) == "0"
    };
    assert!(crate::support::wait_until(std::time::Duration::from_secs(5), gone));
    let done = cleanup(&db, &["--confirm", &db.name]).assert_code(0).json();
    assert_eq!(done["data"]["dropped"], serde_json::json!([kept]), "{done:#}");
    assert_eq!(
        one(
            &maintenance,
            &format!("SELECT count(*) FROM pg_database WHERE datname IN ('{kept}', '{other}')")
        ),
        "1"
    );
    maintenance.sql(&format!("DROP DATABASE \"{other}\""));
}
