use super::*;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn recorded(versions: &[&str]) -> Histories {
    let own = versions.iter().map(|v| Row { version: (*v).into(), ..Row::default() }).collect();
    Histories { app: Vec::new(), own }
}

/// What every migration of the tool's own makes, and the histories.
fn everything() -> Vec<String> {
    let made = registry::OWN.iter().flat_map(makes).map(str::to_owned);
    made.chain(names(&[APP, OWN])).collect()
}

#[test]
fn what_is_there_and_not_recorded_is_recorded_and_nothing_else() {
    let all = everything();
    let every: Vec<_> = registry::OWN.iter().map(|entry| entry.version.to_string()).collect();
    let every: Vec<_> = every.iter().map(String::as_str).collect();
    assert_eq!(histories(&all, Some(&recorded(&every)), "app"), None);
    let sql = histories(&all, Some(&recorded(&["1"])), "app").unwrap();
    assert!(sql.starts_with("INSERT") && sql.contains("VALUES (2, 'operator_ledger'"), "{sql}");
    // A schema of the tool's that an older one has made, or nobody.
    let first: Vec<_> =
        makes(&registry::OWN[0]).map(str::to_owned).chain(names(&[APP, OWN])).collect();
    assert_eq!(histories(&first, Some(&recorded(&["1"])), "app"), None);
    assert_eq!(histories(&[], Some(&recorded(&[])), "app"), None);
}

#[test]
fn tables_that_are_gone_are_made_and_rows_that_cannot_be_read_are_left_alone() {
    let without =
        |gone: &str| -> Vec<_> { everything().into_iter().filter(|name| name != gone).collect() };
    let sql = histories(&without(APP), None, "the app").unwrap();
    assert!(sql.contains("CREATE TABLE IF NOT EXISTS markenmate.refinery_schema_history"), "{sql}");
    assert!(sql.contains("OWNER TO \"the app\";") && !sql.contains("INSERT"), "{sql}");
    let sql = histories(&without(OWN), None, "app").unwrap();
    assert_eq!(sql.matches("INSERT").count(), registry::OWN.len(), "{sql}");
    assert_eq!(histories(&everything(), None, "app"), None);
}

#[test]
fn a_row_of_the_apps_is_recorded_anew_and_one_of_ours_is_written() {
    let lacks = Row { version: "2".into(), lacks: vec!["checksum"], ..Row::default() };
    let sql = row(APP, 2, Some(&lacks));
    assert!(sql.starts_with(
        "ALTER TABLE markenmate.refinery_schema_history ADD COLUMN IF NOT EXISTS checksum varchar(255);\n\
         DELETE FROM markenmate.refinery_schema_history WHERE version >= 2;"
    ), "{sql}");
    let sql = row(OWN, 1, None);
    assert!(sql.starts_with("INSERT INTO markenmate.refinery_own_history"), "{sql}");
    let none = Row { version: "it's".into(), ..Row::default() };
    assert_eq!(
        no_version(APP, &none),
        "DELETE FROM markenmate.refinery_schema_history WHERE version::text = 'it''s';"
    );
}

#[test]
fn functions_are_one_finding_and_what_is_not_recorded_is_dropped() {
    let mut catalogue = registry::find(registry::GUARDS).unwrap().contract().clone();
    catalogue.functions.remove("markenmate.is_open()");
    catalogue.functions.remove("markenmate.close_gate()");
    let contract = registry::find(registry::GUARDS).unwrap().contract();
    let found = || crate::db::catalogue::compare(contract, &catalogue);
    let told = guards(found(), &catalogue, true);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].detail, "markenmate.close_gate() missing, markenmate.is_open() missing");
    assert_eq!(told[0].remedy, ANEW);
    let dropped = guards(found(), &catalogue, false);
    assert_eq!(dropped.len(), 1);
    let sql = &dropped[0].remedy;
    assert!(sql.contains("DROP TRIGGER markenmate_admins ON public.\"user\";"), "{sql}");
    assert!(sql.contains("DROP FUNCTION markenmate.open_gate(text);"), "{sql}");
    assert!(!sql.contains("is_open"), "{sql}");
}

#[test]
fn an_emptied_database_is_restored() {
    let entry = registry::find(registry::GUARDS).unwrap();
    assert_eq!(
        emptied(entry, &Catalogue::default()).unwrap().remedy,
        "markenmate rollback --restore"
    );
    assert_eq!(emptied(entry, registry::find(1).unwrap().contract()), None);
}
