//! Whether the way there and back was rehearsed: with this schema, these migrations, on rows of this very
//! database, and not too long ago.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::certificate::{Certificate, SUFFIX, Verdict};
use super::gate::{Identity, shown};
use super::proof::CLOCKS;
use crate::failure::Failure;
use crate::report::StepStatus;

/// `--require-rehearsal [AGE[,PATH]]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requirement {
    /// How old the rows may be that were rehearsed with; none: any.
    pub age: Option<Duration>,
    /// A certificate, or a folder of them.
    pub path: Option<PathBuf>,
}

impl Requirement {
    /// Reads the flag's value.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (age, path) =
            text.split_once(',').map_or((text, None), |(age, path)| (age, Some(path)));
        let age = match age {
            "" => None,
            age => Some(
                humantime::parse_duration(age)
                    .map_err(|error| format!("{error}; write 7d, or 7d,PATH, or ,PATH"))?,
            ),
        };
        Ok(Self { age, path: path.filter(|path| !path.is_empty()).map(PathBuf::from) })
    }
}

/// What a certificate must be of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The database.
    pub identity: Identity,
    /// Its schema, as [`crate::db::catalogue::schema_hash`] has it.
    pub schema: String,
    /// What is beside it, as [`crate::db::catalogue::beside_sql`] has it.
    pub beside: String,
    /// The migrations' hash.
    pub migrations: String,
    /// Every stage of a whole rehearsal, in order.
    pub stages: Vec<&'static str>,
}

/// What there is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rehearsed {
    /// The newest of all that is wanted, whatever its verdict: it knows more than those before it.
    pub newest: Option<(PathBuf, Certificate)>,
    /// The newest file that is none, or none any more, and when it was written: it may have said no.
    pub unreadable: Option<(PathBuf, DateTime<Utc>)>,
    /// Why others do not count.
    pub passed_over: Vec<String>,
}

/// Looks at a certificate, or through a folder of them.
///
/// # Errors
/// Refused where the folder cannot be read.
pub fn look(path: &Path, wanted: &Wanted) -> Result<Rehearsed, Failure> {
    let mut found = Rehearsed::default();
    for path in certificates(path)? {
        let why = match Certificate::open(&path) {
            Err(why) => {
                let written = path.symlink_metadata().and_then(|meta| meta.modified());
                let written = written.map_or_else(|_| Utc::now(), DateTime::from);
                if found.unreadable.as_ref().is_none_or(|(_, newest)| written > *newest) {
                    found.unreadable = Some((path.clone(), written));
                }
                format!("cannot be relied on: {why}")
            }
            Ok(certificate) => match passed_over(&certificate, wanted) {
                Some(why) => why,
                None => {
                    let newest = found.newest.as_ref().map(|(_, newest)| newest.finished_at);
                    if newest.is_none_or(|newest| certificate.finished_at > newest) {
                        found.newest = Some((path, certificate));
                    }
                    continue;
                }
            },
        };
        found.passed_over.push(format!("{} {why}", path.display()));
    }
    Ok(found)
}

/// The newest that is of this database, whatever it says, and whatever was changed since.
///
/// # Errors
/// Refused where the folder cannot be read.
pub fn newest(folder: &Path, identity: &Identity) -> Result<Option<Certificate>, Failure> {
    let all = certificates(folder)?.into_iter().filter_map(|path| Certificate::open(&path).ok());
    let is_of_it = |certificate: &Certificate| {
        let of = &certificate.database;
        of.system_identifier.is_some()
            && of.system_identifier == identity.system_identifier
            && of.oid == identity.oid
            && certificate.finished_at <= Utc::now() + CLOCKS
    };
    Ok(all.filter(is_of_it).max_by_key(|certificate| certificate.finished_at))
}

fn certificates(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !path.is_dir() {
        return Ok(if path.symlink_metadata().is_ok() { vec![path.to_path_buf()] } else { vec![] });
    }
    let entries = std::fs::read_dir(path).map_err(|error| {
        Failure::refused(format!("cannot read {}", path.display())).because(error)
    })?;
    let named = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(SUFFIX))
    };
    let mut paths: Vec<_> =
        entries.flatten().map(|entry| entry.path()).filter(|path| named(path)).collect();
    // The newest first, by the names that we give.
    paths.sort_by(|a, b| b.cmp(a));
    Ok(paths)
}

fn passed_over(certificate: &Certificate, wanted: &Wanted) -> Option<String> {
    let of = &certificate.database;
    if of.system_identifier.is_none() || wanted.identity.system_identifier.is_none() {
        return Some("is of a server that may not be asked for its identity: GRANT EXECUTE ON FUNCTION pg_control_system() lets a role ask".into());
    }
    if of.system_identifier != wanted.identity.system_identifier {
        return Some("is of a database on another server".into());
    }
    if of.oid != wanted.identity.oid {
        return Some(format!(
            "is of another database, {:?} at that time (oid {}; this one's is {}: one that was restored or made anew has its own)",
            of.name, of.oid, wanted.identity.oid
        ));
    }
    if certificate.migrations.sha256 != wanted.migrations {
        return Some(format!(
            "is of other migrations, those of markenmate {}",
            certificate.tool_version
        ));
    }
    if certificate.schema.sha256 != wanted.schema {
        return Some(format!(
            "is of another schema, in state {} at that time: something was changed since",
            certificate.schema.state
        ));
    }
    if certificate.schema.beside.as_ref() != Some(&wanted.beside) {
        return Some(
            "is of other triggers, policies, grants, event triggers, or of other things that were hung on the tables: something was changed since"
                .into(),
        );
    }
    if certificate.verdict == Verdict::Pass && !is_whole(certificate, &wanted.stages) {
        return Some("says that all went well, and does not have every stage of it".into());
    }
    if certificate.finished_at > Utc::now() + CLOCKS {
        return Some(format!("is of {}, which is still to come", certificate.finished_at));
    }
    None
}

/// Every stage is there, none failed, and the last of them was gone through.
fn is_whole(certificate: &Certificate, wanted: &[&str]) -> bool {
    let stages = &certificate.stages;
    stages.iter().map(|stage| stage.id.as_str()).eq(wanted.iter().copied())
        && stages.iter().all(|s| matches!(s.status, StepStatus::Done | StepStatus::Skipped))
        && stages.last().is_some_and(|stage| stage.status == StepStatus::Done)
        && certificate.failed_stage.is_none()
}

impl Rehearsed {
    /// Why this is not enough; none where it is.
    pub fn lacks(&self, age: Option<Duration>, now: DateTime<Utc>) -> Option<String> {
        let Some((path, certificate)) = &self.newest else {
            return Some(
                "there is no rehearsal of these migrations with this database as it is".into(),
            );
        };
        if certificate.verdict == Verdict::Fail {
            let stage = certificate.failed_stage.as_deref().unwrap_or("a stage");
            return Some(format!("{}: the rehearsal failed at {stage}", path.display()));
        }
        if let Some((damaged, written)) = &self.unreadable
            && *written > certificate.finished_at
        {
            return Some(format!(
                "{} cannot be relied on and is newer than {}: it may have said no",
                damaged.display(),
                path.display()
            ));
        }
        // What was rehearsed is the rows, whenever that was.
        let old = (now - certificate.backup.snapshot_at).to_std().unwrap_or_default();
        let age = age.filter(|age| old > *age)?;
        Some(format!(
            "{} was rehearsed with rows that are {} old; {} is allowed",
            path.display(),
            shown(old),
            shown(age)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::certificate::tests::sample;
    use super::*;

    #[test]
    fn the_flag_is_an_age_and_a_path_or_either() {
        let of = |text| Requirement::parse(text).unwrap();
        let day = Some(Duration::from_secs(24 * 60 * 60));
        assert_eq!(of("1d"), Requirement { age: day, path: None });
        assert_eq!(of("1d,a,b"), Requirement { age: day, path: Some("a,b".into()) });
        assert_eq!(of(",a"), Requirement { age: None, path: Some("a".into()) });
        assert!(Requirement::parse("soon").unwrap_err().contains("7d,PATH"));
    }

    fn wanted() -> Wanted {
        let system_identifier = sample().database.system_identifier;
        Wanted {
            identity: Identity { system_identifier, oid: 16_384 },
            schema: "s".into(),
            beside: "b".into(),
            migrations: "v".into(),
            stages: vec!["migrate"],
        }
    }

    #[test]
    fn it_counts_for_one_database_one_schema_and_one_set_of_migrations() {
        assert_eq!(passed_over(&sample(), &wanted()), None);
        let oid = Identity { oid: 5, ..wanted().identity };
        let server = Identity { system_identifier: Some("2".into()), ..wanted().identity };
        let unknown = Identity { system_identifier: None, ..wanted().identity };
        for (other, said) in [
            (Wanted { identity: oid, ..wanted() }, "another database"),
            (Wanted { identity: server, ..wanted() }, "another server"),
            (Wanted { identity: unknown, ..wanted() }, "its identity"),
            (Wanted { schema: "t".into(), ..wanted() }, "another schema"),
            (Wanted { stages: vec!["migrate", "rollback"], ..wanted() }, "every stage"),
            (Wanted { beside: "c".into(), ..wanted() }, "other triggers"),
            (Wanted { migrations: "w".into(), ..wanted() }, "other migrations"),
        ] {
            let why = passed_over(&sample(), &other).unwrap();
            assert!(why.contains(said), "{why}");
        }
        let tomorrow = Utc::now() + Duration::from_secs(24 * 60 * 60);
        let ahead = Certificate { finished_at: tomorrow, ..sample() };
        assert!(passed_over(&ahead, &wanted()).unwrap().contains("still to come"));
    }

    #[test]
    fn the_newest_decides_whatever_it_says() {
        let folder = tempfile::TempDir::new().unwrap();
        let now = Utc::now();
        let hour = Duration::from_secs(3600);
        let put = |name: &str, certificate: Certificate| {
            std::fs::write(folder.path().join(name), certificate.seal().0).unwrap();
        };
        let of =
            |moment| super::super::certificate::Origin { snapshot_at: moment, ..sample().backup };
        let lacks = |age| look(folder.path(), &wanted()).unwrap().lacks(age, now);
        assert!(lacks(None).unwrap().contains("no rehearsal"));
        let two_ago =
            Certificate { finished_at: now - hour * 2, backup: of(now - hour * 2), ..sample() };
        put("a.rehearsal.json", two_ago);
        assert_eq!(lacks(None), None);
        assert_eq!(lacks(Some(hour * 3)), None);
        assert!(lacks(Some(hour)).unwrap().ends_with("rows that are 2h old; 1h is allowed"));
        let failed = Certificate {
            verdict: Verdict::Fail,
            failed_stage: Some("rollback".into()),
            finished_at: now - hour,
            ..sample()
        };
        put("0.rehearsal.json", failed);
        assert!(lacks(None).unwrap().contains("failed at rollback"));
        put(
            "b.rehearsal.json",
            Certificate { finished_at: now, backup: of(now - hour * 2), ..sample() },
        );
        assert!(lacks(Some(hour)).is_some());
        put("b.rehearsal.json", Certificate { finished_at: now, backup: of(now), ..sample() });
        assert_eq!(lacks(Some(hour)), None);
        std::fs::write(folder.path().join("c.rehearsal.json"), "{}").unwrap();
        let seen = look(folder.path(), &wanted()).unwrap();
        assert!(seen.passed_over[0].contains("cannot be relied on"), "{seen:?}");
        assert!(lacks(None).unwrap().contains("may have said no"));
        let before = std::time::SystemTime::now() - hour * 5;
        let file =
            std::fs::File::options().write(true).open(folder.path().join("c.rehearsal.json"));
        file.unwrap().set_modified(before).unwrap();
        assert_eq!(lacks(Some(hour)), None);
        let one = look(&folder.path().join("0.rehearsal.json"), &wanted()).unwrap();
        assert!(one.lacks(None, now).unwrap().contains("failed at rollback"));
    }
}
