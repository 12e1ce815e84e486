//! The tool's role and the application's are two: whoever ran the migration, the application goes on.

use std::process::Command;

use crate::support::own_server::{program, succeed};
use crate::support::state::{assert_migrated, fingerprint, one, owned_by};
use crate::support::{Run, Session, TestDb, cluster, markenmate, sql};

/// Roles are the server's, not the database's: each test makes its own.
fn role(db: &TestDb, name: &str, options: &str) -> String {
    let role = format!("{name}_{}", db.name);
    sql(db, &format!("CREATE ROLE {role} LOGIN {options}"));
    role
}

/// The baseline with its tables, sequences and types owned by a role of its own.
fn owned() -> (TestDb, String) {
    let db = TestDb::baseline();
    let app = role(&db, "app", "");
    sql(&db, &owned_by(&app));
    (db, app)
}

/// The baseline with its tables granted to a role, and owned by another.
fn granted() -> (TestDb, String) {
    let db = TestDb::baseline();
    let app = role(&db, "app", "");
    sql(
        &db,
        &format!(
            "GRANT USAGE ON SCHEMA public TO {app};
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {app};
             GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {app}"
        ),
    );
    (db, app)
}

fn migrate_as(db: &TestDb, role: &str) -> Run {
    markenmate(&["migrate", "--yes"]).db(db).url(&db.url_as(role)).run()
}

fn grant_create_on_database(db: &TestDb, role: &str) {
    sql(db, &format!("GRANT CREATE ON DATABASE {} TO {role}", db.name));
}

/// What the new application does all day.
#[track_caller]
fn assert_the_application_works(db: &TestDb, app: &str) {
    let session = Session::open(&db.url_as(app));
    let user = one(&session, r#"SELECT id FROM public."user" ORDER BY id LIMIT 1"#);
    session.sql(&format!(
        "INSERT INTO public.audit_log (user_id, action, target_user_id) VALUES ('{user}', 'login', '{user}');
         INSERT INTO public.step_up_token (token, user_id, expires_at) VALUES ('t', '{user}', now());
         UPDATE public.step_up_token SET used = true;
         SELECT id, metadata FROM public.audit_log;
         DELETE FROM public.step_up_token;
         DELETE FROM public.audit_log;
         INSERT INTO public.\"user\" (id, name, email) VALUES ('gone', 'G', 'gone@example.org');
         INSERT INTO public.audit_log (user_id, action) VALUES ('gone', 'login');
         DELETE FROM public.\"user\" WHERE id = 'gone';
         UPDATE public.token_lending SET version = version + 1;
         UPDATE public.\"user\" SET is_master_admin = is_master_admin;
         INSERT INTO public.app_log (message, correlation_id) VALUES ('m', 'c')"
    ));
    // The guards are at work for whoever may not even see their schema, and say what was too late.
    let late = "UPDATE public.token_lending SET token_count = 0, version = 2 WHERE id = -1";
    let error = session.try_sql(late).unwrap_err();
    assert_eq!(error.code().unwrap().code(), "40001", "{error:?}");
    let gate = session.try_sql("SELECT markenmate.open_gate('mine')");
    let owner = "SELECT pg_get_userbyid(relowner) = current_user FROM pg_class WHERE oid = 'public.\"user\"'::regclass";
    assert_eq!(gate.is_ok(), one(&session, owner) == "t", "{gate:?}");
    for table in ["audit_log", "step_up_token", "app_log"] {
        session.sql(&format!("SELECT nextval('public.{table}_id_seq')"));
    }
    succeed(
        Command::new(program(cluster(), "pg_dump"))
            .args(["-d", &db.url_as(app), "-f"])
            .arg(db.folder().join("app.sql")),
    );
}

#[track_caller]
fn assert_owned_by(db: &TestDb, app: &str) {
    let others = format!(
        "SELECT string_agg(c.oid::regclass || ' of ' || pg_get_userbyid(c.relowner), ', ')
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname IN ('public', 'markenmate') AND pg_get_userbyid(c.relowner) <> '{app}'"
    );
    assert_eq!(one(&db.session(), &others), "");
}

#[test]
fn the_application_owns_what_a_superuser_migrated() {
    let (db, app) = owned();
    migrate_as(&db, "postgres").assert_code(0);
    assert_migrated(&db.url);
    assert_owned_by(&db, &app);
    assert_the_application_works(&db, &app);
}

#[test]
fn the_application_owns_what_a_superuser_built_in_its_database() {
    let db = TestDb::empty();
    let app = role(&db, "app", "");
    sql(&db, &format!("ALTER DATABASE {} OWNER TO {app}", db.name));
    if cluster().major() < 15 {
        sql(&db, &format!("ALTER SCHEMA public OWNER TO {app}"));
    }
    migrate_as(&db, "postgres").assert_code(0);
    assert_migrated(&db.url);
    assert_owned_by(&db, &app);
}

#[test]
fn a_granted_application_keeps_working() {
    let (db, app) = granted();
    migrate_as(&db, "postgres").assert_code(0);
    assert_migrated(&db.url);
    assert_owned_by(&db, "postgres");
    assert_the_application_works(&db, &app);
}

#[test]
fn an_application_granted_through_a_group_or_everybody_keeps_working() {
    for group in ["group", "PUBLIC"] {
        let db = TestDb::baseline();
        let app = role(&db, "app", "");
        let name = if group == "PUBLIC" { group.to_owned() } else { role(&db, "team", "") };
        if group != "PUBLIC" {
            sql(&db, &format!("GRANT {name} TO {app}"));
        }
        sql(
            &db,
            &format!(
                "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name};
                 GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {name}"
            ),
        );
        migrate_as(&db, "postgres").assert_code(0);
        assert_the_application_works(&db, &app);
    }
}

#[test]
fn the_owner_itself_and_a_member_may_migrate() {
    let (db, app) = owned();
    grant_create_on_database(&db, &app);
    migrate_as(&db, &app).assert_code(0);
    assert_migrated(&db.url);
    assert_owned_by(&db, &app);

    let (db, app) = owned();
    grant_create_on_database(&db, &app);
    let ops = role(&db, "ops", "");
    sql(&db, &format!("GRANT {app} TO {ops}"));
    migrate_as(&db, &ops).assert_code(0);
    assert_migrated(&db.url);
    assert_owned_by(&db, &app);
    assert_the_application_works(&db, &app);
    // And it goes on: the history can be read by whoever wrote it.
    let again = migrate_as(&db, &ops).assert_code(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
}

#[test]
fn a_stranger_is_refused_with_all_that_is_missing() {
    let (db, app) = owned();
    let ops = role(&db, "ops", "");
    sql(&db, &format!("REVOKE CREATE ON SCHEMA public FROM {app}, PUBLIC"));
    let before = fingerprint(&db.session());
    let run = migrate_as(&db, &ops).assert_code(4);
    assert_eq!(run.stdout, "");
    for hint in [
        format!("hint: GRANT {app} TO {ops};"),
        format!("hint: GRANT CREATE ON DATABASE {} TO {app};", db.name),
        format!("hint: GRANT USAGE, CREATE ON SCHEMA public TO {app};"),
    ] {
        assert!(run.stderr.contains(&hint), "no {hint:?} in {}", run.stderr);
    }
    assert_eq!(fingerprint(&db.session()), before);

    let json = ["migrate", "--yes", "--format", "json"];
    let document = markenmate(&json).url(&db.url_as(&ops)).run().assert_code(4).json();
    let findings = document["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 3, "{document:#}");
    // What it prints is what it takes.
    for finding in findings {
        sql(&db, finding["remedy"].as_str().unwrap());
    }
    migrate_as(&db, &ops).assert_code(0);
    assert_migrated(&db.url);
    assert_owned_by(&db, &app);
}

#[test]
fn an_owner_who_may_not_create_a_schema_is_refused_first() {
    let (db, app) = owned();
    let before = fingerprint(&db.session());
    for command in [["migrate", "--yes"], ["migrate", "--check"], ["migrate", "--dry-run"]] {
        let run = markenmate(&command).url(&db.url_as(&app)).run().assert_code(4);
        let grant = format!("hint: GRANT CREATE ON DATABASE {} TO {app};", db.name);
        assert!(run.stderr.contains(&grant), "{}", run.stderr);
    }
    assert_eq!(fingerprint(&db.session()), before);
}

#[test]
fn a_role_that_only_reads_by_default_is_refused() {
    let (db, app) = owned();
    grant_create_on_database(&db, &app);
    sql(&db, &format!("ALTER ROLE {app} SET default_transaction_read_only = on"));
    let before = fingerprint(&db.session());
    for command in [["migrate", "--yes"], ["migrate", "--check"], ["migrate", "--dry-run"]] {
        let run = markenmate(&command).url(&db.url_as(&app)).run().assert_code(4);
        assert!(run.stderr.contains("default_transaction_read_only is on"), "{}", run.stderr);
    }
    markenmate(&["status"]).url(&db.url_as(&app)).run().assert_code(0);
    assert_eq!(fingerprint(&db.session()), before);
}

#[test]
fn who_cannot_read_the_history_is_told_so() {
    let (db, _app) = owned();
    migrate_as(&db, "postgres").assert_code(0);
    let guest = role(&db, "guest", "");
    let status = markenmate(&["status", "--format", "json"]).url(&db.url_as(&guest)).run();
    let document = status.assert_code(0).json();
    let finding = &document["findings"][0];
    assert_eq!(finding["id"], "history-unreadable", "{document:#}");
    let run = migrate_as(&db, &guest).assert_code(4);
    assert!(run.stderr.contains("may not read the history"), "{}", run.stderr);
    sql(&db, finding["remedy"].as_str().unwrap());
    let status = markenmate(&["status", "--format", "json"]).url(&db.url_as(&guest)).run();
    assert_eq!(status.assert_code(0).json()["data"]["state"], "current");
}

/// A push, or whoever follows the remedies, makes tables without the grants that the older ones have.
#[test]
fn a_granted_application_that_misses_the_new_tables_is_named() {
    let (db, app) = granted();
    let reader = role(&db, "bi", "");
    sql(&db, &format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}"));
    sql(&db, &crate::support::schema_file("V2__security_hardening.sql"));
    let verify = |code| {
        let run = markenmate(&["verify", "--only", "app-grants", "--format", "json"]).db(&db).run();
        run.assert_code(code).json()
    };
    // The migration's own file grants.
    assert_eq!(verify(0)["findings"].as_array().unwrap().len(), 0);
    sql(
        &db,
        &format!(
            "REVOKE ALL ON public.audit_log, public.step_up_token FROM {app}, {reader};
             REVOKE ALL ON SEQUENCE public.audit_log_id_seq FROM {app}"
        ),
    );
    let document = verify(3);
    let findings = document["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 3, "{document:#}");
    for finding in findings {
        assert!(finding["detail"].as_str().unwrap().contains(&app), "{finding:#}");
        sql(&db, finding["remedy"].as_str().unwrap());
    }
    verify(0);
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    assert_the_application_works(&db, &app);
}

/// What only names the server may be revoked: everything else works without it.
#[test]
fn revoked_functions_stop_nothing() {
    let (db, app) = owned();
    grant_create_on_database(&db, &app);
    sql(
        &db,
        "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC;
         REVOKE EXECUTE ON FUNCTION pg_walfile_name(pg_lsn) FROM PUBLIC",
    );
    let json = ["status", "--format", "json"];
    let status = markenmate(&json).url(&db.url_as(&app)).run().assert_code(0).json();
    assert_eq!(status["target"]["system_identifier"], serde_json::Value::Null);
    migrate_as(&db, &app).assert_code(0);
    assert_migrated(&db.url);
}
