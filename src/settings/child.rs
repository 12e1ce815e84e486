//! The endpoint as a child that uses libpq is to be told of it.

use std::path::Path;

use secrecy::SecretString;

use super::conninfo;
use super::{Address, ChannelBinding, Endpoint, Host, Roots, SslMode};

/// Debian's, Alpine's and Arch's bundle of what the system trusts. libpq before 16 does not know
/// `sslrootcert=system`, and this is the same.
const SYSTEM_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// How a child that uses libpq reaches the server that was really connected.
#[derive(Debug, Clone)]
pub struct Login {
    /// A connection string without the password.
    pub conninfo: String,
    /// The same from within the server's own container, where its socket is.
    pub inside: String,
    /// The password.
    pub password: Option<SecretString>,
    /// The line of a password file that goes with `conninfo`.
    pub passfile_line: Option<SecretString>,
}

/// Who and what, wherever the server is.
pub(super) fn inside(endpoint: &Endpoint) -> String {
    conninfo::write([("dbname", endpoint.database()), ("user", endpoint.user())])
}

/// All that matters but the password, for one server.
pub(super) fn conninfo(endpoint: &Endpoint, host: &Host) -> String {
    let mut pairs = vec![
        ("host", host.name.clone()),
        ("port", host.port.to_string()),
        ("dbname", endpoint.database().to_owned()),
        ("user", endpoint.user().to_owned()),
        ("sslmode", endpoint.tls.mode.word().to_owned()),
    ];
    if let Address::Ip(ip) = host.address {
        pairs.push(("hostaddr", ip.to_string()));
    }
    pairs.extend(root(endpoint).map(|root| ("sslrootcert", root)));
    if let Some(client) = endpoint.tls.client.as_ref().filter(|client| client.named) {
        pairs.push(("sslcert", text(&client.certificate)));
        pairs.push(("sslkey", text(&client.key)));
    }
    match endpoint.channel_binding {
        // The default, which libpq before 13 does not know by name.
        ChannelBinding::Prefer => {}
        ChannelBinding::Disable => pairs.push(("channel_binding", "disable".to_owned())),
        ChannelBinding::Require => pairs.push(("channel_binding", "require".to_owned())),
    }
    if let Some(limit) = endpoint.tcp.connect_timeout {
        pairs.push(("connect_timeout", limit.as_secs().to_string()));
    }
    pairs.extend(endpoint.options.clone().map(|options| ("options", options)));
    conninfo::write(pairs.iter().map(|(name, value)| (*name, value.as_str())))
}

fn root(endpoint: &Endpoint) -> Option<String> {
    let bundle = Path::new(SYSTEM_BUNDLE);
    let system = if bundle.exists() { SYSTEM_BUNDLE } else { "system" };
    match &endpoint.tls.roots {
        Roots::Named(file) => Some(text(file)),
        Roots::System => Some(system.to_owned()),
        Roots::Usual { file, or_system } => {
            let has_file = file.as_ref().is_some_and(|file| file.exists());
            let wants_system = *or_system && endpoint.tls.mode >= SslMode::VerifyCa;
            (wants_system && !has_file).then(|| system.to_owned())
        }
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
