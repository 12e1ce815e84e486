//! A backup on the way to something else.

use std::path::PathBuf;

use crate::context::Context;
use crate::db::patience::Setback;
use crate::db::session::Session;
use crate::failure::Failure;
use crate::pipeline::Operation;

use super::{Args, Backup, verify};

/// One with all its defaults, and proven.
pub async fn now(cx: &Context, session: &Session) -> Result<PathBuf, Failure> {
    make(cx, session, &Backup::new(Args::default())).await
}

/// The same, of what a restore is about to replace.
pub async fn of_what_goes(cx: &Context, session: &Session) -> Result<PathBuf, Failure> {
    make(cx, session, &Backup::before_restore()).await
}

/// The same, without a word in the database itself.
pub async fn only_reading(cx: &Context, session: &Session) -> Result<PathBuf, Failure> {
    make(cx, session, &Backup::only_reading()).await
}

async fn make(cx: &Context, session: &Session, operation: &Backup) -> Result<PathBuf, Failure> {
    let seen = operation.look(cx, session).await.map_err(|setback| match setback {
        Setback::Fatal(failure) | Setback::Obstacle(_, failure) => failure,
    })?;
    let plan = operation.plan(cx, &seen)?;
    let path = plan.work.target().to_path_buf();
    operation.execute(cx, session, plan).await?;
    verify(cx, &path, None, false).await?;
    cx.console.insist(&format!("backed up and verified: {}", path.display()));
    Ok(path)
}
