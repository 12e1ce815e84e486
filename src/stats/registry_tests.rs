use std::collections::BTreeSet;

use super::*;

/// What the runner asks for itself.
const NOT_METRICS: [&str; 1] = ["statements"];

#[test]
fn statements_and_folder_are_equal() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/stats");
    let names =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<String> = names
        .filter_map(|name| name.strip_suffix(".sql").map(str::to_owned))
        .filter(|stem| !NOT_METRICS.contains(&stem.as_str()))
        .collect();
    let used: BTreeSet<String> = statements().map(|statement| statement.file.to_owned()).collect();
    assert_eq!(files, used);
}

#[test]
fn a_statement_tells_of_the_metrics_that_name_it_and_of_no_other() {
    let quoted = |sql: &'static str| -> BTreeSet<&'static str> {
        sql.split('\'').filter(|word| ALL.iter().any(|metric| metric.id == *word)).collect()
    };
    for statement in statements() {
        let mut told = quoted(statement.sql);
        for metric in ALL.iter().filter(|metric| metric.source == Source::Sql(statement)) {
            assert!(told.remove(metric.id), "{}: {}", statement.file, metric.id);
        }
        // A table that has a statement of its own is counted there.
        told.remove("table-growth");
        assert_eq!(told, BTreeSet::new(), "{}", statement.file);
    }
    let growth = TABLE_GROWTH.sql;
    let counted = |table: &str| growth.contains(&format!("'{table}'"));
    for statement in statements().filter(|s| **s != TABLE_GROWTH) {
        let tells = quoted(statement.sql).contains("table-growth");
        assert_eq!(tells, counted(statement.file), "{}", statement.file);
    }
}

#[test]
fn names_are_unique_and_what_prometheus_expects() {
    let ids: BTreeSet<&str> = ALL.iter().map(|metric| metric.id).collect();
    let names: BTreeSet<&str> = ALL.iter().map(|metric| metric.name).collect();
    assert_eq!((ids.len(), names.len()), (ALL.len(), ALL.len()));
    for metric in &ALL {
        assert!(metric.name.starts_with("markenmate_"), "{}", metric.name);
        assert_eq!(metric.name.ends_with("_total"), metric.kind == Counter, "{}", metric.name);
        let ending = match metric.unit {
            Seconds | Milliseconds => "_seconds",
            Bytes => "_bytes",
            Ratio => "_ratio",
            PerDay => "_per_day",
            Count => "",
        };
        let stem = metric.name.trim_end_matches("_total");
        assert!(stem.ends_with(ending), "{}", metric.name);
        assert!(!metric.title.is_empty() && !metric.remedy.is_empty(), "{}", metric.id);
    }
}

#[test]
fn statements_stand_alone_and_name_their_schema() {
    for Statement { file, sql, .. } in statements() {
        assert!(!sql.trim_end().ends_with(';'), "{file}: a savepoint follows");
        for table in [
            "token_lending",
            "audit_log",
            "step_up_token",
            "app_log",
            "cleanup",
            "lending_conflicts",
        ] {
            for keyword in ["FROM", "JOIN"] {
                assert!(!sql.contains(&format!("{keyword} {table}")), "{file}: {table}");
            }
        }
    }
}

#[test]
fn a_limit_has_a_side() {
    assert!(Over(2.0).is_passed(2.1) && !Over(2.0).is_passed(2.0));
    assert!(Under(1.0).is_passed(0.9) && !Under(1.0).is_passed(1.0));
    assert!(!Open.is_passed(1e9) && Open.at(Some(1.0)).is_passed(2.0));
    assert!(OpenBelow.at(Some(0.5)).is_passed(0.4) && !Under(1.0).at(None).is_passed(0.0));
}

#[test]
fn what_is_missing_is_said() {
    let said =
        |requires: &Requires, version, own| requires.missing(version, own, &Catalogue::default());
    assert_eq!(
        said(&AUDIT, 3, 4).unwrap(),
        "there is no public.audit_log.user_id: markenmate migrate"
    );
    assert!(said(&GUARDS, 2, 4).unwrap().contains("recorded is 2"));
    assert!(said(&RUNS, 3, 3).unwrap().contains("which is at 3"));
    assert_eq!(said(&RUNS, 3, 4), None);
    assert!(find("audit").unwrap_err().contains("audit-insert, version-checks"));
}
