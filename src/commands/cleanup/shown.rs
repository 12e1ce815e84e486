//! What an operator sees of a cleanup, before and after.

use serde_json::{Value, json};

use crate::cleanup::export::{Export, File, Months};
use crate::cleanup::ground::Due;
use crate::cleanup::run::Done;
use crate::report::Block;

/// `move 120 old audit rows …`
pub(super) fn title(due: &Due) -> String {
    match due.matched {
        0 => format!("{}: there are none", due.job.title),
        n => format!("{}: {n}", due.job.title),
    }
}

/// Where files go.
pub(super) fn export_title(export: &Export) -> String {
    format!(
        "move whole months before {} out of the archive into files in {}",
        export.before.format("%Y-%m"),
        export.folder.display()
    )
}

/// The plan of a job, as JSON.
pub(super) fn planned(due: &Due) -> Value {
    json!({
        "id": due.job.id,
        "matched": due.matched,
        "cut_off": due.job.by.map(|_| due.cut_off),
        "oldest": due.oldest,
        "adds_columns": due.fit.additions,
    })
}

/// Before the question.
pub(super) fn screen(dues: &[Due], months: &[Months]) -> Vec<Block> {
    let row = |due: &Due| {
        vec![
            due.job.id.to_owned(),
            due.matched.to_string(),
            due.job.by.map_or_else(
                || "all rows".into(),
                |_| due.cut_off.format("%Y-%m-%d %H:%M").to_string(),
            ),
            due.oldest.clone().unwrap_or_else(|| "-".into()),
            due.job.archive.unwrap_or("(deleted)").to_owned(),
        ]
    };
    let mut screen = vec![Block::Table {
        columns: ["job", "rows", "before (UTC)", "oldest (UTC)", "into markenmate"]
            .map(str::to_owned)
            .to_vec(),
        rows: dues.iter().map(row).collect(),
    }];
    for months in months {
        screen.push(Block::Text(format!(
            "markenmate.{}: {} rows of {} whole month(s) for files{}",
            months.archive,
            months.rows,
            months.months,
            months.oldest.as_ref().map(|month| format!(", from {month} on")).unwrap_or_default()
        )));
    }
    for due in dues.iter().filter(|due| !due.fit.additions.is_empty()) {
        screen.push(Block::Text(format!(
            "the archive of {} gets a column that the table has: {}",
            due.job.id,
            due.fit.additions.join(", ")
        )));
    }
    if dues.iter().any(|due| due.job.archive.is_none() && due.matched > 0) {
        screen.push(Block::Text(
            "what is deleted is of no use to anybody: an expired token opens nothing".into(),
        ));
    }
    screen
}

/// Afterwards.
pub(super) fn results(done: &[Done], files: &[File]) -> Vec<Block> {
    let row = |done: &Done| {
        [done.deleted, done.archived, done.skipped, done.remaining, done.duration_ms]
            .map(|n| n.to_string())
            .into_iter()
            .chain([done.longest_batch_ms.to_string()])
            .collect::<Vec<_>>()
    };
    let rows = done.iter().map(|done| {
        let mut cells = vec![done.id.to_owned()];
        cells.extend(row(done));
        cells
    });
    let columns = ["job", "rows left", "archived", "held by others", "remain", "ms", "longest"];
    let mut blocks =
        vec![Block::Table { columns: columns.map(str::to_owned).to_vec(), rows: rows.collect() }];
    for done in done.iter().filter(|done| done.archived > 0) {
        blocks.push(Block::Text(format!(
            "{}: cleanup {}, checksum {} of the {} archived rows, read back and in the ledger",
            done.id, done.receipt.cleanup_id, done.receipt.checksum, done.archived
        )));
    }
    for file in files {
        blocks
            .push(Block::Text(format!("{}: {} rows, {} bytes", file.name, file.rows, file.bytes)));
    }
    blocks
}
