//! Whether a database that was restored is the one that was dumped.

use crate::db::catalogue::{Catalogue, compare};
use crate::db::session::Session;
use crate::failure::Failure;
use crate::report::{Finding, Severity};

use super::contents;
use super::manifest::{Checksums, Manifest, Table};

/// What is in the restored database, taken as the manifest's own was.
#[derive(Debug)]
pub struct Restored {
    /// Its tables.
    pub tables: Vec<Table>,
    /// Its sequences and where they stand.
    pub sequences: Vec<(String, Option<i64>)>,
    /// Schema `public`.
    pub catalogue: Catalogue,
}

/// Looks at the database of the session as the backup looked at its own, and compares.
///
/// # Errors
/// It cannot be looked at.
pub async fn compare_with(session: &Session, manifest: &Manifest) -> Result<Vec<Finding>, Failure> {
    Ok(differences(manifest, &look(session, manifest).await?))
}

/// The same where all was restored as one role's, whosever it was: an extension's tables are another's.
///
/// # Errors
/// It cannot be looked at.
pub async fn compare_all_but_owners(
    session: &Session,
    manifest: &Manifest,
) -> Result<Vec<Finding>, Failure> {
    let mut restored = look(session, manifest).await?;
    restored.catalogue.tables.values_mut().for_each(|table| table.owner = None);
    Ok(differences(manifest, &restored))
}

async fn look(session: &Session, manifest: &Manifest) -> Result<Restored, Failure> {
    let snapshot = contents::snapshot(session, session.timeouts()).await?;
    let restored = Restored {
        tables: snapshot.tables(session, manifest.checksums).await?,
        sequences: snapshot.sequences.into_iter().map(|s| (s.name, s.last_value)).collect(),
        catalogue: snapshot.catalogue,
    };
    session.end().await;
    Ok(restored)
}

/// Counts the rows of these tables alone.
///
/// # Errors
/// It cannot be looked at.
pub async fn count(session: &Session, wanted: &[Table]) -> Result<Vec<Finding>, Failure> {
    let snapshot = contents::snapshot(session, session.timeouts()).await?;
    let found = snapshot.tables(session, Checksums::Counts).await?;
    session.end().await;
    Ok(tables(wanted, &found))
}

/// Every difference. Pure.
pub fn differences(manifest: &Manifest, restored: &Restored) -> Vec<Finding> {
    let mut found = tables(&manifest.tables, &restored.tables);
    let known = |table: &&Table| manifest.tables.iter().any(|other| other.name == table.name);
    let more = restored.tables.iter().filter(|table| !known(table));
    found.extend(more.map(|table| differs(&table.name, "is a table that was not dumped".into())));
    for sequence in &manifest.sequences {
        let now = restored.sequences.iter().find(|(name, _)| *name == sequence.name);
        match now {
            None => found.push(differs(&sequence.name, "the sequence is missing".into())),
            Some((_, now)) if sequence.is_behind(*now) => found.push(differs(
                &sequence.name,
                format!("stands at {now:?}; it stood at {:?} at least", sequence.last_value),
            )),
            Some(_) => {}
        }
    }
    let catalogue = compare(&manifest.catalogue, &restored.catalogue);
    found.extend(catalogue.into_iter().map(|other| differs(&other.subject, other.detail)));
    found
}

fn tables(wanted: &[Table], found: &[Table]) -> Vec<Finding> {
    let difference = |table: &Table| match found.iter().find(|other| other.name == table.name) {
        None => Some("the table is missing".into()),
        Some(other) if other.rows != table.rows => {
            Some(format!("has {} rows; {} were dumped", shown(other.rows), shown(table.rows)))
        }
        Some(other) if other.checksum != table.checksum => {
            Some("has as many rows, with other content".into())
        }
        Some(_) => None,
    };
    let lost = wanted.iter().filter_map(|table| Some(differs(&table.name, difference(table)?)));
    lost.collect()
}

fn differs(subject: &str, detail: String) -> Finding {
    Finding {
        id: "restored".into(),
        severity: Severity::Error,
        title: "What was restored is not what was dumped".into(),
        subject: subject.into(),
        detail,
        remedy: "do not rely on this backup: take another one, and have it restore-tested".into(),
    }
}

fn shown(rows: Option<u64>) -> String {
    rows.map_or_else(|| "an unknown number of".into(), |rows| rows.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::manifest::{Sequence, tests::sample};
    use super::*;

    #[test]
    fn lost_rows_lost_tables_and_sequences_that_lag_are_seen() {
        let table = |name: &str, rows, checksum: &str| Table {
            name: name.into(),
            rows: Some(rows),
            checksum: Some(checksum.into()),
        };
        let sequence = |name: &str, at| Sequence {
            name: name.into(),
            last_value: at,
            descends: false,
            cycles: false,
        };
        let manifest = Manifest {
            tables: vec![table("a", 1, "x"), table("b", 2, "y"), table("c", 3, "z")],
            sequences: vec![sequence("s", Some(5)), sequence("t", None), sequence("u", Some(7))],
            ..sample()
        };
        let mut restored = Restored {
            tables: manifest.tables.clone(),
            sequences: vec![("s".into(), Some(6)), ("t".into(), Some(1)), ("u".into(), Some(7))],
            catalogue: Catalogue::default(),
        };
        assert_eq!(differences(&manifest, &restored), []);
        restored.tables = vec![table("a", 1, "other"), table("b", 1, "y")];
        restored.sequences = vec![("s".into(), Some(4)), ("t".into(), None)];
        let subjects: Vec<_> =
            differences(&manifest, &restored).into_iter().map(|f| f.subject).collect();
        assert_eq!(subjects, ["a", "b", "c", "s", "u"]);
    }
}
