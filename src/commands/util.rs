//! `util`: what packagers and careful operators want.

use std::path::{Path, PathBuf};

use crate::context::Context;
use crate::db::foreign;
use crate::db::identifiers::literal;
use crate::db::ledger::{self, Record};
use crate::failure::Failure;
use crate::migrations::back::{beside, look};
use crate::migrations::registry;
use crate::report::{Block, Outcome, Report};

/// Flags of `util`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Print the SQL that takes a version back, losing no row; for psql
    Down {
        /// The version to take back
        version: String,
    },
    /// Print the SQL that gives a reader and an operator what they need; for psql
    Grants,
    /// Print the alert rules for Prometheus
    Alerts,
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write manual pages into a folder
    Man {
        /// The folder; made where it does not exist
        dir: PathBuf,
    },
    /// Print the SQL that applies a version; for psql as the owner of the app's tables
    Up {
        /// The version to apply
        version: String,
    },
}

/// Runs it.
pub fn run(cx: &Context, args: Args) -> Result<Report, Failure> {
    let (name, text) = match args.what {
        What::Down { version } => ("sql", down(cx, &version)?),
        What::Up { version } => ("sql", format!("{UP}{}\nCOMMIT;\n", entry(&version)?.sql)),
        What::Grants => ("sql", include_str!("../../docs/grants.sql").to_owned()),
        What::Alerts => {
            ("rules", include_str!("../../packaging/prometheus/markenmate.rules.yml").to_owned())
        }
        What::Completions { shell } => ("completions", completions(shell)),
        What::Man { dir } => {
            let mut report = Report::new(Outcome::Done);
            report.data = serde_json::json!({ "dir": dir });
            return man(&dir).map(|()| report);
        }
    };
    let mut report = Report::new(Outcome::Done);
    report.data = serde_json::json!({ name: text });
    report.body.push(Block::Code(text));
    Ok(report)
}

const UP: &str = "-- To read, or for psql as the owner of the app's tables. Applied by hand it is not\n\
    -- recorded: markenmate migrate adopts it afterwards.\n\
    BEGIN;\n\
    -- The app waits behind whoever waits: nobody here for long. Try again where that is not enough.\n\
    SET LOCAL lock_timeout = '50ms';\n\
    SET LOCAL search_path = pg_catalog;\n\n";

fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut crate::cli::command(), "markenmate", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

fn man(dir: &Path) -> Result<(), Failure> {
    let written = std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(crate::cli::command(), dir));
    written.map_err(|e| {
        Failure::usage(format!("cannot write manual pages into {}", dir.display())).because(e)
    })
}

fn entry(version: &str) -> Result<&'static registry::Entry, Failure> {
    let version = registry::resolve(version)?;
    registry::find(version).ok_or_else(|| Failure::usage(format!("there is no version {version}")))
}

fn down(cx: &Context, version: &str) -> Result<String, Failure> {
    let entry = entry(version)?;
    let sql = entry.down.ok_or_else(|| {
        Failure::refused(format!(
            "{entry} has no way back: going below it would be the whole application"
        ))
    })?;
    // Whoever pastes it may be a superuser, and writes into our tables.
    let command = format!("util down {}", entry.version);
    let subject = entry.to_string();
    let record =
        Record { command: &command, subject: Some(&subject), outcome: "done", detail: None };
    let recorded = ledger::where_there_is_one(&cx.origin(), &record);
    let by_owner = BY_OWNER.replace("%SUBJECT%", &literal(&subject));
    let dependents = look::refuse_dependents_sql(entry.version);
    let beside = beside::notices_sql(entry.version);
    let parts = [
        Some(by_owner.as_str()),
        Some(foreign::plain()),
        dependents.as_deref(),
        beside.as_deref(),
        entry.aside,
        Some(sql),
    ];
    let mut script = String::new();
    for part in parts.into_iter().flatten() {
        script
            .push_str(&format!("EXECUTE $part$\n{}\n$part$;\n", part.trim().trim_end_matches(';')));
    }
    script.push_str("-- Printed by the one whom this names.\n");
    script.push_str(&format!("EXECUTE $part$\n{}\n$part$;\n", recorded.trim_end_matches(';')));
    let said = literal(&format!("with this COMMIT {subject} is taken back"));
    // One statement: a client that goes on after an error commits no half.
    Ok(format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED;\nSET LOCAL search_path = pg_catalog;\nDO $way_back$\nBEGIN\n{script}\
         RAISE NOTICE '%', {};\nEND\n$way_back$;\nCOMMIT;\n",
        said.trim_start()
    ))
}

const BY_OWNER: &str = include_str!("by_owner.sql");
