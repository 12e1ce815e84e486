//! Trying for locks without stopping the app: short attempts of the whole transaction, pauses that
//! grow, and a word to the operator about who is in the way.

use std::time::{Duration, Instant};

use super::interrupt::Interrupt;
use super::lock_mode::LockMode;
use super::locks::{self, Holder, Wanted};
use super::session::{Session, Timeouts};
use crate::console::Console;
use crate::failure::{Failure, Kind};

/// What an attempt ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// Another run of this tool.
    Run,
    /// Somebody who uses the app's tables.
    Tables,
}

/// A failed attempt: worth another, or not.
pub enum Setback {
    /// A lock was not to be had.
    Obstacle(Obstacle, Failure),
    /// Anything else.
    Fatal(Failure),
}

impl From<Failure> for Setback {
    fn from(failure: Failure) -> Self {
        match failure.kind {
            Kind::Busy => Self::Obstacle(Obstacle::Tables, failure),
            _ => Self::Fatal(failure),
        }
    }
}

/// How an attempt may queue.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// 1, 2, ...
    pub number: u32,
    /// Timeouts of its transaction.
    pub timeouts: Timeouts,
}

/// How often it was tried, and the result.
#[derive(Debug)]
pub struct Tried<T> {
    /// What the attempt that got through returned.
    pub value: T,
    /// How many attempts there were.
    pub attempts: u32,
}

/// A statement that waits longer than this makes the server send an autovacuum worker away.
const PAST_DEADLOCK_TIMEOUT: Duration = Duration::from_millis(1200);
/// The operator hears of a wait before a second is over.
const SILENT: Duration = Duration::from_millis(900);

/// PostgreSQL takes no lock timeout below that; zero would be for ever.
const SHORTEST: Duration = Duration::from_millis(1);

/// Patience with other sessions, up to a deadline.
pub struct Patience<'a> {
    session: &'a Session,
    console: &'a Console,
    interrupt: &'a Interrupt,
    tables: &'a [&'a str],
    wanted: Wanted,
    locking: Vec<(String, LockMode)>,
    ours: &'a [i32],
    max_wait: Duration,
    began: Instant,
    before: Duration,
    said: Option<Instant>,
    holders: Vec<Holder>,
}

impl<'a> Patience<'a> {
    /// Patience for a run that will lock `tables` of the app, with everybody in its way. What the
    /// session waited before counts: `max_wait` is for the whole run.
    pub fn new(
        session: &'a Session,
        console: &'a Console,
        interrupt: &'a Interrupt,
        tables: &'a [&'a str],
        max_wait: Duration,
    ) -> Self {
        let began = Instant::now();
        Self {
            session,
            console,
            interrupt,
            tables,
            wanted: Wanted::Everything,
            locking: Vec::new(),
            ours: &[],
            max_wait,
            began,
            before: session.waited(),
            said: None,
            holders: Vec::new(),
        }
    }

    /// Names none of these: sessions of ours, by their pids.
    #[must_use]
    pub fn besides(mut self, ours: &'a [i32]) -> Self {
        self.ours = ours;
        self
    }

    /// Names only those whom this has to wait for.
    #[must_use]
    pub fn wanting(mut self, wanted: Wanted) -> Self {
        self.wanted = wanted;
        self
    }

    /// Names only those who keep it from one of these locks on these tables.
    #[must_use]
    pub fn locking(mut self, each: Vec<(String, LockMode)>) -> Self {
        self.locking = each;
        self
    }

    /// Of a table that is not known to be locked nothing is wanted but to write it; of our own to be alone in that.
    fn is_in_the_way(&self, holder: &Holder) -> bool {
        let mut wanted = self.locking.iter().filter(|(table, _)| *table == holder.root).peekable();
        match wanted.peek() {
            Some(_) => wanted.any(|(_, lock)| holder.keeps_out(*lock)),
            None if holder.relation.starts_with("markenmate.") => {
                holder.keeps_out(LockMode::ShareRowExclusive)
            }
            None => self.locking.is_empty() || holder.keeps_out(LockMode::RowExclusive),
        }
    }

    fn left(&self) -> Duration {
        self.max_wait.saturating_sub(self.spent())
    }

    fn spent(&self) -> Duration {
        self.before + self.began.elapsed()
    }

    /// Runs `attempt` until it succeeds, fails for good, or the time is over (exit 7).
    pub async fn exercise<T>(
        mut self,
        attempt: impl AsyncFnMut(Attempt) -> Result<T, Setback>,
    ) -> Result<Tried<T>, Failure> {
        let result = self.try_again(attempt).await;
        self.session.has_waited(self.spent());
        result
    }

    async fn try_again<T>(
        &mut self,
        mut attempt: impl AsyncFnMut(Attempt) -> Result<T, Setback>,
    ) -> Result<Tried<T>, Failure> {
        let mut number = 0;
        // A worker that prevents wraparound never goes: one long attempt a run.
        let mut evicted = false;
        let mut timeouts = self.session.timeouts();
        // Nobody queues for longer than there is patience.
        timeouts.lock = timeouts.lock.min(self.left()).max(SHORTEST);
        let (mut run_pause, mut table_pause) =
            (Duration::from_millis(25), Duration::from_millis(250));
        loop {
            number += 1;
            let (obstacle, failure) = match attempt(Attempt { number, timeouts }).await {
                Ok(value) => return Ok(Tried { value, attempts: number }),
                Err(Setback::Fatal(failure)) => return Err(failure),
                Err(Setback::Obstacle(obstacle, failure)) => (obstacle, failure),
            };
            let pause = match obstacle {
                Obstacle::Run => grow(&mut run_pause, Duration::from_millis(500)),
                Obstacle::Tables => grow(&mut table_pause, Duration::from_secs(10)),
            };
            let left = self.left();
            if left.is_zero() {
                self.look(obstacle).await;
                return Err(self.exhausted(obstacle, failure));
            }
            let pause = pause.min(left);
            if self.spent() + pause >= SILENT || obstacle == Obstacle::Tables {
                self.look(obstacle).await;
                self.report(number, left);
            }
            timeouts = self.session.timeouts();
            timeouts.lock = timeouts.lock.min(self.left()).max(SHORTEST);
            if obstacle == Obstacle::Tables && self.only_autovacuum() && number >= 2 && !evicted {
                evicted = true;
                timeouts.lock = timeouts.lock.max(PAST_DEADLOCK_TIMEOUT);
                self.console.say(
                    "only autovacuum is in the way: the next attempt queues for 1.2 s, after which the server usually ends it",
                );
            }
            self.interrupt.pause(pause).await?;
        }
    }

    fn only_autovacuum(&self) -> bool {
        !self.holders.is_empty() && self.holders.iter().all(|holder| holder.autovacuum)
    }

    /// Asked on our own connection between two attempts: the holder still holds, and no second
    /// connection is needed where they are scarce. Not seeing anybody is no failure.
    async fn look(&mut self, obstacle: Obstacle) {
        self.holders = match obstacle {
            Obstacle::Run => locks::run_holders(self.session).await.unwrap_or_default(),
            Obstacle::Tables => {
                let held = locks::table_holders(self.session, self.tables).await;
                let mut held = held.unwrap_or_default();
                held.retain(|holder| {
                    holder.pid.is_none_or(|pid| !self.ours.contains(&pid))
                        && self.is_in_the_way(holder)
                });
                locks::in_the_way(held, self.wanted)
            }
        };
    }

    fn report(&mut self, attempt: u32, left: Duration) {
        let fresh = Duration::from_secs(if self.console.is_interactive() { 1 } else { 10 });
        if self.said.is_some_and(|at| at.elapsed() < fresh) {
            return;
        }
        self.said = Some(Instant::now());
        let left = left.as_secs();
        match self.holders.first() {
            None => {
                self.console.say(&format!("waiting for a lock (attempt {attempt}, {left} s left)"))
            }
            Some(_) => {
                for holder in self.holders.iter().take(3) {
                    self.console.say(&format!(
                        "waiting: {holder} (attempt {attempt}, {left} s left); to end it: {}",
                        holder.remedy()
                    ));
                }
            }
        }
    }

    fn exhausted(&self, obstacle: Obstacle, cause: Failure) -> Failure {
        let waited = humantime::format_duration(self.max_wait);
        let mut failure = Failure::new(
            Kind::Busy,
            match obstacle {
                Obstacle::Run => {
                    format!("another run of markenmate held the database for {waited}")
                }
                Obstacle::Tables => {
                    format!("the locks were not to be had within {waited}; nothing was changed")
                }
            },
        );
        failure.sqlstate = cause.sqlstate;
        failure.causes = self.holders.iter().take(20).map(ToString::to_string).collect();
        if failure.causes.is_empty() {
            failure.causes = cause.causes;
            failure = failure.because("nobody who holds one is there any more, or to be seen").hint(
                "it comes and goes, so run the same command again; with log_lock_waits = on the server's log names it",
            );
        }
        for holder in self.holders.iter().take(3) {
            failure = failure.hint(format!("to end it: {}", holder.remedy()));
        }
        if self.holders.iter().any(|holder| holder.pg_dump) {
            failure = failure
                .hint("a backup is being taken: it holds its locks until it ends, so wait for it");
        }
        failure.hint("to wait longer: --max-wait 30m")
    }
}

/// The pause now; the next one is longer by half to double, so that runs do not march in step.
fn grow(pause: &mut Duration, most: Duration) -> Duration {
    let now = *pause;
    *pause = now.mul_f64(1.5 + jitter() / 2.0).min(most);
    now.mul_f64(0.75 + jitter() / 2.0)
}

/// 0 to 1; a run id's bytes are random enough for a pause.
fn jitter() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 255.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let mut pause = Duration::from_millis(25);
        for _ in 0..50 {
            let now = grow(&mut pause, Duration::from_millis(500));
            assert!(now <= Duration::from_millis(625), "{now:?}");
        }
        assert_eq!(pause, Duration::from_millis(500));
    }
}
