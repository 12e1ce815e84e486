//! Checks as a JUnit document, for CI servers that show one.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::checks::verdict::{Status, Verdict};
use crate::failure::Failure;
use crate::report::Severity;

/// The document: one suite, a case a check. A check whose findings weigh at least `failing` is a
/// failed case; lighter findings stand in the case's output.
pub fn document(suite: &str, verdicts: &[Verdict], failing: Severity) -> Result<String, Failure> {
    let mut cases = TestSuite::new(suite);
    cases.add_test_cases(verdicts.iter().map(|verdict| case(verdict, failing)));
    let mut report = Report::new("markenmate verify");
    report.add_test_suite(cases);
    report
        .to_string()
        .map_err(|error| Failure::unexpected("cannot write the JUnit document").because_of(&error))
}

fn case(verdict: &Verdict, failing: Severity) -> TestCase {
    let text = listed(verdict);
    let fails = verdict.findings.iter().any(|finding| finding.severity >= failing);
    let mut status = match verdict.status {
        Status::Skipped => TestCaseStatus::skipped(),
        _ if fails => TestCaseStatus::non_success(NonSuccessKind::Failure),
        _ => TestCaseStatus::success(),
    };
    match (&verdict.reason, verdict.findings.len()) {
        (Some(reason), _) => drop(status.set_message(reason.as_str())),
        (None, count) if fails => {
            status.set_message(format!("{count} finding(s): {}", verdict.check.title));
            status.set_type(verdict.status.word());
            status.set_description(text.as_str());
        }
        _ => {}
    }
    let mut case = TestCase::new(verdict.check.id, status);
    case.set_classname("markenmate.verify");
    if !fails && !text.is_empty() {
        case.set_system_out(text);
    }
    case
}

fn listed(verdict: &Verdict) -> String {
    let lines = verdict.findings.iter().map(|f| {
        format!("{}: {}\n  -> {}", f.subject, f.detail, f.remedy.replace('\n', "\n     "))
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::registry::ALL;

    fn verdicts() -> Vec<Verdict> {
        let found = |n: usize, severity| {
            let check = &ALL[n];
            let mut finding = check.finding("a <b>".into(), "x\u{1b}[31m & \"y\"".into(), None);
            finding.severity = severity;
            Verdict::found(check, vec![finding])
        };
        vec![
            Verdict::found(&ALL[0], vec![]),
            found(1, Severity::Error),
            found(2, Severity::Warning),
            Verdict::skipped(&ALL[3], "may not be read"),
        ]
    }

    #[test]
    fn a_case_a_check() {
        let text = document("db", &verdicts(), Severity::Error).unwrap();
        assert!(text.contains(r#"tests="4" skipped="1" errors="0" failures="1""#), "{text}");
        assert!(text.contains(r#"<skipped message="may not be read"/>"#), "{text}");
        assert!(text.contains("<system-out>a &lt;b&gt;"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn warnings_fail_where_they_are_asked_to() {
        let text = document("db", &verdicts(), Severity::Warning).unwrap();
        assert!(text.contains(r#"failures="2""#), "{text}");
    }
}
