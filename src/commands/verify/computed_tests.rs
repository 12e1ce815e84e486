use std::collections::BTreeSet;

use super::*;
use crate::checks::registry as checks;
use crate::db::history::Entry as Row;

fn check(id: &str) -> &'static Check {
    checks::find(id).unwrap()
}

fn recorded(versions: &[i32]) -> Survey {
    let mut survey = Survey::default();
    for entry in registry::APP.iter().filter(|entry| versions.contains(&entry.version)) {
        survey.histories.app.push(Row {
            version: entry.version.to_string(),
            name: entry.name.into(),
            applied_on: "2025-11-03T08:00:00Z".into(),
            checksum: entry.migration().unwrap().checksum().to_string(),
            ..Row::default()
        });
    }
    survey
}

fn of_version(version: i32) -> Catalogue {
    registry::find(version).unwrap().contract().clone()
}

fn findings(verdict: &Verdict) -> Vec<(Severity, &str, &str)> {
    let all = verdict.findings.iter();
    all.map(|f| (f.severity, f.subject.as_str(), f.remedy.as_str())).collect()
}

#[test]
fn a_migration_that_is_not_there_is_an_error() {
    let verdict = pending(check("migrations-pending"), &recorded(&[1]), &of_version(1), 2);
    let expected = registry::find(2).unwrap().to_string();
    assert_eq!(
        findings(&verdict),
        [(Severity::Error, expected.as_str(), "markenmate migrate --to 2")]
    );
    let verdict = pending(check("migrations-pending"), &recorded(&[1]), &of_version(1), 1);
    assert_eq!(findings(&verdict), []);
}

#[test]
fn one_that_is_there_and_not_recorded_is_a_warning() {
    let verdict = pending(check("migrations-pending"), &recorded(&[]), &of_version(2), 2);
    let severities: Vec<_> = verdict.findings.iter().map(|f| f.severity).collect();
    assert_eq!(severities, [Severity::Warning, Severity::Warning]);
}

#[test]
fn what_a_pending_migration_brings_is_mended_by_migrate() {
    let verdict = contract(check("contract"), &recorded(&[1]), &of_version(1), 2);
    assert!(verdict.findings.len() >= 5);
    assert!(verdict.findings.iter().all(|f| f.remedy == "markenmate migrate --to 2"));
}

#[test]
fn older_differences_are_mended_by_hand() {
    let mut catalogue = of_version(1);
    catalogue.tables.get_mut("session").unwrap().columns.remove("token");
    let verdict = contract(check("contract"), &recorded(&[1]), &catalogue, 2);
    let by_hand: Vec<_> =
        verdict.findings.iter().filter(|f| f.remedy != "markenmate migrate --to 2").collect();
    assert!(by_hand.iter().any(|f| f.subject == "column public.session.token"), "{by_hand:?}");
    assert!(by_hand.iter().all(|f| f.remedy.starts_with("ALTER TABLE public.session")));
}

#[test]
fn half_a_migration_is_mended_by_hand() {
    let mut catalogue = of_version(2);
    catalogue.tables.remove("audit_log");
    let verdict = contract(check("contract"), &recorded(&[1]), &catalogue, 2);
    let subjects: Vec<_> = verdict.findings.iter().map(|f| f.subject.as_str()).collect();
    assert_eq!(subjects, ["table public.audit_log"]);
    assert!(verdict.findings[0].remedy.contains("CREATE TABLE public.audit_log"));
}

#[test]
fn a_history_that_may_not_be_read_is_skipped() {
    let mut survey = recorded(&[1, 2]);
    survey.history = History::Denied;
    survey.rights.user = "reader".into();
    for id in ["history", "migrations-pending"] {
        let catalogue = of_version(2);
        let judged = Judged { survey: &survey, catalogue: &catalogue };
        let verdicts = judged.verdicts(&[check(id)], 2);
        let reason = verdicts[0].reason.as_deref().unwrap();
        assert!(reason.contains("GRANT USAGE ON SCHEMA markenmate TO reader"), "{reason}");
    }
}

#[test]
fn the_known_keys_of_the_orphan_check_are_the_contracts() {
    let Source::Sql(sql) = check("orphans").source else { panic!("no SQL") };
    let known: BTreeSet<String> = sql
        .lines()
        .filter_map(|line| line.trim().strip_prefix("('"))
        .filter_map(|line| {
            line.split_once(')').map(|(keys, _)| keys.replace("', '", " ").replace("', ", " "))
        })
        .collect();
    let latest = of_version(registry::latest());
    let keys = latest.tables.iter().flat_map(|(name, table)| {
        table.constraints.values().filter_map(move |key| {
            let to = key.references.as_ref()?;
            let columns = key.columns.as_deref().unwrap_or_default().join(" ");
            let empties = to.on_delete == "SET NULL";
            Some(format!("{name} {columns} {} {} {empties}", to.table, to.columns.join(" ")))
        })
    });
    assert_eq!(known, keys.collect());
}
