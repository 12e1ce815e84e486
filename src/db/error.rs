//! What the server said, as a failure with its SQLSTATE, detail and hint.

use std::error::Error as _;

use tokio_postgres::error::DbError;

use crate::failure::{Failure, Kind};

/// The failure of `what`, which ended in `error`.
///
/// The kind follows the SQLSTATE (see [`kind_of`]); message and detail become causes, the
/// server's hint and ours become hints. A lost connection is [`Kind::Unexpected`]: whether the
/// work was done is known only to the caller.
pub fn failure(what: &str, error: &tokio_postgres::Error) -> Failure {
    if let Some(server) = error.as_db_error() {
        return of_server(what, server);
    }
    let failure = Failure::unexpected(what);
    if is_lost(error) {
        let lost = failure.because("the connection to the server was lost");
        return match error.source() {
            Some(source) => lost.because_of(source),
            None => lost,
        };
    }
    failure.because_of(error)
}

/// The connection broke, or the server closed it.
pub fn is_lost(error: &tokio_postgres::Error) -> bool {
    let broke = error.source().is_some_and(|source| source.is::<std::io::Error>());
    error.is_closed() || broke
}

/// What sort of failure an SQLSTATE is.
pub fn kind_of(sqlstate: &str) -> Kind {
    match sqlstate {
        // insufficient_privilege, read_only_sql_transaction
        "42501" | "25006" => Kind::Refused,
        // lock_not_available, deadlock_detected, serialization_failure
        "55P03" | "40P01" | "40001" => Kind::Busy,
        // too_many_connections, invalid_catalog_name, cannot_connect_now
        "53300" | "3D000" | "57P03" => Kind::Connection,
        // A guard of V3 (migrations/V3__guards.sql).
        code if code.starts_with("MM1") => Kind::Refused,
        code if code.starts_with("28") || code.starts_with("08") => Kind::Connection,
        _ => Kind::Unexpected,
    }
}

fn of_server(what: &str, server: &DbError) -> Failure {
    let code = server.code().code();
    let mut failure = Failure::new(kind_of(code), what).because(server.message());
    failure.sqlstate = Some(code.to_owned());
    if let Some(detail) = server.detail() {
        failure = failure.because(detail);
    }
    if let Some(hint) = server.hint() {
        failure = failure.hint(hint);
    }
    if let Some(hint) = server.where_().and_then(|context| unqualified(code, context)) {
        failure = failure.hint(hint);
    }
    match code {
        "57014" => failure.hint("if it ran into the time limit, raise it: --statement-timeout 15m"),
        "53300" => failure.hint("try again when other clients have closed their connections"),
        "42501" => failure.hint("connect as the owner of the tables, or as a member of that role"),
        "25006" => {
            failure.hint("connect to the primary, or turn default_transaction_read_only off")
        }
        _ => failure,
    }
}

/// What a function of others lacks that names things without their schema: we run with nothing but pg_catalog in
/// search_path, as a function must not depend on who calls it.
fn unqualified(code: &str, context: &str) -> Option<String> {
    // undefined_table, undefined_function, undefined_object
    if !["42P01", "42883", "42704"].contains(&code) {
        return None;
    }
    let called = context.lines().find_map(|line| line.strip_prefix("PL/pgSQL function "))?;
    let name = &called[..=called.find(')')?];
    let is_ours = name.starts_with("inline_code_block") || name.starts_with("markenmate.");
    (!is_ours).then(|| {
        format!("{QUALIFY}{name} SET search_path = public, pg_catalog;  -- it names things without their schema")
    })
}

/// How that hint begins.
pub const QUALIFY: &str = "ALTER FUNCTION ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_that_looks_elsewhere_is_named() {
        let context = "PL/pgSQL function public.\"n; o\"(integer,text) line 3 at SQL statement\nSQL statement \"x\"\n\
                       PL/pgSQL function inline_code_block line 19 at SQL statement";
        let hint = unqualified("42P01", context).expect("a hint");
        assert!(
            hint.starts_with("ALTER FUNCTION public.\"n; o\"(integer,text) SET search_path"),
            "{hint}"
        );
        assert_eq!(unqualified("23505", context), None);
        assert_eq!(
            unqualified("42P01", "PL/pgSQL function inline_code_block line 19 at SQL statement"),
            None
        );
        assert_eq!(
            unqualified("42P01", "PL/pgSQL function markenmate.guard() line 1 at RAISE"),
            None
        );
        assert_eq!(unqualified("42883", "SQL statement \"x\""), None);
    }

    #[test]
    fn the_code_decides() {
        for (code, exit) in [
            ("42501", 4),
            ("25006", 4),
            ("55P03", 7),
            ("40P01", 7),
            ("40001", 7),
            ("53300", 5),
            ("28P01", 5),
            ("28000", 5),
            ("3D000", 5),
            ("08006", 5),
            ("57P03", 5),
            ("57014", 1),
            ("57P01", 1),
            ("23505", 1),
            ("MM101", 4),
        ] {
            assert_eq!(kind_of(code).exit_code(), exit, "{code}");
        }
    }
}
