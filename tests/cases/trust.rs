//! Whoever owns schema `markenmate` is not whoever runs the tool: what the application's role could
//! put there is run by nobody, a superuser least of all.

use serde_json::Value;

use crate::support::state::{assert_migrated, catalogue, one, owned_by};
use crate::support::{TestDb, markenmate, sql};

/// A database at version 1 whose tables, `markenmate`'s included, belong to a role of the application's,
/// and a function of that role's which would make it a superuser if a superuser ran it.
fn owned_by_the_application() -> (TestDb, String) {
    let db = TestDb::baseline();
    let app = format!("app_{}", db.name);
    sql(
        &db,
        &format!(
            "CREATE ROLE {app} LOGIN;
             ALTER SCHEMA public OWNER TO {app};
             {}",
            owned_by(&app)
        ),
    );
    markenmate(&["migrate", "--yes", "--to", "1"]).db(&db).run().assert_code(0);
    sql(
        &db,
        &format!(
            "SET SESSION AUTHORIZATION {app};
             CREATE FUNCTION markenmate.climb() RETURNS text LANGUAGE plpgsql AS $$ BEGIN
               EXECUTE 'RESET ROLE';
               IF current_setting('is_superuser') = 'on' THEN EXECUTE 'ALTER ROLE {app} SUPERUSER'; END IF;
               RETURN ''; END $$;
             CREATE FUNCTION markenmate.climb_on_write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               PERFORM markenmate.climb(); RETURN NEW; END $$"
        ),
    );
    (db, app)
}

const HISTORY: &str = "markenmate.refinery_schema_history";

#[test]
fn what_stands_beside_rows_in_our_schema_is_found_and_never_run() {
    let (db, app) = owned_by_the_application();
    let view = format!(
        "ALTER TABLE {HISTORY} RENAME TO kept;
         CREATE VIEW {HISTORY} AS SELECT version, name, applied_on, checksum || markenmate.climb() AS checksum
           FROM markenmate.kept"
    );
    let undo_view = format!(
        "DROP VIEW {HISTORY}; ALTER TABLE markenmate.kept RENAME TO refinery_schema_history"
    );
    let on = |table: &str, trap: &str| trap.replace("%", &format!("markenmate.{table}"));
    let trigger = "CREATE TRIGGER trap BEFORE INSERT OR DELETE ON % FOR EACH ROW EXECUTE FUNCTION markenmate.climb_on_write()";
    let traps = [
        (view, undo_view, "refinery_schema_history is no plain table"),
        (
            on("refinery_schema_history", trigger),
            on("refinery_schema_history", "DROP TRIGGER trap ON %"),
            "trigger trap",
        ),
        (on("run", trigger), on("run", "DROP TRIGGER trap ON %"), "trigger trap on run"),
        (
            on(
                "audit_log_archive",
                "CREATE RULE trap AS ON INSERT TO % DO ALSO SELECT markenmate.climb()",
            ),
            on("audit_log_archive", "DROP RULE trap ON %"),
            "rule trap",
        ),
        (
            on("run", "ALTER TABLE % ADD COLUMN trap text DEFAULT markenmate.climb()"),
            on("run", "ALTER TABLE % DROP COLUMN trap"),
            "needs function markenmate.climb()",
        ),
        (
            on(
                "refinery_own_history",
                "ALTER TABLE % ADD CONSTRAINT trap CHECK (markenmate.climb() IS NULL) NOT VALID",
            ),
            on("refinery_own_history", "ALTER TABLE % DROP CONSTRAINT trap"),
            "needs function markenmate.climb()",
        ),
        (
            on("refinery_schema_history", "CREATE TABLE markenmate.child () INHERITS (%)"),
            "DROP TABLE markenmate.child".into(),
            "has children",
        ),
    ];
    for (trap, undo, said) in traps {
        sql(&db, &format!("SET SESSION AUTHORIZATION {app}; {trap}"));
        let before = catalogue(&db.session());
        for command in
            [vec!["status"], vec!["verify"], vec!["migrate", "--dry-run"], vec!["migrate", "--yes"]]
        {
            let run = markenmate(&[&command[..], &["--format", "json"]].concat()).db(&db).run();
            let document = run.json();
            let code = match command[0] {
                "status" => 0,
                "verify" => 3,
                _ => 4,
            };
            assert_eq!(run.code, code, "{trap}\n{command:?}: {document:#}");
            assert!(run.stdout.contains(said), "{trap}\n{command:?}: {document:#}");
        }
        assert_eq!(catalogue(&db.session()), before, "{trap}");
        assert_eq!(
            one(
                &db.session(),
                &format!("SELECT rolsuper::text FROM pg_roles WHERE rolname = '{app}'")
            ),
            "false",
            "{trap}"
        );
        sql(&db, &format!("SET SESSION AUTHORIZATION {app}; {undo}"));
        markenmate(&["migrate", "--yes", "--to", "1"]).db(&db).run().assert_code(0);
    }
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    assert_migrated(&db.url);
}

#[test]
fn a_damaged_history_is_named_and_nothing_is_done() {
    for damage in [
        "DROP TABLE markenmate.refinery_own_history",
        "DROP TABLE markenmate.refinery_schema_history",
    ] {
        let db = TestDb::baseline();
        markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
        sql(&db, damage);
        let before = catalogue(&db.session());
        let find = |args: &[&str], code: i32| -> Value {
            let args = [args, &["--format", "json"]].concat();
            markenmate(&args).db(&db).run().assert_code(code).json()
        };
        let status = find(&["status"], 0);
        let finding = &status["findings"][0];
        assert_eq!(
            (finding["id"].as_str(), finding["severity"].as_str()),
            (Some("history"), Some("error")),
            "{status:#}"
        );
        let refused = find(&["migrate", "--yes"], 4);
        assert!(
            refused["error"]["message"].as_str().unwrap().contains("history is damaged"),
            "{refused:#}"
        );
        find(&["migrate", "--check"], 4);
        find(&["verify", "--only", "history"], 3);
        assert_eq!(catalogue(&db.session()), before, "{damage}");
    }
}

/// A member that does not inherit may read nothing as itself, but everything as the owner it may become.
#[test]
fn a_member_that_does_not_inherit_reads_what_it_wrote() {
    let (db, app) = owned_by_the_application();
    let ops = format!("ops_{}", db.name);
    sql(&db, &format!("CREATE ROLE {ops} LOGIN NOINHERIT; GRANT {app} TO {ops}"));
    let url = db.url_as(&ops);
    markenmate(&["migrate", "--yes"]).url(&url).run().assert_code(0);
    let again = markenmate(&["migrate", "--yes"]).url(&url).run().assert_code(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
    let status = markenmate(&["status", "--format", "json"]).url(&url).run().assert_code(0).json();
    assert_eq!(status["data"]["state"], "current", "{status:#}");
}
