use super::*;
use crate::db::identifiers::{identifier, literal};
use crate::migrations::own;

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
    // By the functions' printed names: a join costs a new backend as much as all the rest.
    let guarded = added.tables.iter().filter(|(_, parts)| !parts.triggers.is_empty());
    let relations: Vec<String> = guarded.clone().map(|(table, _)| oid(table)).collect();
    conditions.push(format!(
        "(SELECT count(*) = {} FROM pg_trigger WHERE tgrelid IN ({}) AND starts_with(tgname, 'markenmate_') \
           AND tgenabled IN ('O', 'A') AND starts_with(tgfoid::regproc::text, 'markenmate.'))",
        guarded.map(|(_, parts)| parts.triggers.len()).sum::<usize>(),
        relations.join(", ")
    ));
    let own: Vec<String> = own::relations().iter().map(|name| literal(name)).collect();
    conditions.push(format!(
        "(SELECT count(*) = {} FROM pg_class WHERE relnamespace = to_regnamespace('markenmate') AND relname IN ({}))",
        own.len(),
        own.join(", ")
    ));
    format!("SELECT {};\n", conditions.join("\n   AND "))
}

/// Where it fails: what is on the left belongs into probe.sql.
#[test]
fn the_probe_looks_for_what_the_contracts_add() {
    assert_eq!(probe_sql(), PROBE);
}
