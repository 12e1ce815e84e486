//! A PostgreSQL server of its own, with certificates made for the occasion.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

/// What `pg_hba.conf` says: one role for each way of being let in.
const HBA: &str = "\
hostssl all by_cert      127.0.0.1/32 cert
host    all by_cert      127.0.0.1/32 reject
hostnossl all no_tls     127.0.0.1/32 scram-sha-256
hostssl all no_tls       127.0.0.1/32 reject
hostssl all tls_only     127.0.0.1/32 scram-sha-256
host    all tls_only     127.0.0.1/32 reject
host    all trusted      127.0.0.1/32 trust
host    all postgres     127.0.0.1/32 trust
host    all ghost        127.0.0.1/32 trust
host    all all          127.0.0.1/32 scram-sha-256
local   all all                       scram-sha-256
";

const ROLES: &str = "\
CREATE ROLE by_cert LOGIN; CREATE ROLE trusted LOGIN;
CREATE ROLE no_tls LOGIN PASSWORD 'pw'; CREATE ROLE tls_only LOGIN PASSWORD 'pw';
CREATE ROLE reader LOGIN PASSWORD 'pw'; ALTER ROLE reader SET default_transaction_read_only = on;
CREATE ROLE crowded LOGIN PASSWORD 'pw' CONNECTION LIMIT 0;
CREATE DATABASE \"odd 'name\\\";";

/// The certificate the server shows. All are for `db.test`, and none for
/// `localhost`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// None: TLS is off.
    Nothing,
    /// One of the authority in `ca.crt`.
    Good,
    /// The same, and no longer valid.
    Expired,
    /// Signed by itself with CA:TRUE, as `openssl req -x509` makes it.
    SelfSigned,
    /// The same, and no longer valid.
    SelfSignedExpired,
    /// Version 1, with a common name only, signed by the authority.
    Version1,
}

/// A folder of its own; dropped, it goes.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("markenmate-tls-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running server; dropped, it stops and its folder goes.
pub struct TlsServer {
    child: Child,
    pub port: u16,
    folder: Folder,
}

static SHARED: Mutex<Weak<TlsServer>> = Mutex::new(Weak::new());

impl TlsServer {
    /// The server with the good certificate, shared by the tests that run at this moment.
    pub fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start(Shows::Good));
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// A primary.
    pub fn start(shows: Shows) -> Self {
        Self::start_as(shows, "")
    }

    /// A server in hot standby, without anybody to follow.
    pub fn start_standby() -> Self {
        Self::start_as(Shows::Nothing, "standby.signal")
    }

    fn start_as(shows: Shows, signal: &str) -> Self {
        let folder = Folder::new();
        let data = folder.0.join("data");
        make_certificates(&folder.0, shows);
        std::fs::write(folder.0.join("pw"), "pw").unwrap();
        give_away(&folder.0);
        run(as_server(&binary("initdb"))
            .args(["-N", "-U", "markenmate", "-E", "UTF8", "--locale=C", "--pwfile"])
            .arg(folder.0.join("pw"))
            .arg("-D")
            .arg(&data));
        configure(&folder.0, &data, shows);
        create_roles(&data);
        if !signal.is_empty() {
            std::fs::write(data.join(signal), "").unwrap();
            give_away(&folder.0);
        }
        let port = free_port();
        let child = launch(&folder.0, port);
        let mut server = Self { child, port, folder };
        server.wait();
        server
    }

    /// A file beside the server: `ca.crt`, `server.crt`, `client.crt`, `client.key`, `stranger.crt`.
    pub fn file(&self, name: &str) -> String {
        self.folder.0.join(name).to_str().unwrap().to_owned()
    }

    /// The folder of the unix socket.
    pub fn socket(&self) -> &str {
        self.folder.0.to_str().unwrap()
    }

    /// What psql answers to `sql`, with nothing in its environment but these variables.
    pub fn psql(&self, conninfo: &str, env: &[(&str, &str)], sql: &str) -> String {
        let output = Command::new(binary("psql"))
            .env_clear()
            .envs(env.iter().copied())
            .args(["-XAtq", "-d", conninfo, "-c", sql])
            .output()
            .unwrap();
        text_of(&output)
    }

    fn wait(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            // Somebody else was faster with the port.
            if self.child.try_wait().unwrap().is_some() && Instant::now() < deadline {
                self.port = free_port();
                self.child = launch(&self.folder.0, self.port);
            }
            let conninfo = format!(
                "host={} port={} dbname=postgres user=markenmate password=pw",
                self.socket(),
                self.port
            );
            if self.psql(&conninfo, &[], "SELECT 1") == "1" {
                return;
            }
            let log = || std::fs::read_to_string(self.folder.0.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "the server did not start: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        let mut stop = as_server(&binary("pg_ctl"));
        stop.args(["stop", "-s", "-m", "immediate", "-D"]).arg(self.folder.0.join("data"));
        let _ = stop.output();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(folder: &Path, port: u16) -> Child {
    let log = std::fs::File::create(folder.join("log")).unwrap();
    as_server(&binary("postgres"))
        .arg("-D")
        .arg(folder.join("data"))
        .args(["-p", &port.to_string(), "-k"])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn configure(folder: &Path, data: &Path, shows: Shows) {
    let mut settings = String::from(
        "listen_addresses = '127.0.0.1'\nfsync = off\nshared_buffers = 16MB\nmax_connections = 30\n",
    );
    if shows != Shows::Nothing {
        let file = |name: &str| folder.join(name).display().to_string();
        settings.push_str(&format!(
            "ssl = on\nssl_cert_file = '{}'\nssl_key_file = '{}'\nssl_ca_file = '{}'\n",
            file("server.crt"),
            file("server.key"),
            file("ca.crt")
        ));
    }
    std::fs::write(data.join("postgresql.auto.conf"), settings).unwrap();
    std::fs::write(data.join("pg_hba.conf"), HBA).unwrap();
    give_away(folder);
}

/// In single-user mode: no server has to be started for it.
fn create_roles(data: &Path) {
    let mut child = as_server(&binary("postgres"))
        .args(["--single", "-j", "-D"])
        .arg(data)
        .arg("postgres")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let script: String =
        ROLES.split_inclusive(';').map(|sql| format!("{}\n\n", sql.trim())).collect();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

fn make_certificates(folder: &Path, shows: Shows) {
    let openssl = |line: &str| {
        run(Command::new("openssl").current_dir(folder).args(line.split_whitespace()));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    std::fs::write(
        folder.join("leaf.ext"),
        "subjectAltName=DNS:db.test,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n",
    )
    .unwrap();
    std::fs::write(folder.join("ca.ext"), "basicConstraints=critical,CA:TRUE\n").unwrap();
    for authority in ["ca", "stranger"] {
        openssl(&format!(
            "req -x509 {key} -keyout {authority}.key -out {authority}.crt -days 30 -subj /CN={authority}"
        ));
    }
    let signed = "-CA ca.crt -CAkey ca.key -CAcreateserial";
    openssl(&format!("req {key} -keyout client.key -out client.csr -subj /CN=by_cert"));
    openssl(&format!("x509 -req -in client.csr {signed} -days 30 -out client.crt"));
    openssl(&format!("req {key} -keyout server.key -out server.csr -subj /CN=db.test"));
    let itself = "req -x509 -key server.key -out server.crt -subj /CN=db.test";
    match shows {
        Shows::Nothing => {}
        Shows::Good => openssl(&format!(
            "x509 -req -in server.csr {signed} -days 30 -extfile leaf.ext -out server.crt"
        )),
        Shows::Expired => openssl(&format!(
            "x509 -req -in server.csr {signed} -days -1 -extfile leaf.ext -out server.crt"
        )),
        Shows::SelfSigned => openssl(&format!("{itself} -days 30")),
        Shows::SelfSignedExpired => {
            openssl(
                "x509 -req -in server.csr -signkey server.key -extfile ca.ext -days -1 -out server.crt",
            );
        }
        Shows::Version1 => {
            openssl(&format!("x509 -req -in server.csr {signed} -days 30 -out server.crt"))
        }
    }
    for key in ["server.key", "client.key"] {
        std::fs::set_permissions(folder.join(key), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

fn binary(name: &str) -> PathBuf {
    let newest = ["18", "17", "16", "15", "14", "13"]
        .map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin/{name}")))
        .into_iter()
        .find(|path| path.exists());
    newest.unwrap_or_else(|| PathBuf::from(name))
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// PostgreSQL refuses to run as root.
fn as_server(program: &Path) -> Command {
    let mut command;
    if is_root() {
        command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    } else {
        command = Command::new(program);
    }
    command.current_dir("/");
    command
}

fn give_away(folder: &Path) {
    if is_root() {
        run(Command::new("chown").args(["-R", "postgres:postgres"]).arg(folder));
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", text_of(&output));
}

fn text_of(output: &Output) -> String {
    let text = if output.status.success() { &output.stdout } else { &output.stderr };
    String::from_utf8_lossy(text).trim().to_owned()
}
