//! A wire between the binary and a server that breaks at a chosen moment.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How the round trip that commits a migration ends on the wire.
const COMMIT: &[u8] = b"; COMMIT\0";

/// What comes before a COMMIT of its own: a swap of two names, a change of the app's admins.
const BEFORE: [&[u8]; 2] = [b" RENAME TO ", b"INSERT INTO markenmate.ledger"];

/// What becomes of the connection whose COMMIT comes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// COMMIT never gets to the server.
    BeforeCommit,
    /// Half of it gets there.
    MidCommit,
    /// COMMIT gets there; nobody waits for the answer.
    AfterCommit,
    /// COMMIT gets there and is answered; the answer is lost.
    AfterAnswer,
    /// COMMIT never gets to the server, and nobody says so.
    Silence,
}

/// A socket like the server's own. It breaks one connection; later ones go through once `outage`
/// is over.
pub struct Proxy {
    folder: TempDir,
    broken: Arc<AtomicBool>,
}

struct Plan {
    server: PathBuf,
    /// Where connections go afterwards.
    successor: PathBuf,
    breaks: Break,
    outage: Duration,
    broken: Arc<AtomicBool>,
    down_until: Mutex<Option<Instant>>,
}

impl Proxy {
    /// In front of the socket in `folder` at port 5432.
    pub fn before(folder: &Path, breaks: Break, outage: Duration) -> Self {
        let server = folder.join(".s.PGSQL.5432");
        Self::failing_over(server.clone(), server, breaks, outage)
    }

    /// Later connections go to another server's socket.
    pub fn failing_over(
        server: PathBuf,
        successor: PathBuf,
        breaks: Break,
        outage: Duration,
    ) -> Self {
        let own = TempDir::new_in("/tmp").unwrap();
        let listener = UnixListener::bind(own.path().join(".s.PGSQL.5432")).unwrap();
        let broken = Arc::new(AtomicBool::new(false));
        let plan = Arc::new(Plan {
            server,
            successor,
            breaks,
            outage,
            broken: Arc::clone(&broken),
            down_until: Mutex::new(None),
        });
        spawn(move || {
            for client in listener.incoming().flatten() {
                let plan = Arc::clone(&plan);
                spawn(move || plan.serve(client));
            }
        });
        Self { folder: own, broken }
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@/{database}?host={}", self.folder.path().display())
    }

    pub fn has_broken(&self) -> bool {
        self.broken.load(Ordering::SeqCst)
    }
}

impl Plan {
    fn serve(&self, mut client: UnixStream) {
        let down = self.down_until.lock().unwrap().is_some_and(|until| Instant::now() < until);
        let over = self.broken.load(Ordering::SeqCst);
        let socket = if over { &self.successor } else { &self.server };
        let Some(mut server) = UnixStream::connect(socket).ok().filter(|_| !down) else {
            return;
        };
        let answers = {
            let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            let silent = Arc::new(AtomicBool::new(false));
            let is_silent = Arc::clone(&silent);
            let hush = self.breaks == Break::Silence;
            spawn(move || {
                let mut buffer = [0; 16384];
                while let Ok(count @ 1..) = from.read(&mut buffer) {
                    if !is_silent.load(Ordering::SeqCst) && to.write_all(&buffer[..count]).is_err()
                    {
                        break;
                    }
                }
                // That the server hung up is no news for whoever hears nothing.
                if !(hush && is_silent.load(Ordering::SeqCst)) {
                    let _ = to.shutdown(Shutdown::Both);
                }
            });
            silent
        };
        let mut buffer = [0; 16384];
        let mut changes = false;
        while let Ok(count @ 1..) = client.read(&mut buffer) {
            let bytes = &buffer[..count];
            let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
            changes |= BEFORE.iter().any(|text| has(text));
            let commits = bytes.ends_with(COMMIT) || changes && bytes.get(5..) == Some(b"COMMIT\0");
            if commits && !self.broken.swap(true, Ordering::SeqCst) {
                *self.down_until.lock().unwrap() = Some(Instant::now() + self.outage);
                answers.store(true, Ordering::SeqCst);
                match self.breaks {
                    Break::BeforeCommit => {}
                    Break::MidCommit => {
                        let _ = server.write_all(&bytes[..count - 4]);
                    }
                    Break::AfterCommit => drop(server.write_all(bytes)),
                    Break::AfterAnswer => {
                        let _ = server.write_all(bytes);
                        sleep(Duration::from_millis(300));
                    }
                    Break::Silence => sleep(Duration::from_secs(60)),
                }
                break;
            }
            if server.write_all(bytes).is_err() {
                break;
            }
        }
        for stream in [&client, &server] {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}
