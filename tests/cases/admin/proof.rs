//! Who acts proves it: passwords, what is not judged, the lockout, and the terminal.

use serde_json::Value;

use super::*;
use crate::support::{Run, pty};

fn promote(db: &TestDb, admin: &str, password: &str) -> Run {
    acting(db, &["admin", "promote", USER], admin, password).run()
}

fn message(run: &Run) -> String {
    run.json()["error"]["message"].as_str().unwrap().to_owned()
}

/// Why, in the ledger's last row.
fn ledgers_reason(session: &Session) -> String {
    one(
        session,
        "SELECT detail::json ->> 'reason' FROM markenmate.ledger ORDER BY number DESC LIMIT 1",
    )
}

/// Hashes that the app itself has stored.
fn samples() -> Vec<Value> {
    serde_json::from_str(include_str!("../../fixtures/password-hashes.json")).unwrap()
}

/// Gives the third admin a password account with this hash.
fn with_hash(session: &Session, hash: &str) {
    session.sql(&format!(
        "DELETE FROM public.account WHERE id = 'of a test';
         INSERT INTO public.account (id, account_id, provider_id, user_id, password)
         SELECT 'of a test', id, 'credential', id, '{hash}' FROM public.\"user\" WHERE email = '{THIRD}'"
    ));
}

#[test]
fn passwords_that_the_app_stored_are_accepted_and_others_are_not() {
    let db = TestDb::migrated();
    let session = db.session();
    for sample in samples() {
        let (hash, password) =
            (sample["hash"].as_str().unwrap(), sample["password"].as_str().unwrap());
        with_hash(&session, hash);
        let wrong = promote(&db, THIRD, &format!("{password}x")).assert_code(4);
        assert_eq!(message(&wrong), NOT_RIGHT);
        assert_eq!(role(&session, USER), "user");
        promote(&db, THIRD, password).assert_code(0);
        assert_eq!(role(&session, USER), "admin");
        session.sql(&format!("UPDATE public.\"user\" SET role = 'user' WHERE email = '{USER}'"));
    }
}

#[test]
fn an_umlaut_may_be_typed_in_two_parts_and_a_line_end_is_none_of_it() {
    let db = TestDb::migrated();
    promote(&db, SECOND, "Gro\u{308}ße-U\u{308}bung-7").assert_code(0);
    let session = db.session();
    for end in ["", "\r\n"] {
        session.sql(&format!("UPDATE public.\"user\" SET role = 'user' WHERE email = '{USER}'"));
        let args = ["admin", "promote", USER, "--as", SECOND, "--admin-password-stdin", "--yes"];
        markenmate(&args).db(&db).stdin(format!("{PASSWORD}{end}")).run().assert_code(0);
    }
}

#[test]
fn wrong_empty_and_very_long_ones_are_refused_alike_and_written_down() {
    let db = TestDb::migrated();
    let session = db.session();
    for password in ["", "größe-Übung-7", &"ä".repeat(10_000), SEED_PASSWORD] {
        let run = promote(&db, SECOND, password).assert_code(4);
        assert_eq!(message(&run), NOT_RIGHT);
        assert!(password.is_empty() || !run.stdout.contains(password));
    }
    assert_eq!(role(&session, USER), "user");
    assert_eq!(audit(&session), vec![format!("{SECOND} STEP_UP_AUTH_FAILURE"); 4].join("\n"));
    let null =
        "SELECT count(*) FROM public.audit_log WHERE metadata IS NULL AND target_user_id IS NULL";
    assert_eq!(one(&session, null), "4");
    assert_eq!(ledger(&session), ["admin promote refused"; 4].join("\n"));
    let args = ["admin", "promote", USER, "--as", SECOND, "--admin-password-stdin", "--yes"];
    markenmate(&args).db(&db).stdin([0xff, 0xfe]).run().assert_code(2);
}

#[test]
fn an_unknown_actor_is_refused_as_a_wrong_password_is_and_only_the_ledger_knows() {
    let db = TestDb::migrated();
    let session = db.session();
    let known = promote(&db, SECOND, "wrong").assert_code(4);
    let unknown = promote(&db, "nobody@example.de", "wrong").assert_code(4);
    for part in ["message", "hints", "causes"] {
        assert_eq!(known.json()["error"][part], unknown.json()["error"][part]);
    }
    assert_eq!(audit(&session), format!("{SECOND} STEP_UP_AUTH_FAILURE"));
    let named =
        "SELECT detail::json ->> 'named' FROM markenmate.ledger ORDER BY number DESC LIMIT 1";
    assert_eq!(one(&session, named), "nobody@example.de");
}

/// A run without an scrypt takes less than half of that.
#[test]
fn the_time_does_not_tell_whether_there_is_such_a_user() {
    let db = TestDb::migrated();
    let quickest = |admin: &str| {
        (0..4).map(|_| promote(&db, admin, "wrong").assert_code(4).millis).min().unwrap()
    };
    let (known, unknown) = (quickest(SECOND), quickest("nobody@example.de"));
    assert!(unknown * 3 > known * 2, "{unknown} ms for nobody, {known} ms for an admin");
    let without = quickest(THIRD);
    assert!(without * 3 > known * 2, "{without} ms without a password, {known} ms for an admin");
}

#[test]
fn five_wrong_passwords_lock_out_for_a_quarter_of_an_hour() {
    let db = TestDb::migrated();
    let session = db.session();
    for _ in 0..5 {
        assert_eq!(message(&promote(&db, SECOND, "wrong").assert_code(4)), NOT_RIGHT);
    }
    let locked = promote(&db, SECOND, PASSWORD).assert_code(4);
    let until = one(
        &session,
        "SELECT to_char(max(created_at + interval '15 minutes') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM public.audit_log WHERE action = 'STEP_UP_AUTH_FAILURE'",
    );
    let words = format!("Too many wrong passwords: locked out until {until}.");
    assert_eq!(message(&locked), words);
    assert_eq!(role(&session, USER), "user");
    assert!(audit(&session).ends_with(&format!(
        "{SECOND} AUTHZ_FAILURE_TOGGLE_ADMIN_ROLE {USER} {{\"reason\":\"{words}\"}}"
    )));
    // Others are not.
    acting(&db, &["admin", "promote", OTHER], SEED, SEED_PASSWORD).run().assert_code(0);
    let back = |minutes: u32| {
        session.sql(&format!(
            "UPDATE public.audit_log SET created_at = created_at - interval '{minutes} minutes' WHERE action LIKE 'STEP_UP%'"
        ));
    };
    back(14);
    promote(&db, SECOND, PASSWORD).assert_code(4);
    back(1);
    promote(&db, SECOND, PASSWORD).assert_code(0);
}

#[test]
fn a_right_password_begins_the_count_anew() {
    let db = TestDb::migrated();
    for _ in 0..4 {
        promote(&db, SECOND, "wrong").assert_code(4);
    }
    promote(&db, SECOND, PASSWORD).assert_code(0);
    let demote = ["admin", "demote", USER];
    acting(&db, &demote, SECOND, "wrong").run().assert_code(4);
    act(&db, &demote).run().assert_code(0);
}

#[test]
fn of_many_guesses_at_once_five_are_judged() {
    let db = TestDb::migrated();
    let guesses: Vec<_> = (0..12)
        .map(|n| acting(&db, &["admin", "promote", USER], SECOND, &format!("guess {n}")).spawn())
        .collect();
    let said: Vec<_> = guesses.into_iter().map(|run| message(&run.wait().assert_code(4))).collect();
    let judged = said.iter().filter(|words| *words == NOT_RIGHT).count();
    let locked = said.iter().filter(|words| words.starts_with("Too many")).count();
    assert_eq!((judged, locked), (5, 7), "{said:#?}");
}

#[test]
fn who_cannot_be_judged_or_may_not_act_is_told_why() {
    let db = TestDb::migrated();
    let session = db.session();
    let refused = |admin: &str, password: &str, words: &str| {
        let run = promote(&db, admin, password).assert_code(4);
        assert!(message(&run).contains(words), "{words}: {}", run.stdout);
        assert_eq!(role(&session, USER), "user");
        let last = audit(&session).lines().last().unwrap().to_owned();
        assert!(last.contains("AUTHZ_FAILURE_TOGGLE_ADMIN_ROLE") && last.contains(words), "{last}");
    };
    // Before a right password nothing is told: only the ledger knows why.
    let untold = |words: &str| {
        let run = promote(&db, THIRD, "x").assert_code(4);
        assert_eq!(message(&run), NOT_RIGHT);
        assert_eq!(
            audit(&session).lines().last().unwrap(),
            format!("{THIRD} STEP_UP_AUTH_FAILURE")
        );
        assert!(ledgers_reason(&session).contains(words), "{words}");
    };
    untold("has no password in the app");
    with_hash(&session, "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW");
    untold("a form that markenmate cannot judge");
    session.sql(
        "INSERT INTO public.account (id, account_id, provider_id, user_id, password)
         SELECT 'one more', id, 'credential', user_id, password FROM public.account WHERE id = 'of a test'",
    );
    untold("has 2 passwords in the app");
    // What a later version of the app brings.
    session.sql("ALTER TABLE public.\"user\" ADD banned boolean, ADD ban_expires timestamp, ADD two_factor_enabled boolean");
    let set = |what: &str| {
        session.sql(&format!("UPDATE public.\"user\" SET {what} WHERE email = '{SECOND}'"));
    };
    set("banned = true");
    refused(SECOND, PASSWORD, "is banned");
    set("ban_expires = now() AT TIME ZONE 'UTC' + interval '2 days'");
    refused(SECOND, PASSWORD, "is banned");
    set("two_factor_enabled = true, ban_expires = now() AT TIME ZONE 'UTC' - interval '2 days'");
    refused(SECOND, PASSWORD, "two-factor");
    // Not told to who does not know the password.
    assert_eq!(message(&promote(&db, SECOND, "wrong").assert_code(4)), NOT_RIGHT);
    set("two_factor_enabled = false");
    promote(&db, SECOND, PASSWORD).assert_code(0);
}

#[test]
fn of_the_accounts_with_an_issuer_the_local_one_counts() {
    let db = TestDb::migrated();
    let session = db.session();
    session.sql("ALTER TABLE public.account ADD issuer text");
    promote(&db, SECOND, PASSWORD).assert_code(0);
    session.sql(
        "UPDATE public.account SET issuer = 'local:credential' WHERE provider_id = 'credential';
         INSERT INTO public.account (id, account_id, provider_id, user_id, password, issuer)
         SELECT 'elsewhere', 'elsewhere', 'credential', user_id, 'unknown', 'https://id.example' FROM public.account WHERE password LIKE '7a7765%'",
    );
    act(&db, &["admin", "demote", USER]).run().assert_code(0);
    session.sql("DELETE FROM public.account WHERE password LIKE '7a7765%'");
    let run = promote(&db, SECOND, PASSWORD).assert_code(4);
    assert_eq!(message(&run), NOT_RIGHT);
    assert!(ledgers_reason(&session).contains("has no password"));
}

#[test]
fn an_ordinary_users_right_password_is_not_enough() {
    let db = TestDb::migrated();
    let session = db.session();
    session.sql(&format!("UPDATE public.\"user\" SET role = 'user' WHERE email = '{SECOND}'"));
    let run = promote(&db, SECOND, PASSWORD).assert_code(4);
    assert_eq!(message(&run), "The acting user is not an admin.");
    assert_eq!(role(&session, USER), "user");
}

#[test]
fn without_a_terminal_the_password_is_refused_before_anything_is_asked() {
    let db = TestDb::migrated();
    let run = markenmate(&["admin", "promote", USER, "--as", SECOND, "--yes"]).db(&db).run();
    let run = run.assert_code(4);
    assert!(run.stderr.contains("--admin-password-stdin"), "{}", run.stderr);
    assert_eq!((audit(&db.session()), ledger(&db.session())), (String::new(), String::new()));
}

#[test]
fn on_a_terminal_the_card_is_shown_then_the_password_asked_for_without_echo() {
    let db = TestDb::migrated();
    let session = db.session();
    let args = ["admin", "promote", USER, "--as", SECOND];
    let mut terminal = pty::on_a_terminal(markenmate(&args).db(&db));
    terminal.expect("email").expect(USER).expect("sessions").expect("on the word of");
    terminal
        .expect("[y/N]")
        .send_line("y")
        .expect("Password of Zweite.Admin@Example.de in the app: ");
    terminal.send_line(PASSWORD);
    let (screen, code) = terminal.finish();
    assert_eq!(code, 0, "{screen}");
    assert!(!screen.contains("bung-7"), "{screen}");
    assert!(screen.contains("person22@example.de is an admin now"), "{screen}");
    assert_eq!(role(&session, USER), "admin");
}

#[test]
fn ctrl_c_at_the_password_changes_nothing() {
    let db = TestDb::migrated();
    let args = ["admin", "promote", USER, "--as", SECOND, "--yes"];
    let mut terminal = pty::on_a_terminal(markenmate(&args).db(&db));
    terminal.expect("in the app: ").send_control('c');
    let (screen, code) = terminal.finish();
    assert_eq!(code, 130, "{screen}");
    assert_eq!((role(&db.session(), USER), audit(&db.session())), ("user".into(), String::new()));
}

#[test]
fn a_wrongly_typed_name_breaks_no_glass() {
    let db = TestDb::migrated();
    let args = ["admin", "promote", USER, "--break-glass", "--reason", "r"];
    let mut terminal = pty::on_a_terminal(markenmate(&args).db(&db));
    terminal.expect("Type ").send_line("markenmate");
    let (screen, code) = terminal.finish();
    assert_eq!(code, 4, "{screen}");
    let session = db.session();
    assert_eq!((role(&session, USER), audit(&session)), ("user".into(), String::new()));
    let mut terminal = pty::on_a_terminal(markenmate(&args).db(&db));
    terminal.expect("the glass is broken").expect("Type ").send_line(&db.name);
    let (screen, code) = terminal.finish();
    assert_eq!(code, 0, "{screen}");
    assert_eq!(role(&session, USER), "admin");
}
