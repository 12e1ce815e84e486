//! The SQL that takes a version back, as `psql` runs it: it loses nothing, waits for nobody, and says
//! what it did or why it did nothing.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::own_server::program;
use crate::support::state::{
    assert_hardened, assert_migrated, catalogue, fingerprint, one, versions,
};
use crate::support::{Session, TestDb, cluster, markenmate, sql};

fn down(version: &str) -> String {
    markenmate(&["util", "down", version]).run().assert_code(0).stdout
}

fn migrate_to(db: &TestDb, version: &str) {
    markenmate(&["migrate", "--yes", "--to", version]).db(db).run().assert_code(0);
}

fn migrated_to(version: &str) -> TestDb {
    let db = TestDb::baseline();
    migrate_to(&db, version);
    db
}

/// Each version that has a way back, and what the history holds afterwards.
const WAYS: [(&str, &str); 2] = [("2", "1"), ("3", "1,2")];

/// It fails with these words, and the database is as it was.
#[track_caller]
fn refused(db: &TestDb, version: &str, said: &[&str]) {
    let before = fingerprint(&db.session());
    let error = db.session().try_sql(&down(version)).unwrap_err();
    let error = error.as_db_error().unwrap();
    let text = format!("{} {}", error.message(), error.hint().unwrap_or_default());
    for part in said {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    assert_eq!(fingerprint(&db.session()), before);
}

#[test]
fn what_is_not_there_is_not_taken_back() {
    let foreign = ["this is not the application's database; nothing was changed"];
    for (version, _) in WAYS {
        let recorded = format!("version {version} is not recorded in this database");
        let nothing = [recorded.as_str(), "; nothing was changed", "markenmate status"];
        refused(&TestDb::empty(), version, &foreign);
        refused(&TestDb::baseline(), version, &nothing);
        refused(&TestDb::hardened(), version, &nothing);
        let below = (version.parse::<i32>().unwrap() - 1).to_string();
        refused(&migrated_to(&below), version, &nothing);
    }

    let db = migrated_to("2");
    let drop =
        "ALTER TABLE public.token_lending DROP COLUMN version; DROP TABLE public.step_up_token";
    sql(&db, drop);
    let missing = "missing, although version 2 is recorded: public.token_lending.version, public.step_up_token";
    refused(&db, "2", &[missing, "nothing was changed", "markenmate verify"]);

    // Of the guards that stood on a table which is gone nothing is left to take back.
    let db = migrated_to("3");
    sql(&db, drop);
    sql(&db, &down("3"));
    assert_eq!(versions(&db.session()), "1,2");
    assert_eq!(guards(&db), "0 0");
}

/// How many of our triggers and functions there are; those of the archives stay.
fn guards(db: &TestDb) -> String {
    let count = "SELECT concat_ws(' ', \
        (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgname LIKE 'markenmate%' \
            AND tgname <> 'markenmate_append_only'), \
        (SELECT count(*) FROM pg_proc WHERE pronamespace = 'markenmate'::regnamespace AND proname <> 'guard_archive'))";
    one(&db.session(), count)
}

#[test]
fn a_version_below_another_is_not_taken_back() {
    let db = migrated_to("3");
    let first = "take it back first: markenmate util down 3";
    refused(&db, "2", &["a later version stands on this one; nothing was changed", first]);
}

/// What the guards left behind is evidence: their way back takes none of it along.
#[test]
fn both_versions_go_back_one_after_the_other() {
    let db = migrated_to("3");
    let session = db.session();
    session.sql(
        r#"INSERT INTO public."user" (id, name, email) VALUES ('gone', 'G', 'gone@example.org');
           INSERT INTO public.audit_log (user_id, action) VALUES ('gone', 'login');
           DELETE FROM public."user" WHERE id = 'gone';
           SELECT markenmate.open_gate('a test')"#,
    );
    let late = "UPDATE public.token_lending SET version = 2 WHERE id = -1";
    assert_eq!(session.try_sql(late).unwrap_err().code().unwrap().code(), "40001");
    let evidence = || {
        ["ledger", "gate", "audit_log_archive", "lending_conflicts"].map(|name| {
            one(&session, &format!("SELECT json_agg(t) FROM (TABLE markenmate.{name}) t"))
        })
    };
    let before = evidence();
    assert!(before[2].contains("user deleted"), "{before:?}");
    let file = db.folder().join("undo.sql");
    std::fs::write(&file, down("3") + &down("2")).unwrap();
    let mut psql = Command::new(program(cluster(), "psql"));
    psql.args(["-X", "-v", "ON_ERROR_STOP=1", "-d", &db.url, "-f"]).arg(&file);
    crate::support::own_server::succeed(&mut psql);
    assert_eq!(versions(&session), "1");
    assert_eq!(guards(&db), "0 0");
    let after = evidence();
    assert_eq!(after[1..], before[1..]);
    // The ledger has one row more for each, chained to what was there.
    let kept = before[0].trim_end_matches(']');
    assert!(after[0].starts_with(kept), "{after:?}");
    assert_eq!(
        one(&session, "SELECT string_agg(command, ', ' ORDER BY number) FROM markenmate.ledger"),
        "migrate, util down 3, util down 2"
    );
    let runs = "SELECT string_agg(command, ', ' ORDER BY started_at) FROM markenmate.run";
    assert_eq!(one(&session, runs), "migrate, util down 3, util down 2");
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    assert_migrated(&db.url);
}

#[test]
fn it_queues_for_no_longer_than_a_moment_and_runs_alone() {
    for ((version, left), table) in WAYS.into_iter().zip(["app_log", "audit_log"]) {
        queues_for_no_longer_than_a_moment_and_runs_alone(version, left, table);
    }
}

fn queues_for_no_longer_than_a_moment_and_runs_alone(version: &str, left: &str, table: &str) {
    let db = migrated_to(version);
    let holder = db.session();
    holder.sql(&format!("BEGIN; LOCK TABLE public.{table} IN ACCESS SHARE MODE"));
    // Meanwhile the app gets through: the queue is left again and again.
    let app = std::thread::spawn({
        let url = db.url.clone();
        let count = format!("SELECT count(*) FROM public.{table}");
        move || {
            let session = Session::open(&url);
            let mut longest = Duration::ZERO;
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(3) {
                let asked = Instant::now();
                session.sql(&count);
                longest = longest.max(asked.elapsed());
            }
            longest
        }
    });
    refused(
        &db,
        version,
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
    sql(&db, &down(version));
    assert_eq!(versions(&db.session()), left);
    migrate_to(&db, version);
    let holder = release.join().unwrap();
    holder.sql("BEGIN");
    let (class, object) = (0x6d61_726b, 0x6d61_7465);
    holder.sql(&format!("SELECT pg_advisory_xact_lock({class}, {object})"));
    refused(&db, version, &["another run of markenmate is at work"]);
    holder.sql("ROLLBACK");
    sql(&db, &down(version));
    assert_eq!(versions(&db.session()), left);
}

#[test]
fn nobody_elses_schema_or_function_is_used() {
    let db = migrated_to("2");
    let stranger = format!("stranger_{}", db.name);
    sql(
        &db,
        &format!(
            "CREATE ROLE {stranger}; CREATE SCHEMA markenmate_quarantine AUTHORIZATION {stranger}"
        ),
    );
    refused(&db, "2", &["markenmate_quarantine does not belong to postgres; nothing was changed"]);
    sql(&db, "DROP SCHEMA markenmate_quarantine");
    let trap = |signature: &str| {
        format!(
            "CREATE FUNCTION public.{signature} LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;"
        )
    };
    for (version, left) in WAYS {
        let db = migrated_to(version);
        sql(
            &db,
            &[
                trap("format(text, text) RETURNS text"),
                trap("to_regclass(text) RETURNS regclass"),
                trap("left(name, integer) RETURNS text"),
                trap("length(text) RETURNS integer"),
                trap("starts_with(name, text) RETURNS boolean"),
                trap("array_remove(regclass[], regclass) RETURNS regclass[]"),
            ]
            .concat(),
        );
        let session = Session::open(&db.url);
        session.sql("SET search_path = public, pg_catalog");
        session.sql(&down(version));
        assert_eq!(versions(&session), left);
    }
}

#[test]
fn it_says_where_everything_went_and_leaves_a_record() {
    let db = migrated_to("2");
    sql(
        &db,
        r#"UPDATE public."user" SET is_master_admin = true
            WHERE id = (SELECT min(id) FROM public."user" WHERE role = 'admin');
           INSERT INTO public.audit_log (user_id, action) SELECT id, 'login' FROM public."user" LIMIT 3;
           UPDATE public.app_log SET correlation_id = 'c' WHERE id IN (SELECT id FROM public.app_log LIMIT 2)"#,
    );
    let file = db.folder().join("undo.sql");
    std::fs::write(&file, down("2")).unwrap();
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
    let again = markenmate(&["migrate", "--yes", "--to", "2"]).db(&db).run().assert_code(0);
    assert!(again.stdout.contains("brought back"), "{}", again.stdout);
    assert_hardened(&db.url);
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
    for turn in 0..2 {
        if turn == 1 {
            // The column of somebody else's has no place yet: its rows wait for it.
            let run = markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(6);
            assert!(run.stderr.contains("ADD COLUMN \"n\" bigint;"), "{}", run.stderr);
            sql(&db, "ALTER TABLE public.audit_log ADD COLUMN n bigint");
        }
        markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
        dumps(&db, &reader);
        sql(&db, &down("3"));
        dumps(&db, &reader);
        sql(
            &db,
            "CREATE INDEX audit_log_user_idx ON public.audit_log (user_id);
             ALTER TABLE public.audit_log ADD COLUMN IF NOT EXISTS n bigint GENERATED ALWAYS AS IDENTITY;
             INSERT INTO public.audit_log (user_id, action) SELECT min(id), 'login' FROM public.\"user\"",
        );
        sql(&db, &down("2"));
        dumps(&db, &reader);
    }
}

/// Whoever may read everything can dump the database.
#[track_caller]
fn dumps(db: &TestDb, reader: &str) {
    let mut dump = Command::new(program(cluster(), "pg_dump"));
    dump.args(["-d", &db.url_as(reader), "-f"]).arg(db.folder().join("dump.sql"));
    crate::support::own_server::succeed(&mut dump);
}

/// By hand it is all or nothing as well, whatever `psql` is told.
#[test]
fn a_version_applied_by_its_sql_is_whole_and_adopted() {
    for more in [&[][..], &["-1"], &["-1", "-v", "ON_ERROR_STOP=1"]] {
        let db = TestDb::baseline();
        by_hand(&db, "2", more);
        assert_eq!(adopted(&db, "2"), serde_json::json!([1, 2]));
        assert_hardened(&db.url);
        by_hand(&db, "3", more);
        assert_eq!(adopted(&db, "3"), serde_json::json!([3]));
        assert_migrated(&db.url);

        for (version, obstacle) in [
            ("2", "ALTER TABLE public.app_log ADD COLUMN correlation_id integer"),
            // Its functions need schema markenmate, and their names.
            ("3", "SELECT"),
            (
                "3",
                "CREATE SCHEMA markenmate; CREATE FUNCTION markenmate.keep_audit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
            ),
        ] {
            let db = if version == "2" { TestDb::baseline() } else { TestDb::hardened() };
            sql(&db, obstacle);
            let before = catalogue(&db.session());
            by_hand(&db, version, more);
            assert_eq!(catalogue(&db.session()), before, "{more:?}");
        }
    }
}

fn by_hand(db: &TestDb, version: &str, more: &[&str]) {
    let file = db.folder().join("up.sql");
    let up = markenmate(&["util", "up", version]).run().assert_code(0).stdout;
    std::fs::write(&file, up).unwrap();
    let mut psql = Command::new(program(cluster(), "psql"));
    psql.args(more).args(["-X", "-q", "-d", &db.url, "-f"]).arg(&file).output().unwrap();
}

fn adopted(db: &TestDb, version: &str) -> serde_json::Value {
    let args = ["migrate", "--yes", "--to", version, "--format", "json"];
    markenmate(&args).db(db).run().assert_code(0).json()["data"]["adopted"].clone()
}
