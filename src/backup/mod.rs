//! Backups: the dump, the manifest beside it, and what proves them. Restoring shares the manifest, and what a
//! rehearsal has proven is kept beside them.

pub mod archive;
pub mod carried;
pub mod certificate;
pub mod contents;
pub mod dump;
pub mod form;
pub mod gate;
pub mod image;
pub mod kept;
pub mod list;
pub mod manifest;
pub mod place;
mod play;
pub mod preflight;
pub mod proof;
pub mod rehearsed;
pub mod restore;
pub mod restore_test;
pub mod restored;
pub mod script;
mod seal;
pub mod staging;
pub mod swap;
pub mod toc;
