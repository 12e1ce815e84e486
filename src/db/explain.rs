//! Why there is no connection, and what to type next.

use std::error::Error as _;
use std::io;
use std::path::Path;

use rustls::CertificateError;

use super::attempt;
use super::certificate::Unfit;
use super::error;
use crate::failure::{Failure, Kind};
use crate::settings::{Address, Endpoint, Host, Source};

/// One server that is not ours.
pub(super) struct Miss {
    pub(super) failure: Failure,
    /// The servers after it are not to be tried.
    pub(super) is_final: bool,
}

impl Miss {
    fn next(failure: Failure) -> Self {
        Self { failure, is_final: false }
    }
}

const LISTENING: &str = "is the server listening there? pass --database-url or set DATABASE_URL";

fn cannot(endpoint: &Endpoint, host: &Host) -> Failure {
    Failure::connection(format!(
        "cannot connect to {} as {}, database {}",
        host.shown(),
        endpoint.user(),
        endpoint.database()
    ))
}

/// What is said when none of several would do.
pub(super) fn all(endpoint: &Endpoint, mut misses: Vec<Miss>) -> Failure {
    if misses.len() == 1
        && let Some(miss) = misses.pop()
    {
        return miss.failure;
    }
    let mut failure = Failure::connection(format!("no server will do for {endpoint}"));
    for miss in misses {
        failure.causes.push(miss.failure.to_string());
        failure.sqlstate = miss.failure.sqlstate.or(failure.sqlstate);
        for hint in miss.failure.hints {
            if !failure.hints.contains(&hint) {
                failure.hints.push(hint);
            }
        }
    }
    failure
}

pub(super) fn slow_name(endpoint: &Endpoint, host: &Host) -> Miss {
    Miss::next(
        cannot(endpoint, host)
            .because(format!("the name was not resolved {}", limit(endpoint)))
            .hint("look at the resolver, or pass hostaddr=ADDRESS"),
    )
}

pub(super) fn unknown_name(endpoint: &Endpoint, host: &Host, error: &io::Error) -> Miss {
    Miss::next(
        cannot(endpoint, host)
            .because("there is no such host")
            .because(error)
            .hint("a compose service's name is known only inside its network; outside use localhost and the published port"),
    )
}

pub(super) fn silent(endpoint: &Endpoint, host: &Host) -> Miss {
    Miss::next(
        cannot(endpoint, host)
            .because(format!("the connection was accepted, but not answered {}", limit(endpoint)))
            .hint("is it PostgreSQL that listens there, and not stuck? raise connect_timeout (seconds) for a slow server"),
    )
}

pub(super) fn unfit_session(endpoint: &Endpoint, host: &Host, reason: &str) -> Miss {
    Miss::next(
        cannot(endpoint, host)
            .because(format!("{reason} (target_session_attrs)"))
            .hint("name the other servers as well: postgresql://USER@HOST1,HOST2/DATABASE"),
    )
}

/// TLS could not be set up.
pub(super) fn setup(endpoint: &Endpoint, host: &Host, failure: Failure) -> Miss {
    let failure = failure.attempting(cannot(endpoint, host).message);
    Miss { failure, is_final: true }
}

fn limit(endpoint: &Endpoint) -> String {
    let seconds = endpoint.tcp.connect_timeout.map_or(0, |limit| limit.as_secs());
    format!("within {seconds} s")
}

/// What the client library ended in.
pub(super) fn missed(
    endpoint: &Endpoint,
    host: &Host,
    error: &tokio_postgres::Error,
    earlier: Option<&tokio_postgres::Error>,
) -> Miss {
    let mut miss = if error.as_db_error().is_some() {
        server(endpoint, host, error)
    } else if attempt::is_tls(error) {
        Miss { failure: handshake(endpoint, host, error), is_final: true }
    } else {
        transport(endpoint, host, error)
    };
    if let Some(earlier) = earlier {
        let text = error::failure("with the other transport before that", earlier).to_string();
        miss.failure.causes.push(text);
    }
    miss
}

fn server(endpoint: &Endpoint, host: &Host, error: &tokio_postgres::Error) -> Miss {
    let Failure { message, .. } = cannot(endpoint, host);
    let mut failure = error::failure(&message, error);
    failure.kind = Kind::Connection;
    let code = failure.sqlstate.clone().unwrap_or_default();
    failure = match code.as_str() {
        "28P01" => wrong_password(endpoint, failure),
        "28000" if attempt::is_unknown_role(error) => {
            let hints = failure.hints.len();
            let failure = unknown_role(endpoint, failure);
            match failure.hints.len() == hints {
                true => failure.hint(
                    "pass the role that owns the application's tables: -U ROLE; in the app's containers it is markenmate",
                ),
                false => failure,
            }
        }
        "28000" => failure.hint(
            "pg_hba.conf on the server decides who may connect, from where, and whether encrypted (sslmode)",
        ),
        "3D000" => {
            let to = format!("-h {} -p {} -U {}", host.name, host.port, endpoint.user());
            failure.hint(format!("databases there: psql {to} -l")).hint(format!(
                "to bring it back from a backup, make an empty one first: createdb {to} -T template0 {}",
                endpoint.database()
            ))
        }
        "08P01" if endpoint.options.is_some() => failure
            .hint("a pooler in between takes no `options`: leave them (PGOPTIONS) out, or connect past it"),
        "57P03" => failure.hint("the server is starting or stopping: try again shortly"),
        _ => failure,
    };
    // As in libpq: a server that cannot take connections now is passed over.
    Miss { failure, is_final: code != "57P03" }
}

fn wrong_password(endpoint: &Endpoint, failure: Failure) -> Failure {
    let failure = match endpoint.password_source() {
        Some(Source::Flag) => failure.hint("the password came from the command line or the prompt"),
        Some(source) => failure.hint(format!("the password came from {source}; -W asks for it")),
        None => failure.hint("-W asks for the password"),
    };
    unknown_role(endpoint, failure)
}

/// The guide says `-U postgres`; the app's containers have no such role.
fn unknown_role(endpoint: &Endpoint, failure: Failure) -> Failure {
    if endpoint.user() == "postgres" {
        return failure.hint(
            "the app's compose file creates role, password and database `markenmate` (container markenmate-db-1), and no role `postgres`: -U markenmate",
        );
    }
    if endpoint.user_is_default() {
        return failure.hint(format!(
            "nobody named a user, so the system's was taken ({}): pass -U USER",
            endpoint.user()
        ));
    }
    failure
}

/// Neither the server's word nor TLS: the way there, or what was missing for it.
fn transport(endpoint: &Endpoint, host: &Host, error: &tokio_postgres::Error) -> Miss {
    let failure = cannot(endpoint, host);
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    if let (Some(io), "error connecting to server") = (io, error.to_string().as_str()) {
        return Miss::next(unreachable(endpoint, host, io, failure));
    }
    let failure = match (cause.as_str(), io) {
        ("password missing", _) => failure
            .because("the server asks for a password, and none was given")
            .hint("put it into PGPASSWORD, the password file or the URL, or pass -W to be asked")
            .hint(format!("for ~/.pgpass (0600): {}:{}:{}:PASSWORD", host.shown(), endpoint.database(), endpoint.user())),
        ("server did not use channel binding", _) => failure
            .because(cause)
            .hint("channel_binding=require needs TLS, a SCRAM password, and a certificate with an RSA or ECDSA signature"),
        (_, Some(io)) => match tls_of(io) {
            Some(alert) => failure.because(alert).hint(CLIENT_CERTIFICATE),
            None => failure
                .because("the server closed the connection during the greeting")
                .because(io)
                .hint("is it PostgreSQL that listens there? its log says more"),
        },
        _ if error.is_closed() => failure
            .because("the server closed the connection during the greeting")
            .hint("is it PostgreSQL that listens there? its log says more"),
        _ => failure.because_of(error),
    };
    let failure = endpoint.warnings.iter().fold(failure, |f, warning| f.hint(warning));
    Miss { failure, is_final: true }
}

const CLIENT_CERTIFICATE: &str = "where the server wants a client certificate: sslcert=FILE sslkey=FILE, signed by the authority in its ssl_ca_file";

fn unreachable(endpoint: &Endpoint, host: &Host, io: &io::Error, failure: Failure) -> Failure {
    let socket = match &host.address {
        Address::Socket(folder) => Some(folder.join(format!(".s.PGSQL.{}", host.port))),
        _ => None,
    };
    let socket = socket.as_deref().map(Path::display);
    match (io.kind(), socket) {
        (io::ErrorKind::NotFound, Some(socket)) => failure
            .because(format!("there is no socket {socket}"))
            .hint("a server in a container is reached over TCP: --host localhost")
            .hint(LISTENING),
        (io::ErrorKind::PermissionDenied, Some(socket)) => failure
            .because(format!("no permission to use the socket {socket}"))
            .hint("run as a user who may, or connect over TCP: --host localhost"),
        (io::ErrorKind::ConnectionRefused, Some(socket)) => {
            failure.because(format!("nobody listens on the socket {socket}")).hint(LISTENING)
        }
        (io::ErrorKind::ConnectionRefused, None) => {
            failure.because("connection refused").hint(LISTENING)
        }
        (io::ErrorKind::TimedOut, _) => failure
            .because(format!("no answer {}", limit(endpoint)))
            .hint("is there a firewall in between, or the wrong host or port in the URL?"),
        _ => failure.because(io).hint(LISTENING),
    }
}

fn tls_of(io: &io::Error) -> Option<&rustls::Error> {
    io.get_ref()?.downcast_ref::<rustls::Error>()
}

fn handshake(endpoint: &Endpoint, host: &Host, error: &tokio_postgres::Error) -> Failure {
    let mut failure = cannot(endpoint, host);
    if endpoint.tls.direct {
        failure = failure.hint("sslnegotiation=direct needs PostgreSQL 17 or later");
    }
    let source = error.source();
    let io = source.and_then(|source| source.downcast_ref::<io::Error>());
    match io.and_then(tls_of) {
        Some(rustls::Error::InvalidCertificate(reason)) => untrusted(endpoint, failure, reason),
        Some(tls @ rustls::Error::AlertReceived(_)) => {
            failure.because(tls).hint(CLIENT_CERTIFICATE)
        }
        Some(tls) => failure.because("the TLS handshake failed").because(tls),
        None => match source.map(ToString::to_string) {
            Some(text) if text == "server does not support TLS" => failure
                .because(format!("the server does not offer TLS, and sslmode={} needs it", endpoint.tls.mode.word()))
                .hint("set ssl = on at the server, or sslmode=prefer if the network in between is trusted"),
            Some(text) => failure.because("the TLS handshake failed").because(text),
            None => failure.because("the TLS handshake failed"),
        },
    }
}

/// The server's certificate was not accepted.
fn untrusted(endpoint: &Endpoint, failure: Failure, reason: &CertificateError) -> Failure {
    match reason {
        CertificateError::NotValidForNameContext { presented, .. } => failure
            .because(format!("the server's certificate is for {}", presented.join(", ")))
            .hint("use one of these names as host (hostaddr=ADDRESS leads elsewhere), or sslmode=verify-ca"),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => failure
            .because("the server's certificate has expired")
            .because(reason)
            .hint("renew it at the server, and reload the server"),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => failure
            .because("the server's certificate is not valid yet")
            .because(reason)
            .hint("compare this machine's clock with the server's"),
        CertificateError::UnknownIssuer => failure
            .because(format!("nobody who is trusted signed the server's certificate (sslmode={})", endpoint.tls.mode.word()))
            .hint("pass sslrootcert=FILE with the certificate of the server's authority"),
        CertificateError::Other(other) => match other.0.downcast_ref::<Unfit>() {
            Some(unfit) => failure.because(unfit).hint(reissue()),
            None => failure.because("the server's certificate is not accepted").because(reason),
        },
        _ => failure.because("the server's certificate is not accepted").because(reason),
    }
}

/// How a certificate is made that every client accepts.
fn reissue() -> String {
    "issue it anew with the same key: printf 'subjectAltName=DNS:HOST\\nbasicConstraints=CA:FALSE\\n' > ext && openssl req -new -key server.key -subj /CN=HOST | openssl x509 -req -CA root.crt -CAkey root.key -CAcreateserial -days 365 -extfile ext -out server.crt; or put the server's own certificate into sslrootcert".to_owned()
}
