//! The database: connections, sessions, locks, the catalogue, the ledger.

pub mod catalogue;
pub mod connect;
pub mod error;
pub mod identifiers;
pub mod interrupt;
pub mod ledger;
pub mod locks;
pub mod patience;
pub mod session;
