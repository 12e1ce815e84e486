//! The real binary, in an environment of its own.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::{BINDIR_VARIABLE, TestDb, env};

/// A run that takes longer hangs.
const LONGEST_RUN: Duration = Duration::from_secs(120);

/// What a run may know of the test's environment; `PG*` and `DATABASE_URL`, above all, it may not.
const HANDED_ON: [&str; 4] = ["PATH", "TMPDIR", "LD_LIBRARY_PATH", "LLVM_PROFILE_FILE"];

/// A call of the binary, not yet made.
pub fn markenmate(args: &[&str]) -> Invocation {
    let mut vars: BTreeMap<String, String> = HANDED_ON
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), env().var(name)?.to_owned())))
        .collect();
    vars.insert("LC_ALL".to_owned(), "C.UTF-8".to_owned());
    vars.insert("TZ".to_owned(), "UTC".to_owned());
    if let Some(bindir) = env().var(BINDIR_VARIABLE) {
        vars.insert("MARKENMATE_PG_BINDIR".to_owned(), bindir.to_owned());
    }
    let args = args.iter().map(|arg| (*arg).to_owned()).collect();
    Invocation { args, vars, stdin: None, cwd: None, home: TempDir::new().unwrap() }
}

pub struct Invocation {
    args: Vec<String>,
    vars: BTreeMap<String, String>,
    stdin: Option<Vec<u8>>,
    cwd: Option<PathBuf>,
    /// Empty: no passfile, no service file. Also where it runs, unless told otherwise.
    home: TempDir,
}

impl Invocation {
    /// Against this database, by `DATABASE_URL`, and in its folder.
    pub fn db(self, db: &TestDb) -> Self {
        let cwd = self.cwd.clone().unwrap_or_else(|| db.folder().to_path_buf());
        self.env("DATABASE_URL", &db.url).cwd(&cwd)
    }

    /// Against the database of this URL.
    pub fn url(self, url: &str) -> Self {
        self.env("DATABASE_URL", url)
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.vars.insert(name.to_owned(), value.to_owned());
        self
    }

    /// What is piped in; without it there is no standard input.
    pub fn stdin(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.stdin = Some(bytes.as_ref().to_vec());
        self
    }

    pub fn cwd(mut self, folder: &Path) -> Self {
        self.cwd = Some(folder.to_path_buf());
        self
    }

    /// The bare command, for tests that wire it up themselves. Keep the invocation while it runs:
    /// its home goes with it.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_markenmate"));
        command
            .args(&self.args)
            .env_clear()
            .envs(&self.vars)
            .env("HOME", self.home.path())
            .current_dir(self.cwd.as_deref().unwrap_or(self.home.path()));
        command
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(self) -> Run {
        self.spawn().wait()
    }

    /// Starts it, for tests that do something meanwhile.
    pub fn spawn(mut self) -> Running {
        let stdin = self.stdin.take();
        let mut child = self
            .command()
            .stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let started = Instant::now();
        if let (Some(mut pipe), Some(bytes)) = (child.stdin.take(), stdin) {
            // Who does not read its input may close it.
            spawn(move || drop(pipe.write_all(&bytes)));
        }
        let stdout = Stream::of(child.stdout.take().unwrap());
        let stderr = Stream::of(child.stderr.take().unwrap());
        Running { child, started, stdout, stderr, _invocation: self }
    }
}

/// A started run. Dropped before its end, it is killed.
pub struct Running {
    child: Child,
    started: Instant,
    stdout: Stream,
    stderr: Stream,
    _invocation: Invocation,
}

impl Running {
    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name: `INT`, `TERM`, `KILL`.
    pub fn signal(&self, name: &str) {
        assert!(kill_says(self.pid(), name));
    }

    /// Waits until stderr has this in it.
    #[track_caller]
    pub fn wait_for_stderr(&self, text: &str) {
        let seen = wait_until(Duration::from_secs(30), || self.stderr.text().contains(text));
        assert!(seen, "no {text:?} on stderr: {}", self.stderr.text());
    }

    /// Waits for the end.
    #[track_caller]
    pub fn wait(mut self) -> Run {
        let mut status: Option<ExitStatus> = None;
        let ended = wait_until(LONGEST_RUN, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap();
        if !ended {
            let _ = self.child.kill();
        }
        let (stdout, stderr) = (self.stdout.finish(), self.stderr.finish());
        let Some(status) = status else { panic!("hangs\nstdout: {stdout}\nstderr: {stderr}") };
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap());
        Run { stdout, stderr, code, millis }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Run {
    pub stdout: String,
    pub stderr: String,
    /// The exit code, or 128 and the signal's number.
    pub code: i32,
    pub millis: u64,
}

impl Run {
    /// Says all there is to say where the code is another.
    #[track_caller]
    pub fn assert_code(self, code: i32) -> Self {
        let Self { stdout, stderr, .. } = &self;
        assert_eq!(self.code, code, "exit code\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
        self
    }

    /// The one JSON document that stdout must be.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!(
                "stdout is not one JSON document: {error}\n{}\n--- stderr\n{}",
                self.stdout, self.stderr
            )
        })
    }
}

/// What a child says, collected while it runs so that it never waits for a reader.
struct Stream {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Stream {
    fn of(mut source: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&bytes);
        let reader = spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(count @ 1..) = source.read(&mut buffer) {
                sink.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Self { bytes, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    fn finish(&mut self) -> String {
        self.reader.take().map(JoinHandle::join);
        String::from_utf8(std::mem::take(&mut *self.bytes.lock().unwrap())).expect("UTF-8 output")
    }
}

/// Sends a signal, or with `0` asks whether there is such a process. The shell's own `kill`: bare
/// systems have no other.
pub fn kill_says(pid: u32, signal: &str) -> bool {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "kill -s \"$0\" \"$1\"", signal, &pid.to_string()]);
    shell.stderr(Stdio::null()).status().unwrap().success()
}

/// Asks again and again, for at most so long.
pub fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if done() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        sleep(Duration::from_millis(2));
    }
}
