//! Which files an export writes: told in one read of the archive, whatever comes in between.

use std::time::Duration;

use serde_json::Value;

use crate::support::state::one;
use crate::support::{Session, TestDb, markenmate, wait_until};

use super::cleanup::cleanup;
use super::export::exported;

/// Rows of eight months, in no order.
const ARCHIVED: &str = "
    INSERT INTO markenmate.audit_log_archive (id, user_id, action, metadata, ip_address, user_agent, created_at)
    SELECT n, 'u', 'A', repeat('m', n % 50), '-', E'\\t''\"', '2025-01-15 00:00Z'::timestamptz + (n * 7919 % 8) * interval '1 month' + n * interval '1 second'
      FROM generate_series(1, 4000) n";

fn archive() -> (TestDb, Session) {
    let db = TestDb::migrated();
    let session = db.session();
    session.sql(ARCHIVED);
    (db, session)
}

fn count(session: &Session, sql: &str) -> u64 {
    one(session, sql).parse().unwrap()
}

#[test]
fn the_archive_is_not_read_once_a_file() {
    let (db, session) = archive();
    let figure = |name: &str| {
        count(
            &session,
            &format!(
                "SELECT {name} FROM pg_stat_all_tables WHERE relid = 'markenmate.audit_log_archive'::regclass"
            ),
        )
    };
    assert!(wait_until(Duration::from_secs(10), || figure("n_tup_ins") == 4000));
    let before = figure("seq_scan");
    let folder = db.folder().join("ex");
    let done = cleanup(&db, &["audit", "--yes", "--export", folder.to_str().unwrap()])
        .assert_code(0)
        .json();
    assert_eq!(done["data"]["files"].as_array().unwrap().len(), 8);
    // The session that did it has told what it did.
    assert!(wait_until(Duration::from_secs(10), || figure("n_tup_del") == 4000));
    let read = figure("seq_scan") - before;
    assert!(read < 8, "{read} reads of all of it for 8 files");
}

/// The statement, with files of 120 rows.
#[test]
fn files_are_pieces_of_months_in_the_order_of_their_numbers() {
    let (_db, session) = archive();
    let sql = include_str!("../../src/cleanup/export/files.sql")
        .replace("%ARCHIVE%", "audit_log_archive")
        .replace("%BEFORE%", "'2025-07-01 00:00Z'::timestamptz")
        .replace("%BOUND%", "3900")
        .replace("%MOST%", "120");
    let text = |rows: Vec<Vec<Option<String>>>| -> Vec<String> {
        rows.into_iter()
            .map(|row| row.into_iter().flatten().collect::<Vec<_>>().join(" "))
            .collect()
    };
    let files = text(session.sql(&format!("SET TimeZone = 'UTC'; {sql}")));
    // One after the other, each from what the ones before left.
    session.sql("CREATE TABLE public.rest AS SELECT archive_id, date_trunc('month', created_at) AS month, hashtextextended(row_to_json(a)::text, 0) AS hash
                   FROM markenmate.audit_log_archive a WHERE created_at < '2025-07-01' AND archive_id <= 3900");
    let mut expected = Vec::new();
    loop {
        let file = text(session.sql(
            "WITH file AS (DELETE FROM public.rest r USING (SELECT archive_id FROM public.rest WHERE month = (SELECT min(month) FROM public.rest)
                             ORDER BY archive_id LIMIT 120) f WHERE f.archive_id = r.archive_id RETURNING r.*)
             SELECT to_char(month, 'YYYY-MM-DD'), min(archive_id), max(archive_id), count(*), sum(hash) FROM file GROUP BY month",
        ));
        if file.is_empty() {
            break;
        }
        expected.extend(file);
    }
    assert!(expected.len() > 20);
    assert_eq!(files, expected);
}

#[test]
fn what_is_erased_meanwhile_is_in_no_file_and_the_rest_goes_on() {
    let (db, session) = archive();
    let folder = db.folder().join("ex");
    let holder = db.session();
    holder.sql("BEGIN; LOCK TABLE markenmate.gate IN SHARE MODE");
    let args =
        ["cleanup", "audit", "--yes", "--format", "json", "--export", folder.to_str().unwrap()];
    let running = markenmate(&args).db(&db).spawn();
    // The first file is written; whatever comes after it is planned.
    running.wait_for_stderr("waiting");
    holder.sql("SELECT markenmate.open_gate('an erasure');
                DELETE FROM markenmate.audit_log_archive WHERE created_at > '2025-04-01' AND id % 100 = 0;
                DELETE FROM markenmate.audit_log_archive WHERE created_at >= '2025-06-01' AND created_at < '2025-07-01'; COMMIT");
    let done = running.wait().assert_code(0).json();
    assert_eq!(done["data"]["files"].as_array().unwrap().len(), 7, "{done:#}");
    let rows = exported(&folder, "audit_log");
    assert!(rows.iter().all(|row| row["created_at"].as_str().unwrap() < "2025-04"
        || row["id"].as_u64().unwrap() % 100 > 0));
    // June, and twenty rows of May.
    assert_eq!(rows.len(), 4000 - 500 - 20);
    assert_eq!(count(&session, "SELECT count(*) FROM markenmate.audit_log_archive"), 0);
    let states = one(&session, "SELECT string_agg(DISTINCT state, ',') FROM markenmate.export");
    assert_eq!(states, "done,given_up");
}

/// A run that was killed, or whose host is gone: nobody would know otherwise.
#[test]
fn an_export_that_did_not_end_is_told_with_what_goes_on_with_it() {
    let (db, session) = archive();
    let folder = db.folder().join("it's a \"folder\"");
    let verify = || {
        let args = ["verify", "--only", "export-unfinished", "--format", "json"];
        markenmate(&args).db(&db).run().assert_code(0).json()["findings"].clone()
    };
    let status = || {
        let seen = markenmate(&["status", "--format", "json"]).db(&db).run().assert_code(0).json();
        let findings = seen["findings"].as_array().unwrap().iter();
        Value::from(
            findings.filter(|f| f["id"] == "export-unfinished").cloned().collect::<Vec<_>>(),
        )
    };
    let none = serde_json::json!([]);
    assert_eq!((verify(), status()), (none.clone(), none.clone()));
    let holder = db.session();
    holder.sql("BEGIN; LOCK TABLE markenmate.gate IN SHARE MODE");
    let args = ["cleanup", "audit", "--yes", "--export", folder.to_str().unwrap()];
    let running = markenmate(&args).db(&db).spawn();
    running.wait_for_stderr("waiting");
    // While it is at work there is nothing to tell.
    assert_eq!(one(&session, "SELECT string_agg(state, ',') FROM markenmate.export"), "writing");
    assert_eq!((verify(), status()), (none.clone(), none.clone()));
    running.signal("KILL");
    running.wait();
    holder.sql("COMMIT");
    let gone = "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'markenmate' AND datname = current_database()";
    assert!(wait_until(Duration::from_secs(10), || one(&session, gone) == "t"));
    let found = verify();
    assert_eq!(found, status());
    assert_eq!(
        (found.as_array().unwrap().len(), &found[0]["severity"]),
        (1, &"warning".into()),
        "{found:#}"
    );
    assert!(found[0]["detail"].as_str().unwrap().contains("500 row(s) of 1 file(s)"), "{found:#}");
    let remedy = found[0]["remedy"].as_str().unwrap();
    assert!(remedy.starts_with("markenmate cleanup audit --export '/"), "{remedy}");
    // Another cleanup that is at work does not hide it.
    holder.sql(&format!("BEGIN; {}", markenmate::db::locks::try_cleanup_lock_sql()));
    let session_of = "SELECT count(*) FROM markenmate.export e, pg_stat_activity s WHERE s.pid = pg_backend_pid() AND s.backend_start <= e.began_at";
    // The holder is older than the export: only a younger one is known to be another's.
    assert_eq!((one(&holder, session_of).as_str(), verify()), ("1", none.clone()));
    holder.sql("ROLLBACK");
    let young = db.session();
    young.sql(&format!("BEGIN; {}", markenmate::db::locks::try_cleanup_lock_sql()));
    assert_eq!(verify(), found);
    young.sql("ROLLBACK");
    // As a shell takes it.
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_markenmate")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", &format!("{remedy} --yes")]).env("PATH", path).env("DATABASE_URL", &db.url);
    let ended = shell.output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!((verify(), status()), (none.clone(), none));
    assert_eq!(exported(&folder, "audit_log").len(), 4000);
}
