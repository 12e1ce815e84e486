//! What stands in the way of the way back and of the return, by mistake or on purpose: nothing is lost for it.

use std::process::Command;

use crate::support::own_server::program;
use crate::support::state::{one, versions};
use crate::support::{Session, TestDb, cluster, markenmate, sql};

use super::rollback::{holds, rollback, same, used};

/// A trigger of somebody's that swallows rows.
const SWALLOWS: &str = "CREATE FUNCTION public.swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;";

#[test]
fn rows_that_a_trigger_swallows_stay_where_they_are_kept() {
    let db = used();
    let before = holds(&db.session());
    rollback(&db, &[]).assert_code(0);
    markenmate(&["util", "up", "2"]).run().assert_code(0);
    let up = markenmate(&["util", "up", "2"]).run().assert_code(0).stdout;
    sql(
        &db,
        &format!(
            "{up}; {SWALLOWS}
             CREATE TRIGGER s BEFORE INSERT ON public.audit_log FOR EACH ROW EXECUTE FUNCTION public.swallow();
             CREATE TRIGGER s BEFORE UPDATE ON public.app_log FOR EACH ROW EXECUTE FUNCTION public.swallow()"
        ),
    );
    let run = markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(6);
    assert!(run.stderr.contains("a trigger on it swallows them"), "{}", run.stderr);
    assert!(run.stderr.contains("hint: ALTER TABLE public."), "{}", run.stderr);
    assert!(!run.stderr.contains("nothing was changed"), "{}", run.stderr);
    // The other parts have returned.
    assert_eq!(holds(&db.session())[1..3], before[1..3]);
    sql(&db, "DROP FUNCTION public.swallow CASCADE");
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    same(&holds(&db.session()), &before);
}

#[test]
fn a_column_that_is_missing_is_asked_for_and_then_all_returns() {
    let db = used();
    sql(
        &db,
        "ALTER TABLE public.audit_log ADD COLUMN severity text; UPDATE public.audit_log SET severity = 'high'",
    );
    let before = holds(&db.session());
    rollback(&db, &[]).assert_code(0);
    let run = markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(6);
    let remedy = "ALTER TABLE public.audit_log ADD COLUMN \"severity\" text;";
    assert!(run.stderr.contains(remedy), "{}", run.stderr);
    sql(&db, remedy);
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    same(&holds(&db.session()), &before);
    assert_eq!(
        one(
            &db.session(),
            "SELECT count(*) FROM public.audit_log WHERE severity IS DISTINCT FROM 'high'"
        ),
        "0"
    );
}

#[test]
fn who_was_denied_the_secrets_is_denied_them_where_they_are_kept() {
    let db = used();
    let (reader, backup) = (format!("bi_{}", db.name), format!("dump_{}", db.name));
    sql(
        &db,
        &format!(
            "CREATE ROLE {reader} LOGIN; CREATE ROLE {backup} LOGIN;
             GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}, {backup};
             REVOKE SELECT ON public.audit_log, public.step_up_token FROM {reader}"
        ),
    );
    let done = rollback(&db, &[]).assert_code(0).json();
    let kept = done["data"]["set_aside"]
        .as_array()
        .unwrap()
        .iter()
        .find(|part| part["what"] == "public.step_up_token");
    let count = format!("SELECT count(*) FROM {}", kept.unwrap()["kept_as"].as_str().unwrap());
    let denied = Session::open(&db.url_as(&reader)).try_sql(&count).unwrap_err();
    assert_eq!(denied.code().unwrap().code(), "42501");
    Session::open(&db.url_as(&backup)).sql(&count);
}

/// psql's own way of going on after an error.
#[test]
fn a_client_that_goes_on_after_an_error_commits_no_half() {
    let db = used();
    markenmate(&["util", "down", "3"]).run().assert_code(0);
    sql(&db, &markenmate(&["util", "down", "3"]).run().assert_code(0).stdout);
    let before = one(&db.session(), "SELECT count(*) FROM markenmate.ledger");
    let holder = db.session();
    holder.sql("BEGIN; LOCK TABLE public.audit_log IN ACCESS SHARE MODE");
    let file = db.folder().join("down.sql");
    std::fs::write(&file, markenmate(&["util", "down", "2"]).run().assert_code(0).stdout).unwrap();
    let mut psql = Command::new(program(cluster(), "psql"));
    let output = psql
        .args(["-X", "-v", "ON_ERROR_ROLLBACK=on", "-d", &db.url, "-f"])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("the locks were not to be had"), "{said}");
    assert!(!said.contains("is taken back"), "{said}");
    holder.sql("ROLLBACK");
    let session = db.session();
    assert_eq!(versions(&session), "1,2");
    assert_eq!(one(&session, "SELECT count(*) FROM markenmate.ledger"), before);
    assert_eq!(one(&session, "SELECT to_regnamespace('markenmate_quarantine')::text"), "");
}

#[test]
fn rows_behind_a_policy_are_rows() {
    let db = used();
    let app = format!("app_{}", db.name);
    sql(&db, &format!("CREATE ROLE {app} LOGIN; {}", crate::support::state::owned_by(&app)));
    sql(
        &db,
        &format!(
            "ALTER SCHEMA markenmate OWNER TO {app};
             DO $$ DECLARE r record; BEGIN
               FOR r IN SELECT c.oid::regclass AS name, c.relkind FROM pg_class c WHERE c.relnamespace = 'markenmate'::regnamespace AND c.relkind = 'r'
               LOOP EXECUTE format('ALTER TABLE %s OWNER TO {app}', r.name); END LOOP;
               FOR r IN SELECT p.oid::regprocedure AS name FROM pg_proc p WHERE p.pronamespace = 'markenmate'::regnamespace
               LOOP EXECUTE format('ALTER FUNCTION %s OWNER TO {app}', r.name); END LOOP;
             END $$;
             GRANT CREATE ON DATABASE {} TO {app};
             ALTER TABLE public.app_log ENABLE ROW LEVEL SECURITY; ALTER TABLE public.app_log FORCE ROW LEVEL SECURITY;
             CREATE POLICY p ON public.app_log USING (id % 2 = 0)",
            db.name
        ),
    );
    let owner = Session::open(&db.url_as(&app));
    for version in ["3", "2"] {
        let down = markenmate(&["util", "down", version]).run().assert_code(0).stdout;
        match (version, owner.try_sql(&down)) {
            ("3", result) => result.map(drop).unwrap(),
            (_, result) => {
                let error = result.unwrap_err();
                assert!(
                    error.as_db_error().unwrap().message().contains("row-level security"),
                    "{error:?}"
                );
            }
        }
    }
    assert_eq!(versions(&db.session()), "1,2");
}

#[test]
fn names_as_long_as_may_be_do_not_collide() {
    let db = used();
    let long = "an_index_of_somebody_elses_whose_name_goes_on_for_very_long";
    sql(
        &db,
        &format!(
            "CREATE INDEX {long}_1 ON public.audit_log (action); CREATE INDEX {long}_2 ON public.audit_log (created_at)"
        ),
    );
    let before = holds(&db.session());
    rollback(&db, &[]).assert_code(0);
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    same(&holds(&db.session()), &before);
}

/// A transaction elsewhere that is as old as the hills makes every row look new: only what differs is written.
#[test]
fn an_old_transaction_elsewhere_makes_nothing_be_written_twice() {
    let db = used();
    let elsewhere = TestDb::empty();
    let old = elsewhere.session();
    old.sql("BEGIN; SELECT pg_current_xact_id()");
    sql(&db, "UPDATE public.token_lending SET person_name = person_name");
    let before = holds(&db.session());
    rollback(&db, &[]).assert_code(0);
    let written = "SELECT coalesce(sum(n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables WHERE schemaname = 'markenmate_quarantine'";
    assert_eq!(one(&db.session(), written), "0");
    old.sql("ROLLBACK");
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    same(&holds(&db.session()), &before);
}

/// The SQL that is pasted refuses what the command refuses.
#[test]
fn pasted_sql_takes_nothing_of_somebody_elses_along() {
    let db = used();
    sql(&db, &markenmate(&["util", "down", "3"]).run().assert_code(0).stdout);
    sql(
        &db,
        "CREATE INDEX theirs ON public.token_lending (version); CREATE VIEW public.audits AS SELECT id FROM public.audit_log",
    );
    let down = markenmate(&["util", "down", "2"]).run().assert_code(0).stdout;
    let error = db.session().try_sql(&down).unwrap_err();
    let message = error.as_db_error().unwrap().message().to_owned();
    assert!(
        message.contains("index public.theirs") || message.contains("index theirs"),
        "{message}"
    );
    assert!(message.contains("audits"), "{message}");
    assert_eq!(versions(&db.session()), "1,2");
}

#[test]
fn of_several_masters_none_returns_and_that_is_said() {
    let db = TestDb::baseline();
    markenmate(&["migrate", "--yes", "--to", "2"]).db(&db).run().assert_code(0);
    sql(&db, "UPDATE public.\"user\" SET is_master_admin = true WHERE role = 'admin'");
    rollback(&db, &[]).assert_code(0);
    let run = markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    assert!(
        run.stdout.contains("WARNING [set-aside-left] public.\"user\".is_master_admin"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("markenmate set-master-admin USER"), "{}", run.stdout);
}

/// A trigger of the application's own that names a table without its schema works for it, and not where nothing but
/// pg_catalog is looked at: it is named, with what mends it.
#[test]
fn a_trigger_that_names_no_schema_is_named() {
    let db = used();
    let before = holds(&db.session());
    rollback(&db, &[]).assert_code(0);
    sql(
        &db,
        "CREATE FUNCTION public.\"n; o\"() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM count(*) FROM restaurant; RETURN NEW; END $$;
         CREATE TRIGGER n AFTER UPDATE ON public.token_lending FOR EACH ROW EXECUTE FUNCTION public.\"n; o\"();
         UPDATE public.token_lending SET person_name = person_name",
    );
    let run = markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(6);
    let remedy = "ALTER FUNCTION public.\"n; o\"() SET search_path = public, pg_catalog;";
    assert!(run.stderr.contains(remedy), "{}", run.stderr);
    assert!(!run.stderr.contains("the next markenmate migrate goes on"), "{}", run.stderr);
    assert!(run.stderr.contains("once that is done, markenmate migrate goes on"), "{}", run.stderr);
    sql(&db, remedy);
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    same(&holds(&db.session()), &before);
}

/// What does not fit is not read again with every round while a row of the application's is locked.
#[test]
fn a_round_begins_where_something_was_left() {
    let db = used();
    rollback(&db, &[]).assert_code(0);
    sql(&db, "UPDATE public.app_log SET level = level");
    let kept = one(
        &db.session(),
        "SELECT format('markenmate_quarantine.%I', name) FROM markenmate.set_aside WHERE of_column = 'version'",
    );
    // Of lendings that are gone, before the one that is locked.
    sql(&db, &format!("INSERT INTO {kept} SELECT -n, 2 FROM generate_series(1, 20000) n"));
    let last = one(
        &db.session(),
        &format!(
            "SELECT max(id) FROM {kept} k WHERE EXISTS (SELECT FROM public.token_lending t WHERE t.id = k.id)"
        ),
    );
    let up = markenmate(&["util", "up", "2"]).run().assert_code(0).stdout;
    sql(&db, &up);
    let holder = db.session();
    holder.sql(&format!("BEGIN; SELECT FROM public.token_lending WHERE id = {last} FOR UPDATE"));
    let run = markenmate(&["migrate", "--yes", "--to", "2"]).db(&db).spawn();
    std::thread::sleep(std::time::Duration::from_secs(6));
    holder.sql("ROLLBACK");
    run.wait().assert_code(0);
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let read = format!(
        "SELECT coalesce(idx_tup_read, 0) FROM pg_stat_user_indexes WHERE relid = '{kept}'::regclass"
    );
    let read: u64 = one(&db.session(), &read).parse().unwrap();
    assert!(read < 100_000, "{read} entries were read for 20000 that do not fit");
}
