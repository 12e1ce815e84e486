//! How the connection is to be protected, and what it must lead to.

use std::path::PathBuf;
use std::time::Duration;

use super::layers::Layers;
use super::values::{choice, duration, number};
use super::{Env, Source};
use crate::failure::Failure;

/// libpq's `sslmode`, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum SslMode {
    Disable,
    /// In clear; encrypted where the server refuses that.
    Allow,
    /// Encrypted; in clear where the server cannot.
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

const SSL_MODES: [(&str, SslMode); 6] = [
    ("disable", SslMode::Disable),
    ("allow", SslMode::Allow),
    ("prefer", SslMode::Prefer),
    ("require", SslMode::Require),
    ("verify-ca", SslMode::VerifyCa),
    ("verify-full", SslMode::VerifyFull),
];

impl SslMode {
    /// The word of the connection string.
    pub fn word(self) -> &'static str {
        SSL_MODES.iter().find(|(_, mode)| *mode == self).map_or("", |(word, _)| word)
    }
}

/// Where the certificates come from that are trusted to sign the server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// What the operating system trusts.
    System,
    /// `sslrootcert`: must be there where something is verified.
    Named(PathBuf),
    /// `~/.postgresql/root.crt`, if it is there; else what the system trusts, or nothing.
    Usual {
        /// None without a home folder.
        file: Option<PathBuf>,
        /// Fall back on what the system trusts.
        or_system: bool,
    },
}

/// The client's own certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// PEM, the chain with the leaf first.
    pub certificate: PathBuf,
    /// PEM, not encrypted.
    pub key: PathBuf,
    /// The file was named by somebody, so it must be there.
    pub named: bool,
}

/// All about TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// libpq's `sslmode`.
    pub mode: SslMode,
    /// Whom to trust.
    pub roots: Roots,
    /// Who we are, where the server asks for it.
    pub client: Option<ClientCertificate>,
    /// `sslnegotiation=direct`: no request in clear before the handshake.
    pub direct: bool,
    /// `sslsni`: send the server's name.
    pub sni: bool,
    /// TLS 1.2 may be used.
    pub allow_12: bool,
    /// TLS 1.3 may be used.
    pub allow_13: bool,
}

/// libpq's `channel_binding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ChannelBinding {
    Disable,
    Prefer,
    Require,
}

/// libpq's `target_session_attrs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum TargetSession {
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    /// A standby, and any server where none is one.
    PreferStandby,
}

/// Times and probes of the TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tcp {
    /// For name, connection, TLS and authentication together, per address. None: no limit.
    pub connect_timeout: Option<Duration>,
    /// Whether probes are sent at all.
    pub keepalives: bool,
    /// Silence before the first probe.
    pub keepalives_idle: Duration,
    /// Between probes.
    pub keepalives_interval: Duration,
    /// Unanswered probes until the connection counts as lost.
    pub keepalives_count: u32,
    /// How long sent bytes may stay unacknowledged.
    pub user_timeout: Option<Duration>,
}

/// Resolves all about TLS, and says where the mode came from.
pub(super) fn tls(layers: &Layers, env: &Env) -> Result<(TlsSettings, Source), Failure> {
    let folder = env.home().map(|home| home.join(".postgresql"));
    let (mode, source) = mode(layers, env)?;
    let roots = match layers.text("sslrootcert") {
        Some(found) if found.value == "system" => Roots::System,
        Some(found) => Roots::Named(PathBuf::from(found.value)),
        // The app's own drivers verify against what the system trusts.
        None => Roots::Usual {
            file: folder.as_ref().map(|folder| folder.join("root.crt")),
            or_system: source == Source::Env("DATABASE_SSL"),
        },
    };
    let words = [("postgres", false), ("direct", true)];
    let direct = choice(layers, "sslnegotiation", &words)?.unwrap_or(false);
    if direct && mode < SslMode::Require {
        return Err(Failure::usage("sslnegotiation=direct needs at least sslmode=require")
            .because(format!("sslmode is {} ({source})", mode.word())));
    }
    let sni = choice(layers, "sslsni", &[("1", true), ("0", false)])?.unwrap_or(true);
    let (allow_12, allow_13) = versions(layers)?;
    let client = client(layers, folder)?;
    Ok((TlsSettings { mode, roots, client, direct, sni, allow_12, allow_13 }, source))
}

fn mode(layers: &Layers, env: &Env) -> Result<(SslMode, Source), Failure> {
    let said = choice(layers, "sslmode", &SSL_MODES)?.zip(layers.text("sslmode"));
    let system = layers.text("sslrootcert").filter(|found| found.value == "system");
    match (said, system) {
        (Some((mode, found)), Some(_)) if mode < SslMode::VerifyFull => {
            Err(Failure::usage("sslrootcert=system needs sslmode=verify-full")
                .because(format!("sslmode is {} ({})", mode.word(), found.source))
                .hint("anybody can have a certificate from an authority the system trusts: only the name tells the server from another"))
        }
        (Some((mode, found)), _) => Ok((mode, found.source.clone())),
        (None, Some(found)) => Ok((SslMode::VerifyFull, found.source.clone())),
        (None, None) => Ok(match env.var("DATABASE_SSL").map(str::trim) {
            None | Some("") => (SslMode::Prefer, Source::Default),
            Some("disable") => (SslMode::Disable, Source::Env("DATABASE_SSL")),
            Some("verify-full") => (SslMode::VerifyFull, Source::Env("DATABASE_SSL")),
            Some(_) => (SslMode::Require, Source::Env("DATABASE_SSL")),
        }),
    }
}

/// Whether TLS 1.2 and 1.3 may be used. Older ones never are.
fn versions(layers: &Layers) -> Result<(bool, bool), Failure> {
    let words = [("TLSv1", 10), ("TLSv1.1", 11), ("TLSv1.2", 12), ("TLSv1.3", 13)];
    let least = choice(layers, "ssl_min_protocol_version", &words)?.unwrap_or(12);
    let most = choice(layers, "ssl_max_protocol_version", &words)?.unwrap_or(13);
    if most < 12 {
        return Err(Failure::usage("TLS before 1.2 is not spoken")
            .hint("set ssl_max_protocol_version to TLSv1.2 or TLSv1.3"));
    }
    if least > most {
        return Err(Failure::usage("ssl_min_protocol_version is above ssl_max_protocol_version"));
    }
    Ok((least <= 12, most >= 13))
}

fn client(layers: &Layers, folder: Option<PathBuf>) -> Result<Option<ClientCertificate>, Failure> {
    let words = [("disable", false), ("allow", true)];
    if !choice(layers, "sslcertmode", &words)?.unwrap_or(true) {
        return Ok(None);
    }
    let path = |name: &str, usual: &str| match layers.text(name) {
        Some(found) => Some(PathBuf::from(found.value)),
        None => folder.as_ref().map(|folder| folder.join(usual)),
    };
    let files = path("sslcert", "postgresql.crt").zip(path("sslkey", "postgresql.key"));
    let named = layers.text("sslcert").is_some();
    Ok(files.map(|(certificate, key)| ClientCertificate { certificate, key, named }))
}

/// Resolves `channel_binding`.
pub(super) fn channel_binding(layers: &Layers) -> Result<ChannelBinding, Failure> {
    let words = [
        ("disable", ChannelBinding::Disable),
        ("prefer", ChannelBinding::Prefer),
        ("require", ChannelBinding::Require),
    ];
    Ok(choice(layers, "channel_binding", &words)?.unwrap_or(ChannelBinding::Prefer))
}

/// Resolves `target_session_attrs`.
pub(super) fn target_session(layers: &Layers) -> Result<TargetSession, Failure> {
    let words = [
        ("any", TargetSession::Any),
        ("read-write", TargetSession::ReadWrite),
        ("read-only", TargetSession::ReadOnly),
        ("primary", TargetSession::Primary),
        ("standby", TargetSession::Standby),
        ("prefer-standby", TargetSession::PreferStandby),
    ];
    Ok(choice(layers, "target_session_attrs", &words)?.unwrap_or(TargetSession::Any))
}

/// Resolves times and probes.
pub(super) fn tcp(layers: &Layers) -> Result<Tcp, Failure> {
    let second = Duration::from_secs(1);
    let connect_timeout = match layers.text("connect_timeout") {
        // libpq waits for ever; a deployment that does so has to be looked for.
        None => Some(Duration::from_secs(10)),
        Some(_) => duration(layers, "connect_timeout", second)?,
    };
    let count = number::<u32>(layers, "keepalives_count")?.filter(|count| *count > 0);
    Ok(Tcp {
        connect_timeout,
        keepalives: number::<i32>(layers, "keepalives")?.unwrap_or(1) != 0,
        // The system's two hours outlast every load balancer's and firewall's patience.
        keepalives_idle: duration(layers, "keepalives_idle", second)?.unwrap_or(second * 60),
        keepalives_interval: duration(layers, "keepalives_interval", second)?
            .unwrap_or(second * 10),
        keepalives_count: count.unwrap_or(6),
        user_timeout: match layers.text("tcp_user_timeout") {
            // As long as the probes take. The system's own is a quarter of an hour, and no probe is
            // sent while bytes wait to be acknowledged.
            None => Some(second * 120),
            Some(_) => duration(layers, "tcp_user_timeout", Duration::from_millis(1))?,
        },
    })
}
