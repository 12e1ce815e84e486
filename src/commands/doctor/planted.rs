//! The statement that takes away what stands beside rows in schema `markenmate`. Pure.

/// Reads how `db/plain.sql` names it: names are as SQL takes them. None: it is to be taken away by hand.
pub(super) fn remedy(said: &str) -> Option<String> {
    const WHY: &str = "-- its code would run with your rights: as the owner of schema markenmate";
    let (_, what) = said.split_once("schema markenmate holds more than rows: ")?;
    let (kind, rest) = what.trim_end().split_once(' ')?;
    let on = rest.split_once(" on ");
    let sql = match (kind, on) {
        ("trigger", Some((name, table))) => format!("DROP TRIGGER {name} ON markenmate.{table};"),
        ("rule", Some((name, table))) => format!("DROP RULE {name} ON markenmate.{table};"),
        ("policy", Some((name, table))) => format!("DROP POLICY {name} ON markenmate.{table};"),
        ("constraint", Some((name, table))) => {
            format!("ALTER TABLE markenmate.{table} DROP CONSTRAINT {name};")
        }
        ("index", Some((name, _))) => format!("DROP INDEX markenmate.{name};"),
        ("column", None) => {
            let (table, column) = rest.split_once('.')?;
            format!("ALTER TABLE markenmate.{table} ALTER COLUMN {column} DROP DEFAULT;")
        }
        _ => return None,
    };
    Some(format!("{sql}  {WHY}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_statement() {
        let of = |what: &str| {
            let said = format!("ERROR: schema markenmate holds more than rows: {what}");
            remedy(&said).map(|sql| sql.split("  --").next().unwrap_or_default().to_owned())
        };
        for (what, sql) in [
            ("trigger t on run", "DROP TRIGGER t ON markenmate.run;"),
            ("rule \"R r\" on ledger", "DROP RULE \"R r\" ON markenmate.ledger;"),
            ("index i on gate", "DROP INDEX markenmate.i;"),
            ("constraint c on run", "ALTER TABLE markenmate.run DROP CONSTRAINT c;"),
            ("policy p on run", "DROP POLICY p ON markenmate.run;"),
            ("column run.x", "ALTER TABLE markenmate.run ALTER COLUMN x DROP DEFAULT;"),
        ] {
            assert_eq!(of(what).as_deref(), Some(sql));
        }
        assert_eq!(of("run is no plain table"), None);
        assert_eq!(remedy("relation does not exist"), None);
    }
}
