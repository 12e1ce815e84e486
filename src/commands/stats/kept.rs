//! The ages that the folder of backups tells: of the newest verified backup, and of the newest rehearsal.

use std::path::Path;

use chrono::{DateTime, Utc};

use crate::backup::gate::{self, Identity};
use crate::backup::rehearsed;
use crate::failure::Failure;
use crate::stats::reading::{Reading, Sample, Why};
use crate::stats::registry::{ALL, BACKUP, Metric, REHEARSAL, Source};
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
                Err(reason) => Reading::skipped(metric, limit, Why::Absent, reason),
            }
        })
        .collect()
}

/// Whether a folder of backups is there and holds none of this database that was verified: that is no matter of
/// another host's folder.
pub(super) fn lacks_backup(folder: &Path, readings: &[Reading]) -> bool {
    folder.is_dir() && readings.iter().any(|r| r.metric.id == BACKUP && r.samples.is_empty())
}

fn age(
    metric: &Metric,
    folder: &Path,
    identity: &Identity,
    now: DateTime<Utc>,
) -> Result<Sample, String> {
    if !folder.is_dir() {
        return Err(format!("there is no folder {}: --backup-dir names it", folder.display()));
    }
    if identity.system_identifier.is_none() {
        return Err("the server may not be asked for its identity: GRANT EXECUTE ON FUNCTION pg_control_system() lets a role ask".into());
    }
    let said = |failure: Failure| failure.to_string();
    let (of, labels) = match metric.id {
        BACKUP => {
            let found = gate::look(folder, identity, &[]).map_err(said)?;
            let none = || match &found.newest_unverified {
                Some((path, _)) => format!(
                    "no backup of this database in {} was verified; {} is there: markenmate backup verify proves it",
                    folder.display(),
                    path.display()
                ),
                None => {
                    format!("there is no verified backup of this database in {}", folder.display())
                }
            };
            (found.newest.as_ref().ok_or_else(none)?.1, Vec::new())
        }
        REHEARSAL => {
            let newest = rehearsed::newest(folder, identity).map_err(said)?;
            let none = || format!("there is no rehearsal of this database in {}", folder.display());
            let newest = newest.ok_or_else(none)?;
            let verdict = ("verdict".to_owned(), newest.verdict.word().to_owned());
            (newest.finished_at, vec![verdict])
        }
        other => return Err(format!("{other} does not come from a folder")),
    };
    Ok(Sample { labels, value: (now - of).as_seconds_f64() })
}
