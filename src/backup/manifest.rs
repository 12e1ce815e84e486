//! The manifest: what a backup holds, taken in the very snapshot that was dumped, and the hash of
//! every byte of it, the manifest's own included.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::form::Form;
use super::seal;
use crate::db::catalogue::Catalogue;

/// What is beside a backup: its name and this.
pub const SUFFIX: &str = ".manifest.json";

/// All that is known of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// 1: the version of this document.
    pub manifest: u8,
    /// markenmate's version.
    pub tool_version: String,
    /// The run that made it.
    pub run_id: String,
    /// The moment that the backup shows, by the server's clock.
    pub snapshot_at: DateTime<Utc>,
    /// The same as a place in the write-ahead log; none on a standby.
    pub lsn: Option<String>,
    /// A restore made it of what it was about to replace: nobody's choice, and maybe just what is
    /// broken.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub safety: bool,
    /// Where it is from.
    pub database: Database,
    /// Where its schema stood.
    pub schema: Schema,
    /// How it was written.
    pub archive: Archive,
    /// `none`, `counts` or `full`: what is known of each table.
    pub checksums: Checksums,
    /// Every table with rows of its own, in the order of their names.
    pub tables: Vec<Table>,
    /// Every sequence, in the order of their names.
    pub sequences: Vec<Sequence>,
    /// Keys that rows of the dump break: no restore can make them again.
    pub broken_keys: Vec<String>,
    /// Every role that a restore needs.
    pub roles: Vec<String>,
    /// Schema `public`: columns, keys, indexes.
    pub catalogue: Catalogue,
    /// What else decides over a migration (triggers of others, policies, grants), as one hash; none: it was
    /// not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<String>,
    /// Every file, in the order of their names.
    pub files: Vec<File>,
    /// Of this document with 64 zeros in this place.
    pub sha256: String,
}

/// The database that was dumped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// Tells it from a later one of the same name.
    pub oid: u32,
    /// The cluster's; none where the role may not ask.
    pub system_identifier: Option<String>,
    /// As the server prints it.
    pub server_version: String,
    /// `UTF8`, ...
    pub encoding: String,
    /// `LC_COLLATE`
    pub collate: String,
    /// `LC_CTYPE`
    pub ctype: String,
    /// The role that owns it.
    pub owner: String,
    /// What it takes on the server's disk.
    pub bytes: u64,
}

/// Where the schema stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// `data.state` of `status`.
    pub state: String,
    /// `data.migrations` of `status`.
    pub migrations: Value,
}

/// How a backup was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// The form.
    pub form: Form,
    /// `gzip:1`, ...
    pub compression: String,
    /// pg_dump's version.
    pub pg_dump: String,
    /// The server's, as a number: 150018.
    pub server_version_num: u32,
    /// How many wrote it.
    pub jobs: u16,
    /// To whom it is encrypted by age; empty: it is not.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub recipients: Vec<String>,
}

impl Archive {
    /// The server's major version.
    pub const fn server_major(&self) -> u32 {
        self.server_version_num / 10_000
    }

    /// pg_dump's major version.
    pub fn pg_dump_major(&self) -> u32 {
        let major = self.pg_dump.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        major.parse().unwrap_or_default()
    }
}

/// What is known of each table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Checksums {
    /// Its name.
    None,
    /// How many rows.
    #[default]
    Counts,
    /// How many rows, and a checksum over their content.
    Full,
}

/// A table in the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Schema and name, quoted where they must be.
    pub name: String,
    /// Its rows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rows: Option<u64>,
    /// The sum of its rows' digests: no order matters.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub checksum: Option<String>,
}

/// A sequence. It ignores snapshots: the dump has this value or a later one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequence {
    /// Schema and name, quoted where they must be.
    pub name: String,
    /// The last value it gave; none before the first.
    pub last_value: Option<i64>,
    /// It counts down.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub descends: bool,
    /// It begins again: where it stands says nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub cycles: bool,
}

impl Sequence {
    /// Whether it would give a value again that it had given when the backup was taken.
    pub fn is_behind(&self, now: Option<i64>) -> bool {
        match (self.last_value, now) {
            (None, _) => false,
            _ if self.cycles => false,
            (Some(_), None) => true,
            (Some(then), Some(now)) if self.descends => now > then,
            (Some(then), Some(now)) => now < then,
        }
    }
}

/// A file of the backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its name; within the folder, where the backup is one.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// As `sha256sum` says it.
    pub sha256: String,
}

impl Manifest {
    /// Its text, which names its own hash.
    pub fn seal(mut self) -> String {
        self.sha256 = seal::BLANK.into();
        seal::seal(&self)
    }

    /// Reads a sealed text.
    ///
    /// # Errors
    /// Why it is not to be trusted.
    pub fn open(text: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(text).map_err(|_| "it is not text")?;
        let manifest: Self =
            serde_json::from_str(text).map_err(|error| format!("it cannot be read: {error}"))?;
        seal::check(text, &manifest.sha256)?;
        match manifest.manifest {
            1 => Ok(manifest),
            newer => Err(format!("it is of version {newer}: use a newer markenmate")),
        }
    }

    /// All bytes of the backup.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The backup in one hash: its file's, or of what `sha256sum` prints of all files of the folder.
    pub fn content_hash(&self) -> String {
        match self.files.as_slice() {
            [file] if self.archive.form != Form::Directory => file.sha256.clone(),
            files => {
                let lines: String =
                    files.iter().map(|file| format!("{}  {}\n", file.sha256, file.name)).collect();
                hex(&Sha256::digest(lines))
            }
        }
    }
}

/// As `sha256sum` writes it.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
pub(crate) mod tests;
