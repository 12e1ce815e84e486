//! What a run would be refused, told by a dry run: as far as it shows without a change.

use super::rows::Seen;
use crate::cleanup::ground::Ground;
use crate::cleanup::orphans;
use crate::context::Context;
use crate::db::session::Session;
use crate::failure::{Failure, Kind};

/// The refusal; none where nothing is seen to stand in the way.
///
/// # Errors
/// Whatever keeps from looking.
pub(super) async fn refusal(
    cx: &Context,
    session: &Session,
    seen: &Seen,
) -> Result<Option<Failure>, Failure> {
    match foresee(cx, session, seen).await {
        Ok(()) => Ok(None),
        Err(failure) if failure.kind == Kind::Refused => Ok(Some(failure)),
        Err(failure) => Err(failure),
    }
}

/// In the order of a run.
async fn foresee(cx: &Context, session: &Session, seen: &Seen) -> Result<(), Failure> {
    let role = &seen.role;
    if let Some(export) = &seen.export {
        export.foresee(cx, session, role, &seen.months).await?;
    }
    if !seen.dues.is_empty() {
        Ground::foresee(session, role).await?;
    }
    if !seen.orphans.is_empty() || seen.kept > 0 {
        orphans::foresee(session, role, &seen.orphans).await?;
    }
    Ok(())
}
