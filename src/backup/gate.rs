//! Whether there is a backup to fall back on: verified, of this very database, young enough.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::list::list;
use super::manifest::SUFFIX;
use super::place::beside;
use super::proof::Backup;
use crate::context::Context;
use crate::db::session::{Mode, Session};
use crate::failure::Failure;

/// How old a backup may be before a migration without being spoken of.
pub const USUAL_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// `--require-backup AGE[,PATH]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// How old it may be.
    pub age: Duration,
    /// A backup, or a folder of them.
    pub path: Option<PathBuf>,
}

impl Requirement {
    /// Reads the flag.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (age, path) =
            text.split_once(',').map_or((text, None), |(age, path)| (age, Some(path)));
        let age = humantime::parse_duration(age)
            .map_err(|error| format!("{error}; write 24h, or 24h,PATH"))?;
        Ok(Self { age, path: path.filter(|path| !path.is_empty()).map(PathBuf::from) })
    }
}

/// Which database a backup must be of: names are given twice, these are not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// The cluster's.
    pub system_identifier: Option<String>,
    /// The database's within it.
    pub oid: u32,
}

impl Identity {
    /// The session's database.
    ///
    /// # Errors
    /// It cannot be asked.
    pub async fn of(session: &Session) -> Result<Self, Failure> {
        let sql = "SELECT oid::text FROM pg_database WHERE datname = current_database()";
        let sets = session.once(Mode::Read, "cannot look at the database", sql).await?;
        let oid =
            sets.last().and_then(|rows| rows.first()).and_then(|row| row.get(0)?.parse().ok());
        let system_identifier = session.facts.system_identifier.clone();
        Ok(Self { system_identifier, oid: oid.unwrap_or_default() })
    }
}

/// What there is to fall back on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fallback {
    /// The newest that is verified and of this database, and the moment it shows.
    pub newest: Option<(PathBuf, DateTime<Utc>)>,
    /// The newest of those that no restore made of what it was about to replace.
    pub newest_chosen: Option<PathBuf>,
    /// The newest that would count if it were verified, and the moment it shows.
    pub newest_unverified: Option<(PathBuf, DateTime<Utc>)>,
    /// Why others do not count.
    pub passed_over: Vec<String>,
}

/// Looks at a backup, or through a folder of them. What is among `changed` is known not to be what was
/// written.
///
/// # Errors
/// Refused where the folder cannot be read.
pub fn look(path: &Path, identity: &Identity, changed: &[PathBuf]) -> Result<Fallback, Failure> {
    let mut found = Fallback::default();
    let backups = if beside(path, SUFFIX).is_file() {
        match Backup::open(path) {
            Ok(backup) => vec![backup],
            Err(failure) => {
                found.passed_over.push(failure.to_string());
                Vec::new()
            }
        }
    } else {
        let listed = list(path)?;
        found.passed_over.extend(listed.broken.iter().map(|(name, why)| format!("{name}: {why}")));
        listed.backups
    };
    for backup in backups {
        let differs = || "is not what was written: markenmate backup verify says more".to_owned();
        let why = changed.contains(&backup.path).then(differs);
        match why.or_else(|| passed_over(&backup, identity)) {
            Some(why) => {
                // That is asked last of all: nothing else speaks against it.
                if why.starts_with(NOT_VERIFIED) {
                    let newest = || (backup.path.clone(), backup.manifest.snapshot_at);
                    found.newest_unverified.get_or_insert_with(newest);
                }
                found.passed_over.push(format!("{} {why}", backup.path.display()));
            }
            None => {
                if !backup.manifest.safety && found.newest_chosen.is_none() {
                    found.newest_chosen = Some(backup.path.clone());
                }
                let newest = || (backup.path.clone(), backup.manifest.snapshot_at);
                found.newest.get_or_insert_with(newest);
            }
        }
    }
    Ok(found)
}

/// Reads every byte of the backup that would be relied on, and of the next one where it is not what was
/// written. Those that are not.
///
/// # Errors
/// Refused where something cannot be read.
pub async fn changed(
    cx: &Context,
    path: &Path,
    identity: &Identity,
) -> Result<Vec<PathBuf>, Failure> {
    let mut changed = Vec::new();
    loop {
        let Some((newest, _)) = look(path, identity, &changed)?.newest else { return Ok(changed) };
        let differs = Backup::open(&newest)?.differences(cx).await?;
        if differs.is_empty() {
            return Ok(changed);
        }
        changed.push(newest);
    }
}

const NOT_VERIFIED: &str = "is not verified";

fn passed_over(backup: &Backup, identity: &Identity) -> Option<String> {
    let of = &backup.manifest.database;
    if of.system_identifier.is_none() || identity.system_identifier.is_none() {
        return Some("is of a server that may not be asked for its identity: GRANT EXECUTE ON FUNCTION pg_control_system() lets a role ask".into());
    }
    if of.system_identifier != identity.system_identifier {
        return Some("is of another server".into());
    }
    if of.oid != identity.oid {
        return Some(format!(
            "is of another database, {:?} at that time (oid {}; this one's is {}: one that was restored or made anew has its own)",
            of.name, of.oid, identity.oid
        ));
    }
    if backup.is_to_come() {
        return Some(format!("is of {}, which is still to come", backup.manifest.snapshot_at));
    }
    if !backup.is_there() {
        return Some("lacks files that it had, or they are longer or shorter".into());
    }
    if !backup.is_verified() {
        return Some(format!("{NOT_VERIFIED}: markenmate backup verify {}", backup.path.display()));
    }
    None
}

impl Fallback {
    /// Why this is not enough; none where it is.
    pub fn lacks(&self, age: Duration, now: DateTime<Utc>) -> Option<String> {
        let Some((path, of)) = &self.newest else {
            return Some("there is no verified backup of this database".into());
        };
        let old = (now - of).to_std().unwrap_or_default();
        (old > age)
            .then(|| format!("{} is {} old; {} is allowed", path.display(), shown(old), shown(age)))
    }
}

/// A time for people, in whole seconds.
pub fn shown(time: Duration) -> impl std::fmt::Display {
    humantime::format_duration(Duration::from_secs(time.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_is_an_age_and_maybe_a_path() {
        let of = |text| Requirement::parse(text).unwrap();
        assert_eq!(of("24h"), Requirement { age: USUAL_AGE, path: None });
        assert_eq!(of("1d,a,b").path, Some("a,b".into()));
        assert!(Requirement::parse("soon").unwrap_err().contains("24h,PATH"));
    }

    #[test]
    fn young_enough_is_enough() {
        let now = Utc::now();
        let hour = Duration::from_secs(3600);
        let nothing = Fallback::default();
        assert!(nothing.lacks(hour, now).unwrap().contains("no verified backup"));
        let old = Fallback { newest: Some(("b".into(), now - hour * 2)), ..Fallback::default() };
        assert_eq!(old.lacks(hour * 3, now), None);
        assert_eq!(old.lacks(hour, now).unwrap(), "b is 2h old; 1h is allowed");
        // By a clock that is ahead of ours.
        let new = Fallback { newest: Some(("b".into(), now + hour)), ..Fallback::default() };
        assert_eq!(new.lacks(hour, now), None);
    }
}
