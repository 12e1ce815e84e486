//! `postgresql://user:password@host:port,host:port/database?keyword=value` (manual, 34.1.1.2).

use super::conninfo::{Values, store};
use crate::failure::Failure;

/// Reads what follows the scheme.
pub(super) fn parse(rest: &str) -> Result<Values, Failure> {
    let mut values = Values::new();
    // libpq looks for `@` up to the first `/`, and nowhere else.
    let authority = rest.split('/').next().unwrap_or_default();
    let rest = match authority.split_once('@') {
        Some((credentials, _)) => {
            let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
            store_decoded(&mut values, "user", user)?;
            store_decoded(&mut values, "password", password)?;
            rest.get(credentials.len() + 1..).unwrap_or_default()
        }
        None => rest,
    };
    let rest = hosts(&mut values, rest)?;
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    if let Some(name) = path.strip_prefix('/') {
        store_decoded(&mut values, "dbname", name)?;
    }
    check_for_stray_credentials(&values, path)?;
    for pair in query.into_iter().flat_map(|query| query.split('&')).filter(|p| !p.is_empty()) {
        parameter(&mut values, pair)?;
    }
    Ok(values)
}

/// Takes `host:port,host:port` off the front.
fn hosts<'a>(values: &mut Values, mut rest: &'a str) -> Result<&'a str, Failure> {
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    loop {
        let host;
        (host, rest) = one_host(rest)?;
        hosts.push(host);
        let mut port = "";
        if let Some(after) = rest.strip_prefix(':') {
            (port, rest) = cut(after, &['/', '?', ',']);
        }
        ports.push(port);
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None => break,
        }
    }
    store_decoded(values, "host", &hosts.join(","))?;
    store_decoded(values, "port", &ports.join(","))?;
    Ok(rest)
}

fn one_host(rest: &str) -> Result<(&str, &str), Failure> {
    let Some(inner) = rest.strip_prefix('[') else {
        return Ok(cut(rest, &[':', '/', '?', ',']));
    };
    let Some((host, after)) = inner.split_once(']') else {
        return Err(Failure::usage("an IPv6 address is not closed by `]`"));
    };
    if host.is_empty() {
        return Err(Failure::usage("the IPv6 address between `[` and `]` is empty"));
    }
    if !after.is_empty() && !after.starts_with([':', '/', '?', ',']) {
        return Err(Failure::usage("something other than `:port` or `/` follows `]`"));
    }
    Ok((host, after))
}

fn cut<'a>(text: &'a str, ends: &[char]) -> (&'a str, &'a str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

/// An unencoded `@` or `/` in a password makes libpq take the rest of it for a host or a
/// database, and show it. Here that is refused instead.
fn check_for_stray_credentials(values: &Values, path: &str) -> Result<(), Failure> {
    let value = |name| values.get(name).map_or("", String::as_str);
    if value("host").contains('@') || path.contains('@') {
        return Err(Failure::usage("the user or the password contains a character of the URI")
            .hint("percent-encode it: @ is %40, / is %2F, : is %3A, % is %25"));
    }
    Ok(())
}

fn parameter(values: &mut Values, pair: &str) -> Result<(), Failure> {
    let Some((name, value)) = pair.split_once('=') else {
        return Err(Failure::usage("a query parameter without `=`"));
    };
    if value.contains('=') {
        return Err(Failure::usage("a query parameter with more than one `=`")
            .hint("percent-encode it: = is %3D, & is %26"));
    }
    let (name, value) = (decode(name)?, decode(value)?);
    // JDBC's spelling, which libpq accepts with this one value.
    if name == "ssl" {
        if value != "true" {
            return Err(Failure::usage("`ssl` takes only the value true")
                .hint("use sslmode=disable|prefer|require|verify-ca|verify-full"));
        }
        return store(values, "sslmode", "require".to_owned());
    }
    store(values, &name, value)
}

/// Empty parts are left to the lower levels: an empty database would hide `PGDATABASE`.
fn store_decoded(values: &mut Values, name: &str, text: &str) -> Result<(), Failure> {
    if text.is_empty() {
        return Ok(());
    }
    store(values, name, decode(text)?)
}

fn decode(text: &str) -> Result<String, Failure> {
    let bad = || {
        Failure::usage("a `%` is not followed by two hexadecimal digits")
            .hint("percent-encode it: % is %25")
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|d| char::from(d).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(bad());
        };
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| bad())?);
    }
    String::from_utf8(bytes).map_err(|_| Failure::usage("a percent-encoded part is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> String {
        let values = parse(text).expect(text);
        values.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn parts_are_taken_as_libpq_takes_them() {
        for (text, parts) in [
            ("", ""),
            ("localhost", "host=localhost"),
            ("u:p%40w@h:5433/d", "dbname=d host=h password=p@w port=5433 user=u"),
            ("u@/d", "dbname=d user=u"),
            ("/d?host=/run/x&port=1", "dbname=d host=/run/x port=1"),
            ("%2Frun%2Fx:5/d", "dbname=d host=/run/x port=5"),
            ("[::1]:5/d", "dbname=d host=::1 port=5"),
            ("[::1]", "host=::1"),
            ("h1:1,h2,[::2]:3/d", "dbname=d host=h1,h2,::2 port=1,,3"),
            ("h?dbname=q&ssl=true", "dbname=q host=h sslmode=require"),
            (
                "h/d?sslmode=disable&application_name=a%20b",
                "application_name=a b dbname=d host=h sslmode=disable",
            ),
            ("u:p?w#x@h/d", "dbname=d host=h password=p?w#x user=u"),
            ("h/a/b", "dbname=a/b host=h"),
        ] {
            assert_eq!(read(text).replace(" port=, ", " "), parts, "{text}");
        }
    }

    #[test]
    fn refusals_never_repeat_a_password() {
        for text in [
            "u:s3c@ret@h/d",
            "u:s3c/ret@h/d",
            "u:s3cret%zz@h/d",
            "h/d?password",
            "h/d?password=s3c=ret",
            "h/d?sslmod=s3cret",
            "[::1/d",
            "[]/d",
            "h/d?ssl=s3cret",
            "u:s3c%ff@h/d",
        ] {
            let failure = parse(text).expect_err(text);
            let shown = format!("{failure} {:?}", failure.hints);
            assert!(!shown.contains("s3c") && !shown.contains("ret@"), "{text}: {shown}");
        }
    }

    fn encode(text: &str) -> String {
        text.bytes().map(|byte| format!("%{byte:02X}")).collect()
    }

    proptest! {
        #[test]
        fn encoded_parts_read_back(
            user in "[^\0]{1,9}", password in "[^\0]{1,9}", name in "[^\0]{1,9}", app in "[^\0]{0,9}",
        ) {
            let text = format!(
                "{}:{}@h:1/{}?application_name={}",
                encode(&user), encode(&password), encode(&name), encode(&app)
            );
            let values = parse(&text).expect("well-formed");
            prop_assert_eq!(&values["user"], &user);
            prop_assert_eq!(&values["password"], &password);
            prop_assert_eq!(&values["dbname"], &name);
            prop_assert_eq!(&values["application_name"], &app);
        }
    }
}
