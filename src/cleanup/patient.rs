//! Trying again while somebody is in the way.

use std::time::Duration;

use crate::context::Context;
use crate::db::locks::Wanted;
use crate::db::patience::{Patience, Setback};
use crate::db::session::Session;
use crate::failure::Failure;

/// Tries for as long as one may wait for each obstacle: a cleanup meets many. `ours` are the pids of sessions beside
/// this one.
///
/// # Errors
/// Busy (7) with whoever is in the way of rows of `tables`; whatever else the attempt ends in.
pub async fn patiently<T>(
    cx: &Context,
    session: &Session,
    tables: &[&str],
    ours: &[i32],
    mut attempt: impl AsyncFnMut() -> Result<T, Failure>,
) -> Result<T, Failure> {
    session.has_waited(Duration::ZERO);
    let Context { console, interrupt, settings, .. } = cx;
    let patience = Patience::new(session, console, interrupt, tables, settings.max_wait)
        .wanting(Wanted::Rows)
        .besides(ours);
    let tried = patience.exercise(async |_| attempt().await.map_err(Setback::from)).await?;
    Ok(tried.value)
}
