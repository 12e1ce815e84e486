//! pg_dump and pg_restore: which one, and how it is run. Its exit code is believed, its output is not.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use secrecy::ExposeSecret;
use tokio::process::Command;

use super::docker::Container;
use super::postgres_binaries::{BINDIR_VARIABLE, packaged, pg_config_bindir, version_of};
use super::secret_file::SecretFile;
use crate::failure::Failure;
use crate::settings::{Env, Login};

/// A client program of PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientProgram {
    /// Where it is; absolute, but in a container, whose `PATH` finds it.
    pub path: PathBuf,
    /// As it says itself, without words: `15.18`.
    pub version: String,
    /// `15`
    pub major: u32,
    container: Option<Container>,
}

/// A call of a program, and the file its password is in, which lives as long.
#[derive(Debug)]
pub struct Call {
    /// What is run. It ends when the child is dropped.
    pub command: Command,
    _secret: Option<SecretFile>,
}

/// Debian's front door to all versions, a perl script that chooses by itself.
const WRAPPER: &str = "pg_wrapper";

/// What a program gets of our environment.
const HANDED_ON: [&str; 5] = ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"];

impl ClientProgram {
    /// Finds the program for a server of that major version: in the container where one is named;
    /// else in the folder that `MARKENMATE_PG_BINDIR` names alone; else in `PATH`, where packages put
    /// it, and where `pg_config` says. The server's own major version is best; an older program
    /// cannot read the server.
    ///
    /// # Errors
    /// Refused where there is none: says which were seen, and what to install.
    pub fn find(
        env: &Env,
        via_docker: Option<&str>,
        name: &str,
        server_major: u32,
    ) -> Result<Self, Failure> {
        let seen = match via_docker {
            Some(container) => vec![Self::inside(Container::find(env, container)?, name)?],
            None => Self::installed(env, name, server_major),
        };
        let fits = seen.iter().filter(|program| program.major >= server_major);
        match fits.min_by_key(|program| program.major) {
            Some(program) => Ok(program.clone()),
            None => Err(none_fits(name, server_major, &seen)),
        }
    }

    /// Those that are installed, up to the first of the server's own version: to ask each costs a
    /// process.
    fn installed(env: &Env, name: &str, server_major: u32) -> Vec<Self> {
        let named = env.var(BINDIR_VARIABLE).filter(|dir| !dir.is_empty()).map(PathBuf::from);
        let folders: Box<dyn Iterator<Item = PathBuf>> = match named {
            Some(dir) => Box::new(std::iter::once(dir)),
            None => Box::new(
                env.path()
                    .into_iter()
                    .chain(packaged(Path::new("/")))
                    .chain(std::iter::once_with(|| pg_config_bindir(env)).flatten()),
            ),
        };
        let mut seen: Vec<Self> = Vec::new();
        for path in folders.map(|dir| dir.join(name)).filter(|path| path.is_file()) {
            let real = path.canonicalize().unwrap_or_else(|_| path.clone());
            let known = |other: &Self| other.path == path || other.path == real;
            if real.ends_with(WRAPPER) || seen.iter().any(known) {
                continue;
            }
            // What does not say that it is PostgreSQL's is not.
            let Ok(version) = version_of(&path) else { continue };
            seen.extend(Self::new(path, version, None));
            if seen.last().is_some_and(|program| program.major == server_major) {
                break;
            }
        }
        seen
    }

    fn inside(container: Container, name: &str) -> Result<Self, Failure> {
        let said = container.version_of(name)?;
        // "pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
        let version = said.split_whitespace().nth(2).unwrap_or_default().to_owned();
        Self::new(name.into(), version, Some(container)).ok_or_else(|| {
            Failure::refused(format!("{name} in the container is not PostgreSQL's")).because(said)
        })
    }

    fn new(path: PathBuf, version: String, container: Option<Container>) -> Option<Self> {
        let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
        Some(Self { major: digits.parse().ok()?, path, version, container })
    }

    /// Whether a pg_dump was built with this `--compress`, of which it says so before it connects.
    pub fn knows_compression(&self, env: &Env, argument: &str) -> bool {
        let Ok(call) = self.call(env, None) else { return false };
        let mut command = call.command.into_std();
        command.arg(format!("--compress={argument}")).args(["--dbname", "host=/nonexistent"]);
        let output = command.output();
        output.is_ok_and(|output| {
            !String::from_utf8_lossy(&output.stderr).contains("does not support compression")
        })
    }

    fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// It runs in a container: of our files it sees none, only what is piped to it.
    pub const fn is_inside(&self) -> bool {
        self.container.is_some()
    }

    /// A call in an environment of its own, with `--dbname` where it is to connect: the settings are
    /// in its arguments, the password in a file that only it can open.
    ///
    /// # Errors
    /// The system gives no memory or no file for the password.
    pub fn call(&self, env: &Env, login: Option<&Login>) -> Result<Call, Failure> {
        let password = login.and_then(|login| login.password.as_ref());
        let (mut command, secret) = match &self.container {
            Some(container) => {
                // The container sees no file of ours; the variable's value is in no argument.
                let names = ["PGPASSWORD"].into_iter().filter(|_| password.is_some());
                let mut command = container.exec(names);
                command.arg(&self.path);
                clear(&mut command, env);
                command.envs(password.map(|password| ("PGPASSWORD", password.expose_secret())));
                (command, None)
            }
            None => {
                let secret = secret(env, login)?;
                let mut command = Command::new(&self.path);
                clear(&mut command, env);
                // Never the user's own: what was connected to is what is meant.
                let file = secret.as_ref().map_or(Path::new("/dev/null/none"), SecretFile::path);
                command.env("PGPASSFILE", file);
                // Whoever looks at who holds locks sees which program it is.
                command.env("PGAPPNAME", format!("{} of markenmate", self.name()));
                (command, secret)
            }
        };
        if let Some(login) = login {
            let to = if self.is_inside() { &login.inside } else { &login.conninfo };
            command.args(["--no-password", "--dbname", to]);
        }
        Ok(Call { command, _secret: secret })
    }
}

impl std::fmt::Display for ClientProgram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.path.display(), self.version)?;
        self.container.iter().try_for_each(|container| write!(f, " in container {container}"))
    }
}

fn clear(command: &mut Command, env: &Env) {
    command.env_clear().env("LC_ALL", "C").stdin(Stdio::null()).kill_on_drop(true);
    for name in HANDED_ON.iter().chain(super::docker::HANDED_ON) {
        command.envs(env.var(name).map(|value| (name, value)));
    }
}

fn secret(env: &Env, login: Option<&Login>) -> Result<Option<SecretFile>, Failure> {
    let line = login.and_then(|login| login.passfile_line.as_ref());
    let make = |line| SecretFile::new(line, &env.temp_dir());
    line.map(make).transpose().map_err(|error| {
        Failure::unexpected("cannot hand the password to the client programs").because(error)
    })
}

fn none_fits(name: &str, server_major: u32, seen: &[ClientProgram]) -> Failure {
    let what = format!("no {name} of PostgreSQL {server_major} or later was found");
    let mut failure = Failure::refused(what);
    for ClientProgram { path, version, .. } in seen {
        failure = failure.because(format!("{} is of version {version}", path.display()));
    }
    failure
        .hint(format!("Debian and Ubuntu: apt-get install postgresql-client-{server_major}"))
        .hint(format!("Fedora: dnf install postgresql{server_major}"))
        .hint(format!("macOS: brew install postgresql@{server_major}"))
        .hint("or run it where the database is: --via-docker CONTAINER")
        .hint(format!("{BINDIR_VARIABLE} names the folder where it is"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A folder with a program of that name which says this.
    fn program(root: &Path, folder: &str, says: &str) -> String {
        let dir = root.join(folder);
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("pg_dump");
        std::fs::write(&file, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        dir.display().to_string()
    }

    #[test]
    fn the_servers_own_version_is_best_and_an_older_one_or_a_fake_is_none() {
        let root = tempfile::TempDir::new().unwrap();
        let dirs = [
            program(root.path(), "fake", "I am not the one"),
            program(root.path(), "old", "pg_dump (PostgreSQL) 14.9"),
            program(root.path(), "newest", "pg_dump (PostgreSQL) 99.1"),
            program(root.path(), "own", "pg_dump (PostgreSQL) 98.4 (Debian 98.4-1)"),
        ];
        let env = Env::of([("PATH", &dirs.join(":")), (BINDIR_VARIABLE, "")]);
        let found = ClientProgram::find(&env, None, "pg_dump", 98).unwrap();
        assert_eq!((found.version.as_str(), found.major), ("98.4", 98));
        assert_eq!(ClientProgram::find(&env, None, "pg_dump", 99).unwrap().major, 99);

        let env = Env::of([("PATH", ""), (BINDIR_VARIABLE, &dirs[1])]);
        let failure = ClientProgram::find(&env, None, "pg_dump", 15).unwrap_err();
        assert_eq!(failure.kind.exit_code(), 4);
        assert!(failure.causes[0].ends_with("is of version 14.9"), "{:?}", failure.causes);
        assert!(failure.hints[0].contains("postgresql-client-15"), "{:?}", failure.hints);
    }
}
