//! The throw-away server: it starts, it answers, and it is gone however its process ends.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, stdin};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use markenmate::sandbox::sample::{self, ORPHANS, Sample};
use markenmate::sandbox::{Sandbox, SandboxOptions};
use markenmate::settings::Env;
use tempfile::TempDir;

use crate::support::{Session, TestDb, cluster, env, kill_says, pty, sql, start, wait_until};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_sandbox_answers_on_its_socket_only() {
    let sandbox = start(&[("work_mem", "7MB"), ("port", "6543")]);
    let session = Session::open(&sandbox.url("postgres"));
    let shown = |name: &str| session.sql(&format!("SHOW {name}")).remove(0).remove(0).unwrap();
    assert!(shown("server_version").starts_with(sandbox.version()));
    assert_eq!(shown("listen_addresses"), "");
    assert_eq!(shown("fsync"), "off");
    assert_eq!(shown("work_mem"), "7MB");
    assert_eq!(shown("server_encoding"), "UTF8");
    assert_eq!(shown("max_connections"), "200");
    assert!(sandbox.url("postgres").ends_with("&port=6543"));
}

#[test]
fn the_server_runs_without_root_in_a_folder_of_its_own() {
    let data = fs::metadata(cluster().data_dir()).unwrap();
    let folder = fs::metadata(cluster().socket_dir()).unwrap();
    let ours = TempDir::new().unwrap().path().metadata().unwrap().uid();
    assert_eq!(folder.mode() & 0o777, 0o700);
    assert_ne!(data.uid(), 0);
    assert_eq!(folder.uid(), data.uid());
    assert!(ours == 0 || ours == data.uid());
}

#[test]
fn dropping_a_sandbox_leaves_nothing() {
    let place = Place::new();
    let sandbox = Sandbox::start(&place.env(), SandboxOptions::default()).unwrap();
    let server = server_pid(&sandbox.data_dir());
    assert!(place.holds_something() && runs(server));
    let _idle = Session::open(&sandbox.url("postgres"));
    drop(sandbox);
    assert!(!place.holds_something() && !runs(server));
}

#[test]
fn a_panic_leaves_nothing() {
    let place = Place::new();
    let env = place.env();
    let panicked = catch_unwind(|| {
        let _sandbox = Sandbox::start(&env, SandboxOptions::default()).unwrap();
        panic!("on purpose");
    });
    assert!(panicked.is_err());
    assert!(!place.holds_something());
}

#[test]
fn a_killed_or_interrupted_process_leaves_nothing() {
    for signal in ["KILL", "INT", "TERM", "HUP"] {
        let place = Place::new();
        let mut holder = Holder::start(&place);
        let server = holder.server();
        assert!(runs(server), "{signal}: the server should run");
        holder.signal(signal);
        let gone = wait_until(SOON, || !place.holds_something() && !runs(server));
        assert!(gone, "{signal}: something is left in {}", place.folder.path().display());
    }
}

#[test]
fn a_process_killed_while_the_server_is_made_leaves_nothing() {
    let place = Place::new();
    let holder = Holder::start(&place);
    assert!(wait_until(SOON, || place.holds_something()));
    holder.signal("KILL");
    assert!(wait_until(SOON, || !place.holds_something()));
}

/// Both were killed: who uses it, and the shell that would have cleaned up.
#[test]
fn what_outlived_its_keeper_is_removed_by_the_next() {
    let place = Place::new();
    let next = || drop(Sandbox::start(&place.env(), SandboxOptions::default()).unwrap());
    let folder = || fs::read_dir(place.folder.path()).unwrap().next().unwrap().unwrap().path();
    let grow_old = |folder: &Path| {
        let file = fs::File::options().write(true).open(folder.join("tool.lock")).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(90)).unwrap();
    };
    let mut holder = Holder::start(&place);
    let server = holder.server();
    let left = folder();
    // In use: however old it is.
    grow_old(&left);
    next();
    assert!(runs(server));
    let status = fs::read_to_string(format!("/proc/{server}/status")).unwrap();
    let keeper = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    kill(keeper.trim().parse().unwrap(), "KILL");
    // Its user still lives.
    next();
    assert!(runs(server));
    holder.signal("KILL");
    let _ = holder.process.wait();
    fs::File::options()
        .write(true)
        .open(left.join("tool.lock"))
        .unwrap()
        .set_modified(SystemTime::now())
        .unwrap();
    next();
    assert!(runs(server), "one so young may be about to be locked");
    grow_old(&left);
    // Only named alike: somebody's.
    let other = place.folder.path().join("markenmate-0123456789ab");
    fs::create_dir(&other).unwrap();
    next();
    assert!(!runs(server) && !left.exists() && other.exists());
}

#[test]
fn ctrl_c_is_for_the_process_and_not_for_its_server() {
    let place = Place::new();
    let mut shell = Command::new("/bin/sh");
    // Ignored signals stay ignored: this process lives on, as one does that cleans up first.
    shell.args(["-c", "trap '' INT; exec \"$0\" \"$@\""]).args(holder_call()).envs(place.vars());
    let mut terminal = pty::command_on_a_terminal(&shell);
    terminal.expect("holding ").send_control('c').send_line("?").expect("alive");
    terminal.send_control('d');
    let (_, code) = terminal.finish();
    assert_eq!(code, 0);
    assert!(wait_until(SOON, || !place.holds_something()));
}

#[test]
fn a_server_that_died_is_cleaned_up_too() {
    let place = Place::new();
    let sandbox = Sandbox::start(&place.env(), SandboxOptions::default()).unwrap();
    let socket = sandbox.socket_dir().join(".s.PGSQL.5432");
    assert!(UnixStream::connect(&socket).is_ok());
    kill(server_pid(&sandbox.data_dir()), "KILL");
    assert!(wait_until(SOON, || UnixStream::connect(&socket).is_err()));
    drop(sandbox);
    assert!(!place.holds_something());
}

#[test]
fn a_server_that_was_restarted_is_stopped_too() {
    let place = Place::new();
    let sandbox = Sandbox::start(&place.env(), SandboxOptions::default()).unwrap();
    let (data, first) = (sandbox.data_dir(), server_pid(&sandbox.data_dir()));
    let owner = fs::metadata(&data).unwrap();
    let mut pg_ctl = Command::new(sandbox.bindir().join("pg_ctl"));
    pg_ctl.args(["restart", "--wait", "--mode=immediate", "--silent", "--log=/dev/null"]);
    pg_ctl.arg("-D").arg(&data).current_dir("/").stdout(Stdio::null());
    assert!(pg_ctl.uid(owner.uid()).gid(owner.gid()).status().unwrap().success());
    let second = server_pid(&data);
    assert!(first != second && runs(second));
    drop(sandbox);
    assert!(!place.holds_something() && !runs(second));
}

#[test]
fn a_server_that_does_not_start_says_why_and_leaves_nothing() {
    let place = Place::new();
    let settings = vec![("shared_buffers".to_owned(), "rather many".to_owned())];
    let options = SandboxOptions { settings, ..SandboxOptions::default() };
    let failure = Sandbox::start(&place.env(), options).unwrap_err();
    assert_eq!(failure.message, "cannot start a throw-away PostgreSQL");
    assert_eq!(failure.causes[0], "the server did not start");
    assert!(failure.causes[1].contains("rather many"), "{failure}");
    assert!(wait_until(SOON, || !place.holds_something()));
}

#[test]
fn a_folder_without_a_server_is_refused() {
    let options = SandboxOptions { bindir: Some("/".into()), ..SandboxOptions::default() };
    let failure = Sandbox::start(&env(), options).unwrap_err();
    assert_eq!(failure.kind.exit_code(), 4);
    assert_eq!(failure.message, "/ has no initdb and no postgres");
}

#[test]
fn the_sample_fills_the_apps_tables() {
    let db = TestDb::baseline();
    let count = |what: &str| number(&db, &format!("SELECT count(*) FROM public.{what}"));
    let users = 20 + sample::ADMINS + sample::HOSTILE_USERS;
    assert_eq!(count("\"user\""), users);
    assert_eq!(count("\"user\" WHERE role = 'admin'"), sample::ADMINS);
    assert_eq!(count("token_lending"), users * 3);
    assert_eq!(count("app_log"), users * 10);
    assert_eq!(count("app_log WHERE message LIKE 'AUDIT: %'"), users * 2);
    assert_eq!(count("order_history_item"), users * 8);
    assert_eq!(count("db_backup"), 5);
    let states = "SELECT count(DISTINCT acceptance_status::text) FROM public.token_lending";
    assert_eq!(number(&db, states), 3);
    let shape = "account WHERE password ~ '^[0-9a-f]{32}:[0-9a-f]{128}$'";
    assert_eq!(count(shape), users - 1);
}

#[test]
fn the_samples_oldest_admin_is_the_apps_seed_account() {
    let db = TestDb::baseline();
    let text = "SELECT email FROM public.\"user\" WHERE role = 'admin' ORDER BY created_at LIMIT 1";
    assert_eq!(sql(&db, text), [[Some("admin@markenmate.app".to_owned())]]);
    let text = "SELECT role::text FROM public.\"user\" ORDER BY created_at LIMIT 1";
    assert_eq!(sql(&db, text), [[Some("user".to_owned())]]);
}

#[test]
fn the_samples_hostile_names_are_stored_as_they_are() {
    let db = TestDb::baseline();
    let named = |pattern: &str| {
        let text = format!("SELECT count(*) FROM public.\"user\" WHERE name {pattern}");
        number(&db, &text)
    };
    assert_eq!(named("= E'Robert\\'; DROP TABLE public.\"user\"; --'"), 1);
    assert!(named("LIKE E'%\\x1b[31m%'") >= 1, "ANSI");
    assert!(named("LIKE U&'%\\202E%'") >= 1, "right to left");
    assert!(named("LIKE E'%\\n%'") >= 1, "line break");
    assert!(named("LIKE '%ä%' OR name LIKE '%ß%'") >= 5, "umlauts");
    assert_eq!(named("= ''"), 1);
    assert!(named("IS NOT NULL AND length(name) > 8000") >= 1, "very long");
}

#[test]
fn the_sample_can_be_large_small_and_orphaned() {
    for (users, orphans) in [(0, false), (200, true)] {
        let db = TestDb::baseline();
        let tables = "SELECT string_agg('public.' || quote_ident(tablename), ', ') \
                      FROM pg_tables WHERE schemaname = 'public'";
        let tables = sql(&db, tables).remove(0).remove(0).unwrap();
        sql(&db, &format!("TRUNCATE {tables} RESTART IDENTITY"));
        sql(&db, &format!("SET search_path = pg_catalog; {}", Sample { users, orphans }.sql()));
        for (column, expected) in ORPHANS {
            let found = orphaned(&db, column);
            assert_eq!(found, if orphans { expected } else { 0 }, "{column}");
        }
    }
}

fn orphaned(db: &TestDb, column: &str) -> u32 {
    let (table, column) = column.split_once('.').unwrap();
    let owners = match column {
        "order_history_id" => "public.order_history",
        _ => "public.\"user\"",
    };
    number(
        db,
        &format!(
            "SELECT count(*) FROM public.{table} AS t WHERE t.{column} IS NOT NULL \
             AND NOT EXISTS (SELECT FROM {owners} AS o WHERE o.id = t.{column})"
        ),
    )
}

fn number(db: &TestDb, text: &str) -> u32 {
    sql(db, text)[0][0].as_deref().unwrap().parse().unwrap()
}

/// A folder for temporary files that anybody may use, so that nothing in it goes unnoticed.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new_in("/tmp").unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        Self { folder }
    }

    fn vars(&self) -> Vec<(&'static str, String)> {
        let names = ["PATH", "LD_LIBRARY_PATH", "MARKENMATE_TEST_BINDIR"];
        let mut vars: Vec<_> = names
            .into_iter()
            .filter_map(|name| Some((name, env().var(name)?.to_owned())))
            .collect();
        if let Some(bindir) = env().var("MARKENMATE_TEST_BINDIR") {
            vars.push(("MARKENMATE_PG_BINDIR", bindir.to_owned()));
        }
        vars.push(("TMPDIR", self.folder.path().to_str().unwrap().to_owned()));
        vars.push(("MARKENMATE_TEST_HOLDS", "1".to_owned()));
        vars
    }

    fn env(&self) -> Env {
        let vars = self.vars();
        let var = |wanted: &str| vars.iter().find(|(name, _)| *name == wanted);
        let value = |name: &str| var(name).map_or("", |(_, value)| value.as_str());
        Env::of(
            ["PATH", "LD_LIBRARY_PATH", "TMPDIR", "MARKENMATE_PG_BINDIR"].map(|n| (n, value(n))),
        )
    }

    fn holds_something(&self) -> bool {
        fs::read_dir(self.folder.path()).unwrap().next().is_some()
    }
}

/// Another process that holds a sandbox: this test binary, told to run [`holder`] alone.
struct Holder {
    process: Child,
}

fn holder_call() -> [PathBuf; 5] {
    let binary = std::env::current_exe().unwrap();
    let arguments = ["--exact", "cases::sandbox::holder", "--nocapture", "--test-threads=1"];
    let [a, b, c, d] = arguments.map(PathBuf::from);
    [binary, a, b, c, d]
}

/// Does nothing in an ordinary run.
#[test]
fn holder() {
    if env().var("MARKENMATE_TEST_HOLDS").is_none() {
        return;
    }
    let sandbox = start(&[]);
    println!("holding {}", server_pid(&sandbox.data_dir()));
    for _ in stdin().lines() {
        let answer = Session::open(&sandbox.url("postgres")).sql("SELECT 'alive'");
        println!("{}", answer[0][0].as_deref().unwrap());
    }
}

impl Holder {
    fn start(place: &Place) -> Self {
        let [binary, arguments @ ..] = holder_call();
        let mut command = Command::new(binary);
        command.args(arguments).env_clear().envs(place.vars());
        let process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        Self { process }
    }

    /// Waits until the server runs, and gives its process id.
    fn server(&mut self) -> u32 {
        let lines = BufReader::new(self.process.stdout.take().unwrap()).lines();
        let mut said = lines.map_while(Result::ok);
        // libtest writes the test's name in front.
        let pid = said.find_map(|line| Some(line.split_once("holding ")?.1.parse().unwrap()));
        pid.expect("a holder that holds")
    }

    fn signal(&self, name: &str) {
        kill(self.process.id(), name);
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn server_pid(data: &Path) -> u32 {
    let file = fs::read_to_string(data.join("postmaster.pid")).unwrap();
    file.lines().next().unwrap().parse().unwrap()
}

fn runs(pid: u32) -> bool {
    kill_says(pid, "0")
}

fn kill(pid: u32, signal: &str) {
    assert!(kill_says(pid, signal));
}
