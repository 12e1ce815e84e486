//! What people read of a certificate.

use std::path::Path;

use crate::backup::certificate::{Certificate, Verdict};
use crate::report::{Block, StepStatus};

/// The page. `path` is the certificate's.
pub(super) fn page(certificate: &Certificate, path: &Path) -> Vec<Block> {
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let of = &certificate.database;
    let moment = |time: chrono::DateTime<chrono::Utc>| time.format("%Y-%m-%d %H:%M:%S UTC");
    let took = certificate.finished_at - certificate.began_at;
    let verdict = match (certificate.verdict, &certificate.failed_stage) {
        (Verdict::Pass, _) => "PASS: there, back, and there again without a difference".to_owned(),
        (Verdict::Fail, stage) => {
            format!("FAIL at {}", stage.as_deref().unwrap_or("a stage"))
        }
    };
    let ground = match certificate.ground.kind.as_str() {
        // Its roles are made up: nothing there belongs to whom it belongs to.
        "sandbox" => {
            "a throw-away server; owners and privileges were looked at on the live database, and not rehearsed"
        }
        _ => "a scratch database on the server itself",
    };
    let version = match first_word(&certificate.ground.server_version) {
        "" => String::new(),
        version => format!("PostgreSQL {version}, "),
    };
    let versions: Vec<String> =
        certificate.migrations.app.iter().map(|m| format!("V{} {}", m.version, m.name)).collect();
    let facts = vec![
        fact("verdict", verdict),
        fact("rehearsed", format!("{}, in {} s", moment(certificate.began_at), seconds(took))),
        fact("by", format!("markenmate {}, run {}", certificate.tool_version, certificate.run_id)),
        fact(
            "database",
            format!(
                "{} (oid {}, system {}, PostgreSQL {})",
                of.name,
                of.oid,
                of.system_identifier.as_deref().unwrap_or("unknown"),
                first_word(&of.server_version)
            ),
        ),
        fact("schema", format!("{}, {}", certificate.schema.state, certificate.schema.sha256)),
        fact(
            "rows of",
            format!(
                "{}: {}, manifest {}",
                moment(certificate.backup.snapshot_at),
                certificate.backup.path.display(),
                certificate.backup.manifest_sha256
            ),
        ),
        fact("migrations", format!("{}, {}", versions.join(", "), certificate.migrations.sha256)),
        fact("on", format!("{version}{ground}")),
        fact("certificate", format!("{}, {}", path.display(), certificate.sha256)),
    ];
    let rows = certificate.stages.iter().map(|stage| {
        vec![
            stage.id.clone(),
            match stage.status {
                StepStatus::Done => "done",
                StepStatus::Failed => "FAILED",
                StepStatus::Skipped | StepStatus::Planned => "-",
            }
            .to_owned(),
            stage.duration_ms.map(|ms| ms.to_string()).unwrap_or_default(),
            stage.locked_ms.map(|ms| ms.to_string()).unwrap_or_default(),
            stage.detail.clone().unwrap_or_default(),
        ]
    });
    let columns = ["stage", "", "ms", "locked ms", "what"].map(str::to_owned).to_vec();
    vec![
        Block::Heading(format!("Rehearsal of {}", of.name)),
        Block::Facts(facts),
        Block::Table { columns, rows: rows.collect() },
        Block::Findings,
    ]
}

fn seconds(time: chrono::TimeDelta) -> String {
    let ms = time.num_milliseconds();
    format!("{}.{}", ms / 1000, ms % 1000 / 100)
}

fn first_word(text: &str) -> &str {
    text.split(' ').next().unwrap_or_default()
}
