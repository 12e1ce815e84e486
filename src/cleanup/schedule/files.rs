//! Files below `/`, or below the root of a package: compared, written whole or not at all, taken away.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::crontab::Crontab;
use super::marker::{self, Ours};

/// A file as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Absolute, without the root.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
    /// Its permissions.
    pub mode: u32,
}

/// What is there in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Absent,
    /// The very same.
    Same,
    /// Ours, from another run: another path, user, version.
    Other,
    /// Ours, and changed by hand since.
    Changed,
    /// Ours, for another database.
    OfAnother(String),
    /// Somebody else's.
    Foreign,
}

impl State {
    /// In one word, for scripts.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Same => "installed",
            Self::Other => "differs",
            Self::Changed => "changed_by_hand",
            Self::OfAnother(_) => "of_another_database",
            Self::Foreign => "not_ours",
        }
    }
}

/// Whose the file there is; none: there is nothing. What is no plain file is somebody else's.
///
/// # Errors
/// It cannot be read.
pub fn whose(path: &Path) -> io::Result<Option<Ours>> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !metadata.is_file() {
        return Ok(Some(Ours::No));
    }
    let Ok(text) = String::from_utf8(fs::read(path)?) else { return Ok(Some(Ours::No)) };
    match is_crontab(path) {
        true => Ok(Crontab::read(&text).whose()),
        false => Ok(Some(marker::read(&text))),
    }
}

/// Others may have lines in it.
fn is_crontab(path: &Path) -> bool {
    path.parent().is_some_and(|folder| folder.ends_with("etc/cron.d"))
}

impl File {
    /// The path below `root`.
    pub fn at(&self, root: &Path) -> PathBuf {
        root.join(self.path.strip_prefix("/").unwrap_or(&self.path))
    }

    /// What is there, for the database at `place`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn state(&self, root: &Path, place: &str) -> io::Result<State> {
        let path = self.at(root);
        let Some(ours) = whose(&path)? else { return Ok(State::Absent) };
        Ok(match ours {
            Ours::No => State::Foreign,
            Ours::Untouched { place: of } | Ours::Changed { place: of } if of != place => {
                State::OfAnother(of)
            }
            Ours::Changed { .. } => State::Changed,
            Ours::Untouched { .. }
                if self.is_in(&fs::read(&path)?)
                    && fs::metadata(&path)?.mode() & 0o7777 == self.mode =>
            {
                State::Same
            }
            Ours::Untouched { .. } => State::Other,
        })
    }

    /// All of it, or all that is ours of it.
    fn is_in(&self, bytes: &[u8]) -> bool {
        let text = str::from_utf8(bytes).unwrap_or_default();
        let block = is_crontab(&self.path).then(|| Crontab::read(text).block).flatten();
        text == self.text || block.is_some_and(|block| block == self.text)
    }

    /// What others have in the file that is there: it stays.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn theirs(&self, root: &Path) -> io::Result<String> {
        if !is_crontab(&self.path) {
            return Ok(String::new());
        }
        match fs::read_to_string(self.at(root)) {
            Ok(text) => Ok(Crontab::read(&text).theirs),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(error),
        }
    }

    /// Writes it beside its place and moves it there: nobody reads half of one.
    ///
    /// # Errors
    /// The system's. Nothing is left of it then.
    pub fn write(&self, root: &Path) -> io::Result<()> {
        let path = self.at(root);
        let folder = path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // systemd and cron pass over such names.
        let partial = folder.join(format!(".{name}.{}.partial", std::process::id()));
        let mut options = OpenOptions::new();
        let written = options
            .write(true)
            .create_new(true)
            .mode(self.mode)
            .open(&partial)
            .and_then(|mut file| {
                file.write_all(self.text.as_bytes())?;
                // Whatever the umask says.
                file.set_permissions(fs::Permissions::from_mode(self.mode))?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&partial, &path));
        if written.is_err() {
            let _ = fs::remove_file(&partial);
        }
        written.and_then(|()| fs::File::open(folder)?.sync_all())
    }

    /// Takes it away, and its folder where that was for such files only and is empty now.
    ///
    /// # Errors
    /// The system's.
    pub fn remove(&self, root: &Path) -> io::Result<()> {
        let path = self.at(root);
        fs::remove_file(&path)?;
        if let Some(folder) = path.parent().filter(|folder| folder.ends_with("etc/markenmate")) {
            let _ = fs::remove_dir(folder);
        }
        Ok(())
    }

    /// Where it is kept when it was changed by hand, below `root`: neither systemd nor cron reads such a name. What was
    /// kept before is not replaced: `.by-hand`, `.by-hand-2`, and so on.
    pub fn kept(&self, root: &Path) -> PathBuf {
        let numbered = |n: u32| {
            let mut name = self.at(root).into_os_string();
            name.push(if n == 1 { ".by-hand".to_owned() } else { format!(".by-hand-{n}") });
            PathBuf::from(name)
        };
        let mut kept = (1..).map(numbered);
        kept.find(|path| fs::symlink_metadata(path).is_err()).unwrap_or_else(|| numbered(0))
    }

    /// Keeps it there.
    ///
    /// # Errors
    /// The system's.
    pub fn keep(&self, root: &Path) -> io::Result<()> {
        fs::hard_link(self.at(root), self.kept(root))?;
        fs::remove_file(self.at(root))
    }
}
