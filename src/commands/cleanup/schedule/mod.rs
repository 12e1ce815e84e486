//! `cleanup schedule`: the guide's rhythm, printed or set up.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cleanup::schedule::names::Names;
use crate::cleanup::schedule::standing::Scheduled;
use crate::cleanup::schedule::{Setup, Via};
use crate::context::Context;
use crate::failure::{Ending, Failure};
use crate::pipeline::{self, local};
use crate::report::{Finding, Severity};
use crate::tools::shell;

mod machine;
mod server;

pub(in crate::commands) use server::beside;

/// Flags of `cleanup schedule`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Who keeps the rhythm [default: systemd where it is, else cron]
    #[arg(long, value_enum)]
    via: Option<ViaArg>,
    /// Set it up; without, it is printed, to be read and copied
    #[arg(long)]
    install: bool,
    /// Take away what was set up for this database
    #[arg(long, conflicts_with = "install")]
    remove: bool,
    /// Write below this folder instead of /, for a package; nothing is started then
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ViaArg {
    /// A job in the server, for the tokens only
    PgCron,
    /// Units in /etc/systemd/system
    Systemd,
    /// A file in /etc/cron.d
    Cron,
}

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Print,
    Install,
    Remove,
}

impl Wish {
    /// As it is typed.
    const fn flag(self) -> &'static str {
        match self {
            Self::Print => "",
            Self::Install => "--install",
            Self::Remove => "--remove",
        }
    }
}

impl Args {
    fn wish(&self) -> Wish {
        match (self.install, self.remove) {
            (true, _) => Wish::Install,
            (_, true) => Wish::Remove,
            _ => Wish::Print,
        }
    }
}

/// Runs it. Files need no server; a job of the server's does.
pub async fn run(cx: &Context, args: Args) -> Ending {
    let alone = |result| Ending { target: None, result };
    let wish = args.wish();
    let via = match args.via {
        Some(ViaArg::PgCron) if args.root.is_some() => {
            return alone(Err(Failure::usage("--root is for files; a job of pg_cron has none")
                .hint("leave out --root, or --via pg-cron")));
        }
        Some(ViaArg::PgCron) => return pipeline::drive(cx, &server::Job::new(wish)).await,
        Some(ViaArg::Systemd) => Some(Via::Systemd),
        Some(ViaArg::Cron) => Some(Via::Cron),
        None => None,
    };
    let root = args.root.as_deref().unwrap_or(Path::new("/"));
    alone(local::addressed(cx, machine::run(cx, wish, via, root).await))
}

/// Where a job has several keepers: the first of them is as good as all. Paused ones run nothing.
pub(in crate::commands) fn twice(jobs: &[Scheduled], root: &Path) -> Option<Finding> {
    let jobs: Vec<_> = jobs.iter().filter(|job| job.state != "paused").collect();
    let is_again = |n: usize| jobs.iter().take(n).any(|before| before.job == jobs[n].job);
    let again: Vec<_> =
        jobs.iter().enumerate().filter(|(n, _)| is_again(*n)).map(|(_, job)| *job).collect();
    let mut vias: Vec<_> = again.iter().map(|job| job.via).collect();
    vias.dedup();
    let root = match root == Path::new("/") {
        true => String::new(),
        false => format!(" --root {}", shell::word(&root.to_string_lossy())),
    };
    let remove = |via: &&str| match *via {
        "pg-cron" => format!("markenmate cleanup schedule --via {via} --remove"),
        _ => format!("markenmate cleanup schedule --via {via} --remove{root}"),
    };
    let keepers = |job: &&Scheduled| {
        let all = jobs.iter().filter(|other| other.job == job.job);
        let all: Vec<_> = all.map(|job| format!("{} ({})", job.via, job.name)).collect();
        format!("{} by {}", job.job, all.join(" and by "))
    };
    let mut said: Vec<_> = again.iter().map(keepers).collect();
    said.dedup();
    (!again.is_empty()).then(|| Finding {
        id: "scheduled-twice".into(),
        severity: Severity::Warning,
        title: "A cleanup is scheduled twice for this database".into(),
        subject: "cleanup schedule".into(),
        detail: format!(
            "{}: of two that begin at once the second ends with 7, and does nothing",
            said.join("; ")
        ),
        remedy: vias.iter().map(remove).collect::<Vec<_>>().join("\n"),
    })
}

/// Under which the document has it.
fn data(schedule: Value) -> Value {
    json!({ "schedule": schedule })
}

/// Whose jobs, and as whom.
fn setup(cx: &Context) -> Result<Setup, Failure> {
    let endpoint = cx.endpoint.clone()?;
    let unknown = |what: &str| Failure::unexpected(format!("the system does not say {what}"));
    let program =
        cx.env.program().map_err(|error| unknown("where this binary is").because(error))?;
    let is_plain = |text: &str| !text.contains(|c: char| c.is_control() || "$'\"\\".contains(c));
    if !program.to_str().is_some_and(is_plain) {
        return Err(Failure::refused("the binary's path has a $, a quote or a backslash in it")
            .because("systemd refuses to start such a one")
            .hint("move it, for example to /usr/local/bin"));
    }
    let user = whoami::username().map_err(|error| unknown("who you are").because(error))?;
    if !user.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
        return Err(Failure::refused(format!("{user:?} is no name for a crontab or a unit"))
            .hint("run it as another user"));
    }
    Ok(Setup {
        names: Names::of(endpoint.database()),
        connection: endpoint.keepable,
        program,
        user,
    })
}
