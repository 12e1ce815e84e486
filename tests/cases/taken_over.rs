//! What was archived by following the guide: taken over, each row is afterwards in one place, whatever state the guide's
//! statements were in.

use super::cleanup::{audit_rows, cleanup, filled, job};
use crate::support::state::one;
use crate::support::{Session, TestDb, markenmate};

const OLD: &str = "created_at < now() - interval '90 days'";

/// The guide's table, and its first statement.
fn copied(session: &Session) {
    session.sql(&format!(
        "CREATE TABLE public.audit_log_archive (LIKE public.audit_log);
         INSERT INTO public.audit_log_archive SELECT * FROM public.audit_log WHERE {OLD}"
    ));
}

/// Ids in the log and in our archive, and how many of them there are twice.
fn ids(session: &Session) -> String {
    one(
        session,
        "SELECT count(DISTINCT id) || ' ' || count(*) - count(DISTINCT id) FROM (
           SELECT id FROM public.audit_log UNION ALL SELECT id FROM markenmate.audit_log_archive) a",
    )
}

fn taken_over(db: &TestDb) {
    let done = cleanup(db, &["audit", "--yes"]).assert_code(0).json();
    assert!(job(&done, "guide-archive")["deleted"].as_u64() > Some(0), "{done:#}");
    assert_eq!(one(&db.session(), "SELECT to_regclass('public.audit_log_archive')"), "");
}

#[test]
fn a_delete_of_the_guides_that_is_under_way_takes_no_row_along() {
    let db = filled();
    let session = db.session();
    let before = audit_rows(&session);
    copied(&session);
    let guide = db.session();
    guide.sql(&format!("BEGIN; DELETE FROM public.audit_log WHERE {OLD} AND id % 2 = 0"));
    let running = markenmate(&["cleanup", "audit", "--yes", "--format", "json"]).db(&db).spawn();
    running.wait_for_stderr("waiting: pid");
    guide.sql("COMMIT");
    running.wait().assert_code(0);
    assert_eq!(audit_rows(&session), before);
}

#[test]
fn a_delete_of_the_guides_that_comes_later_finds_nothing() {
    let db = filled();
    let session = db.session();
    let before = audit_rows(&session);
    copied(&session);
    taken_over(&db);
    session.sql(&format!("DELETE FROM public.audit_log WHERE {OLD}"));
    assert_eq!(audit_rows(&session), before);
}

#[test]
fn rows_of_users_who_were_deleted_since_are_there_once() {
    let db = filled();
    let session = db.session();
    let all = ids(&session);
    copied(&session);
    // Whose rows they are, and whom other rows were about.
    session.sql(
        "DELETE FROM public.\"user\" WHERE id IN (
           SELECT u.id FROM public.\"user\" u JOIN public.audit_log l ON l.user_id = u.id WHERE u.role <> 'admin'
            GROUP BY u.id ORDER BY u.id LIMIT 3);
         UPDATE public.audit_log SET target_user_id = NULL WHERE id % 5 = 0",
    );
    taken_over(&db);
    assert_eq!(ids(&session), all);
    let kept =
        "SELECT count(*) > 0 FROM markenmate.audit_log_archive WHERE reason = 'user deleted'";
    assert_eq!(one(&session, kept), "t");
}

#[test]
fn rows_that_were_copied_twice_are_there_once() {
    let db = filled();
    let session = db.session();
    let before = audit_rows(&session);
    copied(&session);
    session.sql(&format!(
        "INSERT INTO public.audit_log_archive SELECT * FROM public.audit_log WHERE {OLD} AND id % 3 = 0;
         DELETE FROM public.audit_log WHERE {OLD}"
    ));
    taken_over(&db);
    assert_eq!(audit_rows(&session), before);
}

#[test]
fn rows_that_were_copied_while_they_moved_are_there_once() {
    let db = filled();
    let session = db.session();
    let before = audit_rows(&session);
    session.sql(
        "CREATE TABLE public.audit_log_archive (LIKE public.audit_log);
         CREATE VIEW public.reading AS SELECT * FROM public.audit_log_archive",
    );
    let guide = db.session();
    guide.sql(&format!(
        "BEGIN; INSERT INTO public.audit_log_archive SELECT * FROM public.audit_log WHERE {OLD}"
    ));
    // It is not taken over, as it is read, and not seen to hold the rows.
    let done = cleanup(&db, &["audit", "--yes"]).assert_code(0).json();
    assert!(job(&done, "audit")["archived"].as_u64() > Some(0), "{done:#}");
    guide.sql("COMMIT; DROP VIEW public.reading");
    taken_over(&db);
    assert_eq!(audit_rows(&session), before);
}

#[test]
fn one_that_may_not_be_read_is_named_with_what_makes_it_ours() {
    let db = TestDb::baseline();
    let session = db.session();
    session.sql("DO $$ BEGIN CREATE ROLE taken_app LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$");
    session.sql(&crate::support::state::owned_by("taken_app"));
    session.sql(&format!("GRANT CREATE ON DATABASE {} TO taken_app", db.name));
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    session.sql(super::cleanup::FILL);
    let before = audit_rows(&session);
    copied(&session);
    let app = db.url_as("taken_app");
    let as_app = || markenmate(&["cleanup", "audit", "--yes", "--format", "json"]).url(&app).run();
    let refused = as_app().assert_code(4).json();
    let hint = refused["error"]["hints"][0].as_str().unwrap().to_owned();
    cleanup(&db, &["audit", "--yes"]).assert_code(4);
    session.sql(hint.split_once(": ").unwrap().1);
    as_app().assert_code(0);
    assert_eq!(audit_rows(&session), before);
}

#[test]
fn one_whose_ids_are_text_is_left_and_said() {
    let db = filled();
    let session = db.session();
    session.sql(&format!("CREATE TABLE public.audit_log_archive AS SELECT id::text AS id, user_id, action, created_at FROM public.audit_log WHERE {OLD} AND id % 2 = 0"));
    let done = cleanup(&db, &["audit", "--yes"]).assert_code(0).json();
    assert!(done["findings"].to_string().contains("id is text there"), "{done:#}");
    // What it has stands in the log still.
    assert_eq!(
        job(&done, "audit")["archived"].to_string(),
        one(&session, "SELECT count(*) FROM markenmate.audit_log_archive")
    );
    assert_eq!(
        one(&session, &format!("SELECT count(*) > 0 FROM public.audit_log WHERE {OLD}")),
        "t"
    );
}

/// What stands against it is said to whoever reads and to whoever parses; the SQL that is offered mends it.
#[test]
fn whatever_keeps_one_where_it_is_is_said_with_what_mends_it() {
    let stands: &[(&str, &str)] = &[
        (
            "CREATE TABLE public.audit_log_archive AS SELECT *, now() AS archived_at FROM public.audit_log",
            "it has a column archived_at, which our archive uses for something else",
        ),
        (
            "CREATE TABLE public.audit_log_archive AS SELECT id::text AS id, user_id, ip_address, created_at, user_agent FROM public.audit_log",
            "it lacks the column action, without which our archive takes no row",
        ),
        (
            "CREATE TABLE public.audit_log_archive (LIKE public.audit_log) PARTITION BY RANGE (created_at);
             CREATE TABLE public.part PARTITION OF public.audit_log_archive DEFAULT;
             INSERT INTO public.audit_log_archive SELECT * FROM public.audit_log",
            "it is partitioned",
        ),
        (
            "CREATE TABLE public.audit_log_archive AS SELECT * FROM public.audit_log; ALTER TABLE public.audit_log_archive ADD UNIQUE (id);
             CREATE TABLE public.aside (id int REFERENCES public.audit_log_archive (id));
             CREATE MATERIALIZED VIEW public.reading AS SELECT id FROM public.audit_log_archive",
            "key aside_id_fkey of public.aside points to it",
        ),
        (
            "SET TimeZone = 'UTC'; CREATE TABLE public.audit_log_archive (LIKE public.audit_log);
             ALTER TABLE public.audit_log_archive ALTER COLUMN created_at TYPE timestamp;
             INSERT INTO public.audit_log_archive SELECT * FROM public.audit_log",
            "created_at is timestamp without time zone there",
        ),
    ];
    for (makes, said) in stands {
        let db = filled();
        let session = db.session();
        let before = audit_rows(&session);
        session.sql(makes);
        let shown = markenmate(&["cleanup", "audit", "--yes"]).db(&db).run().assert_code(0).stdout;
        assert!(shown.contains("WARNING [guide-archive]") && shown.contains(said), "{shown}");
        let done = cleanup(&db, &["audit", "--yes"]).assert_code(0).json();
        let finding = &done["findings"][0];
        assert_eq!(finding["id"], "guide-archive", "{done:#}");
        assert!(finding["detail"].as_str().unwrap().contains(said), "{done:#}");
        let old = one(&session, &format!("SELECT count(*) FROM public.audit_log WHERE {OLD}"));
        let audit = &done["data"]["jobs"][0];
        assert_eq!(audit["waiting"].to_string(), old, "{done:#}");
        assert_eq!(audit["remaining"], audit["waiting"], "{done:#}");
        assert!(done["findings"].as_array().unwrap().iter().any(|f| f["id"] == "rows-wait"));
        assert!(!shown.contains("nothing to do"), "{shown}");
        let status = markenmate(&["status"]).db(&db).run().stdout;
        assert!(status.contains(&format!("{old} row(s) left: markenmate ")), "{status}");
        // What stands in both stays in both.
        assert_eq!(one(&session, "SELECT count(*) FROM markenmate.audit_log_archive"), "0");
        let remedy = finding["remedy"].as_str().unwrap();
        assert!(remedy.ends_with("then: markenmate cleanup audit"), "{remedy}");
        // Whoever mends it sits elsewhere.
        session.sql("SET TimeZone = 'America/New_York'");
        for line in remedy.lines().filter(|line| !line.starts_with("then")) {
            session.sql(line);
        }
        session.sql("RESET TimeZone");
        taken_over(&db);
        let twice =
            one(&session, "SELECT count(*) - count(DISTINCT id) FROM markenmate.audit_log_archive");
        assert_eq!((twice.as_str(), audit_rows(&session)), ("0", before), "{said}");
    }
}

#[test]
fn one_without_numbers_is_compared_by_all_that_it_has() {
    let db = filled();
    let session = db.session();
    session.sql(&format!(
        "CREATE TABLE public.audit_log_archive AS SELECT user_id, action, created_at FROM public.audit_log WHERE {OLD} AND id % 2 = 0"
    ));
    let spared = format!(
        "SELECT count(*) FROM public.audit_log l WHERE {OLD} AND NOT EXISTS (SELECT FROM public.audit_log_archive g WHERE g = ROW(l.user_id, l.action, l.created_at))"
    );
    let others = one(&session, &spared);
    let done = cleanup(&db, &["audit", "--yes"]).assert_code(0).json();
    assert!(
        done["findings"][0]["detail"].as_str().unwrap().contains("it lacks the column id"),
        "{done:#}"
    );
    assert_eq!(job(&done, "audit")["archived"].to_string(), others, "{done:#}");
}
