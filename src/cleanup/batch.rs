//! One batch: its SQL, and what it did.

use super::ground::Due;
use super::jobs::GUIDE_ARCHIVE;
use crate::db::identifiers::literal;
use crate::db::session::Rows;

/// A job's batch but for its blocks.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    sql: String,
    table: String,
    predicate: String,
    /// Whether the server scans ranges of blocks (PostgreSQL 14 on).
    has_ranges: bool,
}

/// How rows that others hold are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rowwise {
    /// Waited for, for as long as one may queue.
    Waiting,
    /// Left, and counted: the price is that each row is locked before it is deleted.
    Skipping,
}

/// What a batch did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Batch {
    pub deleted: u64,
    pub archived: u64,
    /// Rows that were held by others.
    pub skipped: u64,
}

impl Statement {
    pub(super) fn new(due: &Due, cleanup: i64, server_version: u32) -> Self {
        let table = format!("public.{}", due.job.table);
        let sql = match due.job.archive {
            None => include_str!("batch_delete.sql").to_owned(),
            Some(archive) => include_str!("batch_archive.sql")
                .replace("%ARCHIVE%", archive)
                .replace("%COLUMNS%", &due.fit.names())
                .replace("%VALUES%", &due.fit.values())
                .replace("%DOUBLED%", &doubled(due)),
        };
        let sql = sql
            .replace("%TABLE%", &table)
            .replace("%TOLD%", &literal(&table))
            .replace("%CLEANUP%", &cleanup.to_string());
        Self { sql, table, predicate: due.condition.clone(), has_ranges: server_version >= 140_000 }
    }

    /// For the blocks from `from` up to, not including, `to`.
    pub(super) fn sql(&self, from: u32, to: u32, rowwise: Rowwise) -> String {
        let rows = format!("{} AND ({})", self.range(from, to), self.predicate);
        let table = &self.table;
        let (matched, rows) = match rowwise {
            Rowwise::Waiting => (String::new(), rows),
            Rowwise::Skipping => (
                format!("SELECT count(*) INTO matched FROM ONLY {table} t WHERE {rows};"),
                format!(
                    "t.ctid = ANY (ARRAY(SELECT t.ctid FROM ONLY {table} t WHERE {rows} FOR UPDATE SKIP LOCKED))"
                ),
            ),
        };
        self.sql.replace("%MATCHED%", &matched).replace("%ROWS%", &rows)
    }

    /// No index is needed: whichever there are, the app's push may take them away.
    fn range(&self, from: u32, to: u32) -> String {
        if self.has_ranges {
            return format!("t.ctid >= '({from},0)'::tid AND t.ctid < '({to},0)'::tid");
        }
        // A block of 8 kB holds 291 rows at most.
        format!(
            "t.ctid = ANY (ARRAY(SELECT format('(%s,%s)', b, o)::tid \
               FROM generate_series({from}, {}) b, generate_series(1, 291) o))",
            u64::from(to).saturating_sub(1)
        )
    }
}

/// What stands in the application's own table still: it was copied, and not deleted.
fn doubled(due: &Due) -> String {
    if due.job != &GUIDE_ARCHIVE {
        return "false".into();
    }
    format!(
        "EXISTS (SELECT FROM public.audit_log l WHERE l.id = g.id AND {} = {})",
        due.fit.hash("l"),
        due.fit.hash("g")
    )
}

impl Batch {
    /// Reads the last statement's answer.
    pub(super) fn read(sets: &[Rows]) -> Option<Self> {
        let text = sets.last()?.first()?.get("batch")?;
        let numbers: Vec<u64> = text.split(' ').filter_map(|n| n.parse().ok()).collect();
        // Without a count there were none to skip.
        let [deleted, archived, ..] = numbers[..] else { return None };
        Some(Self { deleted, archived, skipped: numbers.get(2).copied().unwrap_or_default() })
    }
}
