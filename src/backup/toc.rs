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

    /// The list for `--use-list` without pg_cron, and what was left out; none where there is no pg_cron.
    pub fn without_cron(&self) -> Option<(String, Vec<String>)> {
        if !self.extensions().iter().any(|name| is_cron(name)) {
            return None;
        }
        let (out, kept): (Vec<_>, Vec<_>) =
            self.lines.iter().partition(|line| belongs_to_cron(what(line)));
        let kept = kept.iter().map(|line| line.as_str()).collect::<Vec<_>>().join("\n");
        Some((kept, out.iter().map(|line| what(line).trim_end().to_owned()).collect()))
    }
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
        let (kept, out) = toc.without_cron().unwrap();
        let kept: Vec<_> = kept.lines().map(|line| what(line).trim_end()).collect();
        assert_eq!(
            kept,
            ["EXTENSION - pgcrypto", "TABLE public cron owner", "TABLE DATA public cron owner"]
        );
        assert_eq!(out.len(), 6);
        let without = LIST.replace("EXTENSION - pg_cron", "EXTENSION - other");
        assert_eq!(Toc::parse(&without).without_cron(), None);
    }
}
