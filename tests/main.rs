//! The tool against real servers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs)]

mod support {
    pub mod tls_server;
}

mod cases {
    mod connection;
}
