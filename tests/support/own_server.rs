//! What is done to a server of the test's own: SQL programs beside it, restarts, a standby.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use markenmate::sandbox::Sandbox;
use tempfile::TempDir;

/// A program of PostgreSQL: beside the server, else from the path, as packages of a server alone have
/// neither `psql` nor `pg_dump`.
pub fn program(server: &Sandbox, name: &str) -> PathBuf {
    let beside = server.bindir().join(name);
    if beside.is_file() { beside } else { PathBuf::from(name) }
}

/// A command that runs as whoever owns the server's files: PostgreSQL refuses root.
pub fn as_owner_of(path: &Path, program: &Path) -> Command {
    let owner = std::fs::metadata(path).unwrap();
    let mut command = Command::new(program);
    command.uid(owner.uid()).gid(owner.gid()).current_dir("/").env_clear().env("LC_ALL", "C");
    for name in ["PATH", "LD_LIBRARY_PATH"] {
        command.envs(super::env().var(name).map(|value| (name, value)));
    }
    command
}

#[track_caller]
pub fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}\n{}\n{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// `pg_ctl -m MODE ACTION` on the server's data.
pub fn pg_ctl(server: &Sandbox, action: &str, mode: &str) {
    let mut command = as_owner_of(&server.data_dir(), &server.bindir().join("pg_ctl"));
    command.arg("-D").arg(server.data_dir()).args(["-s", "-w", "-m", mode, "-l"]);
    succeed(command.arg(server.log_path()).arg(action));
}

/// A hot standby of a server of the test's own, beside it.
pub struct Standby {
    _folder: TempDir,
    data: PathBuf,
    bindir: PathBuf,
    socket: PathBuf,
}

impl Standby {
    /// Copies the stopped server's files, which every version can, and follows it.
    pub fn of(server: &Sandbox) -> Self {
        let folder = TempDir::new_in("/tmp").unwrap();
        let owner = std::fs::metadata(server.data_dir()).unwrap();
        std::os::unix::fs::chown(folder.path(), Some(owner.uid()), Some(owner.gid())).unwrap();
        let data = folder.path().join("data");
        pg_ctl(server, "stop", "fast");
        let mut copy = as_owner_of(&server.data_dir(), Path::new("/bin/cp"));
        succeed(copy.arg("-a").arg(server.data_dir()).arg(&data));
        let mut start = as_owner_of(&server.data_dir(), &server.bindir().join("pg_ctl"));
        start.arg("-D").arg(server.data_dir()).args(["-s", "-w", "-l"]).arg(server.log_path());
        // What the first start was told on the command line.
        let options = std::fs::read_to_string(server.data_dir().join("postmaster.opts")).unwrap();
        let (_, arguments) = options.split_once(' ').unwrap();
        succeed(start.args(["-o", arguments.trim(), "start"]));
        let standby = Self {
            data,
            bindir: server.bindir().to_path_buf(),
            socket: folder.path().to_path_buf(),
            _folder: folder,
        };
        standby.follow(server);
        standby
    }

    fn follow(&self, server: &Sandbox) {
        let mut touch = as_owner_of(&self.data, Path::new("/bin/sh"));
        let _ = std::fs::remove_file(self.data.join("postmaster.opts"));
        succeed(touch.args(["-c", ": >\"$0\""]).arg(self.data.join("standby.signal")));
        let primary =
            format!("host={} port={} user=postgres", server.socket_dir().display(), server.port());
        let options = format!(
            "-k {} -c port=5433 -c listen_addresses= -c max_connections=200 -c hot_standby=on \
             -c \"primary_conninfo={primary}\"",
            self.socket.display()
        );
        let mut start = as_owner_of(&self.data, &self.bindir.join("pg_ctl"));
        start.arg("-D").arg(&self.data).args(["-s", "-w", "-o", &options, "-l"]);
        succeed(start.arg(self.socket.join("log")).arg("start"));
    }

    /// Takes over.
    pub fn promote(&self) {
        let mut promote = as_owner_of(&self.data, &self.bindir.join("pg_ctl"));
        succeed(promote.arg("-D").arg(&self.data).args(["-s", "-w", "promote"]));
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.socket.join(".s.PGSQL.5433")
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@/{database}?host={}&port=5433", self.socket.display())
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        let mut stop = as_owner_of(&self.data, &self.bindir.join("pg_ctl"));
        let _ = stop.arg("-D").arg(&self.data).args(["-s", "-m", "immediate", "stop"]).output();
    }
}
