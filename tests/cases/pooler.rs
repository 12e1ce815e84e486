//! Behind a real PgBouncer in transaction mode: nothing depends on a session, nothing is left in one.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::own_server::as_owner_of;
use crate::support::state::{assert_migrated, one};
use crate::support::tls_server::{TlsServer, free_port};
use crate::support::{Session, TestDb, cluster, env, kill_says, markenmate, wait_until};

/// Server connections a pool may have: fewer than runs at once.
const POOL: usize = 5;

/// A pooler on a socket of its own; dropped, it ends.
struct Pooler {
    child: Child,
    folder: TempDir,
    /// Where it listens with TLS, and whose certificate it shows there.
    tls: Option<(u16, Arc<TlsServer>)>,
}

fn pgbouncer() -> PathBuf {
    let usual = ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"].map(PathBuf::from);
    let found = env().path().into_iter().chain(usual).map(|dir| dir.join("pgbouncer"));
    found.into_iter().find(|path| path.is_file()).expect(
        "pgbouncer is not installed: apt-get install pgbouncer (scripts/test does it), or brew install pgbouncer",
    )
}

impl Pooler {
    fn start() -> Self {
        Self::start_with(None)
    }

    /// On a loopback address as well, where everybody must encrypt.
    fn start_with_tls() -> Self {
        Self::start_with(Some((free_port(), TlsServer::shared())))
    }

    fn start_with(tls: Option<(u16, Arc<TlsServer>)>) -> Self {
        let folder = TempDir::new_in("/tmp").unwrap();
        let path = folder.path().display();
        let (port, wire) = match &tls {
            None => (6432, "listen_addr =".to_owned()),
            Some((port, server)) => (
                *port,
                format!(
                    "listen_addr = 127.0.0.1\nclient_tls_sslmode = require\n\
                     client_tls_cert_file = {}\nclient_tls_key_file = {}",
                    server.file("server.crt"),
                    server.file("server.key")
                ),
            ),
        };
        let settings = format!(
            "[databases]\n* = host={} port=5432\n\
             [pgbouncer]\n{wire}\nlisten_port = {port}\nunix_socket_dir = {path}\n\
             auth_type = trust\nauth_file = {path}/users\npool_mode = transaction\n\
             default_pool_size = {POOL}\nmax_client_conn = 100\nlogfile = {path}/log\n",
            cluster().socket_dir().display(),
        );
        std::fs::write(folder.path().join("pgbouncer.ini"), settings).unwrap();
        std::fs::write(folder.path().join("users"), "\"postgres\" \"\"\n").unwrap();
        let owner = std::fs::metadata(cluster().data_dir()).unwrap();
        use std::os::unix::fs::{MetadataExt, chown};
        for file in ["", "pgbouncer.ini", "users"] {
            chown(folder.path().join(file), Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        let child = as_owner_of(&cluster().data_dir(), &pgbouncer())
            .args(["-q".as_ref(), folder.path().join("pgbouncer.ini").as_os_str()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pooler = Self { child, folder, tls };
        let socket = pooler.folder.path().join(format!(".s.PGSQL.{port}"));
        let log = || std::fs::read_to_string(pooler.folder.path().join("log"));
        assert!(wait_until(Duration::from_secs(10), || socket.exists()), "{:?}", log());
        pooler
    }

    fn url(&self, db: &TestDb) -> String {
        if let Some((port, server)) = &self.tls {
            return format!(
                "postgresql://postgres@db.test:{port}/{}?hostaddr=127.0.0.1&sslmode=verify-full\
                 &sslrootcert={}",
                db.name,
                server.file("ca.crt")
            );
        }
        self.socket_url(db)
    }

    fn socket_url(&self, db: &TestDb) -> String {
        let port = self.tls.as_ref().map_or(6432, |(port, _)| *port);
        let folder = self.folder.path().display();
        format!("postgresql://postgres@/{}?host={folder}&port={port}", db.name)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        kill_says(self.child.id(), "TERM");
        let _ = self.child.wait();
    }
}

/// What could be left in a session: settings other than the server's, the role, locks.
const TRACES: &str = "SELECT concat_ws(' | ', current_setting('search_path'), current_setting('lock_timeout'), \
    current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout'), \
    current_setting('DateStyle'), current_setting('standard_conforming_strings'), \
    current_setting('transaction_read_only'), current_setting('default_transaction_read_only'), \
    current_setting('client_connection_check_interval', true), current_user, session_user, \
    nullif(current_setting('markenmate.run_id', true), ''), nullif(current_setting('markenmate.adopted', true), ''), \
    (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_cursors), \
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()))";

/// Every server connection of the pool shows the same as one that was never lent to the tool.
#[track_caller]
fn assert_no_traces(pooler: &Pooler, db: &TestDb) {
    let fresh = one(&db.session(), TRACES);
    let url = pooler.socket_url(db);
    let clients: Vec<_> = (0..POOL).map(|_| Session::open(&url)).collect();
    // In a transaction each has a server connection of its own.
    let mut servers: Vec<_> = clients
        .iter()
        .map(|client| {
            client.sql("BEGIN");
            assert_eq!(one(client, TRACES), fresh);
            one(client, "SELECT pg_backend_pid()")
        })
        .collect();
    servers.sort();
    servers.dedup();
    assert_eq!(servers.len(), POOL);
    for client in clients {
        client.sql("ROLLBACK");
    }
}

#[test]
fn the_tool_works_behind_a_pooler_and_leaves_nothing_there() {
    let pooler = Pooler::start();
    for (db, state, applied) in [
        (TestDb::baseline(), "baseline", serde_json::json!([2, 3])),
        (TestDb::empty(), "pristine", serde_json::json!([1, 2, 3])),
    ] {
        let url = pooler.url(&db);
        let run = |args: &[&str]| {
            let args = [args, &["--format", "json"]].concat();
            markenmate(&args).url(&url).run().assert_code(0).json()
        };
        assert_eq!(run(&["status"])["data"]["state"], state);
        let started: Vec<_> = (0..16)
            .map(|_| markenmate(&["migrate", "--yes", "--format", "json"]).url(&url).spawn())
            .collect();
        let documents: Vec<_> =
            started.into_iter().map(|running| running.wait().assert_code(0).json()).collect();
        let winners: Vec<_> = documents.iter().filter(|d| d["outcome"] == "done").collect();
        assert_eq!(winners.len(), 1);
        assert_eq!(winners[0]["data"]["applied"], applied);
        assert_migrated(&db.url);
        assert_eq!(run(&["migrate", "--yes"])["outcome"], "nothing_to_do");
        assert_eq!(run(&["status"])["data"]["state"], "current");
        assert_no_traces(&pooler, &db);
    }
}

#[test]
fn admins_are_changed_behind_a_pooler_and_nothing_is_left_there() {
    let pooler = Pooler::start();
    let db = TestDb::migrated();
    let users: Vec<_> = (24..32).map(|n| format!("person{n}@example.de")).collect();
    let started = users.iter().map(|user| {
        let args = ["admin", "promote", user, "--as", "zweite.admin@example.de"];
        let args = [&args[..], &["--admin-password-stdin", "--yes"]].concat();
        markenmate(&args).url(&pooler.url(&db)).stdin("Größe-Übung-7").spawn()
    });
    let started: Vec<_> = started.collect();
    started.into_iter().for_each(|running| drop(running.wait().assert_code(0)));
    let admins = "SELECT count(*) FROM public.\"user\" WHERE role = 'admin'";
    assert_eq!(one(&db.session(), admins), "11");
    assert_no_traces(&pooler, &db);
}

#[test]
fn waiting_and_giving_up_behind_a_pooler_leaves_nothing_there() {
    waits_and_gives_up(&Pooler::start());
}

#[test]
fn giving_up_behind_a_pooler_that_encrypts_leaves_it_alive() {
    waits_and_gives_up(&Pooler::start_with_tls());
}

fn waits_and_gives_up(pooler: &Pooler) {
    let db = TestDb::baseline();
    let holder = db.session();
    holder.sql(r#"BEGIN; SELECT FROM public."user" LIMIT 1"#);
    let args = ["migrate", "--yes", "--max-wait", "500ms"];
    markenmate(&args).url(&pooler.url(&db)).run().assert_code(7);
    let running =
        markenmate(&["migrate", "--yes", "--lock-timeout", "60s"]).url(&pooler.url(&db)).spawn();
    let waits = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
                 WHERE NOT l.granted AND a.datname = current_database()";
    let session = db.session();
    assert!(wait_until(Duration::from_secs(20), || one(&session, waits) == "1"));
    let began = Instant::now();
    running.signal("INT");
    running.wait().assert_code(130);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // The pooler passes the cancellation on: nobody waits for the lock any longer.
    assert!(wait_until(Duration::from_secs(2), || one(&session, waits) == "0"));
    holder.sql("ROLLBACK");
    assert_no_traces(pooler, &db);
    markenmate(&["migrate", "--yes"]).url(&pooler.url(&db)).run().assert_code(0);
    assert_migrated(&db.url);
}
