//! One job from its first batch to its receipt. Ended at any moment, nothing is lost and the next run goes on.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::batch::{Batch, Rowwise, Statement};
use super::front::Front;
use super::ground::Due;
use super::pace::Pace;
use super::patient::patiently;
use super::pressure::Pressure;
use super::record::{self, Begun, End, Receipt};
use super::tally::Tally;
use super::twins::Twins;
use crate::console::progress::Progress;
use crate::context::Context;
use crate::db::session::{Mode, Session};
use crate::failure::{Failure, Kind};

/// How it is done.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a batch may take, about.
    pub batch_time: Duration,
    /// When no further batch is begun.
    pub until: Option<Instant>,
}

/// What became of a job.
#[derive(Debug, Clone, Serialize)]
pub struct Done {
    /// Which.
    pub id: &'static str,
    /// Rows that had had their time when it was planned.
    pub matched: u64,
    /// Rows that are in the archive now.
    pub archived: u64,
    /// Rows that left the table.
    pub deleted: u64,
    /// Rows that were held by others each time they were come to.
    pub skipped: u64,
    /// Rows that have had their time and are still there: the skipped ones, and those that wait.
    pub remaining: u64,
    /// Rows that wait until the guide's archive, which has them too, is taken over.
    pub waiting: u64,
    /// Milliseconds.
    pub duration_ms: u64,
    /// How many.
    pub batches: u64,
    /// The longest transaction, in milliseconds, as we saw it.
    pub longest_batch_ms: f64,
    /// What the ledger has of it.
    #[serde(flatten)]
    pub receipt: Receipt,
}

/// Rows that others had, or that an update put where we had been: looked for so often again.
const MOST_PASSES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);
/// So long batches follow each other before it is asked who suffers.
const STRETCH: Duration = Duration::from_secs(1);

/// A job at work.
pub struct Run<'a> {
    /// The context.
    pub cx: &'a Context,
    /// The session that does it.
    pub session: &'a Session,
    /// A second one beside it; none where there is little to do.
    pub second: Option<&'a Session>,
    /// The session that holds the lock between cleanups.
    pub guard: &'a Session,
    /// The pids of all of them.
    pub ours: Vec<i32>,
    /// What makes us the owner, if it takes that.
    pub role: &'a str,
    /// How it is done.
    pub limits: Limits,
}

impl Run<'_> {
    /// Does it. `tally` has what was done, however it ends.
    ///
    /// # Errors
    /// Partial (6) where something was done already; interrupted; the server's.
    pub async fn job(&self, due: &Due, tally: &mut Tally) -> Result<Done, Failure> {
        let done = self.try_job(due, tally).await;
        let sessions = [Some(self.session), self.second, Some(self.guard)];
        tally.is_at_most = sessions.iter().flatten().any(|session| session.is_closed());
        done.map_err(|failure| stopped(failure, tally))
    }

    async fn try_job(&self, due: &Due, tally: &mut Tally) -> Result<Done, Failure> {
        let began = Instant::now();
        let begun = self
            .patiently(due, async || record::begin(self.cx, self.session, self.role, due).await)
            .await?;
        let (is_whole, remaining) = match &due.twins {
            Some(twins) => (true, self.take_over(due, twins, begun, tally).await?),
            None => {
                let mut progress = self.cx.console.progress(due.job.id, due.matched);
                let passes = self.passes(due, begun, tally, &mut progress).await;
                progress.end();
                passes?
            }
        };
        let remaining = remaining + due.waiting;
        let kept = record::read_back(self.session, self.role, due, begun).await?;
        self.is_guarded()?;
        let outcome = if is_whole { "done" } else { "stopped" };
        let end = End { kept, outcome, skipped: tally.skipped(), remaining };
        let finish =
            async || record::finish(self.cx, self.session, self.role, due, begun, &end).await;
        let receipt = self.patiently(due, finish).await?;
        Ok(Done {
            id: due.job.id,
            matched: due.matched,
            archived: receipt.archived,
            deleted: receipt.deleted,
            skipped: tally.skipped(),
            remaining,
            waiting: due.waiting,
            duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            batches: tally.batches,
            longest_batch_ms: (tally.longest.as_secs_f64() * 10_000.0).round() / 10.0,
            receipt,
        })
    }

    /// From the first block to the last, and again while rows are missing from the account. Whether it came to the
    /// end, or the time was over; and how many rows are left.
    async fn passes(
        &self,
        due: &Due,
        begun: Begun,
        tally: &mut Tally,
        progress: &mut Progress<'_>,
    ) -> Result<(bool, u64), Failure> {
        let statement = Statement::new(due, begun.cleanup, self.session.facts.server_version_num);
        let mut pace = Pace::new(self.limits.batch_time, due.table.rows, due.table.blocks);
        let mut pressure = Pressure::default();
        for pass in 1.. {
            let blocks = self.blocks(due).await?;
            let before = tally.deleted;
            let mut at = 0;
            tally.held.clear();
            while at < blocks {
                if self.is_over() || !self.relieved(&mut pressure, progress).await? {
                    let ahead = self.number(&statement.count_sql(at)).await?;
                    return Ok((false, tally.skipped() + ahead));
                }
                let until = Instant::now() + STRETCH;
                let until = self.limits.until.map_or(until, |over| over.min(until));
                let (pace, tally, progress) = (&mut pace, &mut *tally, &mut *progress);
                let front = Front { at, end: blocks, until, pace, tally, progress };
                at = self.advance(due, &statement, RefCell::new(front)).await?;
            }
            self.come_back(due, &statement, &mut pace, tally).await?;
            // No look at the whole table: it would have the server tidy up in one go all that was deleted, and whoever
            // commits meanwhile wait for that. What an update moved to where we had been is missing, and come back to.
            let is_accounted_for = tally.deleted + tally.skipped() == due.matched;
            if is_accounted_for || tally.deleted == before || pass == MOST_PASSES {
                break;
            }
        }
        Ok((true, tally.skipped()))
    }

    /// To what others held: by now it may be free, or gone.
    async fn come_back(
        &self,
        due: &Due,
        statement: &Statement,
        pace: &mut Pace,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        for (blocks, _) in std::mem::take(&mut tally.held) {
            let done =
                self.batch(self.session, due, statement, blocks, &[Rowwise::Skipping]).await?;
            tally.count(pace, blocks, done);
        }
        Ok(())
    }

    /// Batches until the front comes to its end, on both sessions: neither waits for the other one's.
    async fn advance(
        &self,
        due: &Due,
        statement: &Statement,
        front: RefCell<Front<'_, '_>>,
    ) -> Result<u32, Failure> {
        let first = self.work(self.session, due, statement, &front);
        match self.second {
            None => first.await?,
            Some(second) => {
                // What one did counts, whatever became of the other.
                let (first, second) =
                    tokio::join!(first, self.work(second, due, statement, &front));
                first.and(second)?;
            }
        }
        Ok(front.into_inner().at)
    }

    async fn work(
        &self,
        session: &Session,
        due: &Due,
        statement: &Statement,
        front: &RefCell<Front<'_, '_>>,
    ) -> Result<(), Failure> {
        const WAYS: &[Rowwise] = &[Rowwise::Waiting, Rowwise::Skipping];
        loop {
            let taken = front.borrow_mut().take();
            let Some(blocks) = taken else { return Ok(()) };
            let done = self.batch(session, due, statement, blocks, WAYS).await;
            let mut front = front.borrow_mut();
            match done {
                Ok(done) => front.count(blocks, done),
                Err(failure) => {
                    front.stop();
                    return Err(failure);
                }
            }
        }
    }

    /// What was made by following the guide, all of it in one transaction: rows that stand elsewhere as well are told
    /// from others by looking at all of them. How many are left: none.
    async fn take_over(
        &self,
        due: &Due,
        twins: &Twins,
        begun: Begun,
        tally: &mut Tally,
    ) -> Result<u64, Failure> {
        let sql = format!("{}{}", record::opening(self.role), twins.sql(due, begun.cleanup));
        let what = "cannot take public.audit_log_archive over";
        let began = Instant::now();
        let tables = [due.job.table, "audit_log"];
        let attempt = async || self.session.once(Mode::Write, what, &sql).await;
        let sets = patiently(self.cx, self.session, &tables, &self.ours, attempt).await?;
        let batch = Batch::read(&sets).ok_or_else(|| Failure::unexpected(what))?;
        let mut pace = Pace::new(self.limits.batch_time, 0, 0);
        tally.count(&mut pace, [0, 0], (batch, began.elapsed()));
        Ok(0)
    }

    /// # Errors
    /// The session that holds the lock is gone: another cleanup may be at work.
    fn is_guarded(&self) -> Result<(), Failure> {
        if self.guard.is_closed() {
            return Err(Failure::unexpected(
                "the session that holds the lock between cleanups was ended",
            ));
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.limits.until.is_some_and(|until| Instant::now() >= until)
    }

    /// Waits while others suffer. False: the time was over.
    async fn relieved(
        &self,
        pressure: &mut Pressure,
        progress: &mut Progress<'_>,
    ) -> Result<bool, Failure> {
        let began = Instant::now();
        loop {
            let felt = pressure.feel(self.session).await?;
            let Some(what) = felt.first() else { return Ok(true) };
            if self.is_over() {
                return Ok(false);
            }
            let left = self.cx.settings.max_wait.saturating_sub(began.elapsed());
            if left.is_zero() {
                let failure =
                    Failure::new(Kind::Busy, "others have not caught up; nothing was changed");
                return Err(felt
                    .iter()
                    .fold(failure, |failure, what| failure.because(what))
                    .hint("to wait longer: --max-wait 30m"));
            }
            progress.note(&format!("waiting: {what} ({} s left)", left.as_secs()));
            // Until it is asked again.
            while pressure.rests() {
                self.cx.interrupt.pause(PAUSE.min(left)).await?;
            }
        }
    }

    async fn batch(
        &self,
        session: &Session,
        due: &Due,
        statement: &Statement,
        [from, to]: [u32; 2],
        ways: &[Rowwise],
    ) -> Result<(Batch, Duration), Failure> {
        self.is_guarded()?;
        let what = format!("cannot clean up public.{}", due.job.table);
        // How long it takes is --batch-time's to say.
        let patient = match session.facts.server_version_num {
            170_000.. => "SET LOCAL transaction_timeout = 0;",
            _ => "",
        };
        // Nothing is lost with a batch that a crash of the server undoes, so none waits for the disk; the receipt does.
        let opening = format!(
            "{}{patient}SET LOCAL synchronous_commit = off;SET LOCAL jit = off;SET LOCAL enable_seqscan = off;",
            record::opening(self.role)
        );
        patiently(self.cx, session, &[due.job.table], &self.ours, async || {
            let mut last = None;
            for &rowwise in ways {
                let began = Instant::now();
                let sql = format!("{opening}{}", statement.sql(from, to, rowwise));
                match session.once(rowwise.mode(), &what, &sql).await {
                    Ok(sets) => {
                        let batch = Batch::read(&sets).ok_or_else(|| Failure::unexpected(&what))?;
                        return Ok((batch, began.elapsed()));
                    }
                    Err(failure) if failure.kind == Kind::Busy => last = Some(failure),
                    Err(failure) => return Err(failure),
                }
            }
            Err(last.unwrap_or_else(|| Failure::unexpected(&what)))
        })
        .await
    }

    /// Tries while somebody is in the way, for as long as one may wait for each.
    async fn patiently<T>(
        &self,
        due: &Due,
        attempt: impl AsyncFnMut() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        patiently(self.cx, self.session, &[due.job.table], &self.ours, attempt).await
    }

    async fn blocks(&self, due: &Due) -> Result<u32, Failure> {
        let sql = format!(
            "SELECT pg_relation_size('public.{}') / current_setting('block_size')::bigint",
            due.job.table
        );
        self.number(&sql).await.map(|blocks| u32::try_from(blocks).unwrap_or(u32::MAX))
    }

    async fn number(&self, sql: &str) -> Result<u64, Failure> {
        const WHAT: &str = "cannot see what is left";
        let sql = format!("{}SET LOCAL jit = off;{sql}", self.role);
        let sets = self.session.once(Mode::Read, WHAT, &sql).await?;
        let row = sets.last().and_then(|rows| rows.first()).and_then(|row| row.get(0));
        row.and_then(|n| n.parse().ok()).ok_or_else(|| Failure::unexpected(WHAT))
    }
}

/// What was done stays done.
fn stopped(failure: Failure, tally: &Tally) -> Failure {
    if tally.deleted == 0 {
        return match tally.is_at_most {
            true => failure
                .because("no row was seen to leave; a batch that was under way may have")
                .hint("nothing is lost: run it again, and it goes on"),
            false => failure,
        };
    }
    let mut told = tally.told();
    if tally.is_at_most {
        told += ": what was not on the disk yet is back where it was";
    }
    // What is refused is so the next time as well.
    let hint = match failure.kind {
        Kind::Refused => "nothing is lost: once that is mended, run it again, and it goes on",
        _ => "nothing is lost: run it again, and it goes on",
    };
    failure.after_changes().because(told).hint(hint)
}
