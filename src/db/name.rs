//! Does a certificate belong to the host? As libpq decides it (manual, section 34.19.1).

use std::net::IpAddr;

use x509_cert::Certificate;
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, Utf8StringRef};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// Whether one of the certificate's names is `host`, a name or an address.
///
/// The common name counts only where there are no alternative names: PostgreSQL's own manual
/// makes certificates with nothing else, and rustls does not look at it.
pub(super) fn matches(certificate: &Certificate, host: &str) -> bool {
    let names = alternative_names(certificate);
    if names.is_empty() {
        return common_names(certificate).iter().any(|name| text_matches(name, host));
    }
    let address: Option<IpAddr> = host.parse().ok();
    names.iter().any(|name| match (name, address) {
        (GeneralName::IpAddress(bytes), Some(IpAddr::V4(ip))) => bytes.as_bytes() == ip.octets(),
        (GeneralName::IpAddress(bytes), Some(IpAddr::V6(ip))) => bytes.as_bytes() == ip.octets(),
        (GeneralName::DnsName(name), _) => text_matches(name.as_str(), host),
        _ => false,
    })
}

/// All names, for a message.
pub(super) fn shown(certificate: &Certificate) -> Vec<String> {
    let names = alternative_names(certificate);
    if names.is_empty() {
        return common_names(certificate);
    }
    names.iter().map(show).collect()
}

fn show(name: &GeneralName) -> String {
    let GeneralName::IpAddress(bytes) = name else {
        return match name {
            GeneralName::DnsName(name) => name.as_str().to_owned(),
            _ => String::new(),
        };
    };
    let bytes = bytes.as_bytes();
    match (<[u8; 4]>::try_from(bytes), <[u8; 16]>::try_from(bytes)) {
        (Ok(v4), _) => IpAddr::from(v4).to_string(),
        (_, Ok(v6)) => IpAddr::from(v6).to_string(),
        _ => String::new(),
    }
}

/// Names and addresses; other sorts of alternative names say nothing about a host.
fn alternative_names(certificate: &Certificate) -> Vec<GeneralName> {
    let found = certificate.tbs_certificate.get::<SubjectAltName>().ok().flatten();
    let names = found.map(|(_, names)| names.0).unwrap_or_default();
    names
        .into_iter()
        .filter(|name| matches!(name, GeneralName::DnsName(_) | GeneralName::IpAddress(_)))
        .collect()
}

fn common_names(certificate: &Certificate) -> Vec<String> {
    let parts = certificate.tbs_certificate.subject.0.iter().flat_map(|part| part.0.iter());
    parts
        .filter(|attribute| attribute.oid == COMMON_NAME)
        .filter_map(|attribute| {
            let value = &attribute.value;
            let utf8 = value.decode_as::<Utf8StringRef<'_>>().map(|s| s.as_str().to_owned());
            let printable = || value.decode_as::<PrintableStringRef<'_>>().map(|s| s.to_string());
            let ia5 = || value.decode_as::<Ia5StringRef<'_>>().map(|s| s.to_string());
            utf8.or_else(|_| printable()).or_else(|_| ia5()).ok()
        })
        .collect()
}

/// `*.x` stands for exactly one label before `.x`. An address must be written the same.
fn text_matches(pattern: &str, host: &str) -> bool {
    if pattern.eq_ignore_ascii_case(host) {
        return true;
    }
    let (Some(suffix), Some((label, rest))) = (pattern.strip_prefix("*."), host.split_once('.'))
    else {
        return false;
    };
    let is_address = host.parse::<IpAddr>().is_ok();
    !is_address && !label.is_empty() && suffix.contains('.') && rest.eq_ignore_ascii_case(suffix)
}

#[cfg(test)]
mod tests {
    use super::text_matches;

    #[test]
    fn a_star_is_one_label() {
        for (pattern, host, same) in [
            ("db.example.org", "DB.example.org", true),
            ("*.example.org", "db.example.org", true),
            ("*.example.org", "a.db.example.org", false),
            ("*.example.org", "example.org", false),
            ("*.org", "example.org", false),
            ("*", "db", false),
            ("d*.example.org", "db.example.org", false),
            ("*.0.0.1", "127.0.0.1", false),
            ("127.0.0.1", "127.0.0.1", true),
        ] {
            assert_eq!(text_matches(pattern, host), same, "{pattern} {host}");
        }
    }
}
