//! Questions on a real terminal.

use markenmate::console::Console;
use markenmate::context::Context;
use markenmate::db::patience::{Attempt, Setback};
use markenmate::db::session::Session as Connected;
use markenmate::failure::{Failure, Kind};
use markenmate::pipeline::{self, Access, Operation};
use markenmate::plan::{Plan, Risk, Step};
use markenmate::report::{Outcome, Report};
use markenmate::settings::{EndpointFlags, Env, Flags};

use crate::support::{TestDb, markenmate, pty, sql};

fn migrated(db: &TestDb) -> bool {
    let rows = sql(db, "SELECT to_regclass('public.audit_log') IS NOT NULL");
    rows[0][0].as_deref() == Some("t")
}

#[test]
fn one_screen_then_yes() {
    let db = TestDb::baseline();
    let mut terminal = pty::on_a_terminal(markenmate(&["migrate"]).db(&db));
    terminal.expect("target: ").expect("the way back").expect("[b/y/N]").send_line("y");
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
        terminal.expect("[b/y/N]").send_line(answer);
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
    terminal.expect("[b/y/N]").send_control('c');
    let (screen, code) = terminal.finish();
    assert_eq!(code, 130, "{screen}");
    assert!(!migrated(&db));
}

#[test]
fn ctrl_d_at_the_question_is_no_answer() {
    let db = TestDb::baseline();
    let mut terminal = pty::on_a_terminal(markenmate(&["migrate"]).db(&db));
    terminal.expect("[b/y/N]").send_control('d');
    let (screen, code) = terminal.finish();
    assert_eq!(code, 4, "{screen}");
    assert!(screen.contains("no answer was given; nothing was changed"), "{screen}");
    assert!(!migrated(&db));
}

/// The screen before the question names the database as the command line did.
#[test]
fn what_the_screen_offers_to_paste_names_the_database() {
    let db = TestDb::hardened();
    sql(&db, "DROP TABLE public.audit_log");
    let mut terminal = pty::on_a_terminal(markenmate(&["verify", "-d", &db.url]));
    terminal.expect("target: ");
    let (screen, code) = terminal.finish();
    assert_eq!(code, 3, "{screen}");
    assert!(!screen.contains("markenmate migrate"), "{screen}");

    let db = TestDb::empty();
    sql(&db, "CREATE TABLE public.orders (id integer); CREATE VIEW public.late AS SELECT 1");
    let mut terminal = pty::on_a_terminal(markenmate(&["migrate", "-d", &db.url]));
    terminal.expect("beside public.late, public.orders? Type").send_line("y");
    let (screen, code) = terminal.finish();
    assert_eq!(code, 4, "{screen}");
    assert!(screen.contains("[not-empty]"), "{screen}");
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

/// Takes something away, and counts how often.
struct Demolition(std::sync::atomic::AtomicU32);

impl Operation for Demolition {
    type State = ();
    type Work = ();

    fn access(&self) -> Access {
        Access::Write
    }

    async fn inspect(&self, _: &Context, _: &Connected, _: Attempt) -> Result<(), Setback> {
        Ok(())
    }

    fn plan(&self, _: &Context, (): &()) -> Result<Plan<()>, Failure> {
        Ok(Plan {
            work: (),
            steps: vec![Step::new("demolish", "take it all away", Risk::Destructive)],
            screen: Vec::new(),
            findings: Vec::new(),
            question: "Take it all away?".into(),
            asks_later: false,
            data: serde_json::Value::Null,
            next: None,
        })
    }

    async fn execute(&self, _: &Context, _: &Connected, _: Plan<()>) -> Result<Report, Failure> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(Report::new(Outcome::Done))
    }
}

/// What takes something away is not done for a yes: the database's name is typed, or given.
#[test]
fn what_takes_away_wants_the_databases_name() {
    let db = TestDb::empty();
    let run = |flags: Flags, answers: &[&str]| {
        let operation = Demolition(0.into());
        let endpoint = EndpointFlags { database_url: Some(db.url.clone()), ..Default::default() };
        let flags = Flags { endpoint, ..flags };
        let env = Env::of([("HOME", "/nonexistent")]);
        let console = Console::scripted(answers.iter().copied());
        let cx = Context::new(flags, env, console).unwrap_or_else(|f| panic!("{}", f.message));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ending = runtime.block_on(pipeline::drive(&cx, &operation));
        let done = operation.0.into_inner();
        let said = cx.console.transcript().unwrap().0.join("\n");
        (ending.result.map(|r| r.outcome).map_err(|f| (f.kind, f.message)), done, said)
    };
    let (result, done, said) = run(Flags::default(), &[&db.name]);
    assert_eq!((result, done), (Ok(Outcome::Done), 1));
    assert!(said.contains(&format!("Take it all away? Type {} to go on", db.name)), "{said}");
    assert!(said.contains("1. take it all away"), "{said}");

    for answers in [&["y"][..], &["yes"], &[""], &[]] {
        let (result, done, _) = run(Flags::default(), answers);
        let (kind, message) = result.unwrap_err();
        assert_eq!((kind, done), (Kind::Refused, 0), "{message}");
        assert!(message.contains("nothing was changed"), "{message}");
    }
    // `--yes` is for what adds; here it is asked all the same.
    let yes = || Flags { yes: true, ..Default::default() };
    assert_eq!(run(yes(), &["y"]).1, 0);
    assert_eq!(run(yes(), &[&db.name]).1, 1);
    let confirm = |phrase: &str| Flags { confirm: Some(phrase.into()), ..Default::default() };
    assert_eq!(run(confirm(&db.name), &[]).1, 1);
    let (result, done, _) = run(confirm("production"), &[&db.name]);
    assert_eq!((result.unwrap_err().0, done), (Kind::Refused, 0));
}
