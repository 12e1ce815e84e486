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

#[cfg(test)]
mod tests {
    use super::*;

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
