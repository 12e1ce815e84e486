//! Whether a database that was restored is the one that was dumped.

use crate::db::catalogue::{self, Catalogue, compare};
use crate::db::identifiers::{identifier, literal};
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

/// Whose the tables must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// The roles' that owned them when they were dumped.
    AsDumped,
    /// A restore test makes roles as it needs them.
    Anybody,
}

/// Looks at the database of the session as the backup looked at its own, and compares.
///
/// # Errors
/// It cannot be looked at.
pub async fn compare_with(
    session: &Session,
    manifest: &Manifest,
    owners: Owners,
) -> Result<Vec<Finding>, Failure> {
    let snapshot = contents::snapshot(session, session.timeouts()).await?;
    let restored = Restored {
        tables: snapshot.tables(session, manifest.checksums).await?,
        sequences: snapshot.sequences.into_iter().map(|s| (s.name, s.last_value)).collect(),
        catalogue: snapshot.catalogue,
    };
    session.end().await;
    Ok(differences(manifest, &restored, owners))
}

/// Counts the rows of these tables alone.
///
/// # Errors
/// It cannot be looked at.
pub async fn count(session: &Session, wanted: &[Table]) -> Result<Vec<Finding>, Failure> {
    let snapshot = contents::snapshot(session, session.timeouts()).await?;
    let found = snapshot.tables(session, Checksums::Counts).await?;
    let wanted = as_the_server_names(session, wanted).await?;
    session.end().await;
    Ok(tables(&wanted, &found))
}

/// The same tables: what `--quote-all-identifiers` has quoted without need is without quotes.
async fn as_the_server_names(session: &Session, wanted: &[Table]) -> Result<Vec<Table>, Failure> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<_> = wanted.iter().map(|table| format!("({})", literal(&table.name))).collect();
    let sql = include_str!("named.sql").replace("%NAMES%", &names.join(","));
    let sets = session.run("cannot look for the tables of the dump", &sql).await?;
    let named = |table: &Table| {
        let mut rows = sets.iter().flatten();
        let row = rows.find(|row| row.get("written") == Some(table.name.as_str()));
        let name = row.and_then(|row| row.get("name")).unwrap_or(&table.name).to_owned();
        Table { name, ..table.clone() }
    };
    Ok(wanted.iter().map(named).collect())
}

/// Every difference. Pure.
pub fn differences(manifest: &Manifest, restored: &Restored, owners: Owners) -> Vec<Finding> {
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
    let dumped = without_invalid_indexes(as_dumps_carry(&manifest.catalogue));
    let catalogue = compare(&dumped, &as_dumps_carry(&restored.catalogue));
    found.extend(catalogue.into_iter().map(|other| differs(&other.subject, other.detail)));
    if owners == Owners::AsDumped {
        found.extend(strange_owners(manifest, &restored.catalogue));
    }
    found
}

/// Tables that are another role's than they were. Those of extensions belong to whoever made these.
fn strange_owners(manifest: &Manifest, restored: &Catalogue) -> Vec<Finding> {
    let own = |name: &str| manifest.tables.iter().any(|table| table.name == name);
    let strange = manifest.catalogue.tables.iter().filter_map(|(name, table)| {
        let full = format!("public.{}", identifier(name));
        let (was, is) = (table.owner.as_ref()?, restored.tables.get(name)?.owner.as_ref()?);
        let detail = || format!("belongs to role {is:?}; it belonged to {was:?}");
        (was != is && own(&full)).then(|| differs(&format!("table {full}"), detail()))
    });
    strange.collect()
}

/// Without what need not be the same after a dump and a restore: owners, which are judged by themselves,
/// and the text of expressions, which the server prints otherwise after it has read its own print
/// (`varchar IN (…)` has a cast in another place).
fn as_dumps_carry(catalogue: &Catalogue) -> Catalogue {
    let mut catalogue = catalogue.clone();
    for table in catalogue.tables.values_mut() {
        table.owner = None;
        for constraint in table.constraints.values_mut() {
            constraint.expression = None;
        }
        for index in table.indexes.values_mut() {
            index.predicate = index.predicate.take().map(|_| SOME.into());
            for column in &mut index.columns {
                if !table.columns.contains_key(column) {
                    *column = SOME.into();
                }
            }
        }
        for column in table.columns.values_mut() {
            let is_expression = |text: &str| column.generated.is_some() || text.contains("ARRAY[");
            if column.default.as_deref().is_some_and(is_expression) {
                column.default = Some(SOME.into());
            }
        }
    }
    catalogue
}

/// In an expression's place.
const SOME: &str = "an expression";

/// What a CREATE INDEX CONCURRENTLY left that failed is in no dump.
fn without_invalid_indexes(mut catalogue: Catalogue) -> Catalogue {
    for catalogue::Table { indexes, .. } in catalogue.tables.values_mut() {
        indexes.retain(|_, index| index.valid);
    }
    catalogue
}

fn tables(wanted: &[Table], found: &[Table]) -> Vec<Finding> {
    let difference = |table: &Table| match found.iter().find(|other| other.name == table.name) {
        None => Some("the table is missing".into()),
        // None where nobody counted.
        Some(other) if table.rows.is_some() && other.rows != table.rows => {
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
        let differences = |restored: &Restored| differences(&manifest, restored, Owners::AsDumped);
        assert_eq!(differences(&restored), []);
        restored.tables = vec![table("a", 1, "other"), table("b", 1, "y")];
        restored.sequences = vec![("s".into(), Some(4)), ("t".into(), None)];
        let subjects: Vec<_> = differences(&restored).into_iter().map(|f| f.subject).collect();
        assert_eq!(subjects, ["a", "b", "c", "s", "u"]);
    }

    /// A table `t` whose owner, check, index and predicate are these.
    fn catalogue(owner: &str, text: &str, valid: bool) -> Catalogue {
        let json = serde_json::json!({ "enums": {}, "tables": { "t": {
            "owner": owner,
            "columns": { "s": { "type": "character varying(10)", "not_null": false },
                         "g": { "type": "boolean", "not_null": false, "default": text, "generated": "generated" } },
            "constraints": { "c": { "kind": "check", "columns": ["s"], "expression": text } },
            "indexes": { "i": { "unique": false, "columns": [text, "s"], "predicate": text },
                         "j": { "unique": false, "columns": ["s"], "valid": valid } },
            "sequences": {},
        } } });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_a_dump_does_not_carry_is_not_compared() {
        let table = Table { name: "public.t".into(), rows: None, checksum: None };
        let manifest = Manifest {
            tables: vec![table.clone()],
            sequences: Vec::new(),
            catalogue: catalogue("a", "s IN (1)", false),
            ..sample()
        };
        let mut restored = Restored {
            tables: vec![table],
            sequences: Vec::new(),
            catalogue: catalogue("b", "s = ANY (1)", true),
        };
        restored.catalogue.tables.values_mut().for_each(|t| drop(t.indexes.remove("j")));
        assert_eq!(differences(&manifest, &restored, Owners::Anybody), []);
        let [other] = &differences(&manifest, &restored, Owners::AsDumped)[..] else { panic!() };
        assert_eq!(other.detail, "belongs to role \"b\"; it belonged to \"a\"");
        // What they are of is.
        let table = restored.catalogue.tables.get_mut("t").unwrap();
        table.constraints.clear();
        table.indexes.get_mut("i").unwrap().predicate = None;
        table.columns.get_mut("g").unwrap().default = None;
        assert_eq!(differences(&manifest, &restored, Owners::Anybody).len(), 3);
    }
}
