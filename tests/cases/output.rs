//! Help, human output and JSON as files to be reviewed.

use crate::support::{TestDb, markenmate, scrub, sql};

fn snapshot(name: &str, text: &str) {
    insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "../snapshots", omit_expression => true }, {
        insta::assert_snapshot!(name, scrub(text));
    });
}

#[test]
fn help() {
    for command in [
        "",
        "migrate",
        "rehearse",
        "stats",
        "stats audit",
        "status",
        "verify",
        "demo",
        "util",
        "set-master-admin",
        "admin",
        "admin promote",
        "cleanup schedule",
    ] {
        let args: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let run = markenmate(&args).run().assert_code(0);
        let name = if command.is_empty() { "markenmate" } else { command };
        snapshot(&format!("help-{}", name.replace(' ', "-")), &run.stdout);
    }
}

#[test]
fn status_before_and_after() {
    let db = TestDb::baseline();
    for name in ["before", "after"] {
        let human = markenmate(&["status"]).db(&db).run().assert_code(0);
        snapshot(&format!("status-{name}"), &human.stdout);
        let json = markenmate(&["status", "--format", "json"]).db(&db).run().assert_code(0);
        snapshot(&format!("status-{name}-json"), &json.stdout);
        markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    }
}

#[test]
fn migrate_human_and_json() {
    let db = TestDb::baseline();
    let run = markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    snapshot("migrate", &run.stdout);
    let run = markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    snapshot("migrate-again", &run.stdout);
    let db = TestDb::baseline();
    let run = markenmate(&["migrate", "--yes", "--format", "json"]).db(&db).run().assert_code(0);
    snapshot("migrate-json", &run.stdout);
}

#[test]
fn a_refusal_human_and_json() {
    let db = TestDb::baseline();
    sql(&db, "ALTER TABLE public.token_lending ADD COLUMN version integer DEFAULT 0");
    let run = markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(4);
    snapshot("refused", &run.stderr);
    let run = markenmate(&["migrate", "--yes", "--format", "json"]).db(&db).run().assert_code(4);
    snapshot("refused-json", &run.stdout);
}

#[test]
fn hostile_names_are_shown_and_not_obeyed() {
    let db = TestDb::baseline();
    sql(
        &db,
        "CREATE ROLE \"\u{1b}[31mroot\u{202e}\"; ALTER TABLE public.account OWNER TO \"\u{1b}[31mroot\u{202e}\"",
    );
    let run = markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(4);
    assert!(run.stderr.contains("\\u{1b}[31mroot\\u{202e}"), "{}", run.stderr);
    assert!(!run.stderr.contains('\u{1b}') && !run.stderr.contains('\u{202e}'));
    sql(
        &db,
        "DROP OWNED BY \"\u{1b}[31mroot\u{202e}\" CASCADE; DROP ROLE \"\u{1b}[31mroot\u{202e}\"",
    );
}
