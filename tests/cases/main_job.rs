//! The main job: a real database, migrated and looked at.

use markenmate::migrations::registry;
use markenmate::sandbox::sample::Sample;

use crate::support::schema::{digests, shape};
use crate::support::{TestDb, markenmate, sql};

fn contract(version: i32) -> markenmate::db::catalogue::Catalogue {
    registry::find(version).unwrap().contract().clone()
}

fn one(db: &TestDb, text: &str) -> Option<String> {
    sql(db, text)[0][0].clone()
}

#[test]
fn a_baseline_with_orphans_is_migrated_and_no_row_changes() {
    let db = TestDb::empty();
    sql(&db, registry::find(1).unwrap().sql);
    sql(&db, &Sample { users: 300, orphans: true }.sql());
    let before = digests(&db);

    let run = markenmate(&["migrate", "--yes", "--format", "json"]).db(&db).run().assert_code(0);
    let document = run.json();
    assert_eq!(document["outcome"], "done");
    assert_eq!(document["data"]["adopted"], serde_json::json!([1]));
    assert_eq!(document["data"]["applied"], serde_json::json!([2, 3]));
    assert!(document["data"]["longest_lock_ms"].as_f64().is_some());
    assert!(run.stderr.starts_with("target: "), "{}", run.stderr);

    assert_eq!(shape(&db), contract(3));
    assert_eq!(digests(&db), before);

    let again = markenmate(&["migrate", "--yes", "--format", "json"]).db(&db).run().assert_code(0);
    assert_eq!(again.json()["outcome"], "nothing_to_do");
    assert_eq!(digests(&db), before);
}

#[test]
fn an_empty_database_gets_the_whole_application() {
    let db = TestDb::empty();
    let run = markenmate(&["migrate", "--dry-run"]).db(&db).run().assert_code(0);
    assert!(run.stdout.contains("build V1 baseline"), "{}", run.stdout);
    assert_eq!(
        one(&db, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").unwrap(),
        "0"
    );

    let run = markenmate(&["migrate", "--yes", "--format", "json"]).db(&db).run().assert_code(0);
    assert_eq!(run.json()["data"]["applied"], serde_json::json!([1, 2, 3]));
    assert_eq!(shape(&db), contract(3));
}

#[test]
fn a_dry_run_shows_the_plan_and_the_sql_and_changes_nothing() {
    let db = TestDb::baseline();
    let before = shape(&db);
    let run =
        markenmate(&["migrate", "--dry-run", "--format", "json"]).db(&db).run().assert_code(0);
    let document = run.json();
    assert_eq!((&document["outcome"], &document["dry_run"]), (&"planned".into(), &true.into()));
    let steps: Vec<&str> =
        document["steps"].as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap()).collect();
    assert_eq!(steps, ["own-1", "own-2", "own-3", "own-4", "adopt-1", "apply-2", "apply-3"]);
    let human = markenmate(&["migrate", "--dry-run"]).db(&db).run().assert_code(0);
    assert!(human.stdout.contains("LOCK TABLE public.\"user\" IN ACCESS EXCLUSIVE MODE"));
    assert_eq!(shape(&db), before);
    let own = "SELECT count(*) FROM pg_namespace WHERE nspname = 'markenmate'";
    assert_eq!(one(&db, own).unwrap(), "0");
}

#[test]
fn the_run_is_kept_with_its_reason() {
    let db = TestDb::baseline();
    let args = ["migrate", "--yes", "--reason", "Wartung 'Ä'", "--approved-by", "Technical Lead"];
    markenmate(&args).db(&db).run().assert_code(0);
    let rows = sql(
        &db,
        "SELECT r.reason, r.approved_by, h.adopted, h.transaction_id = r.transaction_id \
           FROM markenmate.run r JOIN markenmate.refinery_schema_history h USING (run_id) ORDER BY version",
    );
    let row = |adopted: &str| {
        ["Wartung 'Ä'", "Technical Lead", adopted, "t"].map(|t| Some(t.to_owned())).to_vec()
    };
    assert_eq!(rows, [row("t"), row("f"), row("f")]);
}

#[test]
fn the_archive_has_the_audit_logs_columns_then_four_of_its_own() {
    let db = TestDb::baseline();
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    let columns = |table: &str| -> Vec<String> {
        sql(&db, &format!(
            "SELECT attname || ' ' || format_type(atttypid, atttypmod) FROM pg_attribute \
              WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        ))
        .into_iter()
        .map(|row| row[0].clone().unwrap())
        .collect()
    };
    let mut expected = columns("public.audit_log");
    expected.extend([
        "archived_at timestamp with time zone".to_owned(),
        "archive_id bigint".to_owned(),
        "reason text".to_owned(),
        "cleanup_id bigint".to_owned(),
    ]);
    assert_eq!(columns("markenmate.audit_log_archive"), expected);
}

/// Up, down, up again; what is taken back is the contract below, and what was in it is kept.
#[test]
fn every_migration_from_the_second_on_goes_up_down_and_up() {
    for entry in registry::APP.iter().filter(|entry| entry.version > 1) {
        let db = TestDb::baseline();
        let to = entry.version.to_string();
        let up = || markenmate(&["migrate", "--yes", "--to", &to]).db(&db).run().assert_code(0);
        up();
        assert_eq!(shape(&db), contract(entry.version), "{entry}");
        sql(
            &db,
            "UPDATE public.\"user\" SET is_master_admin = true \
              WHERE id = (SELECT min(id) FROM public.\"user\" WHERE role = 'admin'); \
             INSERT INTO public.audit_log (user_id, action) SELECT min(id), 'CHANGE_ROLE' FROM public.\"user\"",
        );
        let rows = digests(&db);

        let down = markenmate(&["util", "down", &to]).run().assert_code(0).stdout;
        sql(&db, &down);
        assert_eq!(shape(&db), contract(entry.version - 1), "{entry}");
        assert_eq!(digests(&db), rows);
        let kept = if entry.version == 2 { set_aside(&db) } else { in_place(&db) };
        assert_eq!(kept, ["1", "1"], "{entry}");

        up();
        assert_eq!(shape(&db), contract(entry.version), "{entry}");
        assert_eq!(digests(&db), rows);
        // A second time back: nothing collides with what the first set aside.
        sql(&db, &down);
        assert_eq!(shape(&db), contract(entry.version - 1), "{entry}");
    }
}

/// How many audit rows and how many master admins the way back set aside: one table of each.
fn set_aside(db: &TestDb) -> Vec<String> {
    let tables = sql(
        db,
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
          WHERE n.nspname = 'markenmate_quarantine' AND c.relkind = 'r' \
            AND (c.relname LIKE 'audit_log%' OR c.relname LIKE 'user_is_master_admin%')",
    );
    let count = |table: &str| format!("SELECT count(*) FROM markenmate_quarantine.\"{table}\"");
    tables.iter().map(|row| one(db, &count(row[0].as_ref().unwrap())).unwrap()).collect()
}

/// The same, where nothing was set aside: the columns and tables are those of the version below.
fn in_place(db: &TestDb) -> Vec<String> {
    assert_eq!(one(db, "SELECT to_regnamespace('markenmate_quarantine')"), None);
    ["public.audit_log", "public.\"user\" WHERE is_master_admin"]
        .map(|rows| one(db, &format!("SELECT count(*) FROM {rows}")).unwrap())
        .to_vec()
}

/// A yes is for the application's database: another one is named in full.
#[test]
fn a_database_of_something_else_is_built_into_only_by_name() {
    let db = TestDb::empty();
    sql(&db, "CREATE TABLE public.orders (id integer)");
    let run = markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(4);
    assert!(run.stderr.contains(&format!("to consent: --confirm {}", db.name)), "{}", run.stderr);
    assert_eq!(one(&db, "SELECT to_regnamespace('markenmate')"), None);
    let status = markenmate(&["status", "--format", "json"]).db(&db).run().assert_code(0).json();
    assert_eq!(status["findings"][0]["id"], "not-empty", "{status:#}");
    markenmate(&["migrate", "--confirm", &db.name]).db(&db).run().assert_code(0);
    assert_eq!(one(&db, "SELECT count(*) FROM public.orders").unwrap(), "0");
}

#[test]
fn going_below_the_first_version_is_refused() {
    let run = markenmate(&["util", "down", "1"]).run().assert_code(4);
    assert!(run.stderr.contains("no way back"), "{}", run.stderr);
    let db = TestDb::baseline();
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    let run = markenmate(&["migrate", "--yes", "--to", "1"]).db(&db).run().assert_code(4);
    assert!(run.stderr.contains("migrate only goes up"), "{}", run.stderr);
}

#[test]
fn an_archive_made_by_following_the_guide_is_reported() {
    let db = TestDb::baseline();
    sql(&db, "CREATE TABLE public.audit_log_archive (id integer)");
    let run = markenmate(&["migrate", "--yes", "--format", "json"]).db(&db).run().assert_code(0);
    let findings = run.json()["findings"].clone();
    let ids: Vec<&str> =
        findings.as_array().unwrap().iter().map(|f| f["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["guide-archive", "old-app-restart", "no-backup"]);
    assert_eq!(one(&db, "SELECT count(*) FROM public.audit_log_archive").unwrap(), "0");
}

#[test]
fn the_app_goes_on_while_its_push_has_taken_the_columns_away() {
    let db = TestDb::baseline();
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    sql(&db, "ALTER TABLE public.\"user\" DROP COLUMN is_master_admin");
    sql(&db, "UPDATE public.\"user\" SET name = name");
    let run = markenmate(&["migrate", "--yes", "--format", "json"]).db(&db).run().assert_code(4);
    let document = run.json();
    assert_eq!(document["outcome"], "refused");
    let remedy = document["findings"][0]["remedy"].as_str().unwrap();
    assert_eq!(
        remedy,
        "ALTER TABLE public.\"user\" ADD COLUMN is_master_admin boolean DEFAULT false NOT NULL;"
    );
    sql(&db, remedy);
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    assert_eq!(shape(&db), contract(3));

    // All that a push drops at once: the triggers go with the tables, and those that stay say nothing
    // about a column that is gone. What the old app writes goes through.
    sql(
        &db,
        r#"ALTER TABLE public."user" DROP COLUMN is_master_admin;
           ALTER TABLE public.token_lending DROP COLUMN version;
           ALTER TABLE public.app_log DROP COLUMN correlation_id;
           DROP TABLE public.audit_log, public.step_up_token;
           INSERT INTO public."user" (id, name, email) VALUES ('late', 'L', 'late@example.org');
           INSERT INTO public.token_lending (user_id, person_name, token_count) VALUES ('late', 'P', 1);
           UPDATE public."user" SET role = 'admin' WHERE id = 'late';
           UPDATE public.token_lending SET token_count = token_count / 2;
           UPDATE public.token_lending SET token_count = 0 WHERE id = -1;
           UPDATE public."user" SET role = 'user' WHERE id = 'late';
           DELETE FROM public.token_lending WHERE user_id = 'late';
           DELETE FROM public."user" WHERE id = 'late'"#,
    );
    let verify = ["verify", "--only", "contract", "--format", "json"];
    let document = markenmate(&verify).db(&db).run().assert_code(3).json();
    let findings = document["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 5, "{document:#}");
    for finding in findings {
        sql(&db, finding["remedy"].as_str().unwrap());
    }
    assert_eq!(shape(&db), contract(3));
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    let late = "UPDATE public.token_lending SET token_count = 0, version = 1 WHERE id = -1";
    let error = db.session().try_sql(late).unwrap_err();
    assert_eq!(error.code().unwrap().code(), "40001", "{error:?}");
}
