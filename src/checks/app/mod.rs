//! The guide's HTTP tests against a running application, such that a broken guard can harm nobody:
//! test 1 names a user who does not exist, tests 2 and 3 ask only what the database itself refuses.

use serde_json::json;

use super::registry::{self, Check, Source};
use super::verdict::{Status, Verdict};
use crate::db::interrupt::Interrupt;
use crate::failure::Failure;
use crate::report::{Finding, Severity};
use crate::tools::http::{Answer, Application, Silence};

mod cookie;
mod guarded;

pub use cookie::Cookie;
pub use guarded::{Ground, run as run_guarded};

/// Why these checks are skipped where no address is given.
pub const NOT_ASKED: &str = "asked of a running application: --app-url URL";

const HEALTH: &str = "/api/health";
const TOGGLE: &str = "/api/admin/toggle-role";

/// What the application says where it wants a step-up first.
const STEP_UP: &[&str] = &["Step-up authentication required"];

/// Tests 2 and 3: asked only what the database itself refuses.
pub const GUARDED: [&str; 2] = ["app-master-admin", "app-last-admin"];

const NOT_HEALTHY: &str =
    "the cookie goes to nothing but what says that it is healthy: see `app-health`";
const NOT_GUARDED: &str =
    "asked only of an application that demands a step-up token: see `app-step-up`";

/// What came of the first two, and why the others need not be asked.
#[derive(Debug, Default)]
pub struct Asked {
    /// One a check.
    pub verdicts: Vec<Verdict>,
    /// Why nobody else is to be asked.
    pub obstacle: Option<&'static str>,
}

/// Runs `app-health` and `app-step-up`, as far as they are among `checks`, or stand before one that is:
/// whatever carries the cookie is sent only to what passed those before it. Changes nothing.
///
/// # Errors
/// A signal came.
pub async fn run(
    app: &Application,
    cookie: Option<&Cookie>,
    checks: &[&'static Check],
    interrupt: &Interrupt,
) -> Result<Asked, Failure> {
    let mut asked = Asked::default();
    let wanted = |id: &str| checks.iter().any(|check| check.id == id);
    let guarded = cookie.is_some() && GUARDED.into_iter().any(wanted);
    let step_up = wanted("app-step-up");
    for check in registry::ALL.iter().filter(|check| check.source == Source::App) {
        let verdict = match check.id {
            "app-health" if wanted(check.id) || guarded || (step_up && cookie.is_some()) => {
                let app = app.clone();
                let url = app.url(HEALTH);
                let answer = interrupt.during(move || app.get(HEALTH)).await?;
                let verdict = health(check, &url, &answer);
                if answer.is_err() {
                    // Nobody waits for the same silence twice.
                    asked.obstacle = Some("nothing answers: see `app-health`");
                } else if cookie.is_some() && verdict.status != Status::Pass {
                    asked.obstacle = Some(NOT_HEALTHY);
                }
                verdict
            }
            "app-step-up" if step_up || guarded => match asked.obstacle {
                Some(obstacle) => Verdict::skipped(check, obstacle),
                None => {
                    let nobody = json!({ "userId": uuid::Uuid::new_v4().to_string() });
                    let answer = post(app, nobody.to_string(), cookie, interrupt).await?;
                    let verdict =
                        refusal(check, &app.url(TOGGLE), &answer, STEP_UP, cookie.is_some());
                    if verdict.status != Status::Pass {
                        asked.obstacle = Some(NOT_GUARDED);
                    }
                    verdict
                }
            },
            _ => continue,
        };
        if checks.contains(&check) {
            asked.verdicts.push(verdict);
        }
    }
    Ok(asked)
}

async fn post(
    app: &Application,
    json: String,
    cookie: Option<&Cookie>,
    interrupt: &Interrupt,
) -> Result<Result<Answer, Silence>, Failure> {
    let app = app.clone();
    let cookie = cookie.map(|cookie| cookie.header().to_owned());
    interrupt.during(move || app.post(TOGGLE, &json, cookie.as_deref())).await
}

fn health(check: &'static Check, url: &str, answer: &Result<Answer, Silence>) -> Verdict {
    let answer = match answer {
        Err(silence) => return Verdict::found(check, vec![silent(check, url, silence)]),
        Ok(answer) => answer,
    };
    let healthy = serde_json::from_str::<serde_json::Value>(&answer.body)
        .is_ok_and(|said| said["healthy"] == true);
    if answer.status == 200 && healthy {
        return Verdict::found(check, Vec::new());
    }
    let finding = redirect(check, url, answer).unwrap_or_else(|| {
        let but = if answer.status == 200 { ", but not that it is healthy" } else { "" };
        check.finding(url.into(), format!("answers HTTP {}{but}", answer.status), None)
    });
    Verdict::found(check, vec![finding])
}

/// What an answer says that should be a refusal. What it holds is not repeated: a page that explains
/// an error may hold the cookie.
fn refusal(
    check: &'static Check,
    url: &str,
    answer: &Result<Answer, Silence>,
    words: &[&str],
    with_cookie: bool,
) -> Verdict {
    let answer = match answer {
        Err(silence) => return Verdict::found(check, vec![silent(check, url, silence)]),
        Ok(answer) => answer,
    };
    let status = answer.status;
    let warning = |detail: &str, remedy: &str| Finding {
        severity: Severity::Warning,
        ..check.finding(url.into(), format!("HTTP {status}: {detail}"), Some(remedy.into()))
    };
    if let Some(finding) = redirect(check, url, answer) {
        // Nothing was judged yet.
        return Verdict::found(check, vec![Finding { severity: Severity::Warning, ..finding }]);
    }
    if status == 403 || words.iter().any(|word| answer.body.contains(word)) {
        return Verdict::found(check, Vec::new());
    }
    let finding = match status {
        404 | 405 => {
            let detail = "the guide's address does not exist in this version of the application, whose role \
                          changes are server actions: nothing was judged";
            let finding = warning(
                detail,
                "try what it guards on the database itself: markenmate verify --probe",
            );
            let skipped = Verdict::skipped(check, format!("HTTP {status}: there is no {TOGGLE}"));
            return Verdict { findings: vec![finding], ..skipped };
        }
        401 if with_cookie => warning(
            "the application does not know the session of the cookie",
            "log in again as an admin, and put the new cookie into the file",
        ),
        401 => warning(
            "the application wants a session first",
            "pass an admin's cookie: --app-cookie-file FILE",
        ),
        400..=499 => warning(
            "it refuses, but neither with 403 nor in the guide's words",
            "look at what it says: is it this that it refuses?",
        ),
        200..=299 => check.finding(url.into(), format!("HTTP {status}: it did not refuse"), None),
        _ => check.finding(
            url.into(),
            format!("HTTP {status}: its own guard did not refuse"),
            Some("look at the application's log".into()),
        ),
    };
    Verdict::found(check, vec![finding])
}

fn silent(check: &Check, url: &str, silence: &Silence) -> Finding {
    check.finding(url.into(), silence.said.clone(), Some(silence.remedy.clone()))
}

fn redirect(check: &Check, url: &str, answer: &Answer) -> Option<Finding> {
    let to = answer.location.as_deref().filter(|_| (300..400).contains(&answer.status))?;
    let detail = format!("HTTP {}: a redirect to {to}, which is not followed", answer.status);
    let remedy =
        "name that address with --app-url; where it is a login page, pass --app-cookie-file";
    Some(check.finding(url.into(), detail, Some(remedy.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Result<Answer, Silence> {
        Ok(Answer { status, location: None, body: body.into() })
    }

    fn step_up(answer: &Result<Answer, Silence>) -> (Status, Option<Severity>) {
        let check = registry::find("app-step-up").unwrap();
        let verdict = refusal(check, "http://a/x", answer, STEP_UP, false);
        (verdict.status, verdict.findings.first().map(|finding| finding.severity))
    }

    #[test]
    fn a_refusal_is_403_or_the_guides_words() {
        use Severity::{Error, Warning};
        for (status, body, expected) in [
            (403, "", (Status::Pass, None)),
            (200, "{\"error\":\"Step-up authentication required\"}", (Status::Pass, None)),
            (500, "Step-up authentication required", (Status::Pass, None)),
            (200, "{\"success\":true}", (Status::Fail, Some(Error))),
            (500, "", (Status::Fail, Some(Error))),
            (404, "", (Status::Skipped, Some(Warning))),
            (401, "", (Status::Warn, Some(Warning))),
            (400, "", (Status::Warn, Some(Warning))),
        ] {
            assert_eq!(step_up(&answer(status, body)), expected, "{status} {body}");
        }
        // A login page may well speak of step-up authentication.
        let to_login = Answer {
            status: 302,
            location: Some("/login".into()),
            body: "Step-up authentication required".into(),
        };
        assert_eq!(step_up(&Ok(to_login)), (Status::Warn, Some(Warning)));
    }

    #[test]
    fn healthy_is_200_and_says_so() {
        let check = registry::find("app-health").unwrap();
        let status = |status, body| health(check, "http://a", &answer(status, body)).status;
        assert_eq!(status(200, "{\"healthy\":true,\"tables\":17}"), Status::Pass);
        for (code, body) in
            [(503, "{\"healthy\":true}"), (200, "{\"healthy\":\"true\"}"), (200, "<html>")]
        {
            assert_eq!(status(code, body), Status::Fail, "{code} {body}");
        }
    }
}
