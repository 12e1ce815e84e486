//! Who may do what in the app, and how it is changed.

pub mod password;
