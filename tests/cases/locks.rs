//! Somebody is in the way: who, since when, how to end it, and nothing changed meanwhile.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use markenmate::db::locks;
use regex::Regex;

use crate::support::own_server::program;
use crate::support::sql;
use crate::support::state::{assert_migrated, fingerprint, one, owned_by};
use crate::support::{
    Run, Session, TestDb, cluster, database_on, kill_says, markenmate, start, wait_until,
};

/// A session of an application called `billing` with `sql` in an open transaction.
fn holder(db: &TestDb, sql: &str) -> (Session, String) {
    let session = db.session();
    session.sql(&format!("SET application_name = billing; BEGIN; {sql}"));
    let pid = one(&session, "SELECT pg_backend_pid()");
    (session, pid)
}

fn impatient(db: &TestDb) -> Run {
    markenmate(&["migrate", "--yes", "--max-wait", "1s"]).db(db).run().assert_code(7)
}

/// The statement after "to end it: ", as an operator pastes it.
#[track_caller]
fn remedy(stderr: &str) -> String {
    let line = Regex::new(r"hint: to end it: (.*;)").unwrap();
    line.captures(stderr).unwrap_or_else(|| panic!("no remedy in {stderr}"))[1].to_owned()
}

#[test]
fn a_holder_is_named_and_nothing_changed() {
    let db = TestDb::baseline();
    let before = fingerprint(&db.session());
    let (_holder, pid) = holder(&db, r#"SELECT FROM public."user" LIMIT 1"#);
    let run = impatient(&db);
    assert_eq!(run.stdout, "");
    let pattern = format!(
        r#"because: pid {pid} \("billing" as postgres, idle in transaction, transaction open for \d+ s\) holds AccessShare on public\."user""#
    );
    assert!(Regex::new(&pattern).unwrap().is_match(&run.stderr), "{}", run.stderr);
    assert_eq!(remedy(&run.stderr), format!("SELECT pg_terminate_backend({pid});"));
    assert!(run.stderr.contains("SQLSTATE: 55P03"), "{}", run.stderr);
    assert!(run.stderr.contains("nothing was changed"), "{}", run.stderr);
    assert!((1000..10_000).contains(&run.millis), "{}", run.millis);
    assert_eq!(fingerprint(&db.session()), before);

    db.session().sql(&remedy(&run.stderr));
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    assert_migrated(&db.url);
}

#[test]
fn in_json_a_holder_is_a_cause() {
    let db = TestDb::baseline();
    let (_holder, pid) = holder(&db, r#"LOCK TABLE public."user""#);
    let args = ["migrate", "--yes", "--max-wait", "500ms", "--format", "json"];
    let document = markenmate(&args).db(&db).run().assert_code(7).json();
    assert_eq!(document["outcome"], "busy");
    assert_eq!(document["error"]["sqlstate"], "55P03");
    let cause = document["error"]["causes"][0].as_str().unwrap();
    assert!(cause.starts_with(&format!("pid {pid} (\"billing\"")), "{cause}");
    assert!(cause.ends_with(r#"holds AccessExclusive on public."user""#), "{cause}");
}

#[test]
fn waiting_is_said_within_a_second_and_ends_with_the_holder() {
    let db = TestDb::baseline();
    let (holder, pid) = holder(&db, r#"SELECT FROM public."user" LIMIT 1"#);
    let running = markenmate(&["migrate", "--yes", "--format", "json"]).db(&db).spawn();
    running.wait_for_stderr("target: ");
    let connected = Instant::now();
    running.wait_for_stderr(&format!("waiting: pid {pid} "));
    assert!(connected.elapsed() < Duration::from_secs(1), "{:?}", connected.elapsed());
    running.wait_for_stderr(&format!("to end it: SELECT pg_terminate_backend({pid});"));
    holder.sql("ROLLBACK");
    let run = running.wait().assert_code(0);
    let data = &run.json()["data"];
    assert_eq!(data["applied"], serde_json::json!([2, 3]));
    assert!(data["attempts"].as_u64() >= Some(2), "{data}");
    assert_migrated(&db.url);
}

#[test]
fn holders_of_the_other_tables_are_named_too() {
    for table in ["token_lending", "app_log"] {
        let db = TestDb::baseline();
        let before = fingerprint(&db.session());
        let (_holder, pid) = holder(&db, &format!("LOCK TABLE public.{table} IN ROW SHARE MODE"));
        let run = impatient(&db);
        assert!(run.stderr.contains(&format!("pid {pid} (\"billing\"")), "{}", run.stderr);
        assert!(
            run.stderr.contains(&format!("holds RowShare on public.{table}")),
            "{}",
            run.stderr
        );
        assert_eq!(fingerprint(&db.session()), before);
    }
}

/// Even to look at a table takes a lock that its exclusive holder does not give.
#[test]
fn looking_waits_and_names_who_is_in_the_way() {
    let db = TestDb::baseline();
    let (holder, pid) = holder(&db, "LOCK TABLE public.favorite");
    for command in [["migrate", "--check"].as_slice(), &["status"], &["migrate", "--yes"]] {
        let args = [command, &["--max-wait", "300ms"]].concat();
        let run = markenmate(&args).db(&db).run().assert_code(7);
        let named = format!("because: pid {pid} (\"billing\"");
        assert!(run.stderr.contains(&named), "{}", run.stderr);
        assert!(run.stderr.contains("on public.favorite"), "{}", run.stderr);
    }
    let running = markenmate(&["migrate", "--yes"]).db(&db).spawn();
    running.wait_for_stderr(&format!("waiting: pid {pid} "));
    holder.sql("ROLLBACK");
    running.wait().assert_code(0);
    assert_migrated(&db.url);
}

/// One attempt never keeps the application waiting for longer than the lock timeout.
#[test]
fn the_application_goes_on_while_the_tool_waits() {
    let db = TestDb::baseline();
    let (_holder, _) = holder(&db, r#"SELECT FROM public."user" LIMIT 1"#);
    let running = markenmate(&["migrate", "--yes", "--max-wait", "2s"]).db(&db).spawn();
    running.wait_for_stderr("waiting: ");
    let app = db.session();
    app.sql("SET statement_timeout = '1s'");
    let end = Instant::now() + Duration::from_secs(1);
    let mut slowest = Duration::ZERO;
    while Instant::now() < end {
        let began = Instant::now();
        app.sql(r#"SELECT count(*) FROM public."user""#);
        slowest = slowest.max(began.elapsed());
    }
    // 50 ms, and what a loaded machine adds.
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
    running.wait().assert_code(7);
}

#[test]
fn a_prepared_transaction_is_named_with_its_end() {
    let server = start(&[("max_prepared_transactions", "5")]);
    let url = database_on(&server, "prepared", &["V1__baseline.sql"]);
    let session = Session::open(&url);
    session.sql(r#"BEGIN; SELECT FROM public."user" LIMIT 1; PREPARE TRANSACTION 'it''s a job'"#);
    let before = fingerprint(&session);
    let impatient = ["migrate", "--yes", "--max-wait", "1s"];
    let run = markenmate(&impatient).url(&url).run().assert_code(7);
    assert!(
        run.stderr.contains(r#"prepared transaction ("it's a job" as postgres, prepared, "#),
        "{}",
        run.stderr
    );
    assert_eq!(remedy(&run.stderr), "ROLLBACK PREPARED 'it''s a job';");
    assert_eq!(fingerprint(&session), before);
    session.sql(&remedy(&run.stderr));
    markenmate(&["migrate", "--yes"]).url(&url).run().assert_code(0);
    assert_migrated(&url);
}

#[test]
fn a_running_dump_is_named_and_left_alone() {
    let db = TestDb::baseline();
    // The dump locks every table and then waits for this one.
    let blocker = db.session();
    blocker.sql("CREATE TABLE public.zz_last ()");
    blocker.sql("BEGIN; LOCK TABLE public.zz_last");
    let mut dump = Command::new(program(cluster(), "pg_dump"))
        .args(["-d", &db.url, "-f", "/dev/null"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                 AND application_name = 'pg_dump' AND wait_event_type = 'Lock'";
    let session = db.session();
    assert!(wait_until(Duration::from_secs(20), || one(&session, waits) == "1"));
    let run = impatient(&db);
    assert!(run.stderr.contains(r#"("pg_dump" as postgres, active"#), "{}", run.stderr);
    assert!(run.stderr.contains("a backup is being taken"), "{}", run.stderr);
    assert!(kill_says(dump.id(), "0"), "the dump was ended");
    blocker.sql("ROLLBACK");
    assert!(dump.wait().unwrap().success());
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
}

/// The lock between runs, taken by SQL with the tool's own key.
fn another_run(db: &TestDb) -> Session {
    let session = db.session();
    session.sql(&format!("SET application_name = markenmate; BEGIN; {}", locks::try_lock_sql()));
    session
}

#[test]
fn another_run_is_waited_for() {
    let db = TestDb::baseline();
    let other = another_run(&db);
    let before = fingerprint(&db.session());
    let run = impatient(&db);
    assert!(run.stderr.contains("another run of markenmate held the database"), "{}", run.stderr);
    assert!(run.stderr.contains("holds Exclusive on the lock between runs"), "{}", run.stderr);
    assert_eq!(fingerprint(&db.session()), before);

    let check = markenmate(&["migrate", "--check"]).db(&db).run().assert_code(7);
    assert!(check.stderr.contains("the lock between runs"), "{}", check.stderr);

    let running = markenmate(&["migrate", "--yes"]).db(&db).spawn();
    running.wait_for_stderr("waiting: ");
    other.sql("ROLLBACK");
    running.wait().assert_code(0);
    assert_migrated(&db.url);
}

#[test]
fn check_says_by_its_code_what_migrate_would_do() {
    let db = TestDb::baseline();
    let check = || markenmate(&["migrate", "--check"]).db(&db).run();
    let before = fingerprint(&db.session());
    let pending = check().assert_code(3);
    assert!(pending.stdout.contains("V2 security_hardening"), "{}", pending.stdout);

    let (holder, pid) = holder(&db, r#"SELECT FROM public."user" LIMIT 1"#);
    // A transaction as short as those of the application is nothing to wait for.
    std::thread::sleep(Duration::from_millis(1100));
    let waiting = check().assert_code(7);
    assert!(waiting.stderr.contains(&format!("pg_terminate_backend({pid})")), "{}", waiting.stderr);
    holder.sql("ROLLBACK");

    holder.sql("CREATE TABLE public.audit_log (id integer)");
    let refused = check().assert_code(4);
    assert!(refused.stderr.contains("half-migrated"), "{}", refused.stderr);
    holder.sql("DROP TABLE public.audit_log");
    assert_eq!(fingerprint(&db.session()), before);

    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    let done = check().assert_code(0);
    assert!(done.stdout.contains("nothing to do"), "{}", done.stdout);
}

/// The guards let readers read: only who writes is waited for.
#[test]
fn the_guards_wait_for_writers_alone() {
    let db = TestDb::baseline();
    markenmate(&["migrate", "--yes", "--to", "2"]).db(&db).run().assert_code(0);
    let check = || markenmate(&["migrate", "--check"]).db(&db).run();
    for table in ["\"user\"", "token_lending", "step_up_token", "audit_log"] {
        let (holder, pid) = holder(&db, &format!("LOCK TABLE public.{table} IN ROW SHARE MODE"));
        std::thread::sleep(Duration::from_millis(1100));
        check().assert_code(3);
        let up = markenmate(&["migrate", "--dry-run"]).db(&db).run().assert_code(0);
        assert!(up.stdout.contains("SHARE ROW EXCLUSIVE on public.\"user\""), "{}", up.stdout);
        assert!(!up.stdout.contains(&format!("pid {pid}")), "{}", up.stdout);
        holder.sql(&format!("LOCK TABLE public.{table} IN ROW EXCLUSIVE MODE"));
        let before = fingerprint(&db.session());
        for run in [check(), impatient(&db)] {
            let run = run.assert_code(7);
            assert!(run.stderr.contains(&format!("pid {pid} (\"billing\"")), "{}", run.stderr);
            assert!(
                run.stderr.contains(&format!("holds RowExclusive on public.{table}")),
                "{}",
                run.stderr
            );
        }
        assert_eq!(fingerprint(&db.session()), before);
        holder.sql("ROLLBACK");
    }
    let (_reader, _) = holder(&db, r#"SELECT FROM public."user" LIMIT 1"#);
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    assert_migrated(&db.url);
}

/// `--lock-timeout` never outlasts `--max-wait`.
#[test]
fn patience_is_not_outlasted_by_one_attempt() {
    let db = TestDb::baseline();
    let holder = db.session();
    holder.sql("BEGIN; LOCK TABLE public.app_log IN ACCESS SHARE MODE");
    let args = ["migrate", "--yes", "--lock-timeout", "10h", "--max-wait", "1s"];
    let run = markenmate(&args).db(&db).run().assert_code(7);
    assert!(run.millis < 20_000, "{}", run.millis);
    assert!(run.stderr.contains("holds AccessShare on public.app_log"), "{}", run.stderr);
}

/// Whose state may not be seen is not taken for somebody who has just begun.
#[test]
fn a_holder_of_another_role_is_waited_for_though_its_age_may_not_be_seen() {
    let db = TestDb::baseline();
    let owner = format!("owner_{}", db.name);
    sql(
        &db,
        &format!(
            "CREATE ROLE {owner} LOGIN; {}; GRANT CREATE ON DATABASE {} TO {owner}",
            owned_by(&owner),
            db.name
        ),
    );
    let holder = db.session();
    holder.sql("BEGIN; SELECT count(*) FROM public.\"user\"");
    let url = db.url_as(&owner);
    let check = markenmate(&["migrate", "--check"]).url(&url).run().assert_code(7);
    assert!(check.stderr.contains("state not visible"), "{}", check.stderr);
    assert!(check.stderr.contains("pg_terminate_backend"), "{}", check.stderr);
    assert!(check.stderr.contains("-- as a superuser"), "{}", check.stderr);
    holder.sql("ROLLBACK");
    markenmate(&["migrate", "--check"]).url(&url).run().assert_code(3);
}

/// A vacuum that takes long holds the table; whoever queues past `deadlock_timeout` ends it. The
/// tables' owner sees neither its name nor its kind.
#[test]
fn autovacuum_gives_way() {
    let server = start(&[
        ("autovacuum_naptime", "1"),
        ("autovacuum_vacuum_cost_delay", "100ms"),
        ("autovacuum_vacuum_cost_limit", "1"),
        ("autovacuum_vacuum_threshold", "1"),
        ("autovacuum_vacuum_scale_factor", "0"),
    ]);
    let url = database_on(&server, "vacuumed", &["V1__baseline.sql"]);
    let session = Session::open(&url);
    session.sql("CREATE ROLE owner LOGIN; ALTER DATABASE vacuumed OWNER TO owner");
    session.sql(&owned_by("owner"));
    session.sql(
        r#"INSERT INTO public."user" (id, name, email)
           SELECT n, repeat('x', 500), n FROM generate_series(1, 20000) n;
           UPDATE public."user" SET name = 'y'"#,
    );
    let vacuums = r#"SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
        WHERE a.backend_type = 'autovacuum worker' AND l.relation = 'public."user"'::regclass
          AND l.mode = 'ShareUpdateExclusiveLock'"#;
    assert!(wait_until(Duration::from_secs(60), || one(&session, vacuums) == "1"));
    let owner = url.replacen("postgres@", "owner@", 1);
    let run =
        markenmate(&["migrate", "--yes", "--max-wait", "30s"]).url(&owner).run().assert_code(0);
    assert!(run.stderr.contains("\"autovacuum worker\""), "{}", run.stderr);
    assert!(run.stderr.contains("only autovacuum is in the way"), "{}", run.stderr);
    assert_migrated(&url);
}

/// Who only reads holds up nobody who changes rows; and one session is ended once.
#[test]
fn only_who_can_be_in_the_way_is_named_and_each_once() {
    let db = TestDb::migrated();
    let users = r#"SELECT FROM public."user""#;
    let (_reader, reads) = holder(&db, users);
    let (_holder, pid) =
        holder(&db, &format!("SELECT FROM public.audit_log FOR UPDATE; {users} FOR UPDATE"));
    let promote = [
        ["admin", "promote", "person22@example.de", "--break-glass", "--reason", "r"].as_slice(),
        &["--confirm", &db.name],
    ]
    .concat();
    for args in [promote.as_slice(), &["verify", "--probe", "--yes", "--only", "probe-last-admin"]]
    {
        let args = [args, &["--max-wait", "500ms", "--format", "json"]].concat();
        let run = markenmate(&args).db(&db).run().assert_code(7);
        let waiting = format!("waiting: pid {pid} ");
        assert!(run.stderr.contains(&waiting), "{}", run.stderr);
        assert!(!run.stderr.contains(&format!("pid {reads} ")), "{}", run.stderr);
        let document = run.json();
        let causes = document["error"]["causes"].as_array().unwrap();
        assert_eq!(causes.len(), 1, "{causes:?}");
        let cause = causes[0].as_str().unwrap();
        assert!(cause.starts_with(&format!("pid {pid} ")), "{cause}");
        assert!(cause.contains(r#"RowShare on public."user""#), "{cause}");
        let hints = document["error"]["hints"].to_string();
        assert_eq!(hints.matches("to end it: ").count(), 1, "{hints}");
    }
    // What takes the whole table waits for readers as well.
    let run = markenmate(&["verify", "--max-wait", "300ms"]).db(&db).run();
    assert!(!run.stderr.contains("waiting: "), "{}", run.stderr);
}
