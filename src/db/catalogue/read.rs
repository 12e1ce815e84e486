//! From the rows of the system catalogues to a [`Catalogue`]: numbers become names.

use std::collections::HashMap;

use serde::Deserialize;

use super::{
    Catalogue, Column, Constraint, Function, Index, Own, Reference, Sequence, Table, Trigger,
};

/// The answer to [`super::SQL`]; a list without rows is null. Oids travel as text.
#[derive(Deserialize)]
struct Rows {
    relations: Option<Vec<Relation>>,
    columns: Option<Vec<ColumnRow>>,
    constraints: Option<Vec<ConstraintRow>>,
    indexes: Option<Vec<IndexRow>>,
    sequences: Option<Vec<SequenceRow>>,
    triggers: Option<Vec<TriggerRow>>,
    functions: Option<Vec<FunctionRow>>,
    enums: Option<Vec<Enum>>,
    own: Option<Own>,
}

#[derive(Deserialize)]
struct Relation {
    oid: String,
    name: String,
    kind: String,
    owner: String,
}

#[derive(Deserialize)]
struct ColumnRow {
    relation: String,
    number: i16,
    name: String,
    #[serde(rename = "type")]
    data_type: String,
    not_null: bool,
    default: Option<String>,
    identity: String,
    generated: String,
}

#[derive(Deserialize)]
struct ConstraintRow {
    relation: String,
    name: String,
    kind: String,
    columns: Option<Vec<i16>>,
    parent: String,
    parent_name: Option<String>,
    parent_columns: Option<Vec<i16>>,
    on_delete: String,
    on_update: String,
    expression: Option<String>,
    validated: bool,
    deferrable: bool,
}

#[derive(Deserialize)]
struct IndexRow {
    relation: String,
    oid: String,
    unique: bool,
    valid: bool,
    columns: Vec<i16>,
    key_columns: usize,
    printed: Option<Vec<String>>,
    predicate: Option<String>,
}

#[derive(Deserialize)]
struct SequenceRow {
    oid: String,
    relation: String,
    column: i16,
    #[serde(rename = "type")]
    data_type: String,
    increment: i64,
}

#[derive(Deserialize)]
struct TriggerRow {
    relation: String,
    name: String,
    #[serde(flatten)]
    trigger: Trigger,
}

#[derive(Deserialize)]
struct FunctionRow {
    name: String,
    #[serde(flatten)]
    function: Function,
}

#[derive(Deserialize)]
struct Enum {
    name: String,
    labels: Option<Vec<String>>,
}

/// Reads the document that [`super::SQL`] returns.
pub(super) fn read(text: &str) -> Result<Catalogue, serde_json::Error> {
    let rows: Rows = serde_json::from_str(text)?;
    let relations = rows.relations.unwrap_or_default();
    let columns = rows.columns.unwrap_or_default();
    let names = Names::of(&relations, &columns);
    let owned = |r: &Relation| Table { owner: Some(r.owner.clone()), ..Table::default() };
    let of_kind = |table| relations.iter().filter(move |r| is_table(r) == table);
    let mut tables: HashMap<&str, Table> = of_kind(true).map(|r| (&*r.oid, owned(r))).collect();

    for row in &columns {
        if let Some(table) = tables.get_mut(&*row.relation) {
            table.columns.insert(row.name.clone(), row.column());
        }
    }
    for row in rows.constraints.into_iter().flatten() {
        if let Some(table) = tables.get_mut(&*row.relation) {
            table.constraints.insert(row.name.clone(), row.constraint(&names));
        }
    }
    for row in rows.indexes.into_iter().flatten() {
        if let (Some(table), Some(name)) =
            (tables.get_mut(&*row.relation), names.relation(&row.oid))
        {
            table.indexes.insert(name.to_owned(), row.index(&names));
        }
    }
    for row in rows.sequences.into_iter().flatten() {
        if let (Some(table), Some(name)) =
            (tables.get_mut(&*row.relation), names.relation(&row.oid))
        {
            table.sequences.insert(name.to_owned(), row.sequence(&names));
        }
    }
    for row in rows.triggers.into_iter().flatten() {
        if let Some(table) = tables.get_mut(&*row.relation) {
            table.triggers.insert(row.name, row.trigger);
        }
    }
    let functions = rows.functions.into_iter().flatten();
    let enums = rows.enums.into_iter().flatten();
    Ok(Catalogue {
        enums: enums.map(|e| (e.name, e.labels.unwrap_or_default())).collect(),
        tables: of_kind(true)
            .filter_map(|r| Some((r.name.clone(), tables.remove(&*r.oid)?)))
            .collect(),
        functions: functions.map(|row| (row.name, row.function)).collect(),
        others: of_kind(false).map(|r| (r.name.clone(), r.kind.clone())).collect(),
        own: Some(rows.own.unwrap_or_default()),
    })
}

fn is_table(relation: &Relation) -> bool {
    matches!(relation.kind.as_str(), "r" | "p")
}

/// What relations and columns are called.
struct Names<'a> {
    relations: HashMap<&'a str, &'a str>,
    columns: HashMap<(&'a str, i16), &'a str>,
}

impl<'a> Names<'a> {
    fn of(relations: &'a [Relation], columns: &'a [ColumnRow]) -> Self {
        let named = |r: &'a Relation| (r.oid.as_str(), r.name.as_str());
        let column = |c: &'a ColumnRow| ((c.relation.as_str(), c.number), c.name.as_str());
        Self {
            relations: relations.iter().map(named).collect(),
            columns: columns.iter().map(column).collect(),
        }
    }

    fn relation(&self, oid: &str) -> Option<&'a str> {
        self.relations.get(oid).copied()
    }

    /// The number itself where the column is not one of schema `public`.
    fn column(&self, relation: &str, number: i16) -> String {
        let name = self.columns.get(&(relation, number));
        name.map_or_else(|| format!("column {number}"), |name| (*name).to_owned())
    }

    fn columns(&self, relation: &str, numbers: &[i16]) -> Vec<String> {
        numbers.iter().map(|number| self.column(relation, *number)).collect()
    }
}

impl ColumnRow {
    fn column(&self) -> Column {
        let generated = match (self.identity.as_str(), self.generated.as_str()) {
            ("a", _) => Some("identity always"),
            ("d", _) => Some("identity"),
            (_, "") => None,
            _ => Some("generated"),
        };
        Column {
            data_type: self.data_type.clone(),
            not_null: self.not_null,
            default: self.default.clone(),
            generated: generated.map(str::to_owned),
        }
    }
}

impl ConstraintRow {
    fn constraint(self, names: &Names<'_>) -> Constraint {
        let kind = match self.kind.as_str() {
            "p" => "primary key",
            "u" => "unique",
            "f" => "foreign key",
            "c" => "check",
            _ => "exclusion",
        };
        let parent = names.relation(&self.parent).map(str::to_owned).or(self.parent_name);
        let references = parent.filter(|_| kind == "foreign key").map(|table| Reference {
            table,
            columns: names.columns(&self.parent, &self.parent_columns.unwrap_or_default()),
            on_delete: action(&self.on_delete),
            on_update: action(&self.on_update),
        });
        Constraint {
            kind: kind.into(),
            columns: self.columns.map(|numbers| names.columns(&self.relation, &numbers)),
            references,
            expression: self.expression,
            validated: self.validated,
            deferrable: self.deferrable,
        }
    }
}

/// `pg_constraint.confdeltype` and `confupdtype`
fn action(letter: &str) -> String {
    let words = match letter {
        "a" => "NO ACTION",
        "r" => "RESTRICT",
        "c" => "CASCADE",
        "n" => "SET NULL",
        _ => "SET DEFAULT",
    };
    words.into()
}

impl IndexRow {
    fn index(self, names: &Names<'_>) -> Index {
        let mut printed = self.printed.unwrap_or_default().into_iter();
        let keys = self.columns.iter().take(self.key_columns).map(|number| {
            let printed = printed.next();
            match (number, printed) {
                (0, Some(expression)) => expression,
                _ => names.column(&self.relation, *number),
            }
        });
        Index {
            columns: keys.collect(),
            unique: self.unique,
            predicate: self.predicate,
            valid: self.valid,
        }
    }
}

impl SequenceRow {
    fn sequence(self, names: &Names<'_>) -> Sequence {
        Sequence {
            column: names.column(&self.relation, self.column),
            data_type: self.data_type,
            increment: Some(self.increment),
        }
    }
}
