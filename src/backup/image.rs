//! What is in a database at one moment: schema, the content of every table, sequences. To be compared with
//! the same database later.

use std::collections::BTreeSet;

use crate::db::beside::{self, Beside};
use crate::db::catalogue::{Catalogue, Difference, Table as Shape, compare};
use crate::db::identifiers::identifier;
use crate::db::session::Session;
use crate::failure::Failure;
use crate::report::{Finding, Severity};

use super::contents;
use super::manifest::{Checksums, Sequence, Table};

/// A database at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Schema `public`.
    pub catalogue: Catalogue,
    /// Tables and what is in them; of the tool's own only what is evidence.
    pub tables: Vec<Table>,
    /// Sequences and where they stand.
    pub sequences: Vec<Sequence>,
    /// What stands beside the rows: grants, comments, settings. A restored database has no grants.
    pub beside: Vec<Beside>,
}

/// What is looked away from: what versions have brought.
#[derive(Debug, Clone, Default)]
pub struct Without {
    /// Whole tables of schema `public`.
    tables: BTreeSet<String>,
    /// Parts of others, and those tables once more.
    parts: Vec<Catalogue>,
}

/// What is left of the tool's own: its history and ledger grow with every run.
const EVIDENCE: [&str; 2] = ["markenmate.audit_log_archive", "markenmate.gate"];

impl Without {
    /// Looks away from what a version has brought as well, of which `is_whole` says whether a table is all
    /// its own.
    #[must_use]
    pub fn and(mut self, brought: Catalogue, is_whole: impl Fn(&str) -> bool) -> Self {
        self.tables.extend(brought.tables.keys().filter(|table| is_whole(table)).cloned());
        self.parts.push(brought);
        self
    }

    fn columns(&self) -> Vec<(String, String)> {
        let of = |(table, shape): (&String, &Shape)| {
            let named = |column: &String| (table.clone(), column.clone());
            shape.columns.keys().map(named).collect::<Vec<_>>()
        };
        self.parts.iter().flat_map(|part| part.tables.iter().flat_map(of)).collect()
    }

    fn names(&self, table: &str) -> bool {
        self.tables.iter().any(|name| table == format!("public.{}", identifier(name)))
    }

    /// Whether it is looked away from that. What the schema speaks of is compared with it.
    fn leaves_out(&self, one: &Beside) -> bool {
        let brought = |column: &String| {
            let has = |part: &Catalogue| {
                part.tables.get(&one.table).is_some_and(|table| table.columns.contains_key(column))
            };
            self.parts.iter().any(has)
        };
        matches!(one.kind.as_str(), "column" | "constraint" | "index")
            || self.tables.contains(&one.table)
            || one.column.as_ref().is_some_and(brought)
    }

    /// The schema as it is without it. The tool's own functions are no part of `public`.
    fn cut(&self, mut catalogue: Catalogue) -> (Catalogue, BTreeSet<String>) {
        // The tool's own schema is no part of what was there.
        catalogue.own = None;
        if self.parts.is_empty() {
            return (catalogue, BTreeSet::new());
        }
        catalogue.functions.clear();
        let mut gone = BTreeSet::new();
        for (name, brought) in self.parts.iter().flat_map(|part| &part.tables) {
            if self.tables.contains(name) {
                let has = catalogue.tables.remove(name).unwrap_or_default();
                gone.extend(has.indexes.into_keys().chain(has.sequences.into_keys()));
            } else if let Some(has) = catalogue.tables.get_mut(name) {
                has.columns.retain(|name, _| !brought.columns.contains_key(name));
                has.constraints.retain(|name, _| !brought.constraints.contains_key(name));
                has.indexes.retain(|name, _| !brought.indexes.contains_key(name));
                has.sequences.retain(|name, _| !brought.sequences.contains_key(name));
                has.triggers.retain(|name, _| !brought.triggers.contains_key(name));
                gone.extend(brought.indexes.keys().chain(brought.sequences.keys()).cloned());
            }
        }
        for part in &self.parts {
            catalogue.enums.retain(|name, _| !part.enums.contains_key(name));
        }
        catalogue.others.retain(|name, _| !gone.contains(name));
        (catalogue, gone)
    }
}

/// Looks at the session's database, in one moment. Takes as long as reading every row does.
///
/// # Errors
/// It cannot be looked at.
pub async fn take(session: &Session, without: &Without) -> Result<Image, Failure> {
    let columns = without.columns();
    let snapshot = contents::snapshot_without(session, session.timeouts(), &columns).await?;
    let tables = snapshot.tables(session, Checksums::Full).await;
    let beside = session.run("cannot look at what stands beside the rows", &beside::of_all()).await;
    session.end().await;
    let mut tables = tables?;
    tables.retain(|table| match is_own(&table.name) {
        true => EVIDENCE.contains(&table.name.as_str()) && without.parts.is_empty(),
        false => !without.names(&table.name),
    });
    let (catalogue, gone) = without.cut(snapshot.catalogue);
    let mut sequences = snapshot.sequences;
    sequences.retain(|sequence| {
        !is_own(&sequence.name)
            && !gone.iter().any(|name| sequence.name == format!("public.{}", identifier(name)))
    });
    let mut beside = beside?.last().map(beside::from_rows).unwrap_or_default();
    beside.retain(|one| !without.leaves_out(one));
    Ok(Image { catalogue, tables, sequences, beside })
}

/// Of the tool's own two schemas: another that is named alike is others'.
fn is_own(name: &str) -> bool {
    ["markenmate.", "markenmate_quarantine."].iter().any(|schema| name.starts_with(schema))
}

impl Image {
    /// How much was compared, for people.
    pub fn extent(&self) -> String {
        let rows: u64 = self.tables.iter().filter_map(|table| table.rows).sum();
        format!("{} tables with {rows} rows, {} sequences", self.tables.len(), self.sequences.len())
    }

    /// Every difference between this and what it was before. Pure.
    pub fn differences(&self, before: &Self) -> Vec<Finding> {
        let mut found: Vec<Finding> = schema(&before.catalogue, &self.catalogue)
            .into_iter()
            .map(|(subject, detail)| differs(&subject, detail))
            .collect();
        for table in &before.tables {
            let now = self.tables.iter().find(|now| now.name == table.name);
            let detail = match now {
                None => "the table is gone".to_owned(),
                Some(now) if now.rows != table.rows => {
                    let count = |rows: Option<u64>| rows.unwrap_or_default();
                    format!("has {} rows; it had {}", count(now.rows), count(table.rows))
                }
                Some(now) if now.checksum != table.checksum => {
                    "has as many rows, with other content".into()
                }
                Some(_) => continue,
            };
            found.push(differs(&table.name, detail));
        }
        let was = |table: &&Table| before.tables.iter().any(|was| was.name == table.name);
        for table in self.tables.iter().filter(|table| !was(table)) {
            found.push(differs(&table.name, "is a table that was not there".into()));
        }
        for sequence in &before.sequences {
            match self.sequences.iter().find(|now| now.name == sequence.name) {
                None => found.push(differs(&sequence.name, "the sequence is gone".into())),
                Some(now) if sequence.is_behind(now.last_value) => found.push(differs(
                    &sequence.name,
                    format!(
                        "stands at {:?}; it stood at {:?}",
                        now.last_value, sequence.last_value
                    ),
                )),
                Some(_) => {}
            }
        }
        found.extend(beside_differs(&before.beside, &self.beside));
        found
    }
}

/// What differs between two schemas, in both directions.
fn schema(before: &Catalogue, now: &Catalogue) -> Vec<(String, String)> {
    if before == now {
        return Vec::new();
    }
    let pair = |Difference { subject, detail, .. }| (subject, detail);
    let mut found: Vec<_> = compare(before, now).into_iter().map(pair).collect();
    let more = compare(now, before).into_iter().filter(|more| more.detail.starts_with("missing"));
    found.extend(more.map(|more| (more.subject, "was not there".to_owned())));
    for (name, kind) in &before.others {
        if now.others.get(name) != Some(kind) {
            found
                .push((format!("public.{}", identifier(name)), "is gone or something else".into()));
        }
    }
    for name in now.others.keys().filter(|name| !before.others.contains_key(*name)) {
        found.push((format!("public.{}", identifier(name)), "was not there".into()));
    }
    if found.is_empty() {
        found.push(("schema public".into(), "is not what it was: owners, or an order".into()));
    }
    found
}

/// What stood beside the rows and does not now, with what puts it there again, and the other way round.
fn beside_differs(before: &[Beside], now: &[Beside]) -> Vec<Finding> {
    let lost = before.iter().filter(|one| !now.contains(one)).map(|one| Finding {
        remedy: one.statement.clone(),
        ..differs(&one.subject, format!("has lost what stood beside its rows: {}", one.statement))
    });
    let came = now.iter().filter(|one| !before.contains(one)).map(|one| {
        differs(&one.subject, format!("has what did not stand there: {}", one.statement))
    });
    lost.chain(came).collect()
}

fn differs(subject: &str, detail: String) -> Finding {
    Finding {
        id: "compared".into(),
        severity: Severity::Error,
        title: "It is not what it was".into(),
        subject: subject.into(),
        detail,
        remedy: "do not go this way with the live database before it is known why".into(),
    }
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
