//! The way back, and the way forward again: what a version brought is set aside in one transaction, and returns
//! once the version is there again. Nothing of it is dropped.

mod batch;
pub mod beside;
pub mod decide;
pub mod finish;
mod forgotten;
pub mod look;
pub mod lost;
pub mod parts;
pub mod returning;
pub mod revert;
pub mod stock;
