use super::*;

fn catalogue(text: &str) -> Catalogue {
    serde_json::from_str(text).unwrap()
}

/// Table `t` with column `a`, and another one where it is named; table `u`.
fn shaped(column: Option<&str>, with_u: bool) -> Catalogue {
    let column = column.map_or_else(String::new, |name| {
        format!(r#", "{name}": {{ "type": "integer", "not_null": false }}"#)
    });
    let u = if with_u {
        r#", "u": { "columns": { "id": { "type": "integer", "not_null": true } }, "constraints": {},
            "indexes": { "u_pkey": { "unique": true, "columns": ["id"] } },
            "sequences": { "u_id_seq": { "column": "id", "type": "integer" } } }"#
    } else {
        ""
    };
    let mut all = catalogue(&format!(
        r#"{{ "enums": {{}}, "tables": {{ "t": {{ "columns": {{ "a": {{ "type": "integer", "not_null": false }}{column} }},
            "constraints": {{}}, "indexes": {{}}, "sequences": {{}} }}{u} }} }}"#
    ));
    if with_u {
        all.others.insert("u_pkey".into(), "i".into());
        all.others.insert("u_id_seq".into(), "S".into());
    }
    all
}

fn beside(table: &str, column: Option<&str>, kind: &str, statement: &str) -> Beside {
    Beside {
        kind: kind.into(),
        table: table.into(),
        column: column.map(Into::into),
        subject: format!("public.{table}"),
        statement: statement.into(),
    }
}

fn image() -> Image {
    let table = |name: &str, checksum: &str| Table {
        name: name.into(),
        rows: Some(2),
        checksum: Some(checksum.into()),
    };
    Image {
        catalogue: shaped(None, false),
        tables: vec![table("public.s", "x"), table("public.t", "y")],
        sequences: vec![Sequence {
            name: "public.t_id_seq".into(),
            last_value: Some(5),
            descends: false,
            cycles: false,
        }],
        beside: vec![beside("t", None, "table", "COMMENT;")],
    }
}

#[test]
fn one_row_one_column_and_one_step_of_a_sequence_are_seen() {
    let before = image();
    assert_eq!(image().differences(&before), []);
    let subjects = |now: &Image| {
        now.differences(&before).into_iter().map(|finding| finding.subject).collect::<Vec<_>>()
    };
    let mut now = image();
    now.tables[0].rows = Some(1);
    now.tables[1].checksum = Some("z".into());
    now.sequences[0].last_value = Some(4);
    assert_eq!(subjects(&now), ["public.s", "public.t", "public.t_id_seq"]);
    let mut now = image();
    now.tables.remove(0);
    now.tables.push(Table { name: "public.z".into(), rows: Some(0), checksum: None });
    now.sequences.clear();
    assert_eq!(subjects(&now), ["public.s", "public.z", "public.t_id_seq"]);
    // Numbers may be skipped.
    let mut now = image();
    now.sequences[0].last_value = Some(9);
    assert_eq!(now.differences(&before), []);
    let mut now = image();
    now.beside = vec![beside("t", None, "revoke", "REVOKE;")];
    let found = now.differences(&before);
    assert_eq!((found.len(), found[0].remedy.as_str()), (2, "COMMENT;"));
    let mut now = image();
    now.catalogue = shaped(Some("b"), true);
    assert_eq!(
        subjects(&now),
        ["column public.t.b", "table public.u", "public.u_id_seq", "public.u_pkey"]
    );
    assert_eq!(before.differences(&now).len(), 4);
    now.catalogue = shaped(None, false);
    now.catalogue.tables.get_mut("t").unwrap().owner = Some("other".into());
    assert_eq!(subjects(&now), ["schema public"]);
}

#[test]
fn what_later_versions_brought_is_looked_away_from() {
    let brought = crate::db::catalogue::additions(&shaped(None, false), &shaped(Some("b"), true));
    let without = Without::default().and(brought, |table| table == "u");
    assert!(without.columns().contains(&("t".into(), "b".into())));
    assert!(without.names("public.u") && !without.names("public.t"));
    let left_out = |table, column, kind| without.leaves_out(&beside(table, column, kind, ";"));
    assert!(left_out("u", None, "table") && left_out("t", Some("b"), "grant"));
    assert!(!left_out("t", Some("a"), "grant") && left_out("t", None, "index"));
    let mut newer = shaped(Some("b"), true);
    newer.others.insert("v".into(), "v".into());
    let (cut, gone) = without.cut(newer);
    let mut expected = shaped(None, false);
    expected.others.insert("v".into(), "v".into());
    assert_eq!(cut, expected);
    assert_eq!(gone.len(), 2);
    // Nothing is looked away from by itself.
    let (same, _) = Without::default().cut(shaped(Some("b"), true));
    assert_eq!(same, shaped(Some("b"), true));
}
