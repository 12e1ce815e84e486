//! `demo`: the main job on a throwaway PostgreSQL. (interim)

use crate::context::Context;
use crate::failure::Failure;
use crate::report::Report;

/// Flags of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Leave the server running and print its URL, until Ctrl-C
    #[arg(long)]
    pub keep: bool,
}

/// Runs it.
pub async fn run(_cx: &Context, _args: Args) -> Result<Report, Failure> {
    Err(Failure::unexpected("not yet"))
}
