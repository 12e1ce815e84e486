//! Wrong command lines, missing consent, closed pipes: each its exit code and a message that says
//! what, why and what to type next.

use std::io::Read;
use std::process::Stdio;

use crate::support::{TestDb, markenmate, sql};

/// Arguments, exit code, and what stderr must say.
const WRONG: &[(&[&str], i32, &[&str])] = &[
    (&["migrate", "--sideways"], 2, &["unexpected argument '--sideways'", "--help"]),
    (&[], 2, &["no command was given", "markenmate status"]),
    (&["migrat"], 2, &["unrecognized subcommand 'migrat'", "migrate"]),
    (&["migrate", "--lock-timeout", "soon"], 2, &["soon", "250ms"]),
    (&["migrate", "--lock-timeout", "0s"], 2, &["--lock-timeout 0 would queue", "50ms"]),
    (&["status"], 2, &["no database was named", "DATABASE_URL"]),
    (&["status", "-d", "postgres://u:secret@h:no/x"], 2, &["port"]),
    (&["status", "-d", "host=/nowhere dbname=x"], 5, &["/nowhere", "hint"]),
    (&["util", "down", "7"], 2, &["there is no version \"7\"", "V2 security_hardening"]),
];

#[test]
fn each_mistake_has_its_code_and_its_message() {
    for (args, code, texts) in WRONG {
        let run = markenmate(args).run().assert_code(*code);
        assert!(run.stdout.is_empty(), "{args:?}: {}", run.stdout);
        for text in *texts {
            assert!(run.stderr.contains(text), "{args:?}: no {text:?} in {}", run.stderr);
        }
        assert!(!run.stderr.contains("secret"), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn with_json_each_mistake_is_one_document() {
    for (args, code, _) in WRONG {
        let args = [args, &["--format", "json"][..]].concat();
        let document = markenmate(&args).run().assert_code(*code).json();
        assert_eq!(document["exit_code"], *code, "{args:?}");
        assert_eq!(document["schema"], 1);
        assert_eq!(document["outcome"], "failed", "{args:?}");
        assert!(document["error"]["message"].as_str().is_some_and(|m| !m.is_empty()), "{args:?}");
        assert!(!document.to_string().contains("secret"));
    }
}

#[test]
fn an_unknown_version_is_a_wrong_command_line() {
    let db = TestDb::baseline();
    markenmate(&["migrate", "--yes", "--to", "9"]).db(&db).run().assert_code(2);
}

#[test]
fn without_a_terminal_nothing_waits_for_an_answer() {
    let db = TestDb::baseline();
    let run = markenmate(&["migrate"]).db(&db).run().assert_code(4);
    assert!(run.stderr.contains("--yes"), "{}", run.stderr);
    let rows = sql(&db, "SELECT count(*)::text FROM pg_namespace WHERE nspname = 'markenmate'");
    assert_eq!(rows[0][0].as_deref(), Some("0"));
}

#[test]
fn confirm_is_compared_on_every_command() {
    let db = TestDb::baseline();
    for command in ["status", "verify", "migrate"] {
        let run = markenmate(&[command, "--confirm", "production"]).db(&db).run().assert_code(4);
        assert!(run.stderr.contains("--confirm \"production\""), "{}", run.stderr);
        assert!(run.stderr.contains(&db.name), "{}", run.stderr);
    }
    markenmate(&["migrate", "--confirm", &db.name]).db(&db).run().assert_code(0);
}

#[test]
fn a_closed_pipe_is_a_quiet_end() {
    let db = TestDb::baseline();
    let invocation = markenmate(&["migrate", "--dry-run"]).db(&db);
    let mut child = invocation
        .command()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!stderr.to_lowercase().contains("pipe"), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[test]
fn a_closed_stderr_does_not_matter() {
    let db = TestDb::baseline();
    let invocation = markenmate(&["migrate", "--yes"]).db(&db);
    let mut child = invocation
        .command()
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_printed_command_repeats_the_database_that_was_typed() {
    let db = TestDb::baseline();
    let other = TestDb::baseline();
    let run = markenmate(&["status", "-d", &db.url]).db(&other).run().assert_code(0);
    let next = run.stdout.lines().find_map(|line| line.strip_prefix("next: ")).unwrap();
    assert!(next.contains(&db.name) && next.ends_with("' migrate"), "{next}");
    let run = markenmate(&["migrate", "--check", "-d", &db.url]).db(&other).run().assert_code(3);
    assert!(!run.stdout.contains("-> markenmate migrate"), "{}", run.stdout);
    let run = markenmate(&["status"]).db(&db).run().assert_code(0);
    assert!(run.stdout.ends_with("next: markenmate migrate\n"), "{}", run.stdout);
}

#[test]
fn what_may_be_a_password_is_not_shown() {
    for url in ["postgres//u:secret@h/x", "postgresql://u:se/secret@h:1/x", "u:secret@h"] {
        let run = markenmate(&["status", "-d", url]).run().assert_code(2);
        assert!(!run.stderr.contains("secret"), "{url}: {}", run.stderr);
    }
}

#[test]
fn quiet_is_quiet() {
    let db = TestDb::baseline();
    let run = markenmate(&["migrate", "--yes", "-q"]).db(&db).run().assert_code(0);
    assert_eq!(run.stderr, "");
}

#[test]
fn status_says_where_each_setting_came_from() {
    let db = TestDb::baseline();
    let run = markenmate(&["status", "-v", "--max-wait", "7m"]).db(&db).run().assert_code(0);
    for text in ["DATABASE_URL", "command line", "max-wait", "7m", "default"] {
        assert!(run.stdout.contains(text), "no {text:?} in {}", run.stdout);
    }
}
