//! What a plain dump holds, as far as a restore must know beforehand.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use super::{Broken, Piece, Script};

/// What a script was found to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rows of every table that is filled, by its name as it stands there; none where one statement
    /// brings several.
    pub tables: BTreeMap<String, Option<u64>>,
    /// There is a table that it makes.
    pub makes_tables: bool,
    /// Whose the table of users is.
    pub owner_of_users: Option<String>,
    /// Roles that must exist.
    pub roles: BTreeSet<String>,
    /// Extensions that must be there to be had.
    pub extensions: BTreeSet<String>,
}

impl Summary {
    /// Reads a whole script.
    ///
    /// # Errors
    /// What makes it no whole dump of one database.
    pub fn of(source: impl BufRead) -> Result<Self, Broken> {
        let mut script = Script::new(source);
        let (mut found, mut cron) = (Self::default(), Cron::default());
        let mut rows = Vec::new();
        while let Some(piece) = script.next_piece()? {
            match piece {
                Piece::Statement(sql) => {
                    found.note(&sql);
                    // What is left out when it is played is not to be found afterwards.
                    if !cron.owns(&sql)
                        && let Some((table, rows)) = inserted(&sql)
                    {
                        found.add(table, rows);
                    }
                }
                Piece::Copy(sql) => {
                    let mut count = 0;
                    loop {
                        let chunk = script.rows(64 * 1024, &mut rows)?;
                        count += chunk.rows;
                        if chunk.last {
                            break;
                        }
                    }
                    if !cron.owns(&sql) {
                        found.add(copied(&sql), Some(count));
                    }
                }
            }
        }
        Ok(found)
    }

    /// Rows of all tables; none where they cannot be counted.
    pub fn rows(&self) -> Option<u64> {
        self.tables.values().copied().sum()
    }

    fn add(&mut self, table: &str, more: Option<u64>) {
        let rows = self.tables.entry(table.to_owned()).or_insert(Some(0));
        *rows = rows.zip(more).map(|(rows, more)| rows + more);
    }

    fn note(&mut self, sql: &str) {
        self.makes_tables |=
            ["CREATE TABLE ", "CREATE UNLOGGED TABLE "].iter().any(|words| sql.starts_with(words));
        self.extensions.extend(made_extension(sql));
        let owned =
            ["ALTER TABLE public.\"user\" OWNER TO ", "ALTER TABLE \"public\".\"user\" OWNER TO "];
        let owner = owned.iter().find_map(|words| sql.strip_prefix(words)).and_then(leading_name);
        self.owner_of_users = owner.or_else(|| self.owner_of_users.take());
        let role = if sql.starts_with("ALTER ") {
            sql.rsplit_once(" OWNER TO ").map(|(_, role)| role)
        } else if sql.starts_with("GRANT ") {
            sql.rsplit_once(" TO ").map(|(_, role)| role)
        } else if sql.starts_with("REVOKE ") {
            sql.rsplit_once(" FROM ").map(|(_, role)| role)
        } else {
            None
        };
        let role = role.and_then(leading_name);
        self.roles.extend(role.filter(|role| role != "PUBLIC"));
        let named = sql.strip_prefix("ALTER DEFAULT PRIVILEGES FOR ROLE ");
        self.roles.extend(named.and_then(leading_name));
    }
}

/// The table of a `COPY`.
fn copied(sql: &str) -> &str {
    let rest = sql.strip_prefix("COPY ").unwrap_or(sql);
    &rest[..end_of_name(rest)]
}

/// The table of an `INSERT`, and its rows: one, or with `--rows-per-insert` nobody knows how many.
fn inserted(sql: &str) -> Option<(&str, Option<u64>)> {
    let rest = sql.strip_prefix("INSERT INTO ")?;
    let (table, rest) = rest.split_at(end_of_name(rest));
    let rest = match rest.strip_prefix(" (") {
        Some(columns) => {
            let (_, rest) = columns.split_at(outside_quotes(columns, |c| c == ')'));
            rest.strip_prefix(')').unwrap_or(rest)
        }
        None => rest,
    };
    let rest = rest.strip_prefix(" OVERRIDING SYSTEM VALUE").unwrap_or(rest);
    // Several stand on lines of their own.
    let is_one = rest.starts_with(" VALUES (") || rest.starts_with(" DEFAULT VALUES");
    Some((table, is_one.then_some(1)))
}

/// Where the name that a text begins with ends, its schema included.
fn end_of_name(text: &str) -> usize {
    outside_quotes(text, |c| c == '(' || c.is_ascii_whitespace())
}

/// Where the first such character stands that is in no quoted name.
fn outside_quotes(text: &str, is_wanted: impl Fn(char) -> bool) -> usize {
    let mut within = false;
    let found = text.char_indices().find(|(_, c)| {
        within ^= *c == '"';
        !within && is_wanted(*c)
    });
    found.map_or(text.len(), |(at, _)| at)
}

/// The extension that a statement makes.
fn made_extension(sql: &str) -> Option<String> {
    let rest = sql.strip_prefix("CREATE EXTENSION ")?;
    leading_name(rest.strip_prefix("IF NOT EXISTS ").unwrap_or(rest))
}

/// The name that a text begins with, quotes undone.
fn leading_name(text: &str) -> Option<String> {
    if let Some(quoted) = text.strip_prefix('"') {
        let mut name = String::new();
        let mut chars = quoted.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '"' if chars.peek() == Some(&'"') => {
                    chars.next().into_iter().for_each(|c| name.push(c))
                }
                '"' => return Some(name),
                other => name.push(other),
            }
        }
        return None;
    }
    let name: String =
        text.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == '$').collect();
    (!name.is_empty()).then_some(name)
}

/// pg_cron can be made in one database of a server only, and stops a restore into any other.
pub fn is_cron(extension: &str) -> bool {
    extension == "pg_cron"
}

/// Which statements of a dump, in their order, are pg_cron's own: they are left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cron {
    is_made: bool,
}

impl Cron {
    /// Whether this one is, after those that were shown before.
    pub fn owns(&mut self, sql: &str) -> bool {
        self.is_made |= made_extension(sql).is_some_and(|name| is_cron(&name));
        self.is_made && mentions_cron(sql)
    }
}

/// A statement of a dump that makes pg_cron, or fills what it made; names may be quoted.
fn mentions_cron(sql: &str) -> bool {
    let of_extension = sql.strip_prefix("COMMENT ON EXTENSION ").and_then(leading_name);
    let fills = ["COPY ", "INSERT INTO ", "SELECT pg_catalog.setval('"];
    let granted = ["GRANT ", "REVOKE "].iter().any(|word| sql.starts_with(word));
    made_extension(sql).or(of_extension).is_some_and(|name| is_cron(&name))
        || fills.iter().any(|word| sql.strip_prefix(word).is_some_and(is_in_cron))
        || granted
            && [" cron.", " \"cron\".", " SCHEMA cron ", " SCHEMA \"cron\" "]
                .iter()
                .any(|words| sql.contains(words))
}

fn is_in_cron(name: &str) -> bool {
    name.starts_with("cron.") || name.starts_with("\"cron\".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_restore_needs_is_read_from_the_script() {
        let text = "CREATE EXTENSION IF NOT EXISTS \"uuid-ossp\" WITH SCHEMA public;\n\
            ALTER TABLE public.\"user\" OWNER TO \"the \"\"owner\";\n\
            GRANT SELECT ON TABLE public.t TO reader;\nREVOKE ALL ON SCHEMA public FROM PUBLIC;\n\
            ALTER DEFAULT PRIVILEGES FOR ROLE maker IN SCHEMA public GRANT SELECT ON TABLES TO reader WITH GRANT OPTION;\n\
            COPY public.\"user\" (id, name) FROM stdin;\na\tb\nc\td\n\\.\n\
            COPY public.empty FROM stdin;\n\\.\n-- PostgreSQL database dump complete\n";
        let found = Summary::of(text.as_bytes()).unwrap();
        assert_eq!(
            found.tables,
            BTreeMap::from([("public.\"user\"".into(), Some(2)), ("public.empty".into(), Some(0))])
        );
        assert_eq!((found.rows(), found.makes_tables), (Some(2), false));
        assert_eq!(found.roles, ["maker", "reader", "the \"owner"].map(String::from).into());
        assert_eq!(found.extensions, ["uuid-ossp".to_owned()].into());
    }

    #[test]
    fn rows_that_are_inserted_count_as_far_as_they_can_be_counted() {
        let text = "CREATE TABLE public.t (a int);\nINSERT INTO public.t VALUES (1);\nINSERT INTO public.t VALUES (2);\n\
            INSERT INTO public.\"odd ( name\" (\"a)\", b) OVERRIDING SYSTEM VALUE VALUES ('VALUES\n', 2);\n\
            INSERT INTO public.none DEFAULT VALUES;\n\
            INSERT INTO public.many VALUES\n\t(1),\n\t(2);\nINSERT INTO public.many VALUES\n\t(3);\n\
            COPY public.\"from (x) from\" FROM stdin;\n\\.\n-- PostgreSQL database dump complete\n";
        let found = Summary::of(text.as_bytes()).unwrap();
        let rows = [
            ("public.t", Some(2)),
            ("public.\"odd ( name\"", Some(1)),
            ("public.none", Some(1)),
            ("public.many", None),
            ("public.\"from (x) from\"", Some(0)),
        ];
        assert_eq!(found.tables, rows.map(|(name, rows)| (name.to_owned(), rows)).into());
        assert_eq!((found.rows(), found.makes_tables), (None, true));
    }

    #[test]
    fn what_pg_cron_owns_is_not_counted() {
        let text = "CREATE EXTENSION IF NOT EXISTS \"pg_cron\" WITH SCHEMA \"pg_catalog\";\n\
            COPY cron.job (jobid) FROM stdin;\n1\n\\.\nCOPY \"cron\".\"job\" (jobid) FROM stdin;\n2\n\\.\n\
            INSERT INTO cron.job VALUES (3);\n-- PostgreSQL database dump complete\n";
        let found = Summary::of(text.as_bytes()).unwrap();
        assert_eq!(found.tables, BTreeMap::new());
        assert_eq!(found.extensions, ["pg_cron".to_owned()].into());
        // Without the extension a schema of that name is anybody's.
        let (_, others) = text.split_once('\n').unwrap();
        assert_eq!(Summary::of(others.as_bytes()).unwrap().tables.len(), 2);
    }

    #[test]
    fn what_belongs_to_pg_cron_is_known() {
        for sql in [
            "CREATE EXTENSION IF NOT EXISTS pg_cron WITH SCHEMA pg_catalog;",
            "COMMENT ON EXTENSION pg_cron IS 'Job scheduler for PostgreSQL';",
            "COPY cron.job (jobid) FROM stdin;",
            "COPY \"cron\".\"job\" (\"jobid\") FROM stdin;",
            "GRANT USAGE ON SCHEMA \"cron\" TO \"app\";",
            "SELECT pg_catalog.setval('cron.jobid_seq', 1, true);",
            "GRANT ALL ON TABLE cron.job TO app;",
            "GRANT USAGE ON SCHEMA cron TO app;",
        ] {
            assert!(mentions_cron(sql), "{sql}");
        }
        for sql in ["COPY public.cron (a) FROM stdin;", "CREATE EXTENSION IF NOT EXISTS pgcrypto;"]
        {
            assert!(!mentions_cron(sql), "{sql}");
        }
    }
}
