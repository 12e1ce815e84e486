//! Parse, run, exit.

use std::process::ExitCode;

use markenmate::settings::Env;

fn main() -> ExitCode {
    ExitCode::from(markenmate::run(std::env::args_os().collect(), Env::real()))
}
