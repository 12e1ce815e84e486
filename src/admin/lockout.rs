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

/// A lock that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// RFC 3339.
    pub until: String,
    /// So many minutes from now, begun ones included.
    pub minutes: u32,
}

impl std::fmt::Display for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let s = if self.minutes == 1 { "" } else { "s" };
        write!(f, "locked out until {}, {} minute{s} from now", self.until, self.minutes)
    }
}

/// Whether they lock out only as long as runs that are under way count.
pub fn is_open(misses: &[Miss]) -> bool {
    let judged: Vec<_> = misses.iter().filter(|miss| !miss.pending).cloned().collect();
    lock(misses).is_some() && lock(&judged).is_none()
}

/// How these lock out; none: not at all. Oldest first.
pub fn lock(misses: &[Miss]) -> Option<Lock> {
    let (_, last) = misses
        .windows(FAILURES)
        .filter_map(|five| five.first().zip(five.last()))
        .rfind(|(first, last)| first.ago - last.ago <= SECONDS && last.ago < SECONDS)?;
    // 1 to 15.
    let minutes = ((SECONDS - last.ago) / 60.0).ceil().clamp(1.0, 15.0) as u32;
    Some(Lock { until: last.until.clone(), minutes })
}

/// What a wrong password is told, where it was the last before a lock.
pub fn tell(mut failure: Failure, misses: &[Miss]) -> Failure {
    let Some(lock) = lock(misses) else { return failure };
    failure.hints.clear();
    failure.data = Some(locked_data(&lock));
    let failure = failure.because(format!("it was the last of five within 15 minutes: {lock}"));
    super::guards::LOCKED_OUT.iter().fold(failure, |failure, hint| failure.hint(*hint))
}

/// For the JSON document.
pub fn locked_data(lock: &Lock) -> serde_json::Value {
    serde_json::json!({ "locked_until": lock.until })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Minutes ago, oldest first.
    fn until(minutes: &[f64]) -> Option<String> {
        let miss =
            |m: &f64| Miss { ago: m * 60.0, until: format!("{:.1}", 15.0 - m), pending: false };
        let misses: Vec<_> = minutes.iter().map(miss).collect();
        lock(&misses).map(|lock| lock.until)
    }

    #[test]
    fn the_time_left_is_told_in_minutes() {
        let five = |ago: f64| {
            let miss = |_| Miss { ago, until: "T".into(), pending: false };
            lock(&(0..5).map(miss).collect::<Vec<_>>()).map(|lock| lock.to_string())
        };
        assert_eq!(five(0.2).as_deref(), Some("locked out until T, 15 minutes from now"));
        assert_eq!(five(839.9).as_deref(), Some("locked out until T, 2 minutes from now"));
        assert_eq!(five(899.9).as_deref(), Some("locked out until T, 1 minute from now"));
        assert_eq!(five(900.0), None);
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
