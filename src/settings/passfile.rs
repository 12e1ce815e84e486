//! The password file (manual, section 34.16): `host:port:database:user:password`.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use secrecy::SecretString;

/// The lines of a password file.
pub(super) struct Passfile {
    text: SecretString,
}

/// What is being connected to, as the file's fields spell it.
pub(super) struct Wanted<'a> {
    /// A host name or address; `localhost` for the default socket folder.
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) database: &'a str,
    pub(super) user: &'a str,
}

impl Passfile {
    /// Reads the file; none where there is none. Where it must not be used, as in libpq, the
    /// reason comes back as a warning.
    pub(super) fn read(path: &Path) -> (Option<Self>, Option<String>) {
        let Ok(metadata) = std::fs::metadata(path) else {
            return (None, None);
        };
        let shown = path.display();
        if !metadata.is_file() {
            return (None, Some(format!("password file {shown} is not a plain file: not used")));
        }
        if metadata.mode() & 0o077 != 0 {
            let warning = format!(
                "password file {shown} can be read by group or others: not used; chmod 0600 {shown}"
            );
            return (None, Some(warning));
        }
        match std::fs::read_to_string(path) {
            Ok(text) => (Some(Self { text: text.into() }), None),
            Err(error) => (None, Some(format!("password file {shown} cannot be read: {error}"))),
        }
    }

    /// The password of the first line that matches.
    pub(super) fn password(&self, wanted: &Wanted<'_>) -> Option<SecretString> {
        use secrecy::ExposeSecret;
        let port = wanted.port.to_string();
        let fields = [wanted.host, &port, wanted.database, wanted.user];
        let mut lines = self.text.expose_secret().lines().filter(|line| !line.starts_with('#'));
        lines.find_map(|line| password_of(line, fields)).filter(|p| !p.is_empty()).map(Into::into)
    }
}

fn password_of(line: &str, fields: [&str; 4]) -> Option<String> {
    let mut rest = line;
    for wanted in fields {
        let (field, after) = field(rest)?;
        if rest.split_at(rest.len() - after.len() - 1).0 != "*" && field != wanted {
            return None;
        }
        rest = after;
    }
    Some(unescape(rest))
}

/// One field without its escapes, and what follows its colon.
fn field(text: &str) -> Option<(String, &str)> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ':' => return Some((unescape(text.get(..at)?), text.get(at + 1..)?)),
            _ => {}
        }
    }
    None
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        // A backslash at the end stands for itself.
        plain.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    plain
}

/// One line for a password file that matches exactly this.
pub(super) fn line(wanted: &Wanted<'_>, password: &str) -> String {
    let escape = |text: &str| text.replace('\\', r"\\").replace(':', r"\:");
    // A `*` alone would match everything; escaped it is a star.
    let field = |text: &str| if text == "*" { r"\*".to_owned() } else { escape(text) };
    format!(
        "{}:{}:{}:{}:{}\n",
        field(wanted.host),
        wanted.port,
        field(wanted.database),
        field(wanted.user),
        escape(password)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    fn look(text: &str, host: &str, user: &str) -> Option<String> {
        let file = Passfile { text: text.to_owned().into() };
        let wanted = Wanted { host, port: 5432, database: "d", user };
        file.password(&wanted).map(|p| p.expose_secret().to_owned())
    }

    #[test]
    fn the_first_matching_line_counts() {
        let text = "# h:5432:d:u:no\nx:*:*:*:other\nh:5432:d:u:a\\:b\\\\c\n*:*:*:*:any\n";
        assert_eq!(look(text, "h", "u").as_deref(), Some(r"a:b\c"));
        assert_eq!(look(text, "h", "v").as_deref(), Some("any"));
        assert_eq!(look("h:5433:d:u:x", "h", "u"), None);
        assert_eq!(look(r"\:\:1:*:*:u:six", "::1", "u").as_deref(), Some("six"));
        assert_eq!(look("h:5432:d", "h", "u"), None);
    }

    #[test]
    fn a_file_others_can_read_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let path = std::env::temp_dir().join(format!("passfile-{}", uuid::Uuid::new_v4()));
        std::fs::write(&path, "*:*:*:*:x\n").expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("mode");
        let (file, warning) = Passfile::read(&path);
        assert!(file.is_none() && warning.is_some_and(|w| w.contains("chmod 0600")));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("mode");
        assert!(Passfile::read(&path).0.is_some());
        std::fs::remove_file(&path).expect("removed");
        assert!(matches!(Passfile::read(&path), (None, None)));
    }

    proptest! {
        #[test]
        fn a_written_line_matches(
            host in "[^\0\r\n#]{1,9}", user in "[^\0\r\n]{1,9}", password in "[^\0\r\n]{1,9}",
        ) {
            let wanted = Wanted { host: &host, port: 1, database: "*", user: &user };
            let file = Passfile { text: line(&wanted, &password).into() };
            prop_assert_eq!(file.password(&wanted).map(|p| p.expose_secret().to_owned()), Some(password));
            let other = Wanted { database: "x", ..wanted };
            prop_assert!(file.password(&other).is_none());
        }
    }
}
