use super::*;
use crate::migrations::rights::Rights;

fn surveyed(version: i32, database: &str) -> Survey {
    let rights = Rights {
        user: "app".into(),
        database_owner: "app".into(),
        table_owner: (version > 0).then(|| "app".to_owned()),
        becomes_table_owner: true,
        becomes_database_owner: true,
        user_creates_schemas: true,
        table_owner_creates_schemas: true,
        user_creates_in_public: true,
        table_owner_creates_in_public: true,
        database_owner_creates_in_public: true,
        ..Rights::default()
    };
    let catalogue = registry::find(version).map(|e| e.contract().clone());
    Survey {
        database: database.into(),
        catalogue: Some(catalogue.unwrap_or_default()),
        rights,
        ..Survey::default()
    }
}

fn decided(version: i32, target: i32) -> (Vec<i32>, Vec<i32>) {
    let work = decide(&surveyed(version, "markenmate"), target).expect("a plan");
    (work.adopt, work.apply)
}

#[test]
fn what_is_there_is_adopted_and_the_rest_applied() {
    assert_eq!(decided(0, 2), (vec![], vec![1, 2]));
    assert_eq!(decided(0, 1), (vec![], vec![1]));
    assert_eq!(decided(1, 2), (vec![1], vec![2]));
    assert_eq!(decided(1, 1), (vec![1], vec![]));
    assert_eq!(decided(2, 2), (vec![1, 2], vec![]));
    assert_eq!(decided(2, 1), (vec![1], vec![]));
    assert_eq!(decided(2, 3), (vec![1, 2], vec![3]));
}

#[test]
fn the_servers_own_databases_are_refused_only_for_building() {
    for database in ["postgres", "template0", "template1", "template_x"] {
        let refused = decide(&surveyed(0, database), 2).map_err(|f| f.kind.exit_code());
        assert_eq!(refused, Err(4), "{database}");
        assert!(decide(&surveyed(1, database), 2).is_ok(), "{database}");
    }
}

#[test]
fn the_guards_wait_for_one_master_who_is_an_admin() {
    let master = |role: &str| Master {
        email: "a@b".into(),
        id: "1".into(),
        role: role.into(),
        ..Master::default()
    };
    let decided = |masters: Vec<Master>| {
        let survey = Survey { masters, ..surveyed(2, "m") };
        decide(&survey, 3).map_err(|f| (f.kind.exit_code(), f.to_string()))
    };
    assert!(decided(vec![]).is_ok() && decided(vec![master("admin")]).is_ok());
    let refused = decided(vec![master("user")]).unwrap_err();
    assert!(refused.0 == 4 && refused.1.contains("a@b (id 1, role user)"), "{refused:?}");
    assert_eq!(decided(vec![master("admin"), master("admin")]).unwrap_err().0, 4);
    let two = Survey { masters: vec![master("user")], ..surveyed(1, "m") };
    assert!(decide(&two, 2).is_ok());
}

#[test]
fn nothing_to_do_needs_no_rights() {
    let mut survey = surveyed(0, "m");
    survey.catalogue = None;
    survey.rights = Rights::default();
    assert!(decide(&survey, registry::latest()).expect("a plan").is_empty());
    assert_eq!(decide(&survey, 2).map_err(|f| f.kind.exit_code()), Err(4));
}

#[test]
fn the_schema_is_made_by_whoever_may() {
    let mut survey = surveyed(1, "m");
    survey.rights.user_creates_schemas = false;
    let by = |survey: &Survey| decide(survey, 2).expect("a plan").create_schema;
    assert_eq!(by(&survey), Some(SchemaBy::Owner));
    survey.rights.user_creates_schemas = true;
    assert_eq!(by(&survey), Some(SchemaBy::Ourselves));
    survey.rights.own_schema_owner = Some("app".into());
    assert_eq!(by(&survey), None);
}

#[test]
fn tables_are_locked_only_where_there_are_rows_to_protect() {
    let locked = |version, target| {
        let effects = decide(&surveyed(version, "m"), target).expect("a plan").effects();
        let locks = crate::migrations::effects::locks(&effects).into_iter();
        let public = locks.filter(|(table, _)| table.schema == "public");
        public.map(|(table, _)| table.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(locked(1, 2), ["user", "token_lending", "app_log"]);
    assert!(locked(0, 2).is_empty() && locked(2, 2).is_empty());
    let guards = locked(2, 3);
    assert_eq!(guards, ["user", "token_lending", "step_up_token", "audit_log"]);
}
