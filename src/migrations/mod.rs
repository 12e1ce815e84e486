//! Versions of the app's schema: what there are, where a database stands, how it gets on.

pub mod back;
pub mod commit;
pub mod effects;
pub mod executor;
pub mod fingerprint;
pub mod forecast;
pub mod mending;
pub mod own;
pub mod plan;
pub mod registry;
pub mod rights;
pub mod run;
pub mod setup;
pub mod standing;
pub mod statements;
pub mod survey;
