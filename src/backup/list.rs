//! The backups of a folder.

use std::fs;
use std::path::Path;

use super::manifest::SUFFIX;
use super::proof::Backup;
use crate::failure::Failure;

/// What lies in a folder under a backup's name.
#[derive(Debug)]
pub struct Listed {
    /// Those with a manifest that can be trusted, the newest first.
    pub backups: Vec<Backup>,
    /// The others, and why.
    pub broken: Vec<(String, String)>,
}

/// Looks through a folder. Only what has a manifest beside it is a backup.
///
/// # Errors
/// Refused where the folder cannot be read; one that does not exist holds none.
pub fn list(folder: &Path) -> Result<Listed, Failure> {
    let mut listed = Listed { backups: Vec::new(), broken: Vec::new() };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(listed),
        Err(error) => {
            return Err(
                Failure::refused(format!("cannot read {}", folder.display())).because(error)
            );
        }
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(name) = name.strip_suffix(SUFFIX) else { continue };
        match Backup::open(&folder.join(name)) {
            Ok(backup) => listed.backups.push(backup),
            Err(failure) => {
                let why = failure.causes.first().unwrap_or(&failure.message).clone();
                listed.broken.push((name.to_owned(), why));
            }
        }
    }
    listed.backups.sort_by_key(|backup| std::cmp::Reverse(backup.manifest.snapshot_at));
    listed.broken.sort();
    Ok(listed)
}
