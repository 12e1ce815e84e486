//! Where a database stands: what its history says, what its catalogue shows, and whether the two
//! agree. Pure: two values in, one out.

use serde::Serialize;

use crate::db::catalogue::{Catalogue, Difference, compare};
use crate::db::history::{Entry as Row, Histories};
use crate::report::{Finding, Severity};

use super::mending;
use super::own;
use super::registry::{self, Entry};

/// The states of cli.md, by word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// None of the app's names exists.
    Pristine,
    /// The schema before the guide's migration, unrecorded.
    Baseline,
    /// The schema after it, unrecorded.
    HardenedUnrecorded,
    /// Some of a migration's objects, or others under their names.
    Partial,
    /// History and catalogue agree on the latest version.
    Current,
    /// History and catalogue agree on an older one.
    Pending,
    /// History and catalogue disagree, or the history and this binary.
    Drifted,
    /// The history knows versions that this binary does not.
    Newer,
}

impl State {
    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pristine => "pristine",
            Self::Baseline => "baseline",
            Self::HardenedUnrecorded => "hardened-unrecorded",
            Self::Partial => "partial",
            Self::Current => "current",
            Self::Pending => "pending",
            Self::Drifted => "drifted",
            Self::Newer => "newer",
        }
    }

    /// The word and what it means.
    pub const fn explained(self) -> &'static str {
        match self {
            Self::Pristine => "pristine: none of the application's tables exists",
            Self::Baseline => "baseline: the schema before the guide's migration, not recorded",
            Self::HardenedUnrecorded => {
                "hardened-unrecorded: the migration's objects are all there, its history is not"
            }
            Self::Partial => {
                "partial: some of a migration's objects are there, others are missing or differ"
            }
            Self::Current => "current: at the latest version, history and catalogue agree",
            Self::Pending => "pending: history and catalogue agree on an older version",
            Self::Drifted => "drifted: history, catalogue and this binary do not agree",
            Self::Newer => "newer: migrated by a newer markenmate than this one",
        }
    }
}

/// Where a database stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// In one word.
    pub state: State,
    /// The highest version the history records; 0 none.
    pub recorded: i32,
    /// The highest version whose contract the catalogue fulfils without a gap; 0 none.
    pub held: i32,
    /// What must be mended before anything else.
    pub findings: Vec<Finding>,
}

/// What became of one migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MigrationStatus {
    /// 1, 2, ...; the text itself where it is no number.
    pub version: serde_json::Value,
    /// Its name.
    pub name: String,
    /// `applied`, `adopted`, `pending` or `divergent`; `unknown` where the history may not be read.
    pub state: &'static str,
    /// RFC 3339, by the clock of whoever applied it.
    pub applied_at: Option<String>,
    /// The file the user's guide calls it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guide: Option<&'static str>,
    /// The role that applied it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied_by: Option<String>,
}

/// Whether both histories say that this binary has nothing to do.
pub fn is_settled(histories: &Histories) -> bool {
    history_findings(histories).is_empty()
        && histories.app.len() == registry::APP.len()
        && histories.own.len() == registry::OWN.len()
}

/// Where the database with this history and this catalogue stands.
pub fn standing(histories: &Histories, catalogue: &Catalogue) -> Standing {
    let recorded = histories.app.iter().filter_map(Row::number).max().unwrap_or(0);
    if let Some(finding) = newer(histories) {
        return Standing { state: State::Newer, recorded, held: 0, findings: vec![finding] };
    }
    let findings = history_findings(histories);
    if !findings.is_empty() {
        return Standing { state: State::Drifted, recorded, held: 0, findings };
    }
    let lacking = own::lacking(histories, catalogue);
    if let Some(entry) = registry::find(recorded) {
        let missing = compare(entry.contract(), catalogue);
        if !missing.is_empty() {
            let missing = match mending::emptied(entry, catalogue) {
                Some(emptied) => vec![emptied],
                None => mending::guards(missing, catalogue, recorded >= registry::GUARDS),
            };
            let missing = missing.into_iter().map(|d| drift(entry, d));
            // First: what else there is may stand on it.
            let findings = lacking.into_iter().chain(missing).collect();
            return Standing { state: State::Drifted, recorded, held: 0, findings };
        }
    }
    match lacking {
        Some(lacking) => {
            Standing { state: State::Drifted, recorded, held: 0, findings: vec![lacking] }
        }
        None => climb(recorded, catalogue),
    }
}

/// From the recorded version upwards: which contracts hold, and is the next one clean or half there?
fn climb(recorded: i32, catalogue: &Catalogue) -> Standing {
    let mut held = recorded;
    for entry in registry::APP.iter().filter(|entry| entry.version > recorded) {
        if compare(entry.contract(), catalogue).is_empty() {
            held = entry.version;
        } else {
            // The newest migration of which something is there says what is missing.
            let newest = registry::APP.iter().rev().find(|e| !e.present(catalogue).is_empty());
            let Some(newest) = newest.filter(|newest| newest.version >= entry.version) else {
                break;
            };
            let missing = match (newest.version, entry.present(catalogue).is_empty()) {
                // Nothing that they could stand on.
                (registry::GUARDS, true) if entry.version < registry::GUARDS => {
                    vec![mending::leftovers(catalogue)]
                }
                _ => {
                    let missing = compare(newest.contract(), catalogue);
                    mending::guards(missing, catalogue, recorded >= registry::GUARDS)
                }
            };
            let entry = newest;
            let findings = missing.into_iter().map(|d| partial(entry, d)).collect();
            return Standing { state: State::Partial, recorded, held, findings };
        }
    }
    let state = match (recorded, held) {
        (0, 0) => State::Pristine,
        (r, h) if r == h && h == registry::latest() => State::Current,
        (r, h) if r == h => State::Pending,
        (_, 1) => State::Baseline,
        _ => State::HardenedUnrecorded,
    };
    Standing { state, recorded, held, findings: Vec::new() }
}

fn partial(entry: &Entry, difference: Difference) -> Finding {
    Finding {
        id: "partial".into(),
        severity: Severity::Error,
        title: format!("Half of {entry} is there"),
        subject: difference.subject,
        detail: difference.detail,
        remedy: difference.remedy,
    }
}

fn drift(entry: &Entry, difference: Difference) -> Finding {
    Finding {
        id: "drift".into(),
        severity: Severity::Error,
        title: format!("{entry} is recorded, but the database differs"),
        subject: difference.subject,
        detail: difference.detail,
        remedy: difference.remedy,
    }
}

fn history(subject: String, detail: String, remedy: impl Into<String>) -> Finding {
    Finding {
        id: "history".into(),
        severity: Severity::Error,
        title: "The migration history does not match this binary".into(),
        subject,
        detail,
        remedy: remedy.into(),
    }
}

fn newer(histories: &Histories) -> Option<Finding> {
    let own = registry::OWN.last().map_or(0, |entry| entry.version);
    let app = histories.app.iter().find(|row| row.number().is_some_and(|n| n > registry::latest()));
    let row =
        app.or_else(|| histories.own.iter().find(|row| row.number().is_some_and(|n| n > own)))?;
    Some(history(
        format!("V{} {}", row.version, row.name),
        format!(
            "was applied by a newer markenmate; this one, {}, knows versions up to {}",
            env!("CARGO_PKG_VERSION"),
            registry::latest()
        ),
        "use the markenmate that applied it, or a newer one",
    ))
}

/// Rows that are malformed, that differ from this binary's migrations, and gaps between them.
pub fn history_findings(histories: &Histories) -> Vec<Finding> {
    let app = registry::APP.iter().map(|e| (e.version, e.name, e.checksum()));
    let own = registry::OWN.iter().map(|e| (e.version, e.name, e.checksum()));
    let mut found = Vec::new();
    for (table, rows, known) in [
        (crate::db::history::APP, &histories.app, app.collect::<Vec<_>>()),
        (crate::db::history::OWN, &histories.own, own.collect()),
    ] {
        let highest = rows.iter().filter_map(Row::number).max().unwrap_or(0);
        for row in rows {
            let subject = format!("markenmate.{table}: version {}", row.version);
            let Some((version, name, checksum)) =
                row.number().and_then(|n| known.iter().find(|(version, ..)| *version == n))
            else {
                if row.number().is_none_or(|n| n <= 0) {
                    let remedy = mending::no_version(table, row);
                    found.push(history(subject, "is no version".into(), remedy));
                }
                continue;
            };
            let detail = if row.name != *name {
                format!("is named {:?}; V{version} is {name:?}", row.name)
            } else if row.checksum != *checksum {
                format!("has checksum {:?}; this binary's is {checksum}", row.checksum)
            } else if chrono::DateTime::parse_from_rfc3339(&row.applied_on).is_err() {
                format!("was applied at {:?}, which is no time", row.applied_on)
            } else {
                continue;
            };
            let detail = format!("{detail}: edited by hand, or written by another build");
            found.push(history(subject, detail, mending::row(table, *version, Some(row))));
        }
        for (version, name, _) in known.iter().filter(|(version, ..)| *version < highest) {
            if !rows.iter().any(|row| row.number() == Some(*version)) {
                found.push(history(
                    format!("markenmate.{table}: version {version}"),
                    format!("{name} is missing although V{highest} is recorded"),
                    mending::row(table, *version, None),
                ));
            }
        }
    }
    found
}

/// Each migration and what became of it, those included that only the history knows.
pub fn migrations(histories: &Histories) -> Vec<MigrationStatus> {
    let row = |version: i32| histories.app.iter().find(|row| row.number() == Some(version));
    let known = registry::APP.iter().map(|entry| {
        let found = row(entry.version);
        let same =
            found.is_none_or(|row| row.name == entry.name && row.checksum == entry.checksum());
        MigrationStatus {
            version: entry.version.into(),
            name: entry.name.into(),
            state: match found {
                None => "pending",
                Some(_) if !same => "divergent",
                Some(row) if row.adopted => "adopted",
                Some(_) => "applied",
            },
            applied_at: found.map(|row| row.applied_on.clone()),
            guide: entry.guide,
            applied_by: found.and_then(|row| row.applied_by.clone()),
        }
    });
    let strangers =
        histories.app.iter().filter(|row| row.number().is_none_or(|n| registry::find(n).is_none()));
    let strangers = strangers.map(|row| MigrationStatus {
        version: row.number().map_or_else(|| row.version.clone().into(), Into::into),
        name: row.name.clone(),
        state: "divergent",
        applied_at: Some(row.applied_on.clone()),
        guide: None,
        applied_by: row.applied_by.clone(),
    });
    known.chain(strangers).collect()
}

#[cfg(test)]
#[path = "standing_tests.rs"]
mod tests;
