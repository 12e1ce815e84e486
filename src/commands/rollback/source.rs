//! Which backup is restored, and that it is whole: before anything is written.

use std::path::{Path, PathBuf};

use crate::backup::dump::hash_file;
use crate::backup::gate::{self, Identity};
use crate::backup::manifest::SUFFIX;
use crate::backup::place::beside;
use crate::backup::proof::{self, Backup};
use crate::backup::restore::Source;
use crate::context::Context;
use crate::failure::Failure;

/// The path that was named, or the newest verified backup of this database.
pub(super) fn choose(
    cx: &Context,
    named: Option<&Path>,
    identity: &Identity,
) -> Result<PathBuf, Failure> {
    if let Some(path) = named {
        return Ok(path.to_path_buf());
    }
    let dir = &cx.settings.backup_dir;
    let fallback = gate::look(dir, identity, &[])?;
    match fallback.newest_chosen {
        Some(path) => Ok(path),
        None => {
            let failure = Failure::refused(format!(
                "there is no verified backup of this database in {}",
                dir.display()
            ));
            let failure = fallback.newest.iter().fold(failure, |failure, (path, _)| {
                failure.because(format!(
                    "{} was made by a restore, of what it replaced: such a one must be named",
                    path.display()
                ))
            });
            let failure = fallback.passed_over.iter().take(5).fold(failure, Failure::because);
            Err(failure
                .hint("name the backup: markenmate rollback --restore PATH")
                .hint("to see which there are: markenmate backup list"))
        }
    }
}

/// A backup of which every byte is as it was written, or a plain dump that is complete.
pub(super) async fn proven(
    cx: &Context,
    path: &Path,
    identity: Option<&Path>,
) -> Result<Source, Failure> {
    if path.symlink_metadata().is_ok() && beside(path, SUFFIX).symlink_metadata().is_err() {
        return bare(cx, path).await;
    }
    let backup = Backup::open(path)?;
    cx.console.say(&format!("reading every byte of {}", path.display()));
    let findings = backup.differences(cx).await?;
    if !findings.is_empty() {
        return Err(Failure::refused(format!("{} is not what was written", path.display()))
            .with_findings(findings));
    }
    backup.read_through(cx, identity).await?;
    Ok(Source::Proven(Box::new(backup)))
}

/// What `pg_dump > file` has written.
async fn bare(cx: &Context, path: &Path) -> Result<Source, Failure> {
    if path.is_dir() || begins_with(path, b"PGDMP") {
        return Err(Failure::refused(format!("{} has no manifest", path.display()))
            .because("whether an archive is what was written cannot be seen without one: a flipped bit is restored in silence")
            .hint("only a plain dump is restored without a manifest")
            .hint(format!("pg_restore --file FILE.sql {} makes one of it", path.display())));
    }
    if begins_with(path, &[0x1f, 0x8b]) {
        return Err(Failure::refused(format!("{} is compressed", path.display()))
            .hint(format!("gunzip {}", path.display())));
    }
    cx.console.say(&format!("reading all of {}: it has no manifest", path.display()));
    let summary = proof::plain(cx, path).await?;
    Ok(Source::Bare(path.to_path_buf(), summary))
}

fn begins_with(path: &Path, magic: &[u8]) -> bool {
    use std::io::Read;
    let mut bytes = vec![0; magic.len()];
    // A pipe is left for whoever opens it with more care.
    let is_file = path.symlink_metadata().is_ok_and(|meta| meta.is_file());
    let read =
        is_file.then(|| std::fs::File::open(path).and_then(|mut f| f.read_exact(&mut bytes)));
    matches!(read, Some(Ok(()))) && bytes == magic
}

/// What tells this very backup from others: an interrupted restore of it is gone on with.
pub(super) async fn fingerprint(cx: &Context, source: &Source) -> Result<String, Failure> {
    match source {
        Source::Proven(backup) => Ok(backup.manifest.sha256.clone()),
        Source::Bare(path, _) => {
            let file = path.clone();
            let hashed = cx.interrupt.during(move || hash_file(&file, String::new())).await?;
            hashed.map(|file| file.sha256).map_err(|error| {
                Failure::refused(format!("cannot read {}", path.display())).because(error)
            })
        }
    }
}
