//! `systemctl`, where systemd runs this machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::Failure;
use crate::settings::Env;

/// As sd_booted(3) has it.
const RUNNING: &str = "/run/systemd/system";

/// The program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Systemctl {
    path: PathBuf,
}

/// What the program gets of our environment: the connection is none of its business.
const HANDED_ON: [&str; 3] = ["PATH", "LANG", "LC_ALL"];

impl Systemctl {
    /// Where systemd is at work, and its program is in `PATH`.
    pub fn at_work(env: &Env) -> Option<Self> {
        if !Path::new(RUNNING).is_dir() {
            return None;
        }
        let programs = env.path().into_iter().map(|dir| dir.join("systemctl"));
        programs
            .filter(|path| path.is_absolute())
            .find(|path| path.is_file())
            .map(|path| Self { path })
    }

    /// Whether a question is answered with yes.
    pub fn says_yes(&self, env: &Env, arguments: &[&str]) -> bool {
        self.command(env, arguments).status().is_ok_and(|status| status.success())
    }

    /// Does it.
    ///
    /// # Errors
    /// What it says itself.
    pub fn run(&self, env: &Env, arguments: &[&str]) -> Result<(), Failure> {
        let failed = || Failure::unexpected(format!("systemctl {} failed", arguments.join(" ")));
        let output = self
            .command(env, arguments)
            .stderr(Stdio::piped())
            .output()
            .map_err(|error| failed().because(error))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(failed().because(String::from_utf8_lossy(&output.stderr).trim())),
        }
    }

    fn command(&self, env: &Env, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        let kept = HANDED_ON.into_iter().filter_map(|name| Some((name, env.var(name)?)));
        command.args(arguments).env_clear().envs(kept);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}
