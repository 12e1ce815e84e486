//! What a job did so far, also where it does not come to its end.

use std::time::Duration;

use super::batch::Batch;
use super::pace::Pace;

/// Rows and batches of a job that is at work.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Rows that left the table, as far as we heard.
    pub deleted: u64,
    /// Of these, rows that are in the archive.
    pub archived: u64,
    /// How many batches.
    pub batches: u64,
    /// The longest of them.
    pub longest: Duration,
    /// A connection was lost, maybe with the server: batches do not wait for the disk, so the last ones may be undone.
    pub is_at_most: bool,
    /// Blocks where rows were held by others when they were last come to, and how many rows.
    pub(super) held: Vec<([u32; 2], u64)>,
}

impl Tally {
    /// Rows that others held when they were last come to.
    pub fn skipped(&self) -> u64 {
        self.held.iter().map(|(_, rows)| rows).sum()
    }

    /// In words: what left, and where it is.
    pub fn told(&self) -> String {
        let up_to = if self.is_at_most { "up to " } else { "" };
        format!("{up_to}{} rows had left, {} of them into the archive", self.deleted, self.archived)
    }

    pub(super) fn count(
        &mut self,
        pace: &mut Pace,
        blocks: [u32; 2],
        (batch, took): (Batch, Duration),
    ) {
        pace.learn(blocks[1] - blocks[0], batch.deleted, took);
        self.deleted += batch.deleted;
        self.archived += batch.archived;
        self.batches += 1;
        self.longest = self.longest.max(took);
        if batch.skipped > 0 {
            self.held.push((blocks, batch.skipped));
        }
    }
}
