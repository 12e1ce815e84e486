//! `--export`: whole months leave an archive for files that DuckDB, Spark and Trino read as one table. A file is
//! announced in `markenmate.export`, written, put on the disk, read back, and named; then one transaction takes just
//! its rows out of the archive. Ended anywhere, the rows are in one of the two, and the next run goes on.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};
use serde::Serialize;
use serde_json::json;

use super::patient::patiently;
use super::record::opening;
use crate::context::Context;
use crate::db::identifiers::literal;
use crate::db::ledger::{self, Record};
use crate::db::session::{Mode, Session};
use crate::failure::{Failure, Kind};

mod chunk;
mod file;

use chunk::{Chunk, first, number};
use file::{Writing, Written};

/// Rows of one file: some 20 MB.
const MOST: u64 = 500_000;
/// Rows that are fetched at once.
const PAGE: u32 = 2_000;

/// Where files go, and what they take.
#[derive(Debug, Clone)]
pub struct Export {
    /// The folder.
    pub folder: PathBuf,
    /// Rows of months that were over before this.
    pub before: DateTime<Utc>,
}

/// What there is to export.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Months {
    /// In schema `markenmate`.
    pub archive: &'static str,
    /// Rows of months that are over.
    pub rows: u64,
    /// How many months.
    pub months: u64,
    /// The oldest, as `2025-11`.
    pub oldest: Option<String>,
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
    /// Into this folder, which is made when there is something for it.
    pub fn into(folder: &Path, before: DateTime<Utc>) -> Self {
        let date = before.date_naive();
        let month = date.with_day(1).unwrap_or(date).and_time(NaiveTime::MIN).and_utc();
        Self { folder: folder.to_path_buf(), before: month }
    }

    /// With all links resolved: by this name a later run knows it.
    fn made(&self) -> Result<Self, Failure> {
        let cannot = |error| {
            Failure::refused(format!("cannot use the folder {}", self.folder.display()))
                .because(error)
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(cannot)?;
        let folder = self.folder.canonicalize().map_err(cannot)?;
        Ok(Self { folder, before: self.before })
    }

    /// What there is.
    pub async fn months(
        &self,
        session: &Session,
        role: &str,
        archive: &'static str,
    ) -> Result<Months, Failure> {
        let sql = include_str!("months.sql")
            .replace("%ARCHIVE%", archive)
            .replace("%BEFORE%", &moment(self.before));
        let sets = session.once(Mode::Read, WHAT, &format!("{role}{sql}")).await?;
        let row = first(&sets)?;
        Ok(Months {
            archive,
            rows: number(row, "rows")?,
            months: number(row, "months")?,
            oldest: row.get("oldest").map(str::to_owned),
        })
    }

    /// Exports all of them, after what an earlier run began.
    ///
    /// # Errors
    /// Refused (4) where an earlier run began in another folder; what a disk or the server says.
    pub async fn carry_out(
        &self,
        cx: &Context,
        session: &Session,
        role: &str,
        archive: &'static str,
    ) -> Result<Vec<File>, Failure> {
        let export = self.made()?;
        let work = Work { export: &export, cx, session, role, archive };
        let mut done = Vec::new();
        for chunk in work.begun().await? {
            done.push(work.file(chunk).await.map_err(|failure| after(failure, &done))?);
        }
        let bound = work.bound().await?;
        loop {
            cx.interrupt.check().map_err(|failure| after(failure, &done))?;
            let Some(chunk) = work.next(bound).await.map_err(|failure| after(failure, &done))?
            else {
                return Ok(done);
            };
            work.announce(&chunk).await.map_err(|failure| after(failure, &done))?;
            done.push(work.file(chunk).await.map_err(|failure| after(failure, &done))?);
        }
    }
}

/// What is in files already stays there.
fn after(mut failure: Failure, done: &[File]) -> Failure {
    if done.is_empty() {
        return failure;
    }
    if failure.kind != Kind::Interrupted {
        failure.kind = Kind::Partial;
    }
    let rows: u64 = done.iter().map(|file| file.rows).sum();
    failure.because(format!("{} file(s) with {rows} rows were finished before", done.len()))
}

struct Work<'a> {
    export: &'a Export,
    cx: &'a Context,
    session: &'a Session,
    role: &'a str,
    archive: &'static str,
}

impl Work<'_> {
    /// The archive's name without what it is.
    fn table(&self) -> &'static str {
        self.archive.strip_suffix("_archive").unwrap_or(self.archive)
    }

    fn sql(&self, text: &str, chunk: Option<&Chunk>) -> String {
        let mut sql = text
            .replace("%ARCHIVE%", self.archive)
            .replace("%ARCHIVE_NAME%", &literal(self.archive))
            .replace("%FOLDER%", &literal(&self.export.folder.to_string_lossy()))
            .replace("%RUN%", &literal(&self.cx.run_id.to_string()))
            .replace("%HOST%", &literal(&whoami::hostname().unwrap_or_default()));
        if let Some(chunk) = chunk {
            let [first, last] = chunk.ids;
            sql = sql
                .replace("%NAME%", &literal(&chunk.name))
                .replace("%MONTH%", &format!("{}::date", literal(&chunk.month.to_string())))
                .replace("%FIRST%", &first.to_string())
                .replace("%LAST%", &last.to_string())
                .replace("%ROWS%", &chunk.rows.to_string())
                .replace("%CHECKSUM%", &format!("({})", chunk.checksum))
                .replace("%RANGE%", &chunk.range());
        }
        // A time in a line is of no zone but this.
        format!("{}SET LOCAL TimeZone = 'UTC';{sql}", opening(self.role))
    }

    /// What an earlier run announced and did not end.
    async fn begun(&self) -> Result<Vec<Chunk>, Failure> {
        let sql = self.sql(include_str!("claims.sql"), None);
        let sets = self.session.once(Mode::Write, WHAT, &sql).await?;
        let rows = sets.last().ok_or_else(|| Failure::unexpected(WHAT))?;
        let here = self.export.folder.to_string_lossy();
        if let Some(row) = rows.iter().find(|row| row.get("folder") != Some(&here)) {
            let folder = row.get("folder").unwrap_or_default();
            return Err(Failure::refused(format!(
                "an earlier run began to export into {folder} on {}, and did not end",
                row.get("host").unwrap_or("?")
            ))
            .because("its rows are all in the archive still, and maybe in a file there as well")
            .hint(format!("to go on with it: markenmate cleanup --export {folder}"))
            .hint("where that folder is lost: UPDATE markenmate.export SET state = 'given_up' WHERE state = 'writing';"));
        }
        rows.iter()
            .map(|row| Chunk::read(row, row.get("name").unwrap_or_default().to_owned()))
            .collect()
    }

    async fn bound(&self) -> Result<i64, Failure> {
        let sql = self.sql(include_str!("bound.sql"), None);
        let sets =
            self.patiently(async || self.session.once(Mode::Write, WHAT, &sql).await).await?;
        number(first(&sets)?, "bound")
    }

    async fn next(&self, bound: i64) -> Result<Option<Chunk>, Failure> {
        let sql = include_str!("next.sql")
            .replace("%BEFORE%", &moment(self.export.before))
            .replace("%BOUND%", &bound.to_string())
            .replace("%MOST%", &MOST.to_string());
        let sets = self.session.once(Mode::Write, WHAT, &self.sql(&sql, None)).await?;
        let Some(row) = sets.last().and_then(|rows| rows.first()) else { return Ok(None) };
        let mut chunk = Chunk::read(row, String::new())?;
        let (month, [first, last]) = (chunk.month, chunk.ids);
        chunk.name = format!(
            "{0}/year={1}/month={2:02}/{0}-{first}-{last}.jsonl.gz",
            self.table(),
            month.year(),
            month.month()
        );
        Ok(Some(chunk))
    }

    async fn announce(&self, chunk: &Chunk) -> Result<(), Failure> {
        let target = self.export.folder.join(&chunk.name);
        if target.exists() {
            return Err(Failure::refused(format!("{} is there already", target.display()))
                .because(
                    "the archive has rows with the same numbers: was this database restored since?",
                )
                .hint("look at both; export into another folder, or move that file away"));
        }
        let sql = self.sql(include_str!("claim.sql"), Some(chunk));
        self.session.once(Mode::Write, WHAT, &sql).await.map(drop)
    }

    async fn file(&self, chunk: Chunk) -> Result<File, Failure> {
        let written = match self.write(&chunk).await {
            Ok(written) => written,
            Err(failure) => {
                self.give_up(&chunk, &failure).await;
                return Err(failure
                    .hint("its rows are in the archive still: run it again when there is room"));
            }
        };
        let file = File {
            name: chunk.name.clone(),
            month: chunk.month,
            archive_ids: chunk.ids,
            rows: chunk.rows,
            checksum: chunk.checksum.to_string(),
            bytes: written.bytes,
            sha256: written.sha256,
        };
        self.manifest(&file)?;
        self.patiently(async || {
            let finished = self.finish(&chunk, &file).await;
            self.session.end().await;
            finished
        })
        .await?;
        Ok(file)
    }

    async fn patiently<T>(
        &self,
        attempt: impl AsyncFnMut() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        // Who writes the archive deletes a user of the application's.
        patiently(self.cx, self.session, &["user", "audit_log"], attempt).await
    }

    /// A signal leaves it to the next run. Where the disk is full there may be no next one in this folder.
    async fn give_up(&self, chunk: &Chunk, failure: &Failure) {
        if failure.kind == Kind::Interrupted || self.session.is_closed() {
            return;
        }
        let sql = "UPDATE markenmate.export SET state = 'given_up', finished_at = clock_timestamp() \
                    WHERE folder = %FOLDER% AND name = %NAME% AND state = 'writing'";
        // Else the next run takes it up.
        let _ = self.session.once(Mode::Write, WHAT, &self.sql(sql, Some(chunk))).await;
    }

    async fn write(&self, chunk: &Chunk) -> Result<Written, Failure> {
        let target = self.export.folder.join(&chunk.name);
        let cannot = |error| {
            Failure::unexpected(format!("cannot write {}", target.display())).because(error)
        };
        let mut writing = Writing::begin(&target).map_err(cannot)?;
        let (mut after, mut rows, mut checksum) = (i64::MIN, 0, 0_i128);
        loop {
            let sql = include_str!("page.sql")
                .replace("%AFTER%", &format!("'{after}'::bigint"))
                .replace("%SIZE%", &PAGE.to_string());
            let sets = self.session.once(Mode::Write, WHAT, &self.sql(&sql, Some(chunk))).await?;
            let page = sets.last().ok_or_else(|| Failure::unexpected(WHAT))?;
            for row in page {
                writing.line(row.get("line").unwrap_or_default()).map_err(cannot)?;
                checksum += number::<i128>(row, "hash")?;
                after = number(row, "archive_id")?;
                rows += 1;
            }
            if page.len() < PAGE as usize {
                break;
            }
        }
        if rows != chunk.rows || checksum != chunk.checksum {
            return Err(Failure::unexpected("the archive changed while it was exported")
                .because(format!("{} rows were announced, {rows} came", chunk.rows)));
        }
        writing.finish().map_err(cannot)
    }

    /// Beside the data, where readers pass over it.
    fn manifest(&self, file: &File) -> Result<(), Failure> {
        let name = file.name.rsplit('/').next().unwrap_or_default().replace(".jsonl.gz", ".json");
        let path = self.export.folder.join(self.table()).join("_manifest").join(name);
        let manifest = json!({
            "schema": 1,
            "file": file,
            "archive": format!("markenmate.{}", self.archive),
            "database": self.session.facts.database,
            "system_identifier": self.session.facts.system_identifier,
            "run_id": self.cx.run_id.to_string(),
            "tool_version": env!("CARGO_PKG_VERSION"),
            "exported_at": Utc::now(),
        });
        let text = format!("{manifest:#}\n");
        file::write_small(&path, &text).map_err(|error| {
            Failure::unexpected(format!("cannot write {}", path.display()))
                .because(error)
                .hint("its rows are in the archive still: run it again when there is room")
        })
    }

    async fn finish(&self, chunk: &Chunk, file: &File) -> Result<(), Failure> {
        let sql = include_str!("done.sql")
            .replace("%BYTES%", &file.bytes.to_string())
            .replace("%SHA256%", &literal(&file.sha256));
        let sql = self.sql(&sql, Some(chunk));
        self.session.begin_within(Mode::Write, self.session.timeouts(), WHAT, &sql).await?;
        let detail = serde_json::to_string(file)
            .map_err(|error| Failure::unexpected(WHAT).because(error))?;
        let record = Record {
            command: "cleanup --export",
            subject: Some(self.table()),
            outcome: "done",
            detail: Some(&detail),
        };
        ledger::append(self.session, &self.cx.origin(), &record).await?;
        self.session.commit(WHAT, "COMMIT").await.map(drop)
    }
}

fn moment(at: DateTime<Utc>) -> String {
    format!("{}::timestamptz", literal(&at.to_rfc3339()))
}
