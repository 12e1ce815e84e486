//! The command line: composition only. Each command's own flags stand in its file.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::commands::{
    admin, backup, cleanup, demo, migrate, rehearse, rollback, set_master_admin, stats, status,
    util, verify,
};
use crate::console::Console;
use crate::failure::Failure;
use crate::render;
use crate::settings::{Color, EndpointFlags, Flags, Format, LogFormat};

/// Migrates and administers the PostgreSQL database of MarkenMate without losing a row.
#[derive(Debug, Parser)]
#[command(name = "markenmate", version, disable_help_subcommand = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What every command understands.
    #[command(flatten)]
    pub global: GlobalArgs,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Dump the database, with a manifest that proves the dump
    Backup(backup::Args),
    /// Bring the database to the latest version, or to --to
    Migrate(migrate::Args),
    /// Designate the master admin: the oldest admin, or the one named
    SetMasterAdmin(set_master_admin::Args),
    /// Check schema, history, master admin and data; exit 3 where something must be mended
    Verify(verify::Args),
    /// Take versions back and set aside what they brought, or bring a backup back
    Rollback(rollback::Args),
    /// Say where the database stands, and the one safe next command
    Status(status::Args),
    /// Go the whole way there, back and there again with the database's rows, and leave it as it is
    Rehearse(rehearse::Args),
    /// List the admins, promote, demote, end sessions; each by an admin's password
    Admin(admin::Args),
    /// Delete expired tokens, archive old audit and log rows, drop what rollback and restore have kept
    Cleanup(cleanup::Args),
    /// Say what the database tells about its use, with thresholds; review the audit log
    Stats(stats::Args),
    /// Show all of it on a throwaway PostgreSQL
    Demo(demo::Args),
    /// Completions, manual pages, the SQL of the way back
    #[command(hide = true)]
    Util(util::Args),
}

impl Command {
    /// The words for `command` in JSON: as they are typed.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Backup(args) => match args.kept {
                None => "backup",
                Some(backup::Kept::Verify { .. }) => "backup verify",
                Some(backup::Kept::Prune { .. }) => "backup prune",
                Some(backup::Kept::List { .. }) => "backup list",
            },
            Self::Migrate(_) => "migrate",
            Self::SetMasterAdmin(_) => "set-master-admin",
            Self::Verify(_) => "verify",
            Self::Rollback(_) => "rollback",
            Self::Status(_) => "status",
            Self::Rehearse(_) => "rehearse",
            Self::Admin(args) => match args.what {
                admin::What::List => "admin list",
                admin::What::Promote(_) => "admin promote",
                admin::What::Demote(_) => "admin demote",
                admin::What::RevokeSessions(_) => "admin revoke-sessions",
            },
            Self::Cleanup(args) => match args.kept {
                None => "cleanup",
                Some(cleanup::What::SetAside(_)) => "cleanup set-aside",
                Some(cleanup::What::Schedule(_)) => "cleanup schedule",
            },
            Self::Stats(args) => match args.what {
                None => "stats",
                Some(stats::What::Audit(_)) => "stats audit",
            },
            Self::Demo(_) => "demo",
            Self::Util(_) => "util",
        }
    }
}

/// The groups of the help's first page.
const GROUPS: [(&str, &[&str]); 4] = [
    ("The guide", &["backup", "migrate", "set-master-admin", "verify", "rollback"]),
    ("Before and after", &["status", "rehearse"]),
    ("Day to day", &["admin", "cleanup", "stats"]),
    ("To try it", &["demo"]),
];

/// What every command understands.
#[derive(Debug, Args)]
pub struct GlobalArgs {
    /// The database: a libpq URI, key=value pairs, or a name [env: DATABASE_URL, PG*]
    #[arg(
        short = 'd',
        long,
        visible_alias = "dbname",
        global = true,
        value_name = "URL",
        help_heading = "Connection"
    )]
    database_url: Option<String>,
    /// Host, or folder of the socket
    #[arg(long, global = true, help_heading = "Connection")]
    host: Option<String>,
    /// Port
    #[arg(short = 'p', long, global = true, help_heading = "Connection")]
    port: Option<String>,
    /// Role
    #[arg(short = 'U', long, global = true, value_name = "NAME", help_heading = "Connection")]
    username: Option<String>,
    /// Ask for the database password
    #[arg(short = 'W', long, global = true, help_heading = "Connection")]
    password: bool,

    /// How results are printed
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "human",
        help_heading = "Global options"
    )]
    format: FormatArg,
    /// Show what would be done, do nothing
    #[arg(long, global = true, help_heading = "Global options")]
    dry_run: bool,
    /// Consent to additive work
    #[arg(short = 'y', long, global = true, help_heading = "Global options")]
    yes: bool,
    /// Consent to any work by naming the database (DATABASE, or DATABASE@HOST where it is remote)
    #[arg(long, global = true, value_name = "PHRASE", help_heading = "Global options")]
    confirm: Option<String>,
    /// The folder of backups [env: MARKENMATE_BACKUP_DIR] [default: ./backups]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    backup_dir: Option<PathBuf>,
    /// Run pg_dump and pg_restore in this container, where the database's own are
    #[arg(long, global = true, value_name = "CONTAINER", help_heading = "Global options")]
    via_docker: Option<String>,
    /// How long one attempt may queue for a lock [default: 50ms]
    #[arg(long, global = true, value_name = "TIME", value_parser = duration, help_heading = "Global options")]
    lock_timeout: Option<Duration>,
    /// How long to keep trying [default: 5m]
    #[arg(long, global = true, value_name = "TIME", value_parser = duration, help_heading = "Global options")]
    max_wait: Option<Duration>,
    /// How long one statement may run [default: 5m]
    #[arg(long, global = true, value_name = "TIME", value_parser = duration, help_heading = "Global options")]
    statement_timeout: Option<Duration>,
    /// Why, kept with the run
    #[arg(long, global = true, value_name = "TEXT", help_heading = "Global options")]
    reason: Option<String>,
    /// Who approved, kept with the run
    #[arg(long, global = true, value_name = "TEXT", help_heading = "Global options")]
    approved_by: Option<String>,
    /// No talk on stderr
    #[arg(short = 'q', long, global = true, help_heading = "Global options")]
    quiet: bool,
    /// More talk on stderr; `status -v` says where each setting came from
    #[arg(short = 'v', long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    verbose: u8,
    /// Colour
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "WHEN",
        help_heading = "Global options"
    )]
    color: ColorArg,
    /// How log lines (-v) are written
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "text",
        help_heading = "Global options"
    )]
    log_format: LogFormatArg,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatArg {
    Human,
    Json,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ColorArg {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormatArg {
    Text,
    Json,
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|e| format!("{e}; write 250ms, 30s, 5m"))
}

impl GlobalArgs {
    /// `-q`
    pub const fn quiet(&self) -> bool {
        self.quiet
    }

    const fn format(&self) -> Format {
        match self.format {
            FormatArg::Human => Format::Human,
            FormatArg::Json => Format::Json,
        }
    }

    /// As settings take them.
    pub fn flags(&self) -> Flags {
        Flags {
            endpoint: EndpointFlags {
                database_url: self.database_url.clone(),
                host: self.host.clone(),
                port: self.port.clone(),
                username: self.username.clone(),
                ask_password: self.password,
            },
            format: self.format(),
            dry_run: self.dry_run,
            yes: self.yes,
            confirm: self.confirm.clone(),
            backup_dir: self.backup_dir.clone(),
            via_docker: self.via_docker.clone(),
            lock_timeout: self.lock_timeout,
            max_wait: self.max_wait,
            statement_timeout: self.statement_timeout,
            reason: self.reason.clone(),
            approved_by: self.approved_by.clone(),
            quiet: self.quiet,
            verbose: self.verbose,
            color: match self.color {
                ColorArg::Auto => Color::Auto,
                ColorArg::Always => Color::Always,
                ColorArg::Never => Color::Never,
            },
            log_format: match self.log_format {
                LogFormatArg::Text => LogFormat::Text,
                LogFormatArg::Json => LogFormat::Json,
            },
        }
    }
}

/// An end before there was a context: help, version, a wrong command line or setting.
pub struct Early {
    format: Format,
    command: String,
    what: What,
}

enum What {
    Page(String),
    Wrong(Failure),
}

impl Early {
    /// A setting was wrong.
    pub fn from_failure(cli: &Cli, failure: Failure) -> Self {
        let command = cli.command.name().to_owned();
        Self { format: cli.global.format(), command, what: What::Wrong(failure) }
    }

    /// Shows it and returns the exit code.
    pub fn show(self) -> u8 {
        let console = Console::terminal(false);
        match self.what {
            What::Page(text) => console.print(&text).map_or_else(|f| f.kind.exit_code(), |()| 0),
            What::Wrong(failure) => {
                render::show_early(&console, self.format, &self.command, &failure)
            }
        }
    }
}

/// Reads the command line.
pub fn parse(arguments: &[OsString]) -> Result<Cli, Early> {
    let early =
        |what| Early { format: wanted_format(arguments), command: wanted_command(arguments), what };
    command()
        .try_get_matches_from(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches))
        .map_err(|error| early(interpret(&error, &wanted_command(arguments))))
}

/// The whole command line, with the help's first page in groups.
pub fn command() -> clap::Command {
    let command = Cli::command();
    let mut page = String::from("{about}\n\n{usage-heading} {usage}\n");
    for (group, names) in GROUPS {
        page.push_str(&format!("\n{group}:\n"));
        for name in names {
            let about = command.find_subcommand(name).and_then(clap::Command::get_about);
            page.push_str(&format!(
                "  {name:<17} {}\n",
                about.map(ToString::to_string).unwrap_or_default()
            ));
        }
    }
    page.push_str("\nOptions:\n{options}");
    command.help_template(page)
}

fn interpret(error: &clap::Error, command: &str) -> What {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            What::Page(error.render().to_string())
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            What::Wrong(
                Failure::usage("no command was given")
                    .hint("to begin: markenmate status")
                    .hint("markenmate --help lists commands and options"),
            )
        }
        _ => {
            let text = error.render().to_string();
            let mut lines = text.lines().filter(|line| !line.trim().is_empty());
            let first = lines.next().unwrap_or("the command line is wrong");
            let mut failure = Failure::usage(first.trim_start_matches("error: "));
            for line in lines {
                let line = line.trim();
                match line.strip_prefix("tip: ") {
                    Some(tip) => failure = failure.hint(tip),
                    None if line.starts_with("For more information") => {}
                    None => failure = failure.because(line),
                }
            }
            What::Wrong(failure.hint(match command {
                "" => "markenmate --help lists commands and options".to_owned(),
                command => format!("markenmate {command} --help lists its options"),
            }))
        }
    }
}

/// What `--format` says, for command lines that could not be read.
fn wanted_format(arguments: &[OsString]) -> Format {
    let texts: Vec<_> = arguments.iter().map(|a| a.to_string_lossy()).collect();
    let json = texts.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json")
        || texts.iter().any(|text| text == "--format=json");
    if json { Format::Json } else { Format::Human }
}

/// The words that are a command, for command lines that could not be read.
fn wanted_command(arguments: &[OsString]) -> String {
    let mut command = &Cli::command();
    let mut found = Vec::new();
    for word in arguments.iter().skip(1).filter_map(|a| a.to_str()) {
        if let Some(next) = command.find_subcommand(word) {
            found.push(word);
            command = next;
        }
    }
    found.join(" ")
}
