//! Interrupted: the statement on the server is cancelled, nothing is changed, the terminal is well.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::own_server::pg_ctl;
use crate::support::slow::{slow_down, wait_until_asleep};
use crate::support::state::{assert_gone, assert_migrated, fingerprint, one};
use crate::support::{
    Run, Running, Session, TestDb, database_on, markenmate, pty, start, wait_until,
};

/// Ends soon after the signal: what it waits for on the server takes a minute.
#[track_caller]
fn ended_by(running: Running, signal: &str) -> Run {
    let began = Instant::now();
    running.signal(signal);
    let run = running.wait().assert_code(130);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?} after the signal", began.elapsed());
    run
}

#[track_caller]
fn assert_interrupted(run: &Run) {
    assert!(run.stderr.contains("error: interrupted\n"));
    assert!(run.stderr.contains("hint: nothing was changed"), "{}", run.stderr);
    assert_eq!(run.stdout, "");
}

#[test]
fn a_signal_ends_the_wait_for_a_lock() {
    for signal in ["INT", "TERM", "HUP"] {
        // Between two attempts, and inside a long one.
        for lock_timeout in ["50ms", "60s"] {
            let db = TestDb::baseline();
            let holder = db.session();
            holder.sql(r#"BEGIN; SELECT FROM public."user" LIMIT 1"#);
            let session = db.session();
            let before = fingerprint(&session);
            let args = ["migrate", "--yes", "--lock-timeout", lock_timeout];
            let running = markenmate(&args).db(&db).spawn();
            if lock_timeout == "60s" {
                let waits = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
                    WHERE NOT l.granted AND a.datname = current_database()";
                assert!(wait_until(Duration::from_secs(20), || one(&session, waits) == "1"));
            } else {
                running.wait_for_stderr("waiting: ");
            }
            let run = ended_by(running, signal);
            assert_gone(&session);
            assert_interrupted(&run);
            assert_eq!(fingerprint(&session), before);
        }
    }
}

#[test]
fn a_signal_ends_a_long_statement() {
    for signal in ["INT", "TERM", "HUP"] {
        let db = TestDb::baseline();
        let session = db.session();
        slow_down(&session, Duration::from_secs(60));
        let before = fingerprint(&session);
        let running = markenmate(&["migrate", "--yes"]).db(&db).spawn();
        wait_until_asleep(&session);
        let run = ended_by(running, signal);
        assert_gone(&session);
        assert_interrupted(&run);
        assert_eq!(fingerprint(&session), before);
    }
}

#[test]
fn a_signal_ends_the_wait_for_another_run() {
    let db = TestDb::baseline();
    let other = db.session();
    other.sql(&format!("BEGIN; {}", markenmate::db::locks::try_lock_sql()));
    let running = markenmate(&["migrate", "--yes", "--format", "json"]).db(&db).spawn();
    running.wait_for_stderr("waiting: ");
    running.signal("TERM");
    let document = running.wait().assert_code(130).json();
    assert_eq!(document["outcome"], "interrupted");
    assert_gone(&db.session());
}

/// Runs it on a terminal and shows afterwards how that is set.
fn on_a_terminal(db: &TestDb, args: &[&str]) -> pty::Terminal {
    let bare = markenmate(args).db(db).command();
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", "trap '' INT TERM; (trap - INT TERM; echo \"pid $$\"; exec \"$0\" \"$@\"); echo \"code $?\"; stty -a"])
        .arg(bare.get_program())
        .args(bare.get_args())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .envs(bare.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("HOME", db.folder())
        .current_dir(db.folder());
    pty::command_on_a_terminal(&shell)
}

#[track_caller]
fn assert_terminal_is_well(screen: &str) {
    let code = screen.find("code 130").unwrap_or_else(|| panic!("{screen}"));
    let modes: Vec<&str> = screen[code..].split_whitespace().collect();
    for mode in ["icanon", "isig", "echo", "opost", "icrnl"] {
        assert!(modes.contains(&mode), "no {mode}: {screen}");
    }
}

#[test]
fn control_c_at_the_question_changes_nothing() {
    let db = TestDb::baseline();
    let before = fingerprint(&db.session());
    let mut terminal = on_a_terminal(&db, &["migrate"]);
    terminal.expect("[b/y/N]").send_control('c');
    let (screen, _) = terminal.finish();
    assert_terminal_is_well(&screen);
    assert_eq!(fingerprint(&db.session()), before);
    assert_gone(&db.session());
}

#[test]
fn a_signal_at_the_question_gives_the_terminal_back() {
    for signal in ["INT", "TERM", "HUP"] {
        let db = TestDb::baseline();
        let before = fingerprint(&db.session());
        let mut terminal = on_a_terminal(&db, &["migrate"]);
        terminal.expect("[b/y/N]");
        let session = db.session();
        let asking = "SELECT pid FROM pg_stat_activity WHERE application_name = 'markenmate' AND datname = current_database()";
        assert!(!one(&session, asking).is_empty(), "no connection of the run");
        let pid = newest_markenmate(&db);
        assert!(crate::support::kill_says(pid, signal));
        let (screen, _) = terminal.finish();
        assert_terminal_is_well(&screen);
        assert!(screen.contains("nothing was changed"), "{screen}");
        assert_eq!(fingerprint(&session), before);
        assert_gone(&session);
    }
}

/// The process that has this database in its environment: a terminal's child has no handle of ours.
fn newest_markenmate(db: &TestDb) -> u32 {
    let is_it = |pid: u32| {
        let read = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let has =
            |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|w| w == text.as_bytes());
        has(&read("environ"), &db.url) && read("comm") == b"markenmate\n"
    };
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let mut pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| is_it(*pid)).expect("the run's process")
}

#[test]
fn no_answer_and_no_are_no() {
    let db = TestDb::baseline();
    let before = fingerprint(&db.session());
    let mut terminal = pty::on_a_terminal(markenmate(&["migrate"]).db(&db));
    terminal.expect("[b/y/N]").send_line("n");
    let (screen, code) = terminal.finish();
    assert_eq!(code, 4, "{screen}");
    assert!(screen.contains("not confirmed; nothing was changed"), "{screen}");
    assert_eq!(fingerprint(&db.session()), before);
}

#[test]
fn yes_at_the_question_migrates() {
    let db = TestDb::baseline();
    let mut terminal = pty::on_a_terminal(markenmate(&["migrate"]).db(&db));
    terminal.expect("[b/y/N]").send_line("y");
    let (screen, code) = terminal.finish();
    assert_eq!(code, 0, "{screen}");
    assert_migrated(&db.url);
}

/// A COMMIT that waits for a standby: cancelled, it has taken place on this server nevertheless.
#[test]
fn a_signal_during_commit_does_not_make_it_undone() {
    let server = start(&[("synchronous_commit", "on")]);
    let url = database_on(&server, "waiting", &["V1__baseline.sql"]);
    let session = Session::open(&url);
    session.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    pg_ctl(&server, "reload", "fast");
    let running = markenmate(&["migrate", "--yes"]).url(&url).spawn();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    assert!(wait_until(Duration::from_secs(20), || one(&session, waits) == "1"));
    running.signal("INT");
    running.wait().assert_code(0);
    session.sql("ALTER SYSTEM RESET synchronous_standby_names");
    pg_ctl(&server, "reload", "fast");
    assert_migrated(&url);
}
