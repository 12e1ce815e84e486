//! Our own binary as a child, in an environment that names no database but the given one.

use std::process::{Command, Stdio};

use crate::failure::Failure;
use crate::settings::Env;

/// How a child ended.
pub struct Output {
    /// What it printed.
    pub stdout: String,
    /// What it said.
    pub stderr: String,
    /// Its exit code; 255 where a signal ended it.
    pub code: u8,
}

/// Variables a child needs to start at all.
const HANDED_ON: [&str; 5] = ["PATH", "HOME", "LANG", "LC_ALL", "TMPDIR"];

/// Runs `markenmate ARGS` to its end.
///
/// # Errors
/// The binary cannot be found or started.
pub fn run(env: &Env, args: &[&str], vars: &[(&str, &str)]) -> Result<Output, Failure> {
    let failed = |error: std::io::Error| {
        Failure::unexpected("cannot start the tool's own binary").because(error)
    };
    let program = env.program().map_err(failed)?;
    let kept = HANDED_ON.into_iter().filter_map(|name| Some((name, env.var(name)?)));
    let output = Command::new(program)
        .args(args)
        .env_clear()
        .envs(kept)
        .envs(vars.iter().copied())
        .stdin(Stdio::null())
        .output()
        .map_err(failed)?;
    let code = output.status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(255);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Output { stdout: text(output.stdout), stderr: text(output.stderr), code })
}
