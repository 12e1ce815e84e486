//! `host`, `hostaddr` and `port` as a list of places to try (manual, section 34.1.1.3).

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::Source;
use super::layers::Layers;
use crate::failure::Failure;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// The folder of a unix socket.
    Socket(PathBuf),
    /// A name to be resolved, or an address as text.
    Name(String),
    /// An address; the name is only what the certificate is compared with.
    Ip(IpAddr),
}

/// One server to try.
#[derive(Debug, Clone)]
pub struct Host {
    /// As it is shown, and as a certificate names it.
    pub name: String,
    /// Where it listens.
    pub address: Address,
    /// The port, also of a socket.
    pub port: u16,
    pub(super) password: Option<SecretString>,
}

impl Host {
    /// `name:port`; an IPv6 address in brackets.
    pub fn shown(&self) -> String {
        if self.name.contains(':') {
            format!("[{}]:{}", self.name, self.port)
        } else {
            format!("{}:{}", self.name, self.port)
        }
    }

    /// The name the password file knows it by.
    pub(super) fn passfile_name(&self) -> &str {
        if USUAL_FOLDERS.contains(&self.name.as_str()) { "localhost" } else { &self.name }
    }
}

/// Debian's and PostgreSQL's own default.
const USUAL_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// The servers in the order they are named, and where that came from.
pub(super) fn resolve(layers: &Layers) -> Result<(Vec<Host>, Source), Failure> {
    let host = layers.text("host");
    // An address said below a host's name belongs to another host.
    let level = layers.get("host").map_or(usize::MAX, |found| found.level);
    let hostaddr = layers.text("hostaddr").filter(|found| found.level <= level);
    let source = host.as_ref().or(hostaddr.as_ref()).map_or(Source::Default, |f| f.source.clone());
    let split = |text: Option<&str>| -> Vec<String> {
        text.map(|text| text.split(',').map(|part| part.trim().to_owned()).collect())
            .unwrap_or_default()
    };
    let names = split(host.map(|found| found.value));
    let addresses = split(hostaddr.map(|found| found.value));
    let ports = split(layers.text("port").map(|found| found.value));
    let count = names.len().max(addresses.len()).max(1);
    if !names.is_empty() && !addresses.is_empty() && names.len() != addresses.len() {
        return Err(mismatch("hosts", names.len(), "host addresses", addresses.len()));
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(mismatch("hosts", count, "ports", ports.len())
            .hint("give one port for all hosts, or one for each (-p)"));
    }
    let port_source = layers.text("port").map_or(Source::Default, |found| found.source.clone());
    let hosts = (0..count)
        .map(|at| {
            let port = port(ports.get(at).or(ports.first()), &port_source)?;
            one(names.get(at), addresses.get(at), port, &source)
        })
        .collect::<Result<_, _>>()?;
    Ok((hosts, source))
}

fn mismatch(a: &str, count_a: usize, b: &str, count_b: usize) -> Failure {
    Failure::usage(format!("{count_a} {a} but {count_b} {b} are named"))
}

fn port(text: Option<&String>, source: &Source) -> Result<u16, Failure> {
    match text.map(String::as_str) {
        None | Some("") => Ok(5432),
        Some(text) => text.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
            Failure::usage(format!("the port is not a number from 1 to 65535 ({source})"))
        }),
    }
}

fn one(
    name: Option<&String>,
    address: Option<&String>,
    port: u16,
    source: &Source,
) -> Result<Host, Failure> {
    let name = name.map(String::as_str).filter(|name| !name.is_empty());
    // Most likely the tail of a password that was not percent-encoded: not to be shown.
    if name.is_some_and(|name| name.contains('@') || name.contains(char::is_control)) {
        return Err(Failure::usage(format!(
            "the host is not a name, an address or a folder ({source})"
        ))
        .hint("a `@` in a password is written %40 in a URI; abstract sockets are not supported"));
    }
    if let Some(text) = address.filter(|text| !text.is_empty()) {
        let ip: IpAddr =
            text.parse().map_err(|_| Failure::usage("`hostaddr` is not an IP address"))?;
        let name = name.map_or_else(|| ip.to_string(), str::to_owned);
        return Ok(Host { name, address: Address::Ip(ip), port, password: None });
    }
    let name = name.map_or_else(|| usual_folder(port).to_owned(), str::to_owned);
    let address = if name.starts_with('/') {
        Address::Socket(PathBuf::from(&name))
    } else {
        Address::Name(name.clone())
    };
    Ok(Host { name, address, port, password: None })
}

/// The default folder in which a socket of that port is.
fn usual_folder(port: u16) -> &'static str {
    let [debian, upstream] = USUAL_FOLDERS;
    let there = |folder: &str| Path::new(folder).join(format!(".s.PGSQL.{port}")).exists();
    if !there(debian) && there(upstream) { upstream } else { debian }
}
