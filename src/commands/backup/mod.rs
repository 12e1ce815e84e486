//! `backup`: a dump with a manifest of the same moment, and what is done with those that exist.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::backup::contents::{self, Snapshot};
use crate::backup::dump::{self, megabytes};
use crate::backup::form::{self, Compression, Form};
use crate::backup::manifest::{Archive, Checksums, File, Manifest, SUFFIX, Schema, Table};
use crate::backup::place::{Place, beside};
use crate::backup::proof;
use crate::context::Context;
use crate::db::patience::{Attempt, Patience, Setback};
use crate::db::session::Session;
use crate::failure::Failure;
use crate::pipeline::{Access, Operation};
use crate::plan::{Plan, Risk, Step};
use crate::report::{Block, Finding, Next, Outcome, Report, StepStatus};
use crate::settings::Format;
use crate::tools::age::Age;
use crate::tools::postgres_client::ClientProgram;
use crate::tools::shell;

mod args;
mod kept;
mod now;
mod orphans;
mod prune;
mod schema;
mod scratch;
mod stdout;
mod wanted;

pub use args::{Args, Kept};
pub use kept::{list, verify};
pub use now::{now, of_what_goes, only_reading};
pub use prune::prune;

/// The command.
pub struct Backup {
    args: Args,
    /// Of what a restore is about to replace.
    safety: bool,
    /// The database is only read: its admin page and its ledger are not told.
    only_reads: bool,
}

impl Backup {
    /// With these flags.
    pub fn new(args: Args) -> Self {
        Self { args, safety: false, only_reads: false }
    }

    /// With all defaults, of what a restore is about to replace.
    pub fn before_restore() -> Self {
        Self { safety: true, ..Self::new(Args::default()) }
    }

    /// With all defaults, and nothing written into the database.
    pub fn only_reading() -> Self {
        Self { only_reads: true, ..Self::new(Args::default()) }
    }

    /// What there is to dump, and with what.
    pub async fn look(&self, cx: &Context, session: &Session) -> Result<Seen, Setback> {
        let server_version_num = session.facts.server_version_num;
        let via = cx.settings.via_docker.as_deref();
        let pg_dump = ClientProgram::find(&cx.env, via, "pg_dump", server_version_num / 10_000)?;
        let knows = |compression: &Compression| {
            let argument = compression.argument(pg_dump.major).ok();
            argument.is_some_and(|argument| pg_dump.knows_compression(&cx.env, &argument))
        };
        let cheapest = form::CHEAPEST.into_iter().find(knows).unwrap_or(form::EVERYBODYS);
        let database = session.facts.database.clone();
        Ok(Seen { database, pg_dump, cheapest, server_version_num })
    }

    /// A restore is compared by content.
    fn checksums(&self) -> Checksums {
        if self.args.restore_test { Checksums::Full } else { self.args.checksums }
    }
}

/// How the backup is made.
pub struct Work {
    to_stdout: bool,
    target: PathBuf,
    make_folder: bool,
    form: Form,
    compression: Compression,
    jobs: u16,
    recipients: Vec<String>,
    pg_dump: ClientProgram,
    server_version_num: u32,
}

/// What was seen before.
pub struct Seen {
    database: String,
    pg_dump: ClientProgram,
    /// The cheapest that it knows.
    cheapest: Compression,
    server_version_num: u32,
}

impl Operation for Backup {
    type State = Seen;
    type Work = Work;

    /// A standby will do, and a reader.
    fn access(&self) -> Access {
        Access::Read
    }

    async fn inspect(
        &self,
        cx: &Context,
        session: &Session,
        _attempt: Attempt,
    ) -> Result<Seen, Setback> {
        if self.args.output.is_none() && cx.settings.format == Format::Human && !cx.settings.dry_run
        {
            stdout::refuse_file()?;
        }
        self.look(cx, session).await
    }

    fn plan(&self, cx: &Context, seen: &Seen) -> Result<Plan<Work>, Failure> {
        let work = wanted::work(cx, &self.args, seen)?;
        let to = if work.to_stdout { "stdout".into() } else { work.target.display().to_string() };
        let step = Step {
            detail: Some(format!(
                "by {}, form {}, compression {}, {} job(s); it holds ACCESS SHARE on every table, which only DDL waits for",
                work.pg_dump,
                work.form.word(),
                work.compression,
                work.jobs,
            )),
            ..Step::new("dump", format!("dump {} to {to}", seen.database), Risk::ReadOnly)
        };
        Ok(Plan {
            work,
            steps: vec![step],
            screen: Vec::new(),
            findings: Vec::new(),
            question: String::new(),
            asks_later: false,
            data: json!({ "path": to }),
            next: None,
        })
    }

    async fn execute(
        &self,
        cx: &Context,
        session: &Session,
        plan: Plan<Work>,
    ) -> Result<Report, Failure> {
        let work = &plan.work;
        if work.to_stdout {
            return stdout::dump(cx, session, work).await;
        }
        let place = Place::take(&work.target, work.form, work.make_folder)?;
        let (console, interrupt) = (&cx.console, &cx.interrupt);
        // To read a table's defaults takes a lock on it, which whoever rewrites the table does not give.
        let patience = Patience::new(session, console, interrupt, &[], cx.settings.max_wait);
        let snapshot =
            async |attempt: Attempt| Ok(contents::snapshot(session, attempt.timeouts).await?);
        let snapshot = patience.exercise(snapshot).await?.value;
        let made = self.make(cx, session, work, &place, &snapshot).await;
        session.end().await;
        let (manifest, orphans) = made?;
        if work.recipients.is_empty() {
            proof::is_archive(cx, place.partial(), work.form, work.pg_dump.major).await?;
        }
        let (bytes, sha256) = (manifest.bytes(), manifest.content_hash());
        place.keep(&manifest.seal())?;
        let mut report = Report::new(Outcome::Done);
        report.steps = plan.steps.iter().map(|s| s.result(StepStatus::Done, None)).collect();
        report.data = json!({
            "path": work.target,
            "manifest": beside(&work.target, SUFFIX),
            "bytes": bytes,
            "sha256": sha256,
        });
        report.body.push(Block::Text(format!("{}: {}", work.target.display(), megabytes(bytes))));
        report.body.push(Block::Text(self.record(cx, session, work, bytes).await));
        report.findings = orphans;
        if self.args.restore_test {
            let proven = verify(cx, &work.target, None, true).await?;
            report.body.extend(proven.body);
            report.findings.extend(proven.findings);
            return Ok(report);
        }
        let identity = if work.recipients.is_empty() { "" } else { " --identity FILE" };
        report.next = Some(Next::run(format!(
            "markenmate backup verify {}{identity}",
            shell::word(&work.target.to_string_lossy())
        )));
        Ok(report)
    }
}

impl Backup {
    /// Dumps and counts at the same time, in the same moment of the database.
    async fn make(
        &self,
        cx: &Context,
        session: &Session,
        work: &Work,
        place: &Place,
        snapshot: &Snapshot,
    ) -> Result<(Manifest, Vec<Finding>), Failure> {
        let mut call = work.pg_dump.call(&cx.env, Some(&session.login))?;
        let command = &mut call.command;
        command.args(work.arguments(cx)?).arg(format!("--snapshot={}", snapshot.id));
        let encrypt = match work.recipients.as_slice() {
            [] => None,
            recipients => Some(Age::find(&cx.env)?.encrypt(recipients)),
        };
        let counted = async {
            let schema = schema::schema(session, &snapshot.catalogue).await?;
            let tables = snapshot.tables(session, self.checksums()).await?;
            Ok((schema, tables, orphans::look(session, snapshot, self.checksums()).await?))
        };
        let (files, (schema, tables, orphans)) =
            tokio::try_join!(dump::run(cx, command, encrypt, place, work.form), counted)?;
        let mut manifest = self.manifest(cx, work, snapshot, schema, files, tables);
        manifest.broken_keys = orphans.broken_keys;
        Ok((manifest, orphans.findings))
    }

    fn manifest(
        &self,
        cx: &Context,
        work: &Work,
        snapshot: &Snapshot,
        schema: Schema,
        files: Vec<File>,
        tables: Vec<Table>,
    ) -> Manifest {
        Manifest {
            manifest: 1,
            tool_version: env!("CARGO_PKG_VERSION").into(),
            run_id: cx.run_id.to_string(),
            snapshot_at: snapshot.taken_at,
            lsn: snapshot.lsn.clone(),
            safety: self.safety,
            database: snapshot.database.clone(),
            schema,
            archive: Archive {
                form: work.form,
                compression: work.compression.to_string(),
                pg_dump: work.pg_dump.version.clone(),
                server_version_num: work.server_version_num,
                jobs: work.jobs,
                recipients: work.recipients.clone(),
            },
            checksums: self.checksums(),
            tables,
            sequences: snapshot.sequences.clone(),
            broken_keys: Vec::new(),
            roles: snapshot.roles.clone(),
            catalogue: snapshot.catalogue.clone(),
            beside: Some(snapshot.beside.clone()),
            files,
            sha256: String::new(),
        }
    }

    /// On the app's admin page, where that can be. What came of it, in words.
    async fn record(&self, cx: &Context, session: &Session, work: &Work, bytes: u64) -> String {
        let not = |why: &str| format!("not listed on the app's admin page: {why}");
        if self.only_reads {
            return not("the database is only read");
        }
        if session.facts.standby || session.facts.read_only {
            return not("nothing can be written here");
        }
        if i32::try_from(bytes).is_err() {
            return not("its column for the size ends at 2 GiB");
        }
        let name = work.target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let user = whoami::username().unwrap_or_else(|_| "somebody".into());
        let description = format!(
            "markenmate {}, run by {user} of the operating system",
            env!("CARGO_PKG_VERSION")
        );
        let recorded =
            contents::record(session, session.timeouts(), &name, bytes, &description, &cx.origin())
                .await;
        match recorded {
            Ok(true) => "listed on the app's admin page, under its oldest admin".into(),
            Ok(false) => not("there is no table db_backup, or no admin"),
            Err(failure) => {
                tracing::info!(cause = %failure, run = %cx.run_id, "db_backup");
                not(failure.causes.first().unwrap_or(&failure.message))
            }
        }
    }
}

impl Work {
    /// Where the backup will be.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// pg_dump's arguments, but where to.
    fn arguments(&self, cx: &Context) -> Result<Vec<String>, Failure> {
        let mut arguments = vec![
            "--verbose".to_owned(),
            format!("--format={}", self.form.word()),
            format!("--lock-wait-timeout={}", cx.settings.max_wait.as_millis().max(1)),
        ];
        if self.form == Form::Plain {
            // Whatever the database's is: the reader of plain dumps knows this one only.
            arguments.push("--encoding=UTF8".into());
        } else {
            arguments
                .push(format!("--compress={}", self.compression.argument(self.pg_dump.major)?));
        }
        if self.form == Form::Directory {
            arguments.push(format!("--jobs={}", self.jobs));
            // What is kept is brought to disk by us.
            arguments.push("--no-sync".into());
        }
        Ok(arguments)
    }
}
