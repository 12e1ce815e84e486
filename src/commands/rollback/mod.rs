//! `rollback`: the way back, by either of the guide's two.

use crate::context::Context;
use crate::failure::Ending;
use crate::pipeline;

mod args;
mod recorded;
mod restore;
mod shown;
mod source;
mod to;
mod ways;

pub use args::Args;

/// Runs it.
pub async fn run(cx: &Context, args: Args) -> Ending {
    match args.restore.clone() {
        Some(path) => pipeline::drive(cx, &restore::Restore::new(args, path)).await,
        None => pipeline::drive(cx, &to::To::new(args)).await,
    }
}
