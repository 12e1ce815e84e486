//! How far a pass has come, for the sessions that share it.

use std::time::{Duration, Instant};

use super::batch::Batch;
use super::pace::Pace;
use super::tally::Tally;
use crate::console::progress::Progress;

/// Blocks that are still to be looked at, and what was done so far: each session takes the next ones when it is ready.
pub(super) struct Front<'a, 'b> {
    /// Whatever is before this was taken by somebody.
    pub(super) at: u32,
    pub(super) end: u32,
    /// Nobody takes any after this: others are to be looked after, or the time is over.
    pub(super) until: Instant,
    pub(super) pace: &'a mut Pace,
    pub(super) tally: &'a mut Tally,
    pub(super) progress: &'a mut Progress<'b>,
}

impl Front<'_, '_> {
    /// The next blocks; none where it is at its end.
    pub(super) fn take(&mut self) -> Option<[u32; 2]> {
        if self.at >= self.end || Instant::now() >= self.until {
            return None;
        }
        let from = self.at;
        self.at = from.saturating_add(self.pace.blocks()).min(self.end);
        Some([from, self.at])
    }

    /// What became of them.
    pub(super) fn count(&mut self, blocks: [u32; 2], done: (Batch, Duration)) {
        self.tally.count(self.pace, blocks, done);
        self.progress.set(self.tally.deleted);
    }

    /// Nobody takes any more.
    pub(super) fn stop(&mut self) {
        self.until = Instant::now();
    }
}
