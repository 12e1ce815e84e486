//! A plain dump, read piece by piece: SQL statements and the rows between `COPY … FROM stdin` and its
//! `\.`. It is never given to psql, to which a line of a file can be a command to this machine's shell.

use std::io::{self, BufRead};

mod head;
mod lexer;
mod summary;

use lexer::Lexer;

pub use summary::{Cron, Summary, is_cron};

/// What pg_dump says in the end. Without it a file may end between two tables.
const END: &str = "-- PostgreSQL database dump complete";

/// A piece of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A statement, to its semicolon.
    Statement(String),
    /// `COPY … FROM stdin`: its rows follow, by [`Script::rows`].
    Copy(String),
}

/// Some rows of a `COPY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// How many.
    pub rows: u64,
    /// None follow.
    pub last: bool,
}

/// Why a file is no dump that can be restored.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The disk did not give it.
    #[error("it cannot be read: {0}")]
    Unread(#[from] io::Error),
    /// It ends too early.
    #[error("it is cut off: it ends {0}")]
    CutOff(&'static str),
    /// Something else than a dump of one database.
    #[error("line {line}: {what}")]
    Foreign {
        /// From 1.
        line: u64,
        /// What stands there.
        what: String,
    },
}

/// A script that is being read.
pub struct Script<R> {
    source: R,
    lexer: Lexer,
    /// What was read and is no piece yet, of which `looked` bytes were looked at.
    text: Vec<u8>,
    looked: usize,
    line: u64,
    complete: bool,
    /// Between BEGIN and COMMIT.
    begun: bool,
}

impl<R: BufRead> Script<R> {
    /// From its first byte.
    pub fn new(source: R) -> Self {
        let (lexer, text) = (Lexer::default(), Vec::new());
        Self { source, lexer, text, looked: 0, line: 0, complete: false, begun: false }
    }

    /// The next piece; none after the last.
    ///
    /// # Errors
    /// Whatever makes this no whole dump of one database.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, Broken> {
        loop {
            let end = self.lexer.end_of_statement(&self.text[self.looked..]);
            if self.lexer.has_backslash() {
                return Err(self.foreign("a command to psql, which pg_dump does not write"));
            }
            if let Some(end) = end {
                let rest = self.text.split_off(self.looked + end);
                let statement = std::mem::replace(&mut self.text, rest);
                self.looked = 0;
                self.lexer = Lexer::default();
                return self.piece(&statement).map(Some);
            }
            self.looked = self.text.len();
            if !self.read_line()? {
                return self.end().map(|()| None);
            }
        }
    }

    /// Rows of the `COPY` that was the last piece, as they stand, with their line ends; about `most`
    /// bytes of them.
    ///
    /// # Errors
    /// The file ends among them.
    pub fn rows(&mut self, most: usize, bytes: &mut Vec<u8>) -> Result<Chunk, Broken> {
        bytes.clear();
        let mut rows = 0;
        while bytes.len() < most {
            let before = bytes.len();
            self.line += 1;
            if self.source.read_until(b'\n', bytes)? == 0 {
                return Err(Broken::CutOff("among the rows of a table"));
            }
            if matches!(&bytes[before..], b"\\.\n" | b"\\.\r\n") {
                bytes.truncate(before);
                return Ok(Chunk { rows, last: true });
            }
            rows += 1;
        }
        Ok(Chunk { rows, last: false })
    }

    /// Reads one line, and passes over what newer pg_dumps say to psql. False: there is none.
    fn read_line(&mut self) -> Result<bool, Broken> {
        let before = self.text.len();
        self.line += 1;
        if self.source.read_until(b'\n', &mut self.text)? == 0 {
            return Ok(false);
        }
        if self.lexer.is_blank() {
            let line = self.text[before..].trim_ascii_end();
            self.complete |= line == END.as_bytes();
            if line.starts_with(b"\\restrict ") || line.starts_with(b"\\unrestrict ") {
                self.text.truncate(before);
            }
        }
        Ok(true)
    }

    fn piece(&mut self, statement: &[u8]) -> Result<Piece, Broken> {
        let Ok(text) = std::str::from_utf8(statement) else {
            return Err(self.foreign("it is not UTF-8: dump it in the custom form"));
        };
        let sql = without_comments(text);
        // What follows pg_dump's last line is another dump, which has one of its own.
        self.complete = false;
        let upper = sql.trim_end().to_ascii_uppercase();
        match upper.as_str() {
            "BEGIN;" if self.begun => return Err(self.foreign("a BEGIN within another")),
            "BEGIN;" => self.begun = true,
            "COMMIT;" if !self.begun => return Err(self.foreign("a COMMIT without a BEGIN")),
            "COMMIT;" => self.begun = false,
            _ => {}
        }
        if sql.starts_with("COPY ") && upper.ends_with(" FROM STDIN;") {
            if !self.text.trim_ascii().is_empty() {
                return Err(self.foreign("rows that do not begin on a line of their own"));
            }
            self.text.clear();
            return Ok(Piece::Copy(sql.to_owned()));
        }
        match head::foreign(sql) {
            Some(why) => Err(self.foreign(why)),
            None => Ok(Piece::Statement(sql.to_owned())),
        }
    }

    fn end(&self) -> Result<(), Broken> {
        if !self.lexer.is_blank() {
            return Err(Broken::CutOff("within a statement"));
        }
        if self.begun {
            return Err(Broken::CutOff("within a transaction"));
        }
        match self.complete {
            true => Ok(()),
            false => Err(Broken::CutOff("without pg_dump's last line")),
        }
    }

    fn foreign(&self, what: &str) -> Broken {
        Broken::Foreign { line: self.line, what: what.to_owned() }
    }
}

/// The statement without the blanks and the lines of comment that pg_dump puts before it.
fn without_comments(statement: &str) -> &str {
    let mut rest = statement.trim_start();
    while rest.starts_with("--") {
        rest = rest.split_once('\n').map_or("", |(_, rest)| rest).trim_start();
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Piece>, Broken> {
        let mut script = Script::new(text.as_bytes());
        let mut pieces = Vec::new();
        let mut rows = Vec::new();
        while let Some(piece) = script.next_piece()? {
            let copies = matches!(piece, Piece::Copy(_));
            pieces.push(piece);
            while copies && !script.rows(1, &mut rows)?.last {}
        }
        Ok(pieces)
    }

    const DUMP: &str = "--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\nSET a = 1; SET b = 2;\n\
        -- Data\nCOPY public.t (a, b) FROM stdin;\n1\t\\N\n2\t\\\\.\n\\.\n\n\
        CREATE FUNCTION public.f() RETURNS void\n    LANGUAGE sql\n    AS $$\nCOPY x FROM stdin;\n\\.\n$$;\n\
        COPY public.u (a) FROM stdin;\n\\.\n\n\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n\n";

    #[test]
    fn a_dump_is_statements_and_rows() {
        let pieces = read(DUMP).unwrap();
        let statement = |text: &str| Piece::Statement(text.into());
        assert_eq!(pieces[0], statement("SET a = 1;"));
        assert_eq!(pieces[1], statement("SET b = 2;"));
        assert_eq!(pieces[2], Piece::Copy("COPY public.t (a, b) FROM stdin;".into()));
        assert!(matches!(&pieces[3], Piece::Statement(text) if text.ends_with("\\.\n$$;")));
        assert_eq!(pieces[4], Piece::Copy("COPY public.u (a) FROM stdin;".into()));
        assert_eq!(pieces.len(), 5);
    }

    #[test]
    fn wherever_it_is_cut_it_is_seen() {
        let last = DUMP.rfind(" complete").unwrap() + " complete".len();
        for at in 0..last {
            assert!(read(&DUMP[..at]).is_err(), "{at}: {:?}", &DUMP[..at]);
        }
        // What follows says nothing any more.
        for whole in [&DUMP[..last], &DUMP[..=last], DUMP] {
            assert!(read(whole).is_ok());
        }
    }

    #[test]
    fn what_is_no_dump_of_one_database_is_refused() {
        let whole = |text: &str| format!("{text}\n{END}\n");
        for (text, why) in [
            ("\\! touch /tmp/x", "a command to psql"),
            ("\\connect other", "a command to psql"),
            ("SELECT 1 \\gexec\n;", "a command to psql"),
            ("CREATE DATABASE x;", "--create"),
            ("CREATE ROLE x;", "whole server"),
            ("DROP /* */ DATABASE x;", "a comment"),
            ("BEGIN;", "within a transaction"),
            ("BEGIN;\nBEGIN;", "within another"),
            ("SET standard_conforming_strings = off;", "standard_conforming_strings"),
            ("SELECT 'open", "within a statement"),
        ] {
            let error = read(&whole(text)).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(read("").unwrap_err().to_string().contains("cut off"));
    }
}
