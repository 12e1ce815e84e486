//! Documents that name the hash of their own bytes: not even a space in them can change unseen.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::manifest::hex;

/// What stands in the hash's place while it is computed.
pub(super) const BLANK: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The text of a document whose hash is [`BLANK`], with the hash in its place.
pub(super) fn seal<T: Serialize>(document: &T) -> String {
    // Strings, numbers and maps with string keys: nothing here can fail to serialize.
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    let hash = hex(&Sha256::digest(&text));
    // The last of them: a name in it may look like it.
    match text.rfind(BLANK) {
        Some(at) => text.replace_range(at..at + BLANK.len(), &hash),
        None => unreachable!("it was just written"),
    }
    text
}

/// Whether that is the hash which the text was sealed with.
///
/// # Errors
/// Why it is not.
pub(super) fn check(text: &str, sha256: &str) -> Result<(), String> {
    let at = text.rfind(sha256).filter(|_| sha256.len() == BLANK.len());
    let at = at.ok_or("it names no hash of itself")?;
    let mut blank = text.to_owned();
    blank.replace_range(at..at + BLANK.len(), BLANK);
    match hex(&Sha256::digest(&blank)) == sha256 {
        true => Ok(()),
        false => Err("it was changed after it was written: its own hash differs".into()),
    }
}
