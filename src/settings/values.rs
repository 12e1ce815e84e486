//! Reading one value out of the layers: words, numbers, times.

use std::str::FromStr;
use std::time::Duration;

use super::layers::Layers;
use crate::failure::Failure;

/// One of a keyword's words; none where nothing is said.
pub(super) fn choice<T: Copy>(
    layers: &Layers,
    name: &str,
    words: &[(&str, T)],
) -> Result<Option<T>, Failure> {
    let Some(found) = layers.text(name) else { return Ok(None) };
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == found.value) {
        return Ok(Some(*value));
    }
    let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
    Err(Failure::usage(format!("`{name}` has a value that is not known ({})", found.source))
        .hint(format!("write one of: {}", known.join(", "))))
}

/// A whole number; none where nothing is said.
pub(super) fn number<T: FromStr>(layers: &Layers, name: &str) -> Result<Option<T>, Failure> {
    let Some(found) = layers.text(name) else { return Ok(None) };
    found
        .value
        .trim()
        .parse()
        .map(Some)
        .map_err(|_| Failure::usage(format!("`{name}` is not a whole number ({})", found.source)))
}

/// A number of `unit`s; none where nothing, zero or less is said, which in libpq is the default.
pub(super) fn duration(
    layers: &Layers,
    name: &str,
    unit: Duration,
) -> Result<Option<Duration>, Failure> {
    let count = number::<i32>(layers, name)?.and_then(|count| u32::try_from(count).ok());
    Ok(count.filter(|count| *count > 0).map(|count| unit * count))
}
