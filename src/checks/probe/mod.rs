//! The guide's four tests on the database itself: with rows of its own, in one transaction that is
//! rolled back, in one round trip.

use serde::Deserialize;

use super::registry::{Check, Source};
use super::verdict::Verdict;
use crate::db::foreign::{self, Scope};
use crate::db::identifiers::{literal, quoted};
use crate::db::patience::Attempt;
use crate::db::session::{Mode, Session, set_local};
use crate::failure::Failure;
use crate::report::{Finding, Severity};

mod scenario;

use scenario::{Expected, Step, steps};

/// Why these checks are skipped where nobody asks for them.
pub const NOT_ASKED: &str = "tried on the database itself, and all of it taken back: --probe";

/// What is locked, shortly: rows of admins, and a row that changes of admins queue at.
pub const TABLES: [&str; 3] = ["user", "token_lending", "step_up_token"];

const WHAT: &str = "cannot try the guards";

/// How much is searched, at most, for rows that go with a deleted user while the rows of all admins are
/// locked: some 25 ms. The keys of the application have no index.
const SIZE: &str = "24 * 1024 * 1024";

/// Keys `k` to a user without an index.
const SEARCHED: &str = "k.contype = 'f' AND k.confrelid = to_regclass('public.\"user\"') AND NOT EXISTS \
    (SELECT FROM pg_index i WHERE i.indrelid = k.conrelid AND i.indkey[0] = k.conkey[1] AND i.indisvalid)";

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Outcome {
    /// The SQLSTATE of the refusal; none where it was let through.
    state: Option<String>,
    said: Option<String>,
    rows: u64,
    /// It was not run: its condition did not hold.
    #[serde(default)]
    left_out: bool,
}

/// On whose behalf, and what the database has.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// The owner of the application's tables, where we are to become it.
    pub owner: Option<&'a str>,
    /// There are guards, whatever their state.
    pub guarded: bool,
}

/// Tries those among `checks` that are probes. Nothing is left of it.
///
/// # Errors
/// Busy: a lock was not to be had. Anything but what a statement of a probe was refused for.
pub async fn run(
    session: &Session,
    checks: &[&'static Check],
    ground: Ground<'_>,
    attempt: Attempt,
) -> Result<Vec<Verdict>, Failure> {
    let probes: Vec<_> =
        checks.iter().copied().filter_map(|check| Some((check, of(check)?))).collect();
    if probes.is_empty() {
        return Ok(Vec::new());
    }
    let wire: Vec<Vec<_>> =
        probes.iter().map(|(_, steps)| steps.iter().map(Step::wire).collect()).collect();
    let wire = serde_json::to_string(&wire).map_err(|e| Failure::unexpected(WHAT).because(e))?;
    let role = ground.owner.map(|owner| format!("SET LOCAL ROLE {};", quoted(owner)));
    let sql = format!(
        "{}{};{}{}{}",
        role.unwrap_or_default(),
        foreign::refuse(Scope::Probes),
        set_local("probe", "on"),
        set_local("probes", &wire),
        include_str!("run.sql"),
    );
    let tried = session.begin_within(Mode::Write, attempt.timeouts, WHAT, &sql).await;
    session.roll_back().await;
    let sets = match tried {
        Ok(sets) => sets,
        // Rights that are missing, and more rights than those whose code would run.
        Err(failure) if matches!(failure.sqlstate.as_deref(), Some("42501" | "MM190")) => {
            let said = failure.causes.join(": ");
            return Ok(probes.iter().map(|(check, _)| Verdict::denied(check, &said)).collect());
        }
        Err(failure) => return Err(failure),
    };
    let text = sets.last().and_then(|rows| rows.first()).and_then(|row| row.get("probed"));
    let seen: Vec<Vec<Outcome>> = serde_json::from_str(text.unwrap_or_default())
        .map_err(|e| Failure::unexpected(WHAT).because(e))?;
    let judged = probes.iter().zip(&seen);
    Ok(judged.map(|((check, steps), seen)| judge(check, steps, seen, ground.guarded)).collect())
}

/// A probe's steps; none where the check is no probe.
fn of(check: &Check) -> Option<Vec<Step>> {
    let Source::Probe(file) = check.source else { return None };
    let id = uuid::Uuid::new_v4();
    // Negative numbers: no sequence gives them, so none moves. They go up by three at most.
    let bytes = id.as_bytes();
    let number = i32::from_be_bytes([bytes[0] | 0x80, bytes[1], bytes[2], bytes[3] & 0xf0]);
    let user = |letter| literal(&format!("markenmate-probe-{letter}-{id}"));
    let (a, b, n) = (user('a'), user('b'), format!("({number})"));
    let names =
        [("%A%", a.as_str()), ("%B%", &b), ("%N%", &n), ("%SIZE%", SIZE), ("%SEARCHED%", SEARCHED)];
    let fill = |line: &str| {
        names.iter().fold(line.to_owned(), |line, (name, value)| line.replace(name, value))
    };
    let mut all = steps(include_str!("own.sql"), fill);
    all.extend(steps(file, fill));
    Some(all)
}

/// Pure.
fn judge(check: &'static Check, steps: &[Step], seen: &[Outcome], guarded: bool) -> Verdict {
    let mut findings = Vec::new();
    for (step, outcome) in steps.iter().zip(seen) {
        let said = outcome.said.as_deref().unwrap_or_default();
        let found = |severity, subject: &str, detail, remedy: &str| Finding {
            severity,
            ..check.finding(subject.into(), detail, Some(remedy.into()))
        };
        if outcome.left_out {
            continue;
        }
        match (step.expected, outcome.state.as_deref()) {
            (Expected::Kept | Expected::Gate, None) => {}
            (Expected::Let { .. }, None) if outcome.rows == 1 => {}
            (Expected::Seen { subject }, None) if outcome.rows == 1 => {
                let detail = "was not tried: it takes long here, with the rows of all admins locked. Its trigger is \
                              enabled, and calls what was tried";
                findings.push(found(
                    Severity::Info,
                    subject,
                    detail.into(),
                    "nothing is to be done",
                ));
            }
            (_, Some("42501")) => return Verdict::denied(check, said),
            (Expected::Kept | Expected::Gate | Expected::Seen { .. }, Some(state)) => {
                let detail = format!("could not be judged: {said} (SQLSTATE {state})");
                let remedy = "the database refuses the probe's own rows: look at what refuses them";
                findings.push(found(
                    Severity::Warning,
                    &format!("check {}", check.id),
                    detail,
                    remedy,
                ));
            }
            (Expected::Let { subject }, state) => {
                let why = state
                    .map_or("no row is found".to_owned(), |s| format!("{said} (SQLSTATE {s})"));
                let remedy = "the application needs this: look at the triggers on its tables";
                findings.push(found(
                    Severity::Error,
                    subject,
                    format!("is refused: {why}"),
                    remedy,
                ));
            }
            (Expected::Refused { states, words, .. }, Some(state))
                if states.split(' ').any(|known| known == state) && said.contains(words) => {}
            (Expected::Refused { subject, .. }, Some(state)) => {
                let detail = format!("is refused, but not by the guard: {said} (SQLSTATE {state})");
                let remedy = "look at what refuses it: the application does not expect that error";
                findings.push(found(Severity::Warning, subject, detail, remedy));
            }
            (Expected::Refused { subject, .. } | Expected::Seen { subject }, None) => {
                let detail = if matches!(step.expected, Expected::Seen { .. }) {
                    "is refused by no trigger: nobody but the application keeps this"
                } else if outcome.rows == 0 {
                    "finds no row, and no error is raised: nobody but the application keeps this"
                } else {
                    "is let through: nobody but the application keeps this"
                };
                let remedy = if guarded { check.remedy } else { "markenmate migrate" };
                findings.push(found(Severity::Error, subject, detail.into(), remedy));
            }
        }
    }
    Verdict::found(check, findings)
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
