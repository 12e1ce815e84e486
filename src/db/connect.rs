//! Opening a connection: servers in order, one time limit each, the session that was asked for.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio_postgres::config::{ChannelBinding as WireBinding, SslNegotiation};
use tokio_postgres::{Client, Config, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::attempt::{self, LazyTls, Missed, Opened};
use super::explain::{self, Miss};
use crate::failure::Failure;
use crate::settings::{Address, ChannelBinding, Endpoint, Host, TargetSession};

/// How the bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A unix socket: no wire.
    Socket,
    /// In clear.
    Plain,
    /// TLS, the server's certificate taken as it came.
    Encrypted,
    /// TLS, the certificate and where asked the name verified.
    Verified,
}

/// An open connection.
pub struct Connection {
    /// The client; a task drives its socket.
    pub client: Client,
    /// What encrypts the wire, where it may be encrypted.
    pub(super) connector: Option<MakeRustlsConnect>,
    /// How the bytes travel.
    pub transport: Transport,
    /// The host as it is shown: a name, an address, or a socket's folder.
    pub host: String,
    /// The port, also of a socket.
    pub port: u16,
    /// The address that was connected; none for a socket.
    pub address: Option<IpAddr>,
    /// The one of [`Endpoint::hosts`] that was connected.
    pub server: Host,
}

impl Connection {
    /// A socket or a loopback address: what travels does not leave this machine. The host's name
    /// says nothing about that, since `hostaddr` may lead anywhere.
    pub fn is_local(&self) -> bool {
        self.address.is_none_or(|address| address.to_canonical().is_loopback())
    }
}

/// Connects and authenticates. `application_name` is used where the user gave none.
///
/// The startup packet holds user, database, application_name, client_encoding, and `options` only
/// where the user gave some: a connection pooler refuses what it does not know.
///
/// # Errors
/// Connection (exit 5), with the server's SQLSTATE where it gave one.
pub async fn connect(endpoint: &Endpoint, application_name: &str) -> Result<Connection, Failure> {
    let mut tls = LazyTls::new(&endpoint.tls);
    let mut misses = Vec::new();
    for wanted in passes(endpoint.target_session) {
        for host in order(endpoint) {
            match connect_host(endpoint, host, application_name, *wanted, &mut tls).await {
                Ok(connection) => return Ok(connection),
                // As in libpq: who is reached and says no is not passed over.
                Err(miss) if miss.is_final => return Err(miss.failure),
                Err(miss) => misses.push(miss),
            }
        }
    }
    Err(explain::all(endpoint, misses))
}

fn passes(target: TargetSession) -> &'static [TargetSession] {
    match target {
        TargetSession::Any => &[TargetSession::Any],
        TargetSession::ReadWrite => &[TargetSession::ReadWrite],
        TargetSession::ReadOnly => &[TargetSession::ReadOnly],
        TargetSession::Primary => &[TargetSession::Primary],
        TargetSession::Standby => &[TargetSession::Standby],
        TargetSession::PreferStandby => &[TargetSession::Standby, TargetSession::Any],
    }
}

fn order(endpoint: &Endpoint) -> Vec<&Host> {
    let mut hosts: Vec<_> = endpoint.hosts.iter().collect();
    if endpoint.shuffle {
        // Freshly keyed hashes are random enough to spread load.
        let random = RandomState::new();
        hosts.sort_by_cached_key(|host| random.hash_one((&host.name, host.port)));
    }
    hosts
}

async fn connect_host(
    endpoint: &Endpoint,
    host: &Host,
    application_name: &str,
    wanted: TargetSession,
    tls: &mut LazyTls<'_>,
) -> Result<Connection, Miss> {
    let limit = endpoint.tcp.connect_timeout;
    let addresses = match &host.address {
        Address::Socket(_) => vec![None],
        Address::Ip(ip) => vec![Some(*ip)],
        Address::Name(name) => within(limit, resolve(name))
            .await
            .ok_or_else(|| explain::slow_name(endpoint, host))?
            .map_err(|error| explain::unknown_name(endpoint, host, &error))?,
    };
    let mut last = None;
    for address in addresses {
        let mut config = configuration(endpoint, host, address, application_name);
        let attempt = async {
            let opened = match address {
                None => attempt::open_socket(&mut config).await?,
                Some(_) => attempt::open_tcp(&mut config, tls).await?,
            };
            fits(&opened, wanted).await.map(|fits| (opened, fits))
        };
        let miss = match within(limit, attempt).await {
            Some(Ok((opened, None))) => return Ok(connection(opened, host, address)),
            Some(Ok((_, Some(reason)))) => explain::unfit_session(endpoint, host, reason),
            Some(Err(Missed::Setup(failure))) => explain::setup(endpoint, host, failure),
            Some(Err(Missed::Server { error, earlier })) => {
                explain::missed(endpoint, host, &error, earlier.as_ref())
            }
            None => explain::silent(endpoint, host),
        };
        if miss.is_final {
            return Err(miss);
        }
        // What a server said tells more than that nobody was there.
        last = match last {
            Some(Miss { failure, is_final }) if failure.sqlstate.is_some() => {
                Some(Miss { failure, is_final })
            }
            _ => Some(miss),
        };
    }
    Err(last.unwrap_or_else(|| {
        let error = io::Error::other("the name has no address");
        explain::unknown_name(endpoint, host, &error)
    }))
}

fn connection(opened: Opened, server: &Host, address: Option<IpAddr>) -> Connection {
    let Opened { client, connector, transport } = opened;
    let (host, port) = (server.name.clone(), server.port);
    Connection { client, connector, transport, host, port, address, server: server.clone() }
}

async fn within<T>(limit: Option<Duration>, work: impl Future<Output = T>) -> Option<T> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, work).await.ok(),
        None => Some(work.await),
    }
}

/// The addresses of a name, in the resolver's order.
async fn resolve(name: &str) -> io::Result<Vec<Option<IpAddr>>> {
    // An address needs no resolver, and no thread for it.
    if let Ok(ip) = name.parse() {
        return Ok(vec![Some(ip)]);
    }
    let mut found: Vec<_> =
        tokio::net::lookup_host((name, 0)).await?.map(|address| Some(address.ip())).collect();
    found.dedup();
    Ok(found)
}

fn configuration(
    endpoint: &Endpoint,
    host: &Host,
    address: Option<IpAddr>,
    application_name: &str,
) -> Config {
    let mut config = Config::new();
    config
        .host(host.name.as_str())
        .port(host.port)
        .user(endpoint.user())
        .dbname(endpoint.database())
        .application_name(endpoint.application_name.as_deref().unwrap_or(application_name))
        .keepalives(endpoint.tcp.keepalives)
        .keepalives_idle(endpoint.tcp.keepalives_idle)
        .keepalives_interval(endpoint.tcp.keepalives_interval)
        .keepalives_retries(endpoint.tcp.keepalives_count)
        .channel_binding(match endpoint.channel_binding {
            ChannelBinding::Disable => WireBinding::Disable,
            ChannelBinding::Prefer => WireBinding::Prefer,
            ChannelBinding::Require => WireBinding::Require,
        });
    if let Some(address) = address {
        config.hostaddr(address);
        if endpoint.tls.direct {
            config.ssl_negotiation(SslNegotiation::Direct);
        }
    }
    if let Some(limit) = endpoint.tcp.connect_timeout {
        // A little less than the whole, so that no answer to the first packet can be told from
        // a server that takes the connection and then stays silent.
        config.connect_timeout(limit.mul_f64(0.95));
    }
    if let Some(limit) = endpoint.tcp.user_timeout {
        config.tcp_user_timeout(limit);
    }
    if let Some(options) = &endpoint.options {
        config.options(options);
    }
    if let Some(password) = endpoint.password(host) {
        config.password(password.expose_secret());
    }
    config
}

const SESSION: &str =
    "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only')";

/// Why the session is not the one wanted; none if it is.
async fn fits(opened: &Opened, wanted: TargetSession) -> Result<Option<&'static str>, Missed> {
    if wanted == TargetSession::Any {
        return Ok(None);
    }
    let messages = opened.client.simple_query(SESSION).await?;
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let says = |column, word| row.and_then(|row| row.get(column)) == Some(word);
    let (is_standby, is_read_only) = (says(0, "t"), says(1, "on"));
    Ok(match wanted {
        TargetSession::ReadWrite if is_read_only => Some("the session is read-only"),
        TargetSession::ReadOnly if !is_read_only => Some("the session is not read-only"),
        TargetSession::Primary if is_standby => Some("the server is a standby"),
        TargetSession::Standby if !is_standby => Some("the server is not a standby"),
        _ => None,
    })
}
