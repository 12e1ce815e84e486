//! SQL with places for values.

/// Puts a value into each `%NAME%` of the text, in one go: what stands in a value is no place, whatever a table or a
/// column is called. A name that has no value stays.
pub fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('%') {
        filled.push_str(before);
        let found = values.iter().find_map(|(name, value)| {
            let after = after.strip_prefix(name)?.strip_prefix('%')?;
            Some((value, after))
        });
        rest = match found {
            Some((value, after)) => {
                filled.push_str(value);
                after
            }
            None => {
                filled.push('%');
                after
            }
        };
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_a_value_is_no_place() {
        let filled = fill("a %B% %C% %D% 5 % 3 %%B%%", &[("B", "%C%"), ("C", "\"%B%\"")]);
        assert_eq!(filled, "a %C% \"%B%\" %D% 5 % 3 %%C%%");
    }
}
