//! What a rollback registered as kept, and somebody dropped. Pure.

use super::returning::Kept;
use crate::report::{Finding, Severity};

/// The id of what [`lost`] finds.
pub const ID: &str = "set-aside-lost";

/// One finding for all of it, as one command goes on without it. None: all is there.
pub fn lost(kept: &[Kept]) -> Option<Finding> {
    let lost: Vec<&Kept> = kept.iter().filter(|kept| kept.lost).collect();
    if lost.is_empty() {
        return None;
    }
    let told = lost.iter().map(|kept| format!("{} of {}", kept.name, kept.what()));
    let told: Vec<String> = told.collect();
    let names: Vec<&str> = lost.iter().map(|kept| word(&kept.name)).collect();
    Some(Finding {
        id: ID.into(),
        severity: Severity::Error,
        title: "Something that a rollback kept is gone".into(),
        subject: "schema markenmate_quarantine".into(),
        detail: format!(
            "{}: it is registered as kept, and somebody dropped it; migrate goes on once it is there again, or \
             written off",
            told.join(", ")
        ),
        remedy: format!("markenmate cleanup set-aside {}", names.join(" ")),
    })
}

/// A name of ours, to paste; any other is for a person to fill in.
fn word(name: &str) -> &str {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.is_empty() && name.chars().all(plain) { name } else { "NAME" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_is_named_and_nothing_else() {
        let kept = |name: &str, lost| Kept {
            name: name.into(),
            version: 2,
            table: "audit_log".into(),
            column: None,
            returning: false,
            lost,
        };
        assert_eq!(lost(&[kept("a", false)]), None);
        let all = [kept("a", true), kept("b", false), kept("c'; rm", true)];
        let found = lost(&all).unwrap();
        assert_eq!(found.remedy, "markenmate cleanup set-aside a NAME");
        assert!(found.detail.starts_with("a of public.audit_log, c'"), "{}", found.detail);
    }
}
