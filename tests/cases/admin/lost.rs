//! The answer to COMMIT is lost: what is said is what the database says.

use std::time::Duration;

use super::*;
use crate::support::proxy::{Break, Proxy};
use crate::support::{Run, cluster};

fn through(db: &TestDb, args: &[&str], breaks: Break, outage: Duration) -> Run {
    let proxy = Proxy::before(cluster().socket_dir(), breaks, outage);
    let run = act(db, args).url(&proxy.url(&db.name)).run();
    assert!(proxy.has_broken(), "no COMMIT came by: {run:?}");
    run
}

#[test]
fn wherever_the_connection_is_cut_the_answer_is_true() {
    for breaks in [Break::BeforeCommit, Break::MidCommit, Break::AfterCommit, Break::AfterAnswer] {
        let db = TestDb::migrated();
        let session = db.session();
        let run = through(&db, &["admin", "promote", USER], breaks, Duration::ZERO);
        let is_admin = role(&session, USER) == "admin";
        assert_eq!(run.code, if is_admin { 0 } else { 1 }, "{breaks:?}: {run:?}");
        assert!(run.stderr.contains("looking whether it took place"), "{}", run.stderr);
        if breaks == Break::BeforeCommit {
            let message = run.json()["error"]["message"].to_string();
            assert!(!is_admin && message.contains("nothing was changed"), "{message}");
        }
        if breaks == Break::AfterAnswer {
            assert!(is_admin);
            assert_eq!(run.json()["findings"][0]["id"], "commit");
        }
        assert_eq!(ledger(&session), if is_admin { "admin promote done" } else { "" });
    }
}

#[test]
fn a_server_that_stays_away_leaves_it_unknown() {
    let db = TestDb::migrated();
    let args = ["admin", "promote", USER, "--max-wait", "1s"];
    let run = through(&db, &args, Break::AfterAnswer, Duration::from_secs(60)).assert_code(6);
    assert_eq!(run.json()["outcome"], "unknown");
    assert!(run.json()["error"]["hints"].to_string().contains("markenmate admin list"));
    assert_eq!(role(&db.session(), USER), "admin");
}

#[test]
fn a_commit_that_is_never_answered_is_looked_for_elsewhere() {
    let db = TestDb::migrated();
    let run = through(&db, &["admin", "promote", USER], Break::Silence, Duration::ZERO);
    run.assert_code(1);
    assert_eq!(role(&db.session(), USER), "user");
}
