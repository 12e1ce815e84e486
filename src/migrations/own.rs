//! What schema `markenmate` must hold once the tool's own history says so, and the SQL that makes again what
//! somebody dropped. Pure; the statements are those of the migrations.

use crate::db::catalogue::Catalogue;
use crate::db::history::{APP, Histories, OWN};
use crate::db::identifiers::{identifier, literal};
use crate::report::{Finding, Severity};

use super::back::parts::PARTS;
use super::registry;
use super::statements::{Statement, Token, statements};

/// The id of what [`lacking`] finds.
pub const ID: &str = "own-schema";

/// What registers what a rollback keeps.
const SET_ASIDE: &str = "set_aside";

/// A statement, and what of schema `markenmate` it is about, as the catalogue names it.
struct Made {
    object: String,
    /// None: it only adds to it.
    kind: Option<Kind>,
    sql: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Table,
    Sequence,
    Function,
    Trigger,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Table => "TABLE",
            Self::Sequence => "SEQUENCE",
            Self::Function => "FUNCTION",
            Self::Trigger => "TRIGGER",
        }
    }
}

/// What is recorded and gone; one finding, as one piece of SQL mends it. None: nothing, or it is not known.
pub fn lacking(histories: &Histories, catalogue: &Catalogue) -> Option<Finding> {
    let own = catalogue.own.as_ref()?;
    let recorded = |version| histories.own.iter().any(|row| row.number() == Some(version));
    let entries = registry::OWN.iter().filter(|entry| recorded(entry.version));
    let made: Vec<Made> =
        entries.flat_map(|entry| statements(entry.sql)).filter_map(made).collect();
    let lost = |one: &&Made| one.kind.is_some() && !own.there.contains(&one.object);
    let gone: Vec<&str> = made.iter().filter(lost).map(|one| one.object.as_str()).collect();
    if gone.is_empty() {
        return None;
    }
    let owner = catalogue.owner().map(identifier);
    let mut sql: Vec<String> = made
        .iter()
        .filter(|one| gone.iter().any(|gone| one.is_of(gone)))
        .map(|one| format!("{};", one.sql))
        .collect();
    sql.extend(made.iter().filter(lost).flat_map(|one| after(one, owner.as_deref(), &own.readers)));
    let named = |name: &&str| (!table_is_gone(name, &gone)).then(|| format!("markenmate.{name}"));
    let names: Vec<String> = gone.iter().filter_map(named).collect();
    Some(Finding {
        id: ID.into(),
        severity: Severity::Error,
        title: "Something is missing in schema markenmate".into(),
        subject: "schema markenmate".into(),
        detail: format!(
            "somebody dropped or disabled {}; what was in it is gone, unless a backup has it; the SQL makes it \
             anew, empty{}",
            names.join(", "),
            match gone.contains(&SET_ASIDE) {
                true => ", and registers what is in markenmate_quarantine",
                false => "",
            }
        ),
        remedy: sql.join("\n"),
    })
}

/// The tables and sequences that all versions of it make, by name.
#[cfg(test)]
pub fn relations() -> Vec<String> {
    let all = registry::OWN.iter().flat_map(|entry| statements(entry.sql)).filter_map(made);
    let is_relation = |one: &Made| matches!(one.kind, Some(Kind::Table | Kind::Sequence));
    all.filter(is_relation).map(|one| one.object).collect()
}

/// A trigger goes with its table.
fn table_is_gone(name: &str, gone: &[&str]) -> bool {
    name.split_once('.').is_some_and(|(table, _)| gone.contains(&table))
}

impl Made {
    /// Part of what makes that object whole.
    fn is_of(&self, gone: &str) -> bool {
        self.object == gone || self.object.split_once('.').is_some_and(|(table, _)| table == gone)
    }
}

/// Reads as much of our own SQL as makes objects. The histories have a treatment of their own.
fn made(statement: Statement<'_>) -> Option<Made> {
    let words: Vec<&str> = statement
        .tokens
        .iter()
        .filter_map(|token| match token {
            Token::Word(word) => Some(*word),
            _ => None,
        })
        .collect();
    let named = |at: usize| {
        let schema = words.get(at)?;
        (*schema == "markenmate").then(|| words.get(at + 1).map(|name| (*name).to_owned()))?
    };
    let sql = text(&statement);
    let (object, kind, sql) = match words.as_slice() {
        ["CREATE", "TABLE", ..] => (named(2)?, Some(Kind::Table), sql),
        ["CREATE", "SEQUENCE", ..] => (named(2)?, Some(Kind::Sequence), sql),
        ["CREATE", "FUNCTION", ..] => {
            // Its text counts, to the last comment.
            let sql = statement.text.replacen("CREATE", "CREATE OR REPLACE", 1);
            (format!("{}()", named(2)?), Some(Kind::Function), sql)
        }
        ["CREATE", "TRIGGER", name, ..] => {
            let on = words.iter().position(|word| *word == "ON")?;
            let table = named(on + 1)?;
            let drop = format!("DROP TRIGGER IF EXISTS {name} ON markenmate.{table};\n");
            (format!("{table}.{name}"), Some(Kind::Trigger), drop + &sql)
        }
        ["ALTER", "TABLE", ..] | ["INSERT", "INTO", ..] => (named(2)?, None, sql),
        ["COMMENT", "ON", ..] => (named(3)?, None, sql),
        _ => return None,
    };
    (![APP, OWN].contains(&object.as_str())).then_some(Made { object, kind, sql })
}

/// Without the comments, which explain a migration.
fn text(statement: &Statement<'_>) -> String {
    let lines = statement.text.lines().filter(|line| !line.trim_start().starts_with("--"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Whose it is, and who may read it.
fn after(one: &Made, owner: Option<&str>, readers: &[String]) -> Vec<String> {
    let Made { object, kind: Some(kind), .. } = one else { return Vec::new() };
    if *kind == Kind::Trigger {
        return Vec::new();
    }
    let kind = kind.word();
    let owner = owner.map(|owner| format!("ALTER {kind} markenmate.{object} OWNER TO {owner};"));
    let mut sql: Vec<String> = owner.into_iter().collect();
    if kind == Kind::Function.word() {
        sql.push(format!("REVOKE ALL ON FUNCTION markenmate.{object} FROM PUBLIC;"));
        return sql;
    }
    let grant = |to: &String| format!("GRANT SELECT ON {kind} markenmate.{object} TO {to};");
    sql.extend(readers.iter().map(grant));
    if object == SET_ASIDE {
        sql.push(registered());
    }
    sql
}

/// What is kept carries in its name what it is, and since when.
fn registered() -> String {
    let parts = PARTS.iter().map(|part| {
        let column = part.column().map_or_else(|| "NULL".into(), literal);
        format!("({}, {}, {column})", part.version, literal(part.table))
    });
    include_str!("own_registered.sql")
        .replace("%PARTS%", &parts.collect::<Vec<_>>().join(", "))
        .lines()
        .filter(|line| !line.starts_with("--"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::catalogue::Own;
    use crate::db::history::Entry as Row;

    fn recorded(versions: &[i32]) -> Histories {
        let row = |v: &i32| Row { version: v.to_string(), ..Row::default() };
        Histories { app: Vec::new(), own: versions.iter().map(row).collect() }
    }

    fn catalogue(gone: &[&str]) -> Catalogue {
        let all = registry::OWN.iter().flat_map(|e| statements(e.sql)).filter_map(made);
        let there = all.filter(|one| one.kind.is_some() && !gone.contains(&one.object.as_str()));
        let there = there.map(|one| one.object).collect();
        let own = Own { there, readers: vec!["\"a reader\"".into()] };
        Catalogue { own: Some(own), ..Catalogue::default() }
    }

    #[test]
    fn what_is_recorded_is_to_be_there() {
        let every: Vec<i32> = registry::OWN.iter().map(|entry| entry.version).collect();
        assert_eq!(lacking(&recorded(&every), &catalogue(&[])), None);
        assert_eq!(lacking(&recorded(&[1]), &catalogue(&["gate"])), None);
        assert_eq!(lacking(&recorded(&every), &Catalogue::default()), None);
        let sql = lacking(&recorded(&every), &catalogue(&["turn"])).unwrap().remedy;
        assert!(sql.contains("CREATE TABLE markenmate.turn (") && !sql.contains("--"), "{sql}");
        assert!(sql.contains("INSERT INTO markenmate.turn DEFAULT VALUES;"), "{sql}");
        assert!(sql.contains("GRANT SELECT ON TABLE markenmate.turn TO \"a reader\";"), "{sql}");
        let gone = ["audit_log_archive", "audit_log_archive.markenmate_append_only"];
        let found = lacking(&recorded(&every), &catalogue(&gone)).unwrap();
        assert!(!found.detail.contains("markenmate_append_only"), "{}", found.detail);
        for part in ["ADD COLUMN reason text;", "ADD COLUMN cleanup_id", "CREATE TRIGGER"] {
            assert!(found.remedy.contains(part), "{}", found.remedy);
        }
        let sql = lacking(&recorded(&every), &catalogue(&["lending_conflicts"])).unwrap().remedy;
        assert!(sql.contains("GRANT SELECT ON SEQUENCE markenmate.lending_conflicts"), "{sql}");
    }
}
