//! What brings histories and guards back to where `migrate` goes on. Printed for the operator, never run
//! by the tool. None of it touches an object of the application's: what is there is compared and recorded
//! anew. Pure.

use crate::console::escape;
use crate::db::catalogue::{ANEW, Catalogue, Difference};
use crate::db::history::{APP, Entry as Row, Histories, OWN};
use crate::db::identifiers::{identifier, literal};
use crate::report::Finding;
use crate::tools::shell;

use super::registry::{self, Entry, OwnEntry};

/// The statement that says what schema `markenmate` holds: one row each, `relation`.
pub const RELATIONS: &str = include_str!("own_relations.sql");

/// A row whose version is none.
pub(super) fn no_version(table: &str, row: &Row) -> String {
    let version = match row.version.as_str() {
        "" => "version IS NULL".into(),
        text => format!("version::text = {}", literal(text)),
    };
    format!("DELETE FROM markenmate.{table} WHERE {version};")
}

/// A row that is wrong or missing. The app's versions are recorded anew from there on, by what the schema
/// holds; the tool's own have no contract, and the row is written as this binary writes it.
pub(super) fn row(table: &str, version: i32, row: Option<&Row>) -> String {
    let lacks = row.map(|row| row.lacks.as_slice()).unwrap_or_default();
    let columns = lacks.iter().filter(|column| **column != "version").map(|column| {
        format!("ALTER TABLE markenmate.{table} ADD COLUMN IF NOT EXISTS {column} varchar(255);\n")
    });
    let mended = match registry::OWN.iter().find(|entry| entry.version == version) {
        Some(entry) if table == OWN => record(entry),
        _ => format!(
            "DELETE FROM markenmate.{table} WHERE version >= {version};  \
             -- then markenmate migrate compares what is there, and records it as adopted"
        ),
    };
    columns.collect::<String>() + &mended
}

fn record(entry: &OwnEntry) -> String {
    format!(
        "INSERT INTO markenmate.{OWN} (version, name, applied_on, checksum, adopted) VALUES ({}, {}, \
         to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), '{}', true) \
         ON CONFLICT (version) DO UPDATE SET name = excluded.name, applied_on = excluded.applied_on, \
         checksum = excluded.checksum;",
        entry.version,
        literal(entry.name),
        entry.checksum()
    )
}

/// What the histories lack although its objects are `there`: tables of theirs, and rows of the tool's own.
/// `recorded` is none where they cannot be read: then a row that may be there is left alone. None: nothing.
pub fn histories(there: &[String], recorded: Option<&Histories>, owner: &str) -> Option<String> {
    let is_there = |name: &str| there.iter().any(|relation| relation == name);
    // Without what the first one makes there is nothing to go on from: migrate begins.
    if !registry::OWN.first().is_some_and(|first| makes(first).all(is_there)) {
        return None;
    }
    let tables = [APP, OWN].into_iter().filter(|name| !is_there(name)).map(|name| {
        let sql = include_str!("own_history.sql").replace("%TABLE%", &format!("markenmate.{name}"));
        let sql: Vec<_> = sql.lines().filter(|line| !line.starts_with("--")).collect();
        let owner = identifier(owner);
        format!("{};\nALTER TABLE markenmate.{name} OWNER TO {owner};", sql.join("\n"))
    });
    let is_recorded = |entry: &OwnEntry| match recorded {
        Some(recorded) => recorded.own.iter().any(|row| row.number() == Some(entry.version)),
        None => is_there(OWN),
    };
    let unrecorded = registry::OWN
        .iter()
        .filter(|entry| !is_recorded(entry))
        .filter(|entry| makes(entry).all(is_there));
    let sql: Vec<_> = tables.chain(unrecorded.map(record)).collect();
    (!sql.is_empty()).then(|| sql.join("\n"))
}

/// The tables that a migration of the tool's own makes, the histories left out.
pub(super) fn makes(entry: &OwnEntry) -> impl Iterator<Item = &str> {
    let made = |line: &'static str| line.strip_prefix("CREATE TABLE markenmate.");
    let names = entry.sql.lines().filter_map(made).filter_map(|rest| rest.split([' ', '(']).next());
    names.filter(|name| ![APP, OWN].contains(name))
}

/// Nothing of the application is left, where its history says that it was there.
pub(super) fn emptied(entry: &Entry, catalogue: &Catalogue) -> Option<Difference> {
    let contract = entry.contract();
    let gone = !contract.tables.is_empty()
        && !contract.tables.keys().any(|name| catalogue.tables.contains_key(name));
    gone.then(|| Difference {
        subject: "schema public".into(),
        detail: format!(
            "not one of the application's tables is there; without a backup it can only begin anew, empty: \
             DELETE FROM markenmate.{APP};"
        ),
        remedy: "markenmate rollback --restore".into(),
    })
}

/// The guards' functions have no statement of their own: all of them are one finding, the last. `recorded`:
/// their version is, so that its own way back takes it away; else what is there of it is dropped.
pub(super) fn guards(
    found: Vec<Difference>,
    catalogue: &Catalogue,
    is_recorded: bool,
) -> Vec<Difference> {
    let (functions, mut rest): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|difference| difference.remedy == ANEW);
    let name = |subject: &str| subject.trim_start_matches("function ").to_owned();
    let told = |f: &Difference| format!("{} {}", name(&f.subject), f.detail);
    let told = functions.iter().map(told).collect::<Vec<_>>().join(", ");
    let subject = match functions.as_slice() {
        [] => return rest,
        [one] => one.subject.clone(),
        _ => "functions of schema markenmate".into(),
    };
    if is_recorded {
        rest.push(Difference { subject, detail: told, remedy: ANEW.into() });
        return rest;
    }
    let detail =
        format!("{told}; once what is left of the guards is dropped, migrate makes them anew");
    vec![Difference { subject, detail, remedy: drop_guards(catalogue) }]
}

/// Guards on a schema that is older than they are.
pub(super) fn leftovers(catalogue: &Catalogue) -> Difference {
    Difference {
        subject: "functions of schema markenmate".into(),
        detail: "are left of guards, and nothing that these could guard is there; once they are dropped, \
                 migrate makes them anew"
            .into(),
        remedy: drop_guards(catalogue),
    }
}

fn drop_guards(catalogue: &Catalogue) -> String {
    let known = registry::find(registry::GUARDS).map(Entry::contract);
    let triggers = catalogue.tables.iter().flat_map(|(table, has)| {
        let names = has.triggers.keys();
        names.map(move |name| {
            format!("DROP TRIGGER {} ON public.{};", identifier(name), identifier(table))
        })
    });
    let functions = catalogue
        .functions
        .keys()
        .filter(|name| known.is_some_and(|known| known.functions.contains_key(*name)))
        .map(|name| format!("DROP FUNCTION {name};"));
    triggers.chain(functions).collect::<Vec<_>>().join("\n")
}

/// Commands to paste that name the database, where its name can be shown as it is.
pub fn to_paste(findings: &mut [Finding], conninfo: &str) {
    if escape(conninfo) != conninfo {
        return;
    }
    for finding in findings.iter_mut().filter(|finding| finding.remedy == ANEW) {
        let psql = format!("psql -d {} ", shell::word(conninfo));
        finding.remedy = ANEW.replacen("psql ", &psql, 1);
    }
}

#[cfg(test)]
#[path = "mending_tests.rs"]
mod tests;
