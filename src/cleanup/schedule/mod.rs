//! The guide's rhythm, kept by the machine: systemd timers, a crontab, or pg_cron.
//!
//! What is set up is text that an operator reads, and can copy; whatever of it is ours begins with a
//! line that says so, and by which a change by hand is known.

pub mod changes;
pub mod cron;
pub mod crontab;
pub mod files;
pub mod marker;
pub mod names;
pub mod pg_cron;
pub mod standing;
pub mod systemd;

use std::path::{Path, PathBuf};

use files::File;
use names::Names;

use crate::settings::Keepable;

/// Who keeps the rhythm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// Units in `/etc/systemd/system`.
    Systemd,
    /// A file in `/etc/cron.d`.
    Cron,
    /// A job of the server's own, for the tokens only.
    PgCron,
}

impl Via {
    /// As it is typed.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Cron => "cron",
            Self::PgCron => "pg-cron",
        }
    }
}

/// What runs when. The guide: tokens every 10 minutes, audit monthly.
#[derive(Debug, PartialEq, Eq)]
pub struct Rhythm {
    /// The job, as `markenmate cleanup` takes it.
    pub job: &'static str,
    /// In words.
    pub words: &'static str,
    /// systemd.time(7)
    pub on_calendar: &'static str,
    /// crontab(5)
    pub crontab: &'static str,
    /// Whether the machines of a fleet begin together.
    pub spread: bool,
}

/// Both jobs of the guide.
pub const RHYTHMS: [Rhythm; 2] = [
    Rhythm {
        job: "tokens",
        words: "every 10 minutes",
        on_calendar: "*:0/10",
        crontab: "*/10 * * * *",
        spread: false,
    },
    Rhythm {
        job: "audit",
        words: "monthly",
        on_calendar: "monthly",
        crontab: "17 3 1 * *",
        spread: true,
    },
];

/// Whose jobs, and as whom.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What everything is called.
    pub names: Names,
    /// How the jobs reach the database.
    pub connection: Keepable,
    /// The binary; absolute.
    pub program: PathBuf,
    /// The operating system's user who runs them.
    pub user: String,
}

impl Setup {
    /// The files of `via`, below `/`.
    pub fn files(&self, via: Via) -> Vec<File> {
        match via {
            Via::Systemd => systemd::files(self),
            Via::Cron => vec![cron::file(self)],
            Via::PgCron => Vec::new(),
        }
    }

    /// The file with the connection, which no password stands in.
    pub fn environment(&self) -> File {
        let text = format!("DATABASE_URL='{}'\n", self.connection.uri);
        let text = marker::stamped("#", &self.connection.place, &text);
        File { path: self.names.environment(), text, mode: 0o600 }
    }

    /// Whether a job that sees a `/tmp` of its own would miss something.
    fn needs_tmp(&self) -> bool {
        let shared = |path: &Path| path.starts_with("/tmp") || path.starts_with("/var/tmp");
        shared(&self.program) || self.connection.files.iter().any(|path| shared(path))
    }
}
