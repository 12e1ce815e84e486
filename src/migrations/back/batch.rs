//! One batch: how large it is, and what a row of it holds.

use std::time::Duration;

use super::forgotten;
use super::parts::name;
use super::returning::Kept;
use crate::db::error::QUALIFY;
use crate::db::identifiers::{literal, quoted};
use crate::failure::{Failure, Kind};

/// A batch is made as large as is put back in this time: so long the application may wait for a row.
const AIM: Duration = Duration::from_millis(20);
/// The first one.
pub(super) const FIRST: usize = 500;
const MOST: usize = 20_000;
/// However slow the machine: less would take longer to say than to do.
const LEAST: usize = 50;

/// Towards the aim, by half or to double at most.
pub(super) fn next_size(size: usize, took: Duration) -> usize {
    let ratio = AIM.as_secs_f64() / took.as_secs_f64().max(0.001);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let next = (size as f64 * ratio.clamp(0.5, 2.0)) as usize;
    next.clamp(LEAST, MOST)
}

/// The statement for what is kept.
pub(super) fn places(sql: &str, kept: &Kept) -> String {
    sql.replace("%KEPT%", &quoted(&kept.name))
        .replace("%TABLE%", &quoted(&kept.table))
        .replace("%FORGOTTEN_IN%", &quoted(&forgotten::name(kept)))
        .replace("%FORGOTTEN_NAME%", &literal(&forgotten::name(kept)))
        .replace("%NAME%", &literal(&kept.name))
        .replace("%TOLD%", &literal(&name(&kept.table, None)))
}

/// The id that row `k` of the table returns with: its own, where the application has not used it.
pub(super) fn id(table: &str) -> String {
    format!(
        "CASE WHEN EXISTS (SELECT FROM public.{} p WHERE p.id = k.id) \
         THEN nextval(pg_get_serial_sequence({}, 'id')) ELSE k.id END",
        quoted(table),
        literal(&format!("public.{}", quoted(table)))
    )
}

/// What a column of a returning row `k` holds, whose id is known by now.
pub(super) fn value(column: &str, emptied: &[&str]) -> String {
    let of = quoted(column);
    if column == "id" {
        return "k.markenmate_id".into();
    }
    if emptied.contains(&column) {
        return format!(
            "CASE WHEN EXISTS (SELECT FROM public.\"user\" u WHERE u.id = k.{of}) THEN k.{of} END"
        );
    }
    format!("k.{of}")
}

/// The rest of it returns by another run.
pub(super) fn stopped(mut failure: Failure, kept: &Kept) -> Failure {
    if failure.kind != Kind::Interrupted {
        failure.kind = Kind::Partial;
    }
    failure.next = Some("markenmate migrate".into());
    failure.hints.retain(|hint| !hint.starts_with("nothing was changed"));
    let first = failure.hints.iter().any(|hint| hint.starts_with(QUALIFY));
    failure.because(format!("the versions are committed; {} is still returning", kept.what())).hint(
        match first {
            true => "nothing is lost: once that is done, markenmate migrate goes on",
            false => "nothing is lost: the next markenmate migrate goes on",
        },
    )
}

/// Somebody was in the way, or faster: the same again finds another state.
pub(super) fn is_passing(failure: &Failure) -> bool {
    // foreign_key_violation, unique_violation, serialization_failure, deadlock_detected
    failure.kind == Kind::Busy
        || matches!(failure.sqlstate.as_deref(), Some("23503" | "23505" | "40001" | "40P01"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_grows_and_shrinks_towards_its_time() {
        assert_eq!(next_size(500, Duration::from_millis(1)), 1000);
        assert_eq!(next_size(500, AIM), 500);
        assert_eq!(next_size(500, AIM * 10), 250);
        assert_eq!(next_size(LEAST, AIM * 10), LEAST);
        assert_eq!(next_size(MOST, Duration::ZERO), MOST);
    }

    #[test]
    fn an_id_that_is_taken_and_a_user_who_is_gone_are_seen_to() {
        assert!(id("audit_log").contains("nextval("));
        assert_eq!(value("id", &[]), "k.markenmate_id");
        assert!(value("target_user_id", &["target_user_id"]).starts_with("CASE"));
        assert_eq!(value("user_id", &["target_user_id"]), "k.\"user_id\"");
    }
}
