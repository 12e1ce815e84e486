//! Where a statement ends, as psql sees it: not within quotes, comments, parentheses or the body of a
//! routine in SQL's own style.

/// Reads a statement byte by byte.
#[derive(Debug, Default)]
pub(super) struct Lexer {
    within: Within,
    word: Vec<u8>,
    /// The first words, as far as `CREATE OR REPLACE FUNCTION` needs them.
    first: Vec<String>,
    /// `BEGIN` and `CASE` not yet ended, in a routine.
    begun: usize,
    parentheses: usize,
    anything: bool,
    backslash: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Within {
    #[default]
    Nothing,
    /// `'…'`; true: `E'…'`, where a backslash hides what follows.
    Text(bool),
    /// `"…"`
    Name,
    /// `$tag$…$tag$`, both dollars included.
    Dollars(Vec<u8>),
    /// `-- …`
    Line,
    /// `/* … */`, so deep.
    Block(usize),
}

impl Lexer {
    /// Looks at what follows what it has seen: whole lines. The place after the semicolon, if the
    /// statement ends in them.
    pub fn end_of_statement(&mut self, lines: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < lines.len() {
            let rest = &lines[at..];
            if self.within == Within::Nothing && rest[0] == b';' {
                self.end_word();
                if self.parentheses == 0 && self.begun == 0 {
                    return Some(at + 1);
                }
            }
            at += self.step(rest);
        }
        None
    }

    /// Nothing but blanks and comments so far, and not within one.
    pub fn is_blank(&self) -> bool {
        !self.anything && matches!(self.within, Within::Nothing | Within::Line)
    }

    /// A backslash stood where SQL has none.
    pub fn has_backslash(&self) -> bool {
        self.backslash
    }

    /// Takes one token or byte; says how many bytes it was.
    fn step(&mut self, rest: &[u8]) -> usize {
        match &mut self.within {
            Within::Nothing => return self.outside(rest),
            Within::Text(true) if rest[0] == b'\\' => return 2.min(rest.len()),
            Within::Text(_) if rest[0] == b'\'' => self.within = Within::Nothing,
            Within::Name if rest[0] == b'"' => self.within = Within::Nothing,
            Within::Line if rest[0] == b'\n' => self.within = Within::Nothing,
            Within::Dollars(tag) if rest.starts_with(tag) => {
                let length = tag.len();
                self.within = Within::Nothing;
                return length;
            }
            Within::Block(depth) if rest.starts_with(b"*/") => {
                match depth {
                    1 => self.within = Within::Nothing,
                    _ => *depth -= 1,
                }
                return 2;
            }
            Within::Block(depth) if rest.starts_with(b"/*") => {
                *depth += 1;
                return 2;
            }
            _ => {}
        }
        1
    }

    fn outside(&mut self, rest: &[u8]) -> usize {
        let byte = rest[0];
        if is_word(byte) && !(byte == b'$' && self.word.is_empty()) {
            self.word.push(byte.to_ascii_lowercase());
            self.anything = true;
            return 1;
        }
        let escapes = self.word == b"e";
        self.end_word();
        if rest.starts_with(b"--") {
            self.within = Within::Line;
            return 2;
        }
        if rest.starts_with(b"/*") {
            self.within = Within::Block(1);
            return 2;
        }
        self.anything |= !byte.is_ascii_whitespace();
        match byte {
            b'\'' => self.within = Within::Text(escapes),
            b'"' => self.within = Within::Name,
            b'(' => self.parentheses += 1,
            b')' => self.parentheses = self.parentheses.saturating_sub(1),
            b'\\' => self.backslash = true,
            b'$' => {
                if let Some(tag) = dollar_tag(rest) {
                    self.within = Within::Dollars(tag.to_vec());
                    return tag.len();
                }
            }
            _ => {}
        }
        1
    }

    fn end_word(&mut self) {
        if self.word.is_empty() {
            return;
        }
        let word = String::from_utf8_lossy(&self.word).into_owned();
        self.word.clear();
        if self.makes_routine() {
            match word.as_str() {
                "begin" => self.begun += 1,
                "case" if self.begun > 0 => self.begun += 1,
                "end" => self.begun = self.begun.saturating_sub(1),
                _ => {}
            }
        }
        if self.first.len() < 4 {
            self.first.push(word);
        }
    }

    fn makes_routine(&self) -> bool {
        let routine = |word: &String| word == "function" || word == "procedure";
        match self.first.as_slice() {
            [create, or, replace, what] if or == "or" => {
                create == "create" && replace == "replace" && routine(what)
            }
            [create, what, ..] => create == "create" && routine(what),
            _ => false,
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// `$$` or `$tag$`, where the text begins with one.
fn dollar_tag(text: &[u8]) -> Option<&[u8]> {
    let length = text[1..].iter().position(|byte| *byte == b'$')?;
    let tag = &text[1..=length];
    let begins = tag.first().is_none_or(|byte| !byte.is_ascii_digit());
    (begins && tag.iter().all(|byte| is_word(*byte))).then(|| &text[..length + 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(text: &str) -> Option<usize> {
        Lexer::default().end_of_statement(text.as_bytes())
    }

    #[test]
    fn a_semicolon_ends_a_statement_only_where_psql_ends_it() {
        for whole in [
            "SELECT 1;",
            "SELECT 'a;b', \"c;d\", 'it''s;';",
            r"SELECT E'a\';b', E'\\';",
            "SELECT e'x', N'\\';",
            "SELECT $$;$$, $a$;$$;$a$, a$b;",
            "/* ; /* ; */ ; */ -- ;\n SELECT 1;",
            "CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM a; DELETE FROM b);",
            "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;",
            "CREATE PROCEDURE p() BEGIN ATOMIC END;",
            "CREATE FUNCTION \"begin\"() RETURNS int LANGUAGE sql AS 'SELECT 1;';",
            "INSERT INTO t VALUES ('begin', $1$, $2);",
        ] {
            assert_eq!(end(whole), Some(whole.len()), "{whole}");
            assert_eq!(end(&whole[..whole.len() - 1]), None, "{whole}");
        }
        assert_eq!(end("BEGIN; SELECT 1;"), Some(6));
    }

    #[test]
    fn a_backslash_is_seen_only_outside_of_quotes() {
        let sees = |text: &str| {
            let mut lexer = Lexer::default();
            lexer.end_of_statement(text.as_bytes());
            lexer.has_backslash()
        };
        assert!(sees("SELECT 1 \\gexec\n"));
        assert!(sees("\\! true\n"));
        for harmless in ["SELECT '\\';", "SELECT $$\\$$;", "-- \\!\n", "/* \\ */", "SELECT \"\\\";"]
        {
            assert!(!sees(harmless), "{harmless}");
        }
    }

    #[test]
    fn lines_come_one_by_one() {
        let mut lexer = Lexer::default();
        assert!(lexer.is_blank());
        assert_eq!(lexer.end_of_statement(b"-- a comment; \n"), None);
        assert!(lexer.is_blank());
        assert_eq!(lexer.end_of_statement(b"/* on\n"), None);
        assert!(!lexer.is_blank());
        assert_eq!(lexer.end_of_statement(b"and off */ SELECT 'a\n"), None);
        assert_eq!(lexer.end_of_statement(b";' ; SELECT"), Some(4));
    }
}
