//! `backup prune`: old backups go, but never the last one that was verified.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use crate::backup::list::list;
use crate::backup::proof::Backup;
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::report::{Block, Outcome, Report, StepResult, StepStatus};
use crate::settings::Consent;
use crate::tools::shell;

use super::kept::named_or_usual;

/// Removes what is older than the `keep` newest verified ones of each database.
pub async fn prune(cx: &Context, dir: Option<&Path>, keep: usize) -> Result<Report, Failure> {
    let dir = named_or_usual(cx, dir)?;
    let listed = list(dir)?;
    let old = sound(cx, &listed.backups, keep).await?;
    let step = |backup: &Backup, status| StepResult {
        id: "remove".into(),
        title: format!("remove {}", backup.path.display()),
        status,
        duration_ms: None,
        detail: Some(format!("of {}", backup.manifest.snapshot_at.to_rfc3339())),
    };
    let data = |removed: &[&Backup]| json!({ "removed": removed.iter().map(|backup| &backup.path).collect::<Vec<_>>() });
    if old.is_empty() {
        let mut report = Report::new(Outcome::NothingToDo);
        report.body.push(Block::Text(format!("nothing to remove in {}", dir.display())));
        report.data = data(&[]);
        return Ok(report);
    }
    if cx.settings.dry_run {
        let mut report = Report::new(Outcome::Planned);
        report.steps = old.iter().map(|backup| step(backup, StepStatus::Planned)).collect();
        report.data = data(&[]);
        return Ok(report);
    }
    consent(cx, &old)?;
    for (n, backup) in old.iter().enumerate() {
        backup.remove().map_err(|error| {
            let kind = if n == 0 { Kind::Unexpected } else { Kind::Partial };
            let mut failure =
                Failure::new(kind, format!("cannot remove {}", backup.path.display()));
            let dir = shell::word(&dir.to_string_lossy());
            failure.next = (n > 0).then(|| format!("markenmate backup prune {dir} --keep {keep}"));
            let gone = old.iter().take(n).map(|backup| backup.path.display());
            gone.fold(failure.because(error), |failure, path| {
                failure.because(format!("{path} was removed before"))
            })
        })?;
    }
    let mut report = Report::new(Outcome::Done);
    report.steps = old.iter().map(|backup| step(backup, StepStatus::Done)).collect();
    report.data = data(&old);
    Ok(report)
}

/// What is outdated by backups of which every byte is as it was written: they are read now, as what is
/// removed does not come back.
async fn sound<'a>(
    cx: &Context,
    backups: &'a [Backup],
    keep: usize,
) -> Result<Vec<&'a Backup>, Failure> {
    let mut changed: Vec<&Path> = Vec::new();
    loop {
        let (counted, old) = outdated(backups, keep, &changed);
        if old.is_empty() {
            return Ok(old);
        }
        let before = changed.len();
        for backup in counted {
            if !backup.differences(cx).await?.is_empty() {
                changed.push(&backup.path);
            }
        }
        if changed.len() == before {
            return Ok(old);
        }
    }
}

/// Only verified ones count, and none that a restore made of what it was about to replace; each database
/// for itself. What is newer than the oldest that is kept
/// stays, verified or not, and so does what may be of any server. `backups` are sorted, the newest
/// first. Those that count, and those that may go. Pure.
fn outdated<'a>(
    backups: &'a [Backup],
    keep: usize,
    changed: &[&Path],
) -> (Vec<&'a Backup>, Vec<&'a Backup>) {
    let mut verified: BTreeMap<(&str, u32), usize> = BTreeMap::new();
    let (mut counted, mut old) = (Vec::new(), Vec::new());
    for backup in backups {
        let of = &backup.manifest.database;
        let Some(server) = of.system_identifier.as_deref() else { continue };
        let seen = verified.entry((server, of.oid)).or_default();
        if *seen >= keep {
            old.push(backup);
        } else if backup.is_verified()
            && !backup.manifest.safety
            && !backup.is_to_come()
            && !changed.contains(&backup.path.as_path())
        {
            *seen += 1;
            counted.push(backup);
        }
    }
    (counted, old)
}

fn consent(cx: &Context, old: &[&Backup]) -> Result<(), Failure> {
    if cx.settings.consent != Consent::Ask {
        return Ok(());
    }
    if !cx.console.is_interactive() {
        return Err(Failure::refused(
            "this needs your consent, and there is no terminal to ask on",
        )
        .hint("to consent: --yes")
        .hint("to see what would be removed: --dry-run"));
    }
    for backup in old {
        cx.console.insist(&format!("remove {}", backup.path.display()));
    }
    let typed = cx.console.ask(&format!("Remove {} backup(s)? [y/N]", old.len()))?;
    match typed.trim().to_lowercase().as_str() {
        "y" | "yes" | "j" | "ja" => Ok(()),
        _ => Err(Failure::refused("not confirmed; nothing was removed")),
    }
}
