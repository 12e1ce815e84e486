//! libpq's two spellings of a connection string, and the plain name (manual, section 34.1.1).
//!
//! Nothing here repeats a value in an error: whatever is misread may be part of a password.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::keyword;
use super::uri;
use crate::failure::Failure;

/// Keywords and their values, as written.
pub(super) type Values = BTreeMap<&'static str, String>;

const SCHEMES: [&str; 2] = ["postgresql://", "postgres://"];

/// Reads a URI, a `key=value` string or a plain database name.
///
/// # Errors
/// Usage (exit 2), without any value of `text`.
pub(super) fn parse(text: &str) -> Result<Values, Failure> {
    for scheme in SCHEMES {
        // A line's end read from a file along with the URI is no part of the database's name.
        if let Some(rest) = text.trim_end_matches(['\r', '\n']).strip_prefix(scheme) {
            return uri::parse(rest);
        }
    }
    // A foreign or quoted URL must not be taken for a database name: it would be shown.
    if let Some((scheme, _)) = text.split_once("://")
        && !scheme.contains('=')
    {
        return Err(foreign_scheme(scheme));
    }
    if text.contains('=') {
        return key_values(text);
    }
    // A URI with a slip in its scheme would be taken for a name, and shown with its password.
    if text.contains('@') {
        return Err(Failure::usage("this is neither a URI, nor key=value pairs, nor a database's name")
            .because("it holds an @ and does not begin with postgresql://; it is not shown, for it may hold a password")
            .hint("write postgresql://USER@HOST:PORT/DATABASE")
            .hint("a database whose name holds an @: -d 'dbname=NAME'"));
    }
    Ok(Values::from([("dbname", text.to_owned())]))
}

fn foreign_scheme(scheme: &str) -> Failure {
    let shown = if scheme.starts_with(['"', '\'']) {
        "the value begins with a quotation mark".to_owned()
    } else if scheme.len() <= 24
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.:".contains(c))
    {
        format!("`{scheme}://` is not a PostgreSQL URI")
    } else {
        "it is not a PostgreSQL URI".to_owned()
    };
    Failure::usage(shown)
        .hint("write postgresql://USER@HOST:PORT/DATABASE, without quotation marks")
}

/// Stores one pair; a later one of the same name wins, as in libpq.
pub(super) fn store(values: &mut Values, name: &str, value: String) -> Result<(), Failure> {
    if name == "requiressl" {
        let mode = if value.starts_with('1') { "require" } else { "prefer" };
        values.insert("sslmode", mode.to_owned());
        return Ok(());
    }
    let Some(keyword) = keyword::find(name) else {
        return Err(unknown(name));
    };
    if value.contains('\0') {
        return Err(Failure::usage(format!("the value of `{name}` contains a zero byte")));
    }
    values.insert(keyword.name, value);
    Ok(())
}

fn unknown(name: &str) -> Failure {
    // Only what can be a keyword is repeated: the rest of an unquoted password can stand here.
    let plausible = !name.is_empty()
        && name.len() <= 40
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if plausible {
        Failure::usage(format!("unknown connection keyword `{name}`"))
            .hint("psql refuses it too; an option of another client must be left out here")
    } else {
        Failure::usage("something that is no connection keyword stands before a `=`")
            .hint("quote values with blanks as 'in single quotes'; percent-encode them in a URI")
    }
}

/// Reads `key=value` pairs with libpq's quoting: single quotes, and backslash for the next one.
fn key_values(text: &str) -> Result<Values, Failure> {
    let mut values = Values::new();
    let mut rest = text.trim_start_matches(is_blank);
    while !rest.is_empty() {
        let end = rest.find(|c| c == '=' || is_blank(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let Some(after) = after.trim_start_matches(is_blank).strip_prefix('=') else {
            return Err(Failure::usage("a keyword without a `=` after it")
                .hint("quote values with blanks as 'in single quotes'"));
        };
        let (value, after) = value(after.trim_start_matches(is_blank))?;
        store(&mut values, name, value)?;
        rest = after.trim_start_matches(is_blank);
    }
    Ok(values)
}

/// Takes one value off the front.
fn value(text: &str) -> Result<(String, &str), Failure> {
    let (quoted, body) = match text.strip_prefix('\'') {
        Some(body) => (true, body),
        None => (false, text),
    };
    let mut taken = String::new();
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => taken.extend(chars.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return Ok((taken, body.get(at + 1..).unwrap_or_default())),
            c if !quoted && is_blank(c) => return Ok((taken, body.get(at..).unwrap_or_default())),
            c => taken.push(c),
        }
    }
    if quoted {
        return Err(Failure::usage("a quoted value is not closed by a single quote"));
    }
    Ok((taken, ""))
}

/// C's `isspace`, which is what libpq asks.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// Writes pairs as a `key=value` string that reads back the same.
pub(super) fn write<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        let gap = if text.is_empty() { "" } else { " " };
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+".contains(c);
        // Writing to a String cannot fail.
        let _ = if !value.is_empty() && value.chars().all(plain) {
            write!(text, "{gap}{name}={value}")
        } else {
            let value = value.replace('\\', r"\\").replace('\'', r"\'");
            write!(text, "{gap}{name}='{value}'")
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(text: &str) -> Vec<(&'static str, String)> {
        parse(text).expect(text).into_iter().collect()
    }

    #[test]
    fn quoting_follows_libpq() {
        assert_eq!(
            pairs(r"host = h port=1 user='a b\'c\\d' dbname=x\ y password=''"),
            [
                ("dbname", "x y".to_owned()),
                ("host", "h".to_owned()),
                ("password", String::new()),
                ("port", "1".to_owned()),
                ("user", r"a b'c\d".to_owned()),
            ]
        );
    }

    #[test]
    fn a_text_without_equals_is_a_name() {
        assert_eq!(pairs("markenmate"), [("dbname", "markenmate".to_owned())]);
    }

    #[test]
    fn the_last_of_two_wins() {
        assert_eq!(pairs("host=a host=b"), [("host", "b".to_owned())]);
    }

    #[test]
    fn refusals_say_why_and_never_repeat_a_value() {
        for (text, says) in [
            ("host=h schema=public", "`schema`"),
            ("host=h password=s3cret w0rd", "without a `=`"),
            ("host=h password='s3cret", "not closed"),
            ("mysql://u:s3cret@h/d", "`mysql://`"),
            ("\"postgres://u:s3cret@h/d\"", "quotation mark"),
            ("mysql://u:s3cret@h/d?a=b", "`mysql://`"),
            ("password=a s3cret/w0rd=b", "no connection keyword"),
        ] {
            let failure = parse(text).expect_err(text);
            let shown = format!("{failure} {:?}", failure.hints);
            assert_eq!(failure.kind.exit_code(), 2);
            assert!(shown.contains(says), "{text}: {shown}");
            assert!(!shown.contains("s3cret") && !shown.contains("w0rd"), "{text}: {shown}");
        }
    }

    fn values() -> impl Strategy<Value = Values> {
        let name = prop::sample::select(keyword::KEYWORDS).prop_map(|k| k.name);
        prop::collection::btree_map(name, "[^\0]{0,12}", 0..6)
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in ".{0,60}") {
            let _ = parse(&text);
            let _ = parse(&format!("postgres://{text}"));
            let _ = key_values(&text);
        }

        #[test]
        fn near_misses_never_panic(text in r"(host|pass|port|[ ='\\%@:/?&\[\],a-c])*") {
            let _ = parse(&text);
            let _ = parse(&format!("postgres://{text}"));
        }

        #[test]
        fn what_is_written_reads_back(values in values()) {
            let text = write(values.iter().map(|(n, v)| (*n, v.as_str())));
            prop_assert_eq!(key_values(&text).expect("written by us"), values);
        }
    }
}
