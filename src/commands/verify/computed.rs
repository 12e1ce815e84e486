//! The checks that need no SQL of their own: history, pending migrations, the contract.

use crate::checks::registry::{Check, Source};
use crate::checks::verdict::Verdict;
use crate::db::catalogue::{Catalogue, Difference, compare};
use crate::db::identifiers::identifier;
use crate::migrations::mending;
use crate::migrations::own;
use crate::migrations::plan::is_servers_own;
use crate::migrations::registry::{self, Entry};
use crate::migrations::standing::{self, State};
use crate::migrations::survey::{Damage, History, Survey};
use crate::report::{Finding, Severity};

use super::passwords;

/// What the verdicts are drawn from.
pub(super) struct Judged<'a> {
    pub(super) survey: &'a Survey,
    pub(super) catalogue: &'a Catalogue,
}

impl Judged<'_> {
    /// The verdicts of those among `checks`, judged against `version`.
    pub(super) fn verdicts(&self, checks: &[&'static Check], version: i32) -> Vec<Verdict> {
        let computed =
            |check: &&Check| check.source == Source::Computed && check.id != passwords::ID;
        let computed = checks.iter().copied().filter(computed);
        computed.map(|check| self.verdict(check, version)).collect()
    }

    /// Where `migrate` refuses, nothing is mended by it.
    pub(super) fn correct(&self, verdicts: &mut [Verdict]) {
        const MEND: &str =
            "mend what `history`, `own-schema` and `contract` report: migrate refuses until then";
        let state = standing::standing(&self.survey.histories, self.catalogue).state;
        let remedy = match (&self.survey.history, state) {
            (History::Damaged(_), _) => MEND,
            (_, State::Partial | State::Drifted | State::Newer) => MEND,
            (_, State::Pristine) if is_servers_own(&self.survey.database) => {
                "name the application's database, for example: -d markenmate"
            }
            _ => return,
        };
        let findings = verdicts.iter_mut().flat_map(|verdict| &mut verdict.findings);
        for finding in findings.filter(|f| f.remedy.starts_with("markenmate migrate")) {
            finding.remedy = remedy.into();
        }
    }

    fn verdict(&self, check: &'static Check, version: i32) -> Verdict {
        match (check.id, &self.survey.history) {
            ("history", History::Damaged(damage)) => {
                Verdict::found(check, vec![damaged(check, damage)])
            }
            ("migrations-pending", History::Damaged(_)) => {
                Verdict::skipped(check, "the history is damaged: see `history`")
            }
            ("history", _) => history(check, self.survey, self.catalogue),
            ("migrations-pending", _) => pending(check, self.survey, self.catalogue, version),
            (own::ID, _) => own_schema(check, self.survey, self.catalogue),
            _ => contract(check, self.survey, self.catalogue, version),
        }
    }
}

fn damaged(check: &Check, damage: &Damage) -> Finding {
    let Damage { said, remedy } = damage;
    check.finding("schema markenmate".into(), said.clone(), Some((*remedy).into()))
}

fn unreadable(survey: &Survey) -> Option<String> {
    let role = identifier(&survey.rights.user);
    (survey.history == History::Denied).then(|| {
        format!(
            "role {role} may not read schema markenmate; its owner can say: GRANT USAGE ON SCHEMA \
             markenmate TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA markenmate TO {role};"
        )
    })
}

fn history(check: &'static Check, survey: &Survey, catalogue: &Catalogue) -> Verdict {
    if let Some(reason) = unreadable(survey) {
        return Verdict::denied(check, reason);
    }
    if survey.histories.app.is_empty() && survey.histories.own.is_empty() {
        return Verdict::skipped(check, "there is no history yet: migrate begins it");
    }
    let standing = standing::standing(&survey.histories, catalogue);
    Verdict::found(check, standing.findings.into_iter().filter(|f| f.id == check.id).collect())
}

fn own_schema(check: &'static Check, survey: &Survey, catalogue: &Catalogue) -> Verdict {
    if let Some(reason) = unreadable(survey) {
        return Verdict::denied(check, reason);
    }
    Verdict::found(check, own::lacking(&survey.histories, catalogue).into_iter().collect())
}

/// What is not recorded is pending. What the schema holds already needs no more than a row in the
/// history, and the app none at all: a warning.
fn pending(check: &'static Check, survey: &Survey, catalogue: &Catalogue, version: i32) -> Verdict {
    if let Some(reason) = unreadable(survey) {
        return Verdict::denied(check, reason);
    }
    let found = unrecorded(survey, version).map(|entry| {
        let held = compare(entry.contract(), catalogue).is_empty()
            || registry::APP.iter().any(|newer| {
                newer.version > entry.version && compare(newer.contract(), catalogue).is_empty()
            });
        let (severity, detail) = if held {
            (Severity::Warning, "the schema holds it, the history does not: migrate records it")
        } else {
            (check.severity, "is pending")
        };
        let remedy = Some(format!("{}{}", check.remedy, to(version)));
        Finding { severity, ..check.finding(entry.to_string(), detail.into(), remedy) }
    });
    Verdict::found(check, found.collect())
}

fn contract(
    check: &'static Check,
    survey: &Survey,
    catalogue: &Catalogue,
    version: i32,
) -> Verdict {
    let Some(judged) = registry::find(version) else {
        return Verdict::skipped(check, format!("there is no contract of version {version}"));
    };
    let migrate = format!("{}{}", check.remedy, to(version));
    let mends = mended_by_migrate(survey, catalogue, version);
    let found = compare(judged.contract(), catalogue).into_iter().map(|difference| {
        let remedy =
            if mends.contains(&difference.subject) { migrate.clone() } else { difference.remedy };
        check.finding(difference.subject, difference.detail, Some(remedy))
    });
    let mut found: Vec<_> = found.collect();
    mending::to_paste(&mut found, &survey.conninfo);
    Verdict::found(check, found)
}

/// What is missing only because a migration is pending. Where half of one is there, or something
/// older differs, `migrate` refuses and each object is mended by hand.
fn mended_by_migrate(survey: &Survey, catalogue: &Catalogue, version: i32) -> Vec<String> {
    let clean = |entry: &&'static Entry| entry.present(catalogue).is_empty();
    let Some(first) = unrecorded(survey, version).find(clean) else { return Vec::new() };
    let subjects = |entry: Option<&Entry>| {
        let all = entry.map(|entry| compare(entry.contract(), catalogue)).unwrap_or_default();
        all.into_iter().map(|Difference { subject, .. }| subject).collect::<Vec<_>>()
    };
    if !unrecorded(survey, version).filter(|e| e.version > first.version).all(|e| clean(&e)) {
        return Vec::new();
    }
    let older = subjects(registry::find(first.version - 1));
    let mut judged = subjects(registry::find(version));
    judged.retain(|subject| !older.contains(subject));
    judged
}

fn unrecorded(survey: &Survey, version: i32) -> impl Iterator<Item = &'static Entry> {
    let recorded: Vec<i32> = survey.histories.app.iter().filter_map(|row| row.number()).collect();
    registry::APP
        .iter()
        .filter(move |entry| entry.version <= version && !recorded.contains(&entry.version))
}

/// ` --to 1`, where that is not the latest.
fn to(version: i32) -> String {
    if version == registry::latest() { String::new() } else { format!(" --to {version}") }
}

#[cfg(test)]
#[path = "computed_tests.rs"]
mod tests;
