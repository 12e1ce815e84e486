use std::time::Duration;

use super::super::{Address, Roots, TargetSession};
use super::*;

fn flags(url: &str) -> EndpointFlags {
    EndpointFlags { database_url: Some(url.to_owned()), ..EndpointFlags::default() }
}

fn resolve(flags: &EndpointFlags, vars: &[(&str, &str)]) -> Result<Endpoint, Failure> {
    let home = Env::of([("HOME", "/nonexistent")]);
    let env = vars.iter().fold(home, |env, (name, value)| env.with(name, value));
    Endpoint::resolve(flags, &env)
}

fn shown(flags: &EndpointFlags, vars: &[(&str, &str)]) -> String {
    resolve(flags, vars).expect("resolves").to_string()
}

fn refused(flags: &EndpointFlags, vars: &[(&str, &str)]) -> Failure {
    let failure = resolve(flags, vars).expect_err("refused");
    assert_eq!(failure.kind.exit_code(), 2, "{failure}");
    failure
}

fn secret(endpoint: &Endpoint) -> Option<&str> {
    endpoint.password(&endpoint.hosts[0]).map(ExposeSecret::expose_secret)
}

#[test]
fn the_stronger_layer_wins_keyword_by_keyword() {
    let vars = [("PGHOST", "ph"), ("PGPORT", "1"), ("PGDATABASE", "pd"), ("PGUSER", "pu")];
    let none = EndpointFlags::default();
    assert_eq!(shown(&none, &vars), "database pd at ph:1 as pu");
    let mut with_url = vars.to_vec();
    with_url.push(("DATABASE_URL", "postgres://uu@uh/ud"));
    assert_eq!(shown(&none, &with_url), "database ud at uh:1 as uu");
    assert_eq!(shown(&flags("postgres://fh/fd"), &with_url), "database fd at fh:1 as pu");
    assert_eq!(shown(&flags("fd"), &with_url), "database fd at uh:1 as uu");
    let parts = EndpointFlags {
        host: Some("hh".into()),
        port: Some("9".into()),
        username: Some("hu".into()),
        ..flags("postgres://fu@fh:8/fd")
    };
    assert_eq!(shown(&parts, &with_url), "database fd at hh:9 as hu");
}

#[test]
fn origins_say_where_each_part_came_from_and_no_secret() {
    let vars = [("DATABASE_URL", "postgres://u:s3cret@h/d"), ("PGPORT", "7")];
    let endpoint = resolve(&EndpointFlags::default(), &vars).expect("resolves");
    let origin = |name| {
        let found = endpoint.origins.iter().find(|origin| origin.name == name).expect(name);
        (found.shown.as_str(), found.source.to_string())
    };
    assert_eq!(origin("host"), ("h", "DATABASE_URL".to_owned()));
    assert_eq!(origin("port"), ("7", "PGPORT".to_owned()));
    assert_eq!(origin("password"), ("(not shown)", "DATABASE_URL".to_owned()));
    assert_eq!(origin("sslmode"), ("prefer", "default".to_owned()));
    let all = format!("{endpoint:?} {endpoint} {:?}", endpoint.origins);
    assert!(!all.contains("s3cret"), "{all}");
    assert!(!format!("{:?}", flags("postgres://u:s3cret@h/d")).contains("s3cret"));
}

#[test]
fn without_a_database_nothing_is_guessed() {
    let none = EndpointFlags::default();
    let host = EndpointFlags { host: Some("h".into()), ..none.clone() };
    for (flags, vars) in [
        (&none, vec![]),
        (&none, vec![("PGHOST", "h"), ("PGUSER", "u")]),
        (&none, vec![("DATABASE_URL", "")]),
        (&none, vec![("DATABASE_URL", "postgres://u@h")]),
        (&none, vec![("DATABASE_URL", "postgres://u@h/")]),
        (&host, vec![]),
        (&flags("postgres://h"), vec![("DATABASE_URL", "postgres://x/prod")]),
        (&flags("dbname=''"), vec![("PGDATABASE", "d")]),
    ] {
        let failure = refused(flags, &vars);
        assert!(failure.message.contains("no database"), "{failure}");
        assert!(failure.hints.iter().any(|hint| hint.contains("--database-url")));
    }
    let vars = [("DATABASE_URL", "postgres://u@h"), ("PGDATABASE", "d")];
    assert_eq!(shown(&none, &vars), "database d at h:5432 as u");
}

#[test]
fn an_empty_flag_is_refused() {
    let empty = EndpointFlags { host: Some(String::new()), ..flags("d") };
    assert!(refused(&empty, &[]).message.contains("--host"));
    assert!(refused(&flags(" "), &[]).message.contains("--database-url"));
}

#[test]
fn a_password_goes_only_to_whom_it_belongs() {
    let url = ("DATABASE_URL", "postgres://u:s3cret@h/d");
    let of = |flags: &EndpointFlags, vars: &[(&str, &str)]| {
        secret(&resolve(flags, vars).expect("resolves")).map(str::to_owned)
    };
    let none = EndpointFlags::default();
    assert_eq!(of(&none, &[url]).as_deref(), Some("s3cret"));
    let other = EndpointFlags { username: Some("other".into()), ..none.clone() };
    assert_eq!(of(&other, &[url]), None);
    assert_eq!(of(&other, &[url, ("PGPASSWORD", "p")]).as_deref(), Some("p"));
    // Another server was named: nothing of the first one's is sent there.
    assert_eq!(of(&flags("postgres://u@staging/d"), &[url]), None);
    let apart = EndpointFlags { host: Some("staging".into()), ..flags("d") };
    assert_eq!(of(&apart, &[url, ("PGUSER", "u")]), None);
    assert_eq!(of(&flags("d2"), &[url]).as_deref(), Some("s3cret"));
}

#[test]
fn a_prompted_password_replaces_any_other() {
    let asked = EndpointFlags { ask_password: true, ..flags("postgres://u:a@h1,h2/d") };
    let mut endpoint = resolve(&asked, &[]).expect("resolves");
    assert!(endpoint.needs_password_prompt());
    endpoint.set_password("b".to_owned().into());
    assert!(!endpoint.needs_password_prompt());
    assert_eq!(secret(&endpoint), Some("b"));
}

#[test]
fn sslmode_falls_back_on_the_apps_variable() {
    let of = |url: &str, vars: &[(&str, &str)]| {
        resolve(&flags(url), vars).expect("resolves").tls.mode.word()
    };
    let url = "postgres://h/d";
    assert_eq!(of(url, &[]), "prefer");
    assert_eq!(of(url, &[("DATABASE_SSL", "")]), "prefer");
    assert_eq!(of(url, &[("DATABASE_SSL", "disable")]), "disable");
    assert_eq!(of(url, &[("DATABASE_SSL", "verify-full")]), "verify-full");
    assert_eq!(of(url, &[("DATABASE_SSL", "true")]), "require");
    assert_eq!(of(url, &[("DATABASE_SSL", "true"), ("PGSSLMODE", "allow")]), "allow");
    assert_eq!(of("postgres://h/d?sslmode=disable", &[("PGSSLMODE", "allow")]), "disable");
    assert_eq!(of("postgres://h/d?ssl=true", &[]), "require");
    assert_eq!(of("postgres://h/d?sslrootcert=system", &[]), "verify-full");
    let failure = refused(&flags("postgres://h/d?sslrootcert=system&sslmode=require"), &[]);
    assert!(failure.message.contains("needs sslmode=verify-full"));
    let app = resolve(&flags(url), &[("DATABASE_SSL", "verify-full")]).expect("resolves");
    assert!(matches!(app.tls.roots, Roots::Usual { or_system: true, .. }));
}

#[test]
fn hosts_addresses_and_ports_belong_together() {
    let of = |text: &str, vars: &[(&str, &str)]| resolve(&flags(text), vars).expect(text).hosts;
    let hosts = of("postgres://a:1,b,[::1]:3/d", &[]);
    let shown: Vec<_> = hosts.iter().map(Host::shown).collect();
    assert_eq!(shown, ["a:1", "b:5432", "[::1]:3"]);
    assert_eq!(of("host=a,b port=7 dbname=d", &[])[1].port, 7);
    let hosts = of("host=a hostaddr=10.0.0.1 dbname=d", &[]);
    assert_eq!(hosts[0].address, Address::Ip("10.0.0.1".parse().expect("address")));
    assert_eq!(of("host=/run/x dbname=d", &[])[0].address, Address::Socket("/run/x".into()));
    // An address said for another host is not this one's.
    let vars = [("PGHOSTADDR", "10.0.0.1")];
    assert_eq!(of("postgres://h/d", &vars)[0].address, Address::Name("h".into()));
    for text in ["host=a,b port=1,2,3 dbname=d", "host=a,b hostaddr=::1 dbname=d"] {
        assert!(refused(&flags(text), &[]).message.contains(" are named"));
    }
    for text in ["port=0 dbname=d", "port=x dbname=d", "port=70000 dbname=d"] {
        assert!(refused(&flags(text), &[]).message.contains("1 to 65535"));
    }
}

#[test]
fn words_and_numbers_are_checked() {
    for (rest, name) in [
        ("sslmode=on", "sslmode"),
        ("target_session_attrs=master", "target_session_attrs"),
        ("connect_timeout=soon", "connect_timeout"),
        ("channel_binding=yes", "channel_binding"),
        ("sslcrl=x", "sslcrl"),
        ("gssencmode=require", "gssencmode"),
        ("client_encoding=LATIN1", "client_encoding"),
        ("sslpassword=x", "sslpassword"),
        ("sslnegotiation=direct", "sslnegotiation"),
        ("ssl_max_protocol_version=TLSv1.1", "ssl_max_protocol_version"),
        ("schema=public", "schema"),
    ] {
        let failure = refused(&flags(&format!("dbname=d {rest}")), &[]);
        let all = format!("{failure} {:?}", failure.hints);
        assert!(all.contains(name), "{rest}: {all}");
    }
    let fine = "dbname=d gssencmode=prefer krbsrvname=x client_encoding=UTF8 keepalives=0 \
                connect_timeout=3 target_session_attrs=prefer-standby tcp_user_timeout=1500";
    let endpoint = resolve(&flags(fine), &[("PGAPPNAME", "mine")]).expect("resolves");
    assert_eq!(endpoint.target_session, TargetSession::PreferStandby);
    assert_eq!(endpoint.tcp.connect_timeout, Some(Duration::from_secs(3)));
    assert_eq!(endpoint.tcp.user_timeout, Some(Duration::from_millis(1500)));
    assert!(!endpoint.tcp.keepalives);
    assert_eq!(endpoint.application_name.as_deref(), Some("mine"));
    let forever = resolve(&flags("dbname=d connect_timeout=0"), &[]).expect("resolves");
    assert_eq!(forever.tcp.connect_timeout, None);
}

#[test]
fn a_stray_password_is_not_shown() {
    for text in ["host=u:p@s3cret dbname=d", "postgres://u:s3cret/x@h/d", "postgres://h:s3cret/d"] {
        let failure = refused(&flags(text), &[]);
        assert!(!format!("{failure} {:?}", failure.hints).contains("s3cret"), "{failure}");
    }
}
