//! What the database tells about its use: one `.sql` file a thing that is read, one line a metric in
//! the registry; and the review of the audit log.

pub mod audit;
pub mod reading;
pub mod registry;
pub mod run;
pub mod threshold;
pub mod unit;
