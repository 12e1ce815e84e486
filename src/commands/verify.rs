//! `verify` (interim)

use crate::context::Context;
use crate::db::session::Session;
use crate::failure::Failure;
use crate::pipeline::{Access, Operation};
use crate::plan::Plan;
use crate::report::Report;

/// Flags of `verify`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// The command.
pub struct Verify {}

impl Verify {
    /// With these flags.
    pub fn new(_args: Args) -> Self {
        Self {}
    }
}

impl Operation for Verify {
    type State = ();
    type Work = ();
    fn access(&self) -> Access {
        Access::Read
    }
    async fn inspect(&self, _cx: &Context, _session: &Session) -> Result<(), Failure> {
        Ok(())
    }
    fn plan(&self, _cx: &Context, _state: &()) -> Result<Plan<()>, Failure> {
        Err(Failure::unexpected("not yet"))
    }
    async fn execute(&self, _cx: &Context, _s: &Session, _p: Plan<()>) -> Result<Report, Failure> {
        Err(Failure::unexpected("not yet"))
    }
}
