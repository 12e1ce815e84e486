//! How a row of the application's fits into its archive. Pure.

use serde::Deserialize;

use crate::db::identifiers::{literal, quoted};
use crate::db::template::fill;

/// A column, as the catalogue has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// As SQL writes it.
    #[serde(rename = "type")]
    pub kind: String,
    /// NOT NULL, and no default fills it.
    pub needed: bool,
    /// One of the server's own types.
    pub plain: bool,
}

/// What an archive adds to a row.
const OURS: [&str; 4] = ["archived_at", "archive_id", "reason", "cleanup_id"];

/// One column of the archive and where its value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    name: String,
    /// Its type in the archive.
    kind: String,
    /// Its type in the table.
    of: String,
    /// The archive takes no row without it.
    is_needed: bool,
}

/// How a row fits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fit {
    /// The columns without which the archive takes no row, where the table's may be empty.
    pub needed: Vec<String>,
    /// The columns that are moved.
    pub places: Vec<Place>,
    /// What the archive must have first: `name type`, as ALTER TABLE takes it.
    pub additions: Vec<String>,
}

/// Finds a place for every column of the table's.
///
/// # Errors
/// What stands against it, with the statement that mends it.
pub fn fit(table: &[Column], archive: &[Column]) -> Result<Fit, (String, String)> {
    let mut fit = Fit::default();
    for column in table {
        let name = &column.name;
        if OURS.contains(&name.as_str()) {
            return Err((
                format!("the table has a column {name}, which the archive uses for something else"),
                format!("ALTER TABLE … RENAME COLUMN {} TO …;", quoted(name)),
            ));
        }
        let kept = archive.iter().find(|kept| kept.name == *name);
        let kind = match kept {
            // A type of the app's may change, or go: its text stays.
            None if column.plain => &column.kind,
            None => "text",
            Some(kept) => kept.kind.as_str(),
        };
        if kind != column.kind && kind != "text" {
            return Err((
                format!("{name} is {} in the table, and {kind} in the archive", column.kind),
                format!("ALTER TABLE … ALTER COLUMN {} TYPE {};", quoted(name), column.kind),
            ));
        }
        if kept.is_none() {
            fit.additions.push(format!("{} {kind}", quoted(name)));
        }
        if kept.is_some_and(|kept| kept.needed) && !column.needed {
            fit.needed.push(name.clone());
        }
        fit.places.push(Place {
            name: name.clone(),
            kind: kind.to_owned(),
            of: column.kind.clone(),
            is_needed: kept.is_some_and(|kept| kept.needed),
        });
    }
    let lacking = |kept: &&Column| {
        kept.needed
            && !OURS.contains(&kept.name.as_str())
            && table.iter().all(|column| column.name != kept.name)
    };
    match archive.iter().find(lacking) {
        None => Ok(fit),
        Some(kept) => Err((
            format!(
                "the table has no column {}, without which the archive takes no row",
                kept.name
            ),
            format!("ALTER TABLE … ALTER COLUMN {} DROP NOT NULL;", quoted(&kept.name)),
        )),
    }
}

impl Fit {
    /// The archive's columns: `"id", "level"`.
    pub fn names(&self) -> String {
        let names: Vec<_> = self.places.iter().map(|place| quoted(&place.name)).collect();
        names.join(", ")
    }

    /// Their values from a row `t` of the table, named as they are in the archive.
    pub fn values(&self) -> String {
        let value = |place: &Place| {
            let name = quoted(&place.name);
            let cast = if place.kind == place.of { "" } else { "::text" };
            format!("t.{name}{cast} AS {name}")
        };
        self.places.iter().map(value).collect::<Vec<_>>().join(", ")
    }

    /// The names of the columns that are moved.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.places.iter().map(|place| place.name.as_str())
    }

    /// PL/pgSQL that ends in an error where `table` has other columns by now, or others' types. Parsed anew each time,
    /// it sees them in a moment that was before as well; from there on none is changed.
    pub fn shape(&self, table: &str) -> String {
        let all = |of: &dyn Fn(usize, &Place) -> String| {
            self.places
                .iter()
                .enumerate()
                .map(|(n, place)| of(n, place))
                .collect::<Vec<_>>()
                .join(", ")
        };
        fill(
            include_str!("shape.sql"),
            &[
                ("TABLE", table),
                ("TOLD", &literal(table)),
                ("PRESENT", &all(&|n, _| format!("pg_typeof(s.c{n})"))),
                ("PLANNED", &all(&|_, place| format!("{}::regtype", literal(&place.of)))),
                ("EMPTY", &all(&|_, _| "NULL".into())),
                ("NAMES", &all(&|n, _| format!("c{n}"))),
            ],
        )
    }

    /// A number of 64 bits for all that a row says, as SQL: of each value, with the one of those before it as its seed.
    /// The sum of them is the rows' checksum, in whatever order. It sees damage, and no forgery: what is signed is the
    /// ledger.
    pub fn hash(&self, row: &str) -> String {
        self.places.iter().fold("0".to_owned(), |seed, place| {
            let name = format!("{row}.{}", quoted(&place.name));
            let (function, value, null) = match place.kind.as_str() {
                // Whatever time zone the reader is in.
                "timestamp with time zone" => {
                    ("timestamp_hash_extended", format!("{name} AT TIME ZONE 'UTC'"), "'-infinity'")
                }
                "text" => ("hashtextextended", name, "E'\\x1e'"),
                _ => ("hashtextextended", format!("{name}::text"), "E'\\x1e'"),
            };
            match place.is_needed {
                true => format!("{function}({value}, {seed})"),
                false => format!("{function}(coalesce({value}, {null}), {seed})"),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: &str) -> Column {
        Column {
            name: name.into(),
            kind: kind.into(),
            needed: false,
            plain: !kind.starts_with("public."),
        }
    }

    #[test]
    fn every_column_has_its_place() {
        let table =
            [column("id", "integer"), column("level", "public.log_level"), column("new", "inet")];
        let archive =
            [column("id", "integer"), column("level", "text"), column("archived_at", "x")];
        let fit = fit(&table, &archive).unwrap();
        assert_eq!(fit.names(), "\"id\", \"level\", \"new\"");
        assert_eq!(
            fit.values(),
            "t.\"id\" AS \"id\", t.\"level\"::text AS \"level\", t.\"new\" AS \"new\""
        );
        let shape = fit.shape("public.x");
        assert!(
            shape.contains(
                "ARRAY['integer'::regtype, 'public.log_level'::regtype, 'inet'::regtype]"
            ),
            "{shape}"
        );
        assert!(shape.contains("UNION ALL SELECT NULL, NULL, NULL) s(c0, c1, c2)"), "{shape}");
        assert_eq!(fit.additions, ["\"new\" inet"]);
        assert!(fit.hash("a").contains("hashtextextended(coalesce(a.\"id\"::text, E'\\x1e'), 0)"));
    }

    #[test]
    fn a_type_of_the_apps_is_kept_as_text() {
        let new = fit(&[column("mood", "public.mood")], &[]).unwrap();
        assert_eq!(new.additions, ["\"mood\" text"]);
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let said = |table: &[Column], archive: &[Column]| fit(table, archive).unwrap_err().0;
        assert!(
            said(&[column("id", "uuid")], &[column("id", "integer")]).contains("uuid in the table")
        );
        assert!(said(&[column("reason", "text")], &[]).contains("something else"));
        let needed = Column { needed: true, ..column("action", "text") };
        assert!(said(&[column("id", "integer")], &[needed]).contains("no column action"));
    }
}
