//! The environment as a value, so that everything above can be tested without touching the real one.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Environment variables, taken once.
#[derive(Debug, Clone, Default)]
pub struct Env {
    vars: BTreeMap<String, String>,
}

impl Env {
    /// The process's own. Variables that are not UTF-8 are left out: no setting here can be one.
    pub fn real() -> Self {
        let vars = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { vars }
    }

    /// One made by hand.
    pub fn of<const N: usize>(vars: [(&str, &str); N]) -> Self {
        Self { vars: vars.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect() }
    }

    /// The variable's value, if it is set.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str)
    }

    /// The folders of `PATH`.
    pub fn path(&self) -> Vec<PathBuf> {
        self.var("PATH").map(|p| std::env::split_paths(p).collect()).unwrap_or_default()
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
