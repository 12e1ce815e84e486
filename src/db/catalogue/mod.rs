//! Schema `public` as data: what a database has, and what a contract demands of it. Both have the
//! same shape, so that comparing them is a walk over two maps. Column positions are no part of it:
//! the app's push appends columns in another order than the migration.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::foreign;
use super::session::Rows;
use crate::failure::Failure;

mod compare;
mod fingerprint;
mod order;
mod read;
mod remedy;

pub use compare::{Difference, additions, compare, present};
pub use fingerprint::{beside_sql, schema_hash};
pub use remedy::ANEW;

/// Names to whatever carries them.
pub type Named<T> = BTreeMap<String, T>;

/// What schema `public` holds, or must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalogue {
    /// Enum types and their labels in order.
    pub enums: Named<Vec<String>>,
    /// Tables.
    pub tables: Named<Table>,
    /// Functions of schema `markenmate`, by name and arguments.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    pub functions: Named<Function>,
    /// Every other relation's kind (`v`, `S`, `i`, ...), by name. Empty in a contract.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    pub others: Named<String>,
    /// Schema `markenmate`, which is no part of the app's; none where that is not known: in a contract, in a
    /// manifest.
    #[serde(skip)]
    pub own: Option<Own>,
}

/// What schema `markenmate` holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Own {
    /// Tables and sequences by name, enabled triggers as `table.trigger`, the archives' guard as `guard_archive()`.
    pub there: Vec<String>,
    /// Who may look into it beside its owner, as SQL takes the names.
    pub readers: Vec<String>,
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The role that owns it. A contract says nothing: all tables belong to the owner of `"user"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Columns.
    pub columns: Named<Column>,
    /// Keys, CHECK and exclusion constraints; never NOT NULL, which PostgreSQL 18 lists too.
    pub constraints: Named<Constraint>,
    /// Indexes, those behind keys included.
    pub indexes: Named<Index>,
    /// Sequences owned by a column.
    pub sequences: Named<Sequence>,
    /// Triggers that call functions of schema `markenmate`.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    pub triggers: Named<Trigger>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// As `format_type` prints it under `search_path = pg_catalog`.
    #[serde(rename = "type")]
    pub data_type: String,
    /// NOT NULL.
    pub not_null: bool,
    /// The default as printed under `search_path = pg_catalog`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// `identity`, `identity always` or `generated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated: Option<String>,
}

/// A constraint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constraint {
    /// `primary key`, `unique`, `foreign key`, `check` or `exclusion`.
    pub kind: String,
    /// Its columns in order.
    #[serde(default)]
    pub columns: Option<Vec<String>>,
    /// What a foreign key points to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<Reference>,
    /// The printed definition of a CHECK or an exclusion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// False after NOT VALID.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub validated: bool,
    /// DEFERRABLE.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deferrable: bool,
}

/// What a foreign key points to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// The table in `public`.
    pub table: String,
    /// Its columns in order.
    pub columns: Vec<String>,
    /// ON DELETE.
    pub on_delete: String,
    /// ON UPDATE.
    pub on_update: String,
}

/// An index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// UNIQUE.
    pub unique: bool,
    /// Key columns or expressions in order.
    pub columns: Vec<String>,
    /// The WHERE of a partial index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicate: Option<String>,
    /// False after a CREATE INDEX CONCURRENTLY that failed.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub valid: bool,
}

/// A sequence owned by a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    /// The column that owns it.
    pub column: String,
    /// `integer`, `bigint`, ...
    #[serde(rename = "type")]
    pub data_type: String,
    /// Usually 1; a contract that says nothing does not care.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub increment: Option<i64>,
}

/// A trigger of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// As the server prints it under `search_path = pg_catalog`.
    pub definition: String,
    /// Its function in schema `markenmate`.
    pub function: String,
    /// False after `DISABLE TRIGGER`, and where it fires on replicas only.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub enabled: bool,
}

/// A function of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// The role as which it runs. A contract says nothing: all belong to the owner of `"user"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// SHA-256 of its language, volatility, rights, settings, type and text.
    pub code: String,
}

const fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_yes(value: &bool) -> bool {
    *value
}

/// The statement that returns the catalogue as one row of JSON; for batches.
pub fn sql() -> &'static str {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        include_str!("catalogue.sql").replace("%FUNCTION_CODE%", foreign::FUNCTION_CODE)
    });
    &SQL
}

impl Catalogue {
    /// Reads the answer to [`sql`].
    pub fn from_rows(rows: Option<&Rows>) -> Result<Self, Failure> {
        let what = || Failure::unexpected("cannot read the catalogue");
        let text = rows
            .and_then(|rows| rows.first())
            .and_then(|row| row.get("catalogue"))
            .ok_or_else(|| what().because("the server gave no row"))?;
        Self::read(text).map_err(|error| what().because(error))
    }

    /// Reads the document that [`sql`] returns.
    pub fn read(text: &str) -> serde_json::Result<Self> {
        read::read(text)
    }

    /// The owner of the app's tables, as far as there is one.
    pub fn owner(&self) -> Option<&str> {
        self.tables.get("user").and_then(|table| table.owner.as_deref())
    }

    /// Whether a relation or enum of that name exists.
    pub fn has_name(&self, name: &str) -> bool {
        self.tables.contains_key(name)
            || self.others.contains_key(name)
            || self.enums.contains_key(name)
    }
}
