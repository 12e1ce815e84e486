//! Connecting: what libpq accepts is accepted, and a refusal says why.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use markenmate::db::cancel::Cancel;
use markenmate::db::connect::{Connection, Transport, connect};
use markenmate::failure::Failure;
use markenmate::settings::{Endpoint, EndpointFlags, Env};
use secrecy::ExposeSecret;
use tokio_postgres::SimpleQueryMessage;

use crate::support::tls_server::{Folder, Shows, TlsServer};

fn endpoint(text: &str, vars: &[(&str, &str)]) -> Endpoint {
    let flags = EndpointFlags { database_url: Some(text.to_owned()), ..EndpointFlags::default() };
    let mut env = Env::of([("HOME", "/nonexistent")]);
    for (name, value) in vars {
        env = env.with(name, value);
    }
    Endpoint::resolve(&flags, &env).expect(text)
}

async fn open(text: &str) -> Result<Connection, Failure> {
    connect(&endpoint(text, &[]), "markenmate-test").await
}

/// To the server by the name in its certificate.
fn by_name(server: &TlsServer, rest: &str) -> String {
    format!(
        "host=db.test hostaddr=127.0.0.1 port={} dbname=postgres user=markenmate password=pw {rest}",
        server.port
    )
}

async fn transport(text: &str) -> Transport {
    match open(text).await {
        Ok(connection) => connection.transport,
        Err(failure) => panic!("{text}: {failure}"),
    }
}

/// The failure's every word, which must be exit 5 and hold no password.
async fn refusal(text: &str) -> String {
    let Err(failure) = open(text).await else { panic!("{text}: connected") };
    assert_eq!(failure.kind.exit_code(), 5, "{failure}");
    let shown = format!("{failure} | {} | {:?}", failure.hints.join(" | "), failure.sqlstate);
    assert!(!shown.contains("s3cret"), "{shown}");
    shown
}

async fn one(connection: &Connection, sql: &str) -> String {
    let messages = connection.client.simple_query(sql).await.expect(sql);
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    row.unwrap_or_default().to_owned()
}

#[tokio::test]
async fn every_sslmode_protects_as_far_as_it_says() {
    let server = TlsServer::shared();
    let ca = server.file("ca.crt");
    for (rest, expected) in [
        ("sslmode=disable".to_owned(), Transport::Plain),
        ("sslmode=allow".to_owned(), Transport::Plain),
        ("sslmode=prefer".to_owned(), Transport::Encrypted),
        ("".to_owned(), Transport::Encrypted),
        ("sslmode=require".to_owned(), Transport::Encrypted),
        (format!("sslmode=require sslrootcert={ca}"), Transport::Verified),
        (format!("sslmode=verify-ca sslrootcert={ca}"), Transport::Verified),
        (format!("sslmode=verify-full sslrootcert={ca}"), Transport::Verified),
        (
            format!("sslmode=verify-full sslrootcert={ca} ssl_max_protocol_version=TLSv1.2"),
            Transport::Verified,
        ),
    ] {
        let connection = open(&by_name(&server, &rest)).await.expect(&rest);
        assert_eq!(connection.transport, expected, "{rest}");
        let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let encrypted = expected != Transport::Plain;
        assert_eq!(one(&connection, sql).await, if encrypted { "t" } else { "f" }, "{rest}");
    }
}

#[tokio::test]
async fn allow_and_prefer_take_the_other_way_where_pg_hba_wants_it() {
    let server = TlsServer::shared();
    let as_user = |user, mode| by_name(&server, &format!("user={user} sslmode={mode}"));
    assert_eq!(transport(&as_user("tls_only", "allow")).await, Transport::Encrypted);
    assert_eq!(transport(&as_user("no_tls", "prefer")).await, Transport::Plain);
    let shown = refusal(&as_user("no_tls", "require")).await;
    assert!(shown.contains("pg_hba.conf") && shown.contains("28000"), "{shown}");
    let shown = refusal(&as_user("tls_only", "disable")).await;
    assert!(shown.contains("pg_hba.conf rejects"), "{shown}");
}

#[tokio::test]
async fn a_server_of_another_name_or_authority_is_refused() {
    let server = TlsServer::shared();
    let (ca, stranger) = (server.file("ca.crt"), server.file("stranger.crt"));
    let other_name = |rest: &str| by_name(&server, rest).replace("db.test", "localhost");
    let shown = refusal(&other_name(&format!("sslmode=verify-full sslrootcert={ca}"))).await;
    assert!(shown.contains("certificate is for db.test"), "{shown}");
    let mode = format!("sslmode=verify-ca sslrootcert={ca}");
    assert_eq!(transport(&other_name(&mode)).await, Transport::Verified);
    let by_address = by_name(&server, &format!("sslmode=verify-full sslrootcert={ca}"));
    let by_address = by_address.replace("db.test", "127.0.0.1");
    assert_eq!(transport(&by_address).await, Transport::Verified);
    for mode in ["verify-ca", "verify-full", "require"] {
        let rest = format!("sslmode={mode} sslrootcert={stranger}");
        let shown = refusal(&by_name(&server, &rest)).await;
        assert!(shown.contains("nobody who is trusted signed"), "{shown}");
        assert!(shown.contains("sslrootcert=FILE"), "{shown}");
    }
    let shown = refusal(&by_name(&server, "sslrootcert=system")).await;
    assert!(
        shown.contains("nobody who is trusted") || shown.contains("ca-certificates"),
        "{shown}"
    );
    let shown = refusal(&by_name(&server, "sslmode=verify-full")).await;
    assert!(shown.contains("nothing to verify against"), "{shown}");
    let shown = refusal(&by_name(&server, "sslmode=verify-ca sslrootcert=/nonexistent")).await;
    assert!(shown.contains("cannot read sslrootcert /nonexistent"), "{shown}");
}

#[tokio::test]
async fn an_expired_certificate_is_refused_where_it_is_verified() {
    let server = TlsServer::start(Shows::Expired);
    let mode = format!("sslmode=verify-ca sslrootcert={}", server.file("ca.crt"));
    let shown = refusal(&by_name(&server, &mode)).await;
    assert!(shown.contains("has expired"), "{shown}");
    assert_eq!(transport(&by_name(&server, "sslmode=require")).await, Transport::Encrypted);
}

#[tokio::test]
async fn a_self_signed_certificate_is_trusted_where_it_is_named_itself() {
    let server = TlsServer::start(Shows::SelfSigned);
    let named = format!("sslrootcert={}", server.file("server.crt"));
    for mode in ["verify-ca", "verify-full"] {
        let text = by_name(&server, &format!("sslmode={mode} {named}"));
        assert_eq!(transport(&text).await, Transport::Verified);
        let pinned_12 = format!("{text} ssl_max_protocol_version=TLSv1.2");
        assert_eq!(transport(&pinned_12).await, Transport::Verified);
    }
    let text = by_name(&server, &format!("sslmode=verify-full {named}"));
    let shown = refusal(&text.replace("db.test", "localhost")).await;
    assert!(shown.contains("certificate is for db.test"), "{shown}");
    let other = format!("sslmode=verify-ca sslrootcert={}", server.file("ca.crt"));
    let shown = refusal(&by_name(&server, &other)).await;
    assert!(shown.contains("nobody who is trusted"), "{shown}");
}

#[tokio::test]
async fn a_named_certificate_must_be_valid_all_the_same() {
    let server = TlsServer::start(Shows::SelfSignedExpired);
    let mode = format!("sslmode=verify-ca sslrootcert={}", server.file("server.crt"));
    let shown = refusal(&by_name(&server, &mode)).await;
    assert!(shown.contains("has expired"), "{shown}");
}

#[tokio::test]
async fn a_version_1_certificate_is_explained_and_can_be_named() {
    let server = TlsServer::start(Shows::Version1);
    assert_eq!(transport(&by_name(&server, "sslmode=require")).await, Transport::Encrypted);
    let by_12 = "sslmode=require ssl_max_protocol_version=TLSv1.2";
    assert_eq!(transport(&by_name(&server, by_12)).await, Transport::Encrypted);
    let mode = format!("sslmode=verify-full sslrootcert={}", server.file("ca.crt"));
    let shown = refusal(&by_name(&server, &mode)).await;
    assert!(shown.contains("version 1") && shown.contains("openssl x509"), "{shown}");
    let mode = format!("sslmode=verify-full sslrootcert={}", server.file("server.crt"));
    assert_eq!(transport(&by_name(&server, &mode)).await, Transport::Verified);
}

#[tokio::test]
async fn a_client_certificate_stands_for_the_password() {
    let server = TlsServer::shared();
    let folder = Folder::new();
    let copy = |name: &str, mode: u32| {
        let to = folder.0.join(name);
        std::fs::copy(server.file(name), &to).unwrap();
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(mode)).unwrap();
        to.display().to_string()
    };
    let certificate = copy("client.crt", 0o644);
    let key = copy("client.key", 0o600);
    let text = |key: &str| {
        by_name(
            &server,
            &format!("user=by_cert sslmode=require sslcert={certificate} sslkey={key}"),
        )
    };
    assert_eq!(transport(&text(&key)).await, Transport::Encrypted);
    let shown = refusal(&text("/nonexistent")).await;
    assert!(shown.contains("not its key"), "{shown}");
    copy("client.key", 0o666);
    let shown = refusal(&text(&key)).await;
    assert!(shown.contains("chmod 0600"), "{shown}");
    let shown = refusal(&by_name(&server, "user=by_cert sslmode=require")).await;
    assert!(shown.contains("client certificate"), "{shown}");
}

#[tokio::test]
async fn channel_binding_can_be_required() {
    let server = TlsServer::shared();
    let text = by_name(&server, "sslmode=require channel_binding=require");
    assert_eq!(transport(&text).await, Transport::Encrypted);
    let shown = refusal(&by_name(&server, "sslmode=disable channel_binding=require")).await;
    assert!(shown.contains("channel_binding=require needs TLS"), "{shown}");
    let trusted = by_name(&server, "user=trusted sslmode=require channel_binding=require");
    assert!(refusal(&trusted).await.contains("channel binding"), "trust binds nothing");
    let text = by_name(&server, "sslmode=require channel_binding=disable");
    assert_eq!(transport(&text).await, Transport::Encrypted);
}

#[tokio::test]
async fn a_server_without_tls_is_said_to_have_none() {
    let server = TlsServer::start(Shows::Nothing);
    let shown = refusal(&by_name(&server, "sslmode=require")).await;
    assert!(shown.contains("does not offer TLS") && shown.contains("sslmode=prefer"), "{shown}");
    assert_eq!(transport(&by_name(&server, "sslmode=prefer")).await, Transport::Plain);
    let socket = format!(
        "postgres://markenmate:pw@/postgres?host={}&port={}&sslmode=require",
        server.socket(),
        server.port
    );
    assert_eq!(transport(&socket).await, Transport::Socket);
}

#[tokio::test]
async fn refusals_of_the_server_keep_its_code_and_say_what_to_type() {
    let server = TlsServer::shared();
    for (rest, words) in [
        ("password=s3cret", vec!["28P01", "password authentication failed", "command line"]),
        ("password=''", vec!["none was given", "PGPASSWORD", "-W"]),
        ("dbname=nowhere", vec!["3D000", "\"nowhere\" does not exist", "psql -h db.test"]),
        ("user=postgres", vec!["28000", "-U markenmate", "markenmate-db-1"]),
        ("user=ghost", vec!["28000", "role \"ghost\" does not exist", "-U ROLE"]),
        ("user=crowded", vec!["53300", "try again"]),
        ("port=1", vec!["connection refused", "is the server listening"]),
        (
            "host=/nonexistent hostaddr=''",
            vec!["no socket /nonexistent/.s.PGSQL", "--host localhost"],
        ),
        ("host=no-such-host.invalid hostaddr=''", vec!["no such host"]),
    ] {
        let shown = refusal(&by_name(&server, rest)).await;
        for word in words {
            assert!(shown.contains(word), "{rest}: {word}: {shown}");
        }
        assert!(shown.starts_with("cannot connect to "), "{shown}");
        assert!(shown.matches("does not exist").count() <= 1, "{shown}");
    }
}

#[tokio::test]
async fn a_silent_server_ends_in_time() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for mode in ["disable", "prefer", "require"] {
        let text =
            format!("host=127.0.0.1 port={port} dbname=d user=u sslmode={mode} connect_timeout=1");
        let began = Instant::now();
        let shown = refusal(&text).await;
        assert!(shown.contains("not answered within 1 s"), "{shown}");
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }
    let usual = endpoint(&format!("host=127.0.0.1 port={port} dbname=d"), &[]);
    assert_eq!(usual.tcp.connect_timeout, Some(Duration::from_secs(10)));
}

async fn is_cancelled(connection: &Connection) -> tokio_postgres::Error {
    let canceller = Cancel::of(connection);
    let sleep = connection.client.simple_query("SELECT pg_sleep(30)");
    let (result, ()) = tokio::join!(sleep, async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        canceller.cancel().await;
    });
    result.expect_err("cancelled")
}

#[tokio::test]
async fn a_statement_is_cancelled_over_the_same_transport() {
    let server = TlsServer::shared();
    let ca = server.file("ca.crt");
    for rest in ["sslmode=disable".into(), format!("sslmode=verify-full sslrootcert={ca}")] {
        let connection = open(&by_name(&server, &rest)).await.expect("connects");
        let error = is_cancelled(&connection).await;
        let failure = markenmate::db::error::failure("cannot sleep", &error);
        assert_eq!(failure.sqlstate.as_deref(), Some("57014"));
        assert_eq!(failure.kind.exit_code(), 1);
        assert!(failure.hints.iter().any(|hint| hint.contains("--statement-timeout")));
    }
}

/// A pooler refuses startup parameters it does not know.
#[tokio::test]
async fn the_greeting_holds_no_more_than_a_pooler_takes() {
    for (rest, options) in [("", None), ("options='-c work_mem=7MB'", Some("options"))] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let text = format!("host=127.0.0.1 port={port} dbname=d user=u sslmode=disable {rest}");
        let greeting = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut packet = [0; 1024];
            let length = stream.read(&mut packet).unwrap();
            String::from_utf8_lossy(&packet[8..length]).into_owned()
        });
        assert!(refusal(&text).await.contains("closed the connection during the greeting"));
        let greeting = greeting.join().unwrap();
        let mut names: Vec<_> = greeting.split('\0').step_by(2).filter(|n| !n.is_empty()).collect();
        names.sort_unstable();
        let mut expected = vec!["application_name", "client_encoding", "database", "user"];
        expected.extend(options);
        expected.sort_unstable();
        assert_eq!(names, expected);
    }
}

#[tokio::test]
async fn of_several_servers_the_first_that_fits_is_taken() {
    let (primary, standby) = (TlsServer::shared(), TlsServer::start_standby());
    let list = |first: u16, second: u16, rest: &str| {
        format!("postgresql://markenmate:pw@127.0.0.1:{first},127.0.0.1:{second}/postgres?{rest}")
    };
    let (p, s) = (primary.port, standby.port);
    for (text, port) in [
        (list(1, p, "sslmode=prefer"), p),
        (list(s, p, "target_session_attrs=any"), s),
        (list(s, p, "target_session_attrs=primary"), p),
        (list(s, p, "target_session_attrs=read-write"), p),
        (list(p, s, "target_session_attrs=standby"), s),
        (list(p, s, "target_session_attrs=read-only"), s),
        (list(p, s, "target_session_attrs=prefer-standby"), s),
        (list(p, 1, "target_session_attrs=prefer-standby"), p),
    ] {
        let connection = open(&text).await.expect(&text);
        assert_eq!(connection.port, port, "{text}");
        assert_eq!(one(&connection, "SHOW port").await, port.to_string(), "{text}");
    }
    // A request to cancel goes where the connection went.
    let connection = open(&list(1, s, "sslmode=prefer")).await.expect("connects");
    assert!(connection.is_local() && connection.transport == Transport::Plain);
    is_cancelled(&connection).await;
    let shown = refusal(&list(s, 1, "target_session_attrs=primary")).await;
    assert!(shown.contains("is a standby") && shown.contains("connection refused"), "{shown}");
    // Who is reached and refuses is not passed over.
    let shown = refusal(&list(p, s, "password=s3cret")).await;
    assert!(shown.contains("28P01"), "{shown}");
    let reader = "user=reader target_session_attrs=read-write";
    assert!(refusal(&by_name(&primary, reader)).await.contains("session is read-only"));
}

#[tokio::test]
async fn strings_are_read_as_psql_reads_them() {
    let server = TlsServer::shared();
    let port = server.port.to_string();
    let folder = Folder::new();
    let service = folder.0.join("services");
    std::fs::write(
        &service,
        format!("[mm]\nhost=127.0.0.1\nport={port}\ndbname=postgres\nuser=reader\n"),
    )
    .unwrap();
    let passfile = folder.0.join("pass");
    std::fs::write(
        &passfile,
        format!("127.0.0.1:{port}:*:reader:pw\n*:*:postgres:markenmate:pw\n"),
    )
    .unwrap();
    std::fs::set_permissions(&passfile, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (service, passfile) = (service.to_str().unwrap(), passfile.to_str().unwrap());
    let socket = server.socket();
    let encoded = socket.replace('/', "%2F");
    let odd = "dbname='odd \\'name\\\\'";
    let cases: Vec<(String, Vec<(&str, &str)>)> = vec![
        (format!("postgres://markenmate:pw@127.0.0.1:{port}/postgres"), vec![]),
        (
            format!(
                "postgresql://markenmate:p%77@127.0.0.1:{port}/postgres?application_name=a%20b"
            ),
            vec![],
        ),
        (format!("postgresql://{encoded}:{port}/postgres?user=markenmate&password=pw"), vec![]),
        (
            format!("postgresql:///postgres?host={socket}&port={port}&user=reader&password=pw"),
            vec![],
        ),
        (format!("host=127.0.0.1 port = {port} user=markenmate password='pw' {odd}"), vec![]),
        (
            format!(
                "host='127.0.0.1' port={port} user=mark\\enmate password=p\\w dbname=postgres options='-c work_mem=7MB'"
            ),
            vec![],
        ),
        (
            format!("postgres://127.0.0.1:1,127.0.0.1:{port}/postgres"),
            vec![("PGUSER", "markenmate"), ("PGPASSWORD", "pw")],
        ),
        (
            "postgres".into(),
            vec![
                ("PGHOST", "127.0.0.1"),
                ("PGPORT", &port),
                ("PGUSER", "reader"),
                ("PGPASSWORD", "pw"),
            ],
        ),
        ("service=mm".into(), vec![("PGSERVICEFILE", service), ("PGPASSFILE", passfile)]),
        (
            "user=markenmate".into(),
            vec![
                ("PGSERVICE", "mm"),
                ("PGSERVICEFILE", service),
                ("PGPASSFILE", passfile),
                ("PGUSER", "x"),
            ],
        ),
        (
            format!("postgres://reader@/postgres?passfile={passfile}"),
            vec![("PGHOSTADDR", "127.0.0.1"), ("PGPORT", &port), ("PGAPPNAME", "x y")],
        ),
    ];
    let sql = "SELECT concat_ws('|', current_user, current_database(), inet_server_port(), \
               current_setting('work_mem'), inet_server_addr())";
    for (text, vars) in cases {
        let theirs = server.psql(&text, &vars, sql);
        let connection = match connect(&endpoint(&text, &vars), "t").await {
            Ok(connection) => connection,
            Err(failure) => panic!("{text}: {failure}; psql: {theirs}"),
        };
        assert_eq!(one(&connection, sql).await, theirs, "{text}");
    }
}

#[tokio::test]
async fn a_child_reaches_the_same_database_by_what_it_is_given() {
    let server = TlsServer::shared();
    let text = by_name(
        &server,
        &format!(
            "dbname='odd \\'name\\\\' sslmode=verify-full sslrootcert={}",
            server.file("ca.crt")
        ),
    );
    let endpoint = endpoint(&text, &[]);
    let host = &endpoint.hosts[0];
    let folder = Folder::new();
    let passfile = folder.0.join("pass");
    let line = endpoint.login(host).passfile_line.expect("a password");
    std::fs::write(&passfile, line.expose_secret()).unwrap();
    std::fs::set_permissions(&passfile, std::fs::Permissions::from_mode(0o600)).unwrap();
    let conninfo = endpoint.login(host).conninfo;
    assert!(!conninfo.contains("pw"), "{conninfo}");
    let vars = [("PGPASSFILE", passfile.to_str().unwrap())];
    assert_eq!(server.psql(&conninfo, &vars, "SELECT current_database()"), "odd 'name\\");
}
