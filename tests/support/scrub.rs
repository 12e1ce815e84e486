//! Taking out of a text what differs from run to run.

use std::sync::LazyLock;

use regex::Regex;

/// Pattern and what stands there instead; in this order, the longer things first.
const DIFFERENT: [(&str, &str); 13] = [
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
    (r"\b[0-9a-f]{64}\b", "HASH"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d[:-]\d\d[:-]\d\d([.,-]\d+)?(Z| ?UTC|[+-]\d\d(:?\d\d)?)?", "TIME"),
    (r"(/[\w.-]+)*/markenmate-[0-9a-f]{12}", "SOCKET"),
    (r"(/[\w.-]+)*/\.tmp\w{6}", "FOLDER"),
    (r"\btest_\d+\b", "DATABASE"),
    (r#"(_ms"?: ?)\d+(\.\d+)?"#, "${1}0"),
    (r"\b\d+(\.\d+)? ?(ns|us|µs|ms|s|m|min)\b( \d+(\.\d+)? ?(ns|us|µs|ms|s)\b)*", "DURATION"),
    (r#"(system_identifier"?:? ?"?)\d+"#, "${1}SYSID"),
    (r"\b(pid |pid=|pg_(?:terminate|cancel)_backend\()\d+", "${1}PID"),
    (r"\b(port=|localhost:|127\.0\.0\.1:|\[::1\]:)\d+", "${1}PORT"),
    (r#"((?:server|tool)_version"?:? ?"?)\d[\w.]*( \([^)]*\))?"#, "${1}VERSION"),
    (r"\b(PostgreSQL|markenmate) \d[\w.]*( \(Debian[^)]*\))?", "${1} VERSION"),
];

/// The text with uuids, times, durations, paths, ports, pids and versions replaced by their names.
pub fn scrub(text: &str) -> String {
    static PATTERNS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        DIFFERENT.into_iter().map(|(pattern, name)| (Regex::new(pattern).unwrap(), name)).collect()
    });
    PATTERNS
        .iter()
        .fold(text.to_owned(), |text, (from, to)| from.replace_all(&text, *to).into_owned())
}
