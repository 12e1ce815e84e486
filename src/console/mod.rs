//! The terminal: what is said, asked and typed.
pub struct Console;
