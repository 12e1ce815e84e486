//! The SQL that brings one object to what the contract demands. Printed for the operator, never
//! run by the tool: what was changed by hand is mended by hand.

use super::{Column, Constraint, Index, Sequence, Table, Trigger};
use crate::db::identifiers::{identifier, literal};

fn list(names: &[String]) -> String {
    names.iter().map(|name| identifier(name)).collect::<Vec<_>>().join(", ")
}

fn alter(table: &str, action: &str) -> String {
    format!("ALTER TABLE public.{} {action};", identifier(table))
}

pub(super) fn create_enum(name: &str, labels: &[String]) -> String {
    let labels: Vec<String> = labels.iter().map(|label| literal(label)).collect();
    format!("CREATE TYPE public.{} AS ENUM ({});", identifier(name), labels.join(", "))
}

pub(super) fn enum_labels(name: &str, has: &[String], expected: &[String]) -> String {
    let missing: Vec<String> = expected
        .iter()
        .filter(|label| !has.contains(label))
        .map(|label| {
            format!("ALTER TYPE public.{} ADD VALUE {};", identifier(name), literal(label))
        })
        .collect();
    if missing.is_empty() {
        format!(
            "-- the order or the extra labels of public.{name} cannot be changed by a statement"
        )
    } else {
        missing.join("\n")
    }
}

pub(super) fn owner(table: &str, owner: &str) -> String {
    alter(table, &format!("OWNER TO {}", identifier(owner)))
}

/// Frees a table's name from the view or whatever else has it.
pub(super) fn give_up_name(name: &str, kind: &str) -> String {
    let what = match kind {
        "v" => "VIEW",
        "m" => "MATERIALIZED VIEW",
        "f" => "FOREIGN TABLE",
        "S" => "SEQUENCE",
        "c" => "TYPE",
        _ => "INDEX",
    };
    let old = identifier(&format!("{name}_old"));
    format!("ALTER {what} public.{} RENAME TO {old};", identifier(name))
}

pub(super) fn rename_sequence(has: &str, expected: &str) -> String {
    format!("ALTER SEQUENCE public.{} RENAME TO {};", identifier(has), identifier(expected))
}

/// A whole table, keys last so that the statement can be run as it is, by whomever; its triggers call
/// functions that must be there.
pub(super) fn create_table(name: &str, table: &Table, owner: Option<&str>) -> String {
    let mut sql = String::new();
    for (sequence, s) in &table.sequences {
        // A table that was dropped may have left its sequence behind.
        sql.push_str(&format!(
            "CREATE SEQUENCE IF NOT EXISTS public.{} AS {};\n",
            identifier(sequence),
            s.data_type
        ));
    }
    let columns = table.columns.iter().map(|(n, c)| format!("{} {c}", identifier(n)));
    let constraints = table
        .constraints
        .iter()
        .map(|(n, c)| format!("CONSTRAINT {} {}", identifier(n), definition(c)));
    let parts: Vec<String> = columns.chain(constraints).collect();
    sql.push_str(&format!(
        "CREATE TABLE public.{} (\n    {}\n);",
        identifier(name),
        parts.join(",\n    ")
    ));
    for (sequence, s) in &table.sequences {
        sql.push('\n');
        sql.push_str(&owned_by(name, sequence, s));
    }
    if let Some(owner) = owner {
        sql.push('\n');
        sql.push_str(&self::owner(name, owner));
    }
    for trigger in table.triggers.values() {
        sql.push_str(&format!("\n{};", trigger.definition));
    }
    sql
}

fn owned_by(table: &str, name: &str, sequence: &Sequence) -> String {
    format!(
        "ALTER SEQUENCE public.{} OWNED BY public.{}.{};",
        identifier(name),
        identifier(table),
        identifier(&sequence.column)
    )
}

pub(super) fn sequence(table: &str, name: &str, sequence: &Sequence) -> String {
    let (table_name, column) = (identifier(table), identifier(&sequence.column));
    let name_literal = literal(&format!("public.{}", identifier(name)));
    format!(
        "CREATE SEQUENCE IF NOT EXISTS public.{} AS {};\n\
         SELECT setval({name_literal}, coalesce((SELECT max({column}) FROM public.{table_name}), 0) + 1, false);\n\
         {}\n\
         ALTER TABLE public.{table_name} ALTER COLUMN {column} SET DEFAULT nextval({name_literal});",
        identifier(name),
        sequence.data_type,
        owned_by(table, name, sequence),
    )
}

pub(super) fn add_column(table: &str, name: &str, column: &Column) -> String {
    alter(table, &format!("ADD COLUMN {} {column}", identifier(name)))
}

pub(super) fn alter_column(table: &str, name: &str, has: &Column, expected: &Column) -> String {
    let name = identifier(name);
    let mut actions = Vec::new();
    // A default is not converted with its column.
    let retyped_default = has.data_type != expected.data_type && has.default.is_some();
    if retyped_default {
        actions.push(format!("ALTER COLUMN {name} DROP DEFAULT"));
    }
    if has.data_type != expected.data_type {
        actions.push(format!("ALTER COLUMN {name} TYPE {0} USING {name}::{0}", expected.data_type));
    }
    if has.generated != expected.generated {
        actions.push(match has.generated.as_deref() {
            Some("generated") => format!("ALTER COLUMN {name} DROP EXPRESSION"),
            _ => format!("ALTER COLUMN {name} DROP IDENTITY IF EXISTS"),
        });
    }
    match &expected.default {
        Some(default) if has.default.as_ref() != Some(default) || retyped_default => {
            actions.push(format!("ALTER COLUMN {name} SET DEFAULT {default}"));
        }
        None if has.default.is_some() && !retyped_default => {
            actions.push(format!("ALTER COLUMN {name} DROP DEFAULT"));
        }
        _ => {}
    }
    if has.not_null != expected.not_null {
        let verb = if expected.not_null { "SET" } else { "DROP" };
        actions.push(format!("ALTER COLUMN {name} {verb} NOT NULL"));
    }
    let alter = alter(table, &actions.join(", "));
    match &expected.default {
        Some(default) if expected.not_null && !has.not_null => format!(
            "UPDATE public.{} SET {name} = {default} WHERE {name} IS NULL;\n{alter}",
            identifier(table)
        ),
        _ => alter,
    }
}

/// `FOREIGN KEY (user_id) REFERENCES public."user" (id) ON DELETE CASCADE`
pub(super) fn definition(constraint: &Constraint) -> String {
    if let Some(expression) = &constraint.expression {
        return expression.clone();
    }
    let columns = list(constraint.columns.as_deref().unwrap_or_default());
    let mut sql = format!("{} ({columns})", constraint.kind.to_uppercase());
    if let Some(to) = &constraint.references {
        sql.push_str(&format!(
            " REFERENCES public.{} ({})",
            identifier(&to.table),
            list(&to.columns)
        ));
        if to.on_delete != "NO ACTION" {
            sql.push_str(&format!(" ON DELETE {}", to.on_delete));
        }
        if to.on_update != "NO ACTION" {
            sql.push_str(&format!(" ON UPDATE {}", to.on_update));
        }
    }
    if constraint.deferrable {
        sql.push_str(" DEFERRABLE");
    }
    sql
}

pub(super) fn add_constraint(table: &str, name: &str, constraint: &Constraint) -> String {
    alter(table, &format!("ADD CONSTRAINT {} {}", identifier(name), definition(constraint)))
}

pub(super) fn replace_constraint(
    table: &str,
    name: &str,
    has: &Constraint,
    expected: &Constraint,
) -> String {
    let mut unvalidated = expected.clone();
    unvalidated.validated = false;
    if *has == unvalidated {
        return alter(table, &format!("VALIDATE CONSTRAINT {}", identifier(name)));
    }
    let add = format!("ADD CONSTRAINT {} {}", identifier(name), definition(expected));
    alter(table, &format!("DROP CONSTRAINT {}, {add}", identifier(name)))
}

pub(super) fn create_index(table: &str, name: &str, index: &Index) -> String {
    let unique = if index.unique { "UNIQUE " } else { "" };
    let predicate = index.predicate.as_ref().map(|p| format!(" WHERE {p}")).unwrap_or_default();
    format!(
        "CREATE {unique}INDEX {} ON public.{} ({}){predicate};",
        identifier(name),
        identifier(table),
        list(&index.columns)
    )
}

/// Its function must be there.
pub(super) fn create_trigger(table: &str, name: &str, trigger: &Trigger) -> String {
    format!(
        "DROP TRIGGER IF EXISTS {} ON public.{};\n{};",
        identifier(name),
        identifier(table),
        trigger.definition
    )
}

pub(super) fn enable_trigger(table: &str, name: &str) -> String {
    alter(table, &format!("ENABLE TRIGGER {}", identifier(name)))
}

/// A function's text is as long as a page: all of the version that brought it comes anew.
pub const ANEW: &str = "markenmate util down 3 > down.sql && psql -X -v ON_ERROR_STOP=1 -f down.sql && \
                        markenmate migrate --yes";
