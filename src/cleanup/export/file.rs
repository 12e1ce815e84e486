//! A file of JSON lines, gzipped: written beside its place, on the disk, read back, and only then named.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// Rows name people: nobody else reads them.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// A file that is being written.
pub(super) struct Writing {
    target: PathBuf,
    partial: PathBuf,
    out: Option<GzEncoder<Hashed<File>>>,
    content: Sha256,
    lines: u64,
}

/// A file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// Of the file.
    pub bytes: u64,
    /// Of the file, as `sha256sum` prints it.
    pub sha256: String,
    /// Of what is in it.
    pub content: String,
    pub lines: u64,
}

impl Writing {
    /// Begins beside `target`; what a run that was killed left there is replaced.
    pub(super) fn begin(target: &Path) -> io::Result<Self> {
        target.parent().map_or(Ok(()), make_folders)?;
        let partial = partial(target);
        let file = new_file(&partial)?;
        let out = GzEncoder::new(Hashed::new(file), Compression::default());
        let target = target.to_path_buf();
        Ok(Self { target, partial, out: Some(out), content: Sha256::new(), lines: 0 })
    }

    /// Adds a line; it has no line feed in it.
    pub(super) fn line(&mut self, line: &str) -> io::Result<()> {
        let out = self.out.as_mut().ok_or_else(closed)?;
        for bytes in [line.as_bytes(), b"\n"] {
            out.write_all(bytes)?;
            self.content.update(bytes);
        }
        self.lines += 1;
        Ok(())
    }

    /// Puts it on the disk, reads it back, compares, and gives it its name.
    pub(super) fn finish(mut self) -> io::Result<Written> {
        let file = self.out.take().ok_or_else(closed)?.finish()?;
        file.inner.sync_all()?;
        let written = Written {
            bytes: file.bytes,
            sha256: hex::encode(file.hash.finalize()),
            content: hex::encode(std::mem::take(&mut self.content).finalize()),
            lines: self.lines,
        };
        let there = read(&self.partial)?;
        if there != written {
            return Err(io::Error::other("what was read back is not what was written"));
        }
        fs::rename(&self.partial, &self.target)?;
        to_disk(&self.target)?;
        Ok(written)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // Renamed, or of no use.
        let _ = fs::remove_file(&self.partial);
    }
}

/// Reads all of it.
pub(super) fn read(path: &Path) -> io::Result<Written> {
    let mut gzip =
        GzDecoder::new(BufReader::with_capacity(1 << 16, Hashed::new(File::open(path)?)));
    let mut content = Sha256::new();
    let (mut lines, mut buffer) = (0, vec![0; 1 << 16]);
    loop {
        let n = gzip.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        content.update(&buffer[..n]);
        lines += buffer[..n].iter().filter(|byte| **byte == b'\n').count() as u64;
    }
    let mut rest = gzip.into_inner();
    if !rest.fill_buf()?.is_empty() {
        return Err(io::Error::other("there is something behind its end"));
    }
    let file = rest.into_inner();
    let sha256 = hex::encode(file.hash.finalize());
    Ok(Written { bytes: file.bytes, sha256, content: hex::encode(content.finalize()), lines })
}

/// A folder and those above it; the entries of those that were not there are on the disk then.
pub(super) fn make_folders(folder: &Path) -> io::Result<()> {
    let parents = parents_of_new(folder);
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
    parents.iter().try_for_each(|parent| File::open(parent)?.sync_all())
}

/// The folders that get an entry when `folder` is made.
fn parents_of_new(folder: &Path) -> Vec<PathBuf> {
    let new = folder.ancestors().take_while(|folder| !folder.exists());
    // The parent of a name alone is where we are.
    let parent = |folder: &Path| match folder.parent() {
        Some(parent) if parent != Path::new("") => Some(parent.to_path_buf()),
        Some(_) if folder != Path::new("") => Some(PathBuf::from(".")),
        _ => None,
    };
    new.filter_map(parent).collect()
}

/// Writes a file and removes it.
pub(super) fn attempt(path: &Path) -> io::Result<()> {
    let written = new_file(path).and_then(|mut file| {
        file.write_all(b"markenmate tries whether it can write here\n").and(file.sync_all())
    });
    let removed = remove(path);
    written.and(removed)
}

/// Removes a file, where it is there, and its entry on the disk.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all()),
        Err(_) if is_absent(path) => Ok(()),
        Err(error) => Err(error),
    }
}

fn is_absent(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| {
        matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
    })
}

/// A small file, at once or not at all.
pub(super) fn write_small(path: &Path, text: &str) -> io::Result<()> {
    path.parent().map_or(Ok(()), make_folders)?;
    let partial = partial(path);
    let mut file = new_file(&partial)?;
    let named = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&partial, path));
    if named.is_err() {
        let _ = fs::remove_file(&partial);
    }
    named?;
    to_disk(path)
}

fn new_file(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Follows no link: it must not be there.
    OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)
}

/// Readers of such folders pass over names that begin with a dot or an underscore.
pub(super) fn partial(target: &Path) -> PathBuf {
    let name = target.file_name().map(|name| name.to_string_lossy().into_owned());
    target.with_file_name(format!(".{}.partial", name.unwrap_or_default()))
}

/// The name as well: the file's folder, and the three above it that may be new.
fn to_disk(path: &Path) -> io::Result<()> {
    path.ancestors()
        .skip(1)
        .take(4)
        .filter(|folder| folder.is_dir())
        .try_for_each(|folder| File::open(folder)?.sync_all())
}

fn closed() -> io::Error {
    io::Error::other("the file is closed")
}

/// Counts and hashes what passes.
struct Hashed<T> {
    inner: T,
    hash: Sha256,
    bytes: u64,
}

impl<T> Hashed<T> {
    fn new(inner: T) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }

    fn passed(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.passed(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.passed(&buffer[..n]);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path) -> Written {
        let mut writing = Writing::begin(path).unwrap();
        for n in 0..1000 {
            writing.line(&format!("{{\"n\":{n}}}")).unwrap();
        }
        writing.finish().unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("year=2025/month=11/a.jsonl.gz");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(partial(&path), "left by a run that was killed").unwrap();
        let written = write(&path);
        assert_eq!(written.lines, 1000);
        assert_eq!(read(&path).unwrap(), written);
        assert!(!partial(&path).exists());
        // The same rows, the same bytes.
        assert_eq!(write(&path), written);
    }

    #[test]
    fn the_entry_of_every_new_folder_goes_to_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let (root, new) = (folder.path(), folder.path().join("new"));
        assert_eq!(parents_of_new(&new.join("a")), [new.clone(), root.to_path_buf()]);
        make_folders(&new.join("a")).unwrap();
        assert_eq!(parents_of_new(&new.join("a")), [] as [PathBuf; 0]);
        assert_eq!(parents_of_new(Path::new("not-there")), [PathBuf::from(".")]);
    }

    #[test]
    fn what_is_cut_or_longer_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl.gz");
        write(&path);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
        assert!(read(&path).is_err());
        std::fs::write(&path, [&bytes[..], b"x"].concat()).unwrap();
        assert!(read(&path).is_err());
    }

    #[test]
    fn a_file_that_was_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl.gz");
        drop(Writing::begin(&path).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
