//! One request to the running application: no redirect is followed, no proxy is asked, and after ten
//! seconds nobody waits any longer.

use std::io::{ErrorKind, Read};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::CertificateError;
use rustls::crypto::ring;
use ureq::Agent;
use ureq::http::{HeaderMap, Response, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::failure::Failure;

/// How long one request may take, from the look-up of the name to the last byte.
pub const LIMIT: Duration = Duration::from_secs(10);

/// More of an answer is not read: what is looked for is a word.
const MOST: u64 = 64 * 1024;

/// What was answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Where a redirect leads.
    pub location: Option<String>,
    /// The first 64 kB.
    pub body: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// What happened.
    pub said: String,
    /// What to do about it.
    pub remedy: String,
}

/// The application, at its address.
#[derive(Debug, Clone)]
pub struct Application {
    agent: Agent,
    address: String,
}

impl Application {
    /// The application at `address`; trusted is what the system trusts, or `SSL_CERT_FILE` says.
    ///
    /// # Errors
    /// Usage (exit 2): the address is none. It is not repeated, it may hold a password.
    pub fn at(address: &str) -> Result<Self, Failure> {
        let uri: Uri = address.parse().map_err(|error| wrong(&format!("{error}")))?;
        let scheme = uri.scheme_str().unwrap_or_default();
        let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?.as_str();
        if !["http", "https"].contains(&scheme) {
            return Err(wrong("it begins with neither http:// nor https://"));
        }
        if authority.contains('@') {
            return Err(wrong(
                "it holds a user or a password, and the application knows none here",
            ));
        }
        if uri.query().is_some() {
            return Err(wrong("it ends in a query"));
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_global(Some(LIMIT))
            .user_agent(concat!("markenmate/", env!("CARGO_PKG_VERSION")))
            .tls_config(trust(scheme))
            .build();
        let path = uri.path().trim_end_matches('/');
        Ok(Self { agent: config.new_agent(), address: format!("{scheme}://{authority}{path}") })
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// Whether what is sent can be read on its way.
    pub fn is_in_clear(&self) -> bool {
        // A name is none that begins as an address does.
        let uri: Option<Uri> = self.address.parse().ok();
        uri.is_some_and(|uri| {
            let host = uri.host().unwrap_or_default();
            let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
            let here = host.eq_ignore_ascii_case("localhost")
                || address.is_ok_and(|address| address.to_canonical().is_loopback());
            uri.scheme_str() == Some("http") && !here
        })
    }

    /// GET. Blocks.
    pub fn get(&self, path: &str) -> Result<Answer, Silence> {
        read(self.agent.get(self.url(path)).call())
    }

    /// POST of a JSON document, with the value of a Cookie header or without. Blocks.
    pub fn post(&self, path: &str, json: &str, cookie: Option<&str>) -> Result<Answer, Silence> {
        let mut request = self.agent.post(self.url(path)).content_type("application/json");
        if let Some(cookie) = cookie {
            request = request.header("Cookie", cookie);
        }
        // A browser would say where the page is from, and frameworks refuse who does not.
        let origin = self.address.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        read(request.header("Origin", origin).send(json))
    }
}

fn wrong(why: &str) -> Failure {
    Failure::usage("--app-url: this is no address of the application")
        .because(why)
        .hint("for example: --app-url https://marken.example.org")
}

fn trust(scheme: &str) -> TlsConfig {
    let mut builder = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .root_certs(RootCerts::new_with_certs(&[]));
    if scheme == "https" {
        let found = rustls_native_certs::load_native_certs().certs;
        let roots = found.iter().map(|root| Certificate::from_der(root).to_owned());
        builder = builder.root_certs(roots.into());
    }
    builder.build()
}

fn read(answer: Result<Response<ureq::Body>, ureq::Error>) -> Result<Answer, Silence> {
    let mut answer = answer.map_err(|error| silence(&error))?;
    let mut bytes = Vec::new();
    let body = answer.body_mut().as_reader().take(MOST).read_to_end(&mut bytes);
    body.map_err(|error| silence(&ureq::Error::from(error)))?;
    Ok(Answer {
        status: answer.status().as_u16(),
        location: location(answer.headers()),
        body: String::from_utf8_lossy(&bytes).into_owned(),
    })
}

fn location(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("Location")?.as_bytes();
    Some(String::from_utf8_lossy(value).into_owned())
}

fn silence(error: &ureq::Error) -> Silence {
    let (said, remedy) = match error {
        ureq::Error::Timeout(_) => (
            format!("no answer within {} s", LIMIT.as_secs()),
            "is it at work, and may this machine reach it? Look at the application's log",
        ),
        ureq::Error::HostNotFound => ("no such host".to_owned(), "is the name right?"),
        ureq::Error::Io(io) => return of_io(io),
        ureq::Error::Rustls(tls) => return of_tls(tls),
        ureq::Error::Protocol(_) | ureq::Error::Http(_) | ureq::Error::LargeResponseHeader(..) => {
            (format!("what answers there speaks no HTTP ({error})"), "is the port right?")
        }
        other => (other.to_string(), "is the address right?"),
    };
    Silence { said, remedy: remedy.to_owned() }
}

fn of_io(error: &std::io::Error) -> Silence {
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return of_tls(tls);
    }
    let remedy = match error.kind() {
        ErrorKind::ConnectionRefused => "is the application started, and is the port right?",
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => {
            "it hung up without an answer: http:// where it wants https://, or the other way round?"
        }
        _ => "is the address right, and may this machine reach it?",
    };
    Silence { said: error.to_string(), remedy: remedy.to_owned() }
}

fn of_tls(error: &rustls::Error) -> Silence {
    const ANEW: &str = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 \
                        -subj /CN=HOST -addext basicConstraints=critical,CA:FALSE \
                        -addext subjectAltName=DNS:HOST -keyout server.key -out server.crt";
    let (said, remedy) = match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => (
            "its certificate is signed by itself, or by an authority that this system does not trust".to_owned(),
            "name the authority's certificate, or the certificate itself, and run the same command again: \
             SSL_CERT_FILE=/path/to/ca.pem"
                .to_owned(),
        ),
        // What `openssl req -x509` makes: rustls takes no authority for a server, trusted or not.
        rustls::Error::InvalidCertificate(CertificateError::Other(other))
            if format!("{other:?}").contains("CaUsedAsEndEntity") =>
        {
            (
                "its certificate is signed by itself, and says that it is an authority (CA:TRUE), which no \
                 server's may be here"
                    .to_owned(),
                format!("make it anew, then run with SSL_CERT_FILE=/path/to/server.crt: {ANEW}"),
            )
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => (
            "its certificate is for another name".to_owned(),
            "name the host as the certificate has it: openssl s_client -connect HOST:443 shows it".to_owned(),
        ),
        rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => (
            "its certificate is no longer valid".to_owned(),
            "renew it; is this machine's clock right?".to_owned(),
        ),
        rustls::Error::InvalidMessage(_) => (
            "what answers there speaks no TLS".to_owned(),
            "write http:// instead of https://, or name the port of the TLS proxy".to_owned(),
        ),
        other => (other.to_string(), "is its certificate right? openssl s_client shows it".to_owned()),
    };
    Silence { said, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_scheme_a_host_and_perhaps_a_path() {
        let at = |text: &str| Application::at(text).map(|app| app.url("/api/health"));
        assert_eq!(at("http://localhost:3000/").unwrap(), "http://localhost:3000/api/health");
        assert_eq!(at("https://a.example/marken/").unwrap(), "https://a.example/marken/api/health");
        for wrong in
            ["", "localhost:3000", "a.example", "ftp://a.example", "http://", "/x", "http://a/?x"]
        {
            assert_eq!(at(wrong).unwrap_err().kind.exit_code(), 2, "{wrong}");
        }
        let failure = at("http://me:secret@a.example").unwrap_err();
        assert!(!format!("{failure:?}").contains("secret"));
    }

    #[test]
    fn clear_text_to_another_machine_is_known() {
        let clear = |text: &str| Application::at(text).unwrap().is_in_clear();
        for away in
            ["http://a.example", "http://10.0.0.1:3000/x", "http://127.a.example", "http://127.1"]
        {
            assert!(clear(away), "{away}");
        }
        for safe in [
            "https://a.example",
            "http://localhost:3000",
            "http://LOCALHOST",
            "http://127.0.0.1",
            "http://127.9.9.9:1",
            "http://[::1]:3000",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert!(!clear(safe), "{safe}");
        }
    }
}
