//! The one escape between untrusted text and a terminal.

use std::borrow::Cow;
use std::fmt::Write;

/// Shows control characters (C0, C1, DEL), bidirectional controls and line breaks as `\u{..}`
/// or their short form, so that a name in a row can neither move the cursor nor forge a line.
pub fn escape(text: &str) -> Cow<'_, str> {
    escape_unless(text, |_| false)
}

/// The same for several lines: line breaks stay.
pub fn escape_lines(text: &str) -> Cow<'_, str> {
    escape_unless(text, |c| c == '\n')
}

fn escape_unless(text: &str, keep: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(|c| is_hostile(c) && !keep(c)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            c if keep(c) || !is_hostile(c) => shown.push(c),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
            }
        }
    }
    Cow::Owned(shown)
}

fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}'
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sequences_are_shown_not_obeyed() {
        assert_eq!(escape("\x1b[31mrot\n\u{9b}2J"), "\\u{1b}[31mrot\\n\\u{9b}2J");
        assert_eq!(escape("a\u{202e}b\x7f"), "a\\u{202e}b\\u{7f}");
    }

    #[test]
    fn plain_text_is_left_alone() {
        assert!(matches!(escape("Jürgen \"Ö\" 中文"), Cow::Borrowed(_)));
        assert_eq!(escape_lines("a\nb\rc"), "a\nb\\rc");
    }
}
