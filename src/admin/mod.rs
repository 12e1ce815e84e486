//! Who may do what in the app, and how it is changed: the app's own checks, without its races.

mod authenticate;
pub mod change;
mod commit;
mod deeds;
pub mod guards;
pub mod list;
pub mod lockout;
pub mod master;
mod notes;
pub mod password;
pub mod people;
pub mod record;
pub mod rights;
pub mod standing;
