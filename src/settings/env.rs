//! The environment as a value, so that everything above can be tested without touching the real one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::failure::Failure;

/// Environment variables, taken once.
///
/// `Debug` shows their names only: values can be passwords.
#[derive(Clone, Default)]
pub struct Env {
    vars: BTreeMap<String, String>,
    /// Names whose values are not UTF-8.
    unreadable: Vec<String>,
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.vars.keys()).finish()
    }
}

impl Env {
    /// The process's own.
    pub fn real() -> Self {
        let mut env = Self::default();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => drop(env.vars.insert(name, value)),
                Err(_) => env.unreadable.push(name),
            }
        }
        env
    }

    /// Refuses a variable of ours that is not UTF-8: passed over, it would let a weaker one name
    /// another database.
    pub fn check(&self) -> Result<(), Failure> {
        let ours = |name: &&String| {
            ["PG", "DATABASE_", "MARKENMATE_"].iter().any(|prefix| name.starts_with(prefix))
        };
        match self.unreadable.iter().find(ours) {
            None => Ok(()),
            Some(name) => Err(Failure::usage(format!("the variable {name} is not UTF-8"))
                .hint("write bytes outside of UTF-8 percent-encoded, as in p%E4ss")),
        }
    }

    /// One made by hand.
    pub fn of<const N: usize>(vars: [(&str, &str); N]) -> Self {
        let vars = vars.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        Self { vars, unreadable: Vec::new() }
    }

    /// The same with one more variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.vars.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The variable's value, if it is set.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str)
    }

    /// The folders of `PATH`.
    pub fn path(&self) -> Vec<PathBuf> {
        self.var("PATH").map(|p| std::env::split_paths(p).collect()).unwrap_or_default()
    }

    /// The running program's own file.
    ///
    /// # Errors
    /// The system does not know it, for example because it was replaced.
    pub fn program(&self) -> std::io::Result<PathBuf> {
        std::env::current_exe()
    }

    /// The user's home folder.
    pub fn home(&self) -> Option<PathBuf> {
        self.var("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
    }

    /// Where temporary files go.
    pub fn temp_dir(&self) -> PathBuf {
        let dir = self.var("TMPDIR").filter(|dir| !dir.is_empty());
        PathBuf::from(dir.unwrap_or("/tmp"))
    }
}
