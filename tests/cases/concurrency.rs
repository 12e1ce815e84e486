//! Many runs at once: one does the work, the others find it done, nobody fails.

use std::thread::{sleep, spawn};
use std::time::Duration;

use crate::support::campaign::{figure, tell};
use crate::support::state::{assert_migrated, one};
use crate::support::{Run, Session, TestDb, database_on, markenmate, start};

/// Starts that many runs at the same moment and waits for all.
fn at_once(count: u32, args: &[&str], url: &str) -> Vec<Run> {
    let started: Vec<_> = (0..count).map(|_| markenmate(args).url(url).spawn()).collect();
    started.into_iter().map(|running| running.wait().assert_code(0)).collect()
}

/// Exactly one of them applied `versions`; all the others had nothing to do.
#[track_caller]
fn assert_one_winner(runs: &[Run], versions: &[i32]) {
    let documents: Vec<_> = runs.iter().map(Run::json).collect();
    let (winners, others): (Vec<_>, Vec<_>) =
        documents.iter().partition(|document| document["outcome"] == "done");
    assert_eq!(winners.len(), 1, "{winners:#?}");
    assert_eq!(winners[0]["data"]["applied"], serde_json::json!(versions));
    for other in others {
        assert_eq!(other["outcome"], "nothing_to_do", "{other:#}");
        assert_eq!(other["data"]["applied"], serde_json::json!([]), "{other:#}");
    }
}

const MIGRATE: [&str; 4] = ["migrate", "--yes", "--format", "json"];

fn race(db: &TestDb, count: u32, versions: &[i32]) {
    let runs = at_once(count, &MIGRATE, &db.url);
    assert_one_winner(&runs, versions);
    assert_migrated(&db.url);
    assert_eq!(one(&db.session(), "SELECT count(*) FROM markenmate.run"), "1");
}

#[test]
fn one_of_many_builds_an_empty_database() {
    let (rounds, count) = (figure("ROUNDS", 1), figure("RUNS", 16));
    for _ in 0..rounds {
        race(&TestDb::empty(), count, &[1, 2, 3]);
    }
    tell(&format!("empty database: {rounds} rounds of {count} runs at once, one winner each"));
}

#[test]
fn one_of_many_migrates_the_baseline() {
    let (rounds, count) = (figure("ROUNDS", 1), figure("RUNS", 16));
    for _ in 0..rounds {
        race(&TestDb::baseline(), count, &[2, 3]);
    }
    tell(&format!("baseline: {rounds} rounds of {count} runs at once, one winner each"));
}

#[test]
fn onlookers_never_fail_and_see_one_state_or_the_other() {
    let db = TestDb::baseline();
    let url = db.url.clone();
    let onlookers: Vec<_> = (0..4)
        .map(|_| {
            let url = url.clone();
            spawn(move || {
                let seen = at_once(3, &["status", "--format", "json"], &url);
                seen.iter().map(|run| run.json()["data"]["state"].clone()).collect::<Vec<_>>()
            })
        })
        .collect();
    sleep(Duration::from_millis(20));
    race(&db, 4, &[2, 3]);
    for state in onlookers.into_iter().flat_map(|onlooker| onlooker.join().unwrap()) {
        let known = ["baseline", "hardened-unrecorded", "current"];
        assert!(known.iter().any(|word| state == *word), "{state}");
    }
}

#[test]
fn a_server_without_a_free_connection_is_waited_for() {
    let server = start(&[("max_connections", "20"), ("superuser_reserved_connections", "3")]);
    let (rounds, count) = (figure("ROUNDS", 1), figure("RUNS", 40));
    for round in 0..rounds {
        let url = database_on(&server, &format!("crowded_{round}"), &["V1__baseline.sql"]);
        let runs = at_once(count, &MIGRATE, &url);
        assert_one_winner(&runs, &[2, 3]);
        assert_migrated(&url);
    }
    tell(&format!("20 connections: {rounds} rounds of {count} runs at once, one winner each"));
}

#[test]
fn a_server_that_stays_full_is_busy() {
    let server = start(&[("max_connections", "5"), ("superuser_reserved_connections", "0")]);
    let url = database_on(&server, "full", &["V1__baseline.sql"]);
    let guests: Vec<_> = (0..5).map(|_| Session::open(&url)).collect();
    let run = markenmate(&["migrate", "--yes", "--max-wait", "300ms"]).url(&url).run();
    let run = run.assert_code(7);
    assert!(run.stderr.contains("53300"), "{}", run.stderr);
    assert_eq!(run.stdout, "");
    drop(guests);
    markenmate(&["migrate", "--yes"]).url(&url).run().assert_code(0);
}

#[test]
fn runs_to_different_versions_do_not_overtake_each_other() {
    let db = TestDb::empty();
    let low = markenmate(&["migrate", "--yes", "--to", "1"]).db(&db).spawn();
    let high = markenmate(&["migrate", "--yes", "--to", "3"]).db(&db).spawn();
    for running in [low, high] {
        let run = running.wait();
        // Who planned on an empty database and finds another under the lock says so.
        assert!([0, 4].contains(&run.code), "{run:?}");
        let why = ["changed between", "migrate only goes up"];
        assert!(run.code == 0 || why.iter().any(|w| run.stderr.contains(w)), "{}", run.stderr);
    }
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    assert_migrated(&db.url);
}
