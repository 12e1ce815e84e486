//! COMMIT, and where its answer is lost, the truth about it.

use std::pin::pin;
use std::time::{Duration, Instant};

use crate::context::Context;
use crate::db::facts::TIMELINE;
use crate::db::interrupt::Interrupt;
use crate::db::locks;
use crate::db::session::{Mode, Session};
use crate::failure::{Failure, Kind};

/// A commit that took place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    /// How long the app's tables were locked, the commit's own way included.
    pub locked: Option<Duration>,
    /// The answer was lost, and it was found that the commit took place.
    pub recovered: bool,
}

/// Seconds since the work got its first lock; it notes the time itself. In one round trip with
/// COMMIT: the locks are held while it travels.
const COMMIT: &str = "SELECT extract(epoch FROM clock_timestamp())::float8 \
    - nullif(current_setting('markenmate.locked_at', true), '')::float8; COMMIT";

/// After so long without an answer to COMMIT it is looked for by another connection. Longer than the
/// server keeps a session of ours that never got it.
const LONG: Duration = Duration::from_secs(15);

/// Commits what this run did. `role` is the statement by which it may read its own row in
/// `markenmate.run`, if it takes one; `timeline` is the server's.
pub async fn commit(
    cx: &Context,
    session: &Session,
    role: &str,
    timeline: Option<String>,
) -> Result<Committed, Failure> {
    cx.interrupt.set_committing(true);
    let result = Commit { cx, session, role, timeline }.carry_out().await;
    cx.interrupt.set_committing(false);
    result
}

struct Commit<'a> {
    cx: &'a Context,
    session: &'a Session,
    role: &'a str,
    timeline: Option<String>,
}

/// Why the answer is looked for elsewhere.
enum Lost {
    /// The connection is gone.
    Broken(Box<Failure>),
    /// Nothing was heard so far: a slow disk, a synchronous standby, or a dead network.
    Silence,
}

/// What one look at the server said.
enum Answer {
    Committed,
    NotCommitted,
    /// The server that answers now took over from the one that was committing, and does not have it.
    LeftBehind,
    /// Another server is there now: no use in asking again.
    Never(String),
    /// The session that commits is still there.
    AtWork,
    NotYet(String),
}

impl Commit<'_> {
    async fn carry_out(&self) -> Result<Committed, Failure> {
        let began = Instant::now();
        let recovered = Committed { locked: None, recovered: true };
        let mut answer = pin!(self.session.commit("cannot commit", COMMIT));
        let answered = tokio::select! {
            answered = &mut answer => answered,
            // An answer that comes after all is the truth.
            found = self.after_silence() => return found.map(|()| recovered),
        };
        let failure = match answered {
            Err(failure) => failure,
            Ok(sets) => {
                let held = sets.iter().flatten().next().and_then(|row| row.get(0)?.parse().ok());
                let held = held.map(|s: f64| Duration::from_secs_f64(s.max(0.0)));
                let locked = held.map(|held| held + began.elapsed());
                return Ok(Committed { locked, recovered: false });
            }
        };
        // A server on its way down answers with an error first and is gone a moment later.
        self.session.roll_back().await;
        if !self.session.is_closed() && !says_nothing(&failure) {
            return Err(failure);
        }
        self.find_out(Lost::Broken(Box::new(failure))).await.map(|()| recovered)
    }

    async fn after_silence(&self) -> Result<(), Failure> {
        tokio::time::sleep(LONG).await;
        self.find_out(Lost::Silence).await
    }

    /// The run's row decides, also after a failover; without it, the old session is given time to
    /// end. A signal shortens the asking, and changes nothing about the answer.
    async fn find_out(&self, lost: Lost) -> Result<(), Failure> {
        self.cx.console.say(&format!("{lost}; looking whether it took place"));
        let patience = self.cx.settings.max_wait.min(Duration::from_secs(60));
        let mut deadline = Instant::now() + patience;
        loop {
            let why = match self.look().await {
                Answer::Committed => return Ok(()),
                Answer::NotCommitted => {
                    return Err(lost
                        .failure(Kind::Unexpected, "nothing was changed")
                        .hint("run the same command again"));
                }
                Answer::LeftBehind => return Err(left_behind(&lost)),
                Answer::Never(why) => return Err(lost.unknown(why)),
                Answer::AtWork => {
                    // It holds the app's locks: who gave up now would know no more later.
                    if matches!(lost, Lost::Silence) {
                        deadline = Instant::now() + patience;
                    }
                    "the session that commits is still at work".to_owned()
                }
                Answer::NotYet(why) => why,
            };
            if Instant::now() >= deadline || self.cx.interrupt.is_raised() {
                return Err(lost.unknown(why));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn look(&self) -> Answer {
        let Self { cx, session: lost, .. } = self;
        // An interrupt of its own: the signal that may have come is not for these statements.
        let opened = Session::open(&lost.endpoint, &cx.settings, &Interrupt::default()).await;
        let session = match opened {
            Ok(session) => session,
            Err(error) => return Answer::NotYet(error.to_string()),
        };
        if session.facts.system_identifier != lost.facts.system_identifier {
            return Answer::Never("another server answers under this name now".into());
        }
        if session.facts.system_identifier.is_none() {
            return Answer::Never(
                "whether it is the same server cannot be told without pg_control_system()".into(),
            );
        }
        if session.facts.standby {
            return Answer::NotYet("the server is a standby now".into());
        }
        self.ask(&session).await.unwrap_or_else(|error| Answer::NotYet(error.to_string()))
    }

    async fn ask(&self, session: &Session) -> Result<Answer, Failure> {
        const WHAT: &str = "cannot look whether it took place";
        // The lock first, then the row: a commit is visible before its locks are released.
        let busy = !locks::run_holders(session).await?.is_empty();
        let role = self.role;
        let first = async |sql: &str| {
            let sets = session.once(Mode::Read, WHAT, &format!("{role}{sql}")).await?;
            let row = sets.first().and_then(|rows| rows.first());
            Ok::<_, Failure>(row.and_then(|row| row.get(0)).map(str::to_owned))
        };
        let row = format!("SELECT 1 FROM markenmate.run WHERE run_id = '{}'", self.cx.run_id);
        if first("SELECT 1 WHERE to_regclass('markenmate.run') IS NOT NULL").await?.is_some()
            && first(&row).await?.is_some()
        {
            return Ok(Answer::Committed);
        }
        Ok(match busy {
            true => Answer::AtWork,
            false if first(TIMELINE).await? != self.timeline => Answer::LeftBehind,
            false => Answer::NotCommitted,
        })
    }
}

/// An error that tells of a connection's or a server's end, on which side of a pooler ever, and
/// nothing about the commit: connection_exception, admin_shutdown and its like, system_error, and
/// idle_in_transaction_session_timeout.
fn says_nothing(failure: &Failure) -> bool {
    let sqlstate = failure.sqlstate.as_deref().unwrap_or_default();
    ["08", "57P", "58", "25P03"].iter().any(|class| sqlstate.starts_with(class))
}

fn left_behind(lost: &Lost) -> Failure {
    lost.failure(
        Kind::Unexpected,
        "a failover took place meanwhile, and the server that took over has not been changed",
    )
    .hint("run the same command again: it goes to the server that took over")
    .hint("the server that failed may hold the change: do not let it come back as it is")
}

impl Lost {
    fn failure(&self, kind: Kind, then: &str) -> Failure {
        let failure = Failure::new(kind, format!("{self}: {then}"));
        match self {
            Self::Broken(cause) => failure.because(cause),
            Self::Silence => failure,
        }
    }

    fn unknown(&self, why: String) -> Failure {
        Failure::new(Kind::Unknown, format!("{self}: whether it took place is not known"))
            .because(why)
            .hint("when the server is back, run: markenmate status")
    }
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Broken(_) => f.write_str("the connection broke during COMMIT"),
            Self::Silence => write!(f, "COMMIT was not answered for {} s", LONG.as_secs()),
        }
    }
}
