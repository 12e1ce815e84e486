//! `cleanup`: what is kept, and is needed no more.

use crate::context::Context;
use crate::failure::Ending;
use crate::pipeline;

mod set_aside;

/// Flags of `cleanup`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is cleaned up
    #[command(subcommand)]
    pub what: What,
}

/// What is cleaned up.
#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// List and drop what rollback and restore have kept: tables in markenmate_quarantine, databases under another name
    SetAside(set_aside::Args),
}

/// Runs it.
pub async fn run(cx: &Context, args: Args) -> Ending {
    match args.what {
        What::SetAside(args) => pipeline::drive(cx, &set_aside::SetAside::new(args)).await,
    }
}
