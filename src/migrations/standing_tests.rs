use super::*;
use crate::migrations::registry::find;

fn contract(version: i32) -> Catalogue {
    find(version).map(|entry| entry.contract().clone()).unwrap_or_default()
}

fn row(version: i32) -> Row {
    let entry = find(version).expect("a known version");
    Row {
        version: version.to_string(),
        name: entry.name.into(),
        applied_on: "2026-11-23T08:00:00Z".into(),
        checksum: entry.migration().expect("readable").checksum().to_string(),
        ..Row::default()
    }
}

fn recorded(versions: &[i32]) -> Histories {
    Histories { app: versions.iter().map(|v| row(*v)).collect(), own: Vec::new() }
}

fn state(histories: &Histories, catalogue: &Catalogue) -> State {
    standing(histories, catalogue).state
}

#[test]
fn each_state_is_told_from_the_others() {
    let (nothing, one, two) = (recorded(&[]), recorded(&[1]), recorded(&[1, 2]));
    assert_eq!(state(&nothing, &Catalogue::default()), State::Pristine);
    assert_eq!(state(&nothing, &contract(1)), State::Baseline);
    assert_eq!(state(&nothing, &contract(2)), State::HardenedUnrecorded);
    assert_eq!(state(&one, &contract(1)), State::Pending);
    assert_eq!(state(&one, &contract(2)), State::HardenedUnrecorded);
    assert_eq!(state(&two, &contract(2)), State::Pending);
    let three = recorded(&[1, 2, 3]);
    assert_eq!(state(&three, &contract(3)), State::Current);
    assert_eq!(state(&two, &contract(3)), State::HardenedUnrecorded);
    assert_eq!(state(&three, &contract(2)), State::Drifted);
    assert_eq!(state(&two, &contract(1)), State::Drifted);
    assert_eq!(state(&one, &Catalogue::default()), State::Drifted);
}

#[test]
fn one_object_of_a_migration_makes_it_partial() {
    let mut catalogue = contract(1);
    let table = contract(2).tables.remove("audit_log").expect("audit_log");
    catalogue.tables.insert("audit_log".into(), table);
    let seen = standing(&recorded(&[]), &catalogue);
    assert_eq!((seen.state, seen.held), (State::Partial, 1));
    let subjects: Vec<&str> = seen.findings.iter().map(|f| f.subject.as_str()).collect();
    assert_eq!(
        subjects,
        [
            "column public.app_log.correlation_id",
            "table public.step_up_token",
            "column public.token_lending.version",
            "column public.\"user\".is_master_admin",
        ]
    );
}

#[test]
fn a_guard_without_the_others_is_partial_and_a_disabled_one_drift() {
    let mut catalogue = contract(2);
    let guards = contract(3).tables.remove("audit_log").expect("audit_log").triggers;
    catalogue.tables.get_mut("audit_log").expect("audit_log").triggers = guards;
    assert_eq!(state(&recorded(&[1, 2]), &catalogue), State::Partial);
    let mut catalogue = contract(3);
    let user = catalogue.tables.get_mut("user").expect("user");
    user.triggers.get_mut("markenmate_admins").expect("a guard").enabled = false;
    let seen = standing(&recorded(&[1, 2, 3]), &catalogue);
    assert_eq!(seen.state, State::Drifted);
    assert_eq!(seen.findings[0].detail, "is disabled: it guards nothing");
}

#[test]
fn a_name_that_is_taken_is_partial_too() {
    let mut catalogue = contract(1);
    catalogue.others.insert("audit_log_id_seq".into(), "S".into());
    assert_eq!(state(&recorded(&[]), &catalogue), State::Partial);
    let mut catalogue = Catalogue::default();
    catalogue.others.insert("user".into(), "v".into());
    assert_eq!(state(&recorded(&[]), &catalogue), State::Partial);
}

#[test]
fn what_the_contract_does_not_name_does_not_matter() {
    let mut catalogue = contract(2);
    let table = catalogue.tables["demo_data"].clone();
    catalogue.tables.insert("menu_parse_batch".into(), table);
    let account = catalogue.tables.get_mut("account").expect("account");
    let issuer = account.columns["password"].clone();
    account.columns.insert("issuer".into(), issuer);
    assert_eq!(state(&recorded(&[]), &catalogue), State::HardenedUnrecorded);
}

#[test]
fn a_history_edited_by_hand_is_seen_row_by_row() {
    type Edit = (&'static str, fn(&mut Row));
    let edits: [Edit; 5] = [
        ("is no version", |r| r.version = "zwei".into()),
        ("is named", |r| r.name = "hardening".into()),
        ("has checksum", |r| r.checksum = "-1".into()),
        ("which is no time", |r| r.applied_on = "yesterday".into()),
        ("is no version", |r| r.version = String::new()),
    ];
    for (text, edit) in edits {
        let mut histories = recorded(&[1]);
        edit(&mut histories.app[0]);
        let seen = standing(&histories, &contract(1));
        assert_eq!(seen.state, State::Drifted, "{text}");
        assert!(seen.findings[0].detail.contains(text), "{:?}", seen.findings);
    }
}

#[test]
fn a_gap_and_a_newer_version_are_seen() {
    let seen = standing(&recorded(&[2]), &contract(2));
    assert_eq!(seen.state, State::Drifted);
    assert!(seen.findings[0].detail.contains("missing although V2"), "{:?}", seen.findings);
    let mut histories = recorded(&[1, 2]);
    histories.app.push(Row { version: "99".into(), name: "future".into(), ..Row::default() });
    assert_eq!(state(&histories, &contract(2)), State::Newer);
    let listed = migrations(&histories);
    assert_eq!(
        listed.iter().map(|m| m.state).collect::<Vec<_>>(),
        ["applied", "applied", "pending", "divergent"]
    );
}
