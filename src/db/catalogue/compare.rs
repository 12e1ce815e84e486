//! Does a database hold what a contract demands? "At least this": what the contract does not name
//! is not looked at.

use super::{Catalogue, Column, Constraint, Function, Index, Named, Sequence, Table, Trigger};
use super::{order, remedy};
use crate::db::identifiers::identifier;

/// Something the contract demands and the database does not have, or has otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The object: `column public.audit_log.metadata`.
    pub subject: String,
    /// `missing`, or what it is and what it should be.
    pub detail: String,
    /// The SQL that mends it.
    pub remedy: String,
}

/// Everything in which `actual` falls short of `contract`, in the contract's order.
pub fn compare(contract: &Catalogue, actual: &Catalogue) -> Vec<Difference> {
    let mut found = Vec::new();
    for (name, labels) in &contract.enums {
        match actual.enums.get(name) {
            None => found
                .push(missing(format!("type public.{name}"), remedy::create_enum(name, labels))),
            Some(has) if has != labels => found.push(Difference {
                subject: format!("type public.{name}"),
                detail: format!("has labels {}; expected {}", has.join(", "), labels.join(", ")),
                remedy: remedy::enum_labels(name, has, labels),
            }),
            Some(_) => {}
        }
    }
    for (name, table) in order::tables(contract, actual) {
        let table = &order::callable(table, contract, actual);
        match actual.tables.get(name) {
            None => found.push(missing_table(name, table, actual)),
            Some(has) => compare_table(name, table, has, actual, &mut found),
        }
    }
    for (name, contract) in &contract.functions {
        found.extend(function(name, contract, actual));
    }
    found
}

/// One of ours: as which role it runs counts as much as what it does.
fn function(name: &str, contract: &Function, all: &Catalogue) -> Option<Difference> {
    let subject = format!("function {name}");
    let Some(has) = all.functions.get(name) else {
        return Some(missing(subject, remedy::ANEW.into()));
    };
    if has.code != contract.code {
        return Some(Difference {
            subject,
            detail: "was changed".into(),
            remedy: remedy::ANEW.into(),
        });
    }
    let (owner, expected) = (has.owner.as_deref()?, all.owner()?);
    (owner != expected).then(|| Difference {
        subject,
        detail: format!("belongs to role {owner:?}; the app's tables belong to {expected:?}"),
        remedy: format!("ALTER FUNCTION {name} OWNER TO {};", identifier(expected)),
    })
}

fn missing(subject: String, remedy: String) -> Difference {
    Difference { subject, detail: "missing".into(), remedy }
}

fn missing_table(name: &str, table: &Table, actual: &Catalogue) -> Difference {
    let subject = format!("table public.{}", identifier(name));
    let create = remedy::create_table(name, table, actual.owner());
    match actual.others.get(name) {
        None => missing(subject, create),
        Some(kind) => Difference {
            subject,
            detail: format!("missing; the name is taken by a relation of kind {kind:?}"),
            remedy: format!("{}\n{create}", remedy::give_up_name(name, kind)),
        },
    }
}

fn compare_table(
    name: &str,
    contract: &Table,
    actual: &Table,
    all: &Catalogue,
    found: &mut Vec<Difference>,
) {
    if let (Some(expected), Some(has)) = (all.owner(), actual.owner.as_deref())
        && expected != has
    {
        found.push(Difference {
            subject: format!("table public.{}", identifier(name)),
            detail: format!("belongs to role {has:?}; the app's tables belong to {expected:?}"),
            remedy: remedy::owner(name, expected),
        });
    }
    let misnamed: Named<&String> = contract
        .sequences
        .iter()
        .filter(|(wanted, _)| !actual.sequences.contains_key(*wanted) && !all.has_name(wanted))
        .filter_map(|(wanted, s)| {
            let mut has = actual.sequences.iter().filter(|(_, has)| has.column == s.column);
            has.next().map(|(other, _)| (wanted.clone(), other))
        })
        .collect();
    for (wanted, other) in &misnamed {
        found.push(Difference {
            subject: format!("sequence public.{}.{}", identifier(name), identifier(wanted)),
            detail: format!("is named {}", identifier(other)),
            remedy: remedy::rename_sequence(other, wanted),
        });
    }
    let sequences = contract.sequences.iter().filter(|(name, _)| !misnamed.contains_key(*name));
    let sequences = sequences.map(|(n, s)| (n.clone(), s.clone())).collect();
    let parts = Parts { table: name, found };
    let parts = parts.walk("sequence", &sequences, &actual.sequences, sequence);
    let parts = parts.walk("column", &contract.columns, &actual.columns, column);
    let parts = parts.walk("constraint", &contract.constraints, &actual.constraints, constraint);
    // An index behind a missing key is that key's affair.
    let loose = contract
        .indexes
        .iter()
        .filter(|(index, _)| {
            actual.indexes.contains_key(*index) || !contract.constraints.contains_key(*index)
        })
        .map(|(n, i)| (n.clone(), i.clone()))
        .collect();
    let parts = parts.walk("index", &loose, &actual.indexes, index);
    parts.walk("trigger", &contract.triggers, &actual.triggers, trigger);
}

/// Finds what is wrong with one part: detail and remedy.
type Judge<T> =
    fn(table: &str, name: &str, contract: &T, actual: Option<&T>) -> Option<(String, String)>;

struct Parts<'a> {
    table: &'a str,
    found: &'a mut Vec<Difference>,
}

impl Parts<'_> {
    fn walk<T>(self, what: &str, contract: &Named<T>, actual: &Named<T>, judge: Judge<T>) -> Self {
        for (name, expected) in contract {
            if let Some((detail, remedy)) = judge(self.table, name, expected, actual.get(name)) {
                let subject =
                    format!("{what} public.{}.{}", identifier(self.table), identifier(name));
                self.found.push(Difference { subject, detail, remedy });
            }
        }
        self
    }
}

fn column(
    table: &str,
    name: &str,
    contract: &Column,
    actual: Option<&Column>,
) -> Option<(String, String)> {
    let Some(has) = actual else {
        return Some((
            format!("missing; expected {contract}"),
            remedy::add_column(table, name, contract),
        ));
    };
    if has.same_as(contract) {
        return None;
    }
    Some((
        format!("is {has}; expected {contract}"),
        remedy::alter_column(table, name, has, contract),
    ))
}

fn constraint(
    table: &str,
    name: &str,
    contract: &Constraint,
    actual: Option<&Constraint>,
) -> Option<(String, String)> {
    match actual {
        None => Some((
            format!("missing; expected {contract}"),
            remedy::add_constraint(table, name, contract),
        )),
        Some(has) if has == contract => None,
        Some(has) => Some((
            format!("is {has}; expected {contract}"),
            remedy::replace_constraint(table, name, has, contract),
        )),
    }
}

fn index(
    table: &str,
    name: &str,
    contract: &Index,
    actual: Option<&Index>,
) -> Option<(String, String)> {
    match actual {
        None => Some(("missing".into(), remedy::create_index(table, name, contract))),
        Some(has) if has == contract => None,
        Some(has) if !has.valid => Some((
            "is INVALID".into(),
            format!("REINDEX INDEX CONCURRENTLY public.{};", identifier(name)),
        )),
        Some(has) => Some((
            format!(
                "is on ({}); expected ({})",
                has.columns.join(", "),
                contract.columns.join(", ")
            ),
            format!(
                "DROP INDEX public.{};\n{}",
                identifier(name),
                remedy::create_index(table, name, contract)
            ),
        )),
    }
}

fn sequence(
    table: &str,
    name: &str,
    contract: &Sequence,
    actual: Option<&Sequence>,
) -> Option<(String, String)> {
    let Some(has) = actual else {
        return Some((
            format!("missing; expected one owned by column {}", contract.column),
            remedy::sequence(table, name, contract),
        ));
    };
    let same = has.column == contract.column
        && has.data_type == contract.data_type
        && contract.increment.is_none_or(|by| has.increment == Some(by));
    (!same).then(|| {
        (
            format!(
                "is {} for column {}; expected {} for column {}",
                has.data_type, has.column, contract.data_type, contract.column
            ),
            format!("ALTER SEQUENCE public.{} AS {};", identifier(name), contract.data_type),
        )
    })
}

fn trigger(
    table: &str,
    name: &str,
    contract: &Trigger,
    actual: Option<&Trigger>,
) -> Option<(String, String)> {
    let detail = match actual {
        None => "missing".to_owned(),
        Some(has) if has == contract => return None,
        Some(has) if has.definition != contract.definition => format!("is {:?}", has.definition),
        Some(_) => {
            let detail = "is disabled: it guards nothing".to_owned();
            return Some((detail, remedy::enable_trigger(table, name)));
        }
    };
    Some((detail, remedy::create_trigger(table, name, contract)))
}

impl Column {
    fn same_as(&self, contract: &Self) -> bool {
        self.data_type == contract.data_type
            && self.not_null == contract.not_null
            && self.generated == contract.generated
            && same_default(self.default.as_deref(), contract.default.as_deref())
    }
}

/// `CURRENT_TIMESTAMP` and `now()` are two spellings of one thing.
fn same_default(a: Option<&str>, b: Option<&str>) -> bool {
    let plain = |text| if text == Some("CURRENT_TIMESTAMP") { Some("now()") } else { text };
    plain(a) == plain(b)
}

impl std::fmt::Display for Column {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.data_type)?;
        if let Some(generated) = &self.generated {
            write!(f, " {generated}")?;
        }
        if let Some(default) = &self.default {
            write!(f, " DEFAULT {default}")?;
        }
        f.write_str(if self.not_null { " NOT NULL" } else { "" })
    }
}

impl std::fmt::Display for Constraint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&remedy::definition(self))?;
        f.write_str(if self.validated { "" } else { " NOT VALID" })
    }
}

/// What `newer` demands beyond `older`: whole tables, or parts of tables both have.
pub fn additions(older: &Catalogue, newer: &Catalogue) -> Catalogue {
    let beyond = |name: &String| !older.enums.contains_key(name);
    let enums = newer.enums.iter().filter(|(n, _)| beyond(n)).map(|(n, l)| (n.clone(), l.clone()));
    let tables = newer.tables.iter().filter_map(|(name, table)| {
        let added = match older.tables.get(name) {
            None => table.clone(),
            Some(old) => Table {
                owner: None,
                columns: minus(&table.columns, &old.columns),
                constraints: minus(&table.constraints, &old.constraints),
                indexes: minus(&table.indexes, &old.indexes),
                sequences: minus(&table.sequences, &old.sequences),
                triggers: minus(&table.triggers, &old.triggers),
            },
        };
        (added != Table::default()).then(|| (name.clone(), added))
    });
    Catalogue {
        enums: enums.collect(),
        tables: tables.collect(),
        functions: minus(&newer.functions, &older.functions),
        others: Named::new(),
        own: None,
    }
}

fn minus<T: Clone>(newer: &Named<T>, older: &Named<T>) -> Named<T> {
    newer
        .iter()
        .filter(|(name, _)| !older.contains_key(*name))
        .map(|(name, part)| (name.clone(), part.clone()))
        .collect()
}

/// Which of the objects named in `wanted` exist in `actual` under those names, whatever their
/// shape: `whole` says which tables of `wanted` are whole ones, not parts of others.
pub fn present(wanted: &Catalogue, older: &Catalogue, actual: &Catalogue) -> Vec<String> {
    let mut found: Vec<String> = wanted
        .enums
        .keys()
        .filter(|name| actual.has_name(name))
        .map(|name| format!("type public.{}", identifier(name)))
        .collect();
    for (name, table) in &wanted.tables {
        if !older.tables.contains_key(name) && actual.has_name(name) {
            found.push(format!("relation public.{}", identifier(name)));
        }
        let has = actual.tables.get(name);
        let column = |c: &&String| has.is_some_and(|t| t.columns.contains_key(*c));
        if older.tables.contains_key(name) {
            found.extend(
                table
                    .columns
                    .keys()
                    .filter(column)
                    .map(|c| format!("column public.{}.{}", identifier(name), identifier(c))),
            );
        }
        let trigger = |t: &&String| has.is_some_and(|h| h.triggers.contains_key(*t));
        found.extend(
            table
                .triggers
                .keys()
                .filter(trigger)
                .map(|t| format!("trigger {} on public.{}", identifier(t), identifier(name))),
        );
        // Sequences and indexes share the tables' name space.
        let others = table.sequences.keys().chain(table.indexes.keys());
        found.extend(
            others
                .filter(|other| actual.others.contains_key(*other))
                .map(|other| format!("relation public.{}", identifier(other))),
        );
    }
    let functions = wanted.functions.keys().filter(|name| actual.functions.contains_key(*name));
    found.extend(functions.map(|name| format!("function {name}")));
    found
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
