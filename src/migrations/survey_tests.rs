use super::*;
use crate::db::identifiers::{identifier, literal};

/// What the contracts say must be looked for.
fn probe_sql() -> String {
    let (Some(first), Some(newest)) = (registry::find(1), registry::find(registry::latest()))
    else {
        return String::new();
    };
    let added = catalogue::additions(first.contract(), newest.contract());
    let whole = |table: &str| !first.contract().tables.contains_key(table);
    let oid =
        |table: &str| format!("to_regclass({})", literal(&format!("public.{}", identifier(table))));
    let pairs = |names: Vec<(&String, &String)>| -> String {
        let pairs = names.iter().map(|(t, name)| format!("({}, {})", oid(t), literal(name)));
        pairs.collect::<Vec<_>>().join(", ")
    };
    let mut conditions: Vec<String> = added
        .tables
        .keys()
        .filter(|t| whole(t))
        .map(|t| format!("{} IS NOT NULL", oid(t)))
        .collect();
    let columns: Vec<_> = added
        .tables
        .iter()
        .filter(|(table, _)| !whole(table))
        .flat_map(|(t, parts)| parts.columns.keys().map(move |c| (t, c)))
        .collect();
    conditions.push(format!(
        "(SELECT count(*) = {} FROM pg_attribute WHERE NOT attisdropped \
           AND (attrelid, attname) IN ({}))",
        columns.len(),
        pairs(columns)
    ));
    let triggers: Vec<String> = added
        .tables
        .iter()
        .flat_map(|(t, parts)| parts.triggers.iter().map(move |(name, trigger)| (t, name, trigger)))
        .map(|(t, name, trigger)| {
            format!("({}, {}, {})", oid(t), literal(name), literal(&trigger.function))
        })
        .collect();
    conditions.push(format!(
        "(SELECT count(*) = {} FROM pg_trigger JOIN pg_proc p ON p.oid = tgfoid \
           WHERE tgenabled IN ('O', 'A') AND pronamespace = to_regnamespace('markenmate') \
             AND (tgrelid, tgname, proname) IN ({}))",
        triggers.len(),
        triggers.join(", ")
    ));
    format!("SELECT {};\n", conditions.join("\n   AND "))
}

/// `MARKENMATE_UPDATE_CONTRACTS=1` writes it anew.
#[test]
fn the_probe_looks_for_what_the_contracts_add() {
    let expected = probe_sql();
    if std::env::var_os("MARKENMATE_UPDATE_CONTRACTS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/migrations/probe.sql");
        std::fs::write(path, &expected).expect("written");
    }
    assert_eq!(PROBE, expected);
}
