//! What an operator sees of a cleanup, before and after.

use serde_json::{Value, json};

use crate::cleanup::export::{Export, File, Months};
use crate::cleanup::ground::Due;
use crate::cleanup::guide::Obstacle;
use crate::cleanup::orphans::{Moved, Orphans};
use crate::cleanup::run::Done;
use crate::db::locks::Holder;
use crate::plan::{Risk, Step};
use crate::report::{Block, Finding, Severity};

/// `move 120 old audit rows …`
pub(super) fn title(due: &Due) -> String {
    match due.matched {
        0 => format!("{}: there are none", due.job.title),
        n => format!("{}: {n}", due.job.title),
    }
}

/// What was done, in place of what was to be done.
pub(super) fn title_of(done: &Done, planned: &str) -> String {
    let what = planned.rsplit_once(": ").map_or(planned, |(what, _)| what);
    let Done { matched, deleted, skipped, remaining, waiting, .. } = done;
    let there = match remaining {
        0 => String::new(),
        _ if *waiting > 0 => {
            format!("; {waiting} wait for the guide's archive, and {remaining} are there still")
        }
        _ if *skipped > 0 => {
            format!("; {skipped} are held by others, and {remaining} are there still")
        }
        _ => format!(", and {remaining} are there still"),
    };
    match (deleted, remaining, matched) {
        // There are none, or it says no number.
        (0, 0, 0) => planned.to_owned(),
        (0, 0, matched) => {
            format!("{what}: 0; the {matched} of the plan were gone already")
        }
        _ => format!("{what}: {deleted}{there}"),
    }
}

/// Why the guide's archive stays where it is.
pub(super) fn not_taken_over(why: &[Obstacle]) -> Finding {
    let what: Vec<_> = why.iter().map(|obstacle| obstacle.what.as_str()).collect();
    let then = ["then: markenmate cleanup audit"];
    let remedy: Vec<_> = why.iter().map(|o| o.remedy.as_str()).chain(then).collect();
    Finding {
        id: "guide-archive".into(),
        severity: Severity::Warning,
        title: "The archive that was made by following the guide is not taken over".into(),
        subject: "public.audit_log_archive".into(),
        detail: format!("it stays beside the log: {}", what.join("; ")),
        remedy: remedy.join("\n"),
    }
}

/// Rows that the guide's archive keeps where they are.
pub(super) fn waiting(due: &Due) -> Option<Finding> {
    (due.waiting > 0).then(|| Finding {
        id: "rows-wait".into(),
        severity: Severity::Warning,
        title: "Rows whose time is over wait for the guide's archive".into(),
        subject: format!("public.{}: {} row(s)", due.job.table, due.waiting),
        detail:
            "public.audit_log_archive has them as well: until it is taken over, they stay in both"
                .into(),
        remedy: "mend what [guide-archive] names, then: markenmate cleanup audit".into(),
    })
}

/// Whoever made the guide's archive has set up the guide's job as well.
pub(super) fn the_guides_job() -> Finding {
    Finding {
        id: "guide-job".into(),
        severity: Severity::Warning,
        title: "The guide's monthly job would destroy rows from now on".into(),
        subject: "wherever it is scheduled".into(),
        detail: "once public.audit_log_archive is gone its INSERT fails and its DELETE does not: audit rows would be deleted \
                 and kept nowhere"
            .into(),
        remedy: "take that job away; in its place: markenmate cleanup schedule --install".into(),
    }
}

/// Rows that stayed.
pub(super) fn held(done: &Done, table: &str, holders: &[Holder]) -> Finding {
    let detail = match (done.skipped, holders) {
        (0, _) => "nobody holds them: a trigger on the table keeps them, or they came while it was at work".into(),
        (held, []) => format!("{held} were held by somebody who is gone, or not to be seen"),
        (held, holders) => {
            let holders: Vec<_> = holders.iter().take(3).map(ToString::to_string).collect();
            format!("{held} were held by others; now there is {}", holders.join("; "))
        }
    };
    Finding {
        id: "rows-left".into(),
        severity: Severity::Warning,
        title: "Rows whose time is over are there still".into(),
        subject: format!("public.{table}: {} row(s)", done.remaining),
        detail,
        remedy: holders.first().map_or_else(
            || format!("markenmate cleanup {}", done.id),
            |holder| format!("to end it: {}", holder.remedy()),
        ),
    }
}

/// Rows that no export takes.
pub(super) fn stays(months: &Months) -> Option<Finding> {
    const THESE: &str = "NOT isfinite(created_at) OR created_at < '0001-01-01T00:00:00Z'";
    let archive = months.archive;
    (months.stay > 0).then(|| Finding {
        id: "never-exported".into(),
        severity: Severity::Info,
        title: "Rows that no export takes stay in the archive".into(),
        subject: format!("markenmate.{archive}: {} row(s)", months.stay),
        detail: "their created_at is infinite, or before the year 1: no month's folder is theirs; those that come with this run are counted".into(),
        remedy: format!(
            "SELECT * FROM markenmate.{archive} WHERE {THESE};  -- to give them a month: BEGIN; \
             SELECT markenmate.open_gate('why'); UPDATE markenmate.{archive} SET created_at = archived_at WHERE {THESE}; COMMIT;"
        ),
    })
}

/// Files of others in the folder.
pub(super) fn shared(export: &Export, others: &[String]) -> Option<Finding> {
    (!others.is_empty()).then(|| Finding {
        id: "folder-shared".into(),
        severity: Severity::Warning,
        title: "The folder has files of another database as well".into(),
        subject: export.folder.display().to_string(),
        detail: format!(
            "whoever reads it as one table counts both: {}; after a restore onto another server both are one",
            others.join(", ")
        ),
        remedy: "export each database into a folder of its own".into(),
    })
}

/// Where files go.
pub(super) fn export_title(export: &Export) -> String {
    format!(
        "move whole months before {} out of the archive into files in {}",
        export.before.format("%Y-%m"),
        export.folder.display()
    )
}

/// The step that comes first in a database that was never migrated.
pub(super) fn set_up(is_wanted: bool) -> Option<Step> {
    const TITLE: &str = "set up schema markenmate, where it is written down what is set aside; no table of the application's is changed by that";
    is_wanted.then(|| Step::new("set-up", TITLE, Risk::Additive))
}

/// What is done with rows that point to nothing.
pub(super) fn orphans_step(orphans: &[Orphans], kept: u64) -> Option<Step> {
    let rows: u64 = orphans.iter().map(|orphans| orphans.rows).sum();
    let title = match (rows, kept) {
        (0, 0) => return None,
        (0, tables) => format!("put back what {tables} table(s) in markenmate_quarantine hold"),
        (rows, _) => format!("set aside what points to nothing: {rows} rows or values"),
    };
    Some(Step::new("orphans", title, Risk::Additive))
}

/// What became of them, in place of what was to be done.
pub(super) fn orphans_title(moved: &[Moved], planned: &str) -> String {
    let rows: u64 = moved.iter().map(|moved| moved.rows).sum();
    let what = if planned.starts_with("put back") {
        "put back"
    } else {
        "set aside what points to nothing"
    };
    format!("{what}: {rows} rows or values")
}

/// The plan of a job, as JSON.
pub(super) fn planned(due: &Due) -> Value {
    json!({
        "id": due.job.id,
        "matched": due.matched,
        "waiting": due.waiting,
        "cut_off": due.job.by.map(|_| due.cut_off),
        "oldest": due.oldest,
        "adds_columns": due.fit.additions,
    })
}

/// Before the question.
pub(super) fn screen(
    dues: &[Due],
    months: &[Months],
    unfinished: &[String],
    orphans: &[Orphans],
) -> Vec<Block> {
    let mut screen = Vec::new();
    if !dues.is_empty() {
        let columns = ["job", "rows", "before (UTC)", "oldest (UTC)", "into markenmate"];
        screen.push(table(&columns, dues.iter().map(due_row).collect()));
    }
    for months in months {
        let from = months.oldest.as_ref().map(|month| format!(", from {month} on"));
        screen.push(Block::Text(format!(
            "markenmate.{}: {} rows of {} whole month(s) for files{}",
            months.archive,
            months.rows,
            months.months,
            from.unwrap_or_default()
        )));
    }
    screen.extend(unfinished.iter().cloned().map(Block::Text));
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
    if !orphans.is_empty() {
        let row = |orphans: &Orphans| {
            let what = if orphans.emptied.is_some() { "its value" } else { "the row" };
            vec![orphans.subject.clone(), orphans.rows.to_string(), what.to_owned()]
        };
        let columns = ["points to nothing", "rows", "set aside"];
        screen.push(table(&columns, orphans.iter().map(row).collect()));
        screen.push(Block::Text(
            "with what hangs on these rows; to see them first: markenmate verify --only orphans"
                .into(),
        ));
    }
    screen
}

fn due_row(due: &Due) -> Vec<String> {
    let before = due.cut_off.format("%Y-%m-%d %H:%M").to_string();
    vec![
        due.job.id.to_owned(),
        due.matched.to_string(),
        due.job.by.map_or_else(|| "all rows".into(), |_| before),
        due.oldest.clone().unwrap_or_else(|| "-".into()),
        due.job.archive.unwrap_or("(deleted)").to_owned(),
    ]
}

/// Afterwards.
pub(super) fn results(done: &[Done], moved: &[Moved], files: &[File], left: u64) -> Vec<Block> {
    let mut blocks = Vec::new();
    if !done.is_empty() {
        let columns = ["job", "rows gone", "archived", "held by others", "remain", "ms", "longest"];
        blocks.push(table(&columns, done.iter().map(done_row).collect()));
    }
    for done in done.iter().filter(|done| done.archived > 0) {
        blocks.push(Block::Text(format!(
            "{}: cleanup {}, checksum {} of the {} archived rows, read back and in the ledger",
            done.id, done.receipt.cleanup_id, done.receipt.checksum, done.archived
        )));
    }
    if !moved.is_empty() {
        blocks.push(table(&["what", "rows", "where"], moved.iter().map(moved_row).collect()));
        blocks.extend(staying(moved));
    }
    for file in files {
        blocks
            .push(Block::Text(format!("{}: {} rows, {} bytes", file.name, file.rows, file.bytes)));
    }
    if left > 0 {
        blocks.push(Block::Text(format!(
            "{left} rows of whole months are in the archive still: --max-duration was over"
        )));
    }
    blocks
}

fn done_row(done: &Done) -> Vec<String> {
    let counts = [done.deleted, done.archived, done.skipped, done.remaining, done.duration_ms];
    let counts = counts.iter().map(ToString::to_string);
    let longest = format!("{} ms", done.longest_batch_ms);
    [done.id.to_owned()].into_iter().chain(counts).chain([longest]).collect()
}

/// Why something did not come back, and what brings it back.
fn staying(moved: &[Moved]) -> Vec<Block> {
    let mut blocks = Vec::new();
    for part in moved.iter().filter(|moved| !moved.why.is_empty()) {
        let name = part.name.as_deref().unwrap_or(&part.what);
        blocks.push(Block::Text(format!("{name} stays: {}", part.why.join("; "))));
    }
    if !blocks.is_empty() {
        blocks.push(Block::Text(
            "what finds no row returns once that row is there: run the same command again; to give it up: \
             markenmate cleanup set-aside NAME"
                .into(),
        ));
        if moved.iter().all(|moved| moved.rows == 0) {
            blocks.insert(0, Block::Text("nothing could be put back".into()));
        }
    }
    blocks
}

fn moved_row(moved: &Moved) -> Vec<String> {
    let place = match (&moved.kept_as, moved.left) {
        (Some(name), _) => name.clone(),
        (None, Some(0)) => "all are back".into(),
        (None, left) => format!(
            "{} stay in markenmate_quarantine.{}",
            left.unwrap_or_default(),
            moved.name.as_deref().unwrap_or_default()
        ),
    };
    let since = moved.since.as_ref().map(|since| format!(", set aside {since}"));
    vec![format!("{}{}", moved.what, since.unwrap_or_default()), moved.rows.to_string(), place]
}

fn table(columns: &[&str], rows: Vec<Vec<String>>) -> Block {
    Block::Table { columns: columns.iter().map(|column| (*column).to_owned()).collect(), rows }
}
