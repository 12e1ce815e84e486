//! What a rollback sets aside and `migrate` brings back, as data.

use crate::db::identifiers::{identifier, quoted};
use crate::migrations::registry;

/// A table, or the values of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The version that brings it.
    pub version: i32,
    /// The app's table.
    pub table: &'static str,
    /// What of it.
    pub kind: Kind,
}

/// What of a table is set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// All of it.
    Table {
        /// Which rows `q` may return; others stay where they are kept.
        fits: &'static str,
        /// Columns that lead to a user by a key that is emptied when the user goes.
        emptied: &'static [&'static str],
    },
    /// A column, where it does not hold its default.
    Column {
        /// Its name.
        name: &'static str,
        /// Whether row `c` does not hold the default.
        differs: &'static str,
        /// Which rows `t` take back what was kept.
        fits: &'static str,
        /// What row `t` holds then; `k.kept` is what was kept.
        value: &'static str,
    },
}

/// All of them, in the order in which they return. The SQL files of the versions have the same.
#[rustfmt::skip]
pub const PARTS: [Part; 5] = [
    Part { version: 2, table: "user", kind: Kind::Column { name: "is_master_admin", differs: "c.is_master_admin",
        fits: "concat(t.role) = 'admin' AND NOT EXISTS (SELECT FROM public.\"user\" m WHERE m.is_master_admin)", value: "true" } },
    Part { version: 2, table: "audit_log", kind: Kind::Table {
        fits: "EXISTS (SELECT FROM public.\"user\" u WHERE u.id = q.user_id)", emptied: &["target_user_id"] } },
    Part { version: 2, table: "step_up_token", kind: Kind::Table {
        fits: "EXISTS (SELECT FROM public.\"user\" u WHERE u.id = q.user_id) \
               AND NOT EXISTS (SELECT FROM public.step_up_token t WHERE t.token = q.token)", emptied: &[] } },
    // Whoever holds the present version has seen changes since: it never goes back, which the guards would not let
    // pass, and ends where the type does.
    Part { version: 2, table: "token_lending", kind: Kind::Column { name: "version", differs: "c.version <> 1", fits: "true",
        value: "greatest(t.version, least(k.kept::bigint + t.version - 1, 2147483647))" } },
    Part { version: 2, table: "app_log", kind: Kind::Column { name: "correlation_id", differs: "c.correlation_id IS NOT NULL", fits: "t.correlation_id IS NULL", value: "k.kept" } },
];

impl Part {
    /// `public.audit_log`, `public.token_lending.version`
    pub fn name(&self) -> String {
        name(self.table, self.column())
    }

    /// The column, where it is one.
    pub fn column(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Table { .. } => None,
            Kind::Column { name, .. } => Some(name),
        }
    }

    /// The query that counts what would be set aside, and the bytes that its copy takes: a table moves, and takes none.
    pub fn count(&self) -> String {
        match self.kind {
            Kind::Table { .. } => format!("SELECT count(*), 0 FROM public.{}", quoted(self.table)),
            // A row's header and its entry in the key's index come on top.
            Kind::Column { name, differs, .. } => format!(
                "SELECT count(*), coalesce(sum(64 + 2 * pg_column_size(c.id) + pg_column_size(c.{})), 0) \
                 FROM public.{} c WHERE {differs}",
                quoted(name),
                quoted(self.table)
            ),
        }
    }

    /// The part of that table and column.
    pub fn find(table: &str, column: Option<&str>) -> Option<&'static Self> {
        PARTS.iter().find(|part| part.table == table && part.column() == column)
    }
}

/// As it is shown.
pub fn name(table: &str, column: Option<&str>) -> String {
    match column {
        Some(column) => format!("public.{}.{}", identifier(table), identifier(column)),
        None => format!("public.{}", identifier(table)),
    }
}

/// What is locked along where others own it: what is written, and whatever a key connects with it.
pub fn locked_with() -> Vec<&'static str> {
    let Some(newest) = registry::find(registry::latest()) else { return Vec::new() };
    let is_part = |table: &str| PARTS.iter().any(|part| part.table == table);
    let mut found: Vec<&str> = PARTS.iter().map(|part| part.table).collect();
    for (table, shape) in &newest.contract().tables {
        let parents = shape.constraints.values().filter_map(|key| key.references.as_ref());
        for parent in parents.map(|key| key.table.as_str()) {
            if is_part(parent) || is_part(table) {
                found.extend([table.as_str(), parent]);
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_on_a_user_by_a_key_is_locked_along() {
        let with = locked_with();
        for table in ["user", "token_lending", "app_log", "audit_log", "session", "account"] {
            assert!(with.contains(&table), "{table}: {with:?}");
        }
    }

    #[test]
    fn the_sql_of_the_versions_sets_the_same_aside() {
        for part in &PARTS {
            let entry = registry::find(part.version).expect("a version");
            let (aside, down) = (entry.aside.expect("a copy"), entry.down.expect("a way back"));
            match part.kind {
                Kind::Column { name, differs, .. } => {
                    let row = format!("('{}', '{name}', '{differs}')", part.table);
                    assert!(aside.contains(&row) && down.contains(&row), "{row}");
                }
                Kind::Table { .. } => {
                    assert!(down.contains(&format!("'public.{}'::regclass", part.table)));
                }
            }
            assert!(entry.additions().tables.contains_key(part.table), "{}", part.name());
        }
        assert_eq!(
            Part::find("token_lending", Some("version")).map(Part::name).as_deref(),
            Some("public.token_lending.version")
        );
    }
}
