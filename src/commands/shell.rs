//! Words for a shell, in commands that are printed to be pasted.

pub(super) use crate::tools::shell::word;
