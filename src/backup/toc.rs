//! An archive's table of contents, as `pg_restore --list` prints it.

use super::script::is_cron;

/// The list, entry by entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Toc {
    lines: Vec<String>,
}

impl Toc {
    /// Reads what pg_restore printed.
    pub fn parse(text: &str) -> Self {
        let entry = |line: &&str| !line.starts_with(';') && !line.trim().is_empty();
        Self { lines: text.lines().filter(entry).map(str::to_owned).collect() }
    }

    /// The extensions it makes.
    pub fn extensions(&self) -> Vec<String> {
        let named = |line: &String| {
            let name = what(line).strip_prefix("EXTENSION - ")?;
            Some(name.trim_end().to_owned())
        };
        self.lines.iter().filter_map(named).collect()
    }

    /// The list without pg_cron, and what was left out: nothing where there is no pg_cron.
    pub fn without_cron(self) -> (Self, Vec<String>) {
        if !self.extensions().iter().any(|name| is_cron(name)) {
            return (self, Vec::new());
        }
        let (out, kept) = self.split(belongs_to_cron);
        (kept, out.lines.iter().map(|line| what(line).trim_end().to_owned()).collect())
    }

    /// In the order in which they can be restored: an extension stands in a schema, and the rest may use it.
    pub fn parts(self) -> Parts {
        let (extensions, others) = self.split(|what| {
            what.starts_with("EXTENSION - ") || what.starts_with("COMMENT - EXTENSION ")
        });
        let (schemas, rest) = others.split(|what| what.starts_with("SCHEMA - "));
        Parts { schemas, extensions, rest }
    }

    /// Whether nothing is listed.
    pub const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    fn split(self, is_of: impl Fn(&str) -> bool) -> (Self, Self) {
        let (of, others) = self.lines.into_iter().partition(|line| is_of(what(line)));
        (Self { lines: of }, Self { lines: others })
    }
}

/// As `--use-list` takes it.
impl std::fmt::Display for Toc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A list, by who restores it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// Schemas alone.
    pub schemas: Toc,
    /// Extensions and what is said of them.
    pub extensions: Toc,
    /// What is neither.
    pub rest: Toc,
}

/// The entry without its three numbers: `TABLE DATA cron job postgres`.
fn what(line: &str) -> &str {
    line.splitn(4, ' ').nth(3).unwrap_or_default()
}

fn belongs_to_cron(what: &str) -> bool {
    let of_extension = ["EXTENSION - pg_cron", "COMMENT - EXTENSION pg_cron", "ACL - SCHEMA cron"];
    let of_schema = ["TABLE DATA", "SEQUENCE SET", "ACL", "DEFAULT ACL", "POLICY", "ROW SECURITY"];
    of_extension
        .iter()
        .any(|text| what.trim_end() == *text || what.starts_with(&format!("{text} ")))
        || of_schema.iter().any(|kind| what.starts_with(&format!("{kind} cron ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = ";\n; Archive created at 2026-11-25\n;\n\
        2; 3079 16384 EXTENSION - pg_cron \n\
        3401; 0 0 COMMENT - EXTENSION pg_cron \n\
        3; 3079 16400 EXTENSION - pgcrypto \n\
        209; 1259 16440 TABLE public cron owner\n\
        3394; 0 16388 TABLE DATA cron job postgres\n\
        3402; 0 0 SEQUENCE SET cron jobid_seq postgres\n\
        3403; 0 0 ACL cron TABLE job postgres\n\
        3404; 0 0 ACL - SCHEMA cron postgres\n\
        3395; 0 16440 TABLE DATA public cron owner\n";

    #[test]
    fn pg_cron_is_left_out_and_nothing_else() {
        let toc = Toc::parse(LIST);
        assert_eq!(toc.extensions(), ["pg_cron", "pgcrypto"]);
        let (kept, out) = toc.without_cron();
        assert_eq!(
            whats(&kept),
            ["EXTENSION - pgcrypto", "TABLE public cron owner", "TABLE DATA public cron owner"]
        );
        assert_eq!(out.len(), 6);
        let without = LIST.replace("EXTENSION - pg_cron", "EXTENSION - other");
        let without = Toc::parse(&without);
        assert_eq!(without.clone().without_cron(), (without, Vec::new()));
    }

    #[test]
    fn extensions_and_their_schemas_are_told_from_the_rest() {
        let list = "6; 2615 16385 SCHEMA - EXTENSION owner\n\
            2; 3079 16384 EXTENSION - hstore \n\
            3401; 0 0 COMMENT - EXTENSION hstore \n\
            3402; 0 0 COMMENT - SCHEMA \"EXTENSION\" owner\n\
            209; 1259 16440 TABLE EXTENSION - owner\n";
        let parts = Toc::parse(list).parts();
        assert_eq!(whats(&parts.schemas), ["SCHEMA - EXTENSION owner"]);
        assert_eq!(whats(&parts.extensions), ["EXTENSION - hstore", "COMMENT - EXTENSION hstore"]);
        assert_eq!(
            whats(&parts.rest),
            ["COMMENT - SCHEMA \"EXTENSION\" owner", "TABLE EXTENSION - owner"]
        );
        assert_eq!(parts.schemas.to_string(), "6; 2615 16385 SCHEMA - EXTENSION owner\n");
    }

    fn whats(toc: &Toc) -> Vec<&str> {
        toc.lines.iter().map(|line| what(line).trim_end()).collect()
    }
}
