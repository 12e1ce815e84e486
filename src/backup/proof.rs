//! Proving a backup on disk: every byte, every file, and that pg_restore can read all of it.

use std::fs;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::archive::{Aim, Readable};
use super::dump::{hash_file, hash_folder, open_file};
use super::form::Form;
use super::manifest::{File, Manifest, SUFFIX};
use super::place::{PARTIAL, beside, folder_of, new_file};
use super::script::Summary;
use crate::context::Context;
use crate::failure::Failure;
use crate::report::{Finding, Severity};
use crate::tools::postgres_client::ClientProgram;

/// What is beside a backup that was verified: its name and this.
pub const VERIFIED: &str = ".verified.json";

/// What is beside a backup that was restored and compared.
pub const RESTORE_TESTED: &str = ".restore-tested.json";

/// The longest manifest that is read: a thousand tables take a quarter of a megabyte.
const LONGEST: u64 = 64 * 1024 * 1024;

/// By how much the clocks of two machines may differ.
pub(super) const CLOCKS: std::time::Duration = std::time::Duration::from_secs(5 * 60);

/// That a backup was verified or restore-tested, and which one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verified {
    /// The manifest's own hash.
    pub manifest_sha256: String,
    /// When.
    pub at: chrono::DateTime<chrono::Utc>,
    /// By which markenmate.
    pub tool_version: String,
}

/// A backup and its manifest.
#[derive(Debug, Clone)]
pub struct Backup {
    /// The file or folder.
    pub path: PathBuf,
    /// What it should hold.
    pub manifest: Manifest,
}

impl Backup {
    /// Reads the manifest beside `path`.
    ///
    /// # Errors
    /// Refused where there is none, or it is not to be trusted.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let file = beside(path, SUFFIX);
        let refused = |why: String| {
            Failure::refused(format!("{} is not a backup to rely on", path.display())).because(why)
        };
        if path.symlink_metadata().is_err() {
            return Err(Failure::refused(format!("there is no {}", path.display()))
                .hint("to see which there are: markenmate backup list"));
        }
        let text = read(&file).map_err(|error| {
            refused(format!("its manifest {}: {error}", file.display()))
                .hint("a manifest is written beside every backup that markenmate makes")
        })?;
        let manifest = Manifest::open(&text)
            .map_err(|why| refused(format!("its manifest {}: {why}", file.display())))?;
        Ok(Self { path: path.to_path_buf(), manifest })
    }

    /// Whether it was verified since it was written.
    pub fn is_verified(&self) -> bool {
        self.is_noted(VERIFIED) && self.is_there()
    }

    /// Whether it was restored and compared since it was written.
    pub fn is_restore_tested(&self) -> bool {
        self.is_noted(RESTORE_TESTED) && self.is_there()
    }

    fn is_noted(&self, suffix: &str) -> bool {
        let sidecar = read(&beside(&self.path, suffix)).ok();
        let sidecar = sidecar.and_then(|text| serde_json::from_slice::<Verified>(&text).ok());
        sidecar.is_some_and(|verified| verified.manifest_sha256 == self.manifest.sha256)
    }

    /// Removes it: what is left by a kill is no backup, and swept by the next one that is made.
    ///
    /// # Errors
    /// The system's.
    pub fn remove(&self) -> std::io::Result<()> {
        for suffix in [RESTORE_TESTED, VERIFIED] {
            let _ = fs::remove_file(beside(&self.path, suffix));
        }
        let partial = beside(&self.path, PARTIAL);
        fs::rename(&self.path, &partial)?;
        fs::remove_file(beside(&self.path, SUFFIX))?;
        match self.manifest.archive.form {
            Form::Directory => fs::remove_dir_all(&partial)?,
            _ => fs::remove_file(&partial)?,
        }
        fs::File::open(folder_of(&self.path))?.sync_all()
    }

    /// It shows a moment that has not been yet: nobody knows how old it is.
    pub fn is_to_come(&self) -> bool {
        self.manifest.snapshot_at > chrono::Utc::now() + CLOCKS
    }

    /// All its files are there, and as long as they were. Says nothing of what is in them.
    pub fn is_there(&self) -> bool {
        let is_folder = self.manifest.archive.form == Form::Directory;
        self.manifest.files.iter().all(|file| {
            let path = if is_folder { self.path.join(&file.name) } else { self.path.clone() };
            path.symlink_metadata().is_ok_and(|meta| meta.is_file() && meta.len() == file.bytes)
        })
    }

    /// Notes that it was proven: [`VERIFIED`] or [`RESTORE_TESTED`].
    ///
    /// # Errors
    /// The system's.
    pub fn note(&self, cx: &Context, suffix: &str) -> std::io::Result<()> {
        let verified = Verified {
            manifest_sha256: self.manifest.sha256.clone(),
            at: cx.started_at,
            tool_version: env!("CARGO_PKG_VERSION").into(),
        };
        let file = beside(&self.path, suffix);
        let partial = beside(&file, ".partial");
        let _ = fs::remove_file(&partial);
        let text = serde_json::to_string_pretty(&verified).unwrap_or_default();
        let mut out = new_file(&partial)?;
        std::io::Write::write_all(&mut out, text.as_bytes())?;
        out.sync_all()?;
        fs::rename(&partial, &file)?;
        fs::File::open(folder_of(&file))?.sync_all()
    }

    /// Compares every byte with the manifest.
    ///
    /// # Errors
    /// Unexpected where the disk does not give them.
    pub async fn differences(&self, cx: &Context) -> Result<Vec<Finding>, Failure> {
        let (path, form) = (self.path.clone(), self.manifest.archive.form);
        let name = self.manifest.files.first().map(|file| file.name.clone()).unwrap_or_default();
        let hash = move || match form {
            Form::Directory => hash_folder(&path),
            _ => Ok(vec![hash_file(&path, name)?]),
        };
        let found = cx.interrupt.during(hash).await?.map_err(|error| {
            Failure::refused(format!("cannot read {}", self.path.display())).because(error)
        })?;
        Ok(compare(&self.manifest.files, &found))
    }

    /// Has pg_restore read all of it; a plain one is read to its end here.
    ///
    /// # Errors
    /// Refused where that cannot be.
    pub async fn read_through(&self, cx: &Context, identity: Option<&Path>) -> Result<(), Failure> {
        if self.manifest.archive.form == Form::Plain {
            return plain(cx, &self.path).await.map(drop);
        }
        let aim = Aim { more: &["--file", "/dev/null"], ..Aim::default() };
        let program = self.pg_restore(cx)?;
        Readable::of(self, identity)?.pg_restore(cx, &program, aim).await.map(drop)
    }

    /// The program that can read what its pg_dump wrote.
    ///
    /// # Errors
    /// Refused where there is none.
    pub fn pg_restore(&self, cx: &Context) -> Result<ClientProgram, Failure> {
        let major = self.manifest.archive.pg_dump_major();
        ClientProgram::find(&cx.env, cx.settings.via_docker.as_deref(), "pg_restore", major)
    }

    /// Only whoever has the secret key can read it.
    pub fn is_encrypted(&self) -> bool {
        !self.manifest.archive.recipients.is_empty()
    }
}

/// Reads a plain dump to its end.
///
/// # Errors
/// Refused where it is none, or not whole.
pub async fn plain(cx: &Context, path: &Path) -> Result<Summary, Failure> {
    let failure = Failure::refused(format!("{} cannot be restored", path.display()));
    let file = open_file(path).map_err(|error| failure.clone().because(error))?;
    let read = move || Summary::of(BufReader::with_capacity(256 * 1024, file));
    cx.interrupt.during(read).await?.map_err(|broken| failure.because(broken))
}

/// What pg_dump wrote is an archive at all: pg_restore can read its table of contents, or a plain one
/// ends as it should.
///
/// # Errors
/// Refused where it is none.
pub async fn is_archive(cx: &Context, path: &Path, form: Form, major: u32) -> Result<(), Failure> {
    if form == Form::Plain {
        return plain_is_whole(path);
    }
    let via = cx.settings.via_docker.as_deref();
    let program = ClientProgram::find(&cx.env, via, "pg_restore", major)?;
    let aim = Aim { more: &["--list"], ..Aim::default() };
    Readable::at(path, form).pg_restore(cx, &program, aim).await.map(drop)
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let meta = path.symlink_metadata()?;
    if !meta.is_file() || meta.len() > LONGEST {
        return Err(std::io::Error::other("it is no plain file, or too long"));
    }
    fs::read(path)
}

/// What the manifest says beside what is there. Pure.
fn compare(wanted: &[File], found: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut differs = |subject: &str, detail: String| {
        findings.push(Finding {
            id: "backup".into(),
            severity: Severity::Error,
            title: "The backup is not what was written".into(),
            subject: subject.into(),
            detail,
            remedy: "do not restore it: take another one, markenmate backup list shows them".into(),
        });
    };
    for file in wanted {
        match found.iter().find(|other| other.name == file.name) {
            None => differs(&file.name, "is missing".into()),
            Some(other) if other.bytes != file.bytes => {
                differs(
                    &file.name,
                    format!("has {} bytes; {} were written", other.bytes, file.bytes),
                );
            }
            Some(other) if other.sha256 != file.sha256 => {
                differs(
                    &file.name,
                    "has other bytes than were written: its SHA-256 differs".into(),
                );
            }
            Some(_) => {}
        }
    }
    for file in found.iter().filter(|file| !wanted.iter().any(|other| other.name == file.name)) {
        differs(&file.name, "was not written by the backup".into());
    }
    findings
}

/// pg_dump's last words. Without them a plain dump may end inside a table.
fn plain_is_whole(path: &Path) -> Result<(), Failure> {
    const END: &str = "-- PostgreSQL database dump complete";
    let tail = || -> std::io::Result<Vec<u8>> {
        let mut file = open_file(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(4096)))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail)?;
        Ok(tail)
    };
    let failure = || Failure::refused(format!("{} is cut off", path.display()));
    let tail = tail().map_err(|error| failure().because(error))?;
    match String::from_utf8_lossy(&tail).lines().any(|line| line == END) {
        true => Ok(()),
        false => Err(failure().because(format!("it does not end as pg_dump ends: {END}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_is_named() {
        let file = |name: &str, bytes, sha256: &str| File {
            name: name.into(),
            bytes,
            sha256: sha256.into(),
        };
        let wanted = [file("a", 1, "x"), file("b", 2, "y"), file("c", 3, "z")];
        assert_eq!(compare(&wanted, &wanted), []);
        let found = [file("a", 1, "q"), file("b", 1, "y"), file("d", 3, "z")];
        let subjects: Vec<_> =
            compare(&wanted, &found).into_iter().map(|finding| finding.subject).collect();
        assert_eq!(subjects, ["a", "b", "c", "d"]);
    }
}
