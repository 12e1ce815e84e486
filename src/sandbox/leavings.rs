//! What is left where a process and the shell that keeps its server were both killed: a server that runs, and a
//! folder with the rows that were restored. The next server that is started removes it.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, OFlags, flock};

use super::account::Account;

const SCRIPT: &str = concat!(include_str!("stop.sh"), "stop_and_remove \"$1\" \"$2\"\n");

/// The file in a server's folder that is locked for as long as somebody uses it. Folders without it are of older
/// versions, or of others.
pub(super) const LOCK: &str = "tool.lock";

/// Between the making of the file and its lock there is a moment.
const YOUNG: Duration = Duration::from_secs(60);

/// Takes the lock of a folder that was just made. None: nobody keeps it from being swept, once it is old.
pub(super) fn hold(folder: &Path) -> Option<File> {
    let file = open(&folder.join(LOCK))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(file)
}

/// Stops and removes what nobody holds. What cannot be is left: it is not what was asked for.
pub(super) fn sweep(places: &[PathBuf], account: Option<&Account>) {
    let us = account.map_or_else(|| rustix::process::geteuid().as_raw(), |account| account.uid);
    for place in places {
        for entry in fs::read_dir(place).into_iter().flatten().flatten() {
            let folder = entry.path();
            let is_ours = is_name(&entry.file_name().to_string_lossy())
                && folder.symlink_metadata().is_ok_and(|meta| meta.is_dir() && meta.uid() == us);
            let Some(_lock) = is_ours.then(|| abandoned(&folder)).flatten() else { continue };
            let pid = server(&folder).unwrap_or_default();
            tracing::info!(folder = %folder.display(), pid, "what a killed run had left is removed");
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", SCRIPT, "markenmate-sweep", &pid]).arg(&folder).current_dir("/");
            if let Some(account) = account {
                // Whatever the folder says, nobody else's process is ended, and nobody else's file removed.
                shell.uid(account.uid).gid(account.gid);
            }
            let _ = shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}

/// As `Sandbox::start` gives them.
fn is_name(name: &str) -> bool {
    name.strip_prefix("markenmate-").is_some_and(|rest| {
        rest.len() == 12 && rest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// The lock of a folder that nobody holds, and that is old enough to have been held.
fn abandoned(folder: &Path) -> Option<File> {
    let lock = open(&folder.join(LOCK))?;
    let made = lock.metadata().and_then(|meta| meta.modified()).ok()?;
    let old = SystemTime::now().duration_since(made).is_ok_and(|age| age > YOUNG);
    (old && flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok()).then_some(lock)
}

fn open(path: &Path) -> Option<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let flags = i32::try_from(flags).ok()?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    file.metadata().is_ok_and(|meta| meta.is_file()).then_some(file)
}

/// The process id of the folder's server. A number alone proves nothing, as numbers are given again: where the
/// socket in the folder answers, its server lives, and the file beside the data is its own.
fn server(folder: &Path) -> Option<String> {
    let is_socket = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(".s.PGSQL.") && !name.ends_with(".lock")
    };
    let paths = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    paths.filter(is_socket).find(|path| UnixStream::connect(path).is_ok())?;
    let file = fs::read_to_string(folder.join("data").join("postmaster.pid")).ok()?;
    let pid: u32 = file.lines().next()?.trim().parse().ok()?;
    Some(pid.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_swept() {
        assert!(is_name("markenmate-0123456789ab"));
        for other in ["markenmate-", "markenmate-0123456789aB", "markenmate-0123456789abc", "x"] {
            assert!(!is_name(other), "{other}");
        }
    }
}
