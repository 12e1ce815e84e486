//! Who suffers from a cleanup is waited for: standbys that lag, old snapshots.

use std::time::Duration;

use crate::support::own_server::Standby;
use crate::support::state::one;
use crate::support::{Session, TestDb, database_on, markenmate, start, wait_until};

use super::cleanup::FILL;

#[test]
fn a_standby_that_is_behind_is_waited_for() {
    let server = start(&[]);
    let url = database_on(&server, "live", &["V1__baseline.sql"]);
    let session = Session::open(&url);
    session.sql("INSERT INTO public.\"user\" (id, name, email, role) SELECT 'u-' || n || '-', 'n', n || '@x', 'admin' FROM generate_series(1, 20) n");
    markenmate(&["migrate", "--yes"]).url(&url).run().assert_code(0);
    session.sql(FILL);
    drop(session);
    let standby = Standby::of(&server);
    let behind = Session::open(&standby.url("postgres"));
    behind.sql("SELECT pg_wal_replay_pause()");
    let session = Session::open(&url);
    session.sql("UPDATE public.app_log SET message = message");
    let lag = || {
        one(
            &session,
            "SELECT coalesce(max(replay_lag), '0') > interval '5 seconds' FROM pg_stat_replication",
        ) == "t"
    };
    assert!(wait_until(Duration::from_secs(30), lag));

    let busy = markenmate(&["cleanup", "--yes", "--max-wait", "2s", "--format", "json"])
        .url(&url)
        .run()
        .assert_code(7);
    let said = busy.json();
    assert!(said["error"]["causes"].to_string().contains("s behind"), "{said:#}");
    assert!(busy.stderr.contains("waiting: standby"), "{}", busy.stderr);
    assert_eq!(one(&session, "SELECT count(*) FROM markenmate.audit_log_archive"), "0");

    let running = markenmate(&["cleanup", "--yes"]).url(&url).spawn();
    running.wait_for_stderr("waiting: standby");
    behind.sql("SELECT pg_wal_replay_resume()");
    running.wait().assert_code(0);
    assert_ne!(one(&session, "SELECT count(*) FROM markenmate.audit_log_archive"), "0");
}

#[test]
fn an_old_snapshot_is_seen_and_a_young_one_is_not() {
    let db = TestDb::migrated();
    let holder = db.session();
    holder
        .sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL application_name = 'old'; SELECT 1");
    std::thread::sleep(Duration::from_millis(300));
    let asked = |age: &str| {
        let sql = include_str!("../../src/cleanup/pressure.sql")
            .replace("%LAG%", "interval '5 seconds'")
            .replace("%SNAPSHOT%", age);
        one(&db.session(), &sql)
    };
    assert!(asked("interval '200 milliseconds'").contains("(old as postgres) has a snapshot"));
    assert_eq!(asked("interval '10 minutes'"), "");
}
