//! Backups: the dump, the manifest beside it, and what proves them. Restoring shares the manifest.

pub mod archive;
pub mod carried;
pub mod contents;
pub mod dump;
pub mod form;
pub mod gate;
pub mod kept;
pub mod list;
pub mod manifest;
pub mod place;
mod play;
pub mod preflight;
pub mod proof;
pub mod restore;
pub mod restore_test;
pub mod restored;
pub mod script;
pub mod staging;
pub mod swap;
pub mod toc;
