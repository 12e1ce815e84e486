//! `backup -o -`: the guide's own command, run by the right pg_dump.

use std::process::Stdio;

use crate::backup::dump::complained;
use crate::context::Context;
use crate::db::interrupt::interrupted;
use crate::db::session::Session;
use crate::failure::Failure;
use crate::report::{Outcome, Report};

use super::Work;

/// A file behind stdout would get the report, and somebody would take it for the backup.
pub(super) fn refuse_file() -> Result<(), Failure> {
    let is_file = rustix::fs::fstat(std::io::stdout())
        .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file());
    if !is_file {
        return Ok(());
    }
    Err(Failure::usage("stdout goes to a file, and the backup does not go to stdout")
        .hint("to write plain SQL to stdout: markenmate backup -o - > FILE.sql")
        .hint("better, with a manifest that proves it: markenmate backup -o FILE.dump"))
}

/// Plain SQL to our own stdout, as it comes; there is no manifest, and no second chance.
pub(super) async fn dump(cx: &Context, session: &Session, work: &Work) -> Result<Report, Failure> {
    let mut call = work.pg_dump.call(&cx.env, Some(&session.login))?;
    call.command.args(work.arguments(cx)?).stdout(Stdio::inherit()).stderr(Stdio::piped());
    let child = call
        .command
        .spawn()
        .map_err(|error| Failure::unexpected("cannot start pg_dump").because(error))?;
    let output = tokio::select! {
        output = child.wait_with_output() => output,
        () = cx.interrupt.raised(1) => return Err(interrupted()),
    };
    let output =
        output.map_err(|error| Failure::unexpected("cannot wait for pg_dump").because(error))?;
    if output.status.success() {
        return Ok(Report::new(Outcome::Done));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let failure = Failure::unexpected("pg_dump failed: what was written is no backup");
    let errors = said.lines().filter(|line| line.contains("error:"));
    let errors: Vec<_> = errors.take(5).map(str::to_owned).collect();
    Err(complained(failure, &errors))
}
