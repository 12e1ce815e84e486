//! A cleanup that ends in the middle: a script sees job by job what was done.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::state::one;
use crate::support::{Invocation, Session, TestDb, markenmate, wait_until};

use super::cleanup::{filled, job};

fn slowly(db: &TestDb) -> Invocation {
    let folder = db.folder().join("ex");
    let args = [
        "cleanup",
        "--yes",
        "--format",
        "json",
        "--batch-time",
        "1ms",
        "--export-older-than",
        "0s",
        "--export",
        folder.to_str().unwrap(),
    ];
    markenmate(&args).db(db)
}

/// Each batch takes its time.
const SLOW: &str = "CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.05); RETURN NULL; END $$;
    CREATE TRIGGER slow BEFORE DELETE ON public.audit_log FOR EACH STATEMENT EXECUTE FUNCTION public.slow()";

fn archived(session: &Session) -> u64 {
    one(session, "SELECT count(*) FROM markenmate.audit_log_archive").parse().unwrap()
}

fn some_are_archived(session: &Session) {
    assert!(wait_until(Duration::from_secs(30), || archived(session) > 0));
}

fn statuses(document: &Value) -> Vec<String> {
    let steps = document["steps"].as_array().unwrap();
    let status =
        |s: &Value| format!("{} {}", s["id"].as_str().unwrap(), s["status"].as_str().unwrap());
    steps.iter().map(status).collect()
}

const IN_AUDIT: [&str; 3] = ["tokens done", "audit failed", "export skipped"];

#[test]
fn interrupted_it_tells_what_each_job_did() {
    let db = filled();
    let session = db.session();
    session.sql(SLOW);
    let tokens =
        one(&session, "SELECT count(*) FROM public.step_up_token WHERE expires_at < now()");
    let running = slowly(&db).spawn();
    some_are_archived(&session);
    running.signal("INT");
    let ended = running.wait().assert_code(130).json();
    assert_eq!(ended["outcome"], "interrupted", "{ended:#}");
    let (first, second) = (job(&ended, "tokens"), job(&ended, "audit"));
    assert_eq!(
        (&first["outcome"], first["deleted"].to_string()),
        (&json!("done"), tokens),
        "{ended:#}"
    );
    let kept = archived(&session);
    assert_eq!((&second["outcome"], &second["at_most"]), (&json!("interrupted"), &json!(false)));
    assert_eq!((&second["deleted"], &second["archived"]), (&json!(kept), &json!(kept)));
    assert!(second["matched"].as_u64().unwrap() > kept, "{ended:#}");
    assert_eq!(statuses(&ended), IN_AUDIT);
    assert!(ended["steps"][1]["detail"].as_str().unwrap().starts_with(&kept.to_string()));
}

#[test]
fn failed_it_tells_the_rows_that_had_left() {
    let db = filled();
    let session = db.session();
    session.sql("CREATE FUNCTION public.stops() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                   IF (SELECT count(*) FROM markenmate.audit_log_archive) > 300 THEN RAISE 'no further'; END IF; RETURN OLD; END $$;
                 CREATE TRIGGER stops BEFORE DELETE ON public.audit_log FOR EACH ROW EXECUTE FUNCTION public.stops()");
    let ended = slowly(&db).run().assert_code(6).json();
    let kept = archived(&session);
    let audit = job(&ended, "audit");
    assert!(kept > 200, "{ended:#}");
    assert_eq!((&audit["outcome"], &audit["deleted"]), (&json!("failed"), &json!(kept)));
    assert_eq!(audit["at_most"], false, "{ended:#}");
    assert_eq!(statuses(&ended), IN_AUDIT);
    assert_eq!(ended["data"]["files"], json!([]));
    let next = ended["next"].as_str().unwrap();
    assert!(next.starts_with("markenmate cleanup") && next.contains(" --export "), "{next}");
    assert!(ended["error"]["message"].as_str().unwrap().contains("cannot clean up"), "{ended:#}");
}

#[test]
fn before_its_first_batch_no_job_is_begun() {
    let db = filled();
    let holder = db.session();
    let lock = markenmate::db::locks::try_cleanup_lock_sql();
    holder.sql(&format!("BEGIN; {lock}"));
    let busy = slowly(&db).run().assert_code(7).json();
    for id in ["tokens", "audit"] {
        assert_eq!(job(&busy, id)["outcome"], "not_begun", "{busy:#}");
    }
    assert_eq!(statuses(&busy), ["tokens skipped", "audit skipped", "export skipped"]);
}

/// No batch waits for the disk: what a server that crashed had not written is back.
#[test]
fn where_the_connection_is_lost_the_counts_are_the_most_it_can_be() {
    let db = filled();
    let session = db.session();
    session.sql(SLOW);
    let running = slowly(&db).spawn();
    some_are_archived(&session);
    session.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'markenmate' AND datname = current_database()");
    let ended = running.wait().assert_code(6).json();
    let audit = job(&ended, "audit");
    let most = audit["deleted"].as_u64().unwrap();
    assert_eq!(audit["at_most"], true, "{ended:#}");
    assert!(ended["next"].as_str().unwrap().starts_with("markenmate cleanup"), "{ended:#}");
    assert!(most > 0 && most <= archived(&session), "{ended:#}");
    let causes = ended["error"]["causes"].to_string();
    assert!(causes.contains(&format!("up to {most} rows had left, {most} of them")), "{causes}");
}
