//! `cleanup orphans`: what points to nothing is set aside with all that hangs on it, and put back from there.

use std::time::Duration;

use markenmate::sandbox::sample::Sample;

use crate::support::state::one;
use crate::support::{Session, TestDb, markenmate, sql, wait_until};

use super::cleanup::cleanup;

/// Every row of the app's, table by table.
fn rows(session: &Session) -> String {
    let tables = session.sql(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1",
    );
    let of = |table: String| {
        format!(
            "SELECT $n${table}$n$ || ' ' || count(*) || ' ' || coalesce(md5(string_agg(t::text, E'\\n' ORDER BY t::text)), '') FROM public.\"{table}\" t"
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

/// Several columns, a deed further on, many of them.
#[test]
fn what_hangs_further_on_is_foretold_and_shown() {
    let (db, session) = one_orphan();
    session.sql(
        "CREATE TABLE public.line (a int, \"B's\" text, ticket_id int REFERENCES public.ticket ON DELETE CASCADE, PRIMARY KEY (a, \"B's\"));
         CREATE TABLE public.item (id int PRIMARY KEY, a int, \"b'S\" text, FOREIGN KEY (a, \"b'S\") REFERENCES public.line);
         INSERT INTO public.line SELECT n, 'it''s ' || n, 900 FROM generate_series(1, 30) n;
         INSERT INTO public.line VALUES (99, 'free', NULL);
         INSERT INTO public.item SELECT a, a, \"B's\" FROM public.line WHERE a < 3 OR a = 99",
    );
    let before = rows(&session);
    let hint = || {
        let dry = cleanup(&db, &["orphans", "--dry-run"]).assert_code(4).json();
        let done = cleanup(&db, &["orphans", "--yes"]).assert_code(4).json();
        assert_eq!(dry["error"], done["error"]);
        dry["error"]["hints"][0]
            .as_str()
            .unwrap()
            .strip_prefix("see to them first: ")
            .unwrap()
            .to_owned()
    };
    assert_eq!(session.sql(&hint()).len(), 2, "{}", hint());
    session.sql(
        "INSERT INTO public.item SELECT a, a, \"B's\" FROM public.line WHERE a BETWEEN 3 AND 30",
    );
    assert_eq!(session.sql(hint().split("  --").next().unwrap()).len(), 20, "{}", hint());
    assert!(hint().ends_with("  -- 20 of 30 values"), "{}", hint());
    session.sql("DELETE FROM public.item WHERE a < 99");
    assert_ne!(rows(&session), before);
    cleanup(&db, &["orphans", "--dry-run"]).assert_code(0);
    run_orphans(&db, &[]).assert_code(0);
    assert_eq!(one(&session, "SELECT count(*) FROM public.line"), "1");
}

/// Whatever is set aside gets the users that it points to.
fn parents(session: &Session) {
    session.sql(
        "DO $$ DECLARE q record; BEGIN
           FOR q IN SELECT c.oid, format('markenmate_quarantine.%I', c.relname) AS t, a.attname AS col
                      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname ~ '(user|admin)_id$'
                     WHERE c.relnamespace = to_regnamespace('markenmate_quarantine') AND c.relkind = 'r'
           LOOP EXECUTE format('INSERT INTO public.\"user\" (id, name, email) SELECT DISTINCT %1$I, ''p'', ''parent-'' || %1$I
                                  FROM %2$s WHERE %1$I IS NOT NULL ON CONFLICT DO NOTHING', q.col, q.t); END LOOP;
           INSERT INTO public.order_history (id, user_id, restaurant_id, total_price) SELECT -1, min(u.id), min(r.id), 1 FROM public.\"user\" u, public.restaurant r;
           END $$",
    );
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

    // A key, and one that was lost, takes nothing that it finds no row for; what keeps the rest is said.
    let none =
        markenmate(&["cleanup", "orphans", "--put-back", "--yes"]).db(&db).run().assert_code(0);
    assert!(none.stdout.contains("finds no row in public.\"user\""), "{}", none.stdout);
    assert!(none.stdout.contains("run the same command again"), "{}", none.stdout);
    assert_eq!(orphans(&db), 0);
    // Their parents come back, for the sake of it with nothing else, and so do they.
    parents(&session);
    let back = cleanup(&db, &["orphans", "--put-back", "--yes"]).assert_code(0).json();
    assert!(back["data"]["orphans"].as_array().unwrap().iter().all(|m| m["left"] == 0), "{back:#}");
    session.sql(
        "SET session_replication_role = replica; DELETE FROM public.\"user\" WHERE email LIKE 'parent-%';
         DELETE FROM public.order_history WHERE id = -1; RESET session_replication_role",
    );
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

fn run_orphans(db: &TestDb, more: &[&str]) -> crate::support::Run {
    markenmate(&[&["cleanup", "orphans", "--yes"], more].concat()).db(db).run()
}

fn kept_rows(session: &Session, table: &str) -> u64 {
    let names = session.sql(&format!(
        "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('markenmate_quarantine') AND relname LIKE 'orphans_{table}%'"
    ));
    let names = names.into_iter().flatten().flatten();
    names
        .map(|name| {
            let count = format!("SELECT count(*) FROM markenmate_quarantine.\"{name}\"");
            one(session, &count).parse::<u64>().unwrap()
        })
        .sum()
}

const ORPHAN: &str = "SET session_replication_role = replica;
    INSERT INTO public.ticket (id, user_id, title, description) VALUES (900, 'gone', 't', 'd');
    RESET session_replication_role;";

fn one_orphan() -> (TestDb, Session) {
    let db = TestDb::migrated();
    let session = db.session();
    session.sql(ORPHAN);
    (db, session)
}

#[test]
fn a_row_that_is_added_meanwhile_goes_along_and_is_not_lost() {
    let (db, session) = one_orphan();
    let other = db.session();
    other.sql(
        "BEGIN; INSERT INTO public.ticket_comment (ticket_id, user_id, message) SELECT 900, min(id), 'late' FROM public.\"user\"",
    );
    std::thread::scope(|scope| {
        let run = scope.spawn(|| run_orphans(&db, &["--lock-timeout", "20s"]));
        let waits = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        assert!(wait_until(Duration::from_secs(20), || one(&session, waits) == "t"));
        other.sql("COMMIT");
        run.join().unwrap().assert_code(0);
    });
    assert_eq!(
        one(&session, "SELECT count(*) FROM public.ticket_comment WHERE message = 'late'"),
        "0"
    );
    assert_eq!(kept_rows(&session, "ticket_comment"), 1);
}

#[test]
fn the_value_that_is_kept_is_the_one_that_is_emptied() {
    let db = TestDb::migrated();
    let session = db.session();
    session.sql(
        "SET session_replication_role = replica;
         INSERT INTO public.app_log (level, message, user_id) SELECT 'info', 'n' || n, 'gone' FROM generate_series(1, 3) n;
         RESET session_replication_role;",
    );
    let other = db.session();
    other.sql("BEGIN; UPDATE public.app_log SET user_id = (SELECT min(id) FROM public.\"user\") WHERE message = 'n1'");
    std::thread::scope(|scope| {
        let run = scope.spawn(|| run_orphans(&db, &["--lock-timeout", "20s"]));
        let waits = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        assert!(wait_until(Duration::from_secs(20), || one(&session, waits) == "t"));
        other.sql("COMMIT");
        run.join().unwrap().assert_code(0);
    });
    assert_eq!(
        one(
            &session,
            "SELECT count(*) FROM public.app_log WHERE message LIKE 'n_' AND user_id IS NULL"
        ),
        "2"
    );
    assert_eq!(kept_rows(&session, "app_log"), 2);
}

#[test]
fn a_trigger_that_keeps_a_value_or_a_row_makes_it_refuse() {
    let db = TestDb::migrated();
    let session = db.session();
    session.sql(
        "SET session_replication_role = replica;
         INSERT INTO public.app_log (level, message, user_id) VALUES ('info', 'n', 'gone');
         RESET session_replication_role;
         CREATE FUNCTION public.keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
         CREATE TRIGGER keeps BEFORE UPDATE ON public.app_log FOR EACH ROW EXECUTE FUNCTION public.keeps();",
    );
    run_orphans(&db, &[]).assert_code(4);
    session.sql(ORPHAN);
    session.sql(
        "DROP TRIGGER keeps ON public.app_log; DELETE FROM public.app_log WHERE message = 'n';
         CREATE TRIGGER keeps BEFORE DELETE ON public.ticket FOR EACH ROW EXECUTE FUNCTION public.keeps();",
    );
    run_orphans(&db, &[]).assert_code(4);
    assert_eq!(kept_rows(&session, ""), 0);
}

#[test]
fn what_hangs_on_it_by_a_key_that_was_lost_goes_along() {
    let (db, session) = one_orphan();
    session.sql(
        "INSERT INTO public.ticket_comment (ticket_id, user_id, message) SELECT 900, min(id), 'c' FROM public.\"user\";
         ALTER TABLE public.ticket_comment DROP CONSTRAINT ticket_comment_ticket_id_ticket_id_fk",
    );
    run_orphans(&db, &[]).assert_code(0);
    assert_eq!(orphans(&db), 0);
    assert_eq!(kept_rows(&session, "ticket_comment"), 1);
}

#[test]
fn keys_of_other_kinds() {
    let (db, session) = one_orphan();
    session.sql(
        "CREATE TABLE public.note (id int PRIMARY KEY, ticket_id int DEFAULT 1 REFERENCES public.ticket ON DELETE SET DEFAULT);
         CREATE TABLE public.bill (id int PRIMARY KEY, ticket_id int CONSTRAINT \"Bill's\" REFERENCES public.ticket);
         INSERT INTO public.ticket (id, user_id, title, description) SELECT 1, min(id), 't', 'd' FROM public.\"user\" ON CONFLICT DO NOTHING;
         INSERT INTO public.note VALUES (1, 900); INSERT INTO public.bill VALUES (1, 900), (2, 1)",
    );
    let before = rows(&session);
    // A dry run foretells it.
    let dry = cleanup(&db, &["orphans", "--dry-run"]).assert_code(4).json();
    assert_eq!(dry["data"]["orphans"][0]["rows"], 1, "{dry:#}");
    let refused = run_orphans(&db, &[]).assert_code(4);
    let hint = dry["error"]["hints"][0].as_str().unwrap();
    assert!(refused.stderr.contains(hint), "{hint}\n{}", refused.stderr);
    // What is offered to look with shows those rows, and no others.
    let select = hint.strip_prefix("see to them first: ").unwrap();
    assert_eq!(session.sql(select).len(), 1, "{select}");
    assert!(
        refused.stderr.contains("1 row(s) of public.bill") && refused.stderr.contains("\"Bill's\""),
        "{}",
        refused.stderr
    );
    assert_eq!(rows(&session), before);
    session.sql("DELETE FROM public.bill");
    let before = rows(&session);
    run_orphans(&db, &[]).assert_code(0);
    assert_eq!(one(&session, "SELECT ticket_id FROM public.note"), "1");
    session.sql("INSERT INTO public.\"user\" (id, name, email) VALUES ('gone', 'g', 'parent-g')");
    run_orphans(&db, &["--put-back"]).assert_code(0);
    session.sql("SET session_replication_role = replica; DELETE FROM public.\"user\" WHERE id = 'gone'; RESET session_replication_role");
    assert_eq!(rows(&session), before);
}

#[test]
fn numbers_that_only_the_server_gives_and_a_table_that_points_to_itself() {
    let (db, session) = one_orphan();
    session.sql(
        "CREATE TABLE public.reply (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, twice int GENERATED ALWAYS AS (ticket_id * 2) STORED,
             ticket_id int REFERENCES public.ticket ON DELETE CASCADE, above int REFERENCES public.reply ON DELETE CASCADE);
         INSERT INTO public.reply (ticket_id) VALUES (900);
         INSERT INTO public.reply (above) VALUES (1), (2)",
    );
    let before = rows(&session);
    run_orphans(&db, &[]).assert_code(0);
    assert_eq!(one(&session, "SELECT count(*) FROM public.reply"), "0");
    session.sql("INSERT INTO public.\"user\" (id, name, email) VALUES ('gone', 'g', 'parent-g')");
    run_orphans(&db, &["--put-back"]).assert_code(0);
    session.sql("SET session_replication_role = replica; DELETE FROM public.\"user\" WHERE id = 'gone'; RESET session_replication_role");
    assert_eq!(rows(&session), before);
}

#[test]
fn code_beside_what_is_set_aside_does_not_run() {
    let db = TestDb::baseline();
    let session = db.session();
    session.sql("DO $$ BEGIN CREATE ROLE orphans_app LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$");
    session.sql(&crate::support::state::owned_by("orphans_app"));
    session.sql(&format!("GRANT CREATE ON DATABASE {} TO orphans_app", db.name));
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    session.sql(ORPHAN);
    run_orphans(&db, &[]).assert_code(0);
    let kept = one(
        &session,
        "SELECT relname FROM pg_class WHERE relnamespace = 'markenmate_quarantine'::regnamespace AND relkind = 'r' AND relname LIKE 'orphans_ticket%'",
    );
    let role = "orphans_app";
    session.sql(&format!(
        "CREATE FUNCTION markenmate_quarantine.theirs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RESET ROLE;
             CREATE TABLE public.ran_as AS SELECT current_user::text; RETURN NULL; END $$;
         ALTER FUNCTION markenmate_quarantine.theirs() OWNER TO \"{role}\";
         CREATE TRIGGER theirs BEFORE DELETE ON markenmate_quarantine.\"{kept}\" FOR EACH STATEMENT EXECUTE FUNCTION markenmate_quarantine.theirs()"
    ));
    for how in [&["--put-back", "--dry-run"][..], &["--put-back"]] {
        let refused = run_orphans(&db, how).assert_code(4);
        assert!(refused.stderr.contains("trigger theirs"), "{}", refused.stderr);
    }
    assert_eq!(one(&session, "SELECT to_regclass('public.ran_as') IS NULL"), "t");
    // A view in its place is nothing to put back.
    session.sql(&format!(
        "ALTER TABLE markenmate_quarantine.\"{kept}\" RENAME TO x; DROP TRIGGER theirs ON markenmate_quarantine.x;
         CREATE VIEW markenmate_quarantine.\"{kept}\" AS SELECT * FROM markenmate_quarantine.x"
    ));
    let none = run_orphans(&db, &["--put-back"]).assert_code(0);
    assert!(none.stdout.contains("nothing is set aside that could be put back"), "{}", none.stdout);
}

#[test]
fn what_is_said() {
    let (db, session) = one_orphan();
    run_orphans(&db, &[]).assert_code(0);
    let none = run_orphans(&db, &[]).assert_code(0);
    assert!(
        none.stdout.contains("no row points to a row that is gone")
            && !none.stdout.contains("had its time"),
        "{}",
        none.stdout
    );
    let status = markenmate(&["status"]).db(&db).run();
    assert!(
        status.stdout.contains("cleanup orphans set them aside")
            && status.stdout.contains("markenmate cleanup orphans --put-back")
            && !status.stdout.contains("rollback took out"),
        "{}",
        status.stdout
    );
    // Two of the same table are told apart.
    session.sql(&ORPHAN.replace("900", "901"));
    run_orphans(&db, &[]).assert_code(0);
    let none = run_orphans(&db, &["--put-back"]).assert_code(0);
    assert!(
        none.stdout.contains("nothing could be put back") && !none.stdout.contains("done"),
        "{}",
        none.stdout
    );
    assert_eq!(none.stdout.matches("public.ticket, set aside 2").count(), 2, "{}", none.stdout);
    assert_eq!(
        none.stdout.matches("stays: 1: user_id finds no row in public.\"user\"").count(),
        2,
        "{}",
        none.stdout
    );
    // Dropped by hand.
    session.sql(
        "DO $$ DECLARE t text; BEGIN FOR t IN SELECT oid::regclass FROM pg_class
           WHERE relnamespace = 'markenmate_quarantine'::regnamespace AND relkind = 'r' LOOP EXECUTE 'DROP TABLE ' || t; END LOOP; END $$",
    );
    let none = run_orphans(&db, &["--put-back"]).assert_code(0);
    assert!(none.stdout.contains("nothing is set aside that could be put back"), "{}", none.stdout);
}

/// Sets aside, brings the user back that was missing, puts back; all rows are as they were.
fn there_and_back(db: &TestDb, session: &Session) {
    let before = rows(session);
    run_orphans(db, &[]).assert_code(0);
    assert_ne!(rows(session), before);
    session.sql("INSERT INTO public.\"user\" (id, name, email) VALUES ('gone', 'g', 'parent-g')");
    let back = cleanup(db, &["orphans", "--put-back", "--yes"]).assert_code(0).json();
    assert!(back["data"]["orphans"].as_array().unwrap().iter().all(|m| m["left"] == 0), "{back:#}");
    session.sql("SET session_replication_role = replica; DELETE FROM public.\"user\" WHERE id = 'gone'; RESET session_replication_role");
    assert_eq!(rows(session), before);
    assert_eq!(kept_rows(session, ""), 0);
    let left =
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'markenmate_quarantine'::regnamespace";
    assert_eq!(one(session, left), "0");
}

/// Where no column may be empty no order of statements would do.
#[test]
fn rows_that_point_at_each_other_in_a_circle_go_back_together() {
    let (db, session) = one_orphan();
    session.sql(
        "CREATE TABLE public.\"Thread's\" (id int PRIMARY KEY, ticket_id int NOT NULL REFERENCES public.ticket ON DELETE CASCADE, first_post int NOT NULL);
         CREATE TABLE public.post (id int PRIMARY KEY, thread int NOT NULL REFERENCES public.\"Thread's\" ON DELETE CASCADE,
             answer int REFERENCES public.post ON DELETE CASCADE, twice int GENERATED ALWAYS AS (id * 2) STORED);
         ALTER TABLE public.\"Thread's\" ADD CONSTRAINT \"first's\" FOREIGN KEY (first_post) REFERENCES public.post ON DELETE CASCADE;
         WITH t AS (INSERT INTO public.\"Thread's\" VALUES (1, 900, 11), (2, 900, 12)) INSERT INTO public.post (id, thread, answer) VALUES
             (11, 1, 12), (12, 2, 11), (13, 2, 13), (14, 1, 11), (15, 1, 14)",
    );
    there_and_back(&db, &session);
}

#[test]
fn of_a_circle_that_lacks_a_row_nothing_goes_back_and_why_is_said() {
    let (db, session) = one_orphan();
    session.sql(
        "CREATE TABLE public.a (id int PRIMARY KEY, b int NOT NULL, ticket_id int REFERENCES public.ticket ON DELETE CASCADE);
         CREATE TABLE public.b (id int PRIMARY KEY, a int NOT NULL REFERENCES public.a ON DELETE CASCADE);
         ALTER TABLE public.a ADD FOREIGN KEY (b) REFERENCES public.b ON DELETE CASCADE;
         WITH a AS (INSERT INTO public.a VALUES (1, 1, NULL), (2, 2, 900)) INSERT INTO public.b VALUES (1, 2), (2, 2)",
    );
    run_orphans(&db, &[]).assert_code(0);
    assert_eq!(one(&session, "SELECT count(*) FROM public.a"), "0");
    let said = run_orphans(&db, &["--put-back"]).assert_code(0).stdout;
    assert!(said.contains("nothing could be put back"), "{said}");
    assert!(said.contains("stays: 2: a finds no row in public.a"), "{said}");
    assert_eq!(kept_rows(&session, "a") + kept_rows(&session, "b"), 4);
    // The same row was made anew, and set aside anew: only one of the two is for its place.
    session.sql(
        "SET session_replication_role = replica; INSERT INTO public.a VALUES (2, 3, 900); INSERT INTO public.b VALUES (3, 2); RESET session_replication_role",
    );
    run_orphans(&db, &[]).assert_code(0);
    session.sql("INSERT INTO public.\"user\" (id, name, email) VALUES ('gone', 'g', 'parent-g')");
    let said = run_orphans(&db, &["--put-back"]).assert_code(0).stdout;
    assert!(said.contains("1: a row of the same primary key is there"), "{said}");
    assert_eq!(
        one(&session, "SELECT string_agg(id || ' ' || b, ', ' ORDER BY id) FROM public.a"),
        "1 1, 2 2"
    );
}

/// It goes whole: the value that points to nothing goes with it, and returns with it.
#[test]
fn a_row_that_one_key_deletes_and_another_empties_goes_whole_and_returns_whole() {
    let db = TestDb::migrated();
    let session = db.session();
    session.sql(
        "SET session_replication_role = replica;
         INSERT INTO public.ticket (id, user_id, title, description, assigned_to_admin_id, closed_by_admin_id)
         VALUES (900, 'gone', 't', E'it''s\n\"d\"', 'gone', 'gone too'), (901, (SELECT min(id) FROM public.\"user\"), 't', 'd', 'gone', NULL);
         RESET session_replication_role",
    );
    let before = rows(&session);
    let done = cleanup(&db, &["orphans", "--yes"]).assert_code(0).json();
    let told: Vec<_> = done["data"]["orphans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| format!("{} {}", m["what"], m["rows"]))
        .collect();
    assert_eq!(told, ["\"public.ticket.assigned_to_admin_id\" 1", "\"public.ticket\" 1"]);
    let whole = done["data"]["orphans"][1]["kept_as"].as_str().unwrap();
    let kept = format!(
        "SELECT concat_ws(' ', id, user_id, assigned_to_admin_id, closed_by_admin_id) FROM {whole}"
    );
    assert_eq!(one(&session, &kept), "900 gone gone gone too");
    assert_eq!(orphans(&db), 0);
    // With one of its rows missing it stays: what it pointed to is not forgotten on the way back.
    session.sql("INSERT INTO public.\"user\" (id, name, email) VALUES ('gone', 'g', 'parent-g')");
    let said = run_orphans(&db, &["--put-back"]).assert_code(0).stdout;
    assert!(
        said.contains("stays: 1: closed_by_admin_id finds no row in public.\"user\""),
        "{said}"
    );
    assert_eq!(
        one(&session, "SELECT assigned_to_admin_id FROM public.ticket WHERE id = 901"),
        "gone"
    );
    session
        .sql("INSERT INTO public.\"user\" (id, name, email) VALUES ('gone too', 'g', 'parent-g2')");
    run_orphans(&db, &["--put-back"]).assert_code(0);
    session.sql("SET session_replication_role = replica; DELETE FROM public.\"user\" WHERE email LIKE 'parent-%'; RESET session_replication_role");
    assert_eq!(rows(&session), before);
}

#[test]
fn a_trigger_that_takes_a_row_on_its_way_back_makes_it_refuse() {
    let (db, session) = one_orphan();
    run_orphans(&db, &[]).assert_code(0);
    session.sql(
        "INSERT INTO public.\"user\" (id, name, email) VALUES ('gone', 'g', 'parent-g');
         CREATE FUNCTION public.keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
         CREATE TRIGGER keeps BEFORE INSERT ON public.ticket FOR EACH ROW EXECUTE FUNCTION public.keeps()",
    );
    let refused = run_orphans(&db, &["--put-back"]).assert_code(4);
    assert!(refused.stderr.contains("a trigger keeps the others"), "{}", refused.stderr);
    assert_eq!(kept_rows(&session, "ticket"), 1);
}

/// What `verify` and `migrate` ask for cannot be done over such rows, and what sets them aside must not wait for it.
#[test]
fn what_keeps_a_database_from_being_migrated_is_set_aside_before_it_is_migrated() {
    let db = TestDb::empty();
    sql(&db, markenmate::migrations::registry::find(1).unwrap().sql);
    sql(&db, &Sample { users: 30, orphans: false }.sql());
    let session = db.session();
    session.sql(
        "SET session_replication_role = replica;
         INSERT INTO public.favorite (user_id, restaurant_id) SELECT 'gone', min(id) FROM public.restaurant;
         INSERT INTO public.ticket (id, user_id, title, description) VALUES (900, 'gone', 't', 'd');
         RESET session_replication_role;
         ALTER TABLE public.favorite DROP CONSTRAINT favorite_user_id_user_id_fk;
         ALTER TABLE public.ticket DROP CONSTRAINT ticket_user_id_user_id_fk;
         ALTER TABLE public.ticket ADD CONSTRAINT ticket_user_id_user_id_fk FOREIGN KEY (user_id) REFERENCES public.\"user\" ON DELETE CASCADE NOT VALID",
    );
    let migrate = || markenmate(&["migrate", "--yes", "--format", "json"]).db(&db).run();
    let refused = migrate().assert_code(4).json();
    let hints = refused["error"]["hints"].to_string();
    assert!(hints.contains("markenmate cleanup orphans"), "{refused:#}");
    let findings = refused["findings"].as_array().unwrap();
    let remedies: Vec<_> = findings.iter().map(|f| f["remedy"].as_str().unwrap()).collect();
    assert_eq!(remedies.len(), 2, "{refused:#}");
    // The rest of cleanup waits for the migration, and so does what puts back; a dry run makes nothing.
    cleanup(&db, &["orphans", "tokens", "--yes"]).assert_code(4);
    cleanup(&db, &["orphans", "--put-back", "--yes"]).assert_code(4);
    cleanup(&db, &["orphans", "--dry-run"]).assert_code(0);
    assert_eq!(one(&session, "SELECT to_regnamespace('markenmate') IS NULL"), "t");

    let done = cleanup(&db, &["orphans", "--yes"]).assert_code(0).json();
    assert_eq!(
        (&done["steps"][0]["id"], &done["steps"][0]["status"]),
        (&"set-up".into(), &"done".into())
    );
    assert_eq!(orphans(&db), 0);
    let told =
        "SELECT string_agg(command || ' ' || subject, ', ' ORDER BY number) FROM markenmate.ledger";
    assert_eq!(one(&session, told), "cleanup schema markenmate, cleanup orphans");
    for remedy in remedies {
        session.sql(remedy);
    }
    migrate().assert_code(0);
    markenmate(&[
        "verify",
        "--only",
        "contract,keys-validated,orphans,own-schema,ledger-chain,history",
    ])
    .db(&db)
    .run()
    .assert_code(0);
    session.sql("INSERT INTO public.\"user\" (id, name, email) VALUES ('gone', 'g', 'parent-g')");
    run_orphans(&db, &["--put-back"]).assert_code(0);
    session.sql("SET session_replication_role = replica; DELETE FROM public.\"user\" WHERE id = 'gone'; RESET session_replication_role");
    assert_eq!(one(&session, "SELECT count(*) FROM public.favorite WHERE user_id = 'gone'"), "1");
    assert_eq!(one(&session, "SELECT count(*) FROM public.ticket WHERE user_id = 'gone'"), "1");
}

#[test]
fn schema_markenmate_is_made_in_no_other_database() {
    let db = TestDb::empty();
    let session = db.session();
    session.sql(
        "CREATE TABLE public.\"user\" (id text PRIMARY KEY);
         CREATE TABLE public.note (id int PRIMARY KEY, user_id text); INSERT INTO public.note VALUES (1, 'gone');
         ALTER TABLE public.note ADD FOREIGN KEY (user_id) REFERENCES public.\"user\" ON DELETE CASCADE NOT VALID",
    );
    let refused = run_orphans(&db, &[]).assert_code(4);
    assert!(
        refused.stderr.contains("not known to be the application's database"),
        "{}",
        refused.stderr
    );
    assert_eq!(one(&session, "SELECT to_regnamespace('markenmate') IS NULL"), "t");
}

/// As a member of the owner, in a database whose schema the owner makes; and where the rows are held nothing is said to be untouched.
#[test]
fn the_owner_makes_the_schema_and_what_is_made_is_told() {
    let db = TestDb::baseline();
    let session = db.session();
    session.sql("DO $$ BEGIN CREATE ROLE orphans_app LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$");
    session.sql(&crate::support::state::owned_by("orphans_app"));
    session.sql(&format!("GRANT CREATE ON DATABASE {} TO orphans_app", db.name));
    session.sql(ORPHAN);
    let holder = db.session();
    holder.sql("BEGIN; UPDATE public.ticket SET title = title WHERE id = 900");
    let partial = cleanup(&db, &["orphans", "--yes", "--max-wait", "1s"]).assert_code(6).json();
    let causes = partial["error"]["causes"].to_string();
    assert!(causes.contains("schema markenmate was set up"), "{partial:#}");
    assert!(!partial["error"].to_string().contains("nothing was changed"), "{partial:#}");
    assert_eq!(
        (&partial["steps"][0]["status"], &partial["steps"][1]["status"]),
        (&"done".into(), &"failed".into())
    );
    holder.sql("ROLLBACK");
    run_orphans(&db, &[]).assert_code(0);
    let owners = "SELECT string_agg(DISTINCT pg_get_userbyid(relowner), ',') FROM pg_class WHERE relnamespace = 'markenmate'::regnamespace";
    assert_eq!(one(&session, owners), "orphans_app");
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
}
