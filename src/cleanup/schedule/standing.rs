//! What is scheduled, as far as it can be seen, and when each job last ran.

use std::path::Path;

use serde::Serialize;
use tokio_postgres::SimpleQueryRow;

use super::files::whose;
use super::marker::Ours;
use super::names::Names;
use super::pg_cron::Job;
use super::{RHYTHMS, Rhythm, Via};
use crate::db::locks;

/// The statement that reads [`LastRun`]s.
pub fn last_runs_sql() -> String {
    let (class, object) = locks::CLEANUP_KEY;
    include_str!("last_runs.sql")
        .replace("%CLASS%", &class.to_string())
        .replace("%OBJECT%", &object.to_string())
}

/// One job that is scheduled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scheduled {
    /// As `markenmate cleanup` takes it.
    pub job: &'static str,
    /// `systemd`, `cron` or `pg-cron`.
    pub via: &'static str,
    /// The unit, the file, the job's name.
    pub name: String,
    /// In words.
    pub rhythm: String,
    /// `installed`, `changed_by_hand`, `paused`.
    pub state: &'static str,
    /// How it last ended, where its keeper says so.
    pub last: Option<String>,
}

/// How a job last ran, by `markenmate.cleanup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastRun {
    /// `tokens`, `audit` or `app-log`.
    pub job: String,
    /// Names the run; `pg_cron` for the server's own.
    pub run_id: String,
    /// RFC 3339.
    pub began_at: String,
    /// RFC 3339: of its last batch.
    pub last_at: String,
    /// RFC 3339; none: it is at work, or was ended in the middle.
    pub finished_at: Option<String>,
    /// `done`, `stopped`, `ended`.
    pub outcome: Option<String>,
    /// Rows.
    pub deleted: i64,
    /// Rows.
    pub archived: i64,
    /// Rows, where they were counted.
    pub remaining: Option<i64>,
    /// Of these, rows that others held.
    pub skipped: i64,
    /// A cleanup holds the lock, and this one has no end.
    pub at_work: bool,
}

/// What this machine keeps for the database at `place`, below `root`. What cannot be read is not seen.
pub fn on_machine(root: &Path, names: &Names, place: &str) -> Vec<Scheduled> {
    let mut seen = Vec::new();
    for via in [Via::Systemd, Via::Cron] {
        for job in planned(names, via) {
            let path = Path::new(Names::folder(via)).join(&job.name);
            let state = match whose(&root.join(path.strip_prefix("/").unwrap_or(&path))) {
                Ok(Some(Ours::Untouched { place: of })) if of == place => "installed",
                Ok(Some(Ours::Changed { place: of })) if of == place => "changed_by_hand",
                _ => continue,
            };
            seen.push(Scheduled { state, ..job });
        }
    }
    seen
}

/// What this machine would keep by `via`.
pub fn planned(names: &Names, via: Via) -> Vec<Scheduled> {
    let job = |rhythm: &Rhythm| Scheduled {
        job: rhythm.job,
        via: via.word(),
        name: match via {
            Via::Systemd => names.unit(rhythm, "timer"),
            _ => names.crontab().to_string_lossy().into_owned(),
        },
        rhythm: rhythm.words.to_owned(),
        state: "installed",
        last: None,
    };
    RHYTHMS.iter().map(job).collect()
}

/// Jobs of pg_cron.
pub fn in_server(names: &Names, jobs: &[Job]) -> Vec<Scheduled> {
    let scheduled = |job: &Job| Scheduled {
        job: super::pg_cron::RHYTHM.job,
        via: Via::PgCron.word(),
        name: names.server_job(),
        rhythm: match job.schedule == super::pg_cron::RHYTHM.crontab {
            true => super::pg_cron::RHYTHM.words.to_owned(),
            false => job.schedule.clone(),
        },
        state: match (job.active, job.ours()) {
            (false, _) => "paused",
            (true, Ours::Untouched { .. }) => "installed",
            (true, _) => "changed_by_hand",
        },
        last: job.last.clone(),
    };
    jobs.iter().map(scheduled).collect()
}

impl LastRun {
    /// Reads a row of [`last_runs_sql`].
    pub fn from_row(row: &SimpleQueryRow) -> Self {
        let text = |name| row.get(name).map(str::to_owned);
        let number = |name| row.get(name).and_then(|text| text.parse().ok());
        Self {
            job: text("job").unwrap_or_default(),
            run_id: text("run_id").unwrap_or_default(),
            began_at: text("began_at").unwrap_or_default(),
            last_at: text("last_at").unwrap_or_default(),
            finished_at: text("finished_at"),
            outcome: text("outcome"),
            deleted: number("deleted").unwrap_or_default(),
            archived: number("archived").unwrap_or_default(),
            remaining: number("remaining"),
            skipped: number("skipped").unwrap_or_default(),
            at_work: row.get("at_work") == Some("true"),
        }
    }

    /// Nobody works on it any more, and nobody said that it was done.
    pub fn ended_in_the_middle(&self) -> bool {
        self.finished_at.is_none() && !self.at_work || self.outcome.as_deref() == Some("ended")
    }

    /// How it went, in words.
    pub fn words(&self) -> String {
        if self.ended_in_the_middle() {
            return format!("ended in the middle, run again: markenmate cleanup {}", self.job);
        }
        match (&self.finished_at, self.outcome.as_deref()) {
            (None, _) => "at work".into(),
            (_, outcome) => {
                let left = match (self.remaining, outcome) {
                    (None | Some(0), _) => String::new(),
                    (Some(rows), Some("done")) if rows > self.skipped => {
                        format!(", {rows} row(s) left: markenmate verify says what keeps them")
                    }
                    (Some(rows), Some("done")) => {
                        format!(", {rows} row(s) left, which others held: the next run takes them")
                    }
                    (Some(rows), _) => format!(", {rows} row(s) left: the next run takes them"),
                };
                format!("{}{left}", outcome.unwrap_or("?"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_run_is_said() {
        let run = LastRun {
            job: "audit".into(),
            run_id: "r".into(),
            began_at: String::new(),
            last_at: String::new(),
            finished_at: None,
            outcome: None,
            deleted: 1,
            archived: 1,
            remaining: Some(7),
            skipped: 7,
            at_work: true,
        };
        assert_eq!(run.words(), "at work");
        let silent = LastRun { at_work: false, ..run.clone() };
        assert!(silent.words().contains("ended in the middle, run again"), "{}", silent.words());
        let finished = |outcome: &str| LastRun {
            finished_at: Some("2025-11-03T08:00:00Z".into()),
            outcome: Some(outcome.into()),
            ..silent.clone()
        };
        let done = finished("done");
        assert_eq!(done.words(), "done, 7 row(s) left, which others held: the next run takes them");
        let waiting = LastRun { skipped: 0, ..done.clone() };
        assert_eq!(waiting.words(), "done, 7 row(s) left: markenmate verify says what keeps them");
        assert_eq!(LastRun { remaining: Some(0), ..done }.words(), "done");
        let stopped = finished("stopped");
        assert_eq!(stopped.words(), "stopped, 7 row(s) left: the next run takes them");
        assert!(finished("ended").ended_in_the_middle());
    }
}
