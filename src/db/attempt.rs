//! One attempt at one address: in clear or encrypted, in the order `sslmode` asks for.

use std::error::Error as _;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::config::SslMode as Wire;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connect::Transport;
use super::tls::Tls;
use crate::failure::Failure;
use crate::settings::{SslMode, TlsSettings};

/// An open connection.
pub(super) struct Opened {
    pub(super) client: Client,
    pub(super) connector: Option<MakeRustlsConnect>,
    pub(super) transport: Transport,
}

/// Why there is none.
pub(super) enum Missed {
    /// TLS could not be set up.
    Setup(Failure),
    /// The server, or the way to it. `earlier` is what the other of the two ways ended in.
    Server { error: tokio_postgres::Error, earlier: Option<tokio_postgres::Error> },
}

impl From<tokio_postgres::Error> for Missed {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server { error, earlier: None }
    }
}

/// TLS, set up when it is first needed: a socket must not pay for reading certificates.
pub(super) struct LazyTls<'a> {
    settings: &'a TlsSettings,
    built: Option<Tls>,
}

impl<'a> LazyTls<'a> {
    pub(super) fn new(settings: &'a TlsSettings) -> Self {
        Self { settings, built: None }
    }

    fn get(&mut self) -> Result<&Tls, Missed> {
        if self.built.is_none() {
            self.built = Some(Tls::build(self.settings).map_err(Missed::Setup)?);
        }
        self.built.as_ref().ok_or_else(|| Missed::Setup(Failure::connection("cannot set up TLS")))
    }
}

/// Over a unix socket, where libpq never encrypts.
pub(super) async fn open_socket(config: &mut Config) -> Result<Opened, Missed> {
    in_clear(config, Transport::Socket).await
}

/// Over TCP.
pub(super) async fn open_tcp(config: &mut Config, tls: &mut LazyTls<'_>) -> Result<Opened, Missed> {
    match tls.settings.mode {
        SslMode::Disable => in_clear(config, Transport::Plain).await,
        SslMode::Allow => match in_clear(config, Transport::Plain).await {
            Err(Missed::Server { error, .. }) if is_hba_rejection(&error) => {
                let second = encrypted(config, tls, Wire::Require).await;
                second.map_err(|missed| after(missed, error))
            }
            result => result,
        },
        SslMode::Prefer => match encrypted(config, tls, Wire::Prefer).await {
            Err(Missed::Server { error, .. }) if is_hba_rejection(&error) || is_tls(&error) => {
                let second = in_clear(config, Transport::Plain).await;
                second.map_err(|missed| after(missed, error))
            }
            result => result,
        },
        _ => encrypted(config, tls, Wire::Require).await,
    }
}

/// The handshake failed, or the server does not offer one.
pub(super) fn is_tls(error: &tokio_postgres::Error) -> bool {
    error.to_string() == "error performing TLS handshake"
}

/// `pg_hba.conf` may accept the other transport. libpq tries it after a wrong password too; that
/// only makes servers count one mistake twice.
fn is_hba_rejection(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| code.code() == "28000") && !is_unknown_role(error)
}

/// There is no such role: on no transport.
pub(super) fn is_unknown_role(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().and_then(|e| e.routine()) == Some("InitializeSessionUserId")
}

fn after(missed: Missed, earlier: tokio_postgres::Error) -> Missed {
    match missed {
        Missed::Server { error, .. } => Missed::Server { error, earlier: Some(earlier) },
        setup => setup,
    }
}

async fn in_clear(config: &mut Config, transport: Transport) -> Result<Opened, Missed> {
    config.ssl_mode(Wire::Disable);
    let (client, connection) = config.connect(NoTls).await?;
    Ok(opened(client, connection, None, transport))
}

async fn encrypted(
    config: &mut Config,
    tls: &mut LazyTls<'_>,
    mode: Wire,
) -> Result<Opened, Missed> {
    config.ssl_mode(mode);
    let tls = tls.get()?;
    tls.was_used();
    let (client, connection) = config.connect(tls.connector.clone()).await?;
    let transport = match (tls.was_used(), tls.verifies) {
        (false, _) => Transport::Plain,
        (true, false) => Transport::Encrypted,
        (true, true) => Transport::Verified,
    };
    Ok(opened(client, connection, Some(tls.connector.clone()), transport))
}

fn opened<S, T>(
    client: Client,
    connection: tokio_postgres::Connection<S, T>,
    connector: Option<MakeRustlsConnect>,
    transport: Transport,
) -> Opened
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        // The client's calls report the loss; this only says why.
        if let Err(error) = connection.await {
            tracing::debug!(error = %error, cause = ?error.source(), "connection ended");
        }
    });
    Opened { client, connector, transport }
}
