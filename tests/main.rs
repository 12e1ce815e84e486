//! Scenarios against the real binary and a real PostgreSQL: one test binary, one server, a fresh
//! database a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

mod support;

mod cases {
    mod concurrency;
    mod connection;
    mod grants;
    mod history;
    mod kill;
    mod locks;
    mod lost_commit;
    mod pooler;
    mod rights;
    mod sandbox;
    mod signals;
    mod standing;
    mod support;
}
