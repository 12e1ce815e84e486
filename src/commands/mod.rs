//! One verb, one file: its flags (their comments are the help) and its three steps.

pub mod backup;
pub mod demo;
pub mod migrate;
pub mod rollback;
mod shell;
pub mod status;
pub mod util;
pub mod verify;
