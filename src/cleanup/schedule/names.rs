//! What units and files are called after a database, whatever its name holds.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::{Rhythm, Via};

/// A unit's name has 255 bytes at most, and an escaped byte takes four of them.
const LONGEST: usize = 120;

/// The names for one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    database: String,
    unit: String,
    file: String,
}

impl Names {
    /// For the database of this name.
    pub fn of(database: &str) -> Self {
        let unit = escaped(database);
        let unit = match unit.len() > LONGEST {
            // A letter and its escape are never cut in two: only what is plain is kept.
            true => format!("{}-{}", plain(database), digest(database)),
            false => unit,
        };
        // cron passes over files whose name holds anything else.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let file = match database.chars().all(is_plain) && database.len() <= LONGEST {
            true => database.to_owned(),
            false => format!("{}-{}", plain(database), digest(database)),
        };
        Self { database: database.to_owned(), unit, file }
    }

    /// `markenmate-cleanup-tokens-DB.SUFFIX`
    pub fn unit(&self, rhythm: &Rhythm, suffix: &str) -> String {
        format!("markenmate-cleanup-{}-{}.{suffix}", rhythm.job, self.unit)
    }

    /// The file of a crontab.
    pub fn crontab(&self) -> PathBuf {
        PathBuf::from("/etc/cron.d").join(format!("markenmate-{}", self.file))
    }

    /// The file with the connection.
    pub fn environment(&self) -> PathBuf {
        PathBuf::from("/etc/markenmate").join(format!("{}.env", self.file))
    }

    /// The name of pg_cron's job, which may be a `name` of 63 bytes.
    pub fn server_job(&self) -> String {
        let whole = format!("markenmate-tokens-{}", self.database);
        match whole.len() > 63 {
            true => format!(
                "markenmate-tokens-{:.28}-{}",
                plain(&self.database),
                digest(&self.database)
            ),
            false => whole,
        }
    }

    /// The database, as one word, where it is told from others of its own server only.
    pub fn in_server(&self) -> &str {
        &self.unit
    }

    /// Where `via` keeps its files.
    pub fn folder(via: Via) -> &'static str {
        if via == Via::Cron { "/etc/cron.d" } else { "/etc/systemd/system" }
    }
}

/// As `systemd-escape` has it: `/` becomes `-`, letters, digits, `:`, `_` and a `.` that is not the first
/// stay, any other byte is `\xHH`.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for (at, byte) in text.bytes().enumerate() {
        let c = char::from(byte);
        match c {
            '/' => out.push('-'),
            '.' if at > 0 => out.push('.'),
            ':' | '_' => out.push(c),
            _ if c.is_ascii_alphanumeric() => out.push(c),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out
}

/// For people to recognize.
fn plain(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    text.chars().map(plain).take(LONGEST / 2).collect()
}

/// For machines to tell apart.
fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()).iter().copied().take(6).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::super::RHYTHMS;
    use super::*;

    #[test]
    fn names_are_escaped_as_each_reader_takes_them() {
        let of = |name: &str| {
            let names = Names::of(name);
            (names.unit(&RHYTHMS[0], "timer"), names.crontab().to_string_lossy().into_owned())
        };
        assert_eq!(of("markenmate").0, "markenmate-cleanup-tokens-markenmate.timer");
        assert_eq!(of("markenmate").1, "/etc/cron.d/markenmate-markenmate");
        assert_eq!(of(".a-b/c d.e").0, r"markenmate-cleanup-tokens-\x2ea\x2db-c\x20d.e.timer");
        assert_eq!(of("a.b").1, "/etc/cron.d/markenmate-a_b-".to_owned() + &digest("a.b"));
        for hostile in ["../../x", "a\nb", "ü".repeat(31).as_str(), "", "%n$x'"] {
            let (unit, file) = of(hostile);
            assert!(unit.len() < 200 && !unit.contains(['/', '\n', '%', '\'']), "{unit}");
            let name = file.strip_prefix("/etc/cron.d/").unwrap_or_default();
            let fits = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
            assert!(!name.is_empty() && name.chars().all(fits), "{file}");
        }
        assert_eq!(Names::of("a b").server_job(), "markenmate-tokens-a b");
        assert!(Names::of(&"x".repeat(63)).server_job().len() <= 63);
        assert_ne!(of("a.b"), of("a_b"));
        let long = "ü".repeat(30);
        assert_ne!(of(&format!("{long}1")), of(&format!("{long}2")));
    }
}
