//! Other people's programs: where they are, which version, how they are run.

pub mod postgres_binaries;
