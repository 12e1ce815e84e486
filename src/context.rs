//! What every command gets.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::console::Console;
use crate::db::interrupt::Interrupt;
use crate::db::ledger::Origin;
use crate::failure::Failure;
use crate::settings::{Consent, Endpoint, Env, Flags, Settings};

/// Settings, the clock read once, the terminal, the environment.
pub struct Context {
    /// Resolved settings.
    pub settings: Settings,
    /// Where the database is; the failure to say so is shown by commands that need one.
    pub endpoint: Result<Endpoint, Failure>,
    /// The environment, for finding programs only.
    pub env: Env,
    /// The terminal; shared with the thread that waits for an answer.
    pub console: Arc<Console>,
    /// Raised by SIGINT and SIGTERM.
    pub interrupt: Interrupt,
    /// Names this run in the ledger and in JSON.
    pub run_id: Uuid,
    /// When the run began.
    pub started_at: DateTime<Utc>,
}

impl Context {
    /// Resolves settings. The endpoint's failure is kept for the commands that need one.
    pub fn new(flags: Flags, env: Env, console: Console) -> Result<Self, Failure> {
        let settings = Settings::resolve(&flags, &env)?;
        let endpoint = Endpoint::resolve(&flags.endpoint, &env);
        Ok(Self {
            settings,
            endpoint,
            env,
            console: Arc::new(console),
            interrupt: Interrupt::default(),
            run_id: Uuid::new_v4(),
            started_at: Utc::now(),
        })
    }

    /// Who runs this, for the operator ledger.
    pub fn origin(&self) -> Origin {
        Origin {
            run_id: self.run_id.to_string(),
            os_user: whoami::username().ok(),
            host: whoami::hostname().ok(),
            reason: self.settings.reason.clone(),
            approved_by: self.settings.approved_by.clone(),
        }
    }

    /// For work of its own within this run, on a database that nobody else knows: a run of another id,
    /// which needs no consent.
    #[must_use]
    pub fn apart(&self) -> Self {
        let settings = Settings { consent: Consent::Yes, dry_run: false, ..self.settings.clone() };
        Self {
            settings,
            endpoint: self.endpoint.clone(),
            env: self.env.clone(),
            console: Arc::clone(&self.console),
            interrupt: self.interrupt.clone(),
            run_id: Uuid::new_v4(),
            started_at: Utc::now(),
        }
    }
}
