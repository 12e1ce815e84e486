//! What can be checked about a database: one `.sql` file a check, one line each in the registry.

pub mod admins;
pub mod app;
pub mod probe;
pub mod registry;
pub mod run;
mod statements;
pub mod verdict;
