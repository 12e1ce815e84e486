//! `backup verify` and `backup list`: they need no database.

use std::path::Path;

use serde_json::json;

use crate::backup::dump::megabytes;
use crate::backup::list as folder;
use crate::backup::proof::Backup;
use crate::context::Context;
use crate::failure::Failure;
use crate::report::{Block, Finding, Outcome, Report, Severity};

/// Every byte, and all of it read.
pub async fn verify(cx: &Context, path: &Path) -> Result<Report, Failure> {
    let backup = Backup::open(path)?;
    let findings = backup.differences()?;
    if !findings.is_empty() {
        return Err(Failure::refused(format!("{} is not what was written", path.display()))
            .with_findings(findings));
    }
    backup.read_through(cx).await?;
    let mut report = Report::new(Outcome::Done);
    report.body.push(Block::Text(format!(
        "{}: every byte is as it was written, and all of it can be read ({}, {} file(s))",
        path.display(),
        megabytes(backup.manifest.bytes()),
        backup.manifest.files.len()
    )));
    if let Err(error) = backup.set_verified(cx) {
        report.findings.push(Finding {
            id: "verified".into(),
            severity: Severity::Warning,
            title: "That it was verified could not be noted".into(),
            subject: path.display().to_string(),
            detail: format!("{error}: the next one who asks must verify it again"),
            remedy: "make the folder writable, and verify once more".into(),
        });
    }
    report.data = json!({ "backups": [entry(&backup)] });
    Ok(report)
}

/// The backups of a folder, the newest first.
pub fn list(cx: &Context, dir: Option<&Path>) -> Result<Report, Failure> {
    let dir = dir.unwrap_or(&cx.settings.backup_dir);
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
            if backup.is_verified() { "yes" } else { "no" }.to_owned(),
        ]
    });
    let columns =
        ["backup", "database", "of", "size", "state", "verified"].map(str::to_owned).to_vec();
    if listed.backups.is_empty() {
        report.body.push(Block::Text(format!("no backup in {}", dir.display())));
    } else {
        report.body.push(Block::Table { columns, rows: rows.collect() });
    }
    report.findings = listed.broken.iter().map(|(name, why)| broken(name, why)).collect();
    report.data = json!({ "backups": listed.backups.iter().map(entry).collect::<Vec<_>>() });
    Ok(report)
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
        "verified": backup.is_verified(),
        "restore_tested": false,
    })
}
