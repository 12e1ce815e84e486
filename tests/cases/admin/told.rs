//! What an operator is told: before a question, beside a refusal, and of what they could do instead.

use serde_json::{Value, json};

use super::*;
use crate::support::{Run, pty, sql};

fn promote(db: &TestDb, admin: &str, password: &str) -> Value {
    let run = acting(db, &["admin", "promote", USER], admin, password).run().assert_code(4);
    run.json()
}

fn hints(document: &Value) -> String {
    document["error"]["hints"].to_string()
}

#[test]
fn the_fifth_wrong_password_says_that_it_was_the_last() {
    let db = TestDb::migrated();
    for admin in [SECOND, "nobody@example.de"] {
        for _ in 0..4 {
            let document = promote(&db, admin, "wrong");
            assert_eq!(
                (&document["error"]["message"], &document["data"]["locked_until"]),
                (&json!(NOT_RIGHT), &Value::Null)
            );
        }
        let fifth = promote(&db, admin, "wrong");
        assert_eq!(fifth["error"]["message"], NOT_RIGHT);
        let until = fifth["data"]["locked_until"].as_str().unwrap();
        let last = format!(
            "it was the last of five within 15 minutes: locked out until {until}, 15 minutes from now"
        );
        assert_eq!(fifth["error"]["causes"], json!([last]), "{admin}");
        let locked = promote(&db, admin, PASSWORD);
        let words = format!("Too many wrong passwords: locked out until {until}.");
        assert_eq!(locked["error"]["message"], words);
        assert_eq!(locked["data"]["locked_until"], until);
        for document in [&fifth, &locked] {
            assert_eq!(document["data"]["user"]["email"], USER);
            for text in ["another admin by --as", "--break-glass --reason TEXT"] {
                assert!(hints(document).contains(text), "{document:#}");
            }
        }
        // Who sits at a terminal is told before the question.
        let before = ledger(&db.session());
        let args = ["admin", "promote", USER, "--as", admin];
        let mut terminal = pty::on_a_terminal(markenmate(&args).db(&db));
        terminal.expect(&words);
        let (screen, code) = terminal.finish();
        assert_eq!(code, 4, "{screen}");
        assert!(!screen.contains("[y/N]") && !screen.contains("Password of"), "{screen}");
        assert_eq!(ledger(&db.session()), before);
    }
    assert_eq!(role(&db.session(), USER), "user");
}

#[test]
fn no_password_at_all_is_no_guess() {
    let db = TestDb::migrated();
    let args = ["admin", "promote", USER, "--as", SECOND, "--admin-password-stdin", "--yes"];
    for invocation in [markenmate(&args).db(&db), markenmate(&args).db(&db).stdin("")] {
        let run = invocation.run().assert_code(2);
        assert!(run.stderr.contains("no password came by standard input"), "{}", run.stderr);
    }
    let mut terminal = pty::on_a_terminal(markenmate(&args[..6]).db(&db));
    terminal.expect("--admin-password-stdin reads a pipe");
    let (screen, code) = terminal.finish();
    assert_eq!(code, 2, "{screen}");
    assert!(!screen.contains("[y/N]"), "{screen}");
    let session = db.session();
    assert_eq!((audit(&session), ledger(&session)), (String::new(), String::new()));
}

#[test]
fn a_hint_beside_broken_glass_breaks_it_as_well() {
    let db = TestDb::migrated();
    act(&db, &["set-master-admin", SECOND]).run().assert_code(0);
    let glass = "markenmate set-master-admin USER --transfer --break-glass --reason TEXT";
    for args in
        [&["admin", "demote", SECOND][..], &["set-master-admin", SEED, "--allow-default-password"]]
    {
        for more in [&[][..], &["--dry-run"]] {
            let args = [args, more].concat();
            let document = break_glass(&db, &args).run().assert_code(4).json();
            assert!(hints(&document).contains(glass), "{document:#}");
        }
        let by = [args, &["--yes"]].concat();
        let by = if args[0] == "admin" { [&by[..], &["--as", SEED]].concat() } else { by };
        let run =
            markenmate(&[&by[..], &["--dry-run", "--allow-default-password"]].concat()).db(&db);
        let run = run.run();
        assert!(!run.stderr.contains("--transfer --break-glass"), "{}", run.stderr);
    }
}

/// The first look at what the role may do comes before any question.
#[test]
fn a_role_that_may_not_change_anything_is_told_before_the_question() {
    let db = TestDb::migrated();
    let (reader, clerk) = (format!("reader_{}", db.name), format!("clerk_{}", db.name));
    sql(
        &db,
        &format!(
            "CREATE ROLE {reader} LOGIN; CREATE ROLE {clerk} LOGIN;
             GRANT SELECT ON ALL TABLES IN SCHEMA public, markenmate TO {reader};
             GRANT USAGE ON SCHEMA markenmate TO {reader};
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {clerk}"
        ),
    );
    let said = |role: &str, args: &[&str]| -> String {
        let run: Run = markenmate(args).url(&db.url_as(role)).run().assert_code(4);
        assert!(run.stderr.contains(&format!("role {role} may not change")), "{}", run.stderr);
        run.stderr
    };
    for args in [
        &["admin", "promote", USER, "--as", SECOND][..],
        &["admin", "revoke-sessions", SECOND, "--break-glass", "--reason", "r"],
        &["set-master-admin", SECOND],
    ] {
        let session = db.session();
        session.sql(&format!(
            "INSERT INTO public.session (id, expires_at, token, updated_at, user_id) SELECT 's', now(), 's', now(), id
               FROM public.\"user\" WHERE email = '{SECOND}' ON CONFLICT DO NOTHING"
        ));
        for more in [&["--dry-run"][..], &[]] {
            let args = [args, more].concat();
            let text = said(&reader, &args);
            for lack in [
                "UPDATE on public.\"user\"",
                "INSERT on public.audit_log",
                "may not write the operator ledger",
            ] {
                assert!(text.contains(lack), "{text}");
            }
            assert_eq!(
                text.contains("DELETE on public.session"),
                args.contains(&"revoke-sessions"),
                "{text}"
            );
            let text = said(&clerk, &args);
            assert!(
                !text.contains("it lacks") && text.contains("hint: connect as postgres"),
                "{text}"
            );
        }
        let mut terminal = pty::on_a_terminal(markenmate(args).url(&db.url_as(&reader)));
        terminal.expect("may not change");
        let (screen, code) = terminal.finish();
        assert_eq!(code, 4, "{screen}");
        assert!(!screen.contains("[y/N]") && !screen.contains("Type "), "{screen}");
    }
    sql(&db, &format!("DROP OWNED BY {reader}, {clerk}; DROP ROLE {reader}, {clerk}"));
}

#[test]
fn sessions_that_are_over_are_told_from_those_that_are_alive() {
    let db = TestDb::migrated();
    let session = db.session();
    let id = id(&session, USER);
    session.sql(&format!(
        "DELETE FROM public.session WHERE user_id = '{id}';
         INSERT INTO public.session (id, expires_at, token, updated_at, user_id)
         SELECT 's' || n, now() AT TIME ZONE 'UTC' - interval '2 days', 's' || n, now(), '{id}' FROM generate_series(1, 2) n"
    ));
    let args = ["admin", "revoke-sessions", USER];
    let dry = markenmate(&[&args[..], &["--as", SECOND, "--dry-run"]].concat()).db(&db).run();
    let dry = dry.assert_code(0);
    assert!(dry.stdout.contains("0 alive, 2 expired"), "{}", dry.stdout);
    let by = ["--as", SECOND, "--admin-password-stdin", "--yes"];
    let run = markenmate(&[&args[..], &by].concat()).db(&db).stdin(PASSWORD).run().assert_code(0);
    let words = format!("2 sessions of {USER} ended: 0 alive, 2 expired");
    assert!(run.stdout.contains(&words), "{}", run.stdout);
}

#[test]
fn who_hands_the_flag_back_is_said_beside_the_way_back() {
    let db = TestDb::migrated();
    let session = db.session();
    act(&db, &["set-master-admin", SECOND]).run().assert_code(0);
    session.sql(&format!("UPDATE public.account SET password = (SELECT a.password FROM public.account a JOIN public.\"user\" u ON u.id = a.user_id WHERE u.email = '{SECOND}' AND a.provider_id = 'credential') WHERE provider_id = 'credential'"));
    let args = ["set-master-admin", SEED, "--transfer"];
    let back =
        format!("markenmate set-master-admin --transfer --as {SEED} -- {}", id(&session, SECOND));
    let dry = markenmate(&[&args[..], &["--dry-run"]].concat()).db(&db).run().assert_code(0);
    assert!(dry.stdout.contains(&back), "{}", dry.stdout);
    let by = ["--admin-password-stdin", "--yes"];
    let run = markenmate(&[&args[..], &by].concat()).db(&db).stdin(PASSWORD).run().assert_code(0);
    assert!(run.stdout.contains(&format!("undo: {back}")), "{}", run.stdout);
    let words = format!("to undo it asks for the password of {SEED}");
    assert!(run.stdout.contains(&words), "{}", run.stdout);
    let words: Vec<_> = back.split(' ').skip(1).collect();
    let words = [&words[..1], &by, &words[1..]].concat();
    markenmate(&words).db(&db).stdin(PASSWORD).run().assert_code(0);
    assert_eq!(masters(&session), SECOND);
}
