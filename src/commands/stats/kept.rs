//! The ages that the folder of backups tells: of the newest verified backup, and of the newest rehearsal.

use std::path::Path;

use chrono::{DateTime, Utc};

use crate::backup::gate::{self, Identity};
use crate::backup::rehearsed;
use crate::failure::Failure;
use crate::stats::reading::{Reading, Sample, Why};
use crate::stats::registry::{ALL, BACKUP, Metric, Source};
use crate::stats::threshold::{Threshold, limit};

/// Looks through the folder.
pub(super) fn read(
    folder: &Path,
    identity: &Identity,
    thresholds: &[Threshold],
    now: DateTime<Utc>,
) -> Vec<Reading> {
    let of_folder = ALL.iter().filter(|metric| metric.source == Source::Folder);
    of_folder
        .map(|metric| {
            let limit = limit(metric, thresholds);
            match age(metric, folder, identity, now) {
                Ok(sample) => Reading::of(metric, limit, vec![sample]),
                Err((why, reason)) => Reading::skipped(metric, limit, why, reason),
            }
        })
        .collect()
}

/// Whether a folder of backups is there and holds none of this database that was verified: that is no matter of
/// another host's folder.
pub(super) fn lacks_backup(folder: &Path, readings: &[Reading]) -> bool {
    let lacks = |reading: &Reading| {
        reading.metric.id == BACKUP
            && reading.skipped.as_ref().is_some_and(|(why, _)| *why == Why::Absent)
    };
    folder.is_dir() && readings.iter().any(lacks)
}

fn age(
    metric: &Metric,
    folder: &Path,
    identity: &Identity,
    now: DateTime<Utc>,
) -> Result<Sample, (Why, String)> {
    if !folder.is_dir() {
        let reason = format!("there is no folder {}: --backup-dir names it", folder.display());
        return Err((Why::Absent, reason));
    }
    if identity.system_identifier.is_none() {
        let reason = "the server may not be asked for its identity: GRANT EXECUTE ON FUNCTION pg_control_system() lets a role ask";
        return Err((Why::Denied, reason.into()));
    }
    let unread = |failure: Failure| (Why::Denied, failure.to_string());
    let absent = |reason: String| (Why::Absent, reason);
    let (of, labels) = match metric.id {
        BACKUP => {
            let found = gate::look(folder, identity, &[]).map_err(unread)?;
            let none = match &found.newest_unverified {
                Some((path, _)) => format!(
                    "no backup of this database in {} was verified; {} is there: markenmate backup verify proves it",
                    folder.display(),
                    path.display()
                ),
                None => {
                    format!("there is no verified backup of this database in {}", folder.display())
                }
            };
            (found.newest.ok_or_else(|| absent(none))?.1, Vec::new())
        }
        _ => {
            let none = format!("there is no rehearsal of this database in {}", folder.display());
            let newest = rehearsed::newest(folder, identity).map_err(unread)?;
            let newest = newest.ok_or_else(|| absent(none))?;
            let verdict = ("verdict".to_owned(), newest.verdict.word().to_owned());
            (newest.finished_at, vec![verdict])
        }
    };
    Ok(Sample { labels, value: (now - of).as_seconds_f64() })
}
