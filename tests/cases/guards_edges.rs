//! What is around the guards: the ways past them, what they count and keep, columns that go, dumps.

use std::process::Command;

use super::guards::{
    ADA, LAST, MASTER, NO_ADMIN, RULES, SECOND, SPENT, STALE, assert_rules, tried,
};
use crate::support::app::{App, FIXTURE, at_version, past_guards, said};
use crate::support::own_server::{program, succeed};
use crate::support::state::one;
use crate::support::{Row, Session, TestDb, cluster, markenmate, sql};

/// What these statements say, one after the other.
fn saying(session: &Session, statements: &[&str]) -> Vec<Option<(String, String)>> {
    statements.iter().map(|sql| session.try_sql(sql).err().map(said)).collect()
}

#[track_caller]
fn assert_refused(session: &Session, does: &str, (state, message): (&str, &str)) {
    let end = session.try_sql(does).err().map(said);
    assert_eq!(end, Some((state.to_owned(), message.to_owned())), "{does}");
}

const LAST_GOES: &str = r#"UPDATE "user" SET role = 'user'"#;

/// Documented, not prevented: a superuser's setting and the owner's switch.
#[test]
fn a_replica_and_a_disabled_trigger_get_past() {
    let db = at_version(3);
    let session = db.session();
    session.sql("BEGIN; SET LOCAL session_replication_role = replica");
    session.sql(LAST_GOES);
    session.sql("ROLLBACK; BEGIN");
    session.sql(r#"ALTER TABLE "user" DISABLE TRIGGER markenmate_last_admin_updated"#);
    session.sql(LAST_GOES);
    session.sql("ROLLBACK");
    assert_refused(&session, LAST_GOES, LAST);
}

#[test]
fn a_conflict_in_a_savepoint_ends_that_only() {
    let db = at_version(3);
    let session = db.session();
    session.sql("BEGIN; SAVEPOINT s");
    // An insert that fails leaves nothing behind that would hide a conflict.
    assert!(session.try_sql("INSERT INTO token_lending (user_id) VALUES ('ada')").is_err());
    session.sql("ROLLBACK TO s");
    let stale = "UPDATE token_lending SET token_count = 1, version = version + 1 WHERE id = 9001 AND version = 7";
    assert_refused(&session, stale, STALE);
    session.sql("ROLLBACK TO s");
    session.sql(&stale.replace('7', "1"));
    session.sql("COMMIT");
    assert_eq!(one(&session, "SELECT version FROM token_lending WHERE id = 9001"), "2");
}

#[test]
fn each_conflict_is_counted_once_whatever_becomes_of_its_transaction() {
    let db = at_version(3);
    let (session, looker) = (db.session(), db.session());
    let lending = "UPDATE token_lending SET person_name = 'x' WHERE version = 7";
    let unused = "UPDATE step_up_token SET used = true WHERE id = 9003 AND expires_at >= now()";
    let spent = "UPDATE step_up_token SET used = true WHERE id IN (9002)";
    let seen = || {
        one(
            &looker,
            "SELECT concat_ws(' ', l.last_value - (NOT l.is_called)::int, s.last_value - (NOT s.is_called)::int)
               FROM markenmate.lending_conflicts l, markenmate.step_up_conflicts s",
        )
    };
    let mut steps = Vec::new();
    for sql in [lending, unused, spent] {
        for around in [
            "",
            "BEGIN; ",
            "BEGIN; SET LOCAL markenmate.probe = 'on'; ",
            "BEGIN ISOLATION LEVEL SERIALIZABLE; ",
        ] {
            session.sql(around);
            assert!(session.try_sql(sql).is_err(), "{around}{sql}");
            session.sql("ROLLBACK");
            steps.push(seen());
        }
    }
    let expected =
        ["1 0", "2 0", "2 0", "3 0", "3 1", "3 2", "3 2", "3 3", "3 4", "3 5", "3 5", "3 6"];
    assert_eq!(steps, expected);
    // What is no conflict, and what is refused as something else.
    saying(
        &session,
        &[
            "UPDATE token_lending SET version = 0",
            "UPDATE token_lending SET person_name = 'x'",
            "UPDATE step_up_token SET used = true WHERE id = 9001",
            "INSERT INTO token_lending (id, user_id, person_name, token_count) VALUES (1, 'ada', '', 1) ON CONFLICT (id) DO UPDATE SET version = 2",
        ],
    );
    assert_eq!(seen(), "3 6");
}

#[test]
fn the_flag_moves_through_its_function() {
    let db = at_version(3);
    let session = db.session();
    let set = |who: &str| format!("SELECT markenmate.set_master_admin({who})");
    let masters =
        || one(&session, r#"SELECT string_agg(id, ',') FROM "user" WHERE is_master_admin"#);
    for nobody in ["'uta'", "'nobody'", "NULL", "'uta', true"] {
        assert_refused(&session, &set(nobody), NO_ADMIN);
    }
    assert_eq!(session.sql(&set("'ada'")), [[None]]);
    assert_eq!(masters(), "ada");
    assert_eq!(one(&session, &set("'ada'")), "ada");
    assert_refused(&session, &set("'ben'"), SECOND);
    assert_refused(&session, &set("'ben', NULL"), SECOND);
    assert_refused(&session, &set("'uta', true"), NO_ADMIN);
    assert_eq!(one(&session, &set("'ben', true")), "ada");
    assert_eq!(masters(), "ben");
    // Its gate is shut behind it, and others' are left open.
    session.sql("BEGIN");
    session.sql(&set("'ada', true"));
    assert_refused(&session, r#"DELETE FROM "user" WHERE id = 'ada'"#, MASTER);
    session.sql("ROLLBACK; BEGIN; SELECT markenmate.open_gate('both')");
    session.sql(&set("'ada', true"));
    session.sql(LAST_GOES);
    session.sql("ROLLBACK");
    // Two of them, as a restore past the guards may leave them.
    past_guards(&session, r#"UPDATE public."user" SET is_master_admin = id IN ('ada', 'ben')"#);
    assert_refused(&session, &set("'ada'"), SECOND);
    assert_eq!(one(&session, &set("'ada', true")), "ben");
    assert_eq!(masters(), "ada");
}

#[test]
fn the_application_is_guarded_without_rights_of_its_own_on_them() {
    let db = at_version(3);
    let role = format!("app_{}", db.name);
    sql(
        &db,
        &format!(
            "CREATE ROLE {role} LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role};
             GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}"
        ),
    );
    let app = Session::open(&db.url_as(&role));
    let calls = [
        "SELECT markenmate.set_master_admin('ben', true)",
        "SELECT markenmate.open_gate('because')",
        "SELECT markenmate.close_gate()",
        "SELECT markenmate.is_open()",
        "SELECT markenmate.count_conflict('markenmate.lending_conflicts')",
        "INSERT INTO markenmate.gate (reason) VALUES ('because')",
        "UPDATE markenmate.turn SET turn = 0",
    ];
    let denied = |app: &Session| {
        for end in saying(app, &calls) {
            assert_eq!(end.as_ref().map(|(state, _)| state.as_str()), Some("42501"), "{end:?}");
        }
    };
    denied(&app);
    for rule in RULES {
        sql(&db, FIXTURE);
        past_guards(&db.session(), rule.before);
        let expected = rule.refused.map(|(state, message)| (state.to_owned(), message.to_owned()));
        assert_eq!(tried(&app, "READ COMMITTED", rule.does), expected, "{}", rule.does);
    }
    app.sql(r#"DELETE FROM "user" WHERE id = 'ben'"#);
    assert_eq!(archived(&db).len(), 2);
    // Nor does it help to see the schema and read all that is in it.
    sql(
        &db,
        &format!(
            "GRANT USAGE ON SCHEMA markenmate TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA markenmate TO {role}"
        ),
    );
    denied(&app);
}

const AUDIT_COLUMNS: &str = "id, user_id, action, target_user_id, metadata, ip_address, user_agent, correlation_id, created_at";

fn archived(db: &TestDb) -> Vec<Row> {
    sql(
        db,
        &format!(
            "SELECT {AUDIT_COLUMNS}, reason, archived_at > now() - interval '1 hour' FROM markenmate.audit_log_archive ORDER BY id"
        ),
    )
}

#[test]
fn the_audit_rows_of_a_deleted_user_stay_readable() {
    let db = at_version(3);
    // Of oneself, and with a time that no calendar has.
    sql(&db, "UPDATE audit_log SET target_user_id = 'ben' WHERE id = 9002");
    let expected = sql(
        &db,
        &format!(
            "SELECT {AUDIT_COLUMNS}, 'user deleted', true FROM audit_log WHERE user_id = 'ben' ORDER BY id"
        ),
    );
    assert_eq!(expected.len(), 2);
    App::open(&db.url).ask(r#"delete from "user" where "user"."id" = $1"#, &["ben"]).unwrap();
    assert_eq!(archived(&db), expected);
    // Others' rows about the user stay where they are, and rows deleted as such are the deleter's.
    sql(&db, "DELETE FROM audit_log WHERE user_id = 'uta'");
    assert_eq!(archived(&db).len(), 2);
    assert_eq!(
        sql(&db, "SELECT id, target_user_id FROM audit_log"),
        [[Some("9003".to_owned()), None]]
    );
}

#[test]
fn the_gate_lets_one_transaction_pass() {
    let db = at_version(3);
    let session = db.session();
    past_guards(&session, ADA);
    let gates = || {
        one(
            &session,
            "SELECT string_agg(concat_ws(' ', reason, opened_by, closed), '; ') FROM markenmate.gate",
        )
    };
    for nothing in ["''", "NULL", "E' \\n'"] {
        let end =
            session.try_sql(&format!("SELECT markenmate.open_gate({nothing})")).err().map(said);
        assert_eq!(end.unwrap().0, "22023", "{nothing}");
    }
    // Closed again, and taken back to a savepoint: guarded.
    session.sql("BEGIN; SAVEPOINT s; SELECT markenmate.open_gate('taken back'); ROLLBACK TO s");
    assert_refused(&session, LAST_GOES, MASTER);
    session.sql(
        "ROLLBACK; BEGIN; SELECT markenmate.open_gate('shut'); SELECT markenmate.close_gate()",
    );
    assert_refused(&session, LAST_GOES, MASTER);
    session.sql("ROLLBACK; BEGIN; SELECT markenmate.open_gate('shut at the end')");
    session.sql(r#"UPDATE "user" SET name = 'A'; SELECT markenmate.close_gate(); COMMIT"#);
    // An erasure: nothing of it is kept but that it was.
    session.sql("BEGIN; SELECT markenmate.open_gate('erasure, request 7')");
    session
        .sql(r#"DELETE FROM "user" WHERE id = 'ben'; DELETE FROM "user" WHERE id = 'ada'; COMMIT"#);
    assert_eq!(archived(&db), Vec::<Row>::new());
    assert_eq!(gates(), "shut at the end postgres t; erasure, request 7 postgres f");
    session.sql(FIXTURE);
    assert_refused(&session, LAST_GOES, LAST);
    // The same transaction id at another time, as after a restore on another server.
    session.sql("BEGIN; INSERT INTO markenmate.gate (began_at, reason) VALUES (now() - interval '1 day', 'old')");
    assert_refused(&session, LAST_GOES, LAST);
    session.sql("ROLLBACK; BEGIN; INSERT INTO markenmate.gate (reason) VALUES ('new')");
    session.sql(LAST_GOES);
    session.sql("ROLLBACK");
}

/// What the application changes, so that every guard is asked once.
const DAY: &str = r#"UPDATE "user" SET name = 'x'; UPDATE "user" SET role = 'admin' WHERE id = 'uta';
    UPDATE "user" SET role = 'user' WHERE id = 'uta'; INSERT INTO "user" (id, name, email) VALUES ('t', '', 't');
    UPDATE token_lending SET person_name = 'x'; UPDATE step_up_token SET user_id = 'ada' WHERE NOT used;
    INSERT INTO token_lending (id, user_id, person_name, token_count) VALUES (1, 't', '', 1) ON CONFLICT (id) DO UPDATE SET person_name = '';
    INSERT INTO audit_log (user_id, action, target_user_id) VALUES ('t', 'LENDING_CREATE', 't'); DELETE FROM "user" WHERE id = 't'"#;

/// In sessions that were at work before, so with plans made for the columns of then.
#[test]
fn columns_that_go_and_come_break_no_update() {
    let db = at_version(3);
    let session = db.session();
    past_guards(&session, ADA);
    let demoted = r#"UPDATE "user" SET role = 'user' WHERE id = 'ada'"#;
    let stale = "UPDATE token_lending SET token_count = 9 WHERE id = 1";
    let all = |session: &Session| {
        for _ in 0..7 {
            session.sql(DAY);
        }
        // Each guard has spoken, and has a plan for it.
        for does in [demoted, stale, LAST_GOES, "UPDATE step_up_token SET used = true WHERE used"] {
            let _ = session.try_sql(does);
        }
    };
    all(&session);
    let masterless = |session: &Session| {
        session.sql(&format!(
            "BEGIN; {demoted}; UPDATE token_lending SET token_count = token_count + 1"
        ));
        session.sql("UPDATE token_lending SET token_count = 9 WHERE id = 1; ROLLBACK");
        assert_refused(session, LAST_GOES, LAST);
        assert_refused(session, "UPDATE step_up_token SET used = true WHERE used", SPENT);
    };
    // An old application's push.
    sql(
        &db,
        r#"alter table "user" drop column "is_master_admin"; alter table "token_lending" drop column "version";
           alter table "app_log" drop column "correlation_id""#,
    );
    all(&session);
    masterless(&session);
    masterless(&db.session());
    // Columns of a later one.
    sql(
        &db,
        r#"alter table "user" add column "banned" boolean default false, add column "ban_expires" timestamptz,
               add column "two_factor_enabled" boolean default false;
           alter table "account" add column "issuer" text; alter table "token_lending" add column "note" text;
           alter table "audit_log" add column "session_id" text; alter table "step_up_token" add column "issuer" text;
           alter table "user" add column "is_master_admin" boolean default false not null;
           alter table "token_lending" add column "version" integer default 1 not null"#,
    );
    session.sql(FIXTURE);
    // What its push may change of those that are there.
    sql(
        &db,
        r#"alter table "user" alter column "role" drop default, alter column "role" set data type text using "role"::text,
               alter column "role" set default 'user';
           alter table "token_lending" alter column "token_count" set data type bigint, alter column "version" set data type bigint"#,
    );
    past_guards(&session, ADA);
    for session in [&session, &db.session()] {
        all(session);
        assert_refused(session, demoted, MASTER);
        assert_refused(session, stale, STALE);
        assert_refused(
            session,
            "UPDATE token_lending SET version = 0 WHERE id = 9001",
            ("MM104", "The version of lending 9001 may not go from 1 to 0."),
        );
        assert_refused(session, "UPDATE step_up_token SET used = true WHERE used", SPENT);
    }
}

#[test]
fn a_dump_takes_the_guards_along() {
    let (db, copy) = (at_version(3), TestDb::empty());
    past_guards(&db.session(), ADA);
    sql(&db, "BEGIN; SELECT markenmate.open_gate('before the dump'); COMMIT");
    let dump = db.folder().join("dump");
    succeed(
        Command::new(program(cluster(), "pg_dump")).args(["-Fc", "-d", &db.url, "-f"]).arg(&dump),
    );
    succeed(
        Command::new(program(cluster(), "pg_restore")).args(["-e", "-d", &copy.url]).arg(&dump),
    );
    assert_refused(&copy.session(), LAST_GOES, MASTER);
    assert_rules(&copy, "READ COMMITTED");
    let status = markenmate(&["status", "--format", "json"]).db(&copy).run().assert_code(0).json();
    assert_eq!(status["data"]["state"], "current", "{status:#}");
}

/// Whoever could dump all of it before can do so afterwards.
#[test]
fn a_reader_of_everything_dumps_the_guards() {
    let db = TestDb::baseline();
    let role = format!("reader_{}", db.name);
    sql(
        &db,
        &format!(
            "CREATE ROLE {role} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role};
             GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}"
        ),
    );
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    let dump = db.folder().join("dump");
    succeed(
        Command::new(program(cluster(), "pg_dump"))
            .args(["-Fc", "-d", &db.url_as(&role), "-f"])
            .arg(&dump),
    );
}
