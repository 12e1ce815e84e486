//! In which order differences are mended: each remedy can be run once those before it were.

use std::borrow::Cow;

use super::{Catalogue, Table};

/// The contract's tables; one that is missing comes after the missing ones to which its keys point.
pub(super) fn tables<'a>(
    contract: &'a Catalogue,
    actual: &Catalogue,
) -> Vec<(&'a String, &'a Table)> {
    let mut ordered = Vec::new();
    for (name, table) in &contract.tables {
        put(name, table, contract, actual, &mut ordered);
    }
    ordered
}

fn put<'a>(
    name: &'a String,
    table: &'a Table,
    contract: &'a Catalogue,
    actual: &Catalogue,
    ordered: &mut Vec<(&'a String, &'a Table)>,
) {
    if ordered.iter().any(|(done, _)| *done == name) {
        return;
    }
    if !actual.tables.contains_key(name) {
        let parents = table.constraints.values().filter_map(|key| key.references.as_ref());
        for parent in parents.map(|to| &to.table).filter(|parent| *parent != name) {
            if let Some((parent, table)) = contract.tables.get_key_value(parent)
                && !actual.tables.contains_key(parent)
            {
                put(parent, table, contract, actual, ordered);
            }
        }
    }
    ordered.push((name, table));
}

/// The table without triggers whose function is gone: they come back with it.
pub(super) fn callable<'a>(
    table: &'a Table,
    contract: &Catalogue,
    actual: &Catalogue,
) -> Cow<'a, Table> {
    let names = |all: &Catalogue, function: &str| {
        let prefix = format!("markenmate.{function}(");
        all.functions.keys().any(|name| name.starts_with(&prefix))
    };
    let is_gone = |function: &str| names(contract, function) && !names(actual, function);
    if !table.triggers.values().any(|trigger| is_gone(&trigger.function)) {
        return Cow::Borrowed(table);
    }
    let mut table = table.clone();
    table.triggers.retain(|_, trigger| !is_gone(&trigger.function));
    Cow::Owned(table)
}
