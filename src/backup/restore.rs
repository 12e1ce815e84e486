//! Filling a new, empty database from a backup. Whatever goes wrong ends it; nobody uses it yet.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::archive::{Aim, Readable};
use super::dump::open_file;
use super::form::Form;
use super::play::{CHUNK, play};
use super::proof::Backup;
use super::script::{Script, Summary};
use super::toc::Toc;
use crate::context::Context;
use crate::db::session::Session;
use crate::failure::Failure;
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
/// rights that extensions take.
#[derive(Clone, Copy)]
pub struct Hands<'a> {
    /// Makes extensions, and nothing else.
    pub extensions: &'a Session,
    /// Makes all the rest, fills it and owns it: to make a table is to run its owner's code already, where
    /// an expression in it is constant.
    pub rest: &'a Session,
}

impl<'a> Hands<'a> {
    /// The same for both.
    pub const fn of(session: &'a Session) -> Self {
        Self { extensions: session, rest: session }
    }

    /// Of two, one owns everything and has no rights to give.
    pub(super) fn are_one(&self) -> bool {
        std::ptr::eq(self.extensions, self.rest)
    }
}

impl Source {
    /// The file or folder.
    pub fn path(&self) -> &Path {
        match self {
            Self::Proven(backup) => &backup.path,
            Self::Bare(path, _) => path,
        }
    }

    /// Whose the table of users will be; none: whoever restores it.
    pub fn owner_of_users(&self) -> Option<&str> {
        match self {
            Self::Proven(backup) => backup.manifest.catalogue.owner(),
            Self::Bare(_, summary) => summary.owner_of_users.as_deref(),
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
        Source::Proven(_) | Source::Bare(..) => plain(hands, source.path(), how).await,
    }
}

async fn plain(hands: Hands<'_>, path: &Path, how: &How) -> Result<Vec<String>, Failure> {
    let failure = || Failure::refused(format!("{} cannot be restored", path.display()));
    let file = open_file(path).map_err(|error| failure().because(error))?;
    play(hands, Script::new(BufReader::with_capacity(CHUNK, file)), how, failure).await
}

async fn archive(
    cx: &Context,
    hands: Hands<'_>,
    backup: &Backup,
    how: &How,
) -> Result<Vec<String>, Failure> {
    let readable = Readable::of(backup, how.identity.as_deref())?;
    let major =
        (hands.rest.facts.server_version_num / 10_000).max(backup.manifest.archive.pg_dump_major());
    let via = cx.settings.via_docker.as_deref();
    let program = ClientProgram::find(&cx.env, via, "pg_restore", major)?;
    let (toc, left_out) = toc(cx, &program, &readable).await?.without_cron();
    let unpacking = Unpacking { cx, readable, program, how, hands };
    if !hands.are_one() && !toc.extensions().is_empty() {
        let parts = toc.parts();
        if !parts.schemas.is_empty() {
            unpacking.fill(Some(&parts.schemas)).await?;
        }
        unpacking.extensions(&parts.extensions).await?;
        unpacking.fill(Some(&parts.rest)).await?;
    } else {
        unpacking.fill((!left_out.is_empty()).then_some(&toc)).await?;
    }
    Ok(left_out)
}

/// An archive on its way into a database.
struct Unpacking<'a> {
    cx: &'a Context,
    readable: Readable,
    program: ClientProgram,
    how: &'a How,
    hands: Hands<'a>,
}

impl Unpacking<'_> {
    /// Restores what is listed, or all of it, but no extensions where they are another's affair.
    async fn fill(&self, listed: Option<&Toc>) -> Result<(), Failure> {
        let list = listed.map(|toc| self.list(toc)).transpose()?;
        let use_list = list.as_ref().map(use_list);
        // Two of one name would share a slot, and a database that has one cannot be dropped.
        let mut more = vec!["--exit-on-error", "--no-subscriptions"];
        more.extend(use_list.as_deref());
        more.extend(self.how.without_tablespaces.then_some("--no-tablespaces"));
        if !self.hands.are_one() {
            more.extend(["--no-owner", "--no-privileges"]);
        }
        let login = Some(&self.hands.rest.login);
        let aim = Aim { login, jobs: self.how.jobs, more: &more };
        self.readable.pg_restore(self.cx, &self.program, aim).await.map(drop)
    }

    /// Makes the extensions, by what the archive says of them and nothing that it says besides: an entry
    /// that calls itself an extension can hold any statement.
    async fn extensions(&self, listed: &Toc) -> Result<(), Failure> {
        let list = self.list(listed)?;
        let use_list = use_list(&list);
        let more = ["--file=-", "--no-owner", "--no-privileges", &use_list];
        let aim = Aim { more: &more, ..Aim::default() };
        let output = self.readable.pg_restore(self.cx, &self.program, aim).await?;
        let failure = || Failure::refused("the backup's extensions cannot be made");
        play(self.hands, Script::new(output.stdout.as_slice()), self.how, failure).await.map(drop)
    }

    fn list(&self, toc: &Toc) -> Result<SecretFile, Failure> {
        if self.program.is_inside() {
            return Err(Failure::refused(
                "the backup holds extensions that must be restored apart or left out, by a list in a file",
            )
            .because("pg_restore in a container sees no file of this machine")
            .hint("restore it without --via-docker"));
        }
        SecretFile::with(&toc.to_string(), &self.cx.env.temp_dir())
            .map_err(|e| Failure::unexpected("cannot hand pg_restore its list").because(e))
    }
}

fn use_list(list: &SecretFile) -> String {
    format!("--use-list={}", list.path().display())
}

async fn toc(cx: &Context, program: &ClientProgram, readable: &Readable) -> Result<Toc, Failure> {
    let aim = Aim { more: &["--list"], ..Aim::default() };
    let output = readable.pg_restore(cx, program, aim).await?;
    Ok(Toc::parse(&String::from_utf8_lossy(&output.stdout)))
}
