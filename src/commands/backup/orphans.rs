//! Rows whose parent is gone, in the moment that is dumped: it is now that they can be mended.

use crate::backup::contents::Snapshot;
use crate::backup::manifest::Checksums;
use crate::checks::registry;
use crate::checks::run::{self, Request};
use crate::db::catalogue::{Catalogue, Constraint};
use crate::db::identifiers::identifier;
use crate::db::session::Session;
use crate::failure::Failure;
use crate::report::{Finding, Severity};

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    /// For whoever makes the backup.
    pub findings: Vec<Finding>,
    /// The keys that no restore can make again.
    pub broken_keys: Vec<String>,
}

/// How the check puts it, before the parent's name.
const LOST: &str = " row(s) point to nothing in ";

/// Looks for them in the open transaction.
///
/// # Errors
/// It cannot be looked at.
pub(super) async fn look(
    session: &Session,
    snapshot: &Snapshot,
    checksums: Checksums,
) -> Result<Orphans, Failure> {
    if checksums == Checksums::None {
        return Ok(Orphans::default());
    }
    let Ok(check) = registry::find("orphans") else { return Ok(Orphans::default()) };
    let request = Request {
        checks: &[check],
        version: crate::migrations::registry::latest(),
        own: 0,
        ledger_head: None,
        since: None,
        catalogue: &snapshot.catalogue,
    };
    let seen = run::run(session, &request).await?;
    let found = seen.verdicts.into_iter().flat_map(|verdict| verdict.findings);
    Ok(sorted(&snapshot.catalogue, found))
}

/// Which of them stop a restore. Pure.
fn sorted(catalogue: &Catalogue, found: impl Iterator<Item = Finding>) -> Orphans {
    let mut orphans = Orphans::default();
    for finding in found {
        let title = if stops_a_restore(catalogue, &finding) {
            orphans.broken_keys.push(finding.subject.clone());
            "A restore of this backup fails over rows whose parent is gone".into()
        } else if finding.detail.contains(LOST) {
            "A restore of this backup brings back rows whose parent is gone".into()
        } else {
            finding.title
        };
        orphans.findings.push(Finding { severity: Severity::Warning, title, ..finding });
    }
    orphans
}

/// Only a key that claims to hold for all rows is checked when it is made again: not one that is NOT
/// VALID, and not one that the app should have and has not.
fn stops_a_restore(catalogue: &Catalogue, finding: &Finding) -> bool {
    let Some((_, parent)) = finding.detail.split_once(LOST) else { return false };
    catalogue.tables.iter().any(|(table, has)| {
        let mut keys = has.constraints.values().filter(|key| key.validated);
        keys.any(|key| subject(table, key) == finding.subject && points_to(key, parent))
    })
}

/// As the check names it: `public.session.user_id`, `public.t.(a, b)`.
fn subject(table: &str, key: &Constraint) -> String {
    let columns = key.columns.iter().flatten().map(|name| identifier(name));
    let columns: Vec<_> = columns.collect();
    let table = identifier(table);
    match columns.as_slice() {
        [one] => format!("public.{table}.{one}"),
        several => format!("public.{table}.({})", several.join(", ")),
    }
}

/// Whether a text begins with the key's parent. One of another schema carries that in its name.
fn points_to(key: &Constraint, text: &str) -> bool {
    key.references.as_ref().is_some_and(|parent| {
        let own = format!("public.{} (", identifier(&parent.table));
        text.starts_with(&own) || text.starts_with(&format!("{} (", parent.table))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_hold_stop_a_restore() {
        let key = |columns: &[&str], parent: &str, validated| {
            serde_json::json!({
                "kind": "foreign key", "columns": columns, "validated": validated,
                "references": { "table": parent, "columns": ["id"], "on_delete": "a", "on_update": "a" },
            })
        };
        let catalogue =
            serde_json::from_value(serde_json::json!({ "enums": {}, "tables": { "Odd": {
            "columns": {}, "indexes": {}, "sequences": {}, "constraints": {
                "a": key(&["a"], "user", true),
                "b": key(&["b"], "user", false),
                "c": key(&["c", "user"], "other.t", true),
                "d": key(&["b"], "later", true),
            },
        } } }))
            .unwrap();
        let finding = |subject: &str, detail: &str| Finding {
            id: "orphans".into(),
            severity: Severity::Error,
            title: "its own".into(),
            subject: subject.into(),
            detail: detail.into(),
            remedy: String::new(),
        };
        let found = [
            finding("public.\"Odd\".a", "2 row(s) point to nothing in public.\"user\" (id), for x"),
            finding("public.\"Odd\".b", "1 row(s) point to nothing in public.\"user\" (id), for x"),
            finding(
                "public.\"Odd\".(c, \"user\")",
                "1 row(s) point to nothing in other.t (id), for x",
            ),
            finding(
                "public.session.user_id",
                "1 row(s) point to nothing in public.\"user\" (id), for x",
            ),
            finding("check orphans", "could not be judged: why"),
        ];
        let orphans = sorted(&catalogue, found.into_iter());
        assert_eq!(orphans.broken_keys, ["public.\"Odd\".a", "public.\"Odd\".(c, \"user\")"]);
        let fails: Vec<_> = orphans.findings.iter().map(|f| f.title.contains(" fails ")).collect();
        assert_eq!(fails, [true, false, true, false, false]);
        assert_eq!(orphans.findings[4].title, "its own");
    }
}
