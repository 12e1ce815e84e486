//! `cleanup orphans`: what points to nothing is set aside with all that hangs on it, and put back from there.

use markenmate::sandbox::sample::Sample;

use crate::support::state::one;
use crate::support::{Session, TestDb, markenmate, sql};

use super::cleanup::cleanup;

/// Every row of the app's, table by table.
fn rows(session: &Session) -> String {
    let tables = session.sql(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1",
    );
    let of = |table: String| {
        format!(
            "SELECT '{table} ' || count(*) || ' ' || coalesce(md5(string_agg(t::text, E'\\n' ORDER BY t::text)), '') FROM public.\"{table}\" t"
        )
    };
    let tables: Vec<_> = tables.into_iter().flatten().flatten().map(of).collect();
    one(
        session,
        &format!(
            "SELECT string_agg(x, E'\\n' ORDER BY x) FROM ({}) r(x)",
            tables.join(" UNION ALL ")
        ),
    )
}

fn orphans(db: &TestDb) -> u64 {
    let seen = markenmate(&["verify", "--only", "orphans", "--format", "json"]).db(db).run().json();
    let count =
        |f: &serde_json::Value| f["detail"].as_str()?.split(' ').next()?.parse::<u64>().ok();
    seen["findings"].as_array().unwrap().iter().filter_map(count).sum()
}

/// The application's database after a careless restore: keys lost, rows that point to nothing.
fn broken() -> TestDb {
    let db = TestDb::empty();
    sql(&db, markenmate::migrations::registry::find(1).unwrap().sql);
    sql(&db, &Sample { users: 30, orphans: true }.sql());
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    sql(&db, "ALTER TABLE public.favorite DROP CONSTRAINT favorite_user_id_user_id_fk");
    sql(
        &db,
        "SET session_replication_role = replica;
         INSERT INTO public.ticket (id, user_id, title, description) VALUES (900, 'gone-2', 't', 'd');
         INSERT INTO public.ticket_comment (ticket_id, user_id, message)
         SELECT 900, min(id), 'hangs on a row that goes' FROM public.\"user\";
         INSERT INTO public.audit_log (user_id, action, target_user_id) VALUES ((SELECT min(id) FROM public.\"user\"), 'CHANGE_ROLE', 'gone'' \"target');
         INSERT INTO public.favorite (user_id, restaurant_id) SELECT E'gone\\n', min(id) FROM public.restaurant",
    );
    db
}

#[test]
fn they_are_shown_set_aside_and_put_back() {
    let db = broken();
    let session = db.session();
    let before = rows(&session);
    assert!(orphans(&db) > 10);
    let planned = cleanup(&db, &["orphans", "--dry-run"]).assert_code(0).json();
    assert!(planned["data"]["orphans"].as_array().unwrap().len() > 5, "{planned:#}");
    cleanup(&db, &["orphans"]).assert_code(4);
    assert_eq!(rows(&session), before);

    let done = cleanup(&db, &["orphans", "--yes"]).assert_code(0).json();
    let moved = done["data"]["orphans"].as_array().unwrap().clone();
    assert!(
        moved.iter().any(|m| m["what"] == "public.audit_log.target_user_id" && m["rows"] == 1),
        "{done:#}"
    );
    assert!(moved.iter().any(|m| m["what"] == "public.ticket_comment"), "{done:#}");
    assert_eq!(orphans(&db), 0);
    markenmate(&["verify", "--only", "ledger-chain"]).db(&db).run().assert_code(0);
    // A migration brings none of it back, and nothing drops it but its own command.
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    assert_eq!(orphans(&db), 0);
    let kept = markenmate(&["cleanup", "set-aside", "--dry-run", "--format", "json"])
        .db(&db)
        .run()
        .assert_code(0)
        .json();
    assert_eq!(kept["data"]["tables"].as_array().unwrap().len(), moved.len(), "{kept:#}");
    assert!(kept["data"]["tables"].to_string().contains("\"orphans\""), "{kept:#}");
    cleanup(&db, &["orphans", "--yes"]).assert_code(0);

    // The keys that are there take nothing that they find no row for; without them all of it returns.
    let back = cleanup(&db, &["orphans", "--put-back", "--yes"]).assert_code(0).json();
    assert!(
        back["data"]["orphans"].as_array().unwrap().iter().any(|m| m["left"].as_u64() > Some(0)),
        "{back:#}"
    );
    session.sql(
        "DO $$ DECLARE k record; BEGIN
           FOR k IN SELECT conname, conrelid::regclass AS t FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace
           LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', k.t, k.conname); END LOOP; END $$",
    );
    let back = cleanup(&db, &["orphans", "--put-back", "--yes"]).assert_code(0).json();
    assert!(back["data"]["orphans"].as_array().unwrap().iter().all(|m| m["left"] == 0), "{back:#}");
    assert_eq!(rows(&session), before);
    let left = "SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('markenmate_quarantine') AND relkind = 'r'";
    assert_eq!(one(&session, left), "0");
}

#[test]
fn what_is_held_by_others_is_waited_for_and_nothing_is_half_done() {
    let db = broken();
    let session = db.session();
    let before = rows(&session);
    let holder = db.session();
    holder.sql("BEGIN; UPDATE public.favorite SET user_id = user_id WHERE user_id LIKE 'gone%'");
    let busy = cleanup(&db, &["orphans", "--yes", "--max-wait", "1s"]).assert_code(7);
    assert!(busy.stdout.contains("pid"), "{}", busy.stdout);
    holder.sql("ROLLBACK");
    assert_eq!(rows(&session), before);
    cleanup(&db, &["orphans", "--yes"]).assert_code(0);
    assert_eq!(orphans(&db), 0);
}

#[test]
fn flags_that_belong_to_something_else_are_said() {
    let db = TestDb::migrated();
    for args in [&["--put-back"][..], &["tokens", "--put-back"], &["tokens", "--export", "x"]] {
        cleanup(&db, &[args, &["--yes"]].concat()).assert_code(2);
    }
    let none = cleanup(&db, &["orphans", "--yes"]).assert_code(0).json();
    assert_eq!(none["outcome"], "nothing_to_do");
    cleanup(&db, &["orphans", "--put-back", "--yes"]).assert_code(0);
}
