//! Cancelling what runs on the server, and waiting until the server has taken notice.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::{CancelToken, NoTls};

use super::connect::{Canceller, Connection, Transport};
use crate::settings::Address;

/// How long a cancel request may take: whoever asks is on the way out.
const LIMIT: Duration = Duration::from_secs(5);

/// Cancels the statement that runs on one connection.
#[derive(Clone)]
pub struct Cancel {
    way: Way,
}

#[derive(Clone)]
enum Way {
    Socket(CancelToken, PathBuf),
    Plain(CancelToken, SocketAddr),
    /// Protected as the connection itself is.
    Tls(Canceller),
}

impl Cancel {
    /// For the statements of this connection.
    pub fn of(connection: &Connection) -> Self {
        let way = match (connection.transport, &connection.server.address, connection.address) {
            (Transport::Socket, Address::Socket(folder), _) => Way::Socket(
                connection.client.cancel_token(),
                folder.join(format!(".s.PGSQL.{}", connection.port)),
            ),
            (Transport::Plain, _, Some(address)) => {
                let address: (IpAddr, u16) = (address, connection.port);
                Way::Plain(connection.client.cancel_token(), address.into())
            }
            _ => Way::Tls(connection.canceller.clone()),
        };
        Self { way }
    }

    /// Sends the request; a failure to do so is of no use to anybody and is dropped.
    pub async fn cancel(&self) {
        let request = async {
            match &self.way {
                Way::Socket(token, path) => {
                    send(token, UnixStream::connect(path).await.ok()).await;
                }
                Way::Plain(token, address) => {
                    send(token, TcpStream::connect(address).await.ok()).await;
                }
                Way::Tls(canceller) => canceller.cancel().await,
            }
        };
        let _ = tokio::time::timeout(LIMIT, request).await;
    }
}

async fn send<S: AsyncRead + AsyncWrite + Unpin>(token: &CancelToken, stream: Option<S>) {
    if let Some(stream) = stream {
        let _ = token.cancel_query_raw(Lingering(stream), NoTls).await;
    }
}

/// A stream that is closed by the other end first, as libpq's cancel requests are: PgBouncer 1.18
/// ends with all its connections when such a client leaves before it has passed the request on.
struct Lingering<S>(S);

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut rest = [0; 64];
        loop {
            let mut buffer = ReadBuf::new(&mut rest);
            match ready!(Pin::new(&mut self.0).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                _ => return Pin::new(&mut self.0).poll_shutdown(cx),
            }
        }
    }
}
