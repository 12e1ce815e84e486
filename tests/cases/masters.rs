//! The guards are not put up around what they forbid: `migrate` refuses V3 while there are two master
//! admins, or one who is no admin, and names them.

use crate::support::{TestDb, markenmate, sql};

/// At version 2, with two admins and somebody else.
fn at_two() -> TestDb {
    let db = TestDb::baseline();
    markenmate(&["migrate", "--yes", "--to", "2"]).db(&db).run().assert_code(0);
    sql(
        &db,
        "INSERT INTO public.\"user\" (id, name, email, role) VALUES ('u1', 'A', 'a@example.org', 'admin'), \
             ('u2', 'B', 'b@example.org', 'admin'), ('u3', 'C', 'c@example.org', 'user')",
    );
    db
}

fn flag(db: &TestDb, ids: &str) {
    sql(db, &format!("UPDATE public.\"user\" SET is_master_admin = id IN ({ids})"));
}

fn version(db: &TestDb) -> i64 {
    let rows = sql(db, "SELECT max(version)::text FROM markenmate.refinery_schema_history");
    rows[0][0].as_deref().unwrap().parse().unwrap()
}

#[test]
fn two_masters_and_one_who_is_no_admin_are_refused_and_named() {
    let db = at_two();
    for (ids, said, named) in [
        (
            "'u1', 'u2'",
            "more than one master admin",
            &["a@example.org (id u1", "b@example.org (id u2"][..],
        ),
        ("'u3'", "is no admin", &["c@example.org (id u3, role user"]),
        ("'u1', 'u3'", "more than one master admin", &["a@example.org", "c@example.org"]),
    ] {
        flag(&db, ids);
        // With and without a look beforehand: the migration's own, under its locks, is the last word.
        for how in [&["--dry-run"][..], &["--check"], &["--yes"], &["--confirm", &db.name]] {
            let run = markenmate(&[&["migrate"], how].concat()).db(&db).run().assert_code(4);
            assert!(run.stderr.contains(said), "{how:?}: {}", run.stderr);
            assert!(named.iter().all(|name| run.stderr.contains(name)), "{how:?}: {}", run.stderr);
            assert!(run.stderr.contains("set-master-admin USER --transfer"), "{}", run.stderr);
        }
        assert_eq!(version(&db), 2);
    }
    // Nobody is as good as one.
    flag(&db, "''");
    markenmate(&["migrate", "--dry-run"]).db(&db).run().assert_code(0);
    flag(&db, "'u2'");
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    assert_eq!(version(&db), 3);
}

/// Below the guards it is nobody's affair.
#[test]
fn the_version_before_takes_them_as_they_are() {
    let db = TestDb::hardened();
    sql(
        &db,
        "INSERT INTO public.\"user\" (id, name, email, role, is_master_admin) VALUES \
             ('u1', 'A', 'a@example.org', 'admin', true), ('u2', 'B', 'b@example.org', 'user', true)",
    );
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(4);
    markenmate(&["migrate", "--yes", "--to", "2"]).db(&db).run().assert_code(0);
    let verify = markenmate(&["verify", "--to", "2", "--only", "single-master"]).db(&db).run();
    assert_eq!(verify.code, 3);
}
