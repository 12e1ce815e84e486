//! What is kept, and is needed no more: rows leave the application's tables in batches that archive and delete the
//! same rows in one transaction. What is to leave is a predicate (`jobs.rs`), how much at a time is decided by how
//! long it took so far (`pace.rs`), and each batch writes down what it did.

mod batch;
mod columns;
pub mod export;
mod front;
pub mod ground;
pub mod guide;
pub mod jobs;
pub mod lock;
pub mod orphans;
mod pace;
pub mod patient;
mod pressure;
mod record;
pub mod run;
pub mod schedule;
pub mod tally;
mod twins;
