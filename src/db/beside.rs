//! What stands beside the rows of a table: grants, comments, indexes of others, settings. No row, and lost with the
//! table or column all the same; as the statements that put it there again.

use super::identifiers::literal;
use super::session::Rows;

/// One thing, and what puts it there again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// `column`, `constraint`, `index`, `rule`, `statistics`, `setting`, `grant`, `revoke`.
    pub kind: String,
    /// The table in `public` that it belongs to.
    pub table: String,
    /// The column, where it is one's.
    pub column: Option<String>,
    /// For people: `public.audit_log`, `index i on public.audit_log`.
    pub subject: String,
    /// The statement, with its semicolon.
    pub statement: String,
}

/// What a table has by its contract: `column`, `constraint` or `index`; the table; the name.
pub type Known<'a> = (&'static str, &'a str, &'a str);

/// The statement that reads [`Beside`] of these tables, or columns of them, but for what is `known`. `gives`: a new
/// table is granted what the migration grants.
pub fn sql(leaving: &[(&str, Option<&str>)], known: &[Known<'_>], gives: bool) -> String {
    let leaving = leaving.iter().map(|(table, column)| {
        let column = column.map_or_else(|| "NULL".into(), literal);
        format!("({}::name, {column}::name)", literal(table))
    });
    let leaving = format!("VALUES {}", leaving.collect::<Vec<_>>().join(", "));
    statement(&leaving, known, gives)
}

/// The same of every table in `public`.
pub fn of_all() -> String {
    statement(
        "SELECT relname, NULL::name FROM pg_class WHERE relnamespace = 'public'::regnamespace",
        &[],
        false,
    )
}

fn statement(leaving: &str, known: &[Known<'_>], gives: bool) -> String {
    let row = |(kind, table, name): &Known<'_>| {
        format!("({}, {}, {})", literal(kind), literal(table), literal(name))
    };
    let none = ("", "", "");
    let rows: Vec<_> = known.iter().chain([&none]).map(row).collect();
    include_str!("beside.sql")
        .replace("%LEAVING%", leaving)
        .replace("%KNOWN%", &rows.join(", "))
        .replace("%GIVES%", if gives { "true" } else { "false" })
}

/// Reads the answer to it.
pub fn from_rows(rows: &Rows) -> Vec<Beside> {
    let beside = |row: &tokio_postgres::SimpleQueryRow| {
        Some(Beside {
            kind: row.get("kind")?.to_owned(),
            table: row.get("table_name")?.to_owned(),
            column: row.get("column_name").map(str::to_owned),
            subject: row.get("subject")?.to_owned(),
            statement: row.get("statement")?.to_owned(),
        })
    };
    rows.iter().filter_map(beside).collect()
}
