//! Every migration, one line each. A test holds these lists and the folder equal.

use std::hash::{Hash, Hasher};
use std::sync::{LazyLock, OnceLock};

use refinery::Migration;
use siphasher::sip::SipHasher13;

use crate::db::catalogue::{Catalogue, additions, present};
use crate::failure::Failure;

use super::effects::{Effect, effects};

/// A migration of the app's schema: how it is applied and what holds afterwards.
#[derive(Debug)]
pub struct Entry {
    /// 1, 2, ...
    pub version: i32,
    /// As in the file's name.
    pub name: &'static str,
    /// The file the user's guide calls it by.
    pub guide: Option<&'static str>,
    /// What it does, for plans.
    pub title: &'static str,
    /// What applies it.
    pub sql: &'static str,
    /// What is copied before it is taken back, while nobody waits yet.
    pub aside: Option<&'static str>,
    /// What takes it back; none where that would be the whole app.
    pub down: Option<&'static str>,
    /// What the database must look like afterwards, as JSON.
    contract: &'static str,
}

/// A migration of the tool's own schema.
#[derive(Debug)]
pub struct OwnEntry {
    /// 1, 2, ...
    pub version: i32,
    /// As in the file's name.
    pub name: &'static str,
    /// What applies it.
    pub sql: &'static str,
    /// What it makes, for plans.
    pub title: &'static str,
}

macro_rules! file {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/", $name))
    };
}

/// The app's schema.
#[rustfmt::skip]
pub static APP: [Entry; 3] = [
    Entry { version: 1, name: "baseline", guide: None, title: "the whole application schema", sql: file!("V1__baseline.sql"), aside: None, down: None, contract: file!("V1__baseline.contract.json") },
    Entry { version: 2, name: "security_hardening", guide: Some("0001_ancient_jasper_sitwell"), title: "step-up tokens, audit log, optimistic locking, the master admin's flag", sql: file!("V2__security_hardening.sql"), aside: Some(file!("V2__security_hardening.aside.sql")), down: Some(file!("V2__security_hardening.down.sql")), contract: file!("V2__security_hardening.contract.json") },
    Entry { version: 3, name: "guards", guide: None, title: "the master admin, the last admin, lendings and step-up tokens, guarded by the database itself", sql: file!("V3__guards.sql"), aside: None, down: Some(file!("V3__guards.down.sql")), contract: file!("V3__guards.contract.json") },
];

/// The tool's own schema, applied first, never taken back.
#[rustfmt::skip]
pub static OWN: [OwnEntry; 4] = [
    OwnEntry { version: 1, name: "ledger_and_archive", sql: file!("own/V1__ledger_and_archive.sql"), title: "history and archive, outside the schema that the app's push looks after" },
    OwnEntry { version: 2, name: "operator_ledger", sql: file!("own/V2__operator_ledger.sql"), title: "operator ledger, and what the guards leave behind" },
    OwnEntry { version: 3, name: "set_aside", sql: file!("own/V3__set_aside.sql"), title: "what a rollback keeps" },
    OwnEntry { version: 4, name: "cleanup", sql: file!("own/V4__cleanup.sql"), title: "archives that only take rows, what cleanup did, and the files that it wrote" },
];

/// The version that brings the master admin's flag.
pub const FLAG: i32 = 2;

/// The version from which on the database guards itself.
pub const GUARDS: i32 = 3;

/// The version of the tool's own schema that registers what a rollback keeps.
pub const SET_ASIDE: i32 = 3;

/// The version of the tool's own schema that archives what is cleaned up.
pub const CLEANUP: i32 = 4;

/// The newest version.
pub fn latest() -> i32 {
    APP[APP.len() - 1].version
}

/// The migration of that version.
pub fn find(version: i32) -> Option<&'static Entry> {
    APP.iter().find(|entry| entry.version == version)
}

/// Reads `--to`: a version, a name, or both as in `V2__security_hardening`.
pub fn resolve(text: &str) -> Result<i32, Failure> {
    let wanted = text.trim().trim_end_matches(".sql");
    APP.iter()
        .find(|e| {
            wanted == e.version.to_string()
                || wanted.eq_ignore_ascii_case(e.name)
                || wanted.eq_ignore_ascii_case(&format!("V{}", e.version))
                || wanted.eq_ignore_ascii_case(&e.file_stem())
                || e.guide.is_some_and(|guide| wanted.eq_ignore_ascii_case(guide))
        })
        .map(|e| e.version)
        .ok_or_else(|| {
            let known: Vec<String> = APP.iter().map(|e| e.to_string()).collect();
            Failure::usage(format!("there is no version {wanted:?}"))
                .hint(format!("this binary knows {}", known.join(" and ")))
        })
}

impl Entry {
    /// `V2__security_hardening`
    pub fn file_stem(&self) -> String {
        format!("V{}__{}", self.version, self.name)
    }

    /// What the database must look like afterwards.
    pub fn contract(&self) -> &'static Catalogue {
        // Each by itself: a no-op needs none, and a contract costs a megabyte.
        static PARSED: [OnceLock<Catalogue>; APP.len()] = [const { OnceLock::new() }; APP.len()];
        let at = APP.iter().position(|e| e.version == self.version).unwrap_or_default();
        // A contract that does not parse is caught by the registry's test.
        PARSED[at].get_or_init(|| serde_json::from_str(self.contract).unwrap_or_default())
    }

    /// What the migration adds to the one before it.
    pub fn additions(&self) -> Catalogue {
        additions(self.older(), self.contract())
    }

    /// Which of the objects that the migration adds exist already, whatever their shape.
    pub fn present(&self, catalogue: &Catalogue) -> Vec<String> {
        present(&self.additions(), self.older(), catalogue)
    }

    /// Whether the migration makes that table, or only adds to it.
    pub fn adds_table(&self, table: &str) -> bool {
        !self.older().tables.contains_key(table)
    }

    fn older(&self) -> &'static Catalogue {
        static NOTHING: LazyLock<Catalogue> = LazyLock::new(Catalogue::default);
        find(self.version - 1).map_or(&NOTHING, Self::contract)
    }

    /// What it does to tables that were there before.
    pub fn effects(&self) -> Vec<Effect> {
        // A statement whose effect cannot be told is caught by a test.
        effects([self.sql]).unwrap_or_default()
    }

    /// As refinery takes it.
    pub fn migration(&self) -> Result<Migration, Failure> {
        migration(&self.file_stem(), self.sql)
    }

    /// As refinery writes it into the history.
    pub fn checksum(&self) -> String {
        checksum(self.version, self.name, self.sql)
    }
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "V{} {}", self.version, self.name)?;
        match self.guide {
            Some(guide) => write!(f, " (guide: {guide})"),
            None => Ok(()),
        }
    }
}

impl OwnEntry {
    /// As refinery takes it.
    pub fn migration(&self) -> Result<Migration, Failure> {
        migration(&format!("V{}__{}", self.version, self.name), self.sql)
    }

    /// As refinery writes it into the history.
    pub fn checksum(&self) -> String {
        checksum(self.version, self.name, self.sql)
    }
}

/// refinery's own way to it compiles a regular expression, which took half of a no-op's time.
fn checksum(version: i32, name: &str, sql: &str) -> String {
    let mut hasher = SipHasher13::new();
    name.hash(&mut hasher);
    version.hash(&mut hasher);
    sql.hash(&mut hasher);
    hasher.finish().to_string()
}

fn migration(stem: &str, sql: &str) -> Result<Migration, Failure> {
    Migration::unapplied(stem, sql).map_err(|e| {
        Failure::unexpected(format!("cannot read the migration {stem}")).because_of(&e)
    })
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
