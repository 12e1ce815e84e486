//! For people: sentences, facts and tables. Every string is escaped here, once.

use std::fmt::Write;

use comfy_table::{ContentArrangement, Table, presets};

use crate::console::{Console, escape, escape_lines};
use crate::failure::Failure;
use crate::plan::Plan;
use crate::report::{Block, Finding, Outcome, Report, Severity, StepStatus};

/// How many findings are listed in full; the JSON document has them all.
const LISTED: usize = 40;

/// Columns of a page in a file.
const PAGE: u16 = 80;

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

/// A page that is kept in a file, as wide as it is printed. What is to be pasted stays on its line.
pub fn page(body: &[Block], found: &[Finding]) -> String {
    let text = blocks(body, found, Some(PAGE));
    text.lines()
        .flat_map(|line| fold(line, usize::from(PAGE)))
        .fold(String::new(), |text, line| text + &line + "\n")
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

/// What was seen all the same, before a failure.
pub fn seen(failure: &Failure, console: &Console) -> String {
    blocks(&failure.body, &[], console.width())
}

/// A failure: what, why, what was found, what to type next.
pub fn failure(failure: &Failure) -> String {
    let mut text = String::new();
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
    if width.is_some_and(|width| narrowest(columns, rows) > usize::from(width)) {
        return push_records(text, columns, rows);
    }
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

/// How wide a table is at the least in which no word is cut.
fn narrowest(columns: &[String], rows: &[Vec<String>]) -> usize {
    let words = |cell: &str| escape(cell).split(' ').map(|w| w.chars().count()).max().unwrap_or(0);
    let column = |(at, name): (usize, &String)| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| words(cell));
        cells.max().unwrap_or(0).max(words(name)) + 3
    };
    columns.iter().enumerate().map(column).sum::<usize>() + 1
}

/// One row below the other, for what is too wide side by side: a name that is cut cannot be pasted.
fn push_records(text: &mut String, columns: &[String], rows: &[Vec<String>]) {
    let width = columns.iter().skip(1).map(|name| name.chars().count()).max().unwrap_or(0);
    for row in rows {
        let mut cells = columns.iter().zip(row);
        if let Some((name, cell)) = cells.next() {
            push_line(text, &format!("{}: {}", escape(name), escape(cell)));
        }
        for (name, cell) in cells.filter(|(_, cell)| !cell.is_empty()) {
            push_line(text, &format!("  {:<width$}  {}", escape(name), escape(cell)));
        }
    }
}

/// Lines of at most that many columns, as far as words allow it; what goes on is indented.
fn fold(line: &str, columns: usize) -> Vec<String> {
    let is_pasted = line.starts_with("  -> ") || line.starts_with("     ");
    if is_pasted || line.chars().count() <= columns {
        return vec![line.to_owned()];
    }
    let mut lines = Vec::new();
    let mut now = String::new();
    for (at, word) in line.split(' ').enumerate() {
        let fits = now.chars().count() + 1 + word.chars().count() <= columns;
        if at > 0 && (fits || now.trim().is_empty()) {
            now.push(' ');
        } else if at > 0 {
            lines.push(std::mem::replace(&mut now, "    ".into()));
        }
        now.push_str(word);
    }
    lines.push(now);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_wide_side_by_side_is_shown_one_below_the_other() {
        let columns = ["what", "kept as"].map(str::to_owned);
        let name = "markenmate_quarantine.audit_log_20261129t092753_0a1b2c3d".to_owned();
        let rows = [vec!["public.audit_log".into(), name.clone()]];
        let mut text = String::new();
        push_table(&mut text, &columns, &rows, Some(60));
        assert_eq!(text, format!("what: public.audit_log\n  kept as  {name}\n"));
        let mut text = String::new();
        push_table(&mut text, &columns, &rows, Some(90));
        assert!(text.contains(&name) && text.contains('│'), "{text}");
    }

    #[test]
    fn a_page_is_folded_between_words_and_what_is_pasted_is_not() {
        let line = format!("verdict  PASS: {}", "there and back ".repeat(9));
        let lines = fold(line.trim_end(), 80);
        assert!(lines.len() > 1 && lines.iter().all(|l| l.chars().count() <= 80), "{lines:?}");
        assert!(lines[0].starts_with("verdict  PASS: there") && lines[1].starts_with("    "));
        let pasted = format!("  -> {}", "x ".repeat(60));
        assert!(fold(&pasted, 80) == [pasted.as_str()]);
    }
}
