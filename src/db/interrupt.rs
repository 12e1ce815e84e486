//! SIGINT and SIGTERM as a value: raised once, seen by every statement and every pause.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::cancel::Cancel;
use crate::failure::{Failure, Kind};

/// Counts signals and cancels what runs on the watched connection.
#[derive(Clone)]
pub struct Interrupt {
    count: Arc<watch::Sender<u8>>,
    watched: Arc<Mutex<Option<Cancel>>>,
    committing: Arc<AtomicBool>,
    /// Held while a cancel request is on its way; true: none may go out any more.
    sending: Arc<tokio::sync::Mutex<bool>>,
}

impl Default for Interrupt {
    fn default() -> Self {
        Self {
            count: Arc::new(watch::channel(0).0),
            watched: Arc::default(),
            committing: Arc::default(),
            sending: Arc::default(),
        }
    }
}

impl Interrupt {
    /// Names the connection whose statement a signal cancels.
    pub fn watch(&self, cancel: Cancel) {
        *self.watched.lock().unwrap_or_else(PoisonError::into_inner) = Some(cancel);
    }

    /// Whether COMMIT is under way from now on: what leaves then leaves with an unknown result.
    pub fn set_committing(&self, committing: bool) {
        self.committing.store(committing, Ordering::Relaxed);
    }

    /// The failure of work that is left where it is: nobody waits for the server any longer.
    pub fn abandoned(&self) -> Failure {
        if self.committing.load(Ordering::Relaxed) {
            return Failure::new(
                Kind::Unknown,
                "interrupted during COMMIT: whether it took place is not known",
            )
            .hint("to see where the database stands: markenmate status");
        }
        interrupted()
    }

    /// Whether a signal came.
    pub fn is_raised(&self) -> bool {
        *self.count.borrow() > 0
    }

    /// An error once a signal came; asked before each statement.
    pub fn check(&self) -> Result<(), Failure> {
        if self.is_raised() { Err(interrupted()) } else { Ok(()) }
    }

    /// Waits for the `n`th signal.
    pub async fn raised(&self, n: u8) {
        // The sender lives in `self`: waiting cannot fail.
        let _ = self.count.subscribe().wait_for(|count| *count >= n).await;
    }

    /// Pauses, unless a signal comes first.
    pub async fn pause(&self, time: Duration) -> Result<(), Failure> {
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            () = self.raised(1) => Err(interrupted()),
        }
    }

    /// Does work that blocks, on a thread of its own, so that a signal ends the waiting for it.
    pub async fn during<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        tokio::select! {
            done = tokio::task::spawn_blocking(work) => {
                done.map_err(|error| Failure::unexpected("cannot work on another thread").because(error))
            }
            () = self.raised(1) => Err(interrupted()),
        }
    }

    /// Listens for signals until the process ends. A cancel request that arrives between two
    /// statements cancels nothing, so it is repeated.
    pub fn listen(&self) -> Result<(), Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |e| Failure::unexpected("cannot listen for signals").because(e);
        let mut int = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut term = signal(SignalKind::terminate()).map_err(failed)?;
        // The terminal is gone: nobody sees the end, all the more it must be a clean one.
        let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
        let this = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = int.recv() => {},
                    _ = term.recv() => {},
                    _ = hangup.recv() => {},
                }
                this.count.send_modify(|count| *count = count.saturating_add(1));
                tokio::spawn(this.clone().cancel_repeatedly());
            }
        });
        Ok(())
    }

    /// Waits for a cancel request that is on its way, a second at most, and lets no other out:
    /// PgBouncer 1.18 ends when whoever sent one leaves before it was passed on.
    pub async fn settle(&self) {
        if self.is_raised() {
            let sending = tokio::time::timeout(Duration::from_secs(1), self.sending.lock()).await;
            if let Ok(mut over) = sending {
                *over = true;
            }
        }
    }

    async fn cancel_repeatedly(self) {
        loop {
            let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let over = self.sending.lock().await;
            if *over {
                return;
            }
            if let Some(cancel) = watched {
                cancel.cancel().await;
            }
            drop(over);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The failure of work that a signal ended.
pub fn interrupted() -> Failure {
    Failure::new(Kind::Interrupted, "interrupted")
        .hint("nothing was changed: run the same command again when you are ready")
}
