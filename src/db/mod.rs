//! The database: connections, sessions, locks, the catalogue, the ledger.

pub mod connect;
