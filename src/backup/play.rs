//! Runs a plain dump, statement by statement. The server sees SQL only, and psql sees none of it.

use std::io::BufRead;

use bytes::Bytes;

use super::restore::{Hands, How};
use super::script::{Cron, Piece, Script};
use crate::db::session::Session;
use crate::failure::{Failure, Kind};

/// How much of a table's rows is sent at once.
pub(super) const CHUNK: usize = 256 * 1024;

const WHAT: &str = "cannot restore";

/// Runs it. Says what belongs to pg_cron and was left out.
///
/// # Errors
/// `failure`, with the first error.
pub(super) async fn play<R: BufRead>(
    hands: Hands<'_>,
    mut script: Script<R>,
    how: &How,
    failure: impl Fn() -> Failure,
) -> Result<Vec<String>, Failure> {
    let mut left_out = Vec::new();
    let (mut cron, mut is_bare) = (Cron::default(), true);
    // Whatever is committed later brings to disk what was committed before.
    hands.rest.run(WHAT, "SET synchronous_commit = off").await?;
    while let Some(piece) = script.next_piece().map_err(|broken| failure().because(broken))? {
        let (Piece::Statement(sql) | Piece::Copy(sql)) = &piece;
        let of_cron = cron.owns(sql);
        let skipped = of_cron || is_left_out(sql, how, hands);
        if of_cron {
            left_out.push(first_line(sql));
        }
        let session = if is_of_extension(sql, is_bare) { hands.extensions } else { hands.rest };
        is_bare &= skipped || leaves_bare(sql);
        match &piece {
            Piece::Copy(sql) => copy(session, &mut script, sql, skipped).await,
            Piece::Statement(_) if skipped => Ok(()),
            Piece::Statement(sql) => statement(session, sql).await,
        }
        .map_err(|cause| stopped(failure(), first_line(sql), cause))?;
    }
    Ok(left_out)
}

/// What pg_restore leaves out with `--no-subscriptions`.
const SUBSCRIPTION: [&str; 3] =
    ["CREATE SUBSCRIPTION ", "ALTER SUBSCRIPTION ", "COMMENT ON SUBSCRIPTION "];

/// What it leaves out with `--no-privileges`.
const PRIVILEGES: [&str; 3] = ["GRANT ", "REVOKE ", "ALTER DEFAULT PRIVILEGES "];

fn is_left_out(sql: &str, how: &How, hands: Hands<'_>) -> bool {
    let begins = |words: &[&str]| words.iter().any(|words| sql.starts_with(words));
    how.without_tablespaces && begins(&["SET default_tablespace "])
        || begins(&SUBSCRIPTION)
        || !hands.are_one() && (begins(&PRIVILEGES) || names_owner(sql))
}

/// `ALTER … OWNER TO role;`, and no default that reads like it.
fn names_owner(sql: &str) -> bool {
    sql.starts_with("ALTER ")
        && sql
            .strip_suffix(';')
            .and_then(|sql| sql.rsplit_once(" OWNER TO "))
            .is_some_and(|(_, role)| is_name(role))
}

/// What takes a superuser. Its script must find nothing that somebody else has put in its way: what comes
/// later is made by the other hand, of which the server makes only what it trusts.
fn is_of_extension(sql: &str, is_bare: bool) -> bool {
    is_bare && sql.starts_with("CREATE EXTENSION ") || sql.starts_with("COMMENT ON EXTENSION ")
}

/// Makes nothing that an extension's script could run, and runs nothing itself.
fn leaves_bare(sql: &str) -> bool {
    let words = ["SET ", "COMMENT ON ", "CREATE EXTENSION ", "CREATE COLLATION "];
    let schema = sql.strip_prefix("CREATE SCHEMA ").and_then(|sql| sql.strip_suffix(';'));
    words.iter().any(|words| sql.starts_with(words))
        || sql == "SELECT pg_catalog.set_config('search_path', '', false);"
        || schema.is_some_and(is_name)
}

/// One name, as pg_dump writes it.
fn is_name(text: &str) -> bool {
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(quoted) => !quoted.replace("\"\"", "").contains('"'),
        None => text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'),
    }
}

/// Where it stopped, and why: what the server says to a statement of the file is no fault of ours.
fn stopped(failure: Failure, at: String, cause: Failure) -> Failure {
    let kind = if cause.kind == Kind::Unexpected { failure.kind } else { cause.kind };
    let sqlstate = cause.sqlstate.clone();
    Failure { kind, sqlstate, ..failure.because(at).because(cause) }
}

async fn statement(session: &Session, sql: &str) -> Result<(), Failure> {
    match session.run(WHAT, sql).await {
        // A newer pg_dump names settings that an older server does not know; they are pauses only.
        Err(failure) if sql.starts_with("SET ") && failure.sqlstate.as_deref() == Some("42704") => {
            Ok(())
        }
        other => other.map(drop),
    }
}

async fn copy<R: BufRead>(
    session: &Session,
    script: &mut Script<R>,
    sql: &str,
    skipped: bool,
) -> Result<(), Failure> {
    let mut rows = if skipped { None } else { Some(session.copy_in(WHAT, sql).await?) };
    let mut bytes = Vec::with_capacity(CHUNK);
    loop {
        let chunk = script
            .rows(CHUNK, &mut bytes)
            .map_err(|broken| Failure::refused(broken.to_string()))?;
        if let Some(rows) = &mut rows {
            rows.send(WHAT, Bytes::copy_from_slice(&bytes)).await?;
        }
        if chunk.last {
            break;
        }
    }
    match rows {
        Some(rows) => rows.finish(WHAT).await.map(drop),
        None => Ok(()),
    }
}

fn first_line(sql: &str) -> String {
    sql.lines().next().unwrap_or_default().chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_left_out_and_nothing_that_reads_like_them() {
        for sql in [
            "ALTER TABLE public.\"user\" OWNER TO app;",
            "ALTER FUNCTION public.f(a text) OWNER TO \"our \"\"app\"\" OWNER TO\";",
        ] {
            assert!(names_owner(sql), "{sql}");
        }
        for sql in [
            "ALTER TABLE ONLY public.t ALTER COLUMN a SET DEFAULT 'b OWNER TO c'::text;",
            "ALTER TABLE ONLY public.t ALTER COLUMN a SET DEFAULT ' OWNER TO ';",
            "CREATE VIEW public.v AS SELECT ' OWNER TO a;",
        ] {
            assert!(!names_owner(sql), "{sql}");
        }
    }

    #[test]
    fn only_an_extension_that_comes_before_all_else_is_made_by_the_superuser() {
        for sql in [
            "SET statement_timeout = 0;",
            "SELECT pg_catalog.set_config('search_path', '', false);",
            "CREATE SCHEMA a;",
            "CREATE SCHEMA \"a b\";",
            "CREATE EXTENSION IF NOT EXISTS a WITH SCHEMA public;",
        ] {
            assert!(leaves_bare(sql), "{sql}");
        }
        for sql in [
            "SELECT pg_catalog.set_config('a.b', public.f(), false);",
            "CREATE SCHEMA a CREATE TABLE b (c int);",
            "CREATE SCHEMA \"a\" CREATE VIEW b AS SELECT 1 AS \"c\";",
            "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1';",
            "CREATE MATERIALIZED VIEW public.m AS SELECT 1;",
        ] {
            assert!(!leaves_bare(sql), "{sql}");
        }
        assert!(is_of_extension("CREATE EXTENSION a;", true));
        assert!(!is_of_extension("CREATE EXTENSION a;", false));
        assert!(is_of_extension("COMMENT ON EXTENSION a IS 'b';", false));
        assert!(!is_of_extension("CREATE TABLE a (b int);", true));
    }
}
