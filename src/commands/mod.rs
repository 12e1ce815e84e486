//! One verb, one file: its flags (their comments are the help) and its three steps.

pub mod admin;
pub mod backup;
pub mod cleanup;
pub mod demo;
mod doctor;
mod forecast;
pub mod migrate;
pub mod rehearse;
pub mod rollback;
mod scheduled;
pub mod set_master_admin;
pub mod stats;
pub mod status;
pub mod util;
pub mod verify;
