//! Finding an installed PostgreSQL server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::settings::Env;

/// What a folder must hold to start a server from it.
const NEEDED: [&str; 2] = ["initdb", "postgres"];

/// The variable that names the folder of the server's programs.
pub const BINDIR_VARIABLE: &str = "MARKENMATE_PG_BINDIR";

/// Where packages put servers, as (parent, what the versioned name begins with, below it).
const PACKAGED: [(&str, &str, &str); 5] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// The programs of one PostgreSQL server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresBinaries {
    /// The folder that holds `initdb` and `postgres`.
    pub bindir: PathBuf,
    /// As `postgres --version` says it, without words: `15.18`, `18beta1`.
    pub version: String,
}

impl PostgresBinaries {
    /// Finds a server: `bindir` or `MARKENMATE_PG_BINDIR` alone where one is given, else `PATH`,
    /// `pg_config --bindir` and the places of packages, the newest first.
    ///
    /// # Errors
    /// Refused where there is none: says what is missing, and what to install.
    pub fn find(env: &Env, bindir: Option<&Path>) -> Result<Self, Failure> {
        let named = env.var(BINDIR_VARIABLE).filter(|dir| !dir.is_empty()).map(Path::new);
        if let Some(dir) = bindir.or(named) {
            return Self::at(dir);
        }
        let found = env
            .path()
            .into_iter()
            .chain(pg_config_bindir(env))
            .chain(packaged(Path::new("/")))
            .find(|dir| missing(dir).is_empty());
        match found {
            Some(dir) => Self::at(&dir),
            None => Err(install_hints(Failure::refused(
                "no PostgreSQL server is installed: initdb and postgres were not found",
            ))),
        }
    }

    fn at(dir: &Path) -> Result<Self, Failure> {
        let missing = missing(dir);
        if !missing.is_empty() {
            let message = format!("{} has no {}", dir.display(), missing.join(" and no "));
            let failure = Failure::refused(message)
                .hint(format!("{BINDIR_VARIABLE} names the folder that holds initdb and postgres"));
            return Err(install_hints(failure));
        }
        Ok(Self { bindir: dir.to_path_buf(), version: version_of(&dir.join("postgres"))? })
    }

    /// The major version: 13 to 18, as far as is known today.
    pub fn major(&self) -> u32 {
        let digits = self.version.split(|c: char| !c.is_ascii_digit()).next();
        digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }
}

fn install_hints(failure: Failure) -> Failure {
    failure
        .hint("Debian and Ubuntu: apt-get install postgresql")
        .hint("Fedora: dnf install postgresql-server")
        .hint("macOS: brew install postgresql@17")
}

fn missing(dir: &Path) -> Vec<&'static str> {
    NEEDED.into_iter().filter(|program| !dir.join(program).is_file()).collect()
}

pub(super) fn pg_config_bindir(env: &Env) -> Option<PathBuf> {
    let program = env.path().into_iter().map(|dir| dir.join("pg_config")).find(|p| p.is_file())?;
    let output = Command::new(program).arg("--bindir").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(text.trim())).filter(|_| output.status.success())
}

/// The folders packages may have made below `root`, the newest version first.
pub(super) fn packaged(root: &Path) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for (parent, prefix, below) in PACKAGED {
        let parent = root.join(parent.trim_start_matches('/'));
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        found.extend(entries.filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let major = name.strip_prefix(prefix)?.split('.').next()?.parse().ok()?;
            Some((major, entry.path().join(below)))
        }));
    }
    found.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    found.into_iter().map(|(_, dir)| dir).collect()
}

pub(super) fn version_of(program: &Path) -> Result<String, Failure> {
    let attempt = format!("running {} --version", program.display());
    let output = Command::new(program)
        .arg("--version")
        .output()
        .map_err(|error| Failure::unexpected(&attempt).because_of(&error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    // "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
    let version = text.split_whitespace().nth(2).filter(|_| output.status.success());
    version.map(str::to_owned).ok_or_else(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        Failure::unexpected(attempt).because(format!("{} {}", text.trim(), said.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_tried_newest_first() {
        let root = std::env::temp_dir().join(format!("markenmate-packaged-{}", std::process::id()));
        for dir in ["usr/lib/postgresql/9", "usr/lib/postgresql/16", "usr/pgsql-17", "usr/share"] {
            fs::create_dir_all(root.join(dir).join("bin")).unwrap();
        }
        let found = packaged(&root);
        fs::remove_dir_all(&root).unwrap();
        let names: Vec<_> = found.iter().map(|dir| dir.strip_prefix(&root).unwrap()).collect();
        let expected =
            ["usr/pgsql-17/bin", "usr/lib/postgresql/16/bin", "usr/lib/postgresql/9/bin"];
        assert_eq!(names, expected.map(Path::new));
    }

    #[test]
    fn a_named_folder_without_a_server_is_refused_and_says_what_to_install() {
        let env = Env::of([(BINDIR_VARIABLE, "/nowhere"), ("PATH", "/usr/bin:/bin")]);
        let failure = PostgresBinaries::find(&env, None).unwrap_err();
        assert_eq!(failure.to_string(), "/nowhere has no initdb and no postgres");
        assert_eq!(failure.kind.exit_code(), 4);
        assert!(failure.hints.iter().any(|hint| hint.contains("apt-get install postgresql")));
    }

    #[test]
    fn the_major_version_is_the_leading_number() {
        let of = |version: &str| PostgresBinaries {
            bindir: PathBuf::new(),
            version: version.to_owned(),
        };
        assert_eq!([of("15.18").major(), of("18beta1").major()], [15, 18]);
    }
}
