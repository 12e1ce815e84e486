//! What is counted and who is at work, after a crash and a kill: nothing is told that nobody knows.

use std::thread::scope;
use std::time::Duration;

use serde_json::Value;

use super::cleanup::filled;
use super::guards::{SPENT, STALE};
use crate::support::app::{FIXTURE, at_version, said};
use crate::support::own_server::{Standby, pg_ctl};
use crate::support::state::one;
use crate::support::{Session, TestDb, database_on, markenmate, start, wait_until};

const LATE: &str = "UPDATE token_lending SET person_name = 'x' WHERE version = 7";
const SPENT_AGAIN: &str = "UPDATE step_up_token SET used = true WHERE id = 9002";

fn conflicts(url: &str) -> (f64, f64) {
    let seen = markenmate(&["stats", "--format", "json"]).url(url).run().assert_code(0).json();
    let of = |id| value(&seen, id, None).unwrap();
    (of("version-conflicts"), of("step-up-conflicts"))
}

/// Of a metric, or of a table's.
fn value(seen: &Value, id: &str, table: Option<&str>) -> Option<f64> {
    let all = seen["data"]["metrics"].as_array().unwrap();
    let is_it =
        |value: &&Value| value["id"] == id && table.is_none_or(|t| value["labels"]["table"] == t);
    all.iter().find(is_it).and_then(|value| value["value"].as_f64())
}

#[track_caller]
fn assert_conflict(session: &Session, does: &str, (state, message): (&str, &str)) {
    let end = session.try_sql(does).err().map(said);
    assert_eq!(end, Some((state.to_owned(), message.to_owned())), "{does}");
}

/// A sequence is written ahead by nextval: a server that comes back, or follows, would have counted up to 32 too many.
#[test]
fn conflicts_are_as_many_after_a_crash_and_on_a_standby() {
    let server = start(&[]);
    let url = database_on(&server, "live", &[]);
    markenmate(&["migrate", "--yes"]).url(&url).run().assert_code(0);
    let session = Session::open(&url);
    session.sql(FIXTURE);
    assert_conflict(&session, LATE, STALE);
    assert_conflict(&session, SPENT_AGAIN, SPENT);
    session.sql("CHECKPOINT");
    assert_conflict(&session, LATE, STALE);
    session.sql("CHECKPOINT");
    assert_conflict(&session, LATE, STALE);
    assert_eq!(conflicts(&url), (3.0, 1.0));
    // On the disk.
    session.sql("SET synchronous_commit = on; INSERT INTO app_log (message) VALUES ('m')");
    pg_ctl(&server, "restart", "immediate");
    assert_eq!(conflicts(&url), (3.0, 1.0));
    let session = Session::open(&url);
    assert_conflict(&session, LATE, STALE);
    assert_eq!(conflicts(&url), (4.0, 1.0));
    drop(session);
    let standby = Standby::of(&server);
    assert!(wait_until(Duration::from_secs(30), || standby.socket().exists()));
    let session = Session::open(&url);
    assert_conflict(&session, LATE, STALE);
    session.sql("INSERT INTO app_log (message) VALUES ('followed')");
    let there = || Session::open(&standby.url("live"));
    let followed = "SELECT count(*) FROM app_log WHERE message = 'followed'";
    assert!(wait_until(Duration::from_secs(30), || one(&there(), followed) == "1"));
    assert_eq!(conflicts(&standby.url("live")), (5.0, 1.0));
}

#[test]
fn conflicts_at_the_same_moment_are_all_counted() {
    const EACH: u32 = 300;
    let db = at_version(3);
    scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let session = db.session();
                for _ in 0..EACH {
                    assert_conflict(&session, LATE, STALE);
                }
            });
        }
    });
    assert_eq!(conflicts(&db.url), (f64::from(4 * EACH), 0.0));
}

/// Statistics are lost with a crash; what was counted since is not all there is.
#[test]
fn tables_that_a_crashed_server_has_not_counted_since_are_unknown() {
    let server = start(&[("autovacuum", "off")]);
    let url = database_on(&server, "live", &[]);
    markenmate(&["migrate", "--yes"]).url(&url).run().assert_code(0);
    let session = Session::open(&url);
    session.sql(
        "CREATE TABLE public.read (n int, t text);
         INSERT INTO public.read SELECT n, 'x' FROM generate_series(1, 120000) n",
    );
    // Never analyzed.
    session.sql(
        "CREATE TABLE public.unread (n int, t text);
         INSERT INTO public.unread SELECT n, repeat('x', 44) FROM generate_series(1, 3145) n",
    );
    assert_eq!(one(&session, "SELECT pg_relation_size('public.unread') / 8192"), "33");
    session.sql(
        "CREATE TABLE public.narrow (n int); INSERT INTO public.narrow SELECT generate_series(1, 3000)",
    );
    drop(session);
    let of = |id: &str, table: &str| {
        let seen = markenmate(&["stats", "--format", "json"]).url(&url).run().assert_code(0).json();
        value(&seen, id, Some(&format!("public.{table}")))
    };
    let rows = |n| wait_until(Duration::from_secs(20), || of("table-rows", "read") == n);
    assert!(rows(Some(120_000.0)));
    Session::open(&url).sql("ANALYZE public.read; DELETE FROM public.read WHERE n <= 100000");
    let dead = |n| wait_until(Duration::from_secs(20), || of("table-dead-rows", "read") == n);
    assert!(dead(Some(100_000.0)));
    assert_eq!(of("table-rows", "read"), Some(20_000.0));

    let session = Session::open(&url);
    session.sql("CHECKPOINT");
    pg_ctl(&server, "restart", "immediate");
    let count =
        "SELECT string_agg(relname || ' ' || n_tup_ins || ' ' || n_tup_upd, ', ' ORDER BY relname)
                   FROM pg_stat_all_tables WHERE relname IN ('narrow', 'read', 'unread')";
    let counted = |expected: &str| {
        let seen = || one(&Session::open(&url), count);
        assert!(wait_until(Duration::from_secs(20), || seen() == expected), "{}", seen());
    };
    counted("narrow 0 0, read 0 0, unread 0 0");
    Session::open(&url).sql(
        "INSERT INTO public.read VALUES (0, 'x');
         INSERT INTO public.unread SELECT n, 'x' FROM generate_series(1, 45) n;
         INSERT INTO public.narrow SELECT generate_series(1, 45)",
    );
    counted("narrow 45 0, read 1 0, unread 45 0");
    assert_eq!(of("table-dead-rows", "read"), None);
    assert_eq!(of("table-dead-ratio", "read"), None);
    // As ANALYZE found them.
    assert_eq!(of("table-rows", "read"), Some(120_000.0));
    assert_eq!((of("table-rows", "unread"), of("table-dead-rows", "unread")), (None, None));
    // Changes are no rows, however many they are: what nobody counted is less of the table each time.
    let changes =
        ["UPDATE public.unread SET t = ''; UPDATE public.narrow SET n = 0"; 20].join("; ");
    Session::open(&url).sql(&format!("BEGIN; {changes}; COMMIT"));
    counted("narrow 45 60900, read 1 0, unread 45 63800");
    for table in ["narrow", "unread"] {
        assert_eq!(
            (of("table-rows", table), of("table-dead-rows", table)),
            (None, None),
            "{table}"
        );
    }
    Session::open(&url).sql("DELETE FROM public.read WHERE n > 105000");
    let deleted = "SELECT n_dead_tup FROM pg_stat_all_tables WHERE relname = 'read'";
    assert!(wait_until(Duration::from_secs(20), || one(&Session::open(&url), deleted) == "15000"));
    assert_eq!(of("table-dead-ratio", "read"), None, "of how many");
    Session::open(&url).sql("VACUUM (ANALYZE) public.read, public.unread");
    assert!(dead(Some(0.0)));
    assert_eq!(
        (of("table-rows", "read"), of("table-rows", "unread")),
        (Some(5001.0), Some(3190.0))
    );
}

/// As status has it: which jobs are at work.
fn at_work(db: &TestDb) -> Vec<String> {
    let seen = markenmate(&["status", "--format", "json"]).db(db).run().assert_code(0).json();
    let runs = seen["data"]["schedule"]["last_runs"].as_array().unwrap().clone();
    let is_at_work = |run: &&Value| run["at_work"] == true;
    runs.iter().filter(is_at_work).map(|run| run["job"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn of_two_runs_without_an_end_the_one_that_was_killed_is_not_at_work() {
    let db = filled();
    let (holder, session) = (db.session(), db.session());
    let begins = |job: &str| {
        let running = markenmate(&["cleanup", job, "--yes"]).db(&db).spawn();
        let begun = format!(
            "SELECT count(*) FROM markenmate.cleanup WHERE job = '{job}' AND finished_at IS NULL"
        );
        assert!(wait_until(Duration::from_secs(20), || one(&session, &begun) == "1"), "{job}");
        running
    };
    holder.sql("BEGIN; LOCK TABLE public.audit_log IN EXCLUSIVE MODE");
    let killed = begins("audit");
    assert_eq!(at_work(&db), ["audit"]);
    killed.signal("KILL");
    killed.wait();
    holder.sql("ROLLBACK");
    let free = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert!(wait_until(Duration::from_secs(20), || one(&session, free) == "0"));
    assert_eq!(at_work(&db), <[String; 0]>::default());
    holder.sql("BEGIN; LOCK TABLE public.step_up_token IN EXCLUSIVE MODE");
    let running = begins("tokens");
    assert_eq!(at_work(&db), ["tokens"]);
    let said = markenmate(&["status"]).db(&db).run().assert_code(0).stdout;
    assert!(said.contains("ended in the middle, run again: markenmate cleanup audit"), "{said}");
    holder.sql("ROLLBACK");
    running.wait().assert_code(0);
    assert_eq!(at_work(&db), <[String; 0]>::default());
    // What is at work without a row of its own, as orphans are, is not the run that was killed either; nor is it where
    // another has run since, whatever the sessions' ages are.
    let lock = "BEGIN; SELECT pg_advisory_xact_lock(1835102827, 1668048225)";
    session.sql(lock);
    assert_eq!(at_work(&db), <[String; 0]>::default());
    session.sql("ROLLBACK; DELETE FROM markenmate.cleanup WHERE job = 'tokens'");
    let younger = db.session();
    younger.sql(lock);
    assert_eq!(at_work(&db), <[String; 0]>::default());
    younger.sql("ROLLBACK; UPDATE markenmate.cleanup SET began_at = clock_timestamp()");
    younger.sql(lock);
    assert_eq!(at_work(&db), ["audit"]);
    // The server's own runs are no part of that.
    session.sql(
        "INSERT INTO markenmate.cleanup (job, run_id, cut_off, finished_at, outcome) VALUES ('tokens', 'pg_cron', now(), now(), 'done')",
    );
    assert_eq!(at_work(&db), ["audit"]);
}

#[test]
fn a_job_whose_rows_are_all_held_says_so() {
    let db = filled();
    let holder = db.session();
    holder.sql("BEGIN; SELECT id FROM public.audit_log WHERE created_at < now() - interval '90 days' FOR UPDATE");
    let done = markenmate(&["cleanup", "audit", "--yes", "--format", "json"]).db(&db).run();
    let done = done.assert_code(0).json();
    assert_eq!(done["data"]["jobs"][0]["skipped"], 1280, "{done:#}");
    let title = done["steps"][0]["title"].as_str().unwrap();
    assert_eq!(
        title,
        "move old audit rows to the archive: 0; 1280 are held by others, and 1280 are there still"
    );
    // Gone before they were come to.
    holder.sql("ROLLBACK; BEGIN; LOCK TABLE public.audit_log IN EXCLUSIVE MODE");
    let running = markenmate(&["cleanup", "audit", "--yes"]).db(&db).spawn();
    running.wait_for_stderr("waiting: pid");
    holder
        .sql("DELETE FROM public.audit_log WHERE created_at < now() - interval '90 days'; COMMIT");
    let said = running.wait().assert_code(0).stdout;
    assert!(
        said.contains(
            "done    move old audit rows to the archive: 0; the 1280 of the plan were gone already"
        ),
        "{said}"
    );
    // None were due.
    let said = markenmate(&["cleanup", "audit", "--yes"]).db(&db).run().assert_code(0).stdout;
    assert!(!said.contains("by others"), "{said}");
}
