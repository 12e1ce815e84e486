//! pg_restore at work on a backup: the archive by its path, or piped to it where pg_restore cannot open
//! it, in a container or through age.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::process::{Child, Command};

use super::form::Form;
use super::manifest::Archive;
use super::proof::Backup;
use crate::context::Context;
use crate::db::interrupt::interrupted;
use crate::failure::Failure;
use crate::settings::Login;
use crate::tools::age::Age;
use crate::tools::postgres_client::ClientProgram;

/// An archive that pg_restore can read: no plain one.
#[derive(Debug, Clone)]
pub struct Readable {
    path: PathBuf,
    form: Form,
    /// Where it is encrypted, the secret key's file.
    identity: Option<PathBuf>,
}

/// What a run of pg_restore is for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Aim<'a> {
    /// The database to fill; none: only to read.
    pub login: Option<&'a Login>,
    /// How many tables at once, where the archive can be opened by several.
    pub jobs: u16,
    /// Arguments besides.
    pub more: &'a [&'a str],
}

impl Readable {
    /// A backup's archive. An encrypted one needs the identity.
    ///
    /// # Errors
    /// Refused where that is missing.
    pub fn of(backup: &Backup, identity: Option<&Path>) -> Result<Self, Failure> {
        let Archive { form, recipients, .. } = &backup.manifest.archive;
        if !recipients.is_empty() && identity.is_none() {
            return Err(Failure::refused(format!("{} is encrypted", backup.path.display()))
                .hint("name the file of the secret key: --identity FILE"));
        }
        let identity = identity.filter(|_| !recipients.is_empty()).map(Path::to_path_buf);
        Ok(Self { path: backup.path.clone(), form: *form, identity })
    }

    /// An archive that has just been written, and is not encrypted.
    pub fn at(path: &Path, form: Form) -> Self {
        Self { path: path.to_path_buf(), form, identity: None }
    }

    /// Runs pg_restore to its end.
    ///
    /// # Errors
    /// Refused with what it said, or what age said.
    pub async fn pg_restore(
        &self,
        cx: &Context,
        program: &ClientProgram,
        aim: Aim<'_>,
    ) -> Result<Output, Failure> {
        let mut call = program.call(&cx.env, aim.login)?;
        let command = &mut call.command;
        command.args(aim.more).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut age = None;
        if let Some(identity) = &self.identity {
            let mut child = self.decrypt(cx, identity)?;
            command.stdin(piped(&mut child)?);
            age = Some(child);
        } else if program.is_inside() {
            if self.form == Form::Directory {
                return Err(Failure::refused(format!(
                    "{} is a folder, which cannot be piped into a container",
                    self.path.display()
                ))
                .hint("leave out --via-docker where pg_restore is installed")
                .hint("a backup in the custom form can be: markenmate backup -F custom"));
            }
            command.stdin(File::open(&self.path).map_err(|error| self.unread(error))?);
        } else {
            if aim.login.is_some() && aim.jobs > 1 {
                command.arg(format!("--jobs={}", aim.jobs));
            }
            command.arg("--").arg(&self.path);
        }
        let output = finished(cx, command, "pg_restore").await?;
        if output.status.success() {
            return Ok(output);
        }
        if let Some(said) = complaint(age).await {
            return Err(Failure::refused(format!("age cannot decrypt {}", self.path.display()))
                .because(said)
                .hint("is it the identity that the recipient was made from? --identity FILE"));
        }
        let what = match aim.login {
            Some(_) => format!("{} cannot be restored", self.path.display()),
            None => format!("pg_restore cannot read {}", self.path.display()),
        };
        let said = String::from_utf8_lossy(&output.stderr);
        // Not the statement and not the row that it failed at: they hold secrets of others.
        let lines = said
            .lines()
            .take_while(|line| !line.contains("Command was:"))
            .filter(|line| !["DETAIL:  Failing row", "CONTEXT:"].iter().any(|w| line.contains(w)));
        Err(lines.take(8).fold(Failure::refused(what), Failure::because))
    }

    fn decrypt(&self, cx: &Context, identity: &Path) -> Result<Child, Failure> {
        let file = File::open(&self.path).map_err(|error| self.unread(error))?;
        let mut command = Age::find(&cx.env)?.decrypt(identity);
        command.stdin(file).stdout(Stdio::piped());
        command.spawn().map_err(|error| Failure::unexpected("cannot start age").because(error))
    }

    fn unread(&self, error: std::io::Error) -> Failure {
        Failure::refused(format!("cannot read {}", self.path.display())).because(error)
    }
}

/// The output of one child as the input of the next.
pub(super) fn piped(child: &mut Child) -> Result<Stdio, Failure> {
    let failed = |error| Failure::unexpected("cannot join two programs by a pipe").because(error);
    let output =
        child.stdout.take().ok_or_else(|| failed(std::io::ErrorKind::BrokenPipe.into()))?;
    Ok(output.into_owned_fd().map_err(failed)?.into())
}

/// What age said in the end, where it did not end well by itself: it may have been the reader who left.
pub(super) async fn complaint(age: Option<Child>) -> Option<String> {
    let output = age?.wait_with_output().await.ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let line =
        said.lines().find(|line| !line.trim().is_empty() && !line.contains("report unexpected"));
    let line = line.unwrap_or("it said nothing").trim_start_matches("age: error: ").to_owned();
    output.status.code().filter(|code| *code != 0).map(|_| line)
}

/// Waits for a child; a signal ends it.
pub(super) async fn finished(
    cx: &Context,
    command: &mut Command,
    name: &str,
) -> Result<Output, Failure> {
    let child = command
        .spawn()
        .map_err(|error| Failure::unexpected(format!("cannot start {name}")).because(error))?;
    let output = tokio::select! {
        output = child.wait_with_output() => output,
        () = cx.interrupt.raised(1) => return Err(interrupted()),
    };
    output.map_err(|error| Failure::unexpected(format!("cannot wait for {name}")).because(error))
}
