//! Cancelling what runs on the server, and waiting until the server has taken notice.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::{CancelToken, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connect::Connection;
use crate::settings::Address;

/// How long a cancel request may take: whoever asks is on the way out.
const LIMIT: Duration = Duration::from_secs(5);

/// Cancels the statement that runs on one connection, on the way that the connection itself took.
#[derive(Clone)]
pub struct Cancel {
    token: CancelToken,
    connector: Option<MakeRustlsConnect>,
    host: String,
    way: Way,
}

#[derive(Clone)]
enum Way {
    Socket(PathBuf),
    Tcp(SocketAddr),
}

impl Cancel {
    /// For the statements of this connection.
    pub fn of(connection: &Connection) -> Self {
        let Connection { host, port, server, .. } = connection;
        let way = match (&server.address, connection.address) {
            (_, Some(address)) => Way::Tcp((address, *port).into()),
            (Address::Socket(folder), None) => Way::Socket(folder.join(format!(".s.PGSQL.{port}"))),
            // Only a socket has no address.
            (_, None) => Way::Socket(PathBuf::new()),
        };
        let token = connection.client.cancel_token();
        Self { token, connector: connection.connector.clone(), host: host.clone(), way }
    }

    /// Sends the request; a failure to do so is of no use to anybody and is dropped.
    pub async fn cancel(&self) {
        let request = async {
            match &self.way {
                Way::Socket(path) => self.send(UnixStream::connect(path).await.ok()).await,
                Way::Tcp(address) => self.send(TcpStream::connect(address).await.ok()).await,
            }
        };
        let _ = tokio::time::timeout(LIMIT, request).await;
    }

    async fn send<S>(&self, stream: Option<S>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Some(stream) = stream.map(Lingering) else { return };
        let tls = self.connector.clone().and_then(|mut connector| {
            MakeTlsConnect::<Lingering<S>>::make_tls_connect(&mut connector, &self.host).ok()
        });
        let _ = match tls {
            Some(tls) => self.token.cancel_query_raw(stream, LingeringTls(tls)).await,
            None => self.token.cancel_query_raw(stream, NoTls).await,
        };
    }
}

/// TLS whose stream lingers as well: what says goodbye inside it must not come too early either.
struct LingeringTls<T>(T);

impl<S, T> TlsConnect<S> for LingeringTls<T>
where
    T: TlsConnect<S>,
    T::Future: Send + 'static,
{
    type Stream = Lingering<T::Stream>;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, Self::Error>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        let handshake = self.0.connect(stream);
        Box::pin(async { handshake.await.map(Lingering) })
    }
}

impl<S: TlsStream + Unpin> TlsStream for Lingering<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.0.channel_binding()
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
