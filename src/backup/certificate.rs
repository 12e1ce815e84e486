//! What a rehearsal has proven, of which database, with which migrations: sealed as a manifest is.

use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::manifest::{Database, hex};
use super::place::{PARTIAL, beside, folder_of, new_file, rename};
use super::seal;
use crate::failure::Failure;
use crate::report::{Finding, StepStatus};

/// What certificates are called, in a folder of them.
pub const SUFFIX: &str = ".rehearsal.json";

/// What our own names for them begin with.
const PREFIX: &str = "markenmate-";

/// The longest that is read.
const LONGEST: u64 = 16 * 1024 * 1024;

/// How a rehearsal went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// 1: the version of this document.
    pub certificate: u8,
    /// markenmate's version.
    pub tool_version: String,
    /// The run that made it.
    pub run_id: String,
    /// When the rehearsal began, by the clock of the machine.
    pub began_at: DateTime<Utc>,
    /// When it was over.
    pub finished_at: DateTime<Utc>,
    /// In one word.
    pub verdict: Verdict,
    /// The stage at which it failed.
    pub failed_stage: Option<String>,
    /// The database whose rows were rehearsed with.
    pub database: Database,
    /// Its schema.
    pub schema: Schema,
    /// Where the rows came from.
    pub backup: Origin,
    /// What was carried out.
    pub migrations: Migrations,
    /// Where.
    pub ground: Ground,
    /// In their order.
    pub stages: Vec<Stage>,
    /// What was found.
    pub findings: Vec<Finding>,
    /// Of this document with 64 zeros in this place.
    pub sha256: String,
}

/// Whether it can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// All of it went as it should.
    Pass,
    /// One stage did not.
    Fail,
}

impl Verdict {
    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
        }
    }
}

/// The schema that was there at the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// [`crate::db::catalogue::schema_hash`] of it.
    pub sha256: String,
    /// What is beside it: [`crate::db::catalogue::beside_sql`]; none: it was not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<String>,
    /// `data.state` of `status`.
    pub state: String,
}

/// The backup that was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The file or folder.
    pub path: PathBuf,
    /// Its manifest's own hash.
    pub manifest_sha256: String,
    /// The moment that it shows, by the server's clock.
    pub snapshot_at: DateTime<Utc>,
}

/// The very migrations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Migrations {
    /// Of all that follows.
    pub sha256: String,
    /// The app's schema.
    pub app: Vec<Migration>,
    /// The tool's own.
    pub own: Vec<Migration>,
}

/// One migration, each of its files by SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Migration {
    /// 1, 2, ...
    pub version: i32,
    /// Its name.
    pub name: String,
    /// As the history has it.
    pub checksum: String,
    /// What applies it.
    pub up: String,
    /// What is copied before it is taken back.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub aside: Option<String>,
    /// What takes it back.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub down: Option<String>,
    /// What must hold afterwards.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub contract: Option<String>,
}

/// Where it was rehearsed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ground {
    /// `sandbox`: a throw-away server; `server`: a scratch database on the database's own.
    pub kind: String,
    /// As the server prints it.
    pub server_version: String,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// The same in every run.
    pub id: String,
    /// What it does.
    pub title: String,
    /// What became of it.
    pub status: StepStatus,
    /// Wall time.
    pub duration_ms: Option<u64>,
    /// For how long the app's tables were locked, COMMIT included.
    pub locked_ms: Option<f64>,
    /// More about it.
    pub detail: Option<String>,
}

impl Migrations {
    /// With the hash over both lists.
    pub fn of(app: Vec<Migration>, own: Vec<Migration>) -> Self {
        let sha256 = digest(&json!({ "app": app, "own": own }));
        Self { sha256, app, own }
    }
}

fn digest(value: &Value) -> String {
    hex(&Sha256::digest(value.to_string()))
}

impl Certificate {
    /// Its text, which names its own hash, and the hash.
    pub fn seal(mut self) -> (String, Self) {
        self.sha256 = seal::BLANK.into();
        let text = seal::seal(&self);
        // It was just written.
        if let Ok(sealed) = serde_json::from_str::<Self>(&text) {
            self.sha256 = sealed.sha256;
        }
        (text, self)
    }

    /// Reads a sealed file.
    ///
    /// # Errors
    /// Why it is not to be trusted.
    pub fn open(path: &Path) -> Result<Self, String> {
        let meta = path.symlink_metadata().map_err(|error| error.to_string())?;
        if !meta.is_file() || meta.len() > LONGEST {
            return Err("it is no plain file, or too long".into());
        }
        let mut file = File::open(path).map_err(|error| error.to_string())?;
        only_ours(&file.metadata().map_err(|error| error.to_string())?, "it")?;
        let folder = fs::metadata(folder_of(path)).map_err(|error| error.to_string())?;
        // In a folder such as /tmp nobody takes away or renames what is another's.
        if folder.mode() & STICKY == 0 {
            only_ours(&folder, "its folder")?;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        let text = std::str::from_utf8(&bytes).map_err(|_| "it is not text")?;
        let certificate: Self =
            serde_json::from_str(text).map_err(|error| format!("it cannot be read: {error}"))?;
        seal::check(text, &certificate.sha256)?;
        match certificate.certificate {
            1 => Ok(certificate),
            newer => Err(format!("it is of version {newer}: use a newer markenmate")),
        }
    }
}

const STICKY: u32 = 0o1000;

/// The seal is against accident: whoever can write the file can seal it anew, and whoever can write its folder can
/// take a newer one away.
fn only_ours(meta: &Metadata, what: &str) -> Result<(), String> {
    let (owner, us) = (meta.uid(), rustix::process::geteuid().as_raw());
    if owner != us && owner != 0 {
        return Err(format!(
            "{what} belongs to user {owner}, and neither to root nor to who runs this ({us}): chown {us}"
        ));
    }
    match meta.mode() & 0o022 {
        0 => Ok(()),
        _ => Err(format!("others than its owner may write {what}: chmod go-w")),
    }
}

/// Where a certificate goes, and the page for people beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paper {
    /// The certificate.
    pub certificate: PathBuf,
    /// What people read.
    pub page: PathBuf,
    /// Its folder is the tool's own, and made where it is missing.
    make_folder: bool,
}

impl Paper {
    /// Under that name; else in the folder of backups, named after the moment.
    pub fn at(named: Option<&Path>, folder: &Path, moment: DateTime<Utc>) -> Self {
        let stamp = moment.format("%Y-%m-%dT%H-%M-%S-%3fZ");
        let usual = || folder.join(format!("{PREFIX}{stamp}{SUFFIX}"));
        let certificate = named.map_or_else(usual, Path::to_path_buf);
        let mut page = certificate.with_extension("txt");
        if page == certificate {
            page = beside(&certificate, ".page");
        }
        Self { certificate, page, make_folder: named.is_none() }
    }

    /// Whether it can be written: before anything is rehearsed.
    ///
    /// # Errors
    /// Refused where something is there already, or there is no such folder.
    pub fn check(&self) -> Result<(), Failure> {
        for path in [&self.certificate, &self.page] {
            if path.symlink_metadata().is_ok() {
                return Err(Failure::refused(format!(
                    "{} is there already; nothing is overwritten",
                    path.display()
                ))
                .hint("name another file: --certificate FILE"));
            }
        }
        let folder = folder_of(&self.certificate);
        match self.make_folder || folder.is_dir() {
            true => Ok(()),
            false => Err(Failure::refused(format!("there is no folder {}", folder.display()))
                .hint("make it, or name another file: --certificate FILE")),
        }
    }

    /// Writes both, the certificate last.
    ///
    /// # Errors
    /// The system's: then there is no certificate.
    pub fn write(&self, certificate: &str, page: &str) -> Result<(), Failure> {
        let folder = folder_of(&self.certificate);
        let written = || -> io::Result<()> {
            if self.make_folder {
                DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            }
            sweep(&folder);
            write(&self.page, page)?;
            write(&self.certificate, certificate)?;
            File::open(&folder)?.sync_all()
        };
        written().map_err(|error| {
            Failure::unexpected(format!("cannot write {}", self.certificate.display()))
                .because(error)
                .hint("name a file that can be written: --certificate FILE")
        })
    }
}

/// All of it under its name, or nothing; nothing is overwritten.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let partial = beside(path, PARTIAL);
    let mut file = new_file(&partial)?;
    let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let named = written.and_then(|()| rename(&partial, path));
    if named.is_err() {
        let _ = fs::remove_file(&partial);
    }
    named
}

/// Removes what a killed run has left half-written: what nobody holds is nobody's.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let of_ours = name.strip_suffix(PARTIAL).is_some_and(|name| {
            name.starts_with(PREFIX) && [SUFFIX, ".rehearsal.txt"].iter().any(|s| name.ends_with(s))
        });
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if !of_ours || !is_file {
            continue;
        }
        let Ok(file) = File::open(entry.path()) else { continue };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
pub(crate) mod tests;
