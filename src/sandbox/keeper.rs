//! The child that outlives us long enough to clean up.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::account::Account;
use super::leavings;
use crate::failure::Failure;
use crate::settings::Env;

const SCRIPT: &str = concat!(include_str!("stop.sh"), include_str!("keeper.sh"));

/// What is handed on to the server's programs; `PG*` variables, above all, are not.
const HANDED_ON: [&str; 3] = ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"];

/// A shell that holds the server, and the pipe whose closing tells it to stop.
#[derive(Debug)]
pub(super) struct Keeper {
    shell: Child,
    pipe: Option<ChildStdin>,
    /// The folder that holds data, log and socket.
    pub(super) folder: PathBuf,
    /// Tells others that the folder is in use, even where the shell is gone.
    #[allow(dead_code)]
    lock: Option<File>,
}

/// What the keeper is to start.
pub(super) struct Order<'a> {
    pub(super) name: &'a str,
    pub(super) bindir: &'a Path,
    /// Where the folder may be made; the first that works is taken.
    pub(super) places: [PathBuf; 2],
    pub(super) arguments: &'a [String],
    pub(super) account: Option<Account>,
}

impl Keeper {
    /// Starts a keeper and waits until its server takes connections.
    pub(super) fn start(env: &Env, order: &Order<'_>) -> Result<Self, Failure> {
        let failed = || Failure::unexpected("cannot start a throw-away PostgreSQL");
        let mut shell = command(env, order)
            .spawn()
            .map_err(|error| failed().because_of(&error).because("running /bin/sh"))?;
        let pipe = shell.stdin.take();
        let stdout = shell.stdout.take();
        let mut keeper = Self { shell, pipe, folder: PathBuf::new(), lock: None };
        match stdout.map(listen) {
            Some(Ok((folder, lock))) => {
                keeper.folder = folder;
                keeper.lock = lock;
                Ok(keeper)
            }
            Some(Err(said)) => Err(said.into_iter().fold(failed(), Failure::because)),
            None => Err(failed()),
        }
    }
}

fn command(env: &Env, order: &Order<'_>) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", SCRIPT, "markenmate-sandbox", order.name])
        .arg(order.bindir)
        .args(&order.places)
        .args(order.arguments)
        .env_clear()
        .env("LC_ALL", "C")
        .envs(HANDED_ON.into_iter().filter_map(|name| Some((name, env.var(name)?))))
        // The server's user may not be allowed where we are.
        .current_dir("/")
        // Ctrl-C goes to every process of the terminal's foreground group.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if let Some(account) = &order.account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// Reads what the keeper says until the server is ready: the folder and its lock, or why there is none.
fn listen(stdout: ChildStdout) -> Result<(PathBuf, Option<File>), Vec<String>> {
    let mut stdout = BufReader::new(stdout);
    let (mut folder, mut lock) = (PathBuf::new(), None);
    loop {
        let mut line = String::new();
        if stdout.read_line(&mut line).unwrap_or(0) == 0 {
            return Err(vec!["the shell that keeps the server ended".to_owned()]);
        }
        match line.trim_end().split_once(' ') {
            Some(("folder", path)) => {
                folder = PathBuf::from(path);
                lock = leavings::hold(&folder);
            }
            Some(("failed", reason)) => {
                let mut log = String::new();
                let _ = stdout.read_to_string(&mut log);
                let log = log.lines().map(str::to_owned);
                return Err(std::iter::once(reason.to_owned()).chain(log).collect());
            }
            _ => return Ok((folder, lock)),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.shell.wait();
    }
}
