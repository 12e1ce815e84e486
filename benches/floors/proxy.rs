//! A socket in between that counts round trips: each time the server answers what a client said.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::thread;

use tempfile::TempDir;

pub struct Proxy {
    folder: TempDir,
    port: String,
    count: Arc<AtomicU32>,
}

impl Proxy {
    pub fn start(server: &Path, port: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let name = format!(".s.PGSQL.{port}");
        let listener = UnixListener::bind(folder.path().join(&name)).unwrap();
        let (server, count) = (server.join(name), Arc::new(AtomicU32::new(0)));
        let counter = Arc::clone(&count);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                relay(client, &server, &counter);
            }
        });
        Self { folder, port: port.to_owned(), count }
    }

    pub fn url(&self, database: &str) -> String {
        let host = self.folder.path().display();
        format!("postgresql://postgres@/{database}?host={host}&port={}", self.port)
    }

    pub fn reset(&self) {
        self.count.store(0, SeqCst);
    }

    /// Since the reset, all connections together, from the moment each one was let in.
    pub fn trips(&self) -> u32 {
        self.count.load(SeqCst)
    }
}

fn relay(client: UnixStream, server: &PathBuf, count: &Arc<AtomicU32>) {
    let server = UnixStream::connect(server).unwrap();
    let (asked, count) = (Arc::new(AtomicBool::new(false)), Arc::clone(count));
    let asking = Arc::clone(&asked);
    let mut welcome = Welcome::default();
    let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || copy(from, to, |_| asking.store(true, SeqCst)));
    thread::spawn(move || {
        copy(server, client, |bytes| {
            let answers = asked.swap(false, SeqCst);
            if welcome.is_over(bytes) && answers {
                count.fetch_add(1, SeqCst);
            }
        });
    });
}

fn copy(mut from: UnixStream, mut to: UnixStream, mut seen: impl FnMut(&[u8])) {
    let mut buffer = [0; 65536];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        seen(&buffer[..n]);
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

/// Connecting ends with the first ReadyForQuery: `Z`, its length, a state.
#[derive(Default)]
struct Welcome {
    said: Vec<u8>,
    over: bool,
}

impl Welcome {
    /// Whether it was over before these bytes came.
    fn is_over(&mut self, bytes: &[u8]) -> bool {
        let before = self.over;
        if !before {
            self.said.extend_from_slice(bytes);
            self.over = self.said.ends_with(&[b'Z', 0, 0, 0, 5, b'I']);
        }
        before
    }
}
