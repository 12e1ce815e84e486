//! Findings as workflow commands, which GitHub shows beside the job.

use crate::report::{Finding, Severity};

/// One line: `::error title=orphans::public.session.user_id: ...`
pub fn annotation(finding: &Finding) -> String {
    let word = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "notice",
    };
    let title = format!("{}: {}", finding.id, finding.title);
    let message = format!("{}: {}\n{}", finding.subject, finding.detail, finding.remedy);
    format!("::{word} title={}::{}", property(&title), data(&message))
}

/// The runner reads a command up to the end of the line and undoes these three.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// In a property, `:` and `,` would end it.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_cannot_forge_a_second_command() {
        let finding = Finding {
            id: "orphans".into(),
            severity: Severity::Warning,
            title: "a, b: 100 %".into(),
            subject: "s".into(),
            detail: "x\r\n::error::forged".into(),
            remedy: "do".into(),
        };
        assert_eq!(
            annotation(&finding),
            "::warning title=orphans%3A a%2C b%3A 100 %25::s: x%0D%0A::error::forged%0Ado"
        );
    }
}
