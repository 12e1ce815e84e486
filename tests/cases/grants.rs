//! What `util grants` prints, run and then believed.

use std::process::Command;

use crate::support::own_server::{Standby, program, succeed};
use crate::support::state::{assert_migrated, fingerprint, one};
use crate::support::{Session, TestDb, cluster, database_on, markenmate, sql, start, wait_until};

struct Roles {
    owner: String,
    reader: String,
    operator: String,
}

/// A baseline of an owner of its own, and the script run in it, twice.
fn with_grants(db: &TestDb) -> Roles {
    let name = |role: &str| format!("{role} of {}", db.name);
    let roles = Roles { owner: name("app"), reader: name("reader"), operator: name("operator") };
    sql(
        db,
        &format!(
            "CREATE ROLE \"{0}\" LOGIN; DO $$ DECLARE r record; BEGIN
               FOR r IN SELECT oid::regclass AS name FROM pg_class
                         WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
               LOOP EXECUTE format('ALTER TABLE %s OWNER TO \"{0}\"', r.name); END LOOP;
             END $$",
            roles.owner
        ),
    );
    // As whoever has only the binary does it.
    let script = db.folder().join("grants.sql");
    let printed = markenmate(&["util", "grants"]).run().assert_code(0).stdout;
    std::fs::write(&script, printed).unwrap();
    for _ in 0..2 {
        let mut psql = Command::new(program(cluster(), "psql"));
        psql.args(["-X", "-q", "-d", &db.url]);
        for (variable, role) in
            [("owner", &roles.owner), ("reader", &roles.reader), ("operator", &roles.operator)]
        {
            psql.args(["-v", &format!("{variable}={role}")]);
        }
        succeed(psql.arg("-f").arg(&script));
    }
    roles
}

fn url_as(db: &TestDb, role: &str) -> String {
    db.url_as(&role.replace(' ', "%20"))
}

#[test]
fn the_operator_migrates_and_the_reader_reads() {
    let db = TestDb::baseline();
    let roles = with_grants(&db);
    let (reader, operator) = (url_as(&db, &roles.reader), url_as(&db, &roles.operator));
    let state = |url: &str| {
        let status = markenmate(&["status", "--format", "json"]).url(url).run().assert_code(0);
        let document = status.json();
        assert_eq!(document["findings"], serde_json::json!([]), "{document:#}");
        document["data"]["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(&reader), "baseline");
    markenmate(&["migrate", "--check"]).url(&reader).run().assert_code(4);
    markenmate(&["migrate", "--check"]).url(&operator).run().assert_code(3);
    markenmate(&["migrate", "--yes"]).url(&reader).run().assert_code(4);
    markenmate(&["migrate", "--yes"]).url(&operator).run().assert_code(0);
    assert_migrated(&db.url);
    for url in [&reader, &operator] {
        assert_eq!(state(url), "current");
        markenmate(&["migrate", "--check"]).url(url).run().assert_code(0);
        // Whatever it finds in the sample, it could look everywhere.
        let verify = markenmate(&["verify", "--format", "json"]).url(url).run();
        assert!([0, 3].contains(&verify.code), "{verify:?}");
        let checks = verify.json()["data"]["checks"].clone();
        let as_superuser = markenmate(&["verify", "--format", "json"]).db(&db).run().json();
        assert_eq!(checks, as_superuser["data"]["checks"]);
    }
    let owners = "SELECT string_agg(DISTINCT pg_get_userbyid(relowner), ',') FROM pg_class \
                  WHERE relnamespace IN ('public'::regnamespace, 'markenmate'::regnamespace)";
    assert_eq!(one(&db.session(), owners), roles.owner);

    // The reader sees every row there is, the new tables included, and writes none.
    let session = Session::open(&reader);
    for table in ["audit_log", "step_up_token", "\"user\"", "token_lending"] {
        session.sql(&format!("SELECT count(*) FROM public.{table}"));
    }
    for kept in [
        "audit_log_archive",
        "run",
        "ledger",
        "gate",
        "turn",
        "lending_conflicts",
        "step_up_conflicts",
    ] {
        session.sql(&format!("SELECT count(*) FROM markenmate.{kept}"));
    }
    assert!(session.try_sql("DELETE FROM public.audit_log").is_err());
    assert!(session.try_sql("CREATE TABLE markenmate.t ()").is_err());
    for forbidden in [
        "DELETE FROM markenmate.ledger",
        "INSERT INTO markenmate.gate (reason) VALUES ('r')",
        "SELECT nextval('markenmate.lending_conflicts')",
        "SELECT markenmate.open_gate('r')",
        "SELECT markenmate.set_master_admin('u')",
    ] {
        let error = session.try_sql(forbidden).unwrap_err();
        assert_eq!(error.code().unwrap().code(), "42501", "{forbidden}: {error:?}");
    }

    // The operator left a row of its own, and passes the guards as the owner may.
    let session = Session::open(&operator);
    let wrote = "SELECT string_agg(database_user || ' ' || command, ', ' ORDER BY number) FROM markenmate.ledger";
    assert_eq!(one(&session, wrote), format!("{} migrate", roles.operator));
    let gate = "BEGIN; SELECT markenmate.open_gate('r'); SELECT markenmate.is_open(); ROLLBACK";
    assert_eq!(session.sql(gate)[1][0].as_deref(), Some("t"));
}

#[test]
fn the_operator_sees_and_ends_who_is_in_the_way() {
    let db = TestDb::baseline();
    let roles = with_grants(&db);
    let holder = Session::open(&url_as(&db, &roles.owner));
    holder.sql(r#"SET application_name = billing; BEGIN; SELECT FROM public."user" LIMIT 1"#);
    let pid = one(&holder, "SELECT pg_backend_pid()");
    let operator = url_as(&db, &roles.operator);
    let args = ["migrate", "--yes", "--max-wait", "500ms"];
    let run = markenmate(&args).url(&operator).run().assert_code(7);
    assert!(run.stderr.contains("idle in transaction, transaction open for"), "{}", run.stderr);
    Session::open(&operator).sql(&format!("SELECT pg_terminate_backend({pid})"));
    markenmate(&["migrate", "--yes"]).url(&operator).run().assert_code(0);
    assert_migrated(&db.url);
}

#[test]
fn a_standby_shows_where_it_stands_and_is_not_written_to() {
    let server = start(&[]);
    let url = database_on(&server, "followed", &["V1__baseline.sql"]);
    let standby = Standby::of(&server);
    let there = standby.url("followed");
    let before = fingerprint(&Session::open(&url));
    for command in [["migrate", "--yes"], ["migrate", "--check"], ["migrate", "--dry-run"]] {
        let run = markenmate(&command).url(&there).run().assert_code(4);
        assert!(run.stderr.contains("this server is a standby"), "{}", run.stderr);
        assert!(run.stderr.contains("hint: connect to the primary"), "{}", run.stderr);
    }
    let status =
        markenmate(&["status", "--format", "json"]).url(&there).run().assert_code(0).json();
    assert_eq!(status["data"]["state"], "baseline");
    assert_eq!(status["target"]["role"], "standby");
    assert_eq!(fingerprint(&Session::open(&url)), before);

    markenmate(&["migrate", "--yes"]).url(&url).run().assert_code(0);
    let follower = Session::open(&there);
    let arrived = "SELECT to_regclass('markenmate.refinery_schema_history') IS NOT NULL";
    assert!(wait_until(std::time::Duration::from_secs(20), || one(&follower, arrived) == "t"));
    let status =
        markenmate(&["status", "--format", "json"]).url(&there).run().assert_code(0).json();
    assert_eq!(status["data"]["state"], "current");
    markenmate(&["migrate", "--check"]).url(&there).run().assert_code(0);
}
