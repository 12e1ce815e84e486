//! rustls, set up the way libpq's keywords ask for. Built only once TLS is really used.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, InconsistentKeys, RootCertStore, version};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::certificate::{Level, ServerCheck};
use crate::failure::Failure;
use crate::settings::{ClientCertificate, Roots, SslMode, TlsSettings};

/// A connector, and what it can tell afterwards.
pub(super) struct Tls {
    pub(super) connector: MakeRustlsConnect,
    /// The server's certificate is verified, not merely taken.
    pub(super) verifies: bool,
    seen: Arc<AtomicBool>,
}

impl Tls {
    /// Reads certificates and keys.
    ///
    /// # Errors
    /// Connection (exit 5): a file is missing, unreadable, unsafe or not what it should be.
    pub(super) fn build(settings: &TlsSettings) -> Result<Self, Failure> {
        let provider = Arc::new(ring::default_provider());
        let seen = Arc::new(AtomicBool::new(false));
        let (level, roots, named) = trust(settings)?;
        let check = ServerCheck {
            level,
            roots,
            named,
            algorithms: provider.signature_verification_algorithms,
            seen: Arc::clone(&seen),
        };
        let versions: &[_] = match (settings.allow_12, settings.allow_13) {
            (true, false) => &[&version::TLS12],
            (false, true) => &[&version::TLS13],
            _ => &[&version::TLS13, &version::TLS12],
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(|e| Failure::connection("cannot set up TLS").because_of(&e))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(check));
        let mut config = match client_key(settings.client.as_ref(), &provider)? {
            Some(key) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key))),
            None => builder.with_no_client_auth(),
        };
        config.enable_sni = settings.sni;
        // A resumed session shows no certificate, and every one is to be judged.
        config.resumption = Resumption::disabled();
        if settings.direct {
            config.alpn_protocols = vec![b"postgresql".to_vec()];
        }
        let verifies = level != Level::Nothing;
        Ok(Self { connector: MakeRustlsConnect::new(config), verifies, seen })
    }

    /// Whether a server has shown a certificate since the last time this was asked.
    pub(super) fn was_used(&self) -> bool {
        self.seen.swap(false, Ordering::AcqRel)
    }
}

type Trust = (Level, RootCertStore, Vec<CertificateDer<'static>>);

/// How much is verified, and against what. As in libpq a root file raises any mode to
/// `verify-ca`.
fn trust(settings: &TlsSettings) -> Result<Trust, Failure> {
    let level = match settings.mode {
        SslMode::VerifyFull => Level::ChainAndName,
        _ => Level::Chain,
    };
    let verifies = settings.mode >= SslMode::VerifyCa;
    match &settings.roots {
        Roots::System => system(level),
        Roots::Named(file) if file.exists() || settings.mode >= SslMode::Require => {
            of_file(level, file)
        }
        Roots::Usual { file: Some(file), .. } if file.exists() => of_file(level, file),
        Roots::Usual { or_system: true, .. } if verifies => system(level),
        Roots::Usual { file, .. } if verifies => Err(nothing_to_trust(settings.mode, file)),
        _ => Ok((Level::Nothing, RootCertStore::empty(), Vec::new())),
    }
}

fn nothing_to_trust(mode: SslMode, file: &Option<PathBuf>) -> Failure {
    let place = file.as_ref().map_or("~/.postgresql/root.crt".into(), |f| f.to_string_lossy());
    Failure::connection(format!("sslmode={} has nothing to verify against", mode.word()))
        .because(format!("there is no {place}, and no sslrootcert"))
        .hint("pass sslrootcert=FILE with the certificate of the server's authority")
        .hint("or sslrootcert=system for a certificate from a public authority")
}

fn system(level: Level) -> Result<Trust, Failure> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let mut failure = Failure::connection("the system has no trusted certificates")
            .hint("install ca-certificates, or pass sslrootcert=FILE");
        for error in &found.errors {
            failure = failure.because(error);
        }
        return Err(failure);
    }
    Ok((level, roots, Vec::new()))
}

fn of_file(level: Level, file: &Path) -> Result<Trust, Failure> {
    let named = certificates("sslrootcert", file)?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(named.iter().cloned());
    Ok((level, roots, named))
}

fn cannot_read(what: &str, file: &Path) -> Failure {
    Failure::connection(format!("cannot read {what} {}", file.display()))
}

fn contents(what: &str, file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| {
        cannot_read(what, file).because(error).hint(format!("{what} names a file in PEM form"))
    })
}

fn certificates(what: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(&contents(what, file)?)
        .collect::<Result<_, _>>()
        .map_err(|error| cannot_read(what, file).because(error))?;
    if found.is_empty() {
        return Err(cannot_read(what, file)
            .because("there is no certificate in it")
            .hint("it must be PEM: openssl x509 -inform der -in FILE -out FILE.pem"));
    }
    Ok(found)
}

/// The client's certificate and key, where there are some. rustls would refuse a version 1
/// certificate here, so the two are put together without its reading it.
fn client_key(
    files: Option<&ClientCertificate>,
    provider: &CryptoProvider,
) -> Result<Option<CertifiedKey>, Failure> {
    let Some(files) = files.filter(|files| files.named || files.certificate.exists()) else {
        return Ok(None);
    };
    let chain = certificates("sslcert", &files.certificate)?;
    let key = private_key(&files.key)?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| cannot_read("sslkey", &files.key).because_of(&error))?;
    let certified = CertifiedKey::new(chain, key);
    if let Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) =
        certified.keys_match()
    {
        return Err(Failure::connection("sslcert and sslkey do not belong together")
            .because(format!("{} and {}", files.certificate.display(), files.key.display())));
    }
    Ok(Some(certified))
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, Failure> {
    check_permissions(file)?;
    let pem = contents("sslkey", file)?;
    let text = String::from_utf8_lossy(&pem);
    if text.contains("ENCRYPTED") {
        let shown = file.display();
        return Err(cannot_read("sslkey", file)
            .because("the key is encrypted, and no passphrase is asked for")
            .hint(format!("decrypt it: openssl pkey -in {shown} -out {shown}.plain && chmod 0600 {shown}.plain")));
    }
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
        cannot_read("sslkey", file).because(error).hint("sslkey names a private key in PEM form")
    })
}

/// libpq's rule: 0600, or 0640 where the file is root's.
fn check_permissions(file: &Path) -> Result<(), Failure> {
    let metadata = match std::fs::metadata(file) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(cannot_read("sslkey", file)
                .because("there is a client certificate, but not its key")
                .hint("name it with sslkey, or send no certificate: sslcertmode=disable"));
        }
        Err(error) => return Err(cannot_read("sslkey", file).because(error)),
    };
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if !metadata.is_file() {
        return Err(cannot_read("sslkey", file).because("it is not a plain file"));
    }
    if metadata.mode() & forbidden != 0 {
        return Err(cannot_read("sslkey", file)
            .because("group or others may use the key")
            .hint(format!("chmod 0600 {}", file.display())));
    }
    Ok(())
}
