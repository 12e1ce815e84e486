//! How many blocks the next batch takes. Pure.

use std::time::Duration;

/// More than a block holds of the smallest rows there are.
const MOST_ROWS: f64 = 300.0;
/// What a row may take before anything was measured: as slow as with a trigger that looks around, so that the first
/// batch is short.
const UNKNOWN: f64 = 500e-6;
/// And after batches with too few rows to measure it.
const LIKELY: f64 = 50e-6;

/// Rows that say how long one takes, and how many a block has.
const ENOUGH: u64 = 50;

/// What is known of the table and the machine so far.
#[derive(Debug, Clone)]
pub struct Pace {
    aim: f64,
    blocks: f64,
    /// Rows a block.
    density: f64,
    /// Seconds a row that left.
    per_row: f64,
    is_measured: bool,
}

impl Pace {
    /// A beginning: `rows` in `blocks`, as far as the server knows.
    #[allow(clippy::cast_precision_loss)]
    pub fn new(aim: Duration, rows: u64, blocks: u64) -> Self {
        let density = match (rows, blocks) {
            (0, _) | (_, 0) => 100.0,
            _ => (rows as f64 / blocks as f64).clamp(1.0, MOST_ROWS),
        };
        let mut pace = Self {
            aim: aim.as_secs_f64(),
            blocks: f64::MAX,
            density,
            per_row: UNKNOWN,
            is_measured: false,
        };
        pace.blocks = pace.most();
        pace
    }

    /// The blocks of the next batch, 1 at least.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn blocks(&self) -> u32 {
        self.blocks.clamp(1.0, f64::from(u32::MAX / 2)) as u32
    }

    /// Learns from a batch, and aims at the time: by half or to double at most. Where few rows left, the next
    /// blocks may be full of them: no more are taken than would be deleted within the time.
    #[allow(clippy::cast_precision_loss)]
    pub fn learn(&mut self, blocks: u32, rows: u64, took: Duration) {
        let took = took.as_secs_f64().max(1e-4);
        let seen = took / rows.max(1) as f64;
        if rows >= ENOUGH {
            self.is_measured = true;
            self.per_row = seen.max(self.per_row / 2.0);
            self.density = self.density.max((rows as f64 / f64::from(blocks)).min(MOST_ROWS));
        } else if !self.is_measured {
            // The batch's own time is in it: a row takes less than that.
            let likely = if rows > 0 { seen.min(LIKELY) } else { LIKELY };
            self.per_row = (self.per_row / 2.0).max(likely).min(self.per_row);
        }
        let next = f64::from(blocks) * (self.aim / took).clamp(0.5, 2.0);
        self.blocks = next.min(self.most());
    }

    /// As many as could be emptied within the time.
    fn most(&self) -> f64 {
        self.aim / (self.per_row * self.density)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AIM: Duration = Duration::from_millis(100);

    #[test]
    fn it_finds_the_size_that_takes_the_time() {
        let mut pace = Pace::new(AIM, 50_000, 1000);
        assert_eq!(pace.blocks(), 4);
        // 5 us a row, 50 rows a block: 400 blocks.
        for _ in 0..20 {
            let blocks = pace.blocks();
            pace.learn(
                blocks,
                u64::from(blocks) * 50,
                Duration::from_micros(u64::from(blocks) * 250),
            );
        }
        assert!((380..=400).contains(&pace.blocks()), "{}", pace.blocks());
    }

    #[test]
    fn few_rows_at_first_keep_no_batch_small() {
        let mut pace = Pace::new(AIM / 20, 60_000, 1000);
        assert_eq!(pace.blocks(), 1);
        // Half of the 60 rows of a block, 5 us each, and 500 us for the batch.
        for _ in 0..20 {
            let blocks = pace.blocks();
            let rows = u64::from(blocks) * 30;
            pace.learn(blocks, rows, Duration::from_micros(500 + rows * 5));
        }
        assert!(pace.blocks() >= 10, "{}", pace.blocks());
    }

    #[test]
    fn where_next_to_nothing_leaves_it_hurries() {
        let mut pace = Pace::new(AIM, 60_000, 1000);
        for rows in [0, 1, 2, 0, 1, 0, 0, 3] {
            pace.learn(pace.blocks(), rows, Duration::from_micros(600));
        }
        assert!((30..=40).contains(&pace.blocks()), "{}", pace.blocks());
    }

    #[test]
    fn long_ones_are_halved_and_there_is_always_one_block() {
        let mut pace = Pace::new(AIM, 50_000, 1000);
        pace.learn(40, 2000, AIM * 8);
        assert!(pace.blocks() <= 20);
        for _ in 0..20 {
            pace.learn(1, 50, AIM * 10);
        }
        assert_eq!(pace.blocks(), 1);
    }

    #[test]
    fn where_nothing_leaves_it_does_not_run_into_what_does() {
        let mut pace = Pace::new(AIM, 50_000, 1000);
        for _ in 0..10 {
            pace.learn(400, 20_000, AIM);
        }
        for _ in 0..30 {
            let blocks = pace.blocks();
            pace.learn(blocks, 0, Duration::from_micros(u64::from(blocks) * 10));
        }
        assert!(pace.blocks() <= 400, "{}", pace.blocks());
    }

    #[test]
    fn an_unknown_table_is_begun_with_care() {
        assert_eq!(Pace::new(AIM, 0, 0).blocks(), 2);
        assert!(Pace::new(Duration::from_millis(1), 1_000_000, 1000).blocks() >= 1);
    }
}
