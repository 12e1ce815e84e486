//! What `verify` shows and writes.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::checks::registry::Source;
use crate::checks::run::Seen;
use crate::checks::verdict::{Status, Verdict};
use crate::context::Context;
use crate::failure::Failure;
use crate::render::{github, junit};
use crate::report::{Block, Finding, Next, Outcome, Report, Severity};
use crate::settings::Format;

use super::{Args, asked};

/// The report: checks, findings, admins, one line of verdict.
pub(super) fn report(seen: &Seen, version: i32, args: &Args) -> Report {
    let mut findings: Vec<Finding> =
        seen.verdicts.iter().flat_map(|v| v.findings.clone()).collect();
    findings.extend(asked::unjudged(&seen.verdicts));
    let failed = findings.iter().any(|finding| finding.severity >= args.fail_on);
    let mut report = Report::new(if failed { Outcome::Findings } else { Outcome::Done });
    report.data = json!({
        "version": version,
        "checks": seen.verdicts.iter().map(check_json).collect::<Vec<_>>(),
        "admins": seen.admins,
        "ledger_head": seen.ledger_head.as_ref().map(ToString::to_string),
    });
    report.body = body(seen, version);
    report.next = next(&seen.verdicts, args);
    report.findings = findings;
    report
}

fn check_json(verdict: &Verdict) -> Value {
    let mut value = json!({
        "id": verdict.check.id,
        "title": verdict.check.title,
        "status": verdict.status,
    });
    if let Some(detail) = detail(verdict) {
        value["detail"] = detail.into();
    }
    value
}

/// Why it was skipped, or the first thing it found.
fn detail(verdict: &Verdict) -> Option<String> {
    if verdict.reason.is_some() {
        return verdict.reason.clone();
    }
    let first = verdict.findings.first()?;
    let more = match verdict.findings.len() {
        1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    };
    Some(format!("{}: {}{more}", first.subject, first.detail))
}

fn body(seen: &Seen, version: i32) -> Vec<Block> {
    let line = |verdict: &Verdict| {
        let (status, check) = (verdict.status.word(), verdict.check);
        (format!("{status:<7}  {}", check.id), check.title.to_owned())
    };
    let mut body = vec![Block::Facts(seen.verdicts.iter().map(line).collect())];
    body.extend(skipped(&seen.verdicts).into_iter().map(Block::Text));
    body.push(Block::Findings);
    let asked = |v: &Verdict| v.check.requires.objects.contains(&"user.role");
    if !seen.admins.is_empty() && seen.verdicts.iter().any(asked) {
        body.push(Block::Heading("Admins (guide step 4)".into()));
        body.push(admins(seen));
    }
    body.extend(
        seen.ledger_head
            .iter()
            .map(|head| Block::Text(format!("the operator ledger ends with {head}"))),
    );
    body.push(Block::Text(verdict_line(&seen.verdicts, version)));
    body
}

/// One line a reason, with the checks it stopped.
fn skipped(verdicts: &[Verdict]) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for verdict in verdicts {
        let Some(reason) = verdict.reason.as_deref() else { continue };
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, ids)) => ids.push(verdict.check.id),
            None => reasons.push((reason, vec![verdict.check.id])),
        }
    }
    let line = |(reason, ids): (&str, Vec<&str>)| format!("skipped {}: {reason}", ids.join(", "));
    reasons.into_iter().map(line).collect()
}

fn admins(seen: &Seen) -> Block {
    let columns = ["id", "email", "role", "is_master_admin"].map(str::to_owned).to_vec();
    let master = |value| match value {
        Some(true) => "true",
        Some(false) => "false",
        None => "(no such column)",
    };
    let rows = seen.admins.iter().map(|admin| {
        vec![
            admin.id.clone(),
            admin.email.clone(),
            admin.role.clone(),
            master(admin.is_master_admin).to_owned(),
        ]
    });
    Block::Table { columns, rows: rows.collect() }
}

fn verdict_line(verdicts: &[Verdict], version: i32) -> String {
    let checks = |status| verdicts.iter().filter(|v| v.status == status).count();
    let headline = match (checks(Status::Fail), checks(Status::Warn)) {
        (0, _) if verdicts.iter().any(was_asked) => {
            "Not everything that was asked for could be judged"
        }
        (0, _) if verdicts.iter().any(|verdict| verdict.denied) => "Not everything could be judged",
        (0, 0) if checks(Status::Pass) == 0 => "Nothing was judged",
        (0, 0) => "Everything that was checked holds",
        (0, _) => "Nothing must be mended; look at the warnings",
        _ => "Something must be mended",
    };
    format!(
        "{headline} (version {version}): {} passed, {} failed, {} with warnings, {} skipped",
        checks(Status::Pass),
        checks(Status::Fail),
        checks(Status::Warn),
        checks(Status::Skipped),
    )
}

/// By a flag of its own, and in vain.
fn was_asked(verdict: &Verdict) -> bool {
    verdict.denied && matches!(verdict.check.source, Source::Probe(_) | Source::App)
}

fn next(verdicts: &[Verdict], args: &Args) -> Option<Next> {
    let failed = || verdicts.iter().filter(|verdict| verdict.status == Status::Fail);
    let remedies = failed().flat_map(|verdict| &verdict.findings).map(|finding| &finding.remedy);
    let migrates = remedies.filter(|remedy| remedy.starts_with("markenmate migrate")).min();
    if let Some(remedy) = migrates {
        return Some(Next::run(format!("{remedy} --dry-run")));
    }
    let any = failed().next().is_some() || asked::unjudged(verdicts).next().is_some();
    any.then(|| Next::after("mend each finding as it says", asked::again(args)))
}

/// Workflow commands: beside the report, and beside a JSON document on stderr, which GitHub reads too.
pub(super) fn annotate(cx: &Context, report: &mut Report) {
    for line in report.findings.iter().map(github::annotation) {
        match cx.settings.format {
            Format::Human => report.body.push(Block::Text(line)),
            Format::Json => cx.console.insist(&line),
        }
    }
}

/// Refuses before anything is run where the file could not be written afterwards.
pub(super) fn check_folder(file: &Path) -> Result<(), Failure> {
    let folder = folder_of(file);
    if folder.is_dir() && !file.is_dir() && file.file_name().is_some() {
        return Ok(());
    }
    Err(Failure::usage(format!("--junit: cannot write {}", file.display()))
        .because(if file.is_dir() {
            "it is a folder".to_owned()
        } else {
            format!("there is no folder {}", folder.display())
        })
        .hint("name a file in a folder that exists, for example --junit verify.xml"))
}

/// Writes the document beside its place and moves it there: nobody reads half of one.
pub(super) fn write_junit(
    file: &Path,
    database: &str,
    verdicts: &[Verdict],
    failing: Severity,
) -> Result<(), Failure> {
    let text = junit::document(database, verdicts, failing)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let partial = folder_of(file).join(format!(".{name}.{}.partial", std::process::id()));
    let written = std::fs::File::create_new(&partial)
        .and_then(|mut out| out.write_all(text.as_bytes()).and_then(|()| out.sync_all()))
        .and_then(|()| std::fs::rename(&partial, file));
    written.map_err(|error| {
        let _ = std::fs::remove_file(&partial);
        Failure::unexpected(format!("the checks ran, but cannot write {}", file.display()))
            .because(error)
            .hint("what they found stands below; to have all of it: --format json")
    })
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder.to_path_buf(),
        _ => PathBuf::from("."),
    }
}
