//! An application that answers as it is told, over HTTP or HTTPS, and remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::tls_server::Folder;

/// One request.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `GET /api/health`
    pub line: String,
    /// As they came, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// The bytes to answer with; none: nothing, while the connection stays open.
type Answers = dyn Fn(&Asked) -> Option<String> + Send + Sync;

/// A running one; dropped, it stops.
pub struct StubApp {
    port: u16,
    scheme: &'static str,
    asked: Arc<Mutex<Vec<Asked>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl StubApp {
    /// Over HTTP.
    pub fn start(answers: impl Fn(&Asked) -> Option<String> + Send + Sync + 'static) -> Self {
        Self::listen(None, Arc::new(answers))
    }

    /// Healthy, and answers this to every POST.
    pub fn answering(answer: &str) -> Self {
        let answer = answer.to_owned();
        Self::start(move |asked| Some(healthy(asked).unwrap_or_else(|| answer.clone())))
    }

    /// Over HTTPS, with this certificate and key.
    pub fn start_tls(
        certificate: &Path,
        key: &Path,
        answers: impl Fn(&Asked) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let chain =
            CertificateDer::pem_file_iter(certificate).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(key).unwrap();
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .unwrap();
        Self::listen(Some(Arc::new(config)), Arc::new(answers))
    }

    fn listen(tls: Option<Arc<ServerConfig>>, answers: Arc<Answers>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let over: Arc<AtomicBool> = Arc::default();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (log, ends) = (Arc::clone(&asked), Arc::clone(&over));
        let thread = spawn(move || {
            for stream in listener.incoming() {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (tls, answers) = (tls.clone(), Arc::clone(&answers));
                let (log, ends) = (Arc::clone(&log), Arc::clone(&ends));
                spawn(move || match tls {
                    None => serve(stream, &log, &*answers, &ends),
                    Some(config) => {
                        let connection = ServerConnection::new(config).unwrap();
                        serve(StreamOwned::new(connection, stream), &log, &*answers, &ends);
                    }
                });
            }
        });
        Self { port, scheme, asked, over, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port)
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The bodies of the requests that were no look at its health.
    pub fn posted(&self) -> Vec<serde_json::Value> {
        let posts = self.asked().into_iter().filter(|asked| asked.line.starts_with("POST"));
        posts.map(|asked| serde_json::from_str(&asked.body).unwrap()).collect()
    }
}

impl Drop for StubApp {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        self.thread.take().map(JoinHandle::join);
    }
}

/// What the app answers to `GET /api/health`; none to anything else.
pub fn healthy(asked: &Asked) -> Option<String> {
    let body = "{\"healthy\":true,\"tables\":17,\"message\":\"Database is ready\"}";
    (asked.line == "GET /api/health").then(|| http("200 OK", "", body))
}

/// An answer: status, further header lines with their ends, body.
pub fn http(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
        body.len()
    )
}

fn serve(stream: impl Read + Write, log: &Mutex<Vec<Asked>>, answers: &Answers, over: &AtomicBool) {
    let mut reader = BufReader::new(stream);
    let Some(asked) = read(&mut reader) else {
        let _ = reader.get_mut().write_all(http("400 Bad Request", "", "").as_bytes());
        return;
    };
    log.lock().unwrap().push(asked.clone());
    let Some(answer) = answers(&asked) else {
        while !over.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(20));
        }
        return;
    };
    let stream = reader.get_mut();
    let _ = stream.write_all(answer.as_bytes()).and_then(|()| stream.flush());
}

fn read(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let line = line.trim().rsplit_once(' ')?.0.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, length)| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { line, headers, body: String::from_utf8(body).ok()? })
}

/// A certificate that signs itself, for 127.0.0.1, with what `-addext` adds; its key beside it.
pub fn self_signed(folder: &Folder, name: &str, extension: &str) {
    let made = Command::new("openssl")
        .current_dir(&folder.0)
        .args(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30".split(' '),
        )
        .args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(if extension.is_empty() { vec![] } else { vec!["-addext", extension] })
        .args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.crt")])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}
