//! Is the server the one we mean? libpq's answers, given to rustls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use x509_cert::Certificate;
use x509_cert::certificate::Version;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::BasicConstraints;

use super::name;

/// How much of a server's certificate is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// Nothing: any certificate will do, as long as the server has its key.
    Nothing,
    /// Who signed it, and its dates (`verify-ca`).
    Chain,
    /// Also that it belongs to the host (`verify-full`).
    ChainAndName,
}

/// A certificate that libpq accepts and rustls does not, though somebody trusted signed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("the server's certificate is of version 1, which cannot say what it is for")]
    Version1,
    #[error("the server's certificate is that of an authority (CA:TRUE)")]
    Authority,
}

/// Judges the server's certificate.
#[derive(Debug)]
pub(super) struct ServerCheck {
    pub(super) level: Level,
    pub(super) roots: RootCertStore,
    /// All of `sslrootcert`. A leaf that is byte for byte in there needs no signature.
    pub(super) named: Vec<CertificateDer<'static>>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    /// Set once a server has shown its certificate: from then on the connection is encrypted.
    pub(super) seen: Arc<AtomicBool>,
}

impl ServerCertVerifier for ServerCheck {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.seen.store(true, Ordering::Release);
        if self.level != Level::Nothing {
            let certificate = read(leaf)?;
            if self.named.contains(leaf) {
                check_dates(&certificate, now)?;
            } else {
                self.check_chain(leaf, &certificate, intermediates, now)?;
            }
            if self.level == Level::ChainAndName {
                check_name(&certificate, host)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let certificate = read(leaf)?;
        if certificate.tbs_certificate.version == Version::V3 {
            return verify_tls12_signature(message, leaf, signature, &self.algorithms);
        }
        self.check_old_signature(message, &certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // By the bare key: rustls would not read a version 1 certificate for it.
        let key = read(leaf)?.tbs_certificate.subject_public_key_info;
        let key = SubjectPublicKeyInfoDer::from(key.to_der().map_err(|_| bad_encoding())?);
        verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ServerCheck {
    fn check_chain(
        &self,
        leaf: &CertificateDer<'_>,
        certificate: &Certificate,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        if let Some(unfit) = unfit(certificate) {
            // Only worth saying of a certificate that is trusted otherwise.
            let stranger = self.is_of_a_stranger(certificate);
            return Err(if stranger {
                CertificateError::UnknownIssuer.into()
            } else {
                other(unfit)
            });
        }
        let parsed = ParsedCertificate::try_from(leaf)?;
        verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &self.roots,
            intermediates,
            now,
            self.algorithms.all,
        )
    }

    /// It signed itself, or nobody who is trusted has the issuer's name.
    fn is_of_a_stranger(&self, certificate: &Certificate) -> bool {
        let body = &certificate.tbs_certificate;
        let Ok(issuer) = body.issuer.to_der() else { return true };
        let mut names = self.roots.roots.iter().map(|root| root.subject.as_ref());
        let is_known = names.any(|name| !name.is_empty() && issuer.ends_with(name));
        body.issuer == body.subject || !is_known
    }

    /// TLS 1.2 and a version 1 certificate, as PostgreSQL's older manuals make them.
    fn check_old_signature(
        &self,
        message: &[u8],
        certificate: &Certificate,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = &certificate.tbs_certificate.subject_public_key_info;
        let sort = key.algorithm.to_der().map_err(|_| bad_encoding())?;
        let bits = key.subject_public_key.as_bytes().ok_or_else(bad_encoding)?;
        let offered = self.algorithms.mapping.iter().filter(|(s, _)| *s == signature.scheme);
        let valid = offered.flat_map(|(_, algorithms)| algorithms.iter()).any(|algorithm| {
            sort.ends_with(algorithm.public_key_alg_id().as_ref())
                && algorithm.verify_signature(bits, message, signature.signature()).is_ok()
        });
        if valid {
            return Ok(HandshakeSignatureValid::assertion());
        }
        Err(CertificateError::BadSignature.into())
    }
}

fn read(der: &CertificateDer<'_>) -> Result<Certificate, Error> {
    Certificate::from_der(der.as_ref()).map_err(|_| bad_encoding())
}

fn bad_encoding() -> Error {
    CertificateError::BadEncoding.into()
}

fn other(unfit: Unfit) -> Error {
    CertificateError::Other(OtherError(Arc::new(unfit))).into()
}

fn unfit(certificate: &Certificate) -> Option<Unfit> {
    let body = &certificate.tbs_certificate;
    if body.version != Version::V3 {
        return Some(Unfit::Version1);
    }
    let constraints = body.get::<BasicConstraints>().ok().flatten();
    constraints.is_some_and(|(_, constraints)| constraints.ca).then_some(Unfit::Authority)
}

fn check_dates(certificate: &Certificate, now: UnixTime) -> Result<(), Error> {
    let validity = &certificate.tbs_certificate.validity;
    let time = Duration::from_secs(now.as_secs());
    let (from, until) =
        (validity.not_before.to_unix_duration(), validity.not_after.to_unix_duration());
    if time < from {
        let not_before = UnixTime::since_unix_epoch(from);
        return Err(CertificateError::NotValidYetContext { time: now, not_before }.into());
    }
    if time > until {
        let not_after = UnixTime::since_unix_epoch(until);
        return Err(CertificateError::ExpiredContext { time: now, not_after }.into());
    }
    Ok(())
}

fn check_name(certificate: &Certificate, host: &ServerName<'_>) -> Result<(), Error> {
    let expected = host.to_owned();
    if name::matches(certificate, &host.to_str()) {
        return Ok(());
    }
    let presented = name::shown(certificate);
    Err(CertificateError::NotValidForNameContext { expected, presented }.into())
}
