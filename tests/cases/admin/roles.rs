//! `admin list|promote|demote|revoke-sessions`: what they do, and what the guards say.

use super::*;
use crate::support::{pty, sql};

#[test]
fn an_admin_promotes_and_demotes_in_the_apps_words() {
    let db = TestDb::migrated();
    let session = db.session();
    let run = act(&db, &["admin", "promote", "PERSON22@Example.de"]).run().assert_code(0);
    let document = run.json();
    assert_eq!(document["outcome"], "done");
    assert_eq!(document["command"], "admin promote");
    assert_eq!(document["data"]["user"]["email"], USER);
    assert_eq!(document["data"]["user"]["old_role"], "user");
    assert_eq!(document["data"]["user"]["role"], "admin");
    assert_eq!(document["data"]["acting"]["email"], SECOND);
    assert_eq!(role(&session, USER), "admin");
    let user_id = id(&session, USER);
    let undo = format!("markenmate admin demote --as {SECOND} -- {user_id}");
    assert_eq!(document["undo"], undo.as_str());
    act(&db, &["admin", "demote", &user_id]).run().assert_code(0);
    assert_eq!(role(&session, USER), "user");
    assert_eq!(
        audit(&session),
        format!(
            "{SECOND} STEP_UP_AUTH_SUCCESS\n\
             {SECOND} CHANGE_ROLE {USER} {{\"oldRole\":\"user\",\"newRole\":\"admin\"}}\n\
             {SECOND} STEP_UP_AUTH_SUCCESS\n\
             {SECOND} CHANGE_ROLE {USER} {{\"oldRole\":\"admin\",\"newRole\":\"user\"}}"
        )
    );
    let run_id = document["run_id"].as_str().unwrap();
    let shape = one(
        &session,
        &format!(
            "SELECT string_agg(DISTINCT concat_ws(' ', ip_address, user_agent), ',') FROM public.audit_log
              WHERE correlation_id = '{run_id}' AND created_at > now() - interval '1 minute'"
        ),
    );
    assert_eq!(shape, concat!("unknown markenmate/", env!("CARGO_PKG_VERSION")));
    assert_eq!(ledger(&session), "admin promote done\nadmin demote done");
    // Each change its own token, spent, in the app's shape.
    let tokens = "SELECT concat_ws(' ', count(*), bool_and(used), bool_and(token ~ '^[A-Za-z0-9_-]{43}$'),
                         bool_and(expires_at - created_at = interval '10 minutes')) FROM public.step_up_token";
    assert_eq!(one(&session, tokens), "2 t t t");
}

/// Ids are what the app makes of them, and a reason is anybody's words.
#[test]
fn the_way_back_can_be_pasted_or_is_left_out() {
    let db = TestDb::migrated();
    let session = db.session();
    let with = |reason: &str| {
        let args = ["admin", "promote", USER, "--break-glass", "--confirm", &db.name];
        let reason = format!("--reason={reason}");
        let args = [&args[..], &["--format", "json", &reason]].concat();
        let document = markenmate(&args).db(&db).run().assert_code(0).json();
        session.sql(&format!("UPDATE public.\"user\" SET role = 'user' WHERE email = '{USER}'"));
        document["undo"].clone()
    };
    let undo = |id: &str, reason: &str| {
        format!("markenmate admin demote --break-glass --reason{reason} -- {id}")
    };
    let user_id = id(&session, USER);
    let quoted = undo(&user_id, " 'it'\\''s $(mine)'");
    assert_eq!(with("it's $(mine)"), quoted.as_str());
    assert_eq!(with("-x"), undo(&user_id, "=-x").as_str());
    assert_eq!(with("two\nlines"), serde_json::Value::Null);
    session.sql(
        "INSERT INTO public.\"user\" (id, name, email) VALUES ('-f x', 'n', 'dash@example.de')",
    );
    let document = break_glass(&db, &["admin", "promote", "dash@example.de"]).run();
    let document = document.assert_code(0).json();
    assert_eq!(document["undo"], undo("'-f x'", " 'nobody can sign in'").as_str());
    let pasted = ["admin", "demote", "--break-glass", "--reason", "r", "--confirm", &db.name];
    let pasted = [&pasted[..], &["--format", "json", "--", "-f x"]].concat();
    let document = markenmate(&pasted).db(&db).run().assert_code(0).json();
    assert_eq!(document["command"], "admin demote");
    assert_eq!(role(&session, "dash@example.de"), "user");
}

#[test]
fn a_refusal_says_which_command_and_about_whom() {
    let db = TestDb::migrated();
    let args = ["admin", "demote", THIRD];
    let document = acting(&db, &args, SECOND, "wrong").run().assert_code(4).json();
    assert_eq!(document["command"], "admin demote");
    assert_eq!(document["data"]["user"]["email"], THIRD);
    let unread = ["--format", "json", "admin", "demote", "a", "b"];
    assert_eq!(markenmate(&unread).run().assert_code(2).json()["command"], "admin demote");
    let listed = markenmate(&["backup", "list", "--format", "json"]).run().assert_code(0).json();
    assert_eq!(listed["command"], "backup list");
}

/// One screen, and all of it, also where talk is silenced.
#[test]
fn the_screen_says_where_who_is_in_the_way_and_the_way_back() {
    let db = TestDb::migrated();
    let session = db.session();
    let user_id = id(&session, USER);
    let holder = db.session();
    holder.sql("BEGIN; LOCK TABLE public.account IN ROW EXCLUSIVE MODE");
    let args = ["-q", "-d", &db.url, "admin", "promote", USER, "--as", SECOND];
    let mut terminal = pty::on_a_terminal(markenmate(&args));
    terminal.expect("target: ").expect("the database guards its admins itself");
    terminal.expect("holds RowExclusive on public.account").expect("the way back");
    terminal.expect(" admin demote --as").expect(&user_id).expect("[y/N]").send_line("n");
    let (screen, code) = terminal.finish();
    assert_eq!(code, 4, "{screen}");
    assert!(screen.contains("markenmate -d '"), "{screen}");
}

#[test]
fn what_is_so_already_is_nothing_to_do_and_asks_nobody() {
    let db = TestDb::migrated();
    for args in [["admin", "promote", THIRD], ["admin", "demote", USER]] {
        let by = ["--as", SECOND, "--format", "json"];
        let run = markenmate(&[&args[..], &by].concat()).db(&db).run().assert_code(0);
        assert_eq!(run.json()["outcome"], "nothing_to_do");
    }
    assert_eq!(audit(&db.session()), "");
}

#[test]
fn the_guards_speak_in_the_apps_order_and_words() {
    let db = TestDb::migrated();
    let session = db.session();
    let refused = |args: &[&str], words: &str| {
        let document = act(&db, args).run().assert_code(4).json();
        assert_eq!(document["outcome"], "refused");
        assert_eq!(document["error"]["message"], words);
    };
    let oneself = "Cannot change your own admin role. Ask another admin.";
    refused(&["admin", "demote", SECOND], oneself);
    session.sql(&format!(
        "UPDATE public.\"user\" SET is_master_admin = true WHERE email = '{SECOND}'"
    ));
    let master = "Cannot demote the master admin. This is a protected account.";
    refused(&["admin", "demote", SECOND], master);
    session.sql("SELECT markenmate.set_master_admin((SELECT id FROM public.\"user\" WHERE email = 'admin@markenmate.app'), true)");
    refused(&["admin", "demote", SEED], master);
    assert_eq!(role(&session, SECOND), "admin");
    let rows = audit(&session);
    let row = |target: &str, words: &str| {
        format!(
            "{SECOND} STEP_UP_AUTH_SUCCESS\n{SECOND} AUTHZ_FAILURE_TOGGLE_ADMIN_ROLE {target} {{\"reason\":\"{words}\"}}"
        )
    };
    let wanted = [row(SECOND, oneself), row(SECOND, master), row(SEED, master)].join("\n");
    assert_eq!(rows, wanted);
    assert_eq!(ledger(&session), ["admin demote refused"; 3].join("\n"));
}

#[test]
fn the_last_admin_stays() {
    let db = TestDb::migrated();
    let session = db.session();
    session.sql(&format!(
        "UPDATE public.\"user\" SET role = 'user' WHERE role = 'admin' AND email <> '{SECOND}'"
    ));
    let words = "Cannot remove the last admin. System must have at least one admin.";
    let document = act(&db, &["admin", "demote", SECOND]).run().assert_code(4).json();
    assert_eq!(document["error"]["message"], words);
    // Whatever the glass is broken for, it is not for that.
    let document = break_glass(&db, &["admin", "demote", SECOND]).run().assert_code(4).json();
    assert_eq!(document["error"]["message"], words);
    assert_eq!(role(&session, SECOND), "admin");
}

/// What only the database knows when it comes to it is recorded as a refusal as well.
#[test]
fn a_guard_of_the_databases_own_is_a_refusal_in_the_audit_log() {
    let db = TestDb::migrated();
    let session = db.session();
    session.sql(
        "CREATE SCHEMA other;
         CREATE FUNCTION other.no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             RAISE EXCEPTION USING ERRCODE = 'MM102', MESSAGE = 'Said by the database.';
         END $$;
         CREATE TRIGGER no BEFORE UPDATE ON public.\"user\" FOR EACH ROW EXECUTE FUNCTION other.no()",
    );
    let run = act(&db, &["admin", "promote", USER]).run().assert_code(4);
    assert_eq!(run.json()["error"]["sqlstate"], "MM102");
    assert_eq!(role(&session, USER), "user");
    let rows = audit(&session);
    assert!(rows.ends_with(&format!(
        "{SECOND} STEP_UP_AUTH_SUCCESS\n{SECOND} AUTHZ_FAILURE_TOGGLE_ADMIN_ROLE {USER} {{\"reason\":\"Said by the database.\"}}"
    )), "{rows}");
    assert_eq!(ledger(&session), "admin promote refused");
}

#[test]
fn sessions_end_and_are_counted() {
    let db = TestDb::migrated();
    let session = db.session();
    let count = "SELECT count(*) FROM public.session s JOIN public.\"user\" u ON u.id = s.user_id WHERE u.email = 'person22@example.de'";
    assert_eq!(one(&session, count), "1");
    let others = one(&session, "SELECT count(*) FROM public.session");
    let document = act(&db, &["admin", "revoke-sessions", USER]).run().assert_code(0).json();
    assert_eq!(document["data"]["revoked"], 1);
    assert_eq!(one(&session, count), "0");
    let left: u32 = one(&session, "SELECT count(*) FROM public.session").parse().unwrap();
    assert_eq!(left + 1, others.parse::<u32>().unwrap());
    assert!(audit(&session).ends_with(&format!("{SECOND} REVOKE_SESSIONS {USER} {{\"count\":1}}")));
    assert_eq!(ledger(&session), "admin revoke-sessions done");
    let again = act(&db, &["admin", "revoke-sessions", USER]).run().assert_code(0).json();
    assert_eq!(again["outcome"], "nothing_to_do");
}

#[test]
fn the_glass_is_broken_for_a_reason_and_by_a_typed_name() {
    let db = TestDb::migrated();
    let session = db.session();
    let promote = ["admin", "promote", USER, "--break-glass"];
    markenmate(&[&promote[..], &["--yes"]].concat()).db(&db).run().assert_code(2);
    markenmate(&[&promote[..], &["--yes", "--reason", " "]].concat()).db(&db).run().assert_code(2);
    let reason = ["--reason", "alle Admins im Urlaub"];
    // A yes is not enough, nor is another name.
    for consent in [&["--yes"][..], &["--confirm", "production"]] {
        let args = [&promote[..], &reason, consent].concat();
        markenmate(&args).db(&db).run().assert_code(4);
    }
    assert_eq!((role(&session, USER), audit(&session)), ("user".into(), String::new()));
    let args = [&promote[..], &reason, &["--confirm", &db.name, "--format", "json"]].concat();
    let document = markenmate(&args).db(&db).run().assert_code(0).json();
    assert_eq!(document["data"]["break_glass"], true);
    assert_eq!(document["data"]["acting"], serde_json::Value::Null);
    assert_eq!(role(&session, USER), "admin");
    assert_eq!(
        audit(&session),
        format!(
            "{USER} BREAK_GLASS {USER} {{\"command\":\"admin promote\",\"reason\":\"alle Admins im Urlaub\"}}\n\
             {USER} CHANGE_ROLE {USER} {{\"oldRole\":\"user\",\"newRole\":\"admin\"}}"
        )
    );
    let reasons = "SELECT concat_ws(' ', command, outcome, reason, detail::json ->> 'break_glass') FROM markenmate.ledger ORDER BY number DESC LIMIT 1";
    assert_eq!(one(&session, reasons), "admin promote done alle Admins im Urlaub true");
    assert_eq!(one(&session, "SELECT count(*) FROM public.step_up_token"), "0");
}

#[test]
fn who_acts_must_be_said_and_only_once() {
    let db = TestDb::migrated();
    for (args, text) in [
        (&["admin", "promote", USER][..], "--as"),
        (&["admin", "promote", USER, "--as", SECOND, "--break-glass"], "cannot be used with"),
        (&["admin", "promote", "", "--as", SECOND], "an email or an id is wanted"),
        (&["admin", "promote", USER, "--as", " "], "an email or an id is wanted"),
        (&["admin"], "no command was given"),
    ] {
        let run = markenmate(args).db(&db).run().assert_code(2);
        assert!(run.stderr.contains(text), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn a_user_is_meant_by_id_or_by_an_email_of_any_case() {
    let db = TestDb::migrated();
    let session = db.session();
    session.sql(&format!(
        "UPDATE public.\"user\" SET email = 'PERSON22@example.de' WHERE email = '{OTHER}'"
    ));
    // Also as it stands there: who typed it may have meant the other.
    for text in [USER, "PERSON22@example.de", "Person22@Example.de"] {
        let run = act(&db, &["admin", "promote", text]).run().assert_code(4);
        let causes = run.json()["error"]["causes"].to_string();
        for email in [USER, "PERSON22@example.de"] {
            assert!(causes.contains(&format!("{email} (id {})", id(&session, email))), "{causes}");
        }
    }
    act(&db, &["admin", "promote", &id(&session, USER)]).run().assert_code(0);
    assert_eq!(role(&session, USER), "admin");
    assert_eq!(role(&session, "PERSON22@example.de"), "user");
    let nobody = act(&db, &["admin", "promote", "nobody@example.de"]).run().assert_code(4);
    assert!(
        nobody.stderr.contains("nobody@example.de") || nobody.stdout.contains("nobody@example.de")
    );
}

#[test]
fn a_dry_run_says_what_would_be_refused_and_asks_nobody() {
    let db = TestDb::migrated();
    let session = db.session();
    let dry = |args: &[&str], admin: &str| {
        let by = ["--as", admin, "--dry-run", "--format", "json"];
        markenmate(&[args, &by].concat()).db(&db).run()
    };
    let planned = dry(&["admin", "promote", USER], SECOND).assert_code(0).json();
    assert_eq!(planned["outcome"], "planned");
    dry(&["admin", "demote", SECOND], SECOND).assert_code(4);
    dry(&["admin", "promote", USER], USER).assert_code(4);
    dry(&["admin", "promote", USER], THIRD).assert_code(4);
    dry(&["admin", "promote", USER], "nobody").assert_code(4);
    assert_eq!((role(&session, USER), audit(&session)), ("user".into(), String::new()));
}

#[test]
fn before_the_guides_migration_admins_are_listed_and_not_changed() {
    let db = TestDb::baseline();
    let document =
        markenmate(&["admin", "list", "--format", "json"]).db(&db).run().assert_code(0).json();
    let admins = document["data"]["admins"].as_array().unwrap();
    let emails: Vec<_> = admins.iter().map(|a| a["email"].as_str().unwrap()).collect();
    assert_eq!(emails, [SEED, SECOND, THIRD]);
    assert_eq!(admins[0]["is_master_admin"], serde_json::Value::Null);
    assert_eq!(admins[0]["has_password"], true);
    assert_eq!(admins[2]["has_password"], false);
    assert_eq!(document["next"], "markenmate migrate");
    for args in [&["admin", "promote", USER, "--as", SECOND][..], &["set-master-admin", SECOND]] {
        let run = markenmate(&[args, &["--yes"]].concat()).db(&db).run().assert_code(4);
        assert!(run.stderr.contains("hint: first: markenmate migrate"), "{}", run.stderr);
    }
    let run = markenmate(&["admin", "list"]).db(&TestDb::empty()).run().assert_code(4);
    assert!(run.stderr.contains("the app is not in this database"), "{}", run.stderr);
}

#[test]
fn a_reader_lists_what_it_may_read() {
    let db = TestDb::migrated();
    sql(
        &db,
        "DROP ROLE IF EXISTS lister; CREATE ROLE lister LOGIN; GRANT SELECT ON public.\"user\" TO lister",
    );
    let run = markenmate(&["admin", "list", "--format", "json"]).url(&db.url_as("lister")).run();
    let document = run.assert_code(0).json();
    let first = &document["data"]["admins"][0];
    assert_eq!(first["email"], SEED);
    assert_eq!(first["is_master_admin"], false);
    assert_eq!(
        (&first["has_password"], &first["sessions"]),
        (&serde_json::Value::Null, &serde_json::Value::Null)
    );
    let run = markenmate(&["admin", "list"]).url(&db.url_as("lister")).run().assert_code(0);
    assert!(run.stdout.contains("markenmate") && run.stdout.contains('?'), "{}", run.stdout);
    sql(&db, "DROP OWNED BY lister; DROP ROLE lister");
}

/// A member of the role that owns the app acts for it; another role is told what it lacks.
#[test]
fn a_member_of_the_owner_may_and_a_stranger_may_not() {
    let db = TestDb::baseline();
    let session = db.session();
    session.sql(
        "DROP ROLE IF EXISTS app_of_admins; DROP ROLE IF EXISTS member_of_admins; DROP ROLE IF EXISTS stranger_of_admins;
         CREATE ROLE app_of_admins LOGIN; CREATE ROLE stranger_of_admins LOGIN;
         CREATE ROLE member_of_admins LOGIN NOINHERIT IN ROLE app_of_admins",
    );
    session.sql(&crate::support::state::owned_by("app_of_admins"));
    session.sql(&format!("ALTER DATABASE {} OWNER TO app_of_admins", db.name));
    let as_role = |role: &str, args: &[&str]| {
        let by = ["--as", SECOND, "--admin-password-stdin", "--yes"];
        markenmate(&[args, &by].concat()).url(&db.url_as(role)).stdin(PASSWORD).run()
    };
    markenmate(&["migrate", "--yes"]).url(&db.url_as("member_of_admins")).run().assert_code(0);
    as_role("member_of_admins", &["admin", "promote", USER]).assert_code(0);
    as_role("app_of_admins", &["admin", "demote", USER]).assert_code(0);
    assert_eq!(ledger(&session), "admin promote done\nadmin demote done");
    let args = ["set-master-admin", SECOND, "--yes"];
    markenmate(&args).url(&db.url_as("member_of_admins")).run().assert_code(0);
    assert_eq!(masters(&session), SECOND);
    as_role("stranger_of_admins", &["admin", "promote", USER]).assert_code(4);
    assert_eq!(role(&session, USER), "user");
    drop(session);
    let name = db.name.clone();
    drop(db);
    crate::support::Session::open(&crate::support::cluster().url("postgres"))
        .sql(&format!("DROP ROLE app_of_admins, member_of_admins, stranger_of_admins -- {name}"));
}

/// Who may write the app's tables as its own role does, and is not their owner's: reads the ledger, and may
/// not write it.
#[test]
fn a_role_with_the_apps_grants_changes_nothing_that_the_ledger_could_not_tell() {
    let db = TestDb::baseline();
    let session = db.session();
    session.sql(
        "DROP ROLE IF EXISTS clerk_of_admins; CREATE ROLE clerk_of_admins LOGIN;
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO clerk_of_admins;
         GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO clerk_of_admins",
    );
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    let url = db.url_as("clerk_of_admins");
    let document = act(&db, &["admin", "promote", USER]).url(&url).run().assert_code(4).json();
    let said = &document["error"];
    assert_eq!(said["message"], "role clerk_of_admins may not change the app's users");
    assert!(said["causes"].to_string().contains("may not write the operator ledger"), "{said}");
    assert_eq!((role(&session, USER), ledger(&session)), ("user".into(), String::new()));
    let run = markenmate(&["set-master-admin", SECOND, "--yes"]).url(&url).run().assert_code(4);
    assert!(run.stderr.contains("may not write the operator ledger"), "{}", run.stderr);
    assert_eq!(masters(&session), "");
    session.sql("DROP OWNED BY clerk_of_admins; DROP ROLE clerk_of_admins");
}
