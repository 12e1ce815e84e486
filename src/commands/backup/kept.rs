//! `backup verify` and `backup list`: they need no database.

use std::path::Path;

use serde_json::json;

use super::scratch;
use crate::backup::dump::megabytes;
use crate::backup::list as folder;
use crate::backup::proof::{Backup, RESTORE_TESTED, VERIFIED};
use crate::backup::restore_test;
use crate::context::Context;
use crate::failure::Failure;
use crate::report::{Block, Finding, Outcome, Report, Severity};

/// Every byte, and all of it read; restored and compared as well, where that is asked for.
pub async fn verify(
    cx: &Context,
    path: &Path,
    identity: Option<&Path>,
    with_restore: bool,
) -> Result<Report, Failure> {
    let backup = Backup::open(path)?;
    let findings = backup.differences(cx).await?;
    if !findings.is_empty() {
        return Err(Failure::refused(format!("{} is not what was written", path.display()))
            .with_findings(findings));
    }
    // Without the secret key its bytes are all that there is to see.
    let is_read = !backup.is_encrypted() || identity.is_some();
    if is_read {
        backup.read_through(cx, identity).await?;
    }
    let read = match is_read {
        true => "and all of it can be read",
        false => "but it is encrypted and was not read: --identity FILE",
    };
    let mut report = Report::new(Outcome::Done);
    report.body.push(Block::Text(format!(
        "{}: every byte is as it was written, {read} ({}, {} file(s))",
        path.display(),
        megabytes(backup.manifest.bytes()),
        backup.manifest.files.len()
    )));
    if is_read {
        report.findings.extend(noted(cx, &backup, VERIFIED));
    } else {
        report.findings.push(Finding {
            id: "verified".into(),
            severity: Severity::Warning,
            title: "This does not make it a verified backup".into(),
            subject: path.display().to_string(),
            detail: "nobody has seen that it can be decrypted and read".into(),
            remedy: format!(
                "where the secret key is: markenmate backup verify {} --identity FILE",
                crate::tools::shell::word(&path.to_string_lossy())
            ),
        });
    }
    if with_restore {
        let findings = match restore_test::has_server(cx, &backup) {
            Ok(()) => {
                cx.console.say("restoring it into a throw-away PostgreSQL");
                restore_test::run(cx, &backup, identity).await?
            }
            Err(why) => scratch::restore_test(cx, &backup, identity, why).await?,
        };
        if !findings.is_empty() {
            let what = format!("{} does not restore to what was dumped", path.display());
            return Err(Failure::refused(what).with_findings(findings));
        }
        report.body.push(Block::Text(format!(
            "restored and compared: {} tables, {} sequences, keys and indexes as they were dumped",
            backup.manifest.tables.len(),
            backup.manifest.sequences.len()
        )));
        report.findings.extend(noted(cx, &backup, RESTORE_TESTED));
    }
    report.data = json!({ "backups": [entry(&backup)] });
    Ok(report)
}

fn noted(cx: &Context, backup: &Backup, suffix: &str) -> Option<Finding> {
    let error = backup.note(cx, suffix).err()?;
    Some(Finding {
        id: "verified".into(),
        severity: Severity::Warning,
        title: "That it was proven could not be noted".into(),
        subject: backup.path.display().to_string(),
        detail: format!("{error}: the next one who asks must prove it again"),
        remedy: "make the folder writable, and verify once more".into(),
    })
}

/// The backups of a folder, the newest first.
pub fn list(cx: &Context, dir: Option<&Path>) -> Result<Report, Failure> {
    let dir = named_or_usual(cx, dir)?;
    let listed = folder::list(dir)?;
    let mut report = Report::new(Outcome::Done);
    let rows = listed.backups.iter().map(|backup| {
        let manifest = &backup.manifest;
        vec![
            backup.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            manifest.database.name.clone(),
            manifest.snapshot_at.format("%Y-%m-%d %H:%M:%SZ").to_string(),
            megabytes(manifest.bytes()),
            manifest.schema.state.clone(),
            match backup.manifest.safety {
                true => format!("{}; made by a restore", proven(backup)),
                false => proven(backup).to_owned(),
            },
        ]
    });
    let columns =
        ["backup", "database", "of", "size", "state", "proven"].map(str::to_owned).to_vec();
    if listed.backups.is_empty() {
        report.body.push(Block::Text(format!("no backup in {}", dir.display())));
    } else {
        report.body.push(Block::Table { columns, rows: rows.collect() });
    }
    report.findings = listed.broken.iter().map(|(name, why)| broken(name, why)).collect();
    report.data = json!({ "backups": listed.backups.iter().map(entry).collect::<Vec<_>>() });
    Ok(report)
}

/// The folder that was named, which must be there; else the usual one, which the first backup makes.
pub(super) fn named_or_usual<'a>(
    cx: &'a Context,
    dir: Option<&'a Path>,
) -> Result<&'a Path, Failure> {
    match dir {
        Some(dir) if !dir.is_dir() => {
            Err(Failure::refused(format!("there is no folder {}", dir.display())))
        }
        dir => Ok(dir.unwrap_or(&cx.settings.backup_dir)),
    }
}

const fn word(verified: bool, restored: bool) -> &'static str {
    match (verified, restored) {
        (_, true) => "restore-tested",
        (true, false) => "verified",
        (false, false) => "no",
    }
}

fn proven(backup: &Backup) -> &'static str {
    if !backup.is_there() {
        return "NOT WHOLE";
    }
    word(backup.is_verified(), backup.is_restore_tested())
}

fn broken(name: &str, why: &str) -> Finding {
    Finding {
        id: "backup".into(),
        severity: Severity::Warning,
        title: "This is no backup to rely on".into(),
        subject: name.to_owned(),
        detail: why.to_owned(),
        remedy: "take another one; remove this one when you know why".into(),
    }
}

fn entry(backup: &Backup) -> serde_json::Value {
    json!({
        "path": backup.path,
        "database": backup.manifest.database.name,
        "created_at": backup.manifest.snapshot_at,
        "bytes": backup.manifest.bytes(),
        "safety": backup.manifest.safety,
        "verified": backup.is_verified(),
        "restore_tested": backup.is_restore_tested(),
    })
}
