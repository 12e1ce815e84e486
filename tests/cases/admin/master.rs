//! `set-master-admin`: the first admin, a named one, a transfer; before V3 and after it.

use serde_json::{Value, json};

use super::*;
use crate::support::{Run, pty, sql};

fn set(db: &TestDb, args: &[&str]) -> Run {
    markenmate(&[&["set-master-admin"], args, &JSON].concat()).db(db).run()
}

fn text(value: &Value) -> String {
    value.to_string()
}

/// A database in version 2: the function that moves the flag is not there yet.
fn version_2() -> TestDb {
    let db = TestDb::baseline();
    markenmate(&["migrate", "--to", "2", "--yes"]).db(&db).run().assert_code(0);
    db
}

#[test]
fn the_apps_seed_account_is_not_made_master_with_the_password_that_everybody_knows() {
    for db in [version_2(), TestDb::migrated()] {
        let session = db.session();
        let refused = set(&db, &[]).assert_code(4).json();
        assert!(
            text(&refused["error"]["message"])
                .contains("admin@markenmate.app still has the app's seed password")
        );
        assert!(text(&refused["error"]["hints"]).contains("--allow-default-password"));
        assert_eq!(masters(&session), "");
        let document = set(&db, &["--allow-default-password"]).assert_code(0).json();
        let who = json!({ "id": id(&session, SEED), "email": SEED, "name": "Administrator" });
        assert_eq!(document["data"]["master_admin"], who);
        assert_eq!(masters(&session), SEED);
        // Once more: the same answer, and nothing is written.
        let again = set(&db, &[]).assert_code(0).json();
        assert_eq!(
            (&again["outcome"], &again["data"]["master_admin"]),
            (&json!("nothing_to_do"), &who)
        );
        let seed_id = id(&session, SEED);
        assert_eq!(
            audit(&session),
            format!(
                "{SEED} SET_MASTER_ADMIN {SEED} {{\"oldMasterId\":null,\"newMasterId\":\"{seed_id}\"}}"
            )
        );
        assert_eq!(ledger(&session), "set-master-admin done");
    }
}

#[test]
fn the_guides_words_for_people() {
    let db = TestDb::migrated();
    let run = markenmate(&["set-master-admin", SECOND, "--yes"]).db(&db).run().assert_code(0);
    assert!(run.stdout.contains(&format!("Master admin set: {SECOND}\n")), "{}", run.stdout);
    let run = markenmate(&["set-master-admin"]).db(&db).run().assert_code(0);
    assert!(run.stdout.contains(&format!("nothing to do: {SECOND} (id ")), "{}", run.stdout);
    sql(
        &db,
        "BEGIN; SELECT markenmate.open_gate('a test'); UPDATE public.\"user\" SET role = 'user', is_master_admin = false; COMMIT",
    );
    let run = markenmate(&["set-master-admin", "--yes"]).db(&db).run().assert_code(4);
    assert!(
        run.stderr.contains("error: No admin found. Create an admin first.\n"),
        "{}",
        run.stderr
    );
}

#[test]
fn one_screen_then_yes() {
    let db = TestDb::migrated();
    let mut terminal = pty::on_a_terminal(markenmate(&["set-master-admin", SECOND]).db(&db));
    terminal.expect("email").expect(SECOND).expect("password").expect("Make ").expect("[y/N]");
    terminal.send_line("n");
    let (screen, code) = terminal.finish();
    assert_eq!(code, 4, "{screen}");
    assert_eq!(masters(&db.session()), "");
    let run = markenmate(&["set-master-admin", SECOND]).db(&db).run().assert_code(4);
    assert!(run.stderr.contains("--yes"), "{}", run.stderr);
}

#[test]
fn of_two_that_are_as_old_the_first_by_id_is_taken_and_the_choice_is_said() {
    let db = TestDb::migrated();
    let session = db.session();
    session.sql(
        "UPDATE public.\"user\" SET role = 'admin', created_at = '2020-01-01' WHERE email IN ('person22@example.de', 'person24@example.de')",
    );
    let first = one(
        &session,
        "SELECT email FROM public.\"user\" WHERE created_at = '2020-01-01' ORDER BY id COLLATE \"C\" LIMIT 1",
    );
    let other = if first == USER { OTHER } else { USER };
    let args = ["--allow-default-password", "--allow-no-login"];
    let document = set(&db, &args).assert_code(0).json();
    assert_eq!(document["data"]["master_admin"]["email"], first);
    assert_eq!(document["findings"][0]["id"], "tie");
    assert!(text(&document["findings"][0]["detail"]).contains(other));
    assert_eq!(masters(&session), first);
}

#[test]
fn who_is_no_admin_or_cannot_sign_in_is_refused() {
    let db = TestDb::migrated();
    let session = db.session();
    let refused = |args: &[&str], words: &str| {
        let document = set(&db, args).assert_code(4).json();
        assert!(text(&document["error"]).contains(words), "{words}: {document:#}");
        assert_eq!(masters(&session), "");
    };
    refused(&[USER], "person22@example.de is not an admin");
    refused(&["nobody@example.de"], "there is no user");
    refused(&[THIRD], "--allow-no-login");
    session.sql(&format!(
        "UPDATE public.\"user\" SET must_change_password = true WHERE email = '{SECOND}'"
    ));
    refused(&[SECOND], "must change the password first");
    session.sql("ALTER TABLE public.\"user\" ADD banned boolean DEFAULT true");
    refused(&[SECOND, "--allow-default-password"], "is banned");
    session.sql("ALTER TABLE public.\"user\" DROP banned");
    set(&db, &[THIRD, "--allow-no-login"]).assert_code(0);
    assert_eq!(masters(&session), THIRD);
}

/// The guide's own script is what the database refuses now; the message names the command.
#[test]
fn a_second_master_takes_a_transfer_on_the_word_of_the_first() {
    for db in [version_2(), TestDb::migrated()] {
        let session = db.session();
        set(&db, &[SECOND]).assert_code(0);
        let refused = set(&db, &[THIRD, "--allow-no-login"]).assert_code(4).json();
        assert!(text(&refused["error"]["hints"]).contains("--transfer"), "{refused:#}");
        let transfer = ["set-master-admin", THIRD, "--allow-no-login", "--transfer"];
        // Without a terminal nobody can be asked.
        markenmate(&[&transfer[..], &["--yes"]].concat()).db(&db).run().assert_code(4);
        let by = |password: &str| {
            let args = [&transfer[..], &["--admin-password-stdin"], &JSON].concat();
            markenmate(&args).db(&db).stdin(password).run()
        };
        by("wrong").assert_code(4);
        // Nor is it another admin's to hand on.
        acting(&db, &transfer, SEED, SEED_PASSWORD).run().assert_code(4);
        assert_eq!(masters(&session), SECOND);
        let document = by(PASSWORD).assert_code(0).json();
        assert_eq!(document["data"]["previous"][0]["email"], SECOND);
        assert_eq!(masters(&session), THIRD);
        let rows = audit(&session);
        let (old, new) = (id(&session, SECOND), id(&session, THIRD));
        assert!(rows.ends_with(&format!(
            "{SECOND} STEP_UP_AUTH_FAILURE\n{SEED} STEP_UP_AUTH_SUCCESS\n\
             {SEED} AUTHZ_FAILURE_TOGGLE_ADMIN_ROLE {THIRD} {{\"reason\":\"{SEED} is not the master admin\"}}\n\
             {SECOND} STEP_UP_AUTH_SUCCESS\n\
             {SECOND} SET_MASTER_ADMIN {THIRD} {{\"oldMasterId\":\"{old}\",\"newMasterId\":\"{new}\"}}"
        )), "{rows}");
        // Back, as the report says: the third cannot sign in.
        let undo = document["undo"].as_str().unwrap();
        assert_eq!(undo, format!("markenmate set-master-admin --transfer --as {THIRD} -- {old}"));
        act(&db, &["set-master-admin", SECOND, "--transfer"]).run().assert_code(4);
        break_glass(&db, &["set-master-admin", SECOND, "--transfer"]).run().assert_code(0);
        assert_eq!(masters(&session), SECOND);
        assert!(audit(&session).contains("BREAK_GLASS"));
    }
}

#[test]
fn on_a_terminal_the_present_masters_password_is_asked_for() {
    let db = TestDb::migrated();
    set(&db, &[SECOND]).assert_code(0);
    let args = ["set-master-admin", SEED, "--transfer", "--allow-default-password"];
    let mut terminal = pty::on_a_terminal(markenmate(&args).db(&db));
    terminal.expect("no longer: Zweite.Admin@Example.de").expect("[y/N]").send_line("y");
    terminal.expect("Password of Zweite.Admin@Example.de in the app: ").send_line(PASSWORD);
    let (screen, code) = terminal.finish();
    assert_eq!(code, 0, "{screen}");
    assert_eq!(masters(&db.session()), SEED);
}

/// What `migrate` refuses V3 for is put in order by the command that its message names.
#[test]
fn two_masters_before_the_guards() {
    let db = version_2();
    let session = db.session();
    session.sql(&format!(
        "UPDATE public.\"user\" SET is_master_admin = true WHERE email IN ('{SEED}', '{SECOND}')"
    ));
    let refused = markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(4);
    for text in [SEED, SECOND, "markenmate set-master-admin USER --transfer"] {
        assert!(refused.stderr.contains(text), "{}", refused.stderr);
    }
    for args in [&[][..], &[SECOND]] {
        let refused = set(&db, args).assert_code(4).json();
        assert!(text(&refused["error"]["hints"]).contains("--transfer"), "{refused:#}");
    }
    // Which of the two agrees must be said.
    let transfer = ["set-master-admin", SECOND, "--transfer"];
    let refused = set(&db, &transfer[1..]).assert_code(4).json();
    assert!(text(&refused["error"]["hints"]).contains("--as"), "{refused:#}");
    assert_eq!(masters(&session), format!("{SECOND} {SEED}"));
    act(&db, &transfer).run().assert_code(0);
    assert_eq!(masters(&session), SECOND);
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
}

#[test]
fn a_master_who_is_no_admin_hands_nothing_on() {
    let db = version_2();
    let session = db.session();
    session
        .sql(&format!("UPDATE public.\"user\" SET is_master_admin = true WHERE email = '{USER}'"));
    for args in [&[][..], &[SECOND, "--transfer"]] {
        let refused = set(&db, args).assert_code(4).json();
        assert!(text(&refused["error"]["hints"]).contains("--break-glass"), "{refused:#}");
    }
    break_glass(&db, &["set-master-admin", SECOND, "--transfer"]).run().assert_code(0);
    assert_eq!(masters(&session), SECOND);
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
}

#[test]
fn a_function_that_is_not_ours_is_not_run() {
    let db = TestDb::migrated();
    let session = db.session();
    session.sql(
        "DROP ROLE IF EXISTS planter; CREATE ROLE planter; GRANT CREATE, USAGE ON SCHEMA markenmate TO planter;
         ALTER FUNCTION markenmate.set_master_admin(text, boolean) OWNER TO planter",
    );
    let refused = set(&db, &[SECOND]).assert_code(4).json();
    assert!(text(&refused["error"]["message"]).contains("somebody else's code"), "{refused:#}");
    session.sql("ALTER FUNCTION markenmate.set_master_admin(text, boolean) OWNER TO postgres; DROP OWNED BY planter; DROP ROLE planter");
    set(&db, &[SECOND]).assert_code(0);
}
