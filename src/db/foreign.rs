//! Whose code runs when we read or write tables of others, with more rights than their owner has?

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::identifiers::literal;

/// What a function `p` in language `l` does, as one hash.
pub const FUNCTION_CODE: &str = include_str!("function_code.sql");

/// The SQLSTATE of what [`plain`] finds.
pub const NOT_PLAIN: &str = "MM001";

/// The SQLSTATE of what [`refuse`] finds.
pub const STRANGER: &str = "MM190";

/// What is about to be written in `public`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Rows whose time is over.
    Cleanup,
    /// Rows of any table, and of what is set aside.
    Everything,
    /// Roles, sessions, the records of it.
    Admins,
    /// The same, and users and lendings of a probe's own, which are deleted again.
    Probes,
    /// What returns from where a rollback keeps it.
    Returning,
}

impl Scope {
    const fn written(self) -> &'static str {
        match self {
            Self::Admins | Self::Probes => {
                "'user', 'session', 'account', 'audit_log', 'step_up_token', 'token_lending'"
            }
            Self::Returning => "'user', 'token_lending', 'app_log', 'audit_log', 'step_up_token'",
            Self::Cleanup => "'app_log', 'audit_log', 'audit_log_archive', 'step_up_token'",
            Self::Everything => {
                "SELECT e.relname FROM pg_class e \
                  WHERE e.relnamespace = 'public'::regnamespace AND e.relkind IN ('r', 'p')"
            }
        }
    }

    const fn deleted(self) -> &'static str {
        match self {
            Self::Admins => "'session', 'audit_log'",
            Self::Probes => "'user', 'session', 'audit_log', 'step_up_token', 'token_lending'",
            Self::Returning => "''",
            Self::Cleanup | Self::Everything => self.written(),
        }
    }
}

/// The statement that refuses (4) where code of others would run with our rights; for the transaction that
/// writes the app's tables, in the role it writes in, before it does. It holds locks until that ends, as any
/// write of these tables does.
///
/// It protects against what is there by mistake or was left behind. The owner of the app's tables can replace a
/// function between this look and the write: whoever runs the tool as a superuser trusts that role so far.
pub fn refuse(scope: Scope) -> String {
    refuse_from(scope, 1)
}

/// The same for whoever only looks and locks nothing: what it finds may change before anything is written.
pub fn refuse_unlocked(scope: Scope) -> String {
    refuse_from(scope, 2)
}

fn refuse_from(scope: Scope, first_look: u8) -> String {
    let relations =
        "SELECT unnest(written) AS oid, true AS written UNION ALL SELECT unnest(beside), false";
    let guards = guards();
    let names = guards.keys().filter_map(|signature| {
        signature.strip_prefix("markenmate.")?.split('(').next().map(literal)
    });
    let codes = guards.iter().map(|(signature, function)| {
        format!("({}, {})", literal(signature), literal(&function.code))
    });
    // The server's own run nothing of others; who may do more than we do need not ask us. Our guards are
    // looked at by themselves.
    let ours = guards.keys().map(|signature| literal(signature)).collect::<Vec<_>>().join(", ");
    let trusted = format!(
        "p.oid < 16384 OR p.proowner IN (SELECT s.oid FROM pg_roles s WHERE s.rolsuper OR s.rolname = session_user) \
         OR p.prosecdef AND p.oid::regprocedure::text IN ({ours})",
    );
    let keeps = matches!(scope, Scope::Returning | Scope::Everything);
    include_str!("foreign.sql")
        .replace("%FIRST_LOOK%", &first_look.to_string())
        .replace("%STRANGERS%", &strangers(relations, &trusted))
        .replace("%WRITTEN%", scope.written())
        .replace("%DELETED%", scope.deleted())
        .replace("%KEPT%", if keeps { "true" } else { "false" })
        .replace("%GUARDS%", &names.collect::<Vec<_>>().join(", "))
        .replace("%FUNCTION_CODE%", FUNCTION_CODE)
        .replace("%CODES%", &codes.collect::<Vec<_>>().join(", "))
}

/// The statement that refuses whatever stands beside rows in our own tables, with [`NOT_PLAIN`].
pub fn plain() -> &'static str {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let relations = "SELECT c.oid, true AS written FROM pg_class c \
                          WHERE c.relnamespace = to_regnamespace('markenmate') AND c.relname = ANY (ours)";
        // The archives have a guard.
        let trusted = format!(
            "p.oid::regprocedure::text = {} AND {} = (SELECT {FUNCTION_CODE} FROM pg_language l WHERE l.oid = p.prolang)",
            literal(ARCHIVE_GUARD.0),
            literal(ARCHIVE_GUARD.1)
        );
        include_str!("plain.sql").replace("%STRANGERS%", &strangers(relations, &trusted))
    });
    &SQL
}

/// Common table expressions, the last of which, `stranger(what)`, names whatever runs code when `relations`
/// (`oid`, and whether they are `written`) are read or written; no trigger on a function `p` that is `trusted`.
pub fn strangers(relations: &str, trusted: &str) -> String {
    include_str!("strangers.sql").replace("%RELATIONS%", relations).replace("%TRUSTED%", trusted)
}

#[derive(Debug, Deserialize)]
struct Function {
    code: String,
}

/// What guards the archives, and the hash of what it does: of `own/V4`, whose schema has no contract.
const ARCHIVE_GUARD: (&str, &str) = (
    "markenmate.guard_archive()",
    "7d66b6155c9e4bda1400c90143a24e364359790f9b1c130330ec4518afe109cc",
);

/// Our guards' functions, by signature.
fn guards() -> BTreeMap<String, Function> {
    #[derive(Deserialize)]
    struct Contract {
        functions: BTreeMap<String, Function>,
    }
    // That it parses is this file's test.
    let contract = include_str!("../../migrations/V3__guards.contract.json");
    let mut guards =
        serde_json::from_str(contract).map_or_else(|_| BTreeMap::new(), |c: Contract| c.functions);
    let (signature, code) = ARCHIVE_GUARD;
    guards.insert(signature.to_owned(), Function { code: code.to_owned() });
    guards
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archives_guard_is_the_one_that_is_made() {
        use sha2::{Digest, Sha256};
        let sql = include_str!("../../migrations/own/V4__cleanup.sql");
        let (_, body) = sql.split_once("guard_archive() RETURNS trigger").unwrap();
        let body = body.split("$$").nth(1).unwrap();
        let text = format!("plpgsql v t {{\"search_path=pg_catalog, pg_temp\"}} trigger {body}");
        assert_eq!(hex::encode(Sha256::digest(text)), ARCHIVE_GUARD.1);
    }

    #[test]
    fn our_guards_are_known_and_nothing_is_left_to_fill_in() {
        assert!(guards().len() > 10, "{:?}", guards());
        for sql in [
            refuse(Scope::Admins),
            refuse(Scope::Probes),
            refuse(Scope::Returning),
            refuse(Scope::Everything),
            plain().to_owned(),
        ] {
            let places = [
                "FIRST_LOOK",
                "RELATIONS",
                "STRANGERS",
                "TRUSTED",
                "WRITTEN",
                "DELETED",
                "KEPT",
                "GUARDS",
                "CODES",
            ];
            assert!(places.iter().all(|place| !sql.contains(&format!("%{place}%"))), "{sql}");
        }
    }
}
