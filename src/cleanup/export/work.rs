//! One archive: its files, from the announcement to the transaction that takes their rows out of it.

use std::path::{Path, PathBuf};

use chrono::{Datelike, Utc};
use serde_json::json;
use tokio_postgres::SimpleQueryRow;

use super::super::patient::patiently;
use super::super::record::opening;
use super::chunk::{Chunk, first, number};
use super::file::{self, Writing, Written};
use super::{Export, File, WHAT, folder, moment};
use crate::context::Context;
use crate::db::identifiers::literal;
use crate::db::ledger::{self, Record};
use crate::db::session::{Mode, Rows, Session};
use crate::failure::{Failure, Kind};

/// Rows of one file: some 20 MB.
const MOST: u64 = 500_000;
/// Rows that are fetched at once, at most, and before it is known how long they are.
const PAGE: usize = 2_000;
const FIRST_PAGE: usize = 100;
/// What is fetched at once, about; one row comes in any case.
const PAGE_BYTES: usize = 8 << 20;

/// An erasure took rows of a file that was announced.
const CHANGED: &str = "the archive changed while it was exported";

/// What became of a file.
pub(super) enum Became {
    /// It is there, and its rows are only in it.
    Done(File),
    /// Its rows are others by now: it was given up, and nothing is left of it.
    Outdated(Failure),
}

/// An archive that is exported.
pub(super) struct Work<'a> {
    pub(super) export: &'a Export,
    pub(super) cx: &'a Context,
    pub(super) session: &'a Session,
    pub(super) role: &'a str,
    pub(super) archive: &'static str,
}

impl Work<'_> {
    /// The archive's name without what it is.
    fn table(&self) -> &'static str {
        table_of(self.archive)
    }

    fn sql(&self, text: &str, chunk: Option<&Chunk>) -> String {
        let mut sql = text
            .replace("%ARCHIVE%", self.archive)
            .replace("%ARCHIVE_NAME%", &literal(self.archive))
            .replace("%RUN%", &literal(&self.cx.run_id.to_string()))
            .replace("%HOST%", &literal(&hostname()));
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
        let sql = sql.replace("%FOLDER%", &literal(&self.export.folder.to_string_lossy()));
        // A time in a line is of no zone but this.
        format!("{}SET LOCAL TimeZone = 'UTC';{sql}", opening(self.role))
    }

    /// What an earlier run announced and did not end.
    pub(super) async fn begun(&self) -> Result<Vec<Chunk>, Failure> {
        let sql = self.sql(include_str!("claims.sql"), None);
        let sets = self.session.once(Mode::Write, WHAT, &sql).await?;
        let rows = sets.last().ok_or_else(|| Failure::unexpected(WHAT))?;
        if let Some(row) = rows.iter().find(|row| !self.is_here(row)) {
            let folder = row.get("folder").unwrap_or_default();
            let host = row.get("host").unwrap_or("?");
            let archive = self.archive;
            return Err(Failure::refused(format!(
                "an earlier run began to export markenmate.{archive} into {folder} on {host}, and did not end",
            ))
            .because("its rows are all in the archive still, and maybe in a file there as well")
            .hint(format!("to go on with it, on {host}: {}", self.export.go_on(archive, folder)))
            .hint(format!(
                "where that folder is lost: UPDATE markenmate.export SET state = 'given_up' \
                 WHERE state = 'writing' AND archive = {} AND folder = {};",
                literal(archive),
                literal(folder)
            )));
        }
        rows.iter()
            .map(|row| Chunk::read(row, row.get("name").unwrap_or_default().to_owned()))
            .collect()
    }

    /// Whether what was announced is of this folder: by its name, and on another host by the file that is there.
    fn is_here(&self, row: &SimpleQueryRow) -> bool {
        if row.get("folder") != Some(&self.export.folder.to_string_lossy()) {
            return false;
        }
        let same = row.get("host").is_none_or(|host| host.is_empty() || host == hostname());
        let target = self.export.folder.join(row.get("name").unwrap_or_default());
        same || target.exists() || file::partial(&target).exists()
    }

    pub(super) async fn bound(&self) -> Result<i64, Failure> {
        let sql = self.sql(include_str!("bound.sql"), None);
        let sets =
            self.patiently(async || self.session.once(Mode::Write, WHAT, &sql).await).await?;
        number(first(&sets)?, "bound")
    }

    /// Every file that there is to write, in order; found in one read.
    pub(super) async fn files(&self, bound: i64) -> Result<Vec<Chunk>, Failure> {
        let sql = include_str!("files.sql")
            .replace("%BEFORE%", &moment(self.export.before))
            .replace("%BOUND%", &bound.to_string())
            .replace("%MOST%", &MOST.to_string());
        let sets = self.session.once(Mode::Write, WHAT, &self.sql(&sql, None)).await?;
        let rows = sets.last().ok_or_else(|| Failure::unexpected(WHAT))?;
        rows.iter()
            .map(|row| Chunk::read(row, String::new()).map(|chunk| self.named(chunk)))
            .collect()
    }

    fn named(&self, mut chunk: Chunk) -> Chunk {
        let (month, [first, last]) = (chunk.month, chunk.ids);
        chunk.name = format!(
            "{0}/year={1}/month={2:02}/{0}-{first}-{last}.jsonl.gz",
            self.table(),
            month.year(),
            month.month()
        );
        chunk
    }

    pub(super) async fn announce(&self, chunk: &Chunk) -> Result<(), Failure> {
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

    pub(super) async fn file(&self, chunk: Chunk) -> Result<Became, Failure> {
        let written = match self.write(&chunk).await {
            Ok(written) => written,
            Err(failure) => {
                let is_given_up = self.give_up(&chunk, &failure).await;
                let failure =
                    failure.hint(format!("the rows of {} are in the archive still", chunk.name));
                return match is_given_up && failure.message == CHANGED {
                    true => Ok(Became::Outdated(failure)),
                    false => Err(failure),
                };
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
        Ok(Became::Done(file))
    }

    async fn patiently<T>(
        &self,
        attempt: impl AsyncFnMut() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        // Who writes the archive deletes a user of the application's.
        patiently(self.cx, self.session, &["user", "audit_log"], &[], attempt).await
    }

    /// A signal leaves it to the next run. Where the disk is full there may be no next one in this folder.
    /// True: nothing is left of it.
    async fn give_up(&self, chunk: &Chunk, failure: &Failure) -> bool {
        if failure.kind == Kind::Interrupted || self.session.is_closed() {
            return false;
        }
        let this = "folder = %FOLDER% AND name = %NAME% AND state = 'writing'";
        let sql = format!("SELECT name FROM markenmate.export WHERE {this}");
        let sets = self.session.once(Mode::Write, WHAT, &self.sql(&sql, Some(chunk))).await;
        if !sets.is_ok_and(|sets| sets.last().is_some_and(|rows| !rows.is_empty())) {
            return false;
        }
        // An earlier run may have named it: whoever reads the folder would find its rows there and in the next file.
        let (target, manifest) =
            (self.export.folder.join(&chunk.name), self.manifest_of(&chunk.name));
        if file::remove(&target).is_err() || file::remove(&manifest).is_err() {
            return false;
        }
        let sql = format!(
            "UPDATE markenmate.export SET state = 'given_up', finished_at = clock_timestamp() WHERE {this}"
        );
        // Else the next run takes it up.
        self.session.once(Mode::Write, WHAT, &self.sql(&sql, Some(chunk))).await.is_ok()
    }

    async fn write(&self, chunk: &Chunk) -> Result<Written, Failure> {
        let target = self.export.folder.join(&chunk.name);
        let cannot = |error| folder::cannot_write(&target, &error);
        let mut writing = Writing::begin(&target).map_err(cannot)?;
        let (mut after, mut rows, mut checksum) = (i64::MIN, 0, 0_i128);
        let mut size = FIRST_PAGE;
        while after < chunk.ids[1] {
            let page = self.page(chunk, after, size).await?;
            let mut bytes = 0;
            for row in &page {
                let line = row.get("line").unwrap_or_default();
                writing.line(line).map_err(cannot)?;
                bytes += line.len();
                checksum += number::<i128>(row, "hash")?;
                after = number(row, "archive_id")?;
                rows += 1;
            }
            if page.is_empty() {
                break;
            }
            size = (PAGE_BYTES / (bytes / page.len()).max(1)).clamp(1, PAGE);
        }
        if rows != chunk.rows || checksum != chunk.checksum {
            return Err(Failure::unexpected(CHANGED)
                .because(format!("{} rows were announced, {rows} came", chunk.rows))
                .hint("run it again: what is there now is written anew"));
        }
        writing.finish().map_err(cannot)
    }

    /// Rows behind `after`, `size` of them at most and not more than fit into a page.
    async fn page(&self, chunk: &Chunk, after: i64, size: usize) -> Result<Rows, Failure> {
        let fill = |text: &str| {
            let text = text
                .replace("%AFTER%", &format!("'{after}'::bigint"))
                .replace("%SIZE%", &size.to_string())
                .replace("%BYTES%", &PAGE_BYTES.to_string());
            self.sql(&text, Some(chunk))
        };
        let page = self.session.once(Mode::Write, WHAT, &fill(include_str!("page.sql"))).await;
        match page {
            Ok(mut sets) => sets.pop().ok_or_else(|| Failure::unexpected(WHAT)),
            // A database without an encoding (SQL_ASCII) keeps any byte; JSON does not.
            Err(failure) if failure.sqlstate.as_deref() == Some("22021") => {
                let sql = fill(include_str!("unreadable.sql"));
                let which = match self.session.once(Mode::Write, WHAT, &sql).await {
                    Err(named) if named.sqlstate.as_deref() == Some("22021") => named,
                    _ => failure,
                };
                Err(Failure { kind: Kind::Refused, ..which }.hint(format!(
                    "put it right, with the gate open: BEGIN; SELECT markenmate.open_gate('no UTF-8'); \
                     UPDATE markenmate.{} SET ... WHERE archive_id = ...; COMMIT;",
                    self.archive
                )))
            }
            Err(failure) => Err(failure),
        }
    }

    fn manifest_of(&self, name: &str) -> PathBuf {
        let name = name.rsplit('/').next().unwrap_or_default().replace(".jsonl.gz", ".json");
        self.export.folder.join(manifests_of(self.archive)).join(name)
    }

    /// Beside the data, where readers pass over it.
    fn manifest(&self, file: &File) -> Result<(), Failure> {
        let path = self.manifest_of(&file.name);
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
            folder::cannot_write(&path, &error).hint("its rows are in the archive still")
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

fn table_of(archive: &str) -> &str {
    archive.strip_suffix("_archive").unwrap_or(archive)
}

/// Where an archive's manifests are, below the folder.
pub(super) fn manifests_of(archive: &str) -> PathBuf {
    Path::new(table_of(archive)).join("_manifest")
}

fn hostname() -> String {
    whoami::hostname().unwrap_or_default()
}
