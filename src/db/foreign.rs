//! Whose code runs when we read or write tables of others, with more rights than their owner has?

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// What a function `p` in language `l` does, as one hash.
pub const FUNCTION_CODE: &str = include_str!("function_code.sql");

/// The SQLSTATE of what [`plain`] finds.
pub const NOT_PLAIN: &str = "MM001";

/// The statement that refuses (4) where code of others would run with our rights; for the transaction that
/// writes the app's tables, in the role it writes in, before it does. It holds locks until that ends, as any
/// write of these tables does.
///
/// What is replaced in the body of a function between this look and the write is not seen, nor a child that
/// a table is given: whoever runs the tool as a superuser trusts the owner of the app's tables so far.
pub fn refuse() -> &'static str {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let relations = "SELECT unnest(touched) AS oid, true AS written";
        // The server's own run nothing of others; who may do more than we do need not ask us. Of the
        // owner's: our guards, as we made them.
        let trusted = format!(
            "p.oid < 16384 OR p.proowner IN (SELECT s.oid FROM pg_roles s WHERE s.rolsuper OR s.rolname = session_user) \
             OR p.pronamespace = to_regnamespace('markenmate') AND p.prosecdef AND pg_get_userbyid(p.proowner) = owner \
                AND (SELECT {FUNCTION_CODE} FROM pg_language l WHERE l.oid = p.prolang) IN ({})",
            guards().join(", ")
        );
        include_str!("foreign.sql").replace("%STRANGERS%", &strangers(relations, &trusted))
    });
    &SQL
}

/// The statement that refuses whatever stands beside rows in our own tables, with [`NOT_PLAIN`].
pub fn plain() -> &'static str {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let relations = "SELECT c.oid, true AS written FROM pg_class c \
                          WHERE c.relnamespace = to_regnamespace('markenmate') AND c.relname = ANY (ours)";
        include_str!("plain.sql").replace("%STRANGERS%", &strangers(relations, "false"))
    });
    &SQL
}

/// Common table expressions, the last of which, `stranger(what)`, names whatever runs code when `relations`
/// (`oid`, and whether they are `written`) are read or written; no trigger on a function `p` that is `trusted`.
pub fn strangers(relations: &str, trusted: &str) -> String {
    include_str!("strangers.sql").replace("%RELATIONS%", relations).replace("%TRUSTED%", trusted)
}

/// The hashes of our guards' functions, as SQL texts.
fn guards() -> Vec<String> {
    #[derive(Deserialize)]
    struct Contract {
        functions: BTreeMap<String, Function>,
    }
    #[derive(Deserialize)]
    struct Function {
        code: String,
    }
    let contract = include_str!("../../migrations/V3__guards.contract.json");
    let contract: Contract =
        serde_json::from_str(contract).unwrap_or(Contract { functions: BTreeMap::new() });
    contract
        .functions
        .values()
        .map(|function| super::identifiers::literal(&function.code))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_guards_are_known_and_nothing_is_left_to_fill_in() {
        assert!(guards().len() > 10, "{:?}", guards());
        for sql in [refuse(), plain()] {
            assert!(
                !sql.contains("%RELATIONS%")
                    && !sql.contains("%STRANGERS%")
                    && !sql.contains("%TRUSTED%")
            );
        }
    }
}
