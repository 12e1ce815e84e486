//! Five wrong passwords within 15 minutes lock an actor out of this tool for 15 minutes from the last.

use tokio_postgres::types::{ToSql, Type};

use crate::db::foreign;
use crate::db::ledger;
use crate::db::session::Session;
use crate::failure::Failure;

use super::guards::Reason;
use super::record;

/// So many.
const FAILURES: usize = 5;
/// In so many seconds, and for so long.
const SECONDS: f64 = 15.0 * 60.0;

const WHAT: &str = "cannot look for wrong passwords";

/// A wrong password.
#[derive(Debug, Clone, PartialEq)]
pub struct Miss {
    /// Seconds before now.
    pub ago: f64,
    /// RFC 3339: when a lock that begins with it ends.
    pub until: String,
    /// Of a run that is under way: it may be a right one yet.
    pub pending: bool,
}

/// Wrong passwords of half an hour, since the last right one, oldest first: the longest that can count,
/// as the last of five must be younger than 15 minutes.
pub async fn misses(session: &Session, user_id: &str) -> Result<Vec<Miss>, Failure> {
    let parameters: [(&(dyn ToSql + Sync), Type); 2] =
        [(&user_id, Type::TEXT), (&record::NOT_JUDGED, Type::TEXT)];
    read(&session.query(WHAT, include_str!("lockout.sql"), &parameters).await?)
}

/// The same in the name of nobody: known from the ledger alone, as far as there is one.
pub async fn misses_of_nobody(session: &Session, typed: &str) -> Result<Vec<Miss>, Failure> {
    let sets = session.run(WHAT, ledger::THERE).await?;
    if !sets.iter().flatten().any(|row| row.get(0) == Some("writable")) {
        return Ok(Vec::new());
    }
    // In one order: who guesses at many at once is counted as well.
    session.run(WHAT, &format!("{};{}", ledger::LOCK, foreign::plain())).await?;
    let reason = Reason::NotAuthenticated.to_string();
    let parameters: [(&(dyn ToSql + Sync), Type); 2] =
        [(&typed, Type::TEXT), (&reason, Type::TEXT)];
    read(&session.query(WHAT, include_str!("lockout_nobody.sql"), &parameters).await?)
}

fn read(rows: &[tokio_postgres::Row]) -> Result<Vec<Miss>, Failure> {
    let read = |row: &tokio_postgres::Row| -> Result<Miss, tokio_postgres::Error> {
        Ok(Miss {
            ago: row.try_get("ago")?,
            until: row.try_get("until")?,
            pending: row.try_get("pending")?,
        })
    };
    let misses: Result<Vec<_>, _> = rows.iter().map(read).collect();
    misses.map_err(|error| Failure::unexpected(WHAT).because(error))
}

/// Whether they lock out only as long as runs that are under way count.
pub fn is_open(misses: &[Miss]) -> bool {
    let judged: Vec<_> = misses.iter().filter(|miss| !miss.pending).cloned().collect();
    locked_until(misses).is_some() && locked_until(&judged).is_none()
}

/// Until when these lock out; none: not at all. Oldest first.
pub fn locked_until(misses: &[Miss]) -> Option<&str> {
    misses
        .windows(FAILURES)
        .filter_map(|five| five.first().zip(five.last()))
        .filter(|(first, last)| first.ago - last.ago <= SECONDS && last.ago < SECONDS)
        .map(|(_, last)| last.until.as_str())
        .next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Minutes ago, oldest first.
    fn until(minutes: &[f64]) -> Option<String> {
        let miss =
            |m: &f64| Miss { ago: m * 60.0, until: format!("{:.1}", 15.0 - m), pending: false };
        let misses: Vec<_> = minutes.iter().map(miss).collect();
        locked_until(&misses).map(str::to_owned)
    }

    #[test]
    fn the_fifth_within_a_quarter_of_an_hour_locks_for_one() {
        assert_eq!(until(&[]), None);
        assert_eq!(until(&[4.0, 3.0, 2.0, 1.0]), None);
        assert_eq!(until(&[4.0, 3.0, 2.0, 1.0, 0.0]).as_deref(), Some("15.0"));
        assert_eq!(until(&[18.9, 18.0, 17.0, 15.0, 14.0]).as_deref(), Some("1.0"));
        assert_eq!(until(&[19.0, 18.0, 17.0, 16.0, 15.0]), None);
    }

    #[test]
    fn what_is_under_way_is_waited_for() {
        let five = |pending: usize| -> Vec<_> {
            let miss = |n| Miss { ago: 1.0, until: String::new(), pending: n < pending };
            (0..5).map(miss).collect()
        };
        assert!(!is_open(&five(0)) && is_open(&five(1)) && is_open(&five(5)));
        assert!(!is_open(&five(5)[1..]));
    }

    #[test]
    fn five_that_are_further_apart_do_not() {
        assert_eq!(until(&[15.0, 11.0, 8.0, 4.0, 0.0]).as_deref(), Some("15.0"));
        assert_eq!(until(&[15.1, 11.0, 8.0, 4.0, 0.0]), None);
    }

    #[test]
    fn each_more_begins_the_time_anew() {
        assert_eq!(until(&[14.0, 14.0, 14.0, 14.0, 14.0, 3.0]).as_deref(), Some("12.0"));
        // Those who guess elsewhere as well: the last five are far apart, five before were not.
        assert_eq!(until(&[29.0, 14.0, 14.0, 14.0, 14.0, 13.9]).as_deref(), Some("1.1"));
    }
}
