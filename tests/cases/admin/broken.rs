//! What somebody does meanwhile, or has done to the database: refused, and nothing changed but what
//! was written about it.

use super::*;
use crate::support::{sql, wait_until};
use std::time::Duration;

/// Changes each step-up token as it is made.
fn tokens_become(db: &TestDb, what: &str) {
    sql(
        db,
        &format!(
            "CREATE SCHEMA other;
             CREATE FUNCTION other.token() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 {what}; RETURN NEW;
             END $$;
             CREATE TRIGGER token BEFORE INSERT ON public.step_up_token FOR EACH ROW EXECUTE FUNCTION other.token()"
        ),
    );
}

#[test]
fn a_token_that_is_foreign_expired_or_spent_changes_nothing() {
    for (version, what) in [
        ("3", "NEW.user_id := (SELECT id FROM public.\"user\" WHERE email = 'dritter@example.de')"),
        ("2", "NEW.user_id := (SELECT id FROM public.\"user\" WHERE email = 'dritter@example.de')"),
        ("3", "NEW.expires_at := now() - interval '1 second'"),
        ("3", "NEW.used := true"),
        ("2", "NEW.used := true"),
    ] {
        let db = TestDb::baseline();
        markenmate(&["migrate", "--to", version, "--yes"]).db(&db).run().assert_code(0);
        tokens_become(&db, what);
        let session = db.session();
        let run = act(&db, &["admin", "promote", USER]).run().assert_code(4);
        assert!(run.millis < 20_000, "tried again and again");
        assert_eq!(run.json()["error"]["message"], "Step-up authentication required");
        assert_eq!(role(&session, USER), "user");
        assert_eq!(
            audit(&session),
            format!(
                "{SECOND} AUTHZ_FAILURE_TOGGLE_ADMIN_ROLE {USER} {{\"reason\":\"Step-up authentication required\"}}"
            )
        );
        assert_eq!(one(&session, "SELECT count(*) FROM public.step_up_token"), "0");
        assert_eq!(ledger(&session), "admin promote refused");
    }
}

/// Holds rows of users, and lets the binary come to where it waits for them.
fn meanwhile(db: &TestDb, args: &[&str], change: &str, then: &str) -> crate::support::Run {
    let holder = db.session();
    holder.sql(&format!("BEGIN; {change}"));
    let running = act(db, &[args, &["--lock-timeout", "20s"]].concat()).spawn();
    let session = db.session();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'markenmate' \
                 AND datname = current_database() AND wait_event_type = 'Lock'";
    assert!(wait_until(Duration::from_secs(20), || one(&session, waits) == "1"));
    holder.sql(then);
    running.wait()
}

#[test]
fn an_actor_who_is_demoted_meanwhile_acts_no_more() {
    let db = TestDb::migrated();
    let session = db.session();
    let demoted = format!("UPDATE public.\"user\" SET role = 'user' WHERE email = '{SECOND}'");
    let run = meanwhile(&db, &["admin", "promote", USER], &demoted, "COMMIT").assert_code(4);
    assert_eq!(run.json()["error"]["message"], "The acting user is not an admin.");
    assert_eq!(role(&session, USER), "user");
    assert_eq!(
        audit(&session),
        format!(
            "{SECOND} AUTHZ_FAILURE_TOGGLE_ADMIN_ROLE {USER} {{\"reason\":\"The acting user is not an admin.\"}}"
        )
    );
    assert_eq!(one(&session, "SELECT count(*) FROM public.step_up_token"), "0");
}

#[test]
fn an_actor_who_is_deleted_meanwhile_is_nobody() {
    let db = TestDb::migrated();
    let session = db.session();
    let deleted = format!("DELETE FROM public.\"user\" WHERE email = '{SECOND}'");
    let run = meanwhile(&db, &["admin", "promote", USER], &deleted, "COMMIT").assert_code(4);
    let message = run.json()["error"]["message"].to_string();
    assert!(message.contains("There is no such user"), "{message}");
    assert_eq!((role(&session, USER), audit(&session)), ("user".into(), String::new()));
    assert_eq!(ledger(&session), "admin promote refused");
}

#[test]
fn a_target_that_is_deleted_meanwhile_is_not_promoted() {
    let db = TestDb::migrated();
    let session = db.session();
    let deleted = format!("DELETE FROM public.\"user\" WHERE email = '{USER}'");
    let run = meanwhile(&db, &["admin", "promote", USER], &deleted, "COMMIT").assert_code(4);
    assert!(run.json()["error"]["message"].as_str().unwrap().contains("gone"));
    assert!(audit(&session).contains("AUTHZ_FAILURE_TOGGLE_ADMIN_ROLE"));
}

#[test]
fn a_target_that_somebody_else_promotes_meanwhile_is_nothing_to_do() {
    let db = TestDb::migrated();
    let session = db.session();
    let promoted = format!("UPDATE public.\"user\" SET role = 'admin' WHERE email = '{USER}'");
    let run = meanwhile(&db, &["admin", "promote", USER], &promoted, "COMMIT").assert_code(0);
    assert_eq!(run.json()["outcome"], "nothing_to_do");
    assert_eq!(audit(&session), "");
}

#[test]
fn a_password_that_is_changed_meanwhile_is_judged_by_the_new_one() {
    let db = TestDb::migrated();
    let session = db.session();
    let changed = format!(
        "UPDATE public.account SET password = (SELECT password FROM public.account WHERE password LIKE '6d61726b%') WHERE user_id = '{}';
         UPDATE public.\"user\" SET updated_at = now() WHERE email = '{SECOND}'",
        id(&session, SECOND)
    );
    let run = meanwhile(&db, &["admin", "promote", USER], &changed, "COMMIT").assert_code(4);
    let message = run.json()["error"]["message"].to_string();
    assert!(message.contains("the password is another"), "{message}");
    assert_eq!(role(&session, USER), "user");
}

#[test]
fn who_holds_the_rows_for_too_long_is_named() {
    let db = TestDb::migrated();
    let holder = db.session();
    holder.sql(&format!("BEGIN; SELECT FROM public.\"user\" WHERE email = '{USER}' FOR UPDATE"));
    let run = act(&db, &["admin", "promote", USER, "--max-wait", "1s"]).run().assert_code(7);
    assert!(run.json()["error"]["causes"].to_string().contains("pid"), "{}", run.stdout);
    holder.sql("ROLLBACK");
    assert_eq!(audit(&db.session()), "");
}

/// Once the old app's push has dropped the column, who is master is not known.
#[test]
fn without_the_flag_nothing_is_changed() {
    let db = TestDb::migrated();
    sql(&db, "ALTER TABLE public.\"user\" DROP is_master_admin");
    for args in [
        &["set-master-admin", SECOND, "--yes"][..],
        &["admin", "promote", USER, "--as", SECOND, "--yes"],
    ] {
        let run = markenmate(args).db(&db).run().assert_code(4);
        assert!(run.stderr.contains("is_master_admin is missing"), "{}", run.stderr);
    }
    markenmate(&["admin", "list"]).db(&db).run().assert_code(0);
}

/// A trigger of V3 that is off keeps nobody: then it is the lock on the table that does. Each of the two
/// counts while the other is in the middle of its update.
#[test]
fn with_the_guards_off_the_tool_keeps_the_last_admin_by_itself() {
    let db = TestDb::migrated();
    let session = db.session();
    session.sql(&format!(
        "UPDATE public.\"user\" SET role = 'user' WHERE email = '{THIRD}';
         ALTER TABLE public.\"user\" DISABLE TRIGGER USER;
         CREATE SCHEMA slow;
         CREATE FUNCTION slow.wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             PERFORM pg_sleep(1); RETURN NULL;
         END $$;
         CREATE TRIGGER slow AFTER UPDATE ON public.\"user\" EXECUTE FUNCTION slow.wait()"
    ));
    let runs = [SEED, SECOND].map(|admin| break_glass(&db, &["admin", "demote", admin]).spawn());
    let codes = runs.map(|run| run.wait().code);
    assert!(codes.contains(&0) && codes.contains(&4), "{codes:?}");
    assert_eq!(one(&session, "SELECT count(*) FROM public.\"user\" WHERE role = 'admin'"), "1");
}
