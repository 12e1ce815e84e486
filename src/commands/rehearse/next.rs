//! What to type after a rehearsal: what it was good for.

use std::path::Path;

use crate::backup::gate::Identity;
use crate::backup::manifest::Database;
use crate::report::Next;
use crate::tools::shell;

/// Whether what was rehearsed is what `migrate` would do now.
pub(super) fn counts(of: &Database, live: &Identity, is_same_schema: bool) -> bool {
    let system = &of.system_identifier;
    is_same_schema && of.oid == live.oid && system.is_some() && *system == live.system_identifier
}

/// After a rehearsal that passed. `named`: `--certificate`, where nobody would look for it.
pub(super) fn passed(counts: bool, named: Option<&Path>) -> Next {
    if !counts {
        return Next::after(
            "this was no rehearsal of the database as it is: for that one, without --from",
            "markenmate rehearse",
        );
    }
    Next::run(match named {
        None => "markenmate migrate --require-rehearsal".to_owned(),
        Some(path) => format!(
            "markenmate migrate --require-rehearsal {}",
            shell::word(&format!("1d,{}", path.display()))
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_elsewhere_is_named() {
        let said = |counts, path: Option<&str>| passed(counts, path.map(Path::new)).command;
        assert_eq!(said(true, None), "markenmate migrate --require-rehearsal");
        let named = "markenmate migrate --require-rehearsal '1d,my certificate'";
        assert_eq!(said(true, Some("my certificate")), named);
        assert_eq!(said(false, Some("a")), "markenmate rehearse");
    }
}
