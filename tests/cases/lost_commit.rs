//! The answer to COMMIT is lost: the tool finds out what happened, and where it cannot, says so.

use std::time::Duration;

use crate::support::campaign::{figure, tell};
use crate::support::own_server::{Standby, pg_ctl};
use crate::support::proxy::{Break, Proxy};
use crate::support::state::{assert_migrated, fingerprint, one};
use crate::support::{Run, Session, TestDb, cluster, database_on, markenmate, start, wait_until};

fn through(db: &TestDb, breaks: Break, outage: Duration, more: &[&str]) -> Run {
    let proxy = Proxy::before(cluster().socket_dir(), breaks, outage);
    let args = [&["migrate", "--yes", "--format", "json"], more].concat();
    let run = markenmate(&args).url(&proxy.url(&db.name)).run();
    assert!(proxy.has_broken(), "no COMMIT came by: {run:?}");
    run
}

const NO_OUTAGE: Duration = Duration::ZERO;

#[test]
fn a_commit_that_never_arrived_changed_nothing() {
    for fresh in [TestDb::empty, TestDb::baseline] {
        let db = fresh();
        let before = fingerprint(&db.session());
        let run = through(&db, Break::BeforeCommit, NO_OUTAGE, &[]).assert_code(1);
        let document = run.json();
        assert_eq!(document["outcome"], "failed");
        assert_eq!(
            document["error"]["message"], "the connection broke during COMMIT: nothing was changed",
            "{document:#}"
        );
        assert_eq!(fingerprint(&db.session()), before);
        markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
        assert_migrated(&db.url);
    }
}

#[test]
fn a_commit_whose_answer_was_lost_took_place() {
    for fresh in [TestDb::empty, TestDb::baseline] {
        let db = fresh();
        let run = through(&db, Break::AfterAnswer, NO_OUTAGE, &[]).assert_code(0);
        assert_eq!(run.json()["outcome"], "done");
        assert!(run.stderr.contains("looking whether it took place"), "{}", run.stderr);
        assert_migrated(&db.url);
    }
}

/// Wherever it is cut, the answer is what the database says.
#[test]
fn a_connection_cut_around_commit_is_answered_truly() {
    let rounds = figure("CUTS", 4);
    let ways = [Break::BeforeCommit, Break::MidCommit, Break::AfterCommit, Break::AfterAnswer];
    let mut committed = 0;
    for (_, breaks) in (0..rounds).zip(ways.into_iter().cycle()) {
        let db = TestDb::baseline();
        let run = through(&db, breaks, NO_OUTAGE, &[]);
        let session = db.session();
        let there = "SELECT to_regclass('markenmate.refinery_schema_history') IS NOT NULL";
        let expected = if one(&session, there) == "t" { 0 } else { 1 };
        assert_eq!(run.code, expected, "{breaks:?}: {run:?}");
        committed += u32::from(run.code == 0);
    }
    tell(&format!(
        "{rounds} connections cut around COMMIT: {committed} had committed, {} had not, 0 wrong answers",
        rounds - committed
    ));
}

#[test]
fn a_server_that_comes_back_late_is_asked_then() {
    let db = TestDb::baseline();
    let run = through(&db, Break::AfterAnswer, Duration::from_secs(2), &[]).assert_code(0);
    assert_eq!(run.json()["data"]["applied"], serde_json::json!([2, 3]));
    assert!(run.millis >= 2000, "{}", run.millis);
}

#[test]
fn a_server_that_stays_away_leaves_it_unknown() {
    let db = TestDb::baseline();
    let outage = Duration::from_secs(60);
    let run = through(&db, Break::AfterAnswer, outage, &["--max-wait", "1s"]).assert_code(6);
    let document = run.json();
    assert_eq!(document["outcome"], "unknown");
    let message = document["error"]["message"].as_str().unwrap();
    assert!(message.ends_with("whether it took place is not known"), "{message}");
    let hint = document["error"]["hints"][0].as_str().unwrap();
    assert!(hint.contains("markenmate status"), "{hint}");
    assert_migrated(&db.url);
}

/// COMMIT waits for a standby that is not there.
fn hanging() -> (markenmate::sandbox::Sandbox, String, Session) {
    let server = start(&[("synchronous_commit", "on")]);
    let url = database_on(&server, "hanging", &["V1__baseline.sql"]);
    let session = Session::open(&url);
    session.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    pg_ctl(&server, "reload", "fast");
    (server, url, session)
}

fn wait_until_hanging(session: &Session) {
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    assert!(wait_until(Duration::from_secs(20), || one(session, waits) == "1"));
}

#[test]
fn a_session_ended_during_commit_has_committed() {
    let (server, url, session) = hanging();
    let running = markenmate(&["migrate", "--yes"]).url(&url).spawn();
    wait_until_hanging(&session);
    session
        .sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
    let run = running.wait().assert_code(0);
    assert!(run.stdout.contains("the history shows that it took place"), "{}", run.stdout);
    session.sql("ALTER SYSTEM RESET synchronous_standby_names");
    pg_ctl(&server, "reload", "fast");
    assert_migrated(&url);
}

/// The connection is gone, the session is still committing: nothing is said before it has ended.
#[test]
fn an_unfinished_commit_is_waited_for() {
    let (server, url, session) = hanging();
    let proxy = Proxy::before(server.socket_dir(), Break::AfterCommit, NO_OUTAGE);
    let running = markenmate(&["migrate", "--yes"]).url(&proxy.url("hanging")).spawn();
    running.wait_for_stderr("looking whether it took place");
    std::thread::sleep(Duration::from_millis(600));
    session.sql("ALTER SYSTEM RESET synchronous_standby_names");
    pg_ctl(&server, "reload", "fast");
    running.wait().assert_code(0);
    assert_migrated(&url);
}

#[test]
fn whoever_does_not_wait_for_the_answer_is_told_that_it_is_unknown() {
    let db = TestDb::baseline();
    let outage = Duration::from_secs(60);
    let proxy = Proxy::before(cluster().socket_dir(), Break::AfterCommit, outage);
    let running = markenmate(&["migrate", "--yes"]).url(&proxy.url(&db.name)).spawn();
    running.wait_for_stderr("looking whether it took place");
    running.signal("INT");
    let run = running.wait().assert_code(6);
    assert!(run.stderr.contains("is not known"), "{}", run.stderr);
    assert!(!run.stderr.contains("nothing was changed"), "{}", run.stderr);
}

/// The network swallows COMMIT: a second signal ends that at once, and it must not claim to know.
#[test]
fn a_commit_without_any_answer_can_be_left_as_unknown() {
    let db = TestDb::baseline();
    let proxy = Proxy::before(cluster().socket_dir(), Break::Silence, NO_OUTAGE);
    let running = markenmate(&["migrate", "--yes"]).url(&proxy.url(&db.name)).spawn();
    assert!(wait_until(Duration::from_secs(20), || proxy.has_broken()));
    running.signal("INT");
    std::thread::sleep(Duration::from_millis(200));
    running.signal("INT");
    let run = running.wait().assert_code(6);
    assert!(run.stderr.contains("interrupted during COMMIT"), "{}", run.stderr);
    assert!(!run.stderr.contains("nothing was changed"), "{}", run.stderr);
}

/// The same, and nobody is at the keyboard: the server frees the app's tables, and the run ends with
/// the truth.
#[test]
fn a_commit_that_the_network_swallows_frees_the_tables_and_changed_nothing() {
    let db = TestDb::baseline();
    let before = fingerprint(&db.session());
    let proxy = Proxy::before(cluster().socket_dir(), Break::Silence, NO_OUTAGE);
    let running = markenmate(&["migrate", "--yes"]).url(&proxy.url(&db.name)).spawn();
    assert!(wait_until(Duration::from_secs(20), || proxy.has_broken()));
    let began = std::time::Instant::now();
    let session = db.session();
    session.sql("UPDATE public.token_lending SET token_count = token_count");
    assert!(began.elapsed() < Duration::from_secs(13), "{:?}", began.elapsed());
    let run = running.wait().assert_code(1);
    assert!(run.stderr.contains("nothing was changed"), "{}", run.stderr);
    assert!(run.stderr.contains("COMMIT was not answered for 15 s"), "{}", run.stderr);
    assert_eq!(fingerprint(&session), before);
}

#[test]
fn after_a_failover_the_server_that_took_over_is_asked() {
    for (breaks, code) in [(Break::BeforeCommit, 1), (Break::AfterAnswer, 0)] {
        let server = start(&[]);
        let url = database_on(&server, "followed", &["V1__baseline.sql"]);
        let standby = Standby::of(&server);
        let there = standby.url("followed");
        let follower = Session::open(&there);
        let arrived = "SELECT to_regclass('public.app_log') IS NOT NULL";
        assert!(wait_until(Duration::from_secs(20), || one(&follower, arrived) == "t"));
        let primary = server.socket_dir().join(".s.PGSQL.5432");
        let proxy = Proxy::failing_over(primary, standby.socket(), breaks, NO_OUTAGE);
        let running = markenmate(&["migrate", "--yes"]).url(&proxy.url("followed")).spawn();
        running.wait_for_stderr("looking whether it took place");
        if code == 0 {
            let arrived = "SELECT to_regclass('markenmate.run') IS NOT NULL";
            assert!(wait_until(Duration::from_secs(20), || one(&follower, arrived) == "t"));
        }
        standby.promote();
        let run = running.wait().assert_code(code);
        if code == 0 {
            assert_migrated(&there);
            assert_migrated(&url);
        } else {
            assert!(run.stderr.contains("a failover took place meanwhile"), "{}", run.stderr);
            assert_eq!(one(&follower, "SELECT to_regnamespace('markenmate')::text"), "");
            markenmate(&["migrate", "--yes"]).url(&there).run().assert_code(0);
            assert_migrated(&there);
        }
    }
}

/// The swap of both names as well: what is said is what became of it.
#[test]
fn a_swap_whose_answer_was_lost_is_found_out() {
    for (breaks, code) in
        [(Break::BeforeCommit, 1), (Break::AfterAnswer, 0), (Break::AfterCommit, 0)]
    {
        let db = TestDb::baseline();
        markenmate(&["backup", "-o", "b.dump"]).db(&db).run().assert_code(0);
        let oid =
            || one(&db.session(), "SELECT oid FROM pg_database WHERE datname = current_database()");
        let before = oid();
        let proxy = Proxy::before(cluster().socket_dir(), breaks, NO_OUTAGE);
        let path = db.folder().join("b.dump");
        let args = [
            "rollback",
            "--restore",
            path.to_str().unwrap(),
            "--no-safety-backup",
            "--confirm",
            &db.name,
        ];
        let run = markenmate(&args).url(&proxy.url(&db.name)).run().assert_code(code);
        assert!(proxy.has_broken(), "no COMMIT came by: {run:?}");
        assert_eq!(oid() == before, code != 0, "{breaks:?}: {run:?}");
        if code != 0 {
            // What was restored waits, and only the swap is left to do.
            let again = markenmate(&args).db(&db).run().assert_code(0);
            assert!(again.stdout.contains("skipped restore "), "{}", again.stdout);
        }
        let old = Session::open(&cluster().url("postgres"));
        for row in old.sql(&format!(
            "SELECT datname FROM pg_database WHERE datname LIKE '{}\\_before%'",
            db.name
        )) {
            old.sql(&format!("DROP DATABASE \"{}\" WITH (FORCE)", row[0].clone().unwrap()));
        }
    }
}
