//! Rows as comma-separated values (RFC 4180) that a spreadsheet may open: no cell of it is a formula.

use crate::console::escape;

/// The document, its column titles first.
pub fn document<'a>(columns: &[&str], rows: impl Iterator<Item = Vec<String>> + 'a) -> String {
    let mut text = line(columns.iter().copied());
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str)));
    }
    text
}

fn line<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let cells: Vec<_> = cells.map(cell).collect();
    format!("{}\r\n", cells.join(","))
}

/// What would be calculated gets a quote before it, and control characters are shown instead of obeyed.
fn cell(text: &str) -> String {
    const CALCULATED: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];
    let first = text.trim_start_matches([' ', '\n', '\u{feff}', '\u{200b}']).chars().next();
    let guard = if first.is_some_and(|c| CALCULATED.contains(&c)) { "'" } else { "" };
    let shown = format!("{guard}{}", escape(text));
    // A semicolon separates cells where a comma is the decimal sign.
    match shown.contains([',', ';', '"', '\'', ' ']) {
        true => format!("\"{}\"", shown.replace('"', "\"\"")),
        false => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_none_breaks_its_line() {
        for (text, shown) in [
            ("plain", "plain"),
            ("=1+1", "\"'=1+1\""),
            ("-2", "\"'-2\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\t=1", "\"'\\t=1\""),
            ("\r=1", "\"'\\r=1\""),
            (" +1", "\"' +1\""),
            ("a\n=1", "a\\n=1"),
            ("a,\"b\"", "\"a,\"\"b\"\"\""),
            ("\u{1b}[31m", "\\u{1b}[31m"),
            ("＝1", "\"'＝1\""),
        ] {
            assert_eq!(cell(text), shown, "{text:?}");
        }
        let text = document(&["a", "b"], [vec!["1".to_owned(), String::new()]].into_iter());
        assert_eq!(text, "a,b\r\n1,\r\n");
    }
}
