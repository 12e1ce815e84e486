//! Filling a new, empty database from a backup. Whatever goes wrong ends it; nobody uses it yet.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::archive::{Aim, Readable};
use super::dump::open_file;
use super::form::Form;
use super::proof::Backup;
use super::script::{Piece, Script, Summary, is_cron, mentions_cron};
use super::toc::Toc;
use crate::context::Context;
use crate::db::session::Session;
use crate::failure::{Failure, Kind};
use crate::tools::postgres_client::ClientProgram;
use crate::tools::secret_file::SecretFile;

/// What is restored.
#[derive(Debug, Clone)]
pub enum Source {
    /// A backup with its manifest.
    Proven(Box<Backup>),
    /// A plain dump without one, such as `pg_dump > file` makes.
    Bare(PathBuf, Summary),
}

/// How it is restored.
#[derive(Debug, Clone, Default)]
pub struct How {
    /// How many tables at once.
    pub jobs: u16,
    /// The secret key's file.
    pub identity: Option<PathBuf>,
    /// All of it goes where the database is, wherever it was.
    pub without_tablespaces: bool,
}

/// On whose behalf a database is filled: of two roles where what is restored is not to run with the
/// rights that it takes to make its objects.
#[derive(Clone, Copy)]
pub struct Hands<'a> {
    /// Makes tables, types and functions, and runs none of them.
    pub schema: &'a Session,
    /// Fills the tables and makes keys and indexes: checks, domains and expressions run as this one.
    pub rows: &'a Session,
}

impl<'a> Hands<'a> {
    /// The same for both.
    pub const fn of(session: &'a Session) -> Self {
        Self { schema: session, rows: session }
    }

    fn are_one(&self) -> bool {
        std::ptr::eq(self.schema, self.rows)
    }
}

/// How much of a table's rows is sent at once.
const CHUNK: usize = 256 * 1024;

const WHAT: &str = "cannot restore";

impl Source {
    /// The file or folder.
    pub fn path(&self) -> &Path {
        match self {
            Self::Proven(backup) => &backup.path,
            Self::Bare(path, _) => path,
        }
    }

    /// The extensions that the new database must have.
    pub async fn extensions(&self, cx: &Context, how: &How) -> Result<Vec<String>, Failure> {
        match self {
            Self::Bare(_, summary) => Ok(summary.extensions.iter().cloned().collect()),
            Self::Proven(backup) if backup.manifest.archive.form == Form::Plain => {
                let summary = super::proof::plain(cx, &backup.path).await?;
                Ok(summary.extensions.into_iter().collect())
            }
            Self::Proven(backup) => {
                let readable = Readable::of(backup, how.identity.as_deref())?;
                Ok(toc(cx, &backup.pg_restore(cx)?, &readable).await?.extensions())
            }
        }
    }
}

/// Fills the database that the sessions are connected to. Says what belongs to pg_cron and was left out.
///
/// # Errors
/// Refused, with the first error; the database is then half-filled.
pub async fn into(
    cx: &Context,
    hands: Hands<'_>,
    source: &Source,
    how: &How,
) -> Result<Vec<String>, Failure> {
    match source {
        Source::Proven(backup) if backup.manifest.archive.form != Form::Plain => {
            archive(cx, hands, backup, how).await
        }
        Source::Proven(_) | Source::Bare(..) => play(hands, source.path(), how).await,
    }
}

async fn archive(
    cx: &Context,
    hands: Hands<'_>,
    backup: &Backup,
    how: &How,
) -> Result<Vec<String>, Failure> {
    let readable = Readable::of(backup, how.identity.as_deref())?;
    let major = (hands.schema.facts.server_version_num / 10_000)
        .max(backup.manifest.archive.pg_dump_major());
    let via = cx.settings.via_docker.as_deref();
    let program = ClientProgram::find(&cx.env, via, "pg_restore", major)?;
    let filtered = toc(cx, &program, &readable).await?.without_cron();
    if filtered.is_some() && program.is_inside() {
        return Err(Failure::refused(
            "the backup holds pg_cron, which must be left out by a list in a file",
        )
        .because("pg_restore in a container sees no file of this machine")
        .hint("restore it without --via-docker"));
    }
    let failed = |error| Failure::unexpected("cannot hand pg_restore its list").because(error);
    let list = filtered
        .as_ref()
        .map(|(kept, _)| SecretFile::with(kept, &cx.env.temp_dir()).map_err(failed))
        .transpose()?;
    let use_list = list.as_ref().map(|list| format!("--use-list={}", list.path().display()));
    // Two of one name would share a slot, and a database that has one cannot be dropped.
    let mut more = vec!["--exit-on-error", "--no-subscriptions"];
    more.extend(use_list.as_deref());
    more.extend(how.without_tablespaces.then_some("--no-tablespaces"));
    let sections: &[(&Session, &[&str])] = match hands.are_one() {
        true => &[(hands.schema, &[])],
        false => &[
            (hands.schema, &["--section=pre-data"]),
            (hands.rows, &["--section=data", "--section=post-data"]),
        ],
    };
    for (session, sections) in sections {
        let more = [&more, *sections].concat();
        let aim = Aim { login: Some(&session.login), jobs: how.jobs, more: &more };
        readable.pg_restore(cx, &program, aim).await?;
    }
    Ok(filtered.map(|(_, out)| out).unwrap_or_default())
}

async fn toc(cx: &Context, program: &ClientProgram, readable: &Readable) -> Result<Toc, Failure> {
    let aim = Aim { more: &["--list"], ..Aim::default() };
    let output = readable.pg_restore(cx, program, aim).await?;
    Ok(Toc::parse(&String::from_utf8_lossy(&output.stdout)))
}

/// Runs a plain dump, statement by statement. The server sees SQL only, and psql sees none of it.
async fn play(hands: Hands<'_>, path: &Path, how: &How) -> Result<Vec<String>, Failure> {
    let failure = || Failure::refused(format!("{} cannot be restored", path.display()));
    let file = open_file(path).map_err(|error| failure().because(error))?;
    let mut script = Script::new(BufReader::with_capacity(CHUNK, file));
    let (mut left_out, mut settings) = (Vec::new(), Vec::new());
    let mut has_cron = false;
    let mut session = hands.schema;
    // Whatever is committed later brings to disk what was committed before.
    session.run(WHAT, "SET synchronous_commit = off").await?;
    while let Some(piece) = script.next_piece().map_err(|broken| failure().because(broken))? {
        let (Piece::Statement(sql) | Piece::Copy(sql)) = &piece;
        has_cron |= sql.starts_with("CREATE EXTENSION ") && sql.split([' ', ';']).any(is_cron);
        let tablespace = how.without_tablespaces && sql.starts_with("SET default_tablespace ");
        let subscription = SUBSCRIPTION.iter().any(|words| sql.starts_with(words));
        let skipped = tablespace || subscription || has_cron && mentions_cron(sql);
        if skipped && !tablespace && !subscription {
            left_out.push(first_line(sql));
        }
        if is_setting(sql) {
            settings.extend((!skipped).then(|| sql.clone()));
        } else if std::ptr::eq(session, hands.schema) && fills(sql) && !hands.are_one() {
            session = hands.rows;
            for setting in &settings {
                statement(session, setting).await?;
            }
        }
        match &piece {
            Piece::Copy(sql) => copy(session, &mut script, sql, skipped).await,
            Piece::Statement(_) if skipped => Ok(()),
            Piece::Statement(sql) => statement(session, sql).await,
        }
        .map_err(|cause| stopped(failure(), first_line(sql), cause))?;
    }
    Ok(left_out)
}

/// What pg_restore leaves out with `--no-subscriptions`.
const SUBSCRIPTION: [&str; 3] =
    ["CREATE SUBSCRIPTION ", "ALTER SUBSCRIPTION ", "COMMENT ON SUBSCRIPTION "];

fn is_setting(sql: &str) -> bool {
    sql.starts_with("SET ") || sql.starts_with("SELECT pg_catalog.set_config(")
}

/// From here on what was made may run: rows are checked, expressions computed.
fn fills(sql: &str) -> bool {
    let words = [
        "COPY ",
        "INSERT ",
        "SELECT ",
        "REFRESH ",
        "CREATE INDEX ",
        "CREATE UNIQUE INDEX ",
        "ALTER TABLE ONLY ",
    ];
    words.iter().any(|word| sql.starts_with(word))
        && !sql.contains(" ALTER COLUMN ")
        && !sql.contains(" OWNER TO ")
}

/// Where it stopped, and why: what the server says to a statement of the file is no fault of ours.
fn stopped(failure: Failure, at: String, cause: Failure) -> Failure {
    let kind = if cause.kind == Kind::Unexpected { failure.kind } else { cause.kind };
    let sqlstate = cause.sqlstate.clone();
    Failure { kind, sqlstate, ..failure.because(at).because(cause) }
}

async fn statement(session: &Session, sql: &str) -> Result<(), Failure> {
    match session.run(WHAT, sql).await {
        // A newer pg_dump names settings that an older server does not know; they are pauses only.
        Err(failure) if sql.starts_with("SET ") && failure.sqlstate.as_deref() == Some("42704") => {
            Ok(())
        }
        other => other.map(drop),
    }
}

async fn copy(
    session: &Session,
    script: &mut Script<BufReader<std::fs::File>>,
    sql: &str,
    skipped: bool,
) -> Result<(), Failure> {
    let mut rows = if skipped { None } else { Some(session.copy_in(WHAT, sql).await?) };
    let mut bytes = Vec::with_capacity(CHUNK);
    loop {
        let chunk = script
            .rows(CHUNK, &mut bytes)
            .map_err(|broken| Failure::refused(broken.to_string()))?;
        if let Some(rows) = &mut rows {
            rows.send(WHAT, Bytes::copy_from_slice(&bytes)).await?;
        }
        if chunk.last {
            break;
        }
    }
    match rows {
        Some(rows) => rows.finish(WHAT).await.map(drop),
        None => Ok(()),
    }
}

fn first_line(sql: &str) -> String {
    sql.lines().next().unwrap_or_default().chars().take(120).collect()
}
