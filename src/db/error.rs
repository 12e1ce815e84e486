//! From a server's error to a failure that says what was being attempted. (interim)

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::failure::{Failure, Kind};

/// The failure of `what`, with SQLSTATE, detail and hint kept.
pub fn failure(what: &str, error: &Error) -> Failure {
    let Some(db) = error.as_db_error() else {
        return Failure::unexpected(what).because_of(error);
    };
    let kind = match *db.code() {
        SqlState::INSUFFICIENT_PRIVILEGE | SqlState::READ_ONLY_SQL_TRANSACTION => Kind::Refused,
        SqlState::LOCK_NOT_AVAILABLE
        | SqlState::T_R_DEADLOCK_DETECTED
        | SqlState::T_R_SERIALIZATION_FAILURE => Kind::Busy,
        SqlState::TOO_MANY_CONNECTIONS => Kind::Connection,
        _ => Kind::Unexpected,
    };
    let mut failure = Failure::new(kind, what).because(db.message());
    failure.sqlstate = Some(db.code().code().to_owned());
    if let Some(detail) = db.detail() {
        failure = failure.because(detail);
    }
    if let Some(hint) = db.hint() {
        failure = failure.hint(hint);
    }
    failure
}
