//! The folder of an export, tried before anything is moved; and what is to be done where it fails.

use std::io;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, access};

use super::file;
use crate::failure::Failure;

/// # Errors
/// Refused (4): something else has that name.
pub(super) fn look(folder: &Path) -> Result<(), Failure> {
    match folder.exists() && !folder.is_dir() {
        true => Err(cannot_use(folder, &io::ErrorKind::NotADirectory.into())),
        false => Ok(()),
    }
}

/// Makes it, writes a file there and removes it. Returns it with all links resolved.
///
/// # Errors
/// Refused (4), with what to do.
pub(super) fn made(folder: &Path, run: &str) -> Result<PathBuf, Failure> {
    look(folder)?;
    let cannot = |error| cannot_use(folder, &error);
    file::make_folders(folder).map_err(cannot)?;
    let folder = folder.canonicalize().map_err(cannot)?;
    named(&folder)?;
    file::attempt(&folder.join(format!(".markenmate-{run}"))).map_err(cannot)?;
    Ok(folder)
}

/// What [`made`] would refuse, as far as it shows without making anything. Returns the folder as it would.
///
/// # Errors
/// As there.
pub(super) fn foreseen(folder: &Path) -> Result<PathBuf, Failure> {
    look(folder)?;
    let cannot = |error| cannot_use(folder, &error);
    let whole = std::path::absolute(folder).map_err(cannot)?;
    // What a link without an end leads to is not there, and its name is.
    let there = whole.ancestors().find(|path| path.symlink_metadata().is_ok());
    let there = there.unwrap_or(Path::new("/"));
    let mut known = there.canonicalize().map_err(cannot)?;
    if !known.is_dir() {
        return Err(cannot(io::ErrorKind::NotADirectory.into()));
    }
    access(&known, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| cannot(error.into()))?;
    for part in whole.strip_prefix(there).unwrap_or(Path::new("")).components() {
        match part {
            Component::ParentDir => drop(known.pop()),
            part => known.push(part),
        }
    }
    named(&known)?;
    Ok(known)
}

/// What files say of themselves, as far as it can be read.
pub(super) fn manifests(folder: &Path) -> impl Iterator<Item = serde_json::Value> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter_map(|path| serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok())
}

fn named(folder: &Path) -> Result<(), Failure> {
    if folder.to_str().is_some() {
        return Ok(());
    }
    Err(Failure::refused(format!("cannot use the folder {}", folder.display()))
        .because("its name is no UTF-8, and markenmate.export keeps it by its name")
        .hint("name another folder"))
}

fn cannot_use(folder: &Path, error: &io::Error) -> Failure {
    let hint = match error.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "a file has that name, or a part of it: name a folder, there already or not".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "give whoever runs this the right to write there, or name another folder".to_owned()
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "mount that file system for writing, or name another folder".to_owned()
        }
        _ if is_full(error) => "make room there, or name another folder".to_owned(),
        _ => "name a folder that can be made and written, on a disk".to_owned(),
    };
    Failure::refused(format!("cannot use the folder {}", folder.display()))
        .because(error)
        .hint(hint)
}

/// Of a file in it.
pub(super) fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::unexpected(format!("cannot write {}", path.display())).because(error).hint(match error
        .kind()
    {
        _ if is_full(error) => "run it again when there is room",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "run it again when that can be written"
        }
        _ => "see what is the matter there, then run it again",
    })
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_disk_is_waited_for() {
        let said = |kind: io::ErrorKind| cannot_write(Path::new("/x"), &kind.into()).hints.concat();
        assert!(said(io::ErrorKind::StorageFull).contains("room"));
        assert!(said(io::ErrorKind::PermissionDenied).contains("can be written"));
        assert!(!said(io::ErrorKind::InvalidData).contains("room"));
    }
}
