//! Which archive form, with which compression, by how many jobs. Pure.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// pg_dump's archive forms, less tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// SQL text.
    Plain,
    /// One file for pg_restore.
    Custom,
    /// A folder for pg_restore, written and read by several jobs.
    Directory,
}

impl Form {
    /// pg_dump's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Custom => "custom",
            Self::Directory => "directory",
        }
    }

    /// What a file of that form is called by: a folder has none.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Plain => ".sql",
            Self::Custom => ".dump",
            Self::Directory => "",
        }
    }
}

/// How the data in an archive is compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compression {
    /// `none`, `gzip`, `lz4`, `zstd`
    pub method: Method,
    /// The method's own scale; none is the program's default.
    pub level: Option<u8>,
}

/// A way to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Not at all.
    None,
    /// Known to every version.
    Gzip,
    /// pg_dump 16 and later.
    Lz4,
    /// pg_dump 16 and later.
    Zstd,
}

/// What brings a plain dump down to a third, the cheapest first. Not every program knows it.
pub const CHEAPEST: [Compression; 1] = [Compression { method: Method::Zstd, level: Some(1) }];

/// What every program knows.
pub const EVERYBODYS: Compression = Compression { method: Method::Gzip, level: Some(1) };

impl Compression {
    /// Reads `METHOD[:LEVEL]`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (word, level) =
            text.split_once(':').map_or((text, None), |(word, level)| (word, Some(level)));
        let (method, most) = match word {
            "none" => (Method::None, 0),
            "gzip" => (Method::Gzip, 9),
            "lz4" => (Method::Lz4, 12),
            "zstd" => (Method::Zstd, 22),
            _ => return Err("the methods are none, gzip, lz4 and zstd, for example gzip:1".into()),
        };
        let level = level.map(str::parse::<u8>).transpose().map_err(|_| "the level is a number")?;
        match level {
            Some(level) if level > most || method == Method::None => {
                Err(format!("{word} has no level {level}"))
            }
            level => Ok(Self { method, level }),
        }
    }

    /// pg_dump's `--compress`.
    ///
    /// # Errors
    /// Refused where this version of it does not know the method.
    pub fn argument(&self, pg_dump_major: u32) -> Result<String, Failure> {
        let word = match self.method {
            Method::None => return Ok("0".into()),
            // The way of writing that every version knows.
            Method::Gzip => return Ok(self.level.unwrap_or(6).to_string()),
            Method::Lz4 => "lz4",
            Method::Zstd => "zstd",
        };
        if pg_dump_major < 16 {
            return Err(Failure::refused(format!("pg_dump {pg_dump_major} does not know {word}"))
                .hint("gzip is known to every version: --compress gzip:1"));
        }
        Ok(self.level.map_or_else(|| word.to_owned(), |level| format!("{word}:{level}")))
    }
}

impl std::fmt::Display for Compression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = match self.method {
            Method::None => "none",
            Method::Gzip => "gzip",
            Method::Lz4 => "lz4",
            Method::Zstd => "zstd",
        };
        match self.level {
            Some(level) => write!(f, "{word}:{level}"),
            None => f.write_str(word),
        }
    }
}

/// The form: as said, else as the extension says, else a folder.
///
/// # Errors
/// Usage where the two contradict each other, or the extension is another program's.
pub fn choose(said: Option<Form>, output: Option<&Path>) -> Result<Form, Failure> {
    let extension = output.and_then(Path::extension).and_then(|text| text.to_str());
    let named = match extension {
        Some("sql") => Some(Form::Plain),
        Some("dump") => Some(Form::Custom),
        Some(other @ ("tar" | "gz" | "zst" | "lz4" | "zip" | "age")) => {
            return Err(Failure::usage(format!("a backup is not written as .{other}"))
                .hint("the extension picks the form: .sql plain, .dump custom, none a folder")
                .hint("--compress picks the compression, for example gzip:1"));
        }
        _ if output.is_some() => Some(Form::Directory),
        _ => None,
    };
    match (said, named) {
        (Some(said), Some(Form::Directory)) => Ok(said),
        (Some(said), Some(named)) if said != named => Err(Failure::usage(format!(
            "-F {} and the extension .{} do not fit together",
            said.word(),
            extension.unwrap_or_default()
        ))
        .hint("leave one of them out")),
        (Some(form), _) | (None, Some(form)) => Ok(form),
        (None, None) => Ok(Form::Directory),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_picks_the_form_where_nothing_else_does() {
        let of = |said, path: Option<&str>| choose(said, path.map(Path::new)).ok();
        assert_eq!(of(None, None), Some(Form::Directory));
        assert_eq!(of(None, Some("a/b.sql")), Some(Form::Plain));
        assert_eq!(of(None, Some("b.dump")), Some(Form::Custom));
        assert_eq!(of(None, Some("b")), Some(Form::Directory));
        assert_eq!(of(Some(Form::Custom), None), Some(Form::Custom));
        assert_eq!(of(Some(Form::Custom), Some("b")), Some(Form::Custom));
        assert_eq!(of(Some(Form::Custom), Some("b.sql")), None);
        assert_eq!(of(None, Some("b.sql.gz")), None);
    }

    #[test]
    fn compression_is_read_as_pg_dump_writes_it() {
        let argument = |text, major| Compression::parse(text).unwrap().argument(major).ok();
        assert_eq!(argument("gzip:1", 13).as_deref(), Some("1"));
        assert_eq!(argument("none", 15).as_deref(), Some("0"));
        assert_eq!(argument("zstd:3", 16).as_deref(), Some("zstd:3"));
        assert_eq!(argument("lz4", 18).as_deref(), Some("lz4"));
        assert_eq!(argument("zstd", 15), None);
        for wrong in ["", "bzip2", "gzip:10", "none:1", "zstd:fast"] {
            assert!(Compression::parse(wrong).is_err(), "{wrong}");
        }
    }
}
