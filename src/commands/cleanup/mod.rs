//! `cleanup`: what is kept, and is needed no more.

use crate::context::Context;
use crate::failure::Ending;
use crate::pipeline;

mod args;
mod foreseen;
mod outcome;
mod owner;
mod partial;
mod rows;
pub(super) mod schedule;
mod set_aside;
mod shown;

/// Flags of `cleanup`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// What else is cleaned up
    #[command(subcommand)]
    pub kept: Option<What>,
    #[command(flatten)]
    rows: args::Args,
}

/// What is cleaned up but rows whose time is over.
#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// List and drop what rollback and restore have kept: tables in markenmate_quarantine, databases under another name
    SetAside(set_aside::Args),
    /// Print or set up what runs it: tokens every 10 minutes, audit monthly
    Schedule(schedule::Args),
}

/// Runs it.
pub async fn run(cx: &Context, args: Args) -> Ending {
    match args.kept {
        None => pipeline::drive(cx, &rows::Rows::new(args.rows)).await,
        Some(What::Schedule(args)) => schedule::run(cx, args).await,
        Some(What::SetAside(args)) => pipeline::drive(cx, &set_aside::SetAside::new(args)).await,
    }
}
