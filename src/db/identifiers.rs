//! Names and texts in SQL.

/// A name as an identifier, always quoted.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A name as `quote_ident` would print it: quoted only where it must be.
pub fn identifier(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !RESERVED.contains(&name);
    if plain { name.to_owned() } else { quoted(name) }
}

/// A text as a literal. Backslashes are plain under `standard_conforming_strings`, which every
/// transaction of ours pins.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

// Reserved words that turn up as names in the application's schema or its neighbours'.
const RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "case",
    "cast",
    "check",
    "column",
    "constraint",
    "create",
    "default",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "for",
    "foreign",
    "from",
    "grant",
    "group",
    "having",
    "in",
    "into",
    "leading",
    "limit",
    "not",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "placing",
    "primary",
    "references",
    "returning",
    "select",
    "session_user",
    "some",
    "table",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "when",
    "where",
    "window",
    "with",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_where_needed() {
        assert_eq!(identifier("token_lending"), "token_lending");
        assert_eq!(identifier("user"), "\"user\"");
        assert_eq!(identifier("Müller\"x"), "\"Müller\"\"x\"");
        assert_eq!(literal("O'Brien"), "'O''Brien'");
    }
}
