//! SQL of ours, cut into statements and words. Only as much of SQL as our own files use.

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement<'a> {
    /// From its first word to its last, without the semicolon; comments within stay.
    pub text: &'a str,
    /// What it is made of.
    pub tokens: Vec<Token<'a>>,
}

/// A piece of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token<'a> {
    /// A key word, a plain name, or a number.
    Word(&'a str),
    /// `"…"`, without the quotes.
    Name(String),
    /// `'…'`, without the quotes around it.
    Text(&'a str),
    /// `$tag$…$tag$`, without the dollars.
    Body(&'a str),
    /// Any other sign.
    Sign(char),
}

impl Token<'_> {
    /// Whether it is that key word.
    pub fn is(&self, word: &str) -> bool {
        matches!(self, Token::Word(w) if w.eq_ignore_ascii_case(word))
    }
}

impl Statement<'_> {
    /// On one line, as far as it fits.
    pub fn brief(&self) -> String {
        const LONGEST: usize = 72;
        let lines = self.text.lines().filter(|line| !line.trim_start().starts_with("--"));
        let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
        let line = words.join(" ");
        match line.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{}…", line[..end].trim_end()),
            None => line,
        }
    }
}

/// The statements of a text, in order.
pub fn statements(sql: &str) -> Vec<Statement<'_>> {
    let mut found = Vec::new();
    let (mut tokens, mut from, mut to) = (Vec::new(), 0, 0);
    let mut at = 0;
    while let Some(piece) = next(sql, at) {
        at = piece.end;
        match piece.token {
            None => {}
            Some(Token::Sign(';')) if tokens.is_empty() => {}
            Some(Token::Sign(';')) => {
                let tokens = std::mem::take(&mut tokens);
                found.push(Statement { text: &sql[from..to], tokens });
            }
            Some(token) => {
                if tokens.is_empty() {
                    from = piece.start;
                }
                to = piece.end;
                tokens.push(token);
            }
        }
    }
    if !tokens.is_empty() {
        found.push(Statement { text: &sql[from..to], tokens });
    }
    found
}

/// A token, or a comment, and where it stands.
struct Piece<'a> {
    token: Option<Token<'a>>,
    start: usize,
    end: usize,
}

fn next(sql: &str, at: usize) -> Option<Piece<'_>> {
    let start = at + sql[at..].find(|c: char| !c.is_whitespace())?;
    let rest = &sql[start..];
    // What is not closed goes on to the end.
    let until = |mark: &str, from: usize| {
        rest[from..]
            .find(mark)
            .map_or((rest.len(), rest.len()), |n| (from + n, from + n + mark.len()))
    };
    let first = rest.chars().next()?;
    let (token, length) = match first {
        '-' if rest.starts_with("--") => (None, until("\n", 0).1),
        '/' if rest.starts_with("/*") => (None, until("*/", 2).1),
        '\'' | '"' => {
            let inner = quoted(rest, first);
            let text = &rest[1..inner];
            let token = if first == '"' {
                Token::Name(text.replace("\"\"", "\""))
            } else {
                Token::Text(text)
            };
            (Some(token), (inner + 1).min(rest.len()))
        }
        '$' if tag(rest).is_some() => {
            let tag = tag(rest).unwrap_or_default();
            let (inner, end) = until(tag, tag.len());
            (Some(Token::Body(&rest[tag.len()..inner])), end)
        }
        c if is_letter(c) => {
            let end = rest.find(|c| !is_letter(c)).unwrap_or(rest.len());
            (Some(Token::Word(&rest[..end])), end)
        }
        c => (Some(Token::Sign(c)), c.len_utf8()),
    };
    Some(Piece { token, start, end: start + length })
}

/// Where the closing quote stands; two of them are one of the text.
fn quoted(rest: &str, quote: char) -> usize {
    let mut signs = rest.char_indices().skip(1).peekable();
    while let Some((at, sign)) = signs.next() {
        if sign == quote && signs.next_if(|(_, next)| *next == quote).is_none() {
            return at;
        }
    }
    rest.len()
}

/// `$$` or `$word$`
fn tag(rest: &str) -> Option<&str> {
    let end = 1 + rest[1..].find('$')?;
    let word = &rest[1..end];
    let is_word = !word.starts_with(|c: char| c.is_ascii_digit()) && word.chars().all(is_letter);
    is_word.then(|| &rest[..=end])
}

fn is_letter(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<&str> {
        statements(sql).into_iter().map(|statement| statement.text).collect()
    }

    #[test]
    fn a_semicolon_ends_a_statement_where_it_is_one() {
        assert_eq!(
            texts("a; b ;\n-- c;\n/* d; */ e ';' \"f;\" $$;$$ $x$ ;$$; $x$ 'it''s;'"),
            ["a", "b", "e ';' \"f;\" $$;$$ $x$ ;$$; $x$ 'it''s;'"]
        );
        assert!(texts(" ; -- nothing\n;").is_empty());
        assert_eq!(texts("open 'text"), ["open 'text"]);
        assert_eq!(texts("select $1; b"), ["select $1", "b"]);
    }

    #[test]
    fn words_names_texts_and_bodies_are_told_apart() {
        let [statement] = &statements("Lock \"a\"\"b\".c 'it''s' $f$ x $f$;")[..] else { panic!() };
        assert!(statement.tokens[0].is("LOCK"));
        assert_eq!(
            statement.tokens[1..],
            [
                Token::Name("a\"b".into()),
                Token::Sign('.'),
                Token::Word("c"),
                Token::Text("it''s"),
                Token::Body(" x "),
            ]
        );
    }

    #[test]
    fn a_statement_is_named_on_one_line() {
        let brief = |sql: &str| statements(sql)[0].brief();
        assert_eq!(brief("LOCK TABLE a\n  -- why\n  IN SHARE MODE;"), "LOCK TABLE a IN SHARE MODE");
        assert_eq!(brief(&format!("SELECT '{}'", "ä".repeat(100))).chars().count(), 73);
    }
}
