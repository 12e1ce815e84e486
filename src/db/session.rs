//! A session on one server: who and where we are, and every statement inside a transaction of
//! ours. Settings are `SET LOCAL` only: what a pooler hands on carries nothing of us.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use super::cancel::Cancel;
use super::connect::{self, Connection, Transport};
use super::copy::CopyIn;
use super::error;
use super::facts::{self, Facts};
use super::identifiers::literal;
use super::interrupt::{Interrupt, interrupted};
use crate::failure::{Failure, Kind};
use crate::settings::{Endpoint, Login, Settings};

/// The rows of one statement.
pub type Rows = Vec<SimpleQueryRow>;

/// Timeouts of every transaction.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// How long one attempt may queue for a lock.
    pub lock: Duration,
    /// How long one statement may run.
    pub statement: Duration,
}

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// READ ONLY, READ COMMITTED.
    Read,
    /// READ ONLY, REPEATABLE READ: several statements see one moment.
    Snapshot,
    /// The same, kept open while another program reads the same moment.
    Held,
    /// READ ONLY, READ COMMITTED, kept open for the lock that it holds, and no moment.
    Guard,
    /// READ WRITE, READ COMMITTED.
    Write,
    /// READ WRITE, REPEATABLE READ: several statements change the rows of one moment, or fail (busy) where others
    /// changed one since. One of many that are over in milliseconds, so whatever is for long ones is left out.
    Moment,
}

/// An open session.
pub struct Session {
    client: Client,
    interrupt: Interrupt,
    /// Who the server is and who we are to it.
    pub facts: Facts,
    /// How the bytes travel.
    pub transport: Transport,
    /// The host as it is shown.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What travels does not leave this machine.
    pub is_local: bool,
    /// How it was reached, a password that was asked for included.
    pub endpoint: Endpoint,
    /// How a child that uses libpq reaches the same database.
    pub login: Login,
    timeouts: Timeouts,
    waited: Mutex<Duration>,
    attempts: AtomicU32,
    in_transaction: AtomicBool,
}

impl Session {
    /// Connects, and learns in one round trip who and where it is.
    pub async fn open(
        endpoint: &Endpoint,
        settings: &Settings,
        interrupt: &Interrupt,
    ) -> Result<Self, Failure> {
        let connection = patiently(endpoint, settings, interrupt).await?;
        interrupt.watch(Cancel::of(&connection));
        let timeouts =
            Timeouts { lock: settings.lock_timeout, statement: settings.statement_timeout };
        let what = "cannot look at the server";
        let begin = begin(Mode::Read, timeouts, false);
        let look = async |with_identifier| {
            let sql = format!("{begin}{};COMMIT", facts::sql(with_identifier));
            Facts::of(&batch(&connection.client, interrupt, what, &sql).await?, what)
        };
        let mut facts = match look(true).await {
            Err(failure) if failure.sqlstate.as_deref() == Some("42501") => {
                let _ = connection.client.simple_query("ROLLBACK").await;
                look(false).await?
            }
            facts => facts?,
        };
        if facts.is_supported() && facts.has_history && !facts.reads_history {
            let sql = format!("{begin}{};COMMIT", facts::UNREAD);
            facts.learn(&batch(&connection.client, interrupt, what, &sql).await?);
        }
        Ok(Self {
            interrupt: interrupt.clone(),
            facts,
            transport: connection.transport,
            is_local: connection.is_local(),
            login: endpoint.login(&connection.server),
            endpoint: endpoint.clone(),
            host: connection.host,
            port: connection.port,
            client: connection.client,
            timeouts,
            waited: Mutex::default(),
            attempts: AtomicU32::new(0),
            in_transaction: AtomicBool::new(false),
        })
    }

    /// Opens a transaction, runs `sql` (one or many statements) in it and closes it, all in one
    /// round trip. Returns the rows of each statement that gave any.
    pub async fn once(&self, mode: Mode, what: &str, sql: &str) -> Result<Vec<Rows>, Failure> {
        let text =
            format!("{}{sql};COMMIT", begin(mode, self.timeouts, self.facts.restricts_views));
        let result = self.run(what, &text).await;
        if result.is_err() {
            self.roll_back().await;
        }
        result
    }

    /// Opens a transaction with timeouts of its own and runs `sql` in it, in one round trip.
    pub async fn begin_within(
        &self,
        mode: Mode,
        timeouts: Timeouts,
        what: &str,
        sql: &str,
    ) -> Result<Vec<Rows>, Failure> {
        self.in_transaction.store(true, Ordering::Relaxed);
        let result = self
            .run(what, &format!("{}{sql}", begin(mode, timeouts, self.facts.restricts_views)))
            .await;
        if result.is_err() {
            self.roll_back().await;
        }
        result
    }

    /// Runs statements in the open transaction; without one, by themselves.
    pub async fn run(&self, what: &str, sql: &str) -> Result<Vec<Rows>, Failure> {
        batch(&self.client, &self.interrupt, what, sql).await
    }

    /// Runs one statement with parameters in the open transaction, as an unnamed one.
    pub async fn query(
        &self,
        what: &str,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<tokio_postgres::Row>, Failure> {
        self.interrupt.check()?;
        self.client.query_typed(sql, parameters).await.map_err(|e| self.failure(what, &e))
    }

    /// Runs statements in the open transaction, the last of which is COMMIT.
    pub async fn commit(&self, what: &str, sql: &str) -> Result<Vec<Rows>, Failure> {
        self.in_transaction.store(false, Ordering::Relaxed);
        self.run(what, sql).await
    }

    /// Ends the open transaction without a trace. A connection that is gone has done so already.
    pub async fn roll_back(&self) {
        self.in_transaction.store(false, Ordering::Relaxed);
        let _ = self.client.simple_query("ROLLBACK").await;
    }

    /// Ends the transaction that [`Session::begin_within`] opened, if it is still open.
    pub async fn end(&self) {
        if self.in_transaction.load(Ordering::Relaxed) {
            self.roll_back().await;
        }
    }

    /// Whether the connection is gone.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// The timeouts of a transaction that says nothing else.
    pub fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// How long was tried for locks so far.
    pub fn waited(&self) -> Duration {
        *self.waited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how long was tried for locks so far.
    pub fn has_waited(&self, time: Duration) {
        *self.waited.lock().unwrap_or_else(PoisonError::into_inner) = time;
    }

    /// The statement that reads [`Facts`] again, within a transaction.
    pub fn facts_sql(&self) -> Cow<'static, str> {
        facts::sql(self.facts.system_identifier.is_some())
    }

    /// Reads [`Facts`] from what a batch answered whose last statement was [`Session::facts_sql`].
    pub async fn facts_from(&self, sets: &[Rows], what: &str) -> Result<Facts, Failure> {
        let mut facts = Facts::of(sets, what)?;
        if facts.has_history && !facts.reads_history {
            facts.learn(&self.run(what, facts::UNREAD).await?);
        }
        Ok(facts)
    }

    /// How often the work was tried so far.
    pub fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// Notes that it is tried once more.
    pub fn tries(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes back what a transaction of ours left, in one of its own, whatever signals came.
    pub async fn take_back(&self, what: &str, sql: &str) -> Result<(), Failure> {
        let timeouts =
            Timeouts { lock: Duration::from_secs(2), statement: Duration::from_secs(10) };
        let begin = begin(Mode::Write, timeouts, self.facts.restricts_views);
        let sql = format!("{begin}{sql};COMMIT");
        let mut taken = self.regardless(what, &sql).await;
        if taken.is_err() {
            self.roll_back().await;
            // What a signal cancels may be this instead of what ran before it.
            taken = self.regardless(what, &sql).await;
        }
        if taken.is_err() {
            self.roll_back().await;
        }
        taken
    }

    /// Runs one statement that takes away what was begun, whatever signals came.
    pub async fn regardless(&self, what: &str, sql: &str) -> Result<(), Failure> {
        let done = self.client.simple_query(sql).await;
        done.map(drop).map_err(|error| error::failure(what, &error))
    }

    /// Runs `COPY … FROM stdin`, which waits for rows.
    pub async fn copy_in(&self, what: &str, sql: &str) -> Result<CopyIn<'_>, Failure> {
        self.interrupt.check()?;
        match self.client.copy_in(sql).await {
            Ok(sink) => Ok(CopyIn::new(sink, &self.interrupt)),
            Err(error) => Err(self.failure(what, &error)),
        }
    }

    fn failure(&self, what: &str, error: &tokio_postgres::Error) -> Failure {
        interpret(&self.interrupt, what, error)
    }
}

/// Connects; a server whose connections are all taken is busy, not gone.
async fn patiently(
    endpoint: &Endpoint,
    settings: &Settings,
    interrupt: &Interrupt,
) -> Result<Connection, Failure> {
    let began = Instant::now();
    loop {
        let opened = tokio::select! {
            opened = connect::connect(endpoint, "markenmate") => opened,
            () = interrupt.raised(1) => return Err(interrupted()),
        };
        match opened {
            Err(mut failure) if failure.sqlstate.as_deref() == Some("53300") => {
                if began.elapsed() >= settings.max_wait {
                    failure.kind = Kind::Busy;
                    return Err(failure);
                }
                interrupt.pause(Duration::from_millis(100)).await?;
            }
            other => return other,
        }
    }
}

async fn batch(
    client: &Client,
    interrupt: &Interrupt,
    what: &str,
    sql: &str,
) -> Result<Vec<Rows>, Failure> {
    interrupt.check()?;
    let began = Instant::now();
    let answer = client.simple_query(sql).await;
    tracing::info!(
        ms = began.elapsed().as_secs_f64() * 1000.0,
        ok = answer.is_ok(),
        on_failure = what,
        "round trip"
    );
    tracing::debug!(sql);
    let messages = answer.map_err(|e| interpret(interrupt, what, &e))?;
    let mut all = Vec::new();
    let mut rows = None;
    for message in messages {
        match message {
            SimpleQueryMessage::RowDescription(_) => rows = Some(Vec::new()),
            SimpleQueryMessage::Row(row) => rows.get_or_insert_default().push(row),
            SimpleQueryMessage::CommandComplete(_) => all.extend(rows.take()),
            _ => {}
        }
    }
    Ok(all)
}

/// A cancelled statement after a signal is an interruption, not a timeout.
pub(super) fn interpret(
    interrupt: &Interrupt,
    what: &str,
    error: &tokio_postgres::Error,
) -> Failure {
    if interrupt.is_raised() {
        return interrupted();
    }
    error::failure(what, error)
}

/// Nobody is asked within a transaction: a silence that long is a dead network or a machine asleep, and
/// the app would wait for our locks for hours.
const SILENCE: &str = "10s";

/// BEGIN and what every transaction of ours pins.
fn begin(mode: Mode, timeouts: Timeouts, restricts_views: bool) -> String {
    let characteristics = match mode {
        Mode::Read | Mode::Guard => "ISOLATION LEVEL READ COMMITTED READ ONLY",
        Mode::Snapshot | Mode::Held => "ISOLATION LEVEL REPEATABLE READ READ ONLY",
        Mode::Write => "ISOLATION LEVEL READ COMMITTED READ WRITE",
        Mode::Moment => "ISOLATION LEVEL REPEATABLE READ READ WRITE",
    };
    // A server whose client was killed would otherwise go on waiting for its lock; where the system
    // cannot tell, the server refuses the setting. And what is reported as committed is on disk.
    let write = match mode {
        Mode::Write => {
            "DO $$ BEGIN \
                 SET LOCAL client_connection_check_interval = '200ms'; \
             EXCEPTION WHEN OTHERS THEN NULL; \
             END $$;\
             SELECT set_config('synchronous_commit', 'on', true) \
              WHERE current_setting('synchronous_commit') = 'off';"
        }
        Mode::Read | Mode::Snapshot | Mode::Held | Mode::Guard | Mode::Moment => "",
    };
    // What takes as long as a dump or a restore is not to be ended for it.
    let patient = match mode {
        Mode::Write | Mode::Held | Mode::Guard => {
            "SELECT set_config('transaction_timeout', '0', true) \
              WHERE current_setting('server_version_num')::int >= 170000;"
        }
        Mode::Read | Mode::Snapshot | Mode::Moment => "",
    };
    // As pg_dump has it: a view put in a table's place would run its owner's code as us.
    let views = if restricts_views {
        "SET LOCAL restrict_nonsystem_relation_kind = 'view, foreign-table';"
    } else {
        ""
    };
    let silence = if matches!(mode, Mode::Held | Mode::Guard) { "0" } else { SILENCE };
    format!(
        "BEGIN {characteristics};\
         SET LOCAL search_path = pg_catalog;\
         SET LOCAL standard_conforming_strings = on;\
         SET LOCAL quote_all_identifiers = off;\
         SET LOCAL DateStyle = ISO;\
         SET LOCAL row_security = off;\
         SET LOCAL lock_timeout = '{}ms';\
         SET LOCAL statement_timeout = '{}ms';\
         SET LOCAL idle_in_transaction_session_timeout = '{silence}';{views}{write}{patient}",
        timeouts.lock.as_millis().max(1),
        timeouts.statement.as_millis(),
    )
}

/// Sets one of our own transaction-local settings, as SQL.
pub fn set_local(name: &str, value: &str) -> String {
    format!("SELECT set_config('markenmate.{name}', {}, true);", literal(value))
}
