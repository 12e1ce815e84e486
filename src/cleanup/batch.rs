//! One batch: its SQL, and what it did.

use super::ground::Due;
use crate::db::identifiers::literal;
use crate::db::session::{Mode, Rows};
use crate::db::template::fill;

/// A job's batch but for its blocks.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    template: &'static str,
    values: Vec<(&'static str, String)>,
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

impl Rowwise {
    /// What keeps a row from changing between the statements of a batch: that they see one moment, or a lock.
    pub(super) fn mode(self) -> Mode {
        match self {
            Self::Waiting => Mode::Moment,
            Self::Skipping => Mode::Write,
        }
    }
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
        let mut values = vec![
            ("TABLE", table.clone()),
            ("TOLD", literal(&table)),
            ("CLEANUP", cleanup.to_string()),
        ];
        let template = match due.job.archive {
            None => include_str!("batch_delete.sql"),
            Some(archive) => {
                values.extend([
                    ("ARCHIVE", archive.to_owned()),
                    ("COLUMNS", due.fit.names()),
                    ("VALUES", due.fit.values()),
                    ("SHAPE", due.fit.shape(&table)),
                ]);
                include_str!("batch_archive.sql")
            }
        };
        let has_ranges = server_version >= 140_000;
        Self { template, values, table, predicate: due.condition.clone(), has_ranges }
    }

    /// For the blocks from `from` up to, not including, `to`.
    pub(super) fn sql(&self, from: u32, to: u32, rowwise: Rowwise) -> String {
        let due = format!("{} AND ({})", self.range(from, to), self.predicate);
        let table = &self.table;
        let (lock, rows) = match rowwise {
            Rowwise::Waiting => (String::new(), due),
            Rowwise::Skipping => (
                format!(
                    "SELECT count(*) INTO matched FROM ONLY {table} t WHERE {due};\n    \
                     free := ARRAY(SELECT t.ctid FROM ONLY {table} t WHERE {due} FOR UPDATE SKIP LOCKED);"
                ),
                "t.ctid = ANY (free)".to_owned(),
            ),
        };
        let values = self.values.iter().map(|(name, value)| (*name, value.as_str()));
        let values: Vec<_> = values.chain([("LOCK", lock.as_str()), ("ROWS", &rows)]).collect();
        fill(self.template, &values)
    }

    /// Rows from block `from` on that have had their time.
    pub(super) fn count_sql(&self, from: u32) -> String {
        let Self { table, predicate, .. } = self;
        format!(
            "SELECT count(*) FROM ONLY {table} t WHERE t.ctid >= '({from},0)'::tid AND ({predicate})"
        )
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
