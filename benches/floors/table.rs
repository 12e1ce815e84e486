//! The table, in Markdown, so that docs/performance.md can take it as it is.

use std::time::Duration;

use comfy_table::{Table, presets};

use super::child::Costs;
use super::ground::Ground;

/// One line of the table.
#[derive(Debug, Default)]
pub struct Line {
    pub measured: String,
    pub tool: String,
    pub floor: String,
    pub ratio: Option<f64>,
    pub target: String,
    /// None: shown for scale.
    pub met: Option<bool>,
}

impl Line {
    /// A figure beside its floor, for scale.
    pub fn beside(measured: &str, tool: Duration, floor: Duration) -> Self {
        Self {
            measured: measured.into(),
            tool: ms(tool),
            floor: ms(floor),
            ratio: Some(tool.as_secs_f64() / floor.as_secs_f64().max(1e-9)),
            ..Self::default()
        }
    }

    /// The ratio may be this at most.
    pub fn at_most(self, ratio: f64) -> Self {
        let met = self.ratio.map(|r| r <= ratio);
        Self { target: format!("≤ {ratio} × floor"), met, ..self }
    }

    /// A figure of the tool's alone.
    pub fn alone(measured: impl Into<String>, tool: impl Into<String>) -> Self {
        Self { measured: measured.into(), tool: tool.into(), ..Self::default() }
    }

    pub fn target(self, target: impl Into<String>, met: bool) -> Self {
        Self { target: target.into(), met: Some(met), ..self }
    }
}

/// Wall and CPU time of a run beside its floor, with the ratios they may have.
pub fn costs(what: &str, [tool, floor]: &[Costs; 2], targets: Option<[f64; 2]>) -> Vec<Line> {
    let lines = [
        Line::beside(&format!("{what}, wall"), tool.wall(), floor.wall()),
        Line::beside(&format!("{what}, CPU"), tool.cpu(), floor.cpu()),
    ];
    match targets {
        Some(targets) => lines.into_iter().zip(targets).map(|(l, t)| l.at_most(t)).collect(),
        None => lines.into(),
    }
}

pub fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

pub fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
}

pub fn print(ground: &Ground, lines: &[Line]) {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["measured", "markenmate", "floor", "ratio", "target", "met"]);
    for line in lines {
        let ratio = line.ratio.map(|r| format!("{r:.2}")).unwrap_or_default();
        let met = line.met.map_or("", |met| if met { "yes" } else { "NO" });
        table.add_row([&line.measured, &line.tool, &line.floor, &ratio, &line.target, met]);
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{table}");
    println!();
    println!(
        "PostgreSQL {}, {cores} cores, {} alternating runs a row, medians; memory is the most of all runs",
        ground.server.version(),
        ground.times
    );
    let judged: Vec<bool> = lines.iter().filter_map(|line| line.met).collect();
    println!("targets met: {} of {}", judged.iter().filter(|met| **met).count(), judged.len());
}
