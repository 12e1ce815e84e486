//! Somebody is in the way of the way back, or of what returns; and whatever changes while it waits is not lost.

use std::thread::sleep;
use std::time::Duration;

use super::rollback::{holds, rollback, same, used};
use crate::support::aside::{assert_nothing_kept, together};
use crate::support::own_server::{Standby, pg_ctl};
use crate::support::proxy::{Break, Proxy};
use crate::support::state::{assert_migrated, fingerprint, one, versions};
use crate::support::{
    Run, Running, Session, TestDb, cluster, database_on, markenmate, start, wait_until,
};

fn start_rollback(db: &TestDb, more: &[&str]) -> Running {
    let args = [&["rollback", "--confirm", &db.name, "--format", "json"], more].concat();
    markenmate(&args).db(db).spawn()
}

fn start_migrate(db: &TestDb, more: &[&str]) -> Running {
    let args = [&["migrate", "--yes", "--format", "json"], more].concat();
    markenmate(&args).db(db).spawn()
}

/// Waits until the binary stands in a queue for a lock.
#[track_caller]
fn wait_until_queueing(session: &Session) {
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'markenmate' \
                 AND datname = current_database() AND wait_event_type = 'Lock'";
    assert!(wait_until(Duration::from_secs(30), || one(session, waits) == "1"));
}

fn kept_tables(session: &Session) -> String {
    one(
        session,
        "SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('markenmate_quarantine')",
    )
}

#[test]
fn a_holder_is_named_and_nothing_is_changed_or_set_aside() {
    for table in ["token_lending", "user", "audit_log", "app_log", "step_up_token"] {
        let db = used();
        let session = db.session();
        let before = fingerprint(&session);
        let holder = db.session();
        holder.sql(&format!(
            "SET application_name = billing; BEGIN; SELECT FROM public.\"{table}\" LIMIT 1"
        ));
        let pid = one(&holder, "SELECT pg_backend_pid()");
        let running = start_rollback(&db, &["--max-wait", "3s"]);
        running.wait_for_stderr(&format!("waiting: pid {pid} (\"billing\""));
        let run = running.wait().assert_code(7);
        let document = run.json();
        assert_eq!(document["outcome"], "busy");
        let text = document["error"].to_string();
        assert!(text.contains(&format!("SELECT pg_terminate_backend({pid});")), "{text}");
        assert!(text.contains("nothing was changed"), "{text}");
        assert_eq!(fingerprint(&session), before, "{table}");
        assert_eq!(kept_tables(&session), "0");
        holder.sql("ROLLBACK");
        rollback(&db, &[]).assert_code(0);
    }
}

#[test]
fn another_run_is_waited_for_and_named() {
    let db = used();
    let holder = db.session();
    let (class, object) = (0x6d61_726b, 0x6d61_7465);
    holder.sql(&format!("BEGIN; SELECT pg_advisory_xact_lock({class}, {object})"));
    let run = start_rollback(&db, &["--max-wait", "1s"]).wait().assert_code(7);
    assert!(
        run.stdout.contains("another run of markenmate held the database for 1s"),
        "{}",
        run.stdout
    );
    let running = start_rollback(&db, &[]);
    sleep(Duration::from_millis(600));
    holder.sql("ROLLBACK");
    running.wait().assert_code(0);
}

/// Rows that are made, changed and deleted after the copy and before the locks, by transactions that began
/// before it and after it, with subtransactions.
#[test]
fn what_changes_between_the_copy_and_the_locks_is_picked_up() {
    let db = used();
    let session = db.session();
    let id = |sql: &str| one(&session, sql);
    let user = id("SELECT min(id) FROM public.\"user\"");
    let admin = id("SELECT max(id) FROM public.\"user\" WHERE role = 'admin'");
    let early = db.session();
    // It has its number before the copy is taken, and is not seen by it.
    early.sql("BEGIN; UPDATE public.token_lending SET version = version + 10 WHERE id = 5");
    early.sql(
        "SAVEPOINT a; UPDATE public.app_log SET correlation_id = 'early' WHERE id = 7; RELEASE a",
    );
    let holder = db.session();
    // The first table that is locked: as long as it is queued for, nothing else is.
    holder.sql("BEGIN; SELECT FROM public.\"user\" LIMIT 1");
    let running = start_rollback(&db, &["--lock-timeout", "60s"]);
    wait_until_queueing(&session);
    let kept = "SELECT count(*) FROM pg_locks WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock' AND NOT granted";
    assert_eq!(one(&session, kept), "1");
    // The early one, another session, and the holder itself, who may pass the queue.
    early.sql("UPDATE public.token_lending SET version = version + 1 WHERE id = 6");
    let other = db.session();
    // Each by itself: a row that one transaction changes twice has its keys looked at, which queues.
    for statement in [
        "UPDATE public.token_lending SET version = version + 100 WHERE id IN (1, 2)",
        "UPDATE public.token_lending SET version = version + 100 WHERE id = 2",
        "UPDATE public.app_log SET correlation_id = NULL WHERE id = 3",
        "UPDATE public.app_log SET correlation_id = 'other' WHERE id IN (1, 6)",
        "UPDATE public.step_up_token SET used = true WHERE id = (SELECT max(id) FROM public.step_up_token WHERE NOT used)",
        "DELETE FROM public.audit_log WHERE id = 2",
        "DELETE FROM public.token_lending WHERE id = 8",
    ] {
        other.sql(statement);
    }
    holder.sql(&format!(
        "SAVEPOINT a;
         INSERT INTO public.token_lending (user_id, lend_to_user_id, person_name, token_count, total_tokens_lent, version) VALUES ('{user}', '{user}', 'N', 1, 1, 42), ('{user}', '{user}', 'N', 1, 1, 1);
         SAVEPOINT b; UPDATE public.token_lending SET version = version + 7 WHERE id = 4; ROLLBACK TO b;
         INSERT INTO public.app_log (message, correlation_id) VALUES ('m', 'holder');
         INSERT INTO public.audit_log (user_id, action) VALUES ('{user}', 'holder');
         RELEASE a;
         SELECT markenmate.set_master_admin('{admin}', true)"
    ));
    early.sql("COMMIT");
    holder.sql("COMMIT");
    let done = running.wait().assert_code(0).json();
    assert_eq!(done["data"]["attempts"], 1, "{done:#}");
    assert_eq!(versions(&session), "1");
    let truth = together(&session);
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    let version = |id: u32| id_of(&session, "token_lending", "version", id);
    // Half of the lendings had a version above 1: used() says which.
    assert_eq!([5, 6, 1, 2, 4].map(version), ["11", "3", "101", "202", "5"].map(str::to_owned));
    assert_eq!(
        one(
            &session,
            "SELECT json_agg(version ORDER BY id) FROM public.token_lending WHERE person_name = 'N'"
        ),
        "[42, 1]"
    );
    assert_eq!(
        [7, 3, 1, 6].map(|id| id_of(&session, "app_log", "correlation_id", id)),
        ["early", "", "other", "other"].map(str::to_owned)
    );
    assert_eq!(
        one(&session, "SELECT correlation_id FROM public.app_log ORDER BY id DESC LIMIT 1"),
        "holder"
    );
    assert_eq!(
        one(&session, "SELECT string_agg(id, ',') FROM public.\"user\" WHERE is_master_admin"),
        admin
    );
    assert_eq!(one(&session, "SELECT count(*) FROM public.audit_log WHERE id = 2"), "0");
    assert_eq!(
        one(&session, "SELECT action FROM public.audit_log ORDER BY id DESC LIMIT 1"),
        "holder"
    );
    for part in ["audit_log", "step_up_token", "app_log", "user"] {
        assert!(together(&session)[part] == truth[part], "{part}");
    }
    assert_migrated(&db.url);
}

fn id_of(session: &Session, table: &str, column: &str, id: u32) -> String {
    one(session, &format!("SELECT {column} FROM public.{table} WHERE id = {id}"))
}

/// A migrate that has committed the versions and waits with the first row: whoever holds `kept` keeps it there.
fn held_before_rows(db: &TestDb, more: &[&str]) -> (Session, Running) {
    let holder = db.session();
    let session = db.session();
    let kept = one(
        &session,
        "SELECT string_agg(format('markenmate_quarantine.%I', name), ', ') FROM markenmate.set_aside WHERE state = 'kept' AND of_table <> 'user'",
    );
    holder.sql(&format!("BEGIN; LOCK TABLE {kept} IN SHARE ROW EXCLUSIVE MODE"));
    let running = start_migrate(db, more);
    assert!(wait_until(Duration::from_secs(30), || versions(&session) == "1,2,3"));
    (holder, running)
}

#[test]
fn rows_that_the_application_holds_are_skipped_and_come_later() {
    let db = used();
    let session = db.session();
    let before = holds(&session);
    rollback(&db, &[]).assert_code(0);
    let (holder, running) = held_before_rows(&db, &[]);
    let app = db.session();
    app.sql("BEGIN; SELECT FROM public.token_lending WHERE id IN (2, 4) FOR UPDATE; SELECT FROM public.app_log WHERE id = 3 FOR UPDATE");
    holder.sql("ROLLBACK");
    let others = "SELECT count(*) FROM public.token_lending WHERE version > 1 AND id NOT IN (2, 4)";
    assert!(wait_until(Duration::from_secs(30), || one(&session, others) != "0"
        && one(&session, "SELECT count(*) FROM public.app_log WHERE correlation_id IS NOT NULL")
            != "0"));
    assert_eq!(
        one(&session, "SELECT json_agg(version) FROM public.token_lending WHERE id IN (2, 4)"),
        "[1, 1]"
    );
    // It changes what it holds, by the version it has seen.
    app.sql("UPDATE public.token_lending SET version = 2, token_count = token_count + 1 WHERE id = 2 AND version = 1");
    app.sql("COMMIT");
    running.wait().assert_code(0);
    session.sql("BEGIN; SELECT markenmate.open_gate('a test'); UPDATE public.token_lending SET version = version - 1 WHERE id = 2; COMMIT");
    same(&holds(&session), &before);
    assert_nothing_kept(&session);
}

#[test]
fn rows_that_are_held_all_the_time_leave_the_rest_for_the_next_run() {
    let db = used();
    let session = db.session();
    let before = holds(&session);
    rollback(&db, &[]).assert_code(0);
    let (holder, running) = held_before_rows(&db, &["--max-wait", "2s"]);
    let app = db.session();
    app.sql("BEGIN; SELECT FROM public.token_lending WHERE id = 2 FOR UPDATE");
    holder.sql("ROLLBACK");
    let run = running.wait().assert_code(6);
    let document = run.json();
    assert_eq!(document["outcome"], "partial");
    let said = document["error"].to_string();
    for part in [
        "rows of public.token_lending are locked: 1",
        "holds RowShare on public.token_lending",
        "SELECT pg_terminate_backend(",
        "the versions are committed",
        "the next markenmate migrate goes on",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    // Where nothing else is to be done it is no different.
    let run = start_migrate(&db, &["--max-wait", "1s"]).wait().assert_code(6);
    assert!(run.stdout.contains("the next markenmate migrate goes on"), "{}", run.stdout);
    app.sql("ROLLBACK");
    start_migrate(&db, &[]).wait().assert_code(0);
    same(&holds(&session), &before);
    assert_nothing_kept(&session);
    assert_migrated(&db.url);
}

/// A signal while rows return: what is committed stays, the rest is for the next run.
#[test]
fn interrupted_while_rows_return_the_next_run_goes_on() {
    let db = used();
    let session = db.session();
    let before = holds(&session);
    rollback(&db, &[]).assert_code(0);
    let (holder, running) = held_before_rows(&db, &[]);
    running.signal("INT");
    let run = running.wait().assert_code(130);
    holder.sql("ROLLBACK");
    let document = run.json();
    assert!(
        document["error"].to_string().contains("the next markenmate migrate goes on"),
        "{document:#}"
    );
    start_migrate(&db, &[]).wait().assert_code(0);
    same(&holds(&session), &before);
    assert_nothing_kept(&session);
}

#[test]
fn interrupted_on_the_way_back_nothing_is_changed() {
    let db = used();
    let session = db.session();
    let before = fingerprint(&session);
    let holder = db.session();
    holder.sql("BEGIN; SELECT FROM public.\"user\" LIMIT 1");
    let running = start_rollback(&db, &["--lock-timeout", "60s"]);
    wait_until_queueing(&session);
    running.signal("INT");
    running.wait().assert_code(130);
    assert_eq!(fingerprint(&session), before);
}

// --- COMMIT's answer --------------------------------------------------------------------------------

const NO_OUTAGE: Duration = Duration::ZERO;

fn through(db: &TestDb, breaks: Break, outage: Duration, more: &[&str]) -> Run {
    let proxy = Proxy::before(cluster().socket_dir(), breaks, outage);
    let args = [&["rollback", "--confirm", &db.name, "--format", "json"], more].concat();
    let run = markenmate(&args).url(&proxy.url(&db.name)).run();
    assert!(proxy.has_broken(), "no COMMIT came by: {run:?}");
    run
}

#[test]
fn a_rollback_whose_commit_was_cut_is_found_out() {
    for breaks in [Break::BeforeCommit, Break::MidCommit, Break::AfterCommit, Break::AfterAnswer] {
        let db = used();
        let session = db.session();
        let before = fingerprint(&session);
        let all = together(&session);
        let run = through(&db, breaks, NO_OUTAGE, &[]);
        if versions(&session) == "1" {
            let run = run.assert_code(0);
            assert_eq!(run.json()["data"]["reverted"], serde_json::json!([3, 2]));
            assert!(run.stderr.contains("looking whether it took place"), "{}", run.stderr);
            // It is told what was set aside all the same.
            assert_eq!(
                run.json()["data"]["set_aside"].as_array().unwrap().len(),
                5,
                "{}",
                run.stdout
            );
            assert!(![Break::BeforeCommit, Break::MidCommit].contains(&breaks));
        } else {
            let run = run.assert_code(1);
            assert!(run.stdout.contains("nothing was changed"), "{}", run.stdout);
            assert_eq!(fingerprint(&session), before);
            assert_ne!(breaks, Break::AfterAnswer);
        }
        assert_eq!(together(&session), all);
    }
}

#[test]
fn a_rollback_is_unknown_where_the_server_cannot_say() {
    let db = used();
    let run = through(&db, Break::AfterAnswer, Duration::from_secs(60), &["--max-wait", "1s"])
        .assert_code(6);
    let document = run.json();
    assert_eq!(document["outcome"], "unknown");
    let said = document["error"].to_string();
    assert!(
        said.contains("whether it took place is not known") && said.contains("markenmate status"),
        "{said}"
    );
    assert!(!said.contains("nothing was changed"), "{said}");
    assert_eq!(versions(&db.session()), "1");
}

#[test]
fn after_a_failover_the_server_that_took_over_says_whether_a_rollback_took_place() {
    for (breaks, code) in [(Break::BeforeCommit, 1), (Break::AfterAnswer, 0)] {
        let server = start(&[]);
        let url = database_on(&server, "followed", &["V1__baseline.sql"]);
        markenmate(&["migrate", "--yes"]).url(&url).run().assert_code(0);
        let standby = Standby::of(&server);
        let there = standby.url("followed");
        let follower = Session::open(&there);
        let arrived = "SELECT to_regclass('markenmate.set_aside') IS NOT NULL";
        assert!(wait_until(Duration::from_secs(20), || one(&follower, arrived) == "t"));
        let primary = server.socket_dir().join(".s.PGSQL.5432");
        let proxy = Proxy::failing_over(primary, standby.socket(), breaks, NO_OUTAGE);
        let args = ["rollback", "--confirm", "followed"];
        let running = markenmate(&args).url(&proxy.url("followed")).spawn();
        running.wait_for_stderr("looking whether it took place");
        if code == 0 {
            assert!(wait_until(Duration::from_secs(20), || versions(&follower) == "1"));
        }
        standby.promote();
        let run = running.wait().assert_code(code);
        assert_eq!(versions(&follower), if code == 0 { "1" } else { "1,2,3" });
        if code != 0 {
            assert!(run.stderr.contains("a failover took place meanwhile"), "{}", run.stderr);
        }
    }
}

/// The connection ends while rows return: not a word about nothing having changed.
#[test]
fn a_connection_that_ends_while_rows_return_leaves_the_rest_for_the_next_run() {
    let db = used();
    let session = db.session();
    let before = holds(&session);
    rollback(&db, &[]).assert_code(0);
    let (holder, running) = held_before_rows(&db, &[]);
    wait_until_queueing(&session);
    session.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'markenmate' AND datname = current_database()");
    let run = running.wait().assert_code(6);
    holder.sql("ROLLBACK");
    assert!(run.stdout.contains("the next markenmate migrate goes on"), "{}", run.stdout);
    assert!(!run.stdout.contains("nothing was changed"), "{}", run.stdout);
    start_migrate(&db, &[]).wait().assert_code(0);
    same(&holds(&session), &before);
}

#[test]
fn a_server_that_stops_while_rows_return_leaves_the_rest_for_the_next_run() {
    let server = start(&[]);
    let url = database_on(&server, "stopped", &["V1__baseline.sql"]);
    let session = Session::open(&url);
    session.sql(&markenmate::sandbox::sample::sql(20));
    markenmate(&["migrate", "--yes"]).url(&url).run().assert_code(0);
    session.sql("UPDATE public.token_lending SET version = 3");
    markenmate(&["rollback", "--confirm", "stopped"]).url(&url).run().assert_code(0);
    let holder = Session::open(&url);
    let kept = one(
        &session,
        "SELECT format('markenmate_quarantine.%I', name) FROM markenmate.set_aside WHERE of_column = 'version'",
    );
    holder.sql(&format!("BEGIN; LOCK TABLE {kept} IN SHARE ROW EXCLUSIVE MODE"));
    let running = markenmate(&["migrate", "--yes"]).url(&url).spawn();
    wait_until_queueing(&session);
    pg_ctl(&server, "restart", "immediate");
    let run = running.wait().assert_code(6);
    assert!(run.stderr.contains("the next markenmate migrate goes on"), "{}", run.stderr);
    markenmate(&["migrate", "--yes"]).url(&url).run().assert_code(0);
    assert_eq!(
        one(
            &Session::open(&url),
            "SELECT string_agg(DISTINCT version::text, ',') FROM public.token_lending"
        ),
        "3"
    );
}
