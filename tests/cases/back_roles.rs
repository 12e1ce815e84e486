//! Who may take a version back, and where to; and what is said to whoever may not, or asks for what there is not.

use super::rollback::{holds, rollback, same, used};
use crate::support::aside::assert_nothing_kept;
use crate::support::state::{assert_migrated, fingerprint, one, owned_by, versions};
use crate::support::{Run, Session, TestDb, markenmate, schema_file, sql};

/// Roles are the server's, not the database's: each test makes its own.
fn role(db: &TestDb, name: &str, options: &str) -> String {
    let role = format!("{name}_{}", db.name);
    sql(db, &format!("CREATE ROLE {role} {options}"));
    role
}

/// A migrated database, all of it used, whose tables and schema belong to a role that is no superuser.
fn owned() -> (TestDb, String) {
    let db = TestDb::baseline();
    let owner = role(&db, "owner", "LOGIN");
    sql(&db, &owned_by(&owner));
    sql(&db, &format!("GRANT CREATE ON DATABASE {} TO {owner}", db.name));
    markenmate(&["migrate", "--yes"]).db(&db).url(&db.url_as(&owner)).run().assert_code(0);
    super::rollback::fill(&db.session());
    (db, owner)
}

fn rollback_as(db: &TestDb, role: &str, more: &[&str]) -> Run {
    let args = [&["rollback", "--confirm", &db.name, "--format", "json"], more].concat();
    markenmate(&args).db(db).url(&db.url_as(role)).run()
}

fn migrate_as(db: &TestDb, role: &str) -> Run {
    markenmate(&["migrate", "--yes"]).db(db).url(&db.url_as(role)).run()
}

/// Everything belongs to the owner, whoever did it.
#[track_caller]
fn assert_owned_by(db: &TestDb, owner: &str) {
    let others = format!(
        "SELECT string_agg(c.oid::regclass || ' of ' || pg_get_userbyid(c.relowner), ', ')
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname IN ('public', 'markenmate', 'markenmate_quarantine') AND pg_get_userbyid(c.relowner) <> '{owner}'"
    );
    assert_eq!(one(&db.session(), &others), "");
    let schema = "SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'markenmate_quarantine'";
    assert_eq!(one(&db.session(), schema), owner);
}

/// The owner, a member, a member that has to say SET ROLE, and a superuser.
#[test]
fn whoever_may_be_the_owner_goes_there_and_back() {
    let (db, owner) = owned();
    let session = db.session();
    let before = holds(&session);
    let member = role(&db, "member", &format!("LOGIN IN ROLE {owner}"));
    let distant = role(&db, "distant", &format!("LOGIN NOINHERIT IN ROLE {owner}"));
    let all = [owner.as_str(), &member, &distant, "postgres"];
    for (there, back) in all.iter().zip(all.iter().cycle().skip(1)) {
        markenmate(&["rollback", "--dry-run"]).db(&db).url(&db.url_as(there)).run().assert_code(0);
        let done = rollback_as(&db, there, &[]).assert_code(0).json();
        assert_eq!(done["data"]["set_aside"].as_array().unwrap().len(), 5, "{there}: {done:#}");
        assert_owned_by(&db, &owner);
        migrate_as(&db, back).assert_code(0);
        same(&holds(&session), &before);
        assert_nothing_kept(&session);
        assert_owned_by(&db, &owner);
    }
    assert_migrated(&db.url);
}

/// What cannot be made where nobody may make schemas is refused before anything is copied.
#[test]
fn an_owner_who_may_make_no_schema_is_refused_or_helped() {
    let (db, owner) = owned();
    sql(&db, &format!("REVOKE CREATE ON DATABASE {} FROM {owner}", db.name));
    let before = fingerprint(&db.session());
    let run = rollback_as(&db, &owner, &[]).assert_code(4);
    assert_eq!(fingerprint(&db.session()), before);
    assert!(run.stdout.contains("markenmate_quarantine"), "{}", run.stdout);
    let remedy = run.json()["error"]["hints"].to_string();
    assert!(remedy.contains("GRANT CREATE ON DATABASE"), "{remedy}");
    for args in [&["rollback", "--dry-run"][..], &["rollback", "--check"]] {
        markenmate(args).db(&db).url(&db.url_as(&owner)).run().assert_code(4);
    }
    // A superuser makes it for the owner, who can go on alone from then on.
    rollback_as(&db, "postgres", &[]).assert_code(0);
    assert_owned_by(&db, &owner);
    migrate_as(&db, &owner).assert_code(0);
    rollback_as(&db, &owner, &[]).assert_code(0);
    migrate_as(&db, &owner).assert_code(0);
}

#[test]
fn a_reader_and_a_stranger_are_refused() {
    let (db, _) = owned();
    let reader = role(&db, "reader", "LOGIN");
    sql(
        &db,
        &format!(
            "GRANT USAGE ON SCHEMA public, markenmate TO {reader};
             GRANT SELECT ON ALL TABLES IN SCHEMA public, markenmate TO {reader};
             GRANT SELECT ON ALL SEQUENCES IN SCHEMA public, markenmate TO {reader}"
        ),
    );
    let stranger = role(&db, "stranger", "LOGIN");
    let before = fingerprint(&db.session());
    for role in [&reader, &stranger] {
        for args in [&["rollback", "--dry-run"][..], &["rollback", "--check"]] {
            markenmate(args).db(&db).url(&db.url_as(role)).run().assert_code(4);
        }
        let run = rollback_as(&db, role, &[]).assert_code(4);
        assert!(run.stdout.contains(role.as_str()), "{}", run.stdout);
    }
    assert_eq!(fingerprint(&db.session()), before);
}

#[test]
fn the_guards_alone_go_and_come_back() {
    let db = used();
    let session = db.session();
    let before = holds(&session);
    let done = rollback(&db, &["--to", "2"]).assert_code(0).json();
    assert_eq!(done["data"]["reverted"], serde_json::json!([3]), "{done:#}");
    assert_eq!(done["data"]["set_aside"], serde_json::json!([]));
    assert_eq!(versions(&session), "1,2");
    same(&holds(&session), &before);
    let guards = "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgname LIKE 'markenmate%' AND tgname <> 'markenmate_append_only'";
    assert_eq!(one(&session, guards), "0");
    rollback(&db, &["--to", "V2__security_hardening"]).assert_code(0);
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    same(&holds(&session), &before);
    assert_migrated(&db.url);
    // One after the other is the same.
    rollback(&db, &["--to", "guards"]).assert_code(0);
    rollback(&db, &["--to", "2"]).assert_code(0);
    let done = rollback(&db, &["--to", "baseline"]).assert_code(0).json();
    assert_eq!(done["data"]["reverted"], serde_json::json!([2]), "{done:#}");
    markenmate(&["migrate", "--yes", "--to", "2"]).db(&db).run().assert_code(0);
    same(&holds(&session), &before);
    assert_nothing_kept(&session);
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    assert_migrated(&db.url);
}

#[test]
fn check_says_by_its_code_what_would_happen() {
    let db = used();
    let session = db.session();
    let check =
        |args: &[&str]| markenmate(&[&["rollback", "--check"], args].concat()).db(&db).run().code;
    assert_eq!(check(&["--to", "3"]), 0);
    assert_eq!(check(&[]), 3);
    assert_eq!(check(&["--to", "2"]), 3);
    assert_eq!(check(&["--to", "0"]), 2);
    let before = fingerprint(&session);
    let holder = db.session();
    holder.sql("BEGIN; SELECT FROM public.token_lending LIMIT 1");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(check(&[]), 7);
    holder.sql("ROLLBACK");
    assert_eq!(check(&[]), 3);
    session.sql("CREATE VIEW public.d AS SELECT version FROM public.token_lending");
    assert_eq!(check(&[]), 4);
    session.sql("DROP VIEW public.d");
    assert_eq!(fingerprint(&session), before);
    rollback(&db, &[]).assert_code(0);
    assert_eq!(check(&[]), 0);
}

#[test]
fn where_to_is_a_version_that_there_is() {
    let db = used();
    let before = fingerprint(&db.session());
    for to in ["0", "4", "", "gards", "1.0", "V1"] {
        let run = rollback(&db, &["--to", to]);
        assert_eq!(run.code, if to == "V1" { 0 } else { 2 }, "{to:?}: {run:?}");
        if run.code == 2 {
            assert!(run.stdout.contains("V1 baseline"), "{}", run.stdout);
            assert_eq!(fingerprint(&db.session()), before);
        }
    }
    // Upwards there is nothing to take back.
    let done = rollback(&db, &["--to", "3"]).assert_code(0).json();
    assert_eq!(done["outcome"], "nothing_to_do", "{done:#}");
    assert_eq!(versions(&db.session()), "1");
}

#[test]
fn what_is_not_recorded_is_not_taken_back() {
    for (db, code, said) in [
        (TestDb::empty(), 4, "none of the application's tables"),
        (TestDb::baseline(), 0, "nothing_to_do"),
        (TestDb::hardened(), 4, "version 2 is in database"),
    ] {
        let before = fingerprint(&db.session());
        let run = rollback(&db, &[]).assert_code(code);
        assert!(run.stdout.contains(said), "{}", run.stdout);
        assert_eq!(fingerprint(&db.session()), before);
    }
    // By the app's push, on top of what is recorded.
    let db = used();
    rollback(&db, &[]).assert_code(0);
    db.session().sql(&schema_file("V2__security_hardening.sql"));
    let run = rollback(&db, &[]).assert_code(4);
    assert!(run.stdout.contains("to record it: markenmate migrate"), "{}", run.stdout);
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    rollback(&db, &[]).assert_code(0);
    // Half of it is gone.
    let db = used();
    let session: Session = db.session();
    session.sql("ALTER TABLE public.token_lending DROP COLUMN version");
    let before = fingerprint(&session);
    rollback(&db, &[]).assert_code(4);
    assert_eq!(fingerprint(&session), before);
}

/// Nobody is asked where nobody can answer, and another database's name is not this one's.
#[test]
fn without_the_phrase_nothing_is_done() {
    let db = used();
    let before = fingerprint(&db.session());
    for args in [&["rollback"][..], &["rollback", "--yes"], &["rollback", "--confirm", "another"]] {
        let run = markenmate(args).db(&db).run().assert_code(4);
        assert!(run.stderr.contains("--confirm"), "{}", run.stderr);
    }
    assert_eq!(fingerprint(&db.session()), before);
}

/// What is kept is the owner's: said before, with what mends it.
#[test]
fn a_schema_of_somebody_elses_is_refused_with_what_mends_it() {
    let (db, owner) = owned();
    sql(&db, "CREATE SCHEMA markenmate_quarantine AUTHORIZATION postgres");
    let before = fingerprint(&db.session());
    let remedy = format!("ALTER SCHEMA markenmate_quarantine OWNER TO \"{owner}\";");
    for args in [
        &["rollback", "--dry-run"][..],
        &["rollback", "--check"],
        &["rollback", "--confirm", &db.name],
    ] {
        let run = markenmate(args).db(&db).url(&db.url_as(&owner)).run().assert_code(4);
        assert!(run.stderr.contains(&remedy), "{}", run.stderr);
    }
    assert_eq!(fingerprint(&db.session()), before);
    sql(&db, &remedy);
    rollback_as(&db, &owner, &[]).assert_code(0);
}
