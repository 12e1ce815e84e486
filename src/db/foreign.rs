//! Before we write the app's tables with more rights than their owner has: whose code runs then?

/// The statement that refuses (4) where code of others would run with our rights; for the transaction that
/// writes, before it does. It holds locks until that ends, as any write of these tables does.
///
/// What is replaced in the body of a function between this look and the write is not seen: whoever runs the
/// tool as a superuser trusts the owner of the app's tables so far.
pub const REFUSE: &str = include_str!("foreign.sql");
