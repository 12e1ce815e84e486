//! What speaks against the way on the live database and a restored one cannot show, as owners, privileges and
//! the role that looks are others there. Catalogues are read, and nothing is locked.

use crate::db::foreign::{self, Scope};
use crate::db::identifiers::quoted;
use crate::db::session::{Mode, Rows, Session};
use crate::failure::Failure;
use crate::migrations::survey::Survey;
use crate::report::{Finding, Severity};

const WHAT: &str = "cannot look at owners and privileges";

/// Looks, in the transaction of the survey where that is still open.
///
/// # Errors
/// The server's.
pub async fn findings(session: &Session, survey: &Survey) -> Result<Vec<Finding>, Failure> {
    let sets = ask(session, survey, include_str!("live.sql")).await?;
    let mut found: Vec<Finding> = sets.iter().flatten().map(finding).collect();
    if !survey.rights.becomes_table_owner {
        // Whose code would run with whose rights is not known of a role that only looks.
        return Ok(found);
    }
    for (scope, what) in [
        (Scope::Returning, "what a rollback sets aside could not return"),
        (Scope::Admins, "set-master-admin would be refused"),
    ] {
        let role = match survey.rights.owner() == survey.rights.user {
            true => "SET LOCAL ROLE NONE".to_owned(),
            false => format!("SET LOCAL ROLE {}", quoted(survey.rights.owner())),
        };
        let sql = format!("{role};{};SET LOCAL ROLE NONE", foreign::refuse_unlocked(scope));
        match ask(session, survey, &sql).await {
            Ok(_) => {}
            Err(failure) if failure.sqlstate.as_deref() == Some(foreign::STRANGER) => {
                found.push(stranger(what, &failure));
                // A transaction that failed answers nothing more.
                break;
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(found)
}

async fn ask(session: &Session, survey: &Survey, sql: &str) -> Result<Vec<Rows>, Failure> {
    match survey.under_lock {
        true => session.run(WHAT, sql).await,
        false => session.once(Mode::Read, WHAT, sql).await,
    }
}

fn finding(row: &tokio_postgres::SimpleQueryRow) -> Finding {
    let text = |name| row.get(name).unwrap_or_default().to_owned();
    Finding {
        id: "live".into(),
        severity: match row.get("certain") {
            Some("t") => Severity::Error,
            _ => Severity::Warning,
        },
        title: "The way back would be refused on the live database".into(),
        subject: text("subject"),
        detail: text("detail"),
        remedy: text("remedy"),
    }
}

fn stranger(what: &str, failure: &Failure) -> Finding {
    Finding {
        id: "live".into(),
        severity: Severity::Error,
        title: "The way would be refused on the live database".into(),
        subject: "code of others".into(),
        detail: format!("{what}: {}", failure.causes.first().map_or("", String::as_str)),
        remedy: failure.hints.join("; "),
    }
}

/// All that would be refused, as one refusal.
pub fn refusal(found: &[Finding]) -> Option<Failure> {
    let errors: Vec<_> = found.iter().filter(|f| f.severity == Severity::Error).cloned().collect();
    let what = "owners, privileges or code of others stand in the way on the live database";
    let causes = |failure: Failure, finding: &Finding| {
        failure.because(format!("{}: {}", finding.subject, finding.detail))
    };
    let failure = errors.iter().fold(Failure::refused(what), causes);
    (!errors.is_empty()).then(|| failure.with_findings(errors))
}
