//! Surroundings that nobody planned for: privileges by default, lost rows, publications, foreign keys that
//! write, other owners.

use super::guards::{LAST, STALE};
use crate::support::app::{at_version, said};
use crate::support::state::one;
use crate::support::{Session, TestDb, markenmate, sql};

fn refusal(session: &Session, does: &str) -> Option<(String, String)> {
    session.try_sql(does).err().map(said)
}

fn state(session: &Session, does: &str) -> String {
    refusal(session, does).unwrap_or_default().0
}

/// A role that gets every privilege on whatever its owner makes, as some installations have it.
fn with_default_privileges(db: &TestDb) -> String {
    let app = format!("app_{}", db.name);
    let owner = one(&db.session(), "SELECT current_user");
    sql(
        db,
        &format!(
            "CREATE ROLE \"{app}\" LOGIN; GRANT ALL ON SCHEMA public TO \"{app}\"; \
             GRANT ALL ON ALL TABLES IN SCHEMA public TO \"{app}\"; \
             ALTER DEFAULT PRIVILEGES FOR ROLE \"{owner}\" GRANT ALL ON TABLES TO \"{app}\"; \
             ALTER DEFAULT PRIVILEGES FOR ROLE \"{owner}\" GRANT ALL ON SEQUENCES TO \"{app}\"; \
             ALTER DEFAULT PRIVILEGES FOR ROLE \"{owner}\" GRANT EXECUTE ON FUNCTIONS TO \"{app}\""
        ),
    );
    app
}

#[test]
fn privileges_by_default_do_not_reach_what_is_ours() {
    let db = TestDb::baseline();
    let app = with_default_privileges(&db);
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    let session = Session::open(&db.url_as(&app));
    for does in [
        "INSERT INTO markenmate.gate (reason) VALUES ('x')",
        "SELECT markenmate.open_gate('x')",
        "SELECT markenmate.set_master_admin('x', true)",
        "DELETE FROM markenmate.ledger",
        "UPDATE markenmate.turn SET turn = 0",
        "TRUNCATE markenmate.audit_log_archive",
        "SELECT nextval('markenmate.lending_conflicts')",
    ] {
        assert_eq!(state(&session, does), "42501", "{does}");
    }
    session.sql("SELECT count(*) FROM markenmate.ledger");
    // Its ordinary statements are guarded and work.
    assert_eq!(refusal(&session, "UPDATE public.\"user\" SET role = 'user'").unwrap().0, "MM102");
    session.sql("UPDATE public.\"user\" SET name = 'x' WHERE role = 'admin'");

    // What was granted afterwards is named, with its end.
    let verify = |code| {
        markenmate(&["verify", "--only", "own-grants", "--format", "json"])
            .db(&db)
            .run()
            .assert_code(code)
            .json()
    };
    verify(0);
    sql(
        &db,
        &format!(
            "GRANT INSERT, TRIGGER ON markenmate.gate TO \"{app}\" WITH GRANT OPTION;
             GRANT INSERT (turn) ON markenmate.turn TO \"{app}\"; GRANT UPDATE (command, reason) ON markenmate.run TO \"{app}\";
             GRANT CREATE ON SCHEMA markenmate TO \"{app}\";
             GRANT EXECUTE ON FUNCTION markenmate.open_gate(text) TO PUBLIC;
             SET SESSION AUTHORIZATION \"{app}\"; GRANT INSERT ON markenmate.gate TO pg_monitor"
        ),
    );
    let document = verify(3);
    let findings = document["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 6, "{document}");
    for finding in findings {
        sql(&db, finding["remedy"].as_str().unwrap());
    }
    verify(0);
    drop(session);
    let owner = one(&db.session(), "SELECT current_user");
    sql(&db, &format!("SET ROLE \"{owner}\"; DROP OWNED BY \"{app}\"; DROP ROLE \"{app}\""));
}

#[test]
fn truncate_does_not_go_by_an_old_snapshot() {
    let db = at_version(3);
    sql(
        &db,
        "BEGIN; SELECT markenmate.open_gate('nobody yet'); DELETE FROM public.\"user\"; COMMIT",
    );
    let old = db.session();
    old.sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM \"user\"");
    sql(&db, "INSERT INTO \"user\" (id, name, email, role) VALUES ('eve', '', 'e@x', 'admin')");
    assert_eq!(state(&old, "TRUNCATE \"user\" CASCADE"), "MM105");
}

/// Without the row where changes of admins queue, nobody would wait for anybody.
#[test]
fn the_row_where_changes_queue_comes_back() {
    for gone in ["DELETE FROM markenmate.turn", "TRUNCATE markenmate.turn"] {
        let db = at_version(3);
        sql(&db, gone);
        let [one_, other] = [db.session(), db.session()];
        for session in [&one_, &other] {
            session.sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM \"user\"");
        }
        one_.sql("UPDATE \"user\" SET role = 'user' WHERE id = 'ada'");
        one_.sql("COMMIT");
        assert_eq!(state(&other, "UPDATE \"user\" SET role = 'user' WHERE id = 'ben'"), "40001");
        other.sql("ROLLBACK");
        assert_eq!(one(&db.session(), "SELECT count(*) FROM markenmate.turn"), "1");
        let last = refusal(&other, "UPDATE \"user\" SET role = 'user'").unwrap();
        assert_eq!((last.0.as_str(), last.1.as_str()), LAST);
    }
}

#[test]
fn a_publication_of_all_tables_stops_nothing() {
    let db = at_version(3);
    sql(&db, "CREATE PUBLICATION everything FOR ALL TABLES");
    sql(&db, "SELECT markenmate.set_master_admin('ada', true)");
    sql(&db, "BEGIN; SELECT markenmate.open_gate('x'); SELECT markenmate.close_gate(); COMMIT");
    assert_eq!(state(&db.session(), "DELETE FROM \"user\" WHERE id = 'ada'"), "MM101");
}

/// A later app's key that writes into lendings: its own updates are excused, nobody else's.
#[test]
fn a_key_that_writes_does_not_silence_the_guard() {
    let db = at_version(3);
    let session = db.session();
    session.sql(
        "CREATE TABLE place (id integer PRIMARY KEY); INSERT INTO place VALUES (1), (2); \
         ALTER TABLE token_lending ADD COLUMN place_id integer REFERENCES place (id) ON DELETE SET NULL ON UPDATE CASCADE; \
         UPDATE token_lending SET place_id = 1 WHERE id = 9001",
    );
    // Its parent goes, with rows and without.
    session.sql("UPDATE place SET id = 3 WHERE id = 1; DELETE FROM place WHERE id = 3; DELETE FROM place WHERE id = 2");
    assert_eq!(one(&session, "SELECT place_id IS NULL FROM token_lending WHERE id = 9001"), "t");
    let stale = "UPDATE token_lending SET token_count = 9, version = version + 1 WHERE id = 9001 AND version = 7";
    let end = refusal(&session, stale).unwrap();
    assert_eq!((end.0.as_str(), end.1.as_str()), STALE);
    // In one transaction, the other way round.
    session.sql("BEGIN; INSERT INTO place VALUES (4); DELETE FROM place WHERE id = 4");
    assert_eq!(state(&session, stale), "40001");
    session.sql("ROLLBACK");
}

/// A row that cannot be told as it was must not keep the app from deleting its user.
#[test]
fn audit_rows_are_kept_whatever_has_become_of_their_columns() {
    let db = at_version(3);
    let session = db.session();
    session.sql(
        "ALTER TABLE audit_log DROP COLUMN created_at, DROP COLUMN correlation_id, ALTER action DROP NOT NULL; \
         INSERT INTO audit_log (user_id, action) VALUES ('max', NULL); \
         DELETE FROM \"user\" WHERE id = 'max'",
    );
    let kept =
        "SELECT reason FROM markenmate.audit_log_archive WHERE user_id = 'max' AND action = ''";
    assert_eq!(one(&session, kept), "user deleted");
    // Somebody else's trigger is no deletion of a user.
    session.sql(
        "CREATE FUNCTION purge() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN DELETE FROM public.audit_log WHERE user_id = ''ben''; RETURN NULL; END'; \
         CREATE TRIGGER purge AFTER INSERT ON app_log FOR EACH STATEMENT EXECUTE FUNCTION purge(); \
         INSERT INTO audit_log (user_id, action) VALUES ('ben', 'X'); \
         INSERT INTO app_log (level, message) VALUES ('info', 'x')",
    );
    let reason =
        "SELECT reason FROM markenmate.audit_log_archive WHERE user_id = 'ben' AND action = 'X'";
    assert_eq!(one(&session, reason), "deleted by a trigger");
}

/// Every function counts, not those alone that a trigger calls.
#[test]
fn a_changed_function_is_named_and_its_version_taken_back_and_applied_mends_it() {
    let db = at_version(3);
    let contract = |code| {
        let args = ["verify", "--only", "contract", "--format", "json"];
        markenmate(&args).db(&db).run().assert_code(code).json()
    };
    contract(0);
    for (change, subject, detail) in [
        (
            "CREATE OR REPLACE FUNCTION markenmate.is_open() RETURNS boolean LANGUAGE sql AS 'SELECT true'",
            "function markenmate.is_open()",
            "was changed",
        ),
        (
            "ALTER FUNCTION markenmate.open_gate(text) SECURITY INVOKER",
            "function markenmate.open_gate(text)",
            "was changed",
        ),
        ("DROP FUNCTION markenmate.close_gate()", "function markenmate.close_gate()", "missing"),
    ] {
        sql(&db, change);
        let document = contract(3);
        assert_eq!(document["findings"][0]["subject"], subject);
        assert_eq!(document["findings"][0]["detail"], detail);
        let down = markenmate(&["util", "down", "3"]).run().assert_code(0).stdout;
        sql(&db, &down);
        markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
        contract(0);
    }
    let role = format!("other_{}", db.name);
    sql(
        &db,
        &format!(
            "CREATE ROLE \"{role}\"; GRANT CREATE ON SCHEMA markenmate TO \"{role}\"; \
                       ALTER FUNCTION markenmate.guard_admins() OWNER TO \"{role}\""
        ),
    );
    let document = contract(3);
    let finding = &document["findings"][0];
    assert!(finding["detail"].as_str().unwrap().starts_with("belongs to role"), "{finding}");
    sql(&db, finding["remedy"].as_str().unwrap());
    contract(0);
    sql(&db, &format!("DROP OWNED BY \"{role}\"; DROP ROLE \"{role}\""));
}

/// One that calls something else of the same name elsewhere is no guard.
#[test]
fn the_short_look_sees_whose_function_a_trigger_calls() {
    let db = at_version(3);
    sql(
        &db,
        "CREATE FUNCTION public.guard_admins() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; \
         DROP TRIGGER markenmate_admins ON \"user\"; \
         CREATE TRIGGER markenmate_admins BEFORE INSERT OR UPDATE OR DELETE ON \"user\" \
             FOR EACH ROW EXECUTE FUNCTION public.guard_admins()",
    );
    let run = markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(4);
    assert!(run.stderr.contains("markenmate_admins"), "{}", run.stderr);
}

#[test]
fn another_trigger_on_a_function_of_ours_is_named_before_the_way_back() {
    let db = at_version(3);
    sql(
        &db,
        "CREATE TRIGGER mine BEFORE INSERT ON app_log FOR EACH STATEMENT EXECUTE FUNCTION markenmate.note_purpose()",
    );
    let down = markenmate(&["util", "down", "3"]).run().assert_code(0).stdout;
    let session = db.session();
    let said = session.try_sql(&down).unwrap_err();
    let hint = said.as_db_error().unwrap().hint().unwrap().to_owned();
    session.sql("ROLLBACK");
    session.sql(&hint);
    session.sql(&down);
    // Taking guards away is a change like any other: it is in the ledger.
    let newest =
        "SELECT command || ' ' || outcome FROM markenmate.ledger ORDER BY number DESC LIMIT 1";
    assert_eq!(one(&session, newest), "util down 3 done");
}

/// Demoting many at once queues once.
#[test]
fn many_admins_in_one_statement_queue_once() {
    let db = at_version(3);
    let before: i64 = one(&db.session(), "SELECT turn FROM markenmate.turn").parse().unwrap();
    sql(
        &db,
        "INSERT INTO \"user\" (id, name, email, role) SELECT 'n' || n, '', n || '@x', 'admin' FROM generate_series(1, 500) n; \
         UPDATE \"user\" SET role = 'user' WHERE id LIKE 'n%'",
    );
    let after: i64 = one(&db.session(), "SELECT turn FROM markenmate.turn").parse().unwrap();
    assert_eq!(after - before, 1);
}
