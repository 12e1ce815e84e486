//! Killed without a chance to say goodbye: the next run waits for what is left of it and ends right.

use std::thread::sleep;
use std::time::Duration;

use crate::support::campaign::{figure, tell};
use crate::support::own_server::pg_ctl;
use crate::support::slow::{slow_down, wait_until_asleep, wait_until_locked};
use crate::support::state::{assert_migrated, fingerprint, one};
use crate::support::{Running, Session, TestDb, database_on, markenmate, start};

const MIGRATE: [&str; 4] = ["migrate", "--yes", "--format", "json"];

/// False: it had ended before.
fn kill(running: Running) -> bool {
    running.signal("KILL");
    let code = running.wait().code;
    assert!([0, 128 + 9].contains(&code), "{code}");
    code != 0
}

/// What a person or a scheduler does: at once again.
fn migrate_again(db: &TestDb) -> String {
    sleep(Duration::from_millis(20));
    let run = markenmate(&MIGRATE).db(db).run().assert_code(0);
    assert_migrated(&db.url);
    assert_eq!(one(&db.session(), "SELECT count(*) FROM markenmate.run"), "1");
    run.json()["outcome"].as_str().unwrap().to_owned()
}

/// Kills at moments spread over a whole run, from before the connection to just before the end.
fn killed_at_spread_moments(fresh: impl Fn() -> TestDb) {
    let slowed = || {
        let db = fresh();
        slow_down(&db.session(), Duration::from_millis(15));
        db
    };
    let whole = markenmate(&MIGRATE).db(&slowed()).run().assert_code(0).millis;
    let rounds = figure("KILLS", 3);
    let (mut killed, mut anew, mut found_done) = (0, 0, 0);
    for round in 0..rounds {
        let db = slowed();
        let running = markenmate(&MIGRATE).db(&db).spawn();
        sleep(Duration::from_millis(whole) * (2 * round + 1) / (2 * rounds));
        killed += u32::from(kill(running));
        match migrate_again(&db).as_str() {
            "done" => anew += 1,
            "nothing_to_do" => found_done += 1,
            other => panic!("{other}"),
        }
    }
    tell(&format!(
        "{killed} runs killed at moments of {whole} ms, {} ended before: the next run did it all {anew} times, \
         found it done {found_done} times, found it half-done 0 times",
        rounds - killed
    ));
}

#[test]
fn a_run_killed_while_it_migrates_leaves_nothing_behind() {
    killed_at_spread_moments(TestDb::baseline);
}

#[test]
fn a_run_killed_while_it_builds_leaves_nothing_behind() {
    killed_at_spread_moments(TestDb::empty);
}

#[test]
fn a_run_killed_while_it_holds_the_tables_lets_go_of_them() {
    for _ in 0..figure("HELD_KILLS", 1) {
        let db = TestDb::baseline();
        let session = db.session();
        slow_down(&session, Duration::from_millis(400));
        let running = markenmate(&MIGRATE).db(&db).spawn();
        wait_until_locked(&session, "app_log");
        assert!(kill(running));
        session.sql("DROP EVENT TRIGGER faults");
        assert_eq!(migrate_again(&db), "done");
    }
}

#[test]
fn a_run_killed_while_it_waits_for_a_lock_stops_waiting() {
    for _ in 0..figure("HELD_KILLS", 1) {
        let db = TestDb::baseline();
        let holder = db.session();
        holder.sql(r#"BEGIN; SELECT FROM public."user" LIMIT 1"#);
        // Long in one statement, so that it is the server that waits.
        let args = [&MIGRATE[..], &["--lock-timeout", "60s"]].concat();
        let running = markenmate(&args).db(&db).spawn();
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'markenmate' \
                     AND datname = current_database() AND wait_event_type = 'Lock'";
        let session = db.session();
        let is_waiting = || one(&session, waits) == "1";
        assert!(crate::support::wait_until(Duration::from_secs(20), is_waiting));
        assert!(kill(running));
        let next = markenmate(&MIGRATE).db(&db).spawn();
        sleep(Duration::from_millis(700));
        holder.sql("ROLLBACK");
        assert_eq!(next.wait().assert_code(0).json()["outcome"], "done");
        assert_migrated(&db.url);
    }
}

#[test]
fn a_server_restarted_in_the_middle_changes_nothing() {
    let server = start(&[]);
    let url = database_on(&server, "restarted", &["V1__baseline.sql"]);
    let session = Session::open(&url);
    slow_down(&session, Duration::from_millis(300));
    let before = fingerprint(&session);
    let running = markenmate(&["migrate", "--yes"]).url(&url).spawn();
    wait_until_locked(&session, "user");
    pg_ctl(&server, "restart", "immediate");
    let run = running.wait().assert_code(1);
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains("error: cannot apply V2 security_hardening"), "{}", run.stderr);
    assert!(run.stderr.contains("hint: nothing was changed"), "{}", run.stderr);
    let session = Session::open(&url);
    assert_eq!(fingerprint(&session), before);
    session.sql("DROP EVENT TRIGGER faults");
    markenmate(&["migrate", "--yes"]).url(&url).run().assert_code(0);
    assert_migrated(&url);
}

#[test]
fn a_run_ended_by_an_administrator_changes_nothing() {
    let db = TestDb::baseline();
    let session = db.session();
    slow_down(&session, Duration::from_secs(20));
    let before = fingerprint(&session);
    let running = markenmate(&["migrate", "--yes"]).db(&db).spawn();
    wait_until_asleep(&session);
    session.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'markenmate' AND datname = current_database()");
    let run = running.wait().assert_code(1);
    assert!(run.stderr.contains("SQLSTATE: 57P01"), "{}", run.stderr);
    assert!(run.stderr.contains("hint: nothing was changed"), "{}", run.stderr);
    assert_eq!(fingerprint(&session), before);
}
