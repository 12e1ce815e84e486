//! Whether others suffer from what is deleted: then it is waited.

use std::time::{Duration, Instant};

use crate::db::session::{Mode, Session};
use crate::failure::Failure;

/// So often it is asked.
const EVERY: Duration = Duration::from_secs(1);
/// A standby may lag so far.
const LAG: &str = "interval '5 seconds'";
/// A snapshot may be so old: what is deleted after it stays on the disk.
const SNAPSHOT: &str = "interval '10 minutes'";

/// When it was last asked.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    asked: Option<Instant>,
}

impl Pressure {
    /// It was asked within the last second.
    pub(super) fn rests(&self) -> bool {
        self.asked.is_some_and(|at| at.elapsed() < EVERY)
    }

    /// Who suffers now; nobody while it rests.
    pub(super) async fn feel(&mut self, session: &Session) -> Result<Vec<String>, Failure> {
        if self.rests() {
            return Ok(Vec::new());
        }
        self.asked = Some(Instant::now());
        let sql =
            include_str!("pressure.sql").replace("%LAG%", LAG).replace("%SNAPSHOT%", SNAPSHOT);
        let sets = session.once(Mode::Read, "cannot see who lags behind", &sql).await?;
        Ok(sets.iter().flatten().filter_map(|row| row.get(0).map(str::to_owned)).collect())
    }
}
