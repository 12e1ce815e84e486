//! Rows on their way to the server.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::SinkExt;
use tokio_postgres::CopyInSink;

use super::interrupt::Interrupt;
use super::session::interpret;
use crate::failure::Failure;

/// A `COPY … FROM stdin` under way. Dropped before its end, the server takes none of it.
pub struct CopyIn<'a> {
    sink: Pin<Box<CopyInSink<Bytes>>>,
    interrupt: &'a Interrupt,
}

impl<'a> CopyIn<'a> {
    /// What the server takes now; `interrupt` ends it.
    pub(super) fn new(sink: CopyInSink<Bytes>, interrupt: &'a Interrupt) -> Self {
        Self { sink: Box::pin(sink), interrupt }
    }

    /// Sends rows, with their line ends.
    pub async fn send(&mut self, what: &str, rows: Bytes) -> Result<(), Failure> {
        self.interrupt.check()?;
        self.sink.send(rows).await.map_err(|error| interpret(self.interrupt, what, &error))
    }

    /// Ends it; says how many rows the server took.
    pub async fn finish(mut self, what: &str) -> Result<u64, Failure> {
        let done = self.sink.as_mut().finish().await;
        done.map_err(|error| interpret(self.interrupt, what, &error))
    }
}
