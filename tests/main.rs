//! Scenarios against the real binary and a real PostgreSQL: one test binary, one server, a fresh
//! database a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

mod support;

mod cases {
    mod command_line;
    mod connection;
    mod contracts;
    mod house;
    mod main_job;
    mod output;
    mod prompts;
    mod readme;
    mod sandbox;
    mod support;
    mod verify;
}
