//! Whom a row was about, where that user is gone when the row returns: its key leads to nobody then, and the pair
//! of both ids stays in `markenmate_quarantine`.

use super::returning::Kept;
use crate::db::identifiers::quoted;

/// The statement that makes the place for it, where there is none.
pub(super) const MAKE: &str = include_str!("forgotten.sql");

/// That place, of what is kept.
pub(super) fn name(kept: &Kept) -> String {
    // Names of ours have room for it; of others nobody knows.
    let end = kept.name.char_indices().map(|(at, _)| at).take_while(|at| *at <= 54).last();
    let cut = if kept.name.len() <= 54 { kept.name.len() } else { end.unwrap_or_default() };
    format!("{}_targets", &kept.name[..cut])
}

/// The part of a batch that writes it, of the rows `moving`.
pub(super) fn sql(column: &str) -> String {
    let of = quoted(column);
    format!(
        "forgotten AS (
        INSERT INTO markenmate_quarantine.%FORGOTTEN_IN% (id, target_user_id)
        SELECT k.markenmate_id, k.{of} FROM moving k
         WHERE k.{of} IS NOT NULL AND NOT EXISTS (SELECT FROM public.\"user\" u WHERE u.id = k.{of})
    ), "
    )
}
