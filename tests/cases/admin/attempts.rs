//! What somebody tries who has time, a kill command, or the database's own code in hand.

use std::time::Duration;

use super::*;
use crate::support::{Run, pty, sql, wait_until};

fn message(run: &Run) -> String {
    run.json()["error"]["message"].as_str().unwrap().to_owned()
}

fn promote(db: &TestDb, admin: &str, password: &str) -> Run {
    acting(db, &["admin", "promote", USER], admin, password).run()
}

fn last(rows: &str) -> &str {
    rows.lines().last().unwrap_or_default()
}

#[test]
fn a_guess_counts_however_the_run_ends() {
    let db = TestDb::migrated();
    let session = db.session();
    let holder = db.session();
    holder.sql("BEGIN; LOCK TABLE markenmate.ledger IN SHARE MODE");
    let mine = |and: &str| {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'markenmate' \
                   AND datname = current_database()";
        one(&session, &format!("{sql} {and}"))
    };
    let long = Duration::from_secs(20);
    for n in 0..5 {
        let args = ["admin", "promote", USER, "--lock-timeout", "3s"];
        let running = acting(&db, &args, SECOND, &format!("guess {n}")).spawn();
        // The verdict is known by now; it is only not written yet. Before 14 a server does not see that its
        // client is gone until its lock timeout is over.
        assert!(wait_until(long, || mine("AND wait_event_type = 'Lock'") == "1"));
        running.signal("KILL");
        drop(running);
        assert!(wait_until(long, || mine("") == "0"));
    }
    holder.sql("ROLLBACK");
    let unjudged = format!("{SECOND} STEP_UP_AUTH_FAILURE {{\"judged\":false}}");
    assert_eq!(audit(&session), vec![unjudged; 5].join("\n"));
    let run = promote(&db, SECOND, PASSWORD).assert_code(4);
    assert!(message(&run).starts_with("Too many wrong passwords"), "{}", run.stdout);
}

/// The hash that was judged must be the one that is there under the locks.
#[test]
fn a_password_that_is_changed_after_the_verdict_does_not_count() {
    let db = TestDb::migrated();
    let session = db.session();
    let holder = db.session();
    holder.sql(&format!("BEGIN; SELECT FROM public.\"user\" WHERE email = '{USER}' FOR UPDATE"));
    let running = act(&db, &["admin", "promote", USER, "--lock-timeout", "20s"]).spawn();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'markenmate' \
                 AND datname = current_database() AND wait_event_type = 'Lock'";
    assert!(wait_until(Duration::from_secs(20), || one(&session, waits) == "1"));
    let id = id(&session, SECOND);
    session.sql(&format!("UPDATE public.account SET password = 'other' WHERE user_id = '{id}'"));
    holder.sql("ROLLBACK");
    let run = running.wait().assert_code(4);
    assert_eq!(message(&run), "The acting admin's password was changed meanwhile.");
    assert_eq!(role(&session, USER), "user");
    // It was right when it was typed.
    assert!(!audit(&session).contains("STEP_UP_AUTH_FAILURE"));
}

/// Whoever counts sessions or passwords for a card does so before anybody waits for it.
#[test]
fn sessions_are_not_read_under_the_locks() {
    let db = TestDb::migrated();
    let args = ["admin", "demote", SEED, "--as", SECOND, "--max-wait", "2s"];
    let set = ["set-master-admin", SECOND, "--max-wait", "2s"];
    for args in [&args[..], &set] {
        let mut terminal = pty::on_a_terminal(markenmate(args).db(&db));
        terminal.expect("sessions").expect("[y/N]");
        let holder = db.session();
        holder.sql("BEGIN; LOCK TABLE public.session IN ACCESS EXCLUSIVE MODE");
        terminal.send_line("y");
        if args[0] == "admin" {
            terminal.expect("in the app: ").send_line(PASSWORD);
        }
        let (screen, code) = terminal.finish();
        assert_eq!(code, 0, "{screen}");
    }
}

/// Triggers that have their names, and do nothing.
#[test]
fn with_the_guards_hollowed_out_the_tool_keeps_the_last_admin_by_itself() {
    let db = TestDb::migrated();
    let session = db.session();
    session.sql(&format!(
        "UPDATE public.\"user\" SET role = 'user' WHERE email = '{THIRD}';
         CREATE OR REPLACE FUNCTION markenmate.guard_admins() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
         CREATE OR REPLACE FUNCTION markenmate.guard_last_admin() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
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

/// Done is what is there afterwards.
#[test]
fn a_change_that_the_database_does_not_keep_is_not_reported_as_done() {
    for (kept, args) in [
        ("NEW.is_master_admin := false", &["set-master-admin", SECOND][..]),
        ("NEW.role := OLD.role", &["admin", "promote", USER]),
    ] {
        let db = TestDb::migrated();
        let session = db.session();
        session.sql(&format!(
            "CREATE SCHEMA other;
             CREATE FUNCTION other.keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {kept}; RETURN NEW; END $$;
             CREATE TRIGGER zz BEFORE UPDATE ON public.\"user\" FOR EACH ROW EXECUTE FUNCTION other.keep()"
        ));
        let run = act(&db, args).run().assert_code(1);
        assert!(message(&run).contains("did not keep the change"), "{}", run.stdout);
        assert_eq!((masters(&session), role(&session, USER)), (String::new(), "user".into()));
        assert_eq!((audit(&session), ledger(&session)), (String::new(), String::new()));
    }
}

#[test]
fn who_is_named_for_the_first_master_proves_it_as_well() {
    let db = TestDb::migrated();
    let session = db.session();
    let set = ["set-master-admin", SECOND];
    let run = acting(&db, &set, SECOND, "wrong").run().assert_code(4);
    assert_eq!(message(&run), NOT_RIGHT);
    // Nobody is named whose password that would be.
    let args = [&set[..], &["--admin-password-stdin"], &JSON].concat();
    markenmate(&args).db(&db).stdin(PASSWORD).run().assert_code(4);
    assert_eq!(masters(&session), "");
    act(&db, &set).run().assert_code(0);
    assert_eq!(masters(&session), SECOND);
    let rows = audit(&session);
    assert!(rows.contains(&format!("{SECOND} STEP_UP_AUTH_SUCCESS\n{SECOND} SET_MASTER_ADMIN")));
}

#[test]
fn the_flag_is_taken_from_who_was_shown_only() {
    let db = TestDb::migrated();
    let session = db.session();
    act(&db, &["set-master-admin", SECOND]).run().assert_code(0);
    let args = [
        "set-master-admin",
        SEED,
        "--transfer",
        "--allow-default-password",
        "--break-glass",
        "--reason",
        "r",
    ];
    let mut terminal = pty::on_a_terminal(markenmate(&args).db(&db));
    terminal.expect(&format!("no longer: {SECOND}")).expect("Type ");
    let third = id(&session, THIRD);
    session.sql(&format!("SELECT markenmate.set_master_admin('{third}', true)"));
    terminal.send_line(&db.name);
    let (screen, code) = terminal.finish();
    assert_eq!(code, 4, "{screen}");
    assert!(screen.contains("the users changed meanwhile"), "{screen}");
    assert_eq!(masters(&session), THIRD);
}

#[test]
fn a_password_that_others_know_proves_nothing() {
    let db = TestDb::migrated();
    let session = db.session();
    let run = |admin: &str, password: &str, more: &[&str]| {
        let by = ["--as", admin, "--admin-password-stdin"];
        let args = [&["admin", "promote", USER], &by[..], more, &JSON].concat();
        markenmate(&args).db(&db).stdin(password).run()
    };
    session.sql(&format!(
        "UPDATE public.\"user\" SET must_change_password = true WHERE email = '{SECOND}'"
    ));
    for (admin, password, words) in [
        (SEED, SEED_PASSWORD, "still has the app's seed password"),
        (SECOND, PASSWORD, "must change the password first"),
    ] {
        let refused = run(admin, password, &[]).assert_code(4);
        assert!(message(&refused).contains(words), "{}", refused.stdout);
        assert!(last(&audit(&session)).contains(words));
        assert_eq!(message(&run(admin, "wrong", &[]).assert_code(4)), NOT_RIGHT);
        assert_eq!(role(&session, USER), "user");
        run(admin, password, &["--allow-default-password"]).assert_code(0);
        session.sql(&format!("UPDATE public.\"user\" SET role = 'user' WHERE email = '{USER}'"));
    }
}

#[test]
fn a_name_that_nobody_has_is_locked_out_as_a_users_is() {
    let db = TestDb::migrated();
    for name in ["nobody@example.de", "Nobody@example.de", "nobody@example.DE"] {
        assert_eq!(message(&promote(&db, name, "wrong").assert_code(4)), NOT_RIGHT);
    }
    promote(&db, "somebody.else@example.de", "wrong").assert_code(4);
    for _ in 0..2 {
        assert_eq!(message(&promote(&db, "nobody@example.de", "x").assert_code(4)), NOT_RIGHT);
    }
    for _ in 0..2 {
        let run = promote(&db, "nobody@example.de", "wrong").assert_code(4);
        assert!(message(&run).starts_with("Too many wrong passwords"), "{}", run.stdout);
    }
    let run = promote(&db, "somebody.else@example.de", "wrong").assert_code(4);
    assert_eq!(message(&run), NOT_RIGHT);
}

#[test]
fn a_dry_run_foresees_who_cannot_act_and_does_not_tell_why() {
    let db = TestDb::migrated();
    let session = db.session();
    let dry = |args: &[&str]| {
        markenmate(&[args, &["--dry-run", "--format", "json"]].concat()).db(&db).run()
    };
    let by = |admin| dry(&["admin", "promote", OTHER, "--as", admin]).assert_code(4);
    let words = message(&by("nobody@example.de"));
    for admin in [USER, THIRD, SEED] {
        assert_eq!(message(&by(admin)), words, "{admin}");
    }
    // The present master has no password: nobody can hand it on so.
    act(&db, &["set-master-admin", THIRD, "--allow-no-login"]).run().assert_code(0);
    let transfer = ["set-master-admin", SECOND, "--transfer"];
    assert_eq!(message(&dry(&transfer).assert_code(4)), words);
    let named = [&transfer[..], &["--as", SECOND]].concat();
    assert_eq!(message(&dry(&named).assert_code(4)), words);
    for _ in 0..5 {
        promote(&db, SECOND, "wrong").assert_code(4);
        promote(&db, "nobody@example.de", "wrong").assert_code(4);
    }
    for admin in [SECOND, "nobody@example.de"] {
        assert!(message(&by(admin)).starts_with("Too many wrong passwords"));
    }
    assert_eq!(role(&session, OTHER), "user");
}

#[test]
fn a_refusal_with_broken_glass_is_in_the_audit_log_and_one_without_a_ledger_says_so() {
    let db = TestDb::migrated();
    let session = db.session();
    act(&db, &["set-master-admin", SECOND]).run().assert_code(0);
    let words = "Cannot demote the master admin. This is a protected account.";
    let demote = ["admin", "demote", SECOND];
    let run = break_glass(&db, &demote).run().assert_code(4);
    assert_eq!(run.json()["findings"].as_array().unwrap().len(), 0);
    // Nobody of the app tried it: the first row says so.
    let row = format!(
        "{SECOND} BREAK_GLASS {SECOND} {{\"command\":\"admin demote\",\"reason\":\"nobody can sign in\"}}\n\
         {SECOND} AUTHZ_FAILURE_TOGGLE_ADMIN_ROLE {SECOND} {{\"reason\":\"{words}\"}}"
    );
    assert!(audit(&session).ends_with(&row), "{}", audit(&session));
    let broken =
        "SELECT detail::json ->> 'break_glass' FROM markenmate.ledger ORDER BY number DESC LIMIT 1";
    assert_eq!(one(&session, broken), "true");
    session.sql("ALTER TABLE markenmate.ledger RENAME TO gone; DELETE FROM public.audit_log");
    let run = break_glass(&db, &demote).run().assert_code(4);
    assert_eq!(run.json()["findings"][0]["id"], "ledger");
    assert_eq!(audit(&session), row);
    for admin in [SECOND, "nobody@example.de"] {
        let run = promote(&db, admin, "wrong").assert_code(4);
        assert_eq!(run.json()["findings"][0]["id"], "ledger");
    }
}

/// The owner of the users may not write the audit log: a superuser stays one.
#[test]
fn whoever_may_more_than_the_owner_does_not_become_the_owner() {
    let db = TestDb::migrated();
    let session = db.session();
    session.sql(
        "DROP ROLE IF EXISTS owner_of_users; CREATE ROLE owner_of_users;
         GRANT SELECT ON ALL TABLES IN SCHEMA public TO owner_of_users;
         ALTER TABLE public.\"user\" OWNER TO owner_of_users;
         ALTER FUNCTION markenmate.set_master_admin(text, boolean) OWNER TO owner_of_users",
    );
    act(&db, &["admin", "promote", USER]).run().assert_code(0);
    assert_eq!(
        (role(&session, USER), ledger(&session)),
        ("admin".into(), "admin promote done".into())
    );
    session.sql("REASSIGN OWNED BY owner_of_users TO postgres; DROP OWNED BY owner_of_users; DROP ROLE owner_of_users");
}

#[test]
fn a_role_of_a_later_app_is_named_and_left_alone() {
    let db = TestDb::migrated();
    let session = db.session();
    session.sql("ALTER TYPE public.user_role ADD VALUE 'moderator'");
    session.sql(&format!("UPDATE public.\"user\" SET role = 'moderator' WHERE email = '{USER}'"));
    for what in ["promote", "demote"] {
        let run = act(&db, &["admin", what, USER]).run().assert_code(4);
        assert_eq!(message(&run), format!("{USER} has the role moderator"));
    }
    assert_eq!(role(&session, USER), "moderator");
}

/// A grant on some columns is enough where those are all that is wanted.
#[test]
fn only_columns_that_are_wanted_are_read() {
    let db = TestDb::migrated();
    sql(
        &db,
        "DROP ROLE IF EXISTS narrow; CREATE ROLE narrow LOGIN;
         ALTER TABLE public.\"user\" ADD secret text;
         GRANT SELECT ON public.account, public.session, markenmate.ledger TO narrow;
         GRANT SELECT, INSERT, UPDATE ON public.audit_log, public.step_up_token, markenmate.ledger TO narrow;
         GRANT USAGE ON SCHEMA markenmate TO narrow; GRANT UPDATE (role, updated_at) ON public.\"user\" TO narrow;
         GRANT SELECT (id, email, name, role, is_master_admin, created_at, must_change_password) ON public.\"user\" TO narrow",
    );
    let url = db.url_as("narrow");
    markenmate(&["admin", "list"]).url(&url).run().assert_code(0);
    let args = ["admin", "promote", USER, "--as", SECOND, "--dry-run"];
    markenmate(&args).url(&url).run().assert_code(0);
    sql(&db, "DROP OWNED BY narrow; DROP ROLE narrow");
}

/// What is under way may be right: whoever comes sixth waits for it.
#[test]
fn many_right_passwords_at_once_lock_nobody_out() {
    let db = TestDb::migrated();
    let session = db.session();
    let users: Vec<_> = (24..32).map(|n| format!("person{n}@example.de")).collect();
    let runs: Vec<_> =
        users.iter().map(|user| act(&db, &["admin", "promote", user]).spawn()).collect();
    runs.into_iter().for_each(|run| drop(run.wait().assert_code(0)));
    assert!(!audit(&session).contains("STEP_UP_AUTH_FAILURE"));
}

/// What was right is no guess, whatever becomes of the run afterwards.
#[test]
fn a_right_password_does_not_count_however_the_run_ends() {
    let db = TestDb::migrated();
    let session = db.session();
    let holder = db.session();
    holder.sql("BEGIN; LOCK TABLE public.step_up_token IN SHARE MODE");
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'markenmate' \
                 AND datname = current_database() AND wait_event_type = 'Lock'";
    for signal in ["INT", "TERM", "KILL"] {
        let running = act(&db, &["admin", "promote", USER, "--lock-timeout", "3s"]).spawn();
        assert!(wait_until(Duration::from_secs(20), || one(&session, waits) == "1"));
        running.signal(signal);
        drop(running);
        let gone = waits.replace("AND wait_event_type = 'Lock'", "");
        assert!(wait_until(Duration::from_secs(20), || one(&session, &gone) == "0"));
        assert_eq!(audit(&session), "", "{signal}");
    }
    let args = ["admin", "promote", USER, "--lock-timeout", "20ms", "--max-wait", "100ms"];
    let run = act(&db, &args).run().assert_code(7);
    assert!(run.stdout.contains("step_up_token"), "{}", run.stdout);
    assert_eq!(audit(&session), "");
}

/// An audit log that nothing is taken out of, and nothing changed in.
#[test]
fn an_append_only_audit_log_stops_no_change_and_the_count_goes_on() {
    let db = TestDb::migrated();
    let session = db.session();
    session.sql(
        "CREATE FUNCTION public.no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'append only'; END $$;
         CREATE TRIGGER no BEFORE UPDATE OR DELETE ON public.audit_log FOR EACH ROW EXECUTE FUNCTION public.no()",
    );
    for n in 0..3 {
        let user = format!("person{}@example.de", 24 + n);
        act(&db, &["admin", "promote", &user]).run().assert_code(0);
    }
    for n in 0..5 {
        let run = promote(&db, SECOND, &format!("wrong {n}")).assert_code(4);
        assert_eq!(message(&run), NOT_RIGHT, "{n}");
    }
    let run = promote(&db, SECOND, PASSWORD).assert_code(4);
    assert!(message(&run).starts_with("Too many wrong passwords"), "{}", run.stdout);
}
