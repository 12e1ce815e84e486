//! Names and texts in SQL.

/// A name as an identifier, always quoted.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A name as `quote_ident` would print it: quoted only where it must be.
pub fn identifier(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !KEYWORDS.split_whitespace().any(|word| word == name);
    if plain { name.to_owned() } else { quoted(name) }
}

/// A text as a literal, whatever `standard_conforming_strings` is: a batch is read as a whole before
/// the setting that stands in it takes effect. As libpq's `PQescapeLiteral` has it.
pub fn literal(text: &str) -> String {
    let quotes = text.replace('\'', "''");
    match text.contains('\\') {
        true => format!(" E'{}'", quotes.replace('\\', "\\\\")),
        false => format!("'{quotes}'"),
    }
}

/// What any supported PostgreSQL does not take as a name everywhere: a test asks the server for them.
const KEYWORDS: &str = include_str!("keywords.txt");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_where_needed() {
        assert_eq!(identifier("token_lending"), "token_lending");
        assert_eq!(identifier("user"), "\"user\"");
        assert_eq!(identifier("Müller\"x"), "\"Müller\"\"x\"");
        assert_eq!(literal("O'Brien"), "'O''Brien'");
        assert_eq!(literal(r"\'; x"), r" E'\\''; x'");
    }
}
