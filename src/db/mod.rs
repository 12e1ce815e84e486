//! The database: connections, sessions, locks, the catalogue, the histories, the
//! operator ledger.

mod attempt;
pub mod beside;
pub mod cancel;
pub mod catalogue;
mod certificate;
pub mod connect;
pub mod copy;
pub mod error;
mod explain;
pub mod facts;
pub mod foreign;
pub mod history;
pub mod identifiers;
pub mod interrupt;
pub mod ledger;
pub mod lock_mode;
pub mod locks;
mod name;
pub mod patience;
pub mod session;
pub mod template;
mod tls;
