//! The database: connections, sessions, locks, the catalogue, the ledger.

mod attempt;
mod certificate;
pub mod connect;
pub mod error;
mod explain;
mod name;
mod tls;
