//! What `stats` shows.

use std::path::Path;

use serde_json::{Value, json};

use super::kept;
use crate::report::{Block, Finding, Outcome, Report, Severity};
use crate::stats::reading::{Labels, Reading, Sample, Why};
use crate::stats::registry::{BACKUP, Limit, Metric};

/// The report: values, then tables of those that have a label, findings, what was skipped.
pub(super) fn report(readings: &[Reading], since: &str, backups: &Path, fails: bool) -> Report {
    let mut findings: Vec<Finding> = readings.iter().flat_map(over).collect();
    findings.extend(readings.iter().filter_map(broken));
    if kept::lacks_backup(backups, readings) {
        findings.extend(readings.iter().filter(|r| r.metric.id == BACKUP).map(no_backup));
    }
    if fails {
        findings.extend(denied(readings));
    }
    let failed = fails && !findings.is_empty();
    let mut report = Report::new(if failed { Outcome::Findings } else { Outcome::Done });
    report.data = json!({
        "since": since,
        "metrics": readings.iter().flat_map(json_of).collect::<Vec<_>>(),
        "skipped": readings.iter().flat_map(skipped_json).collect::<Vec<_>>(),
    });
    report.body = body(readings, since);
    report.findings = findings;
    report
}

/// Why rows have no number where the server has forgotten it, or never had one.
const UNKNOWN: &str = "the server has not counted them: ANALYZE";

fn json_of(reading: &Reading) -> impl Iterator<Item = Value> {
    reading.samples.iter().map(|sample| {
        json!({
            "id": reading.metric.id,
            "labels": labels_json(&sample.labels),
            "value": sample.value,
            "unit": reading.metric.unit,
            "threshold": reading.limit.value(),
            "over": reading.limit.is_passed(sample.value),
        })
    })
}

/// All of a metric, or that of one label.
fn skipped_json(reading: &Reading) -> impl Iterator<Item = Value> {
    let id = reading.metric.id;
    let all = reading.skipped.iter().map(move |(_, reason)| json!({ "id": id, "reason": reason }));
    let unknown = reading
        .unknown
        .iter()
        .map(move |labels| json!({ "id": id, "labels": labels_json(labels), "reason": UNKNOWN }));
    all.chain(unknown)
}

fn labels_json(labels: &Labels) -> Value {
    labels.iter().map(|(name, text)| (name.clone(), Value::from(text.as_str()))).collect()
}

fn over(reading: &Reading) -> impl Iterator<Item = Finding> {
    let passed = reading.samples.iter().filter(|sample| reading.limit.is_passed(sample.value));
    passed.map(|sample| {
        let metric = reading.metric;
        let side = if matches!(reading.limit, Limit::Under(_)) { "less" } else { "more" };
        let limit = metric.unit.shown(reading.limit.value().unwrap_or_default());
        let value = metric.unit.shown(sample.value);
        let subject = match sample.labels.as_slice() {
            [] => String::new(),
            labels => labels.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(" "),
        };
        finding(metric, subject, format!("{value} is {side} than {limit}"), remedy(metric, sample))
    })
}

/// What could not be read although it should have been.
fn broken(reading: &Reading) -> Option<Finding> {
    let (Why::Broken, reason) = reading.skipped.as_ref()? else { return None };
    let remedy = "markenmate verify --only contract";
    Some(finding(reading.metric, String::new(), reason.clone(), remedy.into()))
}

/// Whoever watches would take it for well that nothing can be seen any more.
fn denied(readings: &[Reading]) -> Option<Finding> {
    let denied = |reading: &&Reading| {
        matches!(reading.skipped, Some((Why::Denied, _))) && reading.limit.value().is_some()
    };
    let denied: Vec<&Reading> = readings.iter().filter(denied).collect();
    let ids: Vec<&str> = denied.iter().map(|reading| reading.metric.id).collect();
    let (_, reason) = denied.first()?.skipped.as_ref()?;
    Some(Finding {
        id: "not-read".into(),
        severity: Severity::Warning,
        title: "Metrics with a threshold may not be read".into(),
        subject: ids.join(" "),
        detail: reason.clone(),
        remedy: "grant what is missing, or pass over them: --threshold ID=none".into(),
    })
}

fn no_backup(reading: &Reading) -> Finding {
    let reason = reading.skipped.as_ref().map(|(_, reason)| reason.clone()).unwrap_or_default();
    finding(reading.metric, String::new(), reason, reading.metric.remedy.into())
}

fn finding(metric: &Metric, subject: String, detail: String, remedy: String) -> Finding {
    Finding {
        id: metric.id.into(),
        severity: Severity::Warning,
        title: metric.title.into(),
        subject,
        detail,
        remedy,
    }
}

/// A label in something to paste: a table's name is quoted already, an id is repeated only where it is plain.
fn remedy(metric: &Metric, sample: &Sample) -> String {
    let mut remedy = metric.remedy.to_owned();
    for (name, text) in &sample.labels {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let is_plain = !text.is_empty() && !text.starts_with('-') && text.chars().all(plain);
        let shown = if name == "table" || is_plain { text } else { "ID" };
        remedy = remedy.replace(&format!("{{{name}}}"), shown);
    }
    remedy
}

fn body(readings: &[Reading], since: &str) -> Vec<Block> {
    let mut body = vec![Block::Text(format!("window: since {since}"))];
    body.push(values(readings));
    for label in ["actor", "table"] {
        body.extend(by_label(readings, label));
    }
    body.push(Block::Findings);
    body.extend(skipped(readings).into_iter().map(Block::Text));
    body.push(Block::Text(last_line(readings)));
    body
}

/// Those that have one value.
fn values(readings: &[Reading]) -> Block {
    let columns = ["metric", "value", "threshold", ""].map(str::to_owned).to_vec();
    let of_one = readings.iter().filter(|r| r.skipped.is_none() && label_of(r).is_none());
    let rows = of_one.map(|reading| {
        let unit = reading.metric.unit;
        let (value, mark) = match reading.samples.first() {
            None if reading.metric.id.ends_with("-age") => ("never".to_owned(), ""),
            None => ("-".to_owned(), ""),
            Some(sample) => (
                shown(reading, sample),
                if reading.limit.is_passed(sample.value) { "OVER" } else { "" },
            ),
        };
        let threshold = reading.limit.value().map(|limit| unit.shown(limit)).unwrap_or_default();
        vec![reading.metric.id.to_owned(), value, threshold, mark.to_owned()]
    });
    Block::Table { columns, rows: rows.collect() }
}

/// With a label that is no row's name.
fn shown(reading: &Reading, sample: &Sample) -> String {
    let value = reading.metric.unit.shown(sample.value);
    match sample.labels.first() {
        Some((_, text)) => format!("{value} ({text})"),
        None => value,
    }
}

/// By whose values a metric has rows of its own; none where it never has.
fn label_of(reading: &Reading) -> Option<&'static str> {
    let id = reading.metric.id;
    match (id.ends_with("-by-actor"), id.starts_with("table-")) {
        (true, _) => Some("actor"),
        (_, true) => Some("table"),
        _ => None,
    }
}

/// One table for all metrics of a label: a row a value of it, a column a metric.
fn by_label(readings: &[Reading], label: &'static str) -> Option<Block> {
    let of: Vec<_> = readings.iter().filter(|r| label_of(r) == Some(label)).collect();
    let mut names: Vec<&str> = Vec::new();
    for (_, text) in of.iter().flat_map(|r| &r.samples).flat_map(|s| &s.labels) {
        if !names.contains(&text.as_str()) {
            names.push(text);
        }
    }
    // What was skipped, or has no value for anybody, is no column.
    let of: Vec<_> = of.into_iter().filter(|reading| !reading.samples.is_empty()).collect();
    let title = |r: &&Reading| {
        let id = r.metric.id.trim_start_matches("table-").trim_end_matches("-by-actor");
        id.replace('-', " ")
    };
    let columns = std::iter::once(label.to_owned()).chain(of.iter().map(title)).collect();
    let row = |name: &&str| {
        let cell = |reading: &&Reading| {
            let has = |labels: &Labels| labels.iter().any(|(_, text)| text == name);
            match reading.samples.iter().find(|sample| has(&sample.labels)) {
                Some(sample) => reading.metric.unit.shown(sample.value),
                None if reading.unknown.iter().any(has) => "unknown".to_owned(),
                None => String::new(),
            }
        };
        let name = (*name).trim_start_matches("public.").to_owned();
        std::iter::once(name).chain(of.iter().map(cell)).collect()
    };
    let rows: Vec<Vec<String>> = names.iter().map(row).collect();
    (!rows.is_empty()).then_some(Block::Table { columns, rows })
}

/// One line a reason, with the metrics it stopped.
fn skipped(readings: &[Reading]) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for reading in readings {
        let Some((_, reason)) = &reading.skipped else { continue };
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, ids)) => ids.push(reading.metric.id),
            None => reasons.push((reason, vec![reading.metric.id])),
        }
    }
    let line = |(reason, ids): (&str, Vec<&str>)| format!("skipped {}: {reason}", ids.join(", "));
    let unknown = readings.iter().filter(|reading| !reading.unknown.is_empty());
    let unknown = unknown.map(|reading| format!("unknown {}: {UNKNOWN}", reading.metric.id));
    reasons.into_iter().map(line).chain(unknown).collect()
}

fn last_line(readings: &[Reading]) -> String {
    let over = readings.iter().filter(|r| r.samples.iter().any(|s| r.limit.is_passed(s.value)));
    let skipped = readings.iter().filter(|r| r.skipped.is_some()).count();
    format!(
        "{} metrics read, {} over their threshold, {skipped} skipped",
        readings.len() - skipped,
        over.count()
    )
}
