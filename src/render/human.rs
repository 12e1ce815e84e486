//! For people: sentences, facts and tables. Every string is escaped here, once.

use std::fmt::Write;

use comfy_table::{ContentArrangement, Table, presets};

use crate::console::{Console, escape, escape_lines};
use crate::failure::Failure;
use crate::plan::Plan;
use crate::report::{Block, Finding, Outcome, Report, Severity, StepStatus};

/// How many findings are listed in full; the JSON document has them all.
const LISTED: usize = 40;

/// A command's result.
pub fn report(report: &Report, console: &Console) -> String {
    let mut text = blocks(&report.body, &report.findings, console.width());
    if report.outcome == Outcome::Planned {
        push_line(&mut text, "Would do:");
    }
    for step in &report.steps {
        let mark = match step.status {
            StepStatus::Done => "done   ",
            StepStatus::Skipped => "skipped",
            StepStatus::Failed => "failed ",
            StepStatus::Planned => "  -",
        };
        let time = step.duration_ms.map(|ms| format!(" ({ms} ms)")).unwrap_or_default();
        push_line(&mut text, &format!("{mark} {}{time}", escape(&step.title)));
        if let Some(detail) = &step.detail {
            push_line(&mut text, &format!("        {}", escape(detail)));
        }
    }
    if !report.body.contains(&Block::Findings) {
        text.push_str(&findings(&report.findings));
    }
    text.push_str(&blocks(&report.appendix, &[], console.width()));
    if let Some(next) = &report.next {
        push_line(&mut text, &format!("next: {}", escape(&next.to_string())));
    }
    if let Some(undo) = &report.undo {
        push_line(&mut text, &format!("undo: {}", escape(undo)));
    }
    text
}

/// A page that is kept in a file: as wide as it is.
pub fn page(body: &[Block], found: &[Finding]) -> String {
    blocks(body, found, None)
}

/// What an operator reads before the question.
pub fn screen<W>(plan: &Plan<W>, console: &Console) -> String {
    let mut text = blocks(&plan.screen, &[], console.width());
    for (n, step) in (1..).zip(&plan.steps) {
        push_line(&mut text, &format!("{n}. {}", escape(&step.title)));
        if let Some(detail) = &step.detail {
            push_line(&mut text, &format!("   {}", escape(detail)));
        }
    }
    text.push_str(&findings(&plan.findings));
    text
}

/// A failure: what, why, what was found, what to type next.
pub fn failure(failure: &Failure, console: &Console) -> String {
    let mut text = blocks(&failure.body, &[], console.width());
    push_line(&mut text, &format!("error: {}", escape(&failure.message)));
    for cause in &failure.causes {
        push_line(&mut text, &format!("  because: {}", escape(cause)));
    }
    if let Some(sqlstate) = &failure.sqlstate {
        push_line(&mut text, &format!("  SQLSTATE: {}", escape(sqlstate)));
    }
    // A missing privilege is among causes and hints already.
    if failure.findings.iter().any(|finding| finding.id != "privilege") {
        text.push_str(&findings(&failure.findings));
    }
    for hint in &failure.hints {
        push_line(&mut text, &format!("  hint: {}", escape(hint)));
    }
    if let Some(next) = &failure.next {
        push_line(&mut text, &format!("next: {}", escape(next)));
    }
    text
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

fn findings(all: &[Finding]) -> String {
    let mut text = String::new();
    for finding in all.iter().take(LISTED) {
        let word = match finding.severity {
            Severity::Error => "ERROR",
            Severity::Warning => "WARNING",
            Severity::Info => "INFO",
        };
        let subject = if finding.subject.is_empty() { &finding.title } else { &finding.subject };
        let _ = writeln!(
            text,
            "{word} [{}] {}: {}",
            escape(&finding.id),
            escape(subject),
            escape(&finding.detail)
        );
        for (n, line) in escape_lines(&finding.remedy).lines().enumerate() {
            let _ = writeln!(text, "  {} {line}", if n == 0 { "->" } else { "  " });
        }
    }
    if all.len() > LISTED {
        let _ =
            writeln!(text, "... and {} more (all of them with --format json)", all.len() - LISTED);
    }
    text
}

/// The blocks of a report, in order.
fn blocks(blocks: &[Block], found: &[Finding], width: Option<u16>) -> String {
    let mut text = String::new();
    for block in blocks {
        match block {
            Block::Heading(title) => push_line(&mut text, &format!("\n{}", escape(title))),
            Block::Text(line) => push_line(&mut text, &escape(line)),
            Block::Facts(facts) => push_facts(&mut text, facts),
            Block::Table { columns, rows } => push_table(&mut text, columns, rows, width),
            Block::Findings => text.push_str(&findings(found)),
            Block::Code(code) => push_line(&mut text, &escape_lines(code)),
        }
    }
    text
}

fn push_facts(text: &mut String, facts: &[(String, String)]) {
    let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, value) in facts {
        push_line(text, &format!("{name:<width$}  {}", escape(value)));
    }
}

fn push_table(text: &mut String, columns: &[String], rows: &[Vec<String>], width: Option<u16>) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(columns.iter().map(|c| escape(c)));
    for row in rows {
        table.add_row(row.iter().map(|cell| escape(cell)));
    }
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    for line in table.to_string().lines() {
        push_line(text, line);
    }
}
