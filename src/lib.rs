//! MarkenMate's database, migrated and administered without losing a row.

pub mod console;
pub mod context;
pub mod db;
pub mod failure;
pub mod plan;
pub mod report;
pub mod settings;
