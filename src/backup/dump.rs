//! Running pg_dump into a place, hashing what it writes.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};

use crate::context::Context;
use crate::db::interrupt::interrupted;
use crate::failure::{Failure, Kind};

use super::archive::{complaint, piped};
use super::form::Form;
use super::manifest::{File, hex};
use super::place::Place;

/// How often progress is said: on a terminal, and elsewhere.
const FRESH: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

/// What has happened so far, for whoever waits.
#[derive(Debug, Default)]
struct Progress {
    bytes: AtomicU64,
    table: Mutex<String>,
}

/// Runs `command`, a pg_dump, into the place, through `encrypt` where that is asked for, and hashes
/// every byte. A signal ends it.
///
/// # Errors
/// What pg_dump said, where it did not end well; what the system said, where nothing could be written.
pub async fn run(
    cx: &Context,
    command: &mut Command,
    encrypt: Option<Command>,
    place: &Place,
    form: Form,
) -> Result<Vec<File>, Failure> {
    command.stderr(std::process::Stdio::piped());
    if form == Form::Directory {
        command.arg("--file").arg(place.partial()).stdout(std::process::Stdio::null());
    } else {
        command.stdout(std::process::Stdio::piped());
    }
    let mut child = command
        .spawn()
        .map_err(|error| Failure::unexpected("cannot start pg_dump").because(error))?;
    let mut age = encrypt.map(|encrypt| through(&mut child, encrypt)).transpose()?;
    let progress = Arc::new(Progress::default());
    let stderr =
        child.stderr.take().map(|stderr| tokio::spawn(listen(stderr, Arc::clone(&progress))));
    let work = async {
        let written = match form {
            Form::Directory => Ok(None),
            _ => stream(age.as_mut().unwrap_or(&mut child), place, &progress).await.map(Some),
        };
        let status = child.wait().await;
        (written, status)
    };
    let (written, status) = tokio::select! {
        done = work => done,
        () = cx.interrupt.raised(1) => return Err(interrupted()),
        never = tell(cx, place, form, &progress) => never,
    };
    let said = match stderr {
        Some(reader) => reader.await.unwrap_or_default(),
        None => Vec::new(),
    };
    let status =
        status.map_err(|error| Failure::unexpected("cannot wait for pg_dump").because(error))?;
    // A full disk ends both: what the system said is the reason.
    let file = written.map_err(|error| cannot_write(place, &error))?;
    // Where age ends early pg_dump's pipe breaks: age is the reason.
    if let Some(said) = complaint(age).await {
        return Err(Failure::refused("age cannot encrypt: there is no backup")
            .because(said)
            .hint("is it a whole public key? --recipient age1..., as age-keygen prints it"));
    }
    ended_well(status, &said)?;
    match file {
        Some(file) => Ok(vec![file]),
        None => hash_folder(place.partial()).map_err(|error| cannot_write(place, &error)),
    }
}

/// Has what a child writes encrypted.
fn through(child: &mut Child, mut encrypt: Command) -> Result<Child, Failure> {
    encrypt.stdin(piped(child)?).stdout(std::process::Stdio::piped());
    encrypt.spawn().map_err(|error| Failure::unexpected("cannot start age").because(error))
}

/// What it says on stderr, as long as it says it: which table, and in the end what went wrong.
async fn listen(stderr: ChildStderr, progress: Arc<Progress>) -> Vec<String> {
    let mut stderr = BufReader::new(stderr);
    let (mut said, mut bytes) = (Vec::new(), Vec::new());
    let mut last = VecDeque::new();
    // Names come in the database's encoding, which need not be UTF-8.
    while let Ok(1..) = stderr.read_until(b'\n', &mut bytes).await {
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        bytes.clear();
        if let Some((_, table)) = line.split_once("dumping contents of table ") {
            *progress.table.lock().unwrap_or_else(PoisonError::into_inner) =
                table.trim_matches('"').into();
        } else if is_complaint(&line) && said.len() < 20 {
            said.push(line.clone());
        }
        last.push_back(line);
        if last.len() > 5 {
            last.pop_front();
        }
    }
    // Several workers write at once, and through each other's lines: what is nobody's may be the reason.
    last.retain(|line| !line.starts_with("pg_dump: ") && !said.contains(line));
    said.extend(last);
    said
}

/// With `--verbose` most lines are none.
fn is_complaint(line: &str) -> bool {
    ["error:", "warning:", "detail:", "hint:", "FATAL", "ERROR", "LOCK TABLE"]
        .iter()
        .any(|word| line.contains(word))
}

async fn stream(child: &mut Child, place: &Place, progress: &Progress) -> io::Result<File> {
    let mut file = place.file()?;
    let mut hash = Sha256::new();
    let mut bytes = 0;
    let Some(mut stdout) = child.stdout.take() else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = stdout.read(&mut buffer).await?;
        if count == 0 {
            break;
        }
        hash.update(&buffer[..count]);
        file.write_all(&buffer[..count])?;
        bytes += count as u64;
        progress.bytes.store(bytes, Ordering::Relaxed);
    }
    let name = place.target().file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(File { name, bytes, sha256: hex(&hash.finalize()) })
}

/// Says how far it is, for ever.
async fn tell<T>(cx: &Context, place: &Place, form: Form, progress: &Progress) -> T {
    let began = Instant::now();
    let fresh = FRESH[usize::from(!cx.console.is_interactive())];
    loop {
        tokio::time::sleep(fresh).await;
        let bytes = match form {
            Form::Directory => folder_bytes(place.partial()),
            _ => progress.bytes.load(Ordering::Relaxed),
        };
        let table = progress.table.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let at = if table.is_empty() { String::new() } else { format!(", at {table}") };
        cx.console.say(&format!(
            "backup: {} written in {} s{at}",
            megabytes(bytes),
            began.elapsed().as_secs()
        ));
    }
}

/// As people read it.
pub fn megabytes(bytes: u64) -> String {
    match bytes {
        0..=999_999 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..=999_999_999 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

fn folder_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|meta| meta.len()).sum()
}

fn ended_well(status: ExitStatus, said: &[String]) -> Result<(), Failure> {
    if status.success() {
        return Ok(());
    }
    let how = match status.code() {
        Some(code) => format!("pg_dump ended with {code}"),
        None => "pg_dump was ended by a signal".into(),
    };
    // Only its first statements have a timeout: those that lock the tables.
    let locked = said.iter().any(|line| line.contains("due to statement timeout"))
        && said.iter().any(|line| line.contains("LOCK TABLE"));
    let kind = if locked { Kind::Busy } else { Kind::Unexpected };
    Err(complained(Failure::new(kind, format!("{how}: there is no backup")), said))
}

/// A failed pg_dump with what it said. Where the role may not read all of it, that is a refusal.
pub fn complained(failure: Failure, said: &[String]) -> Failure {
    let denied = said.iter().any(|line| line.contains("permission denied"));
    let mut failure = said.iter().fold(failure, |failure, line| failure.because(line));
    if denied {
        failure.kind = Kind::Refused;
        failure = failure.hint("a backup needs a role that may read everything: the tables' owner, or the reader of markenmate util grants");
    }
    failure
}

/// Every file of a folder, by name.
///
/// # Errors
/// The system's.
pub fn hash_folder(folder: &Path) -> io::Result<Vec<File>> {
    if !folder.symlink_metadata()?.is_dir() {
        return Err(io::Error::other("it is no folder"));
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        files.push(hash_file(&entry.path(), name)?);
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// One file.
///
/// # Errors
/// The system's; what is no plain file is an error, too.
pub fn hash_file(path: &Path, name: String) -> io::Result<File> {
    let mut file = open_file(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut bytes = 0;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(File { name, bytes, sha256: hex(&hash.finalize()) });
        }
        hash.update(&buffer[..count]);
        bytes += count as u64;
    }
}

/// A plain file to read, and nothing else under its name.
pub(super) fn open_file(path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    // A pipe in its place would be waited for without end.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no plain file")),
    }
}

fn cannot_write(place: &Place, error: &io::Error) -> Failure {
    let failure = Failure::unexpected(format!(
        "cannot write {}: there is no backup",
        place.target().display()
    ))
    .because(error);
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            failure.hint("make room, or name another folder: -o, or --backup-dir")
        }
        _ => failure,
    }
}
