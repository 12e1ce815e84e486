//! A password file for a child that uses libpq. On Linux it is no file at all: it has no name that
//! others could open, and is gone with the last process that knows it, however that ends.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

/// A file of mode 0600 that holds one line, for as long as this value lives.
#[derive(Debug)]
pub struct SecretFile {
    path: PathBuf,
    /// Open, and so inherited by children, for as long as the path is to lead somewhere.
    _file: File,
}

impl SecretFile {
    /// Writes the line.
    ///
    /// # Errors
    /// The system's.
    pub fn new(line: &SecretString, temp_dir: &Path) -> io::Result<Self> {
        Self::with(line.expose_secret(), temp_dir)
    }

    /// Writes what need not be secret, but is a child's alone.
    ///
    /// # Errors
    /// The system's.
    pub fn with(text: &str, temp_dir: &Path) -> io::Result<Self> {
        let mut made = Self::make(temp_dir)?;
        made._file.write_all(text.as_bytes())?;
        made._file.write_all(b"\n")?;
        Ok(made)
    }

    /// Its name for a child, as `PGPASSFILE` for one.
    pub fn path(&self) -> &Path {
        &self.path
    }

    #[cfg(target_os = "linux")]
    fn make(_temp_dir: &Path) -> io::Result<Self> {
        use rustix::fs::{MemfdFlags, Mode, fchmod, memfd_create};
        use std::os::fd::AsRawFd;
        // Without CLOEXEC: the child opens it by its number.
        let memory = memfd_create("markenmate-passfile", MemfdFlags::empty())?;
        fchmod(&memory, Mode::RUSR | Mode::WUSR)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", memory.as_raw_fd()));
        Ok(Self { path, _file: memory.into() })
    }

    #[cfg(not(target_os = "linux"))]
    fn make(temp_dir: &Path) -> io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let path = temp_dir.join(format!("markenmate-{}", uuid::Uuid::new_v4().simple()));
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { path, _file: file })
    }
}

#[cfg(not(target_os = "linux"))]
impl Drop for SecretFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
