//! Which statements a plain dump may hold: those that pg_dump writes. What stands in the file is run with
//! the rights of whoever restores, and must not reach beyond the database that it fills.

/// The words of a statement up to its first text, names in quotes as `"`, other signs as they stand;
/// None where a comment stands among them, which pg_dump does not write.
fn words(sql: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = sql;
    // The server takes a vertical tab for a blank, too.
    let blank = |c: char| c.is_ascii_whitespace() || c == '\u{b}';
    while let Some(first) = rest.trim_start_matches(blank).chars().next() {
        rest = rest.trim_start_matches(blank);
        if rest.starts_with("--") || rest.starts_with("/*") {
            return None;
        }
        let end = match first {
            '\'' | '$' => break,
            '"' => rest[1..].find('"').map_or(rest.len(), |end| end + 2),
            c if is_letter(c) => rest.find(|c| !is_letter(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (word, after) = rest.split_at(end);
        found.push(if first == '"' { "\"".to_owned() } else { word.to_ascii_uppercase() });
        rest = after;
    }
    Some(found)
}

fn is_letter(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

/// What pg_dump calls; with one pair of parentheses, as none calls another.
const CALLED: [&str; 8] = [
    "SETVAL",
    "LO_CREATE",
    "LO_OPEN",
    "LO_CLOSE",
    "LOWRITE",
    "LO_UNLINK",
    "PG_RESTORE_RELATION_STATS",
    "PG_RESTORE_ATTRIBUTE_STATS",
];

const SEARCH_PATH: &str = "SELECT pg_catalog.set_config('search_path', '";

/// Why a statement does not belong into a dump of one database; none where it does. `COPY … FROM stdin`
/// is looked at elsewhere.
pub(super) fn foreign(sql: &str) -> Option<&'static str> {
    let Some(words) = words(sql) else {
        return Some("a comment where pg_dump writes none");
    };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let on = |what: &str| words.windows(2).any(|pair| pair == ["ON", what]);
    match words.as_slice() {
        ["CREATE" | "DROP" | "ALTER", "DATABASE", ..] => Some(DATABASE),
        ["COMMENT" | "GRANT" | "REVOKE" | "SECURITY", ..] if on("DATABASE") => Some(DATABASE),
        ["CREATE" | "DROP" | "ALTER", "USER", "MAPPING", ..] => None,
        ["CREATE" | "DROP" | "ALTER", "ROLE" | "USER" | "GROUP" | "TABLESPACE" | "SYSTEM", ..] => {
            Some(SERVER)
        }
        ["COMMENT" | "GRANT" | "REVOKE" | "SECURITY", ..]
            if on("ROLE") || on("TABLESPACE") || on("PARAMETER") =>
        {
            Some(SERVER)
        }
        // Without ON it is a role that is granted.
        ["GRANT" | "REVOKE", ..] if !words.contains(&"ON") => Some(SERVER),
        ["SET", "STANDARD_CONFORMING_STRINGS", ..] if sql.contains("off") => {
            Some("it turns standard_conforming_strings off")
        }
        ["SET", "SESSION" | "SESSION_AUTHORIZATION" | "ROLE" | "LOCAL", ..] => {
            Some("it changes who it is: dump it without --role and --use-set-session-authorization")
        }
        ["SET" | "CREATE" | "ALTER" | "DROP" | "GRANT" | "REVOKE" | "INSERT", ..]
        | ["COMMENT", "ON", ..]
        | ["SECURITY", "LABEL", ..]
        | ["REFRESH", "MATERIALIZED", ..]
        | ["BEGIN" | "COMMIT", ";"] => None,
        ["SELECT", "PG_CATALOG", ".", called, "(", ..] if CALLED.contains(called) => {
            (calls(sql) != 1).then_some(NONE_OF_ITS)
        }
        ["SELECT", ..] if sql.starts_with(SEARCH_PATH) && calls(sql) == 1 => None,
        _ => Some(NONE_OF_ITS),
    }
}

const DATABASE: &str = "it makes or changes a database itself: dump it without --create";
const SERVER: &str = "it is a dump of a whole server, not of one database";
const NONE_OF_ITS: &str = "pg_dump writes no such statement";

/// How many parentheses open outside of texts.
fn calls(sql: &str) -> usize {
    // Two quotes within a text are an end and a beginning.
    sql.split('\'').step_by(2).map(|outside| outside.matches('(').count()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pg_dump_writes_belongs_there() {
        for sql in [
            "SET statement_timeout = 0;",
            "SELECT pg_catalog.set_config('search_path', '', false);",
            "SELECT pg_catalog.setval('public.a''(''_seq', 7, true);",
            "SELECT pg_catalog.lo_create('16403');",
            "CREATE USER MAPPING FOR app SERVER s OPTIONS (password 'x');",
            "CREATE TABLE public.\"user\" (\n    id text NOT NULL\n);",
            "COMMENT ON TABLE public.t IS 'ON DATABASE';",
            "GRANT SELECT(a),UPDATE(b) ON TABLE public.t TO reader;",
            "ALTER DEFAULT PRIVILEGES FOR ROLE m IN SCHEMA public GRANT SELECT ON TABLES TO r;",
            "REFRESH MATERIALIZED VIEW public.m;",
            "CREATE FUNCTION public.f() RETURNS void LANGUAGE sql AS $$ -- x\nSELECT 1 $$;",
            "BEGIN;",
        ] {
            assert_eq!(foreign(sql), None, "{sql}");
        }
    }

    #[test]
    fn however_it_is_written_what_reaches_further_does_not() {
        for (sql, why) in [
            ("CREATE DATABASE x;", DATABASE),
            ("DROP DATABASE\"x\";", DATABASE),
            ("DROP\u{b}DATABASE x;", DATABASE),
            ("DROP /* */ DATABASE x;", "a comment where pg_dump writes none"),
            ("ALTER/**/SYSTEM SET a = 1;", "a comment where pg_dump writes none"),
            ("DROP -- \nDATABASE x;", "a comment where pg_dump writes none"),
            ("COMMENT ON DATABASE x IS 'y';", DATABASE),
            ("GRANT ALL ON DATABASE x TO y;", DATABASE),
            ("GRANT pg_execute_server_program TO y;", SERVER),
            ("ALTER ROLE x SUPERUSER;", SERVER),
            ("DO $$BEGIN END$$;", NONE_OF_ITS),
            ("COPY t FROM PROGRAM 'touch /tmp/x';", NONE_OF_ITS),
            ("SELECT public.f();", NONE_OF_ITS),
            ("SELECT pg_catalog.pg_terminate_backend(1);", NONE_OF_ITS),
            ("SELECT pg_catalog.setval('s', public.f());", NONE_OF_ITS),
            ("SELECT pg_catalog.set_config('role', 'x', false);", NONE_OF_ITS),
        ] {
            assert_eq!(foreign(sql), Some(why), "{sql}");
        }
        for sql in
            ["SET SESSION AUTHORIZATION x;", "SET ROLE x;", "set session_authorization = 'x';"]
        {
            assert!(foreign(sql).is_some_and(|why| why.contains("who it is")), "{sql}");
        }
    }
}
