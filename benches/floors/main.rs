//! What markenmate costs, beside the least that PostgreSQL's own client costs for the same work.
//! `scripts/bench` builds and runs it; docs/performance.md says how to read it.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, clippy::expect_used)]

mod back;
mod backup;
mod child;
mod cleanup;
mod floor;
mod forecast;
mod ground;
mod guarded;
mod proxy;
mod rows;
mod stall;
mod table;

use std::path::PathBuf;

use ground::Ground;
use table::Line;

type Row = fn(&Ground) -> Vec<Line>;

/// One line a row: its name, and what measures it.
const ROWS: [(&str, Row); 12] = [
    ("version", rows::version),
    ("noop", rows::noop),
    ("migrate", rows::migrate),
    ("trips", rows::trips),
    ("memory", rows::memory),
    ("backup", backup::backup),
    ("guards", guarded::guards),
    ("verify", guarded::verify),
    ("back", back::back),
    ("cleanup", cleanup::cleanup),
    ("stall", stall::stall),
    ("forecast", forecast::forecast),
];

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|word| word == child::WORD) {
        return child::serve(&arguments[1..]);
    }
    // `cargo bench` adds this one.
    arguments.retain(|word| word != "--bench");
    let full = take(&mut arguments, "--full");
    let tool = std::env::var_os("MARKENMATE_BENCH_TOOL").map(PathBuf::from);
    let tool = tool.unwrap_or_else(|| env!("CARGO_BIN_EXE_markenmate").into());
    if let Some(stranger) = arguments.iter().find(|word| ROWS.iter().all(|(row, _)| row != word)) {
        eprintln!(
            "error: there is no row {stranger:?}; there are {}",
            ROWS.map(|r| r.0).join(", ")
        );
        std::process::exit(2);
    }
    let ground = Ground::lay(tool, full);
    let mut lines = Vec::new();
    for (name, measure) in ROWS {
        if arguments.is_empty() || arguments.iter().any(|word| word == name) {
            eprintln!("==> measuring {name}");
            lines.extend(measure(&ground));
        }
    }
    table::print(&ground, &lines);
}

fn take(arguments: &mut Vec<String>, flag: &str) -> bool {
    let before = arguments.len();
    arguments.retain(|word| word != flag);
    arguments.len() < before
}
