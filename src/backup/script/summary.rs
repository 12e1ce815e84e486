//! What a plain dump holds, as far as a restore must know beforehand.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use super::{Broken, Piece, Script};

/// What a script was found to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rows of every table that is filled by `COPY`, by its name as it stands there.
    pub tables: BTreeMap<String, u64>,
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
        let mut found = Self::default();
        let mut rows = Vec::new();
        while let Some(piece) = script.next_piece()? {
            match piece {
                Piece::Statement(sql) => found.note(&sql),
                Piece::Copy(sql) => loop {
                    let chunk = script.rows(64 * 1024, &mut rows)?;
                    *found.tables.entry(copied(&sql).to_owned()).or_default() += chunk.rows;
                    if chunk.last {
                        break;
                    }
                },
            }
        }
        Ok(found)
    }

    fn note(&mut self, sql: &str) {
        if let Some(rest) = sql.strip_prefix("CREATE EXTENSION ") {
            let name = rest.strip_prefix("IF NOT EXISTS ").unwrap_or(rest);
            self.extensions.extend(leading_name(name));
        }
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
    let end = rest.find(" (").or_else(|| rest.to_ascii_lowercase().rfind(" from "));
    &rest[..end.unwrap_or(rest.len())]
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

/// A statement of a dump that makes pg_cron, or fills what it made.
pub fn mentions_cron(sql: &str) -> bool {
    let extension = ["CREATE EXTENSION IF NOT EXISTS ", "COMMENT ON EXTENSION "];
    let made = ["COPY cron.", "INSERT INTO cron.", "SELECT pg_catalog.setval('cron."];
    let granted = ["GRANT ", "REVOKE "];
    let begins = |words: &[&str]| words.iter().any(|word| sql.starts_with(word));
    extension.iter().any(|word| {
        sql.strip_prefix(word).and_then(leading_name).is_some_and(|name| is_cron(&name))
    }) || begins(&made)
        || begins(&granted) && (sql.contains(" cron.") || sql.contains(" SCHEMA cron "))
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
            BTreeMap::from([("public.\"user\"".into(), 2), ("public.empty".into(), 0)])
        );
        assert_eq!(found.roles, ["maker", "reader", "the \"owner"].map(String::from).into());
        assert_eq!(found.extensions, ["uuid-ossp".to_owned()].into());
    }

    #[test]
    fn what_belongs_to_pg_cron_is_known() {
        for sql in [
            "CREATE EXTENSION IF NOT EXISTS pg_cron WITH SCHEMA pg_catalog;",
            "COMMENT ON EXTENSION pg_cron IS 'Job scheduler for PostgreSQL';",
            "COPY cron.job (jobid) FROM stdin;",
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
