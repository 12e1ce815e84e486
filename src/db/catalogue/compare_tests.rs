use super::*;

fn contract() -> Catalogue {
    serde_json::from_str(
        r#"{"enums": {"mood": ["good", "bad"]},
            "tables": {"user": {"columns": {"id": {"type": "text", "not_null": true}},
                                "constraints": {"user_pkey": {"kind": "primary key", "columns": ["id"]}},
                                "indexes": {"user_pkey": {"unique": true, "columns": ["id"]}}, "sequences": {}},
                       "note": {"columns": {"id": {"type": "integer", "not_null": true, "default": "nextval('public.note_id_seq'::regclass)"},
                                            "at": {"type": "timestamp with time zone", "not_null": true, "default": "now()"},
                                            "owner": {"type": "text", "not_null": false}},
                                "constraints": {"note_fk": {"kind": "foreign key", "columns": ["owner"],
                                    "references": {"table": "user", "columns": ["id"], "on_delete": "CASCADE", "on_update": "NO ACTION"}}},
                                "indexes": {"note_at": {"unique": false, "columns": ["at"]}},
                                "sequences": {"note_id_seq": {"column": "id", "type": "integer"}}}}}"#,
    )
    .expect("a contract")
}

/// The one difference that `change` makes: subject, detail, remedy.
fn one(change: impl FnOnce(&mut Table)) -> (String, String, String) {
    let mut actual = contract();
    change(actual.tables.get_mut("note").expect("note"));
    let mut found = compare(&contract(), &actual);
    assert_eq!(found.len(), 1, "{found:?}");
    let Difference { subject, detail, remedy } = found.remove(0);
    (subject, detail, remedy)
}

#[test]
fn equal_is_equal_and_more_is_enough() {
    let mut actual = contract();
    assert_eq!(compare(&contract(), &actual), []);
    let more = actual.tables["note"].columns["owner"].clone();
    actual.tables.get_mut("note").expect("note").columns.insert("extra".into(), more);
    actual.enums.insert("more".into(), vec![]);
    assert_eq!(compare(&contract(), &actual), []);
}

#[test]
fn a_column_is_compared_by_type_default_and_nullability() {
    let (subject, detail, remedy) =
        one(|t| t.columns.get_mut("owner").expect("owner").not_null = true);
    assert_eq!(subject, "column public.note.owner");
    assert_eq!(detail, "is text NOT NULL; expected text");
    assert_eq!(remedy, "ALTER TABLE public.note ALTER COLUMN owner DROP NOT NULL;");
    let (_, _, remedy) = one(|t| t.columns.get_mut("at").expect("at").default = None);
    assert_eq!(remedy, "ALTER TABLE public.note ALTER COLUMN at SET DEFAULT now();");
    let (_, _, remedy) = one(|t| t.columns.get_mut("at").expect("at").not_null = false);
    assert!(
        remedy.starts_with("UPDATE public.note SET at = now() WHERE at IS NULL;\n"),
        "{remedy}"
    );
    let (_, _, remedy) =
        one(|t| t.columns.get_mut("owner").expect("owner").data_type = "bigint".into());
    assert!(remedy.contains("TYPE text USING owner::text"), "{remedy}");
}

#[test]
fn two_spellings_of_now_are_one() {
    let mut actual = contract();
    let at = actual.tables.get_mut("note").and_then(|t| t.columns.get_mut("at")).expect("at");
    at.default = Some("CURRENT_TIMESTAMP".into());
    assert_eq!(compare(&contract(), &actual), []);
}

#[test]
fn keys_are_compared_by_what_they_do() {
    let fk = |t: &mut Table, f: fn(&mut Constraint)| {
        f(t.constraints.get_mut("note_fk").expect("note_fk"))
    };
    let (_, detail, remedy) = one(|t| {
        fk(t, |c| c.references.as_mut().expect("references").on_delete = "NO ACTION".into());
    });
    assert!(detail.ends_with(
        "expected FOREIGN KEY (owner) REFERENCES public.\"user\" (id) ON DELETE CASCADE"
    ));
    assert!(
        remedy
            .starts_with("ALTER TABLE public.note DROP CONSTRAINT note_fk, ADD CONSTRAINT note_fk")
    );
    let (_, _, remedy) = one(|t| fk(t, |c| c.validated = false));
    assert_eq!(remedy, "ALTER TABLE public.note VALIDATE CONSTRAINT note_fk;");
}

#[test]
fn sequences_and_indexes_count_by_name() {
    let (subject, _, remedy) = one(|t| {
        let sequence = t.sequences.remove("note_id_seq").expect("note_id_seq");
        t.sequences.insert("note_id_seq1".into(), sequence);
    });
    assert_eq!(subject, "sequence public.note.note_id_seq");
    assert_eq!(remedy, "ALTER SEQUENCE public.note_id_seq1 RENAME TO note_id_seq;");
    let (_, _, remedy) = one(|t| t.sequences.clear());
    assert!(
        remedy.starts_with("CREATE SEQUENCE IF NOT EXISTS public.note_id_seq AS integer;"),
        "{remedy}"
    );
    let (_, detail, remedy) = one(|t| t.indexes.get_mut("note_at").expect("note_at").valid = false);
    assert_eq!(
        (detail.as_str(), remedy.as_str()),
        ("is INVALID", "REINDEX INDEX CONCURRENTLY public.note_at;")
    );
}

#[test]
fn all_tables_belong_to_the_owner_of_user() {
    let mut actual = contract();
    actual.tables.get_mut("user").expect("user").owner = Some("app".into());
    actual.tables.get_mut("note").expect("note").owner = Some("postgres".into());
    let found = compare(&contract(), &actual);
    assert_eq!(found[0].remedy, "ALTER TABLE public.note OWNER TO app;");
}

#[test]
fn additions_are_what_is_new_and_presence_is_by_name_alone() {
    let mut newer = contract();
    let column = newer.tables["note"].columns["owner"].clone();
    newer.tables.get_mut("user").expect("user").columns.insert("flag".into(), column);
    newer.tables.insert("token".into(), Table::default());
    let added = additions(&contract(), &newer);
    assert_eq!(added.tables.keys().collect::<Vec<_>>(), ["user"]);
    assert_eq!(present(&added, &contract(), &contract()), [] as [&str; 0]);
    assert_eq!(present(&added, &contract(), &newer), ["column public.\"user\".flag"]);
}
