//! Other people's programs: where they are, which version, how they are run.

pub mod age;
mod docker;
pub mod http;
pub mod itself;
pub mod postgres_binaries;
pub mod postgres_client;
pub mod secret_file;
pub mod shell;
pub mod systemctl;
