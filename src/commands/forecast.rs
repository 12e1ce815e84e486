//! How a forecast of locks is shown: on the screen before the question, and in JSON.

use std::time::Duration;

use serde_json::{Value, json};

use crate::backup::dump::megabytes;
use crate::db::identifiers::identifier;
use crate::db::lock_mode::LockMode;
use crate::db::locks::{Holder, HolderKind};
use crate::failure::{Failure, Kind};
use crate::migrations::effects::Table;
use crate::migrations::forecast::{Forecast, Line, Verdict, reason};
use crate::report::Block;

/// The application's tables that are locked, and who is waited for with what ends them; nothing where
/// nothing is locked.
pub fn shown(forecast: &Forecast) -> Vec<Block> {
    let mut tables: Vec<&Table> = Vec::new();
    for line in forecast.lines.iter().filter(|line| line.effect.table.schema == "public") {
        if !tables.contains(&&line.effect.table) {
            tables.push(&line.effect.table);
        }
    }
    let mut blocks = Vec::new();
    if !tables.is_empty() {
        let columns = ["table", "lock", "size", "rows", "data", "now"];
        blocks.push(Block::Table {
            columns: columns.map(str::to_owned).to_vec(),
            rows: tables.into_iter().map(|table| row(forecast, table)).collect(),
        });
    }
    for holder in &forecast.waits_for {
        blocks.push(Block::Text(format!("waits for {}", with_reason(holder))));
        blocks.push(Block::Text(format!("  to end it: {}", holder.remedy())));
    }
    blocks
}

/// Nothing would begin before these end; `again` is what asks once more.
pub fn busy(what: &str, waits_for: &[Holder], again: &str) -> Failure {
    let mut failure = Failure::new(Kind::Busy, what);
    for holder in waits_for {
        failure = failure.because(with_reason(holder));
        failure = failure.hint(format!("to end it: {}", holder.remedy()));
    }
    failure.next = Some(again.to_owned());
    failure
}

/// Who is in the way, and why that does not simply end.
pub fn with_reason(holder: &Holder) -> String {
    match holder.kind() {
        // It says so itself.
        HolderKind::Idle | HolderKind::Session => holder.to_string(),
        _ => format!("{holder}; it {}", reason(holder)),
    }
}

/// One table, with all that is done to it.
fn row(forecast: &Forecast, table: &Table) -> Vec<String> {
    let lines: Vec<&Line> =
        forecast.lines.iter().filter(|line| line.effect.table == *table).collect();
    let lock = lines.iter().map(|line| line.effect.lock).max().unwrap_or(LockMode::AccessShare);
    let size = lines.iter().find_map(|line| line.size.as_ref());
    let scans: u32 = lines.iter().map(|line| line.effect.scans).sum();
    let data = match scans {
        _ if lines.iter().any(|line| line.effect.rewrites) => "rewrite".to_owned(),
        0 => "-".to_owned(),
        1 => "read".to_owned(),
        times => format!("read {times}x"),
    };
    let waits = lines.iter().any(|line| line.verdict == Verdict::Wait);
    vec![
        identifier(&table.name),
        lock.to_string(),
        size.map_or_else(|| "?".into(), |size| megabytes(size.bytes)),
        size.and_then(|size| size.rows).map_or_else(|| "?".into(), count),
        data,
        if waits { "wait" } else { "go" }.into(),
    ]
}

/// At most five signs.
fn count(rows: u64) -> String {
    match rows {
        0..=9_999 => rows.to_string(),
        10_000..=999_999 => format!("{}k", rows / 1_000),
        1_000_000..=99_999_999 => format!("{:.1}M", rows as f64 / 1e6),
        _ => format!("{}M", rows / 1_000_000),
    }
}

/// How long the tables are locked, for people.
pub fn time(locked: Duration) -> String {
    match locked.as_secs_f64() {
        s if s < 0.1 => "milliseconds".into(),
        s if s < 1.0 => format!("about {:.1} s", s),
        s => format!("about {}", humantime::format_duration(Duration::from_secs(s.round() as u64))),
    }
}

/// `data.expected_lock_ms`
pub fn milliseconds(forecast: &Forecast) -> u64 {
    forecast.locked.as_millis().try_into().unwrap_or(u64::MAX)
}

/// `data.forecast`: one entry for each statement and table.
pub fn json(forecast: &Forecast) -> Value {
    forecast.lines.iter().map(line).collect()
}

fn line(line: &Line) -> Value {
    let Line { effect, size, holders, verdict, why } = line;
    json!({
        "statement": effect.statement,
        "table": effect.table.to_string(),
        "lock": effect.lock.sql(),
        "bytes": size.as_ref().map(|size| size.bytes),
        "rows": size.as_ref().and_then(|size| size.rows),
        "rewrites": effect.rewrites,
        "scans": effect.scans > 0,
        "holders": holders.iter().map(|h| held(h, effect.lock)).collect::<Vec<_>>(),
        "verdict": if *verdict == Verdict::Go { "go" } else { "wait" },
        "why": why,
    })
}

fn held(holder: &Holder, wanted: LockMode) -> Value {
    json!({
        "kind": match holder.kind() {
            HolderKind::Dump => "pg_dump",
            HolderKind::Prepared => "prepared",
            HolderKind::Autovacuum => "autovacuum",
            HolderKind::Wraparound => "autovacuum_wraparound",
            HolderKind::Idle => "idle_in_transaction",
            HolderKind::Session => "session",
        },
        "pid": holder.pid,
        "user": holder.user,
        "application": holder.application,
        "state": holder.state,
        "transaction_age_s": holder.transaction_age_s,
        "lock": LockMode::named(&holder.mode).map(LockMode::sql),
        "excludes": holder.keeps_out(wanted),
        "end": holder.remedy(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_times_are_short() {
        let shown = [0, 9_999, 10_000, 999_999, 1_234_567, 99_999_999, 123_456_789].map(count);
        assert_eq!(shown, ["0", "9999", "10k", "999k", "1.2M", "100.0M", "123M"]);
        let shown = [3, 120, 1_400, 90_000].map(|ms| time(Duration::from_millis(ms)));
        assert_eq!(shown, ["milliseconds", "about 0.1 s", "about 1s", "about 1m 30s"]);
    }
}
