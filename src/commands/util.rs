//! `util`: what packagers and careful operators want.

use crate::context::Context;
use crate::failure::Failure;
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
    /// Print the SQL that takes a version back, losing no row; for psql -1
    Down {
        /// The version to take back
        version: String,
    },
    /// Print the SQL that applies a version
    Up {
        /// The version to apply
        version: String,
    },
}

/// Runs it.
pub fn run(_cx: &Context, args: Args) -> Result<Report, Failure> {
    let sql = match args.what {
        What::Down { version } => down(&version)?,
        What::Up { version } => entry(&version)?.sql,
    };
    let mut report = Report::new(Outcome::Done);
    report.data = serde_json::json!({ "sql": sql });
    report.body.push(Block::Code(sql.to_owned()));
    Ok(report)
}

fn entry(version: &str) -> Result<&'static registry::Entry, Failure> {
    let version = registry::resolve(version)?;
    registry::find(version).ok_or_else(|| Failure::usage(format!("there is no version {version}")))
}

fn down(version: &str) -> Result<&'static str, Failure> {
    let entry = entry(version)?;
    entry.down.ok_or_else(|| {
        Failure::refused(format!(
            "{entry} has no way back: going below it would be the whole application"
        ))
    })
}
