//! `--export`: whole months leave an archive for files that DuckDB, Spark and Trino read as one table. A file is
//! announced in `markenmate.export`, written, put on the disk, read back, and named; then one transaction takes just
//! its rows out of the archive. Ended anywhere, the rows are in one of the two, and the next run goes on.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};
use serde::Serialize;

use super::ground::Due;
use super::jobs;
use crate::context::Context;
use crate::db::identifiers::literal;
use crate::db::session::{Mode, Session};
use crate::failure::Failure;
use crate::tools::shell;

mod chunk;
mod file;
mod folder;
mod work;

use chunk::{Chunk, first, number};
use work::{Became, Work};

/// Where files go, and what they take.
#[derive(Debug, Clone)]
pub struct Export {
    /// The folder.
    pub folder: PathBuf,
    /// Rows of months that were over before this.
    pub before: DateTime<Utc>,
    /// The flags beside `--export`, as given, for what is to be typed next.
    pub flags: String,
    /// When no further file is begun.
    pub until: Option<Instant>,
}

/// What there is to export.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Months {
    /// In schema `markenmate`.
    pub archive: &'static str,
    /// Rows of months that are over: the archive's, and what the jobs of this run put there.
    pub rows: u64,
    /// How many months.
    pub months: u64,
    /// The oldest, as `2025-11`.
    pub oldest: Option<String>,
    /// Rows that never go into a file: their time is before the year 1, or infinite.
    pub stay: u64,
    /// Files that an earlier run began.
    #[serde(skip)]
    pub begun: u64,
}

/// A file, and the rows that are in it.
#[derive(Debug, Clone, Serialize)]
pub struct File {
    /// Below the folder.
    pub name: String,
    /// `2025-11-01`
    pub month: NaiveDate,
    /// The archive's numbers of its rows: the first and the last.
    pub archive_ids: [i64; 2],
    /// How many.
    pub rows: u64,
    /// The sum of its lines' hashes.
    pub checksum: String,
    /// Of the file.
    pub bytes: u64,
    /// Of the file.
    pub sha256: String,
}

const WHAT: &str = "cannot export the archive";

impl Export {
    /// Into this folder.
    pub fn into(folder: &Path, before: DateTime<Utc>) -> Self {
        let date = before.date_naive();
        let month = date.with_day(1).unwrap_or(date).and_time(NaiveTime::MIN).and_utc();
        Self { folder: folder.to_path_buf(), before: month, flags: String::new(), until: None }
    }

    /// Looks at the folder, changes nothing.
    ///
    /// # Errors
    /// Refused (4): it is no folder.
    pub fn look(&self) -> Result<(), Failure> {
        folder::look(&self.folder)
    }

    /// Makes the folder and tries it, before anything is moved: with all links resolved, as a later run knows it.
    ///
    /// # Errors
    /// Refused (4): nothing can be written there, or an earlier run began an export of these archives elsewhere.
    pub async fn ready(
        mut self,
        cx: &Context,
        session: &Session,
        role: &str,
        archives: &[Months],
    ) -> Result<Self, Failure> {
        // Before there is a folder that nobody needs.
        self.foresee(cx, session, role, archives).await?;
        self.folder = folder::made(&self.folder, &cx.run_id.to_string())?;
        Ok(self)
    }

    /// Refuses what [`Self::ready`] would refuse, as far as it shows without making anything.
    ///
    /// # Errors
    /// As there.
    pub async fn foresee(
        &self,
        cx: &Context,
        session: &Session,
        role: &str,
        archives: &[Months],
    ) -> Result<(), Failure> {
        let known = Self { folder: folder::foreseen(&self.folder)?, ..self.clone() };
        known.refuse_elsewhere(cx, session, role, archives).await
    }

    /// Other databases whose files are in the folder, each with its server's identifier.
    pub fn shared_with(&self, session: &Session, archives: &[Months]) -> Vec<String> {
        let facts = &session.facts;
        let ours = (facts.database.as_str(), facts.system_identifier.as_deref());
        let mut others = BTreeSet::new();
        for Months { archive, .. } in archives {
            for manifest in folder::manifests(&self.folder.join(work::manifests_of(archive))) {
                let database = manifest["database"].as_str().unwrap_or("?");
                let server = manifest["system_identifier"].as_str();
                if (database, server) != ours {
                    others.insert(format!("{database} (server {})", server.unwrap_or("unknown")));
                }
            }
        }
        others.into_iter().collect()
    }

    async fn refuse_elsewhere(
        &self,
        cx: &Context,
        session: &Session,
        role: &str,
        archives: &[Months],
    ) -> Result<(), Failure> {
        for Months { archive, .. } in archives {
            Work { export: self, cx, session, role, archive }.begun().await?;
        }
        Ok(())
    }

    /// What there is, with what `dues` will have put there.
    pub async fn months(
        &self,
        session: &Session,
        role: &str,
        archive: &'static str,
        dues: &[Due],
    ) -> Result<Months, Failure> {
        let live = dues.iter().filter(|due| due.job.archive == Some(archive)).map(|due| {
            format!(
                " UNION ALL SELECT t.created_at::timestamptz FROM ONLY public.{} t WHERE {}",
                due.job.table, due.condition
            )
        });
        let sql = include_str!("months.sql")
            .replace("%ARCHIVE%", archive)
            .replace("%ARCHIVE_NAME%", &literal(archive))
            .replace("%LIVE%", &live.collect::<String>())
            .replace("%BEFORE%", &moment(self.before));
        let sets =
            session.once(Mode::Read, WHAT, &format!("{role}SET LOCAL jit = off;{sql}")).await?;
        let row = first(&sets)?;
        Ok(Months {
            archive,
            rows: number(row, "rows")?,
            months: number(row, "months")?,
            oldest: row.get("oldest").map(str::to_owned),
            stay: number(row, "stay")?,
            begun: number(row, "begun")?,
        })
    }

    /// Exports of archives that are not asked for, which an earlier run began and did not end: what is to be said of each.
    pub async fn others(
        &self,
        session: &Session,
        role: &str,
        archives: &[Months],
    ) -> Result<Vec<String>, Failure> {
        let sets = session
            .once(Mode::Read, WHAT, &format!("{role}{}", include_str!("others.sql")))
            .await?;
        let rows = sets.last().ok_or_else(|| Failure::unexpected(WHAT))?;
        let other = |row: &tokio_postgres::SimpleQueryRow| {
            let (archive, folder) = (row.get("archive")?, row.get("folder")?);
            if archives.iter().any(|months| months.archive == archive) {
                return None;
            }
            Some(format!(
                "an export of markenmate.{archive} into {folder} on {} did not end; to go on with it: {}",
                row.get("host").unwrap_or("?"),
                self.go_on(archive, folder)
            ))
        };
        Ok(rows.iter().filter_map(other).collect())
    }

    /// What ends an export of that archive.
    fn go_on(&self, archive: &str, folder: &str) -> String {
        let job = jobs::ALL.iter().find(|job| job.archive == Some(archive));
        let job = job.map(|job| format!(" {}", job.id)).unwrap_or_default();
        format!("markenmate cleanup{job} --export {}{}", shell::word(folder), self.flags)
    }

    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// Exports all of them, after what an earlier run began; each file that is finished goes to `done`.
    /// Returns the rows that are left because the time was over.
    ///
    /// # Errors
    /// Refused (4) where an earlier run began in another folder; what a disk or the server says.
    pub async fn carry_out(
        &self,
        cx: &Context,
        session: &Session,
        role: &str,
        archive: &'static str,
        done: &mut Vec<File>,
    ) -> Result<u64, Failure> {
        let work = Work { export: self, cx, session, role, archive };
        let mut begun = work.begun().await?.into_iter();
        let mut planned: Option<(i64, std::vec::IntoIter<Chunk>)> = None;
        let mut again = false;
        loop {
            cx.interrupt.check()?;
            if self.is_over() {
                return Ok(self.months(session, role, archive, &[]).await?.rows);
            }
            if let Some(chunk) = begun.next() {
                match work.file(chunk).await? {
                    Became::Done(file) => done.push(file),
                    Became::Outdated(failure) => return Err(failure),
                }
                continue;
            }
            let (bound, files) = match &mut planned {
                Some(planned) => planned,
                None => {
                    let bound = work.bound().await?;
                    planned.insert((bound, work.files(bound).await?.into_iter()))
                }
            };
            let Some(chunk) = files.next() else { return Ok(0) };
            work.announce(&chunk).await?;
            match work.file(chunk).await? {
                Became::Done(file) => {
                    done.push(file);
                    again = false;
                }
                // All files are planned in one read: what was erased since then is planned anew, once.
                Became::Outdated(_) if !again => {
                    *files = work.files(*bound).await?.into_iter();
                    again = true;
                }
                Became::Outdated(failure) => return Err(failure),
            }
        }
    }
}

fn moment(at: DateTime<Utc>) -> String {
    format!("{}::timestamptz", literal(&at.to_rfc3339()))
}
