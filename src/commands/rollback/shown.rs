//! What `rollback --restore` shows: its steps, the screen, what was left out.

use crate::backup::dump::megabytes;
use crate::backup::preflight::Live;
use crate::backup::restore::Source;
use crate::backup::staging::Staged;
use crate::plan::{Risk, Step};
use crate::report::{Block, Finding, Severity};
use crate::tools::shell;

/// The steps' ids, in their order.
pub(super) const BACKUP: &str = "safety-backup";
pub(super) const CREATE: &str = "create";
pub(super) const RESTORE: &str = "restore";
pub(super) const ANALYZE: &str = "analyze";
pub(super) const COMPARE: &str = "compare";
pub(super) const SWAP: &str = "swap";

pub(super) fn steps(source: &Source, live: &Live, with_backup: bool) -> Vec<Step> {
    let name = &live.name;
    let compared = match source {
        Source::Proven(_) => "compare rows, sequences, keys and indexes with the manifest",
        Source::Bare(..) => "count the rows of every table",
    };
    let mut steps = vec![
        Step::new(BACKUP, format!("back up {name:?} as it is now"), Risk::Additive),
        Step {
            detail: Some("beside it, with its grants and settings; nobody uses it yet".into()),
            ..Step::new(CREATE, "make a new database", Risk::Additive)
        },
        Step {
            detail: Some("the first error ends it".into()),
            ..Step::new(RESTORE, format!("restore {}", source.path().display()), Risk::Additive)
        },
        Step::new(ANALYZE, "give the planner its statistics", Risk::Additive),
        Step::new(COMPARE, compared, Risk::ReadOnly),
        Step {
            detail: Some(format!(
                "in one transaction, after consent; everybody is sent away from {name:?}, and it is kept as {name}_before_restore_TIME"
            )),
            ..Step::new(SWAP, format!("give it the name {name:?}"), Risk::Destructive)
        },
    ];
    steps.retain(|step| with_backup || step.id != BACKUP);
    steps
}

pub(super) fn screen(source: &Source) -> Vec<Block> {
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let facts = match source {
        Source::Proven(backup) => {
            let manifest = &backup.manifest;
            vec![
                fact("backup", backup.path.display().to_string()),
                fact("shows", manifest.snapshot_at.format("%Y-%m-%d %H:%M:%SZ").to_string()),
                fact(
                    "of",
                    format!(
                        "{} (PostgreSQL {})",
                        manifest.database.name, manifest.database.server_version
                    ),
                ),
                fact("state", manifest.schema.state.clone()),
                fact(
                    "needs",
                    format!("about {} on the server's disk", megabytes(manifest.database.bytes)),
                ),
                fact(
                    "lost",
                    "what was written since then; it stays in the database that is set aside"
                        .into(),
                ),
            ]
        }
        Source::Bare(path, summary) => vec![
            fact("backup", format!("{}, a plain dump without manifest", path.display())),
            fact(
                "holds",
                format!(
                    "{} table(s) with {} row(s)",
                    summary.tables.len(),
                    summary
                        .rows()
                        .map_or_else(|| "an unknown number of".into(), |rows| rows.to_string())
                ),
            ),
            fact(
                "lost",
                "what was written since then; it stays in the database that is set aside".into(),
            ),
        ],
    };
    vec![Block::Facts(facts)]
}

pub(super) fn question(source: &Source, live: &Live) -> String {
    format!(
        "{} is restored and compared. Let it take the place of {:?} now?",
        source.path().display(),
        live.name
    )
}

/// Beside the report.
pub(super) fn left_out(entries: &[String]) -> Option<Finding> {
    (!entries.is_empty()).then(|| Finding {
        id: "pg-cron".into(),
        severity: Severity::Warning,
        title: "pg_cron's own were left out of the restore".into(),
        subject: "pg_cron".into(),
        detail: entries.join("; "),
        remedy: "CREATE EXTENSION pg_cron; in the restored database, then schedule the jobs of cron.job in the one that was set aside".into(),
    })
}

pub(super) fn dropped(names: &[String]) -> Option<Finding> {
    (!names.is_empty()).then(|| Finding {
        id: "leavings".into(),
        severity: Severity::Info,
        title: "What an interrupted restore had left was dropped".into(),
        subject: names.join(", "),
        detail: "nobody used it".into(),
        remedy: "nothing is left to do".into(),
    })
}

pub(super) fn kept(kept_as: &str, drop: &str) -> Finding {
    Finding {
        id: "kept".into(),
        severity: Severity::Info,
        title: "The database that was live is kept".into(),
        subject: kept_as.to_owned(),
        detail: "it holds all that was written until the swap, and takes its room".into(),
        remedy: format!("once nobody needs it any more: {drop}"),
    }
}

/// After the restore, where it does not come to the swap.
pub(super) fn waits(staged: &Staged, source: &Source) -> String {
    format!(
        "the restored database waits as {}; to go on with it: markenmate rollback --restore {}",
        staged.name,
        shell::word(&source.path().to_string_lossy())
    )
}
