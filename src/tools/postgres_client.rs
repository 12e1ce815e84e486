//! pg_dump and pg_restore: which one, and how it is run. Its exit code is believed, its output is not.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use secrecy::SecretString;
use tokio::process::Command;

use super::postgres_binaries::{BINDIR_VARIABLE, packaged, pg_config_bindir, version_of};
use super::secret_file::SecretFile;
use crate::failure::Failure;
use crate::settings::Env;

/// A client program of PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientProgram {
    /// Where it is; absolute.
    pub path: PathBuf,
    /// As it says itself, without words: `15.18`.
    pub version: String,
    /// `15`
    pub major: u32,
}

/// Debian's front door to all versions, a perl script that chooses by itself.
const WRAPPER: &str = "pg_wrapper";

impl ClientProgram {
    /// Finds the program for a server of that major version: in the folder that
    /// `MARKENMATE_PG_BINDIR` names alone, else in `PATH`, where `pg_config` says, and where packages
    /// put it. The server's own major version is best; an older program cannot read the server.
    ///
    /// # Errors
    /// Refused where there is none: says which were seen, and what to install.
    pub fn find(env: &Env, name: &str, server_major: u32) -> Result<Self, Failure> {
        let named = env.var(BINDIR_VARIABLE).filter(|dir| !dir.is_empty()).map(PathBuf::from);
        let folders: Vec<PathBuf> = match named {
            Some(dir) => vec![dir],
            None => env
                .path()
                .into_iter()
                .chain(pg_config_bindir(env))
                .chain(packaged(Path::new("/")))
                .collect(),
        };
        let mut seen: Vec<Self> = Vec::new();
        for path in folders.iter().map(|dir| dir.join(name)).filter(|path| path.is_file()) {
            let real = path.canonicalize().unwrap_or_else(|_| path.clone());
            let known = |other: &Self| other.path == path || other.path == real;
            if real.ends_with(WRAPPER) || seen.iter().any(known) {
                continue;
            }
            // What does not say that it is PostgreSQL's is not.
            let Ok(version) = version_of(&path) else { continue };
            let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
            let Ok(major) = digits.parse() else { continue };
            seen.push(Self { path, version, major });
        }
        let fits = seen.iter().filter(|program| program.major >= server_major);
        match fits.min_by_key(|program| program.major) {
            Some(program) => Ok(program.clone()),
            None => Err(none_fits(name, server_major, &seen)),
        }
    }

    /// A call of it in an environment of its own: the connection's settings are in its arguments,
    /// the password in a file that only it can open. It ends when the value is dropped.
    pub fn command(&self, env: &Env, secret: Option<&SecretFile>) -> Command {
        let mut command = Command::new(&self.path);
        command.env_clear().env("LC_ALL", "C").stdin(Stdio::null()).kill_on_drop(true);
        for name in ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
            command.envs(env.var(name).map(|value| (name, value)));
        }
        // Never the user's own: what was connected to is what is meant.
        command.env("PGPASSFILE", secret.map_or(Path::new("/dev/null"), SecretFile::path));
        command.env("PGAPPNAME", "markenmate");
        command
    }
}

/// The password file of a child.
///
/// # Errors
/// The system gives no memory or no file.
pub fn secret(env: &Env, line: Option<&SecretString>) -> Result<Option<SecretFile>, Failure> {
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
        let found = ClientProgram::find(&env, "pg_dump", 98).unwrap();
        assert_eq!((found.version.as_str(), found.major), ("98.4", 98));
        assert_eq!(ClientProgram::find(&env, "pg_dump", 99).unwrap().major, 99);

        let env = Env::of([("PATH", ""), (BINDIR_VARIABLE, &dirs[1])]);
        let failure = ClientProgram::find(&env, "pg_dump", 15).unwrap_err();
        assert_eq!(failure.kind.exit_code(), 4);
        assert!(failure.causes[0].ends_with("is of version 14.9"), "{:?}", failure.causes);
        assert!(failure.hints[0].contains("postgresql-client-15"), "{:?}", failure.hints);
    }
}
