//! Questions on a real terminal.

use crate::support::{TestDb, markenmate, pty, sql};

fn migrated(db: &TestDb) -> bool {
    let rows = sql(db, "SELECT to_regclass('public.audit_log') IS NOT NULL");
    rows[0][0].as_deref() == Some("t")
}

#[test]
fn one_screen_then_yes() {
    let db = TestDb::baseline();
    let mut terminal = pty::on_a_terminal(markenmate(&["migrate"]).db(&db));
    terminal.expect("target: ").expect("the way back").expect("[y/N]").send_line("y");
    let (screen, code) = terminal.finish();
    assert_eq!(code, 0, "{screen}");
    for text in
        ["state", "last verified backup", "locks held now", "statements", "undo: ", "next: "]
    {
        assert!(screen.contains(text), "no {text:?} in {screen}");
    }
    assert!(migrated(&db));
}

#[test]
fn no_is_no_and_so_is_enter() {
    let db = TestDb::baseline();
    for answer in ["n", "", "vielleicht"] {
        let mut terminal = pty::on_a_terminal(markenmate(&["migrate"]).db(&db));
        terminal.expect("[y/N]").send_line(answer);
        let (screen, code) = terminal.finish();
        assert_eq!(code, 4, "{screen}");
        assert!(screen.contains("nothing was changed"), "{screen}");
        assert!(!migrated(&db));
    }
}

#[test]
fn ctrl_c_at_the_question_leaves_everything_as_it_was() {
    let db = TestDb::baseline();
    let mut terminal = pty::on_a_terminal(markenmate(&["migrate"]).db(&db));
    terminal.expect("[y/N]").send_control('c');
    let (screen, code) = terminal.finish();
    assert_eq!(code, 130, "{screen}");
    assert!(!migrated(&db));
}

#[test]
fn ctrl_c_at_the_password_gives_the_terminal_its_echo_back() {
    let db = TestDb::baseline();
    let invocation = markenmate(&["status", "-W"]).db(&db);
    let inner = invocation.command();
    let mut shell = std::process::Command::new("/bin/sh");
    shell
        .args(["-c", "\"$0\" \"$@\"; echo \"code $?\"; stty -a"])
        .arg(inner.get_program())
        .args(inner.get_args())
        .envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut terminal = pty::command_on_a_terminal(&shell);
    terminal.expect("Password for").send_control('c').expect("code 130");
    let (screen, _) = terminal.finish();
    let modes = screen.split("code 130").nth(1).unwrap();
    assert!(modes.contains(" echo ") && !modes.contains("-echo "), "{modes}");
}

#[test]
fn a_password_is_asked_for_and_never_shown() {
    let db = TestDb::baseline();
    let mut terminal = pty::on_a_terminal(markenmate(&["status", "-W"]).db(&db));
    terminal.expect("Password for").send_line("geheim");
    let (screen, code) = terminal.finish();
    assert_eq!(code, 0, "{screen}");
    assert!(!screen.contains("geheim"), "{screen}");
}
