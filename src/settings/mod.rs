//! Flag > environment > default, resolved once. Nobody else reads the environment.

use std::path::PathBuf;
use std::time::Duration;

use crate::failure::Failure;

mod child;
mod conninfo;
mod endpoint;
mod env;
mod hosts;
mod kept;
mod keyword;
mod layers;
mod passfile;
mod service;
mod transport;
mod uri;
mod values;

pub use child::Login;
pub use endpoint::{Endpoint, EndpointFlags};
pub use env::Env;
pub use hosts::{Address, Host};
pub use kept::{Keepable, uri_of};
pub use transport::{
    ChannelBinding, ClientCertificate, Roots, SslMode, TargetSession, Tcp, TlsSettings,
};

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Tables and sentences.
    #[default]
    Human,
    /// One document.
    Json,
}

/// When colour is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How the tool's own log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Lines.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// How consent was given on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consent {
    /// Not at all: ask, where somebody can answer.
    Ask,
    /// `--yes`.
    Yes,
    /// `--confirm PHRASE`, compared on every command.
    Confirm(String),
}

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    Flag,
    /// An environment variable.
    Env(&'static str),
    /// A file.
    File(PathBuf),
    /// Nothing said otherwise.
    Default,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag => f.write_str("command line"),
            Self::Env(name) => f.write_str(name),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A setting's name, its value as it may be shown, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The setting.
    pub name: &'static str,
    /// Its value; never a secret.
    pub shown: String,
    /// Where it came from.
    pub source: Source,
}

/// What the command line said. `None`: nothing.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)]
pub struct Flags {
    pub endpoint: EndpointFlags,
    pub format: Format,
    pub dry_run: bool,
    pub yes: bool,
    pub confirm: Option<String>,
    pub backup_dir: Option<PathBuf>,
    pub via_docker: Option<String>,
    pub lock_timeout: Option<Duration>,
    pub max_wait: Option<Duration>,
    pub statement_timeout: Option<Duration>,
    pub reason: Option<String>,
    pub approved_by: Option<String>,
    pub quiet: bool,
    pub verbose: u8,
    pub color: Color,
    pub log_format: LogFormat,
}

/// Everything a command may want to know, resolved.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How results are printed.
    pub format: Format,
    /// Show the plan, do nothing.
    pub dry_run: bool,
    /// How consent was given.
    pub consent: Consent,
    /// The folder of backups.
    pub backup_dir: PathBuf,
    /// The container in which PostgreSQL's client programs run.
    pub via_docker: Option<String>,
    /// How long one attempt may queue for a lock.
    pub lock_timeout: Duration,
    /// How long to keep trying.
    pub max_wait: Duration,
    /// How long one statement may run.
    pub statement_timeout: Duration,
    /// Why, kept with the run.
    pub reason: Option<String>,
    /// Who approved, kept with the run.
    pub approved_by: Option<String>,
    /// No talk on stderr but questions and errors.
    pub quiet: bool,
    /// 0, 1 (`-v`) or more.
    pub verbose: u8,
    /// Whether colour is used on stdout.
    pub color: Color,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Where each setting came from, for `status -v`.
    pub origins: Vec<Origin>,
}

/// PostgreSQL keeps timeouts as 4-byte milliseconds.
const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

/// The variable that names the folder of backups.
const BACKUP_DIR: &str = "MARKENMATE_BACKUP_DIR";

fn backup_dir(flags: &Flags, env: &Env) -> (PathBuf, Source) {
    let named = env.var(BACKUP_DIR).filter(|dir| !dir.is_empty());
    match (&flags.backup_dir, named) {
        (Some(dir), _) => (dir.clone(), Source::Flag),
        (None, Some(dir)) => (dir.into(), Source::Env(BACKUP_DIR)),
        (None, None) => ("backups".into(), Source::Default),
    }
}

/// As docker names them: nothing that it could take for an option.
fn is_container(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

impl Settings {
    /// Resolves flags and environment. The endpoint is resolved apart, by [`Endpoint::resolve`]:
    /// some commands have none.
    pub fn resolve(flags: &Flags, env: &Env) -> Result<Self, Failure> {
        env.check()?;
        let mut origins = Vec::new();
        let mut duration = |name, flag: Option<Duration>, default| {
            let value = flag.unwrap_or(default);
            let source = if flag.is_some() { Source::Flag } else { Source::Default };
            let shown = humantime::format_duration(value).to_string();
            origins.push(Origin { name, shown, source });
            value
        };
        let lock_timeout = duration("lock-timeout", flags.lock_timeout, Duration::from_millis(50));
        let max_wait = duration("max-wait", flags.max_wait, Duration::from_secs(300));
        let statement_timeout =
            duration("statement-timeout", flags.statement_timeout, Duration::from_secs(300));
        for (flag, time) in
            [("--lock-timeout", lock_timeout), ("--statement-timeout", statement_timeout)]
        {
            if time > LONGEST || (time < Duration::from_millis(1) && !time.is_zero()) {
                return Err(Failure::usage(format!("{flag}: between 1ms and 24days is possible"))
                    .hint(format!("for example: {flag} 50ms")));
            }
        }
        if lock_timeout.is_zero() {
            return Err(Failure::usage("--lock-timeout 0 would queue for a lock without end")
                .hint("give a time, for example --lock-timeout 50ms"));
        }
        let (backup_dir, source) = backup_dir(flags, env);
        let shown = backup_dir.display().to_string();
        origins.push(Origin { name: "backup-dir", shown, source });
        if let Some(name) = flags.via_docker.as_deref().filter(|name| !is_container(name)) {
            return Err(Failure::usage(format!("--via-docker {name:?} is no container's name"))
                .hint("docker ps lists them, for example markenmate-db-1"));
        }
        let consent = match (&flags.confirm, flags.yes) {
            (Some(phrase), _) => Consent::Confirm(phrase.clone()),
            (None, true) => Consent::Yes,
            (None, false) => Consent::Ask,
        };
        let color = match flags.color {
            Color::Auto if env.var("NO_COLOR").is_some_and(|v| !v.is_empty()) => Color::Never,
            other => other,
        };
        Ok(Self {
            format: flags.format,
            dry_run: flags.dry_run,
            consent,
            backup_dir,
            via_docker: flags.via_docker.clone(),
            lock_timeout,
            max_wait,
            statement_timeout,
            reason: flags.reason.clone(),
            approved_by: flags.approved_by.clone(),
            quiet: flags.quiet,
            verbose: flags.verbose,
            color,
            log_format: flags.log_format,
            origins,
        })
    }
}
