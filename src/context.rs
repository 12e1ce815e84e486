//! What every command gets.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::console::Console;
use crate::settings::{Endpoint, Env, Settings};

/// Settings, the clock read once, the terminal, the environment's paths.
pub struct Context {
    /// Resolved settings.
    pub settings: Settings,
    /// Where the database is; an error for commands that need one and got none.
    pub endpoint: Result<Endpoint, crate::failure::Failure>,
    /// The environment, for finding programs only.
    pub env: Env,
    /// The terminal.
    pub console: Console,
    /// Names this run in the ledger and in JSON.
    pub run_id: Uuid,
    /// When the run began.
    pub started_at: DateTime<Utc>,
}
