//! The ground the other tests stand on.

use std::process::Command;

use crate::support::{TestDb, markenmate, pty, scrub, sql};

#[test]
fn what_differs_from_run_to_run_is_scrubbed() {
    let cases = [
        ("run 0b9a7b1e-2f4c-4d58-9c3f-7c4f1f6a9b11 ended", "run UUID ended"),
        ("at 2026-11-23T08:00:00.123456Z.", "at TIME."),
        ("at 2026-11-23 08:00:00.12+00 or 2026-11-23 08:00:00 UTC", "at TIME or TIME"),
        ("markenmate-backup-2025-11-03T08-00-00-000Z.sql", "markenmate-backup-TIME.sql"),
        ("test_12@[/tmp/markenmate-0123456789ab]", "DATABASE@[SOCKET]"),
        ("/tmp/.tmpAb3dEf/backups/x", "FOLDER/backups/x"),
        (r#""duration_ms": 12, "longest_lock_ms":3.5"#, r#""duration_ms": 0, "longest_lock_ms":0"#),
        (
            "took 1.2 s, then 35ms, then 1m 2s; 3 steps",
            "took DURATION, then DURATION, then DURATION; 3 steps",
        ),
        ("localhost:5433 port=5432 pid 77", "localhost:PORT port=PORT pid PID"),
        (r#""server_version": "15.18""#, r#""server_version": "VERSION""#),
        ("PostgreSQL 15.18 (Debian 15.18-0+deb12u1), primary", "PostgreSQL VERSION, primary"),
    ];
    for (text, expected) in cases {
        assert_eq!(scrub(text), expected);
    }
}

#[test]
fn databases_are_apart_and_dropped_with_whoever_is_in_them() {
    let (one, other) = (TestDb::empty(), TestDb::empty());
    sql(&one, "CREATE TABLE public.t ()");
    assert_eq!(sql(&other, "SELECT to_regclass('public.t')::text"), [[None]]);
    let lingering = one.session();
    let name = one.name.clone();
    drop(one);
    assert!(lingering.try_sql("SELECT 1").is_err());
    let gone = sql(&other, &format!("SELECT 1 FROM pg_database WHERE datname = '{name}'"));
    assert!(gone.is_empty());
}

#[test]
fn the_baseline_holds_the_apps_tables_and_rows() {
    let db = TestDb::baseline();
    let tables = sql(&db, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'");
    assert_eq!(tables, [[Some("15".to_owned())]]);
    assert_eq!(sql(&db, "SELECT count(*) > 1000 FROM public.app_log"), [[Some("f".to_owned())]]);
    assert_eq!(sql(&db, "SELECT count(*) > 100 FROM public.app_log"), [[Some("t".to_owned())]]);
}

#[test]
fn sessions_hold_what_they_locked() {
    let db = TestDb::empty();
    let holder = db.session();
    holder.sql("CREATE TABLE public.t ()");
    holder.sql("BEGIN; LOCK TABLE public.t");
    let error = db.session().try_sql("BEGIN; LOCK TABLE public.t NOWAIT").unwrap_err();
    assert_eq!(error.code().map(|code| code.code()), Some("55P03"));
}

#[test]
fn the_binary_runs_without_the_environment_of_the_test() {
    let run = markenmate(&["--version"]).env("PGHOST", "nowhere").stdin("y\n").run();
    assert!(run.millis < 60_000);
    let invocation = markenmate(&["status"]);
    let command = invocation.command();
    let names: Vec<_> = command.get_envs().filter_map(|(name, _)| name.to_str()).collect();
    assert!(!names.iter().any(|name| name.starts_with("PG") || *name == "DATABASE_URL"));
}

#[test]
fn the_binary_runs_on_a_terminal() {
    let (_screen, code) = pty::on_a_terminal(markenmate(&["--version"])).finish();
    assert_eq!(code, 0);
}

#[test]
fn a_terminal_takes_and_shows_lines() {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "test -t 0 && printf 'name? '; read -r name; echo \"<$name>\"; exit 3"]);
    let mut terminal = pty::command_on_a_terminal(&command);
    terminal.expect("name? ").send_line("Jörn").expect("<Jörn>");
    let (screen, code) = terminal.finish();
    assert_eq!(screen, "name? Jörn\r\n<Jörn>\r\n");
    assert_eq!(code, 3);
}
