//! Where a backup is written: under a name that nobody takes for one until all of it is on disk.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, RenameFlags, flock, renameat_with};

use super::form::Form;
use super::manifest::SUFFIX;
use crate::failure::Failure;

/// What a name ends in while it is written.
pub const PARTIAL: &str = ".partial";

/// What the app's and our own names begin with.
pub const PREFIX: &str = "markenmate-backup-";

/// A backup in the making. Dropped before [`Place::keep`], it leaves nothing.
#[derive(Debug)]
pub struct Place {
    target: PathBuf,
    partial: PathBuf,
    form: Form,
    /// Locked for as long as somebody writes: what nobody holds was left by a killed run.
    lock: File,
    kept: bool,
}

impl Place {
    /// Takes the place beside which the backup will be. Makes nothing but `NAME.partial`, and the
    /// folder it is in where that is the tool's own (`make_folder`).
    ///
    /// # Errors
    /// Refused where something is there already, be it a link that leads nowhere, or nothing can be
    /// written.
    pub fn take(target: &Path, form: Form, make_folder: bool) -> Result<Self, Failure> {
        let folder = folder_of(target);
        if make_folder {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
            made.map_err(|error| cannot_write(&folder, &error))?;
        }
        if !folder.is_dir() {
            return Err(Failure::refused(format!("there is no folder {}", folder.display()))
                .hint("make it, or name another with -o"));
        }
        sweep(&folder, target);
        for path in [target.to_path_buf(), beside(target, SUFFIX)] {
            if path.symlink_metadata().is_ok() {
                return Err(Failure::refused(format!(
                    "{} is there already; nothing is overwritten",
                    path.display()
                ))
                .hint("name another file with -o, or move that one away"));
            }
        }
        let partial = beside(target, PARTIAL);
        let lock = take_lock(&partial, form).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                Failure::refused(format!("{} is being written by another run", target.display()))
                    .hint("wait for it, or name another file with -o")
            }
            _ => cannot_write(&partial, &error),
        })?;
        Ok(Self { target: target.to_path_buf(), partial, form, lock, kept: false })
    }

    /// Where it is written to for now.
    pub fn partial(&self) -> &Path {
        &self.partial
    }

    /// Where it will be.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Another handle on the file, to write to.
    ///
    /// # Errors
    /// The system's.
    pub fn file(&self) -> io::Result<File> {
        self.lock.try_clone()
    }

    /// Brings all of it to disk and under its name, the manifest last.
    ///
    /// # Errors
    /// Where that fails nothing is left.
    pub fn keep(mut self, manifest: &str) -> Result<(), Failure> {
        let kept = self.to_disk(manifest);
        self.kept = kept.is_ok();
        kept.map_err(|error| cannot_write(&self.target, &error))
    }

    fn to_disk(&self, manifest: &str) -> io::Result<()> {
        let folder = File::open(folder_of(&self.target))?;
        if self.form == Form::Directory {
            folder_to_disk(&self.partial)?;
        }
        self.lock.sync_all()?;
        let (text, partial_text) =
            (beside(&self.target, SUFFIX), beside(&beside(&self.target, SUFFIX), PARTIAL));
        let _ = fs::remove_file(&partial_text);
        let mut out = new_file(&partial_text)?;
        // The last name makes it a backup: until then it is swept with its manifest.
        let kept = io::Write::write_all(&mut out, manifest.as_bytes())
            .and_then(|()| out.sync_all())
            .and_then(|()| self.still_ours())
            .and_then(|()| rename(&partial_text, &text));
        if kept.is_err() {
            let _ = fs::remove_file(&partial_text);
            return kept;
        }
        let named = folder.sync_all().and_then(|()| rename(&self.partial, &self.target));
        if named.is_err() {
            let _ = fs::remove_file(&text);
            return named;
        }
        // Both names are there, and all of it is on disk: should this fail, a power failure may take
        // the backup away, but leaves none that is not whole.
        folder.sync_all()
    }

    /// Nobody has put something else in its place.
    fn still_ours(&self) -> io::Result<()> {
        match is_at(&self.lock, &self.partial)? {
            true => Ok(()),
            false => Err(io::Error::other("somebody has taken away what was written")),
        }
    }
}

/// How many files are brought to disk at a time.
const AT_ONCE: usize = 8;

/// Every file, several at a time: the disk brings them there together.
fn folder_to_disk(folder: &Path) -> io::Result<()> {
    let paths: io::Result<Vec<_>> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect();
    let paths = paths?;
    let to_disk = |paths: &[PathBuf]| {
        paths.iter().try_for_each(|path| {
            // pg_dump makes what it makes readable for all.
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
            File::open(path)?.sync_all()
        })
    };
    std::thread::scope(|scope| {
        let parts = paths.chunks(paths.len().div_ceil(AT_ONCE).max(1));
        let threads: Vec<_> = parts.map(|part| scope.spawn(|| to_disk(part))).collect();
        let broke = |_| Err(io::Error::other("a thread broke"));
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(broke))
    })
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.kept {
            remove(&self.partial, self.form);
        }
    }
}

/// Replaces nothing, ever.
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    renameat_with(rustix::fs::CWD, from, rustix::fs::CWD, to, RenameFlags::NOREPLACE)?;
    Ok(())
}

fn remove(path: &Path, form: Form) {
    let _ = match form {
        Form::Directory => fs::remove_dir_all(path),
        _ => fs::remove_file(path),
    };
}

fn make(partial: &Path, form: Form) -> io::Result<File> {
    if form == Form::Directory {
        DirBuilder::new().mode(0o700).create(partial)?;
        return File::open(partial);
    }
    new_file(partial)
}

/// A new file that nobody else may read, whatever the umask; a link in its place is an error.
pub(super) fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Makes it and locks it. Between the two another run may take it for abandoned, and sweep it.
fn take_lock(partial: &Path, form: Form) -> io::Result<File> {
    for _ in 0..10 {
        let made = make(partial, form)?;
        let locked = flock(&made, FlockOperation::NonBlockingLockExclusive).is_ok();
        if locked && is_at(&made, partial).unwrap_or(false) {
            return Ok(made);
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// The open file is the one at that path.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (open, named) = (file.metadata()?, path.symlink_metadata()?);
    Ok((open.dev(), open.ino()) == (named.dev(), named.ino()))
}

/// Removes what killed runs have left: of this target, and of our own names in the folder.
fn sweep(folder: &Path, target: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(name) = name.strip_suffix(PARTIAL) else { continue };
        let of = path.with_file_name(name);
        // By its name: the folder of one may be written as `.` and of the other not at all.
        let ours = [target.to_path_buf(), beside(target, SUFFIX)];
        if !name.starts_with(PREFIX) && !ours.iter().any(|path| path.file_name() == of.file_name())
        {
            continue;
        }
        // A manifest in the making belongs to a backup in the making.
        let made_beside =
            name.strip_suffix(SUFFIX).map(|name| path.with_file_name(format!("{name}{PARTIAL}")));
        if made_beside.is_some_and(|partial| partial.symlink_metadata().is_ok()) {
            continue;
        }
        // A link or a pipe under such a name is nobody's backup, and a pipe would be waited for.
        let Ok(meta) = path.symlink_metadata() else { continue };
        if !meta.is_dir() && !meta.is_file() {
            continue;
        }
        // What cannot be opened is somebody else's; what is locked is being written.
        let Ok(file) = File::open(&path) else { continue };
        let is_left = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
            && is_at(&file, &path).unwrap_or(false);
        if !is_left {
            continue;
        }
        // Killed between its two names, a run leaves the manifest of what is not there.
        if of.symlink_metadata().is_err() {
            let _ = fs::remove_file(beside(&of, SUFFIX));
        }
        remove(&path, if meta.is_dir() { Form::Directory } else { Form::Custom });
    }
}

/// The folder that holds it.
pub fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// The path with something after its name.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(suffix);
    path.with_file_name(name)
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    let what = format!("cannot write {}", path.display());
    let failure = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Failure::refused(what).hint("name a folder that can be written to: -o, or --backup-dir")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Failure::unexpected(what).hint("make room, or name another folder: -o, or --backup-dir")
        }
        _ => Failure::unexpected(what),
    };
    failure.because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_kept_is_whole_and_nobody_elses_business() {
        let folder = tempfile::TempDir::new().unwrap();
        let target = folder.path().join("a");
        let place = Place::take(&target, Form::Directory, false).unwrap();
        fs::write(place.partial().join("toc.dat"), "x").unwrap();
        assert_eq!(names(folder.path()), ["a.partial"]);
        place.keep("{}").unwrap();
        assert_eq!(names(folder.path()), ["a", "a.manifest.json"]);
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&target), 0o700);
        assert_eq!(mode(&target.join("toc.dat")), 0o600);
        assert_eq!(mode(&beside(&target, SUFFIX)), 0o600);
    }

    #[test]
    fn what_is_not_kept_is_gone_and_what_a_killed_run_left_too() {
        let folder = tempfile::TempDir::new().unwrap();
        let target = folder.path().join("markenmate-backup-1.dump");
        drop(Place::take(&target, Form::Custom, false).unwrap());
        assert_eq!(names(folder.path()), <[&str; 0]>::default());
        fs::write(folder.path().join("markenmate-backup-0.dump.partial"), "left").unwrap();
        fs::create_dir(folder.path().join("markenmate-backup-2.partial")).unwrap();
        fs::write(folder.path().join("somebody.partial"), "else's").unwrap();
        let held = Place::take(&target, Form::Custom, false).unwrap();
        let expected = ["markenmate-backup-1.dump.partial", "somebody.partial"];
        assert_eq!(names(folder.path()), expected);
        // Another run sweeps, too, and leaves alone what is held.
        let other = folder.path().join("markenmate-backup-3");
        drop(Place::take(&other, Form::Directory, false).unwrap());
        assert_eq!(names(folder.path()), expected);
        let again = Place::take(&target, Form::Custom, false).unwrap_err();
        assert!(again.message.contains("is being written by another run"), "{}", again.message);
        drop(held);
    }

    #[test]
    fn nothing_is_overwritten_or_followed() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "precious").unwrap();
        symlink("nowhere", path("link")).unwrap();
        fs::write(path("b.manifest.json"), "of another").unwrap();
        for name in ["file", "link", "b"] {
            for form in [Form::Custom, Form::Directory] {
                let failure = Place::take(&path(name), form, false).unwrap_err();
                assert_eq!(failure.kind.exit_code(), 4, "{name}");
                assert!(failure.message.contains("nothing is overwritten"), "{}", failure.message);
            }
        }
        symlink(path("file"), path("c.partial")).unwrap();
        assert!(Place::take(&path("c"), Form::Custom, false).is_err());
        assert_eq!(fs::read_to_string(path("file")).unwrap(), "precious");
        // Somebody makes the target meanwhile.
        let place = Place::take(&path("d"), Form::Custom, false).unwrap();
        fs::write(path("d"), "theirs").unwrap();
        assert!(place.keep("{}").is_err());
        assert_eq!(fs::read_to_string(path("d")).unwrap(), "theirs");
    }
}
