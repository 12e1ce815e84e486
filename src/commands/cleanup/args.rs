//! The flags of `cleanup`, and what they may be.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// Flags of `cleanup`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// What is cleaned up; without any: tokens and audit, the guide's two
    #[arg(value_enum, value_name = "JOB")]
    pub(super) jobs: Vec<JobArg>,
    /// Audit and log rows older than this leave [default: 90d]
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub(super) older_than: Option<Duration>,
    /// How long one batch may take, about
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = batch_time)]
    pub(super) batch_time: Duration,
    /// Batches at once where there are many rows: 1 or 2, each on a session of its own
    #[arg(long = "jobs", value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=2))]
    pub(super) jobs_at_once: u8,
    /// Begin no further batch and no further file after this time, and say what is left
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(super) max_duration: Option<Duration>,
    /// orphans: put back what was set aside, as far as its keys find their rows again
    #[arg(long)]
    pub(super) put_back: bool,
    /// Then move the archive's oldest months into files in this folder
    #[arg(long, value_name = "DIR")]
    pub(super) export: Option<PathBuf>,
    /// Months that were over before this age are exported [default: --older-than]
    #[arg(long, value_name = "AGE", value_parser = age, requires = "export")]
    pub(super) export_older_than: Option<Duration>,
}

/// A job as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum JobArg {
    /// Step-up tokens that have expired
    Tokens,
    /// Audit rows, into markenmate.audit_log_archive
    Audit,
    /// Log rows, into markenmate.app_log_archive
    AppLog,
    /// Rows that point to nothing, into markenmate_quarantine
    Orphans,
}

pub(super) const USUAL_AGE: Duration = Duration::from_secs(90 * 24 * 60 * 60);
const USUAL_BATCH_TIME: Duration = Duration::from_millis(100);
/// What a timestamp can still be subtracted from.
const MOST: Duration = Duration::from_secs(1000 * 366 * 24 * 60 * 60);

pub(super) fn before(now: DateTime<Utc>, age: Duration) -> DateTime<Utc> {
    let age = TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
    now.checked_sub_signed(age).unwrap_or(DateTime::<Utc>::MIN_UTC)
}

fn age(text: &str) -> Result<Duration, String> {
    let age =
        humantime::parse_duration(text).map_err(|e| format!("{e}; write 90d, 12months, 2y"))?;
    if age > MOST { Err("that is more than a thousand years".into()) } else { Ok(age) }
}

fn batch_time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|e| format!("{e}; write 50ms, 1s"))?;
    match time {
        time if time < Duration::from_millis(1) => Err("1ms is the least".into()),
        time if time > Duration::from_secs(60) => {
            Err("60s is the most: rows are locked for so long".into())
        }
        time => Ok(time),
    }
}

impl Args {
    /// Ages and times as given, for a command to paste; `only` these, all where it is empty.
    pub(super) fn flags(&self, only: &[&str]) -> String {
        let batch_time = Some(self.batch_time).filter(|time| *time != USUAL_BATCH_TIME);
        [
            ("--older-than", self.older_than),
            ("--export-older-than", self.export_older_than),
            ("--batch-time", batch_time),
            ("--max-duration", self.max_duration),
        ]
        .into_iter()
        .filter(|(flag, _)| only.is_empty() || only.contains(flag))
        .filter_map(|(flag, time)| Some(format!(" {flag} {}", typed(time?))))
        .collect()
    }
}

/// Whole days as days: a month of 30.44 of them is nobody's.
fn typed(time: Duration) -> String {
    const DAY: u64 = 86_400;
    match (time.as_secs() / DAY, time.as_secs() % DAY, time.subsec_nanos()) {
        (days @ 1.., 0, 0) => format!("{days}d"),
        _ => humantime::format_duration(time).to_string().replace(' ', ""),
    }
}

impl JobArg {
    /// As `jobs::ALL` has it.
    pub(super) const fn id(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Audit => "audit",
            Self::AppLog => "app-log",
            Self::Orphans => "orphans",
        }
    }
}
