//! What a run did, as it stands in the database: its row in `markenmate.cleanup`, its receipt in the ledger.

use serde::Serialize;
use tokio_postgres::SimpleQueryRow;

use super::ground::Due;
use super::jobs::GUIDE_ARCHIVE;
use crate::context::Context;
use crate::db::foreign::{self, Scope};
use crate::db::identifiers::literal;
use crate::db::ledger::{self, Record};
use crate::db::session::{Mode, Rows, Session};
use crate::failure::Failure;

const WHAT: &str = "cannot record the cleanup";

/// A run's row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    pub cleanup: i64,
    /// The newest row of the archive at that time.
    pub archived_before: i64,
}

/// What the ledger keeps of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Receipt {
    /// The row of `markenmate.cleanup`, and the mark of the archive's rows.
    pub cleanup_id: i64,
    /// Rows before this had had their time; RFC 3339.
    pub cut_off: String,
    /// Rows that left the table.
    pub deleted: u64,
    /// Of these, rows that are in the archive.
    pub archived: u64,
    /// The lowest and the highest id.
    pub ids: Option<[i64; 2]>,
    /// The sum of the archived rows' hashes.
    pub checksum: String,
    /// How many of these the archive still had when a later run wrote this; none: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<u64>,
    /// How it ended.
    pub outcome: String,
    /// The run that did it, where that was another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
}

impl Receipt {
    fn from_row(row: &SimpleQueryRow, outcome: &str) -> Option<Self> {
        let number = |name| row.get(name).and_then(|n| n.parse::<i64>().ok());
        Some(Self {
            cleanup_id: number("cleanup_id")?,
            cut_off: row.get("cut_off")?.to_owned(),
            deleted: row.get("deleted")?.parse().ok()?,
            archived: row.get("archived")?.parse().ok()?,
            ids: number("first_id").zip(number("last_id")).map(|(first, last)| [first, last]),
            checksum: row.get("checksum")?.to_owned(),
            found: None,
            outcome: outcome.to_owned(),
            run_id: None,
        })
    }

    async fn write(&self, cx: &Context, session: &Session, job: &str) -> Result<(), Failure> {
        let detail = serde_json::to_string(self);
        let detail = detail.map_err(|error| Failure::unexpected(WHAT).because(error))?;
        let record = Record {
            command: "cleanup",
            subject: Some(job),
            outcome: &self.outcome,
            detail: Some(&detail),
        };
        ledger::append(session, &cx.origin(), &record).await.map(drop)
    }
}

/// What every transaction of ours says first: who we are, and that nobody else's code would run.
pub(super) fn opening(role: &str) -> String {
    // As the owner nobody need be trusted, and a look would be a part of each batch.
    if role.is_empty() {
        return String::new();
    }
    format!("{role}{};{};", foreign::plain(), foreign::refuse(Scope::Cleanup))
}

/// Begins a run: ends those that ended in the middle, and gives the archive the columns that it lacks.
pub(super) async fn begin(
    cx: &Context,
    session: &Session,
    role: &str,
    due: &Due,
) -> Result<Begun, Failure> {
    let begun = begin_once(cx, session, role, due).await;
    session.end().await;
    begun
}

async fn begin_once(
    cx: &Context,
    session: &Session,
    role: &str,
    due: &Due,
) -> Result<Begun, Failure> {
    let job = due.job;
    let mut sql = format!("{role}{};{};", foreign::plain(), foreign::refuse(Scope::Cleanup));
    let mut last_archived = "0".to_owned();
    if let Some(archive) = job.archive {
        let live = due.twins.iter().flat_map(|twins| &twins.live.additions);
        for addition in due.fit.additions.iter().chain(live) {
            sql +=
                &format!("ALTER TABLE markenmate.{archive} ADD COLUMN IF NOT EXISTS {addition};");
        }
        last_archived =
            format!("(SELECT coalesce(max(a.archive_id), 0) FROM markenmate.{archive} a)");
    }
    let cut_off = format!("{}::timestamptz", literal(&due.cut_off.to_rfc3339()));
    sql += &include_str!("begin.sql")
        .replace("%JOB%", &literal(job.id))
        .replace("%RUN%", &literal(&cx.run_id.to_string()))
        .replace("%CUT_OFF%", &cut_off)
        .replace("%LAST_ARCHIVED%", &last_archived);
    let sets = session.begin_within(Mode::Write, session.timeouts(), WHAT, &sql).await?;
    let [.., ended, begun] = sets.as_slice() else { return Err(Failure::unexpected(WHAT)) };
    let number = |name| begun.first()?.get(name)?.parse().ok();
    let read = number("cleanup_id").zip(number("archived_before"));
    let (cleanup, archived_before) = read.ok_or_else(|| Failure::unexpected(WHAT))?;
    for row in ended {
        if let Some(mut receipt) = Receipt::from_row(row, "ended") {
            receipt.run_id = row.get("run_id").map(str::to_owned);
            if job.archive.is_some() {
                let sets = session.run(WHAT, &kept_sql(due, receipt.cleanup_id, 0)).await?;
                let kept = Kept::read(&sets)?;
                // An erasure since then is no reason to clean up nothing ever again.
                receipt.found = (kept.rows != receipt.archived).then_some(kept.rows);
                let [first, last] = kept.ids();
                (receipt.checksum, receipt.ids) = (kept.checksum, receipt.ids.or(kept.ids));
                let sql = format!(
                    "UPDATE markenmate.cleanup \
                        SET checksum = {}, first_id = least(first_id, {first}), last_id = greatest(last_id, {last}) \
                      WHERE cleanup_id = {}",
                    literal(&receipt.checksum),
                    receipt.cleanup_id
                );
                session.run(WHAT, &sql).await?;
            }
            receipt.write(cx, session, job.id).await?;
        }
    }
    session.commit(WHAT, "COMMIT").await?;
    Ok(Begun { cleanup, archived_before })
}

/// What the archive has of a run.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    rows: u64,
    checksum: String,
    /// The lowest and the highest id.
    ids: Option<[i64; 2]>,
}

impl Kept {
    fn read(sets: &[Rows]) -> Result<Self, Failure> {
        let row = sets.last().and_then(|rows| rows.first());
        let text = |name| row.and_then(|row| row.get(name));
        let number = |name| text(name).and_then(|id| id.parse().ok());
        let rows = text("rows").and_then(|rows| rows.parse().ok());
        let kept = rows.zip(text("checksum").map(str::to_owned));
        let ids = number("first_id").zip(number("last_id")).map(|(first, last)| [first, last]);
        kept.map(|(rows, checksum)| Self { rows, checksum, ids })
            .ok_or_else(|| Failure::unexpected(WHAT))
    }

    /// The lowest and the highest id, as SQL.
    fn ids(&self) -> [String; 2] {
        let id = |at: usize| {
            self.ids.map_or_else(|| "NULL::bigint".into(), |ids| format!("'{}'::bigint", ids[at]))
        };
        [id(0), id(1)]
    }

    /// The checksum, where the archive has as many rows as left the table.
    fn checked(self, due: &Due, receipt: &Receipt) -> Result<String, Failure> {
        if self.rows == receipt.archived {
            return Ok(self.checksum);
        }
        let archive = due.job.archive.unwrap_or_default();
        Err(Failure::unexpected(format!(
            "markenmate.{archive} does not hold what was moved into it"
        ))
        .because(format!("{} rows were moved; {} are there", receipt.archived, self.rows))
        .hint(format!(
            "look who changed it: rows of this run have cleanup_id {}",
            receipt.cleanup_id
        )))
    }
}

fn kept_sql(due: &Due, cleanup: i64, after: i64) -> String {
    format!(
        "SELECT count(*) AS rows, min(a.id) AS first_id, max(a.id) AS last_id, coalesce(sum({}), 0) AS checksum \
           FROM markenmate.{} a \
          WHERE a.archive_id > {after} AND a.cleanup_id = {cleanup}",
        due.fit.hash("a"),
        due.job.archive.unwrap_or_default()
    )
}

/// Reads back what the archive has of a run; nothing where there is none.
pub(super) async fn read_back(
    session: &Session,
    role: &str,
    due: &Due,
    begun: Begun,
) -> Result<Kept, Failure> {
    if due.job.archive.is_none() {
        return Ok(Kept { checksum: "0".into(), ..Kept::default() });
    }
    let sql = kept_sql(due, begun.cleanup, begun.archived_before);
    let sets = session.once(Mode::Read, WHAT, &format!("{role}SET LOCAL jit = off;{sql}")).await?;
    Kept::read(&sets)
}

/// How a run ended.
#[derive(Debug, Clone)]
pub(super) struct End<'a> {
    pub kept: Kept,
    pub outcome: &'a str,
    pub skipped: u64,
    pub remaining: u64,
}

/// Ends a run: compares what the archive has of it, and writes the receipt.
pub(super) async fn finish(
    cx: &Context,
    session: &Session,
    role: &str,
    due: &Due,
    begun: Begun,
    end: &End<'_>,
) -> Result<Receipt, Failure> {
    let receipt = finish_once(cx, session, role, due, begun, end).await;
    session.end().await;
    receipt
}

async fn finish_once(
    cx: &Context,
    session: &Session,
    role: &str,
    due: &Due,
    begun: Begun,
    end: &End<'_>,
) -> Result<Receipt, Failure> {
    let [first, last] = end.kept.ids();
    let sql = include_str!("finish.sql")
        .replace("%FIRST%", &first)
        .replace("%LAST%", &last)
        .replace("%CLEANUP%", &begun.cleanup.to_string())
        .replace("%OUTCOME%", &literal(end.outcome))
        .replace("%CHECKSUM%", &literal(&end.kept.checksum))
        .replace("%SKIPPED%", &end.skipped.to_string())
        .replace("%REMAINING%", &end.remaining.to_string());
    let sql = format!("{}{sql}", opening(role));
    let sets = session.begin_within(Mode::Write, session.timeouts(), WHAT, &sql).await?;
    let row = sets.last().and_then(|rows| rows.first());
    let receipt = row.and_then(|row| Receipt::from_row(row, end.outcome));
    let receipt = receipt.ok_or_else(|| {
        Failure::unexpected(WHAT)
            .because("another cleanup has found it ended, and written its receipt")
            .hint("was the session that held the lock between cleanups ended? what was done stays done")
    })?;
    end.kept.clone().checked(due, &receipt)?;
    // That a table of the application's schema was dropped is told, too.
    if receipt.deleted > 0 || due.job == &GUIDE_ARCHIVE {
        receipt.write(cx, session, due.job.id).await?;
    }
    session.commit(WHAT, "COMMIT").await?;
    Ok(receipt)
}
