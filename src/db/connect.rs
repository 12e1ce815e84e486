//! Opening a connection. (interim: replaced by the conninfo layer)

use secrecy::ExposeSecret;
use tokio_postgres::{Client, NoTls};

use crate::failure::Failure;
use crate::settings::Endpoint;

/// How the bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A unix socket: no wire.
    Socket,
    /// In clear.
    Plain,
    /// TLS, the server's name not verified.
    Encrypted,
    /// TLS, the certificate and where asked the name verified.
    Verified,
}

/// An open connection and how to cancel what runs on it.
pub struct Connection {
    /// The client; a task drives its socket.
    pub client: Client,
    /// Cancels the running statement.
    pub canceller: Canceller,
    /// How the bytes travel.
    pub transport: Transport,
    /// The host as it is shown.
    pub host: String,
    /// The port, also of a socket.
    pub port: u16,
}

/// Asks the server, on a connection of its own, to cancel the running statement.
#[derive(Clone)]
pub struct Canceller {
    token: tokio_postgres::CancelToken,
}

impl Canceller {
    /// Sends the request; a failure to do so is of no use to anybody and is dropped.
    pub async fn cancel(&self) {
        let _ = self.token.cancel_query(NoTls).await;
    }
}

/// Connects and authenticates.
pub async fn connect(endpoint: &Endpoint, application_name: &str) -> Result<Connection, Failure> {
    let mut config: tokio_postgres::Config = endpoint
        .url
        .expose_secret()
        .parse()
        .map_err(|e: tokio_postgres::Error| Failure::usage("bad URL").because_of(&e))?;
    config.application_name(application_name);
    let (client, connection) = config
        .connect(NoTls)
        .await
        .map_err(|e| Failure::connection("cannot connect").because_of(&e))?;
    tokio::spawn(async move {
        let _ = connection.await;
    });
    let canceller = Canceller { token: client.cancel_token() };
    Ok(Connection {
        client,
        canceller,
        transport: Transport::Socket,
        host: "socket".into(),
        port: 5432,
    })
}
