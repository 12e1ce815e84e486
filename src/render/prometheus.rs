//! Metrics in the text format that Prometheus reads.

use std::fmt::Write;

use crate::stats::reading::Reading;
use crate::stats::registry::Kind;

/// What every series says of the run it comes from.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The database's name: two of them may be read on one host.
    pub database: &'a str,
    /// When it was read, in seconds since 1970.
    pub read_at: f64,
    /// How long the window was, in seconds.
    pub window: f64,
}

/// The document: what was skipped, or has no value, is not in it.
pub fn document(origin: Origin<'_>, readings: &[Reading]) -> String {
    let mut text = String::new();
    let database = ("database", origin.database);
    for (name, help, value) in [
        (
            "markenmate_stats_read_timestamp_seconds",
            "When the other metrics were read",
            origin.read_at,
        ),
        (
            "markenmate_stats_window_seconds",
            "How long the window is, which some of the other metrics count in",
            origin.window,
        ),
    ] {
        head(&mut text, name, help, Kind::Gauge);
        sample(&mut text, name, [database].into_iter(), value);
    }
    for reading in readings.iter().filter(|reading| !reading.samples.is_empty()) {
        let metric = reading.metric;
        head(&mut text, metric.name, metric.title, metric.kind);
        for value in &reading.samples {
            let labels = value.labels.iter().map(|(name, text)| (name.as_str(), text.as_str()));
            let labels = [database].into_iter().chain(labels);
            sample(&mut text, metric.name, labels, metric.unit.exposed(value.value));
        }
    }
    text
}

// Writing to a string cannot fail.
fn head(text: &mut String, name: &str, help: &str, kind: Kind) {
    let kind = match kind {
        Kind::Gauge => "gauge",
        Kind::Counter => "counter",
    };
    let help = help.replace('\\', "\\\\").replace('\n', "\\n");
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn sample<'a>(
    text: &mut String,
    name: &str,
    labels: impl Iterator<Item = (&'a str, &'a str)>,
    value: f64,
) {
    let labels: Vec<_> =
        labels.map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
    let _ = writeln!(text, "{name}{{{}}} {value}", labels.join(","));
}

/// As the format has it; other characters stand for themselves.
fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::reading::{Sample, Why};
    use crate::stats::registry::{Limit, find};

    #[test]
    fn base_units_labels_escaped_and_nothing_for_what_is_absent() {
        let of = |id, labels, value| {
            Reading::of(find(id).unwrap(), Limit::Open, vec![Sample { labels, value }])
        };
        let hostile = vec![("actor".to_owned(), "a\"b\\c\nd".to_owned())];
        let readings = [
            of("audit-insert", vec![], 12.5),
            Reading::skipped(find("backup-age").unwrap(), Limit::Open, Why::Absent, "none"),
            of("step-up-failures-by-actor", hostile, 3.0),
        ];
        let origin = Origin { database: "m", read_at: 1.0, window: 86_400.0 };
        let text = document(origin, &readings);
        assert!(text.contains("# TYPE markenmate_audit_insert_mean_seconds gauge\nmarkenmate_audit_insert_mean_seconds{database=\"m\"} 0.0125\n"), "{text}");
        assert!(text.contains("{database=\"m\",actor=\"a\\\"b\\\\c\\nd\"} 3\n"), "{text}");
        assert!(!text.contains("backup") && !text.contains("NaN"), "{text}");
    }
}
