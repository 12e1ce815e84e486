use super::*;
use crate::checks::registry;
use crate::checks::verdict::Status;

fn judged(seen: &[(Option<&str>, &str, u64)], guarded: bool) -> Verdict {
    let check = registry::find("probe-lost-update").unwrap();
    let outcome = |(state, said, rows): &(Option<&str>, &str, u64)| Outcome {
        state: state.map(str::to_owned),
        said: state.map(|_| (*said).to_owned()),
        rows: *rows,
        left_out: false,
    };
    let seen: Vec<_> = seen.iter().map(outcome).collect();
    judge(check, &of(check).unwrap(), &seen, guarded)
}

const OWN: (Option<&str>, &str, u64) = (None, "", 2);
const KEPT: (Option<&str>, &str, u64) = (None, "", 1);
const LATE: (Option<&str>, &str, u64) =
    (Some("40001"), "Lending was modified by another user. Please refresh and try again.", 0);
const VERSION: (Option<&str>, &str, u64) = (Some("MM104"), "The version ...", 0);

#[test]
fn what_the_guard_refuses_passes() {
    let verdict = judged(&[OWN, KEPT, KEPT, LATE, VERSION, VERSION], true);
    assert_eq!((verdict.status, verdict.findings.len()), (Status::Pass, 0));
}

#[test]
fn what_is_let_through_nobody_keeps() {
    let lost = (None, "", 0);
    let verdict = judged(&[OWN, KEPT, KEPT, lost, KEPT, VERSION], false);
    assert_eq!(verdict.status, Status::Fail);
    let found: Vec<_> =
        verdict.findings.iter().map(|f| f.detail.split(' ').next().unwrap()).collect();
    assert_eq!(found, ["finds", "is"]);
    assert_eq!(verdict.findings[0].remedy, "markenmate migrate");
    let guarded = judged(&[OWN, KEPT, KEPT, lost], true);
    assert_eq!(guarded.findings[0].remedy, guarded.check.remedy);
}

#[test]
fn a_refusal_of_another_kind_is_a_warning() {
    let other = (Some("P0001"), "somebody's own trigger", 0);
    let words = (Some("40001"), "could not serialize access", 0);
    for refusal in [other, words] {
        assert_eq!(judged(&[OWN, KEPT, KEPT, refusal], true).status, Status::Warn);
    }
}

#[test]
fn what_the_application_needs_must_not_be_refused() {
    assert_eq!(judged(&[OWN, KEPT, LATE], true).status, Status::Fail);
    assert_eq!(judged(&[OWN, KEPT, (None, "", 0)], true).status, Status::Fail);
}

#[test]
fn without_rows_of_its_own_nothing_is_judged() {
    let verdict = judged(&[(Some("23502"), "null value in column \"x\"", 0)], true);
    assert_eq!(verdict.status, Status::Warn);
    let verdict = judged(&[(Some("42501"), "permission denied", 0)], true);
    assert_eq!((verdict.status, verdict.denied), (Status::Skipped, true));
}

#[test]
fn numbers_are_negative_and_every_file_is_read_to_its_end() {
    for check in registry::ALL.iter().filter(|check| matches!(check.source, Source::Probe(_))) {
        for _ in 0..20 {
            let steps = of(check).unwrap();
            assert!(
                steps.iter().all(|step| !step.sql.contains('%') && !step.sql.trim().is_empty())
            );
        }
        let Source::Probe(file) = check.source else { continue };
        let steps = of(check).unwrap();
        let comments = file
            .lines()
            .filter(|line| line.starts_with("-- "))
            .filter(|line| !["-- unless ", "-- only "].iter().any(|head| line.starts_with(head)))
            .count();
        assert_eq!(steps.len(), comments + 1, "{}", check.id);
    }
    let step = &of(registry::find("probe-lost-update").unwrap()).unwrap()[1];
    assert!(step.sql.contains("((-"), "{}", step.sql);
}
