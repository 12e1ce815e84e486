//! The SQL that takes a version back, as `psql` runs it: it loses nothing, waits for nobody, and says
//! what it did or why it did nothing.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::own_server::program;
use crate::support::state::{assert_migrated, catalogue, one, versions};
use crate::support::{Session, TestDb, cluster, markenmate, sql};

fn down() -> String {
    markenmate(&["util", "down", "2"]).run().assert_code(0).stdout
}

fn migrated() -> TestDb {
    let db = TestDb::baseline();
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    db
}

/// It fails with these words, and the database is as it was.
#[track_caller]
fn refused(db: &TestDb, said: &[&str]) {
    let before = catalogue(&db.session());
    let error = db.session().try_sql(&down()).unwrap_err();
    let error = error.as_db_error().unwrap();
    let text = format!("{} {}", error.message(), error.hint().unwrap_or_default());
    for part in said {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    assert_eq!(catalogue(&db.session()), before);
}

#[test]
fn what_is_not_there_is_not_taken_back() {
    let nothing = ["not recorded in this database; nothing was changed", "markenmate status"];
    refused(&TestDb::empty(), &["this is not the application's database; nothing was changed"]);
    refused(&TestDb::baseline(), &nothing);
    refused(&TestDb::hardened(), &nothing);
    let db = TestDb::baseline();
    markenmate(&["migrate", "--yes", "--to", "1"]).db(&db).run().assert_code(0);
    refused(&db, &nothing);

    let db = migrated();
    sql(
        &db,
        "ALTER TABLE public.token_lending DROP COLUMN version; DROP TABLE public.step_up_token",
    );
    let missing = "missing, although version 2 is recorded: public.token_lending.version, public.step_up_token";
    refused(&db, &[missing, "nothing was changed", "markenmate verify"]);
}

#[test]
fn it_queues_for_no_longer_than_a_moment_and_runs_alone() {
    let db = migrated();
    let holder = db.session();
    holder.sql("BEGIN; LOCK TABLE public.app_log IN ACCESS SHARE MODE");
    // Meanwhile the app gets through: the queue is left again and again.
    let app = std::thread::spawn({
        let url = db.url.clone();
        move || {
            let session = Session::open(&url);
            let mut longest = Duration::ZERO;
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(3) {
                let asked = Instant::now();
                session.sql("SELECT count(*) FROM public.app_log");
                longest = longest.max(asked.elapsed());
            }
            longest
        }
    });
    refused(
        &db,
        &[
            "the locks were not to be had; nothing was changed",
            "held by pid",
            "pg_terminate_backend",
        ],
    );
    let longest = app.join().unwrap();
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    let release = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(1));
        holder.sql("ROLLBACK");
        holder
    });
    sql(&db, &down());
    assert_eq!(versions(&db.session()), "1");
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    let holder = release.join().unwrap();
    holder.sql("BEGIN");
    let (class, object) = (0x6d61_726b, 0x6d61_7465);
    holder.sql(&format!("SELECT pg_advisory_xact_lock({class}, {object})"));
    refused(&db, &["another run of markenmate is at work"]);
    holder.sql("ROLLBACK");
    sql(&db, &down());
    assert_eq!(versions(&db.session()), "1");
}

#[test]
fn nobody_elses_schema_or_function_is_used() {
    let db = migrated();
    let stranger = format!("stranger_{}", db.name);
    sql(
        &db,
        &format!(
            "CREATE ROLE {stranger}; CREATE SCHEMA markenmate_quarantine AUTHORIZATION {stranger}"
        ),
    );
    refused(&db, &["markenmate_quarantine does not belong to postgres; nothing was changed"]);
    sql(&db, "DROP SCHEMA markenmate_quarantine");
    let trap = |signature: &str| {
        format!(
            "CREATE FUNCTION public.{signature} LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;"
        )
    };
    sql(
        &db,
        &[
            trap("format(text, text) RETURNS text"),
            trap("to_regclass(text) RETURNS regclass"),
            trap("left(name, integer) RETURNS text"),
            trap("length(text) RETURNS integer"),
        ]
        .concat(),
    );
    let session = Session::open(&db.url);
    session.sql("SET search_path = public, pg_catalog");
    session.sql(&down());
    assert_eq!(versions(&session), "1");
}

#[test]
fn it_says_where_everything_went_and_leaves_a_record() {
    let db = migrated();
    sql(
        &db,
        r#"UPDATE public."user" SET is_master_admin = true WHERE id = (SELECT min(id) FROM public."user");
           INSERT INTO public.audit_log (user_id, action) SELECT id, 'login' FROM public."user" LIMIT 3;
           UPDATE public.app_log SET correlation_id = 'c' WHERE id IN (SELECT id FROM public.app_log LIMIT 2)"#,
    );
    let file = db.folder().join("undo.sql");
    std::fs::write(&file, down()).unwrap();
    let mut psql = Command::new(program(cluster(), "psql"));
    psql.args(["-X", "-1", "-v", "ON_ERROR_STOP=1", "-d", &db.url, "-f"]).arg(&file);
    let output = psql.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    for (count, what, table) in [
        (1, "values of public.\"user\".is_master_admin in", "user_is_master_admin_"),
        (2, "values of public.app_log.correlation_id in", "app_log_correlation_id_"),
        (3, "rows of public.audit_log as", "audit_log_"),
        (0, "rows of public.step_up_token as", "step_up_token_"),
    ] {
        let start = format!("set aside: {count} {what} markenmate_quarantine.{table}");
        let line = said.lines().find(|line| line.contains(&start));
        let line = line.unwrap_or_else(|| panic!("no {start:?} in {said}"));
        let (_, table) = line.rsplit_once(" markenmate_quarantine.").unwrap();
        let kept =
            one(&db.session(), &format!("SELECT count(*) FROM markenmate_quarantine.{table}"));
        assert_eq!(kept, count.to_string(), "{line}");
    }
    // Every row had the default: nothing to keep, nothing kept.
    assert!(!said.contains("token_lending"), "{said}");
    let status = markenmate(&["status", "--format", "json"]).db(&db).run().assert_code(0).json();
    assert_eq!(status["findings"][0]["id"], "set-aside", "{status:#}");
    let run = "SELECT concat_ws('|', command, database_user, reason) FROM markenmate.run ORDER BY started_at DESC LIMIT 1";
    let run = one(&db.session(), run);
    assert!(run.starts_with("util down 2|postgres|taken back by its SQL"), "{run}");
    let again = markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    assert!(again.stdout.contains("WARNING [set-aside]"), "{}", again.stdout);
    assert_migrated(&db.url);
}

/// What the app never made stands in the way of no second way back, and whoever could dump the
/// database still can.
#[test]
fn it_goes_back_twice_with_an_index_of_somebody_elses_and_a_reader() {
    let db = TestDb::baseline();
    let reader = format!("reader_{}", db.name);
    sql(
        &db,
        &format!(
            "CREATE ROLE {reader} LOGIN;
             GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader};
             GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {reader}"
        ),
    );
    for _ in 0..2 {
        markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
        sql(
            &db,
            "CREATE INDEX audit_log_user_idx ON public.audit_log (user_id);
             ALTER TABLE public.audit_log ADD COLUMN n bigint GENERATED ALWAYS AS IDENTITY;
             INSERT INTO public.audit_log (user_id, action) SELECT min(id), 'login' FROM public.\"user\"",
        );
        sql(&db, &down());
    }
    let mut dump = Command::new(program(cluster(), "pg_dump"));
    dump.args(["-d", &db.url_as(&reader), "-f"]).arg(db.folder().join("dump.sql"));
    crate::support::own_server::succeed(&mut dump);
}

/// By hand it is all or nothing as well, whatever `psql` is told.
#[test]
fn a_version_applied_by_its_sql_is_whole_and_adopted() {
    let up = markenmate(&["util", "up", "2"]).run().assert_code(0).stdout;
    let run = |db: &TestDb, more: &[&str]| {
        let file = db.folder().join("up.sql");
        std::fs::write(&file, &up).unwrap();
        let mut psql = Command::new(program(cluster(), "psql"));
        psql.args(more).args(["-X", "-q", "-d", &db.url, "-f"]).arg(&file).output().unwrap()
    };
    for more in [&[][..], &["-1"], &["-1", "-v", "ON_ERROR_STOP=1"]] {
        let db = TestDb::baseline();
        run(&db, more);
        let adopted = markenmate(&["migrate", "--yes", "--format", "json"]).db(&db).run();
        assert_eq!(adopted.assert_code(0).json()["data"]["adopted"], serde_json::json!([1, 2]));
        assert_migrated(&db.url);

        let db = TestDb::baseline();
        sql(&db, "ALTER TABLE public.app_log ADD COLUMN correlation_id integer");
        let before = catalogue(&db.session());
        run(&db, more);
        assert_eq!(catalogue(&db.session()), before, "{more:?}");
    }
}
