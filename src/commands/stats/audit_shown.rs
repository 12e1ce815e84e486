//! What `stats audit` shows and writes.

use serde_json::json;

use super::audit::Seen;
use crate::render::csv as table;
use crate::report::{Block, Finding, Outcome, Report, Severity};
use crate::stats::audit::metadata::Unparsed;
use crate::stats::audit::who::{self, Deed, Rate};

/// How many users are listed for people; JSON and CSV have them all.
const LISTED: usize = 20;

/// The finding of metadata that is no JSON.
pub(super) const UNPARSED: &str = "not-json";
pub(super) const UNPARSED_TITLE: &str = "Rows whose metadata is no JSON";

/// The report: a table a user, rates, findings.
pub(super) fn report(seen: &Seen, fails: bool) -> Report {
    let rates = who::rates(&seen.deeds);
    let mut findings: Vec<_> = seen.anomalies.iter().map(|found| found.finding.clone()).collect();
    findings.extend(beside(seen));
    let failed = fails && !findings.is_empty();
    let mut report = Report::new(if failed { Outcome::Findings } else { Outcome::Done });
    report.data = json!({
        "since": seen.scope.since,
        "actor": seen.scope.actor,
        "action": seen.scope.action,
        "archive": seen.scope.archive,
        "rows": rows(&seen.deeds),
        "archived": seen.deeds.iter().map(|deed| deed.archived).sum::<u64>(),
        "actions": seen.deeds,
        "rates": rates,
        "not_json": seen.unparsed,
        "notices": notice(seen).into_iter().collect::<Vec<_>>(),
    });
    report.body = body(seen, &rates);
    report.findings = findings;
    report
}

/// What was found, and is no anomaly of a statement.
fn beside(seen: &Seen) -> impl Iterator<Item = Finding> {
    unparsed(&seen.unparsed).into_iter().chain(seen.unread.as_deref().map(unread))
}

/// What is no fault, and yet to be known.
pub(super) fn notice(seen: &Seen) -> Option<String> {
    let actor = seen.scope.actor.as_ref().filter(|_| seen.lacks_actor)?;
    Some(format!(
        "no user and no audit row has the actor {actor:?}: leave out --actor to see who there is"
    ))
}

fn rows(deeds: &[Deed]) -> u64 {
    deeds.iter().map(|deed| deed.count).sum()
}

fn unparsed(found: &Unparsed) -> Option<Finding> {
    let first = found.examples.first()?;
    let place = if first.archived { " of the archive" } else { "" };
    let long = match found.too_long {
        0 => String::new(),
        n => format!(", {n} too long to be judged"),
    };
    Some(Finding {
        id: UNPARSED.into(),
        severity: Severity::Warning,
        title: UNPARSED_TITLE.into(),
        subject: "public.audit_log.metadata".into(),
        detail: format!(
            "{} row(s) are no JSON{long}, for example row {}{place}: {}",
            found.count, first.id, first.why
        ),
        remedy: "who wrote them, if not the application? Queries that cast metadata to json end at such a row".into(),
    })
}

fn unread(reason: &str) -> Finding {
    Finding {
        id: "archive".into(),
        severity: Severity::Warning,
        title: "The archive belongs to the audit log, and was not read".into(),
        subject: "markenmate.audit_log_archive".into(),
        detail: reason.into(),
        remedy: "grant what is missing: markenmate util grants prints all that a reader needs"
            .into(),
    }
}

fn body(seen: &Seen, rates: &[Rate]) -> Vec<Block> {
    let mut body = vec![Block::Text(format!("window: since {}", seen.scope.since))];
    let mut actors: Vec<&[Deed]> = seen.deeds.chunk_by(|a, b| a.actor == b.actor).collect();
    let failures = |deeds: &[Deed]| -> u64 {
        deeds.iter().filter(|deed| who::is_failure(&deed.action)).map(|deed| deed.count).sum()
    };
    actors.sort_by_key(|deeds| std::cmp::Reverse((failures(deeds), rows(deeds))));
    for deeds in actors.iter().take(LISTED) {
        body.extend(deeds.first().map(|deed| Block::Heading(heading(deed))));
        body.push(table_of(deeds));
    }
    if actors.len() > LISTED {
        body.push(Block::Text(format!(
            "... and {} more users (all of them with --format json or --csv FILE)",
            actors.len() - LISTED
        )));
    }
    body.extend(rates_of(rates).into_iter().flatten());
    body.push(Block::Findings);
    let archived: u64 = seen.deeds.iter().map(|deed| deed.archived).sum();
    body.push(Block::Text(format!(
        "{} rows of {} users, {archived} of them in the archive",
        rows(&seen.deeds),
        actors.len()
    )));
    body
}

fn heading(deed: &Deed) -> String {
    let Deed { actor, email, role, .. } = deed;
    match (email, role) {
        (Some(email), role) => {
            format!("{email} (id {actor}, role {})", role.as_deref().unwrap_or_default())
        }
        _ => format!("id {actor}, who is no user any more"),
    }
}

fn table_of(deeds: &[Deed]) -> Block {
    let columns = ["action", "count", "first", "last"].map(str::to_owned).to_vec();
    let day =
        |time: &Option<String>| time.iter().flat_map(|t| t.chars()).take(10).collect::<String>();
    let minute = |time: &Option<String>| {
        time.iter().flat_map(|t| t.chars()).take(16).collect::<String>().replace('T', " ")
    };
    let row = |deed: &Deed| {
        vec![deed.action.clone(), deed.count.to_string(), day(&deed.first), minute(&deed.last)]
    };
    Block::Table { columns, rows: deeds.iter().map(row).collect() }
}

/// Of those who failed at all.
fn rates_of(rates: &[Rate]) -> Option<[Block; 2]> {
    let columns = ["user", "step-ups failed", "role changes refused"].map(str::to_owned).to_vec();
    let part = |some: u64, all: u64, rate: Option<f64>| match rate {
        Some(rate) => format!("{some} of {all} ({:.0} %)", rate * 100.0),
        None => "-".to_owned(),
    };
    let failed = rates.iter().filter(|rate| rate.step_up_failures + rate.role_failures > 0);
    let row = |rate: &Rate| {
        vec![
            rate.email.clone().unwrap_or_else(|| rate.actor.clone()),
            part(rate.step_up_failures, rate.step_ups, rate.step_up_rate),
            part(rate.role_failures, rate.role_changes, rate.role_rate),
        ]
    };
    let rows: Vec<_> = failed.take(LISTED).map(row).collect();
    (!rows.is_empty())
        .then_some([Block::Heading("Failures".into()), Block::Table { columns, rows }])
}

/// Who did what, a row each; then what does not look right, about somebody or an object.
pub(super) fn csv(seen: &Seen) -> String {
    const COLUMNS: [&str; 11] = [
        "kind", "actor", "email", "role", "action", "count", "archived", "first", "last", "detail",
        "object",
    ];
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let deeds = seen.deeds.iter().map(|deed| {
        vec![
            "action".to_owned(),
            deed.actor.clone(),
            text(&deed.email),
            text(&deed.role),
            deed.action.clone(),
            deed.count.to_string(),
            deed.archived.to_string(),
            text(&deed.first),
            text(&deed.last),
            String::new(),
            String::new(),
        ]
    });
    let found = |finding: &Finding, [actor, email, object]: [String; 3]| {
        let mut row = vec![String::new(); COLUMNS.len()];
        row[0] = finding.id.clone();
        row[1] = actor;
        row[2] = email;
        row[9] = finding.detail.clone();
        row[10] = object;
        row
    };
    let anomalies = seen.anomalies.iter().map(|anomaly| {
        let about = [&anomaly.actor, &anomaly.email, &anomaly.object].map(text);
        found(&anomaly.finding, about)
    });
    let beside = beside(seen).map(|finding| {
        let object = finding.subject.clone();
        found(&finding, [String::new(), String::new(), object])
    });
    table::document(&COLUMNS, deeds.chain(anomalies).chain(beside))
}
