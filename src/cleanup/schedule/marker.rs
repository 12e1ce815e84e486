//! The first line of whatever is ours: for which database, and the hash of all that follows, by which a
//! change by hand is known.

use sha2::{Digest, Sha256};

const BEGIN: &str = " Written by markenmate cleanup schedule for ";
const HASH: &str = "; sha256 ";

/// Whose a text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ours {
    /// Somebody else's.
    No,
    /// Ours, as it was written.
    Untouched {
        /// For which database.
        place: String,
    },
    /// Ours, and changed since.
    Changed {
        /// For which database.
        place: String,
    },
}

/// `text` with the line before it. `comment`: how a comment begins there, `#` or `--`. `place` has no line
/// break and no `;`: it is encoded.
pub fn stamped(comment: &str, place: &str, text: &str) -> String {
    format!("{comment}{BEGIN}{place}{HASH}{}\n{text}", hash(text))
}

/// Whose it is.
pub fn read(text: &str) -> Ours {
    let Some((line, rest)) = text.split_once('\n') else { return Ours::No };
    let Some((place, said)) = parts(line) else { return Ours::No };
    let place = place.to_owned();
    if said == hash(rest) { Ours::Untouched { place } } else { Ours::Changed { place } }
}

/// Whether a line is the first of ours.
pub fn is_first(line: &str) -> bool {
    parts(line).is_some()
}

/// For which database, and the hash.
fn parts(line: &str) -> Option<(&str, &str)> {
    line.trim_start_matches(['#', '-']).strip_prefix(BEGIN)?.split_once(HASH)
}

fn hash(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_known() {
        let text = stamped("#", "d@h:1", "a\nb\n");
        let place = || "d@h:1".to_owned();
        assert_eq!(read(&text), Ours::Untouched { place: place() });
        assert_eq!(read(&text.replace("\nb", "\nc")), Ours::Changed { place: place() });
        assert_eq!(read("a\nb\n"), Ours::No);
        assert_eq!(read(""), Ours::No);
    }
}
