//! `cleanup tokens|audit|app-log`: rows whose time is over leave, and none is lost or doubled on the way.

use std::time::Duration;

use serde_json::Value;

use crate::support::pty::on_a_terminal;
use crate::support::state::{fingerprint, one};
use crate::support::{Run, Session, TestDb, markenmate, schema_file, sql, wait_until};

/// Old and new rows of each table, in no order, some with hostile texts.
pub const FILL: &str = "
    INSERT INTO public.audit_log (user_id, action, target_user_id, metadata, ip_address, user_agent, correlation_id, created_at)
    SELECT u.id, 'LENDING_UPDATE', CASE WHEN n % 3 = 0 THEN u.id END, CASE WHEN n % 5 > 0 THEN '{\"n\":' || n || '}' END,
           E'198.51.100.7, \\t''\"; DROP TABLE x --', E'agent \\x1e\\x1f', NULLIF(n % 7, 0)::text,
           now() - CASE n % 2 WHEN 0 THEN interval '91 days' ELSE interval '89 days' END - n * interval '1 minute'
      FROM generate_series(1, 2000) n
      JOIN (SELECT id, row_number() OVER (ORDER BY id) AS r FROM public.\"user\") u ON u.r = 1 + n % 15;
    INSERT INTO public.step_up_token (token, user_id, expires_at, used)
    SELECT md5(u.id || n), u.id, now() + (n - 30) * interval '1 hour', n % 3 = 0 FROM public.\"user\" u, generate_series(1, 60) n;
    INSERT INTO public.app_log (level, message, context, user_id, created_at)
    SELECT (ARRAY['info', 'warn', 'error', 'debug'])[1 + n % 4]::public.log_level, 'AUDIT: ACCEPT_LENDING ' || n, NULLIF(n % 3, 0)::text, NULL,
           now() - n * interval '2 hours' FROM generate_series(1, 1500) n;";

pub fn filled() -> TestDb {
    let db = TestDb::migrated();
    sql(&db, FILL);
    db
}

pub fn cleanup(db: &TestDb, args: &[&str]) -> Run {
    markenmate(&[&["cleanup", "--format", "json"], args].concat()).db(db).run()
}

pub fn job<'a>(document: &'a Value, id: &str) -> &'a Value {
    let jobs = document["data"]["jobs"].as_array().unwrap();
    jobs.iter().find(|job| job["id"] == id).unwrap_or_else(|| panic!("no {id} in {document:#}"))
}

const AUDIT: &str = "id, user_id, action, target_user_id, metadata, ip_address, user_agent, correlation_id, created_at";
const APP_LOG: &str = "id, level::text, message, context, user_id, correlation_id, created_at";

/// Every audit row there is, live and archived, as one text.
pub fn audit_rows(session: &Session) -> String {
    one(
        session,
        &format!(
            "SELECT count(*) || ' ' || md5(string_agg(r::text, E'\\n' ORDER BY r::text)) FROM (
               SELECT {AUDIT} FROM public.audit_log UNION ALL SELECT {AUDIT} FROM markenmate.audit_log_archive) r"
        ),
    )
}

fn log_rows(session: &Session) -> String {
    one(
        session,
        &format!(
            "SELECT count(*) || ' ' || md5(string_agg(r::text, E'\\n' ORDER BY r::text)) FROM (
               SELECT {APP_LOG} FROM public.app_log UNION ALL SELECT {APP_LOG} FROM markenmate.app_log_archive) r"
        ),
    )
}

#[test]
fn bare_it_is_the_guides_two_and_every_row_is_accounted_for() {
    let db = filled();
    let session = db.session();
    let (before, log) = (audit_rows(&session), log_rows(&session));
    let old = "SELECT count(*) FROM public.audit_log WHERE created_at < now() - interval '90 days'";
    let (old, expired) = (
        one(&session, old),
        one(&session, "SELECT count(*) FROM public.step_up_token WHERE expires_at < now()"),
    );
    let seen = fingerprint(&session);
    let planned = cleanup(&db, &["--dry-run"]).assert_code(0).json();
    assert_eq!(job(&planned, "audit")["matched"].to_string(), old);
    assert_eq!(fingerprint(&session), seen);
    cleanup(&db, &[]).assert_code(4);

    let done = cleanup(&db, &["--yes"]).assert_code(0).json();
    let audit = job(&done, "audit");
    assert_eq!(audit["archived"].to_string(), old, "{done:#}");
    assert_eq!(job(&done, "tokens")["deleted"].to_string(), expired);
    assert_eq!(done["data"]["jobs"].as_array().unwrap().len(), 2);
    assert_eq!(audit_rows(&session), before);
    assert_eq!(log_rows(&session), log);
    assert_eq!(one(&session, "SELECT count(*) FROM markenmate.app_log_archive"), "0");
    assert_eq!(
        one(
            &session,
            "SELECT (SELECT count(*) FROM public.audit_log WHERE created_at < now() - interval '90 days'),
                    (SELECT count(*) FROM public.step_up_token WHERE expires_at < now()),
                    (SELECT count(*) FROM public.step_up_token WHERE expires_at >= now()) > 0"
        ),
        "0"
    );
    // The receipt, and that anybody can reckon it again.
    let checksum = one(
        &session,
        "SELECT sum(timestamp_hash_extended(created_at AT TIME ZONE 'UTC', correlation.seed))
           FROM markenmate.audit_log_archive
                CROSS JOIN LATERAL (SELECT hashtextextended(id::text, 0)) id(seed)
                CROSS JOIN LATERAL (SELECT hashtextextended(user_id, id.seed)) owner(seed)
                CROSS JOIN LATERAL (SELECT hashtextextended(action, owner.seed)) action(seed)
                CROSS JOIN LATERAL (SELECT hashtextextended(coalesce(target_user_id, E'\\x1e'), action.seed)) target(seed)
                CROSS JOIN LATERAL (SELECT hashtextextended(coalesce(metadata, E'\\x1e'), target.seed)) metadata(seed)
                CROSS JOIN LATERAL (SELECT hashtextextended(coalesce(ip_address, E'\\x1e'), metadata.seed)) address(seed)
                CROSS JOIN LATERAL (SELECT hashtextextended(coalesce(user_agent, E'\\x1e'), address.seed)) agent(seed)
                CROSS JOIN LATERAL (SELECT hashtextextended(coalesce(correlation_id, E'\\x1e'), agent.seed)) correlation(seed)
          WHERE cleanup_id = (SELECT max(cleanup_id) FROM markenmate.cleanup WHERE job = 'audit')",
    );
    assert_eq!(audit["checksum"], checksum.as_str(), "{done:#}");
    let receipt = one(
        &session,
        "SELECT detail FROM markenmate.ledger WHERE command = 'cleanup' AND subject = 'audit'",
    );
    let receipt: Value = serde_json::from_str(&receipt).unwrap();
    assert_eq!(receipt["checksum"], audit["checksum"]);
    assert_eq!(receipt["archived"].to_string(), old);
    assert_eq!(receipt["ids"], audit["ids"]);
    markenmate(&["verify", "--only", "ledger-chain,own-grants"]).db(&db).run().assert_code(0);

    // Again: nothing, and that it ran is known.
    for _ in 0..2 {
        let again = cleanup(&db, &["--yes"]).assert_code(0).json();
        assert_eq!(again["outcome"], "nothing_to_do", "{again:#}");
    }
    let runs = "SELECT string_agg(job || ' ' || deleted || ' ' || outcome, ', ' ORDER BY deleted = 0, job DESC) FROM markenmate.cleanup";
    assert_eq!(
        one(&session, runs),
        format!("tokens {expired} done, audit {old} done, tokens 0 done, audit 0 done")
    );
    let ledger = "SELECT count(*) FROM markenmate.ledger WHERE command = 'cleanup'";
    assert_eq!(one(&session, ledger), "2");
}

#[test]
fn log_rows_go_by_name_and_by_the_age_that_is_asked_for() {
    let db = filled();
    let session = db.session();
    let before = log_rows(&session);
    let done = cleanup(&db, &["app-log", "--older-than", "30d", "--yes"]).assert_code(0).json();
    assert!(job(&done, "app-log")["archived"].as_u64() > Some(1000), "{done:#}");
    assert_eq!(log_rows(&session), before);
    let left = "SELECT count(*) FROM public.app_log WHERE created_at < now() - interval '30 days'";
    assert_eq!(one(&session, left), "0");
    let kept =
        "SELECT string_agg(DISTINCT level, ',' ORDER BY level) FROM markenmate.app_log_archive";
    assert_eq!(one(&session, kept), "debug,error,info,warn");
}

#[test]
fn the_archive_takes_rows_and_keeps_them() {
    let db = filled();
    cleanup(&db, &["audit", "--yes"]).assert_code(0);
    let session = db.session();
    for statement in [
        "DELETE FROM markenmate.audit_log_archive",
        "DELETE FROM markenmate.audit_log_archive WHERE false",
        "UPDATE markenmate.audit_log_archive SET action = 'x'",
        "TRUNCATE markenmate.audit_log_archive",
        "TRUNCATE markenmate.app_log_archive",
    ] {
        let refused = session.try_sql(statement).unwrap_err();
        assert_eq!(refused.code().unwrap().code(), "MM106", "{statement}");
    }
    // An erasure goes through the gate.
    session.sql("BEGIN; SELECT markenmate.open_gate('erasure'); DELETE FROM markenmate.audit_log_archive WHERE id % 2 = 0; COMMIT");
    assert_eq!(
        one(&session, "SELECT count(*) FROM markenmate.audit_log_archive WHERE id % 2 = 0"),
        "0"
    );
}

#[test]
fn one_cut_off_for_the_whole_run() {
    let db = filled();
    let session = db.session();
    // It crosses the age while the run waits for a row.
    session.sql(
        "INSERT INTO public.audit_log (user_id, action, created_at)
         SELECT id, 'CROSSES', now() - interval '90 days' + interval '1500 milliseconds' FROM public.\"user\" LIMIT 1",
    );
    let holder = db.session();
    holder.sql("BEGIN; LOCK TABLE public.audit_log IN EXCLUSIVE MODE");
    let running = markenmate(&["cleanup", "audit", "--yes", "--format", "json"]).db(&db).spawn();
    running.wait_for_stderr("waiting: pid");
    std::thread::sleep(Duration::from_millis(1700));
    holder.sql("COMMIT");
    running.wait().assert_code(0);
    assert_eq!(
        one(&session, "SELECT count(*) FROM public.audit_log WHERE action = 'CROSSES'"),
        "1"
    );
    let old = "SELECT count(*) FROM public.audit_log WHERE created_at < now() - interval '90 days'";
    assert_eq!(one(&session, old), "1");
}

#[test]
fn rows_that_others_hold_are_left_and_counted() {
    let db = filled();
    let session = db.session();
    let before = audit_rows(&session);
    let holder = db.session();
    holder.sql(
        "BEGIN; SELECT id FROM public.audit_log WHERE created_at < now() - interval '90 days' ORDER BY id LIMIT 7 FOR UPDATE",
    );
    let done = cleanup(&db, &["audit", "--yes"]).assert_code(0).json();
    let audit = job(&done, "audit");
    assert_eq!(
        (audit["skipped"].as_u64(), audit["remaining"].as_u64()),
        (Some(7), Some(7)),
        "{done:#}"
    );
    assert_eq!(done["outcome"], "done");
    let left = &done["findings"][0];
    assert_eq!(left["id"], "rows-left", "{done:#}");
    assert!(left["remedy"].as_str().unwrap().contains("pg_terminate_backend"), "{left:#}");
    assert!(
        done["steps"][0]["title"].as_str().unwrap().ends_with("and 7 are there still"),
        "{done:#}"
    );
    assert_eq!(audit_rows(&session), before);
    let status = markenmate(&["status"]).db(&db).run().assert_code(0).stdout;
    let said = "done, 7 row(s) left, which others held: the next run takes them";
    assert!(status.contains(said), "{status}");
    holder.sql("UPDATE public.audit_log SET metadata = metadata WHERE id IN (SELECT id FROM public.audit_log WHERE created_at < now() - interval '90 days' LIMIT 3); COMMIT");
    let done = cleanup(&db, &["audit", "--yes"]).assert_code(0).json();
    assert_eq!(job(&done, "audit")["archived"], 7, "{done:#}");
    assert_eq!(audit_rows(&session), before);
}

#[test]
fn of_two_at_once_one_works_and_the_other_says_so() {
    let db = filled();
    let holder = db.session();
    holder.sql("BEGIN; LOCK TABLE public.step_up_token IN EXCLUSIVE MODE");
    let first = markenmate(&["cleanup", "--yes"]).db(&db).spawn();
    first.wait_for_stderr("waiting: pid");
    let second = cleanup(&db, &["audit", "--yes"]).assert_code(7);
    let said = second.json();
    assert_eq!(said["outcome"], "busy");
    let causes = said["error"]["causes"].to_string();
    assert!(
        causes.contains("markenmate") && causes.contains("the lock between cleanups"),
        "{said:#}"
    );
    assert_eq!(one(&holder, "SELECT count(*) FROM markenmate.audit_log_archive"), "0");
    holder.sql("COMMIT");
    first.wait().assert_code(0);
}

#[test]
fn when_the_time_is_over_it_ends_and_says_what_is_left() {
    let db = filled();
    let session = db.session();
    let before = audit_rows(&session);
    let done = cleanup(&db, &["audit", "--yes", "--max-duration", "0s"]).assert_code(0).json();
    let audit = job(&done, "audit");
    assert_eq!(
        (audit["archived"].as_u64(), audit["outcome"].as_str()),
        (Some(0), Some("stopped")),
        "{done:#}"
    );
    assert_eq!(audit["remaining"], audit["matched"]);
    assert_eq!(done["next"], "markenmate cleanup audit --max-duration 0s");
    cleanup(&db, &["audit", "--yes"]).assert_code(0);
    assert_eq!(audit_rows(&session), before);
}

#[test]
fn a_signal_keeps_what_was_done_and_the_next_run_has_its_receipt() {
    let db = filled();
    let session = db.session();
    let before = audit_rows(&session);
    // The second half of the table is locked, so that some batches are through.
    let holder = db.session();
    holder.sql("BEGIN; SELECT id FROM public.audit_log WHERE id > 1000 FOR UPDATE");
    let running = markenmate(&["cleanup", "audit", "--yes", "--batch-time", "1ms"]).db(&db).spawn();
    let moved = || {
        one(&session, "SELECT count(*) FROM markenmate.audit_log_archive").parse::<u32>().unwrap()
    };
    assert!(wait_until(Duration::from_secs(20), || moved() > 0));
    running.signal("INT");
    let ended = running.wait();
    // It may have been through.
    assert!([0, 130].contains(&ended.code), "{ended:?}");
    holder.sql("COMMIT");
    let ended = one(&session, "SELECT count(*) FROM markenmate.cleanup WHERE finished_at IS NULL");
    let receipts =
        "SELECT count(*) FROM markenmate.ledger WHERE command = 'cleanup' AND outcome = 'ended'";
    cleanup(&db, &["audit", "--yes"]).assert_code(0);
    assert_eq!(one(&session, receipts), ended);
    assert_eq!(audit_rows(&session), before);
    let sums = "SELECT sum(archived) = (SELECT count(*) FROM markenmate.audit_log_archive) FROM markenmate.cleanup WHERE job = 'audit'";
    assert_eq!(one(&session, sums), "t");
}

#[test]
fn rows_of_a_run_that_was_ended_and_then_erased_stop_nothing() {
    let db = filled();
    let session = db.session();
    cleanup(&db, &["audit", "--yes"]).assert_code(0);
    session.sql(
        "INSERT INTO markenmate.cleanup_batch (cleanup_id, deleted, archived)
         SELECT cleanup_id, deleted, archived FROM markenmate.cleanup WHERE job = 'audit';
         UPDATE markenmate.cleanup SET finished_at = NULL, outcome = NULL, deleted = 0, archived = 0, first_id = NULL, last_id = NULL
          WHERE job = 'audit';
         BEGIN; SELECT markenmate.open_gate('erasure'); DELETE FROM markenmate.audit_log_archive WHERE id % 2 = 0; COMMIT",
    );
    let there = one(&session, "SELECT count(*) FROM markenmate.audit_log_archive");
    cleanup(&db, &["audit", "--yes"]).assert_code(0);
    let receipt = "SELECT concat_ws(' ', detail::json ->> 'found', detail::json -> 'ids') FROM markenmate.ledger WHERE command = 'cleanup' AND outcome = 'ended'";
    let ids = one(
        &session,
        "SELECT json_build_array(min(id), max(id)) FROM markenmate.audit_log_archive",
    );
    assert_eq!(one(&session, receipt).replace(' ', ""), format!("{there}{ids}").replace(' ', ""));
    assert_eq!(one(&session, "SELECT count(*) FROM markenmate.cleanup_batch"), "0");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let db = filled();
    let seen = fingerprint(&db.session());
    for (args, said) in [
        (&["audit", "--older-than=-90d"][..], "--older-than"),
        (&["audit", "--older-than", "5000y"], "a thousand years"),
        (&["audit", "--older-than", "soon"], "write 90d"),
        (&["tokens", "--older-than", "90d"], "belongs to audit and app-log"),
        (&["--batch-time", "0ms"], "1ms is the least"),
        (&["--batch-time", "2h"], "60s is the most"),
        (&["everything"], "everything"),
    ] {
        let refused = cleanup(&db, &[args, &["--yes"]].concat()).assert_code(2);
        assert!(refused.stdout.contains(said), "{said}: {}", refused.stdout);
    }
    assert_eq!(fingerprint(&db.session()), seen);
}

#[test]
fn a_column_more_is_kept_and_one_that_does_not_fit_is_said() {
    let db = filled();
    let session = db.session();
    session.sql("CREATE TYPE public.mood AS ENUM ('good', 'bad');
                 ALTER TABLE public.audit_log ADD COLUMN device inet DEFAULT '10.0.0.1', ADD COLUMN \"Mood \"\"x\" public.mood DEFAULT 'bad'");
    let done = cleanup(&db, &["audit", "--yes"]).assert_code(0).json();
    assert!(job(&done, "audit")["archived"].as_u64() > Some(0));
    let kept = "SELECT string_agg(DISTINCT device || ' ' || \"Mood \"\"x\", ',') FROM markenmate.audit_log_archive";
    assert_eq!(one(&session, kept), "10.0.0.1/32 bad");

    session.sql("ALTER TABLE public.app_log ADD COLUMN reason text");
    let refused = cleanup(&db, &["app-log", "--yes"]).assert_code(4);
    assert!(refused.stdout.contains("uses for something else"), "{}", refused.stdout);
    session.sql(
        "ALTER TABLE public.app_log DROP COLUMN reason, ALTER COLUMN context TYPE jsonb USING NULL",
    );
    // As text it fits.
    cleanup(&db, &["app-log", "--yes"]).assert_code(0);
    session.sql("ALTER TABLE public.app_log ALTER COLUMN id TYPE bigint");
    let refused = cleanup(&db, &["app-log", "--older-than", "1d", "--yes"]).assert_code(4);
    assert!(
        refused.stdout.contains("id is bigint in the table, and integer in the archive"),
        "{}",
        refused.stdout
    );
    session.sql("ALTER TABLE public.app_log ALTER COLUMN id TYPE integer, DROP COLUMN message");
    let refused = cleanup(&db, &["app-log", "--older-than", "1d", "--yes"]).assert_code(4);
    assert!(refused.stdout.contains("no column message"), "{}", refused.stdout);
}

#[test]
fn a_column_that_comes_meanwhile_is_not_lost() {
    let db = filled();
    let session = db.session();
    let before = audit_rows(&session);
    let holder = db.session();
    holder.sql("BEGIN; LOCK TABLE public.audit_log IN EXCLUSIVE MODE");
    let running = markenmate(&["cleanup", "audit", "--yes", "--format", "json"]).db(&db).spawn();
    running.wait_for_stderr("waiting: pid");
    holder.sql("ALTER TABLE public.audit_log ADD COLUMN device text DEFAULT 'phone'; COMMIT");
    let refused = running.wait().assert_code(4);
    assert!(refused.stdout.contains("got another shape meanwhile"), "{}", refused.stdout);
    cleanup(&db, &["audit", "--yes"]).assert_code(0);
    let kept = "SELECT count(*) = count(device) AND count(*) > 0 FROM markenmate.audit_log_archive";
    assert_eq!(one(&session, kept), "t");
    assert_eq!(audit_rows(&session), before);
}

#[test]
fn a_type_that_changes_meanwhile_changes_no_value() {
    let db = filled();
    let session = db.session();
    let holder = db.session();
    holder.sql("BEGIN; LOCK TABLE public.audit_log IN EXCLUSIVE MODE");
    let running = markenmate(&["cleanup", "audit", "--yes", "--format", "json"]).db(&db).spawn();
    running.wait_for_stderr("waiting: pid");
    holder.sql("SET TimeZone = 'America/New_York'; ALTER TABLE public.audit_log ALTER created_at TYPE timestamp; COMMIT");
    let refused = running.wait().assert_code(4);
    assert!(refused.stdout.contains("got another shape meanwhile"), "{}", refused.stdout);
    assert_eq!(one(&session, "SELECT count(*) FROM markenmate.audit_log_archive"), "0");
}

#[test]
fn columns_of_any_name_are_moved() {
    let db = filled();
    let session = db.session();
    session.sql(
        "ALTER TABLE public.audit_log ADD \"%CLEANUP%\" text DEFAULT 'a', ADD \"a%ROWS%b\"\"\" text DEFAULT 'b',
           ADD \"%TABLE%\" int DEFAULT 7, ADD \"%LOCK%\" text[] DEFAULT '{c}'",
    );
    let done = cleanup(&db, &["audit", "--yes"]).assert_code(0).json();
    let kept = "SELECT count(*) FROM markenmate.audit_log_archive
                 WHERE (\"%CLEANUP%\", \"a%ROWS%b\"\"\", \"%TABLE%\", \"%LOCK%\"::text) = ('a', 'b', 7, '{c}')";
    assert_eq!(job(&done, "audit")["archived"].to_string(), one(&session, kept), "{done:#}");
}

#[test]
fn what_was_held_and_is_gone_does_not_remain() {
    let db = filled();
    let session = db.session();
    session.sql(
        "CREATE FUNCTION public.slowly() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.002); RETURN OLD; END';
         CREATE TRIGGER slowly BEFORE DELETE ON public.step_up_token FOR EACH ROW EXECUTE FUNCTION public.slowly()",
    );
    let app = db.session();
    app.sql("BEGIN; DELETE FROM public.step_up_token WHERE id IN (SELECT id FROM public.step_up_token WHERE expires_at < now() ORDER BY ctid LIMIT 3)");
    let running =
        markenmate(&["cleanup", "tokens", "--yes", "--batch-time", "1ms", "--format", "json"])
            .db(&db)
            .spawn();
    let begun = "SELECT count(*) FROM markenmate.cleanup_batch";
    assert!(wait_until(Duration::from_secs(20), || one(&session, begun) != "0"));
    app.sql("COMMIT");
    let done = running.wait().assert_code(0).json();
    let tokens = job(&done, "tokens");
    assert_eq!((&tokens["skipped"], &tokens["remaining"]), (&0.into(), &0.into()), "{done:#}");
    let left = "SELECT count(*) FROM public.step_up_token WHERE expires_at < now()";
    assert_eq!(one(&session, left), "0");
}

#[test]
fn a_run_that_another_one_has_ended_moves_nothing_more() {
    let db = filled();
    let session = db.session();
    let before = audit_rows(&session);
    let holder = db.session();
    holder.sql("BEGIN; LOCK TABLE public.audit_log IN EXCLUSIVE MODE");
    let running = markenmate(&["cleanup", "audit", "--yes", "--format", "json"]).db(&db).spawn();
    running.wait_for_stderr("waiting: pid");
    session.sql("UPDATE markenmate.cleanup SET finished_at = now(), outcome = 'ended'");
    holder.sql("COMMIT");
    let refused = running.wait().assert_code(4);
    assert!(refused.stdout.contains("this run has ended"), "{}", refused.stdout);
    assert_eq!(one(&session, "SELECT count(*) FROM markenmate.audit_log_archive"), "0");
    assert_eq!(audit_rows(&session), before);
}

#[test]
fn an_archive_made_by_the_guide_is_taken_over_row_by_row() {
    let db = filled();
    let session = db.session();
    // The guide's statements, the second of which did not run for some rows.
    session.sql(
        "CREATE TABLE public.audit_log_archive (LIKE public.audit_log);
         INSERT INTO public.audit_log_archive SELECT * FROM public.audit_log WHERE created_at < now() - interval '90 days';
         DELETE FROM public.audit_log WHERE created_at < now() - interval '90 days' AND id % 10 > 0;
         CREATE VIEW public.reading AS SELECT * FROM public.audit_log_archive;
         INSERT INTO public.audit_log (user_id, action, created_at) SELECT min(id), 'LATER', '2020-01-01' FROM public.\"user\"",
    );
    let all = format!(
        "SELECT count(*) || ' ' || md5(string_agg(r::text, E'\\n' ORDER BY r::text)) FROM (
           SELECT {AUDIT} FROM public.audit_log UNION SELECT {AUDIT} FROM public.audit_log_archive) r"
    );
    let before = one(&session, &all);
    // Who reads it must be seen to first; the rest does not wait for that.
    let done = cleanup(&db, &["audit", "--yes"]).assert_code(0).json();
    let said = done["findings"].to_string();
    assert!(said.contains("view public.reading reads it"), "{done:#}");
    assert!(said.contains("The guide's monthly job would destroy rows"), "{done:#}");
    // What stands in both is left in both until then.
    assert_eq!(job(&done, "audit")["archived"], 1, "{done:#}");
    assert_eq!(one(&session, "SELECT count(*) > 0 FROM public.audit_log_archive"), "t");
    session.sql("DROP VIEW public.reading");
    cleanup(&db, &["audit", "--yes"]).assert_code(0);
    assert_eq!(one(&session, "SELECT to_regclass('public.audit_log_archive')"), "");
    assert_eq!(audit_rows(&session), before);
    markenmate(&["verify", "--only", "guide-archive,ledger-chain"]).db(&db).run().assert_code(0);
}

#[test]
fn the_guides_archive_is_dropped_by_consent_alone_and_that_is_told() {
    let db = TestDb::migrated();
    let session = db.session();
    session.sql("CREATE TABLE public.audit_log_archive AS SELECT * FROM public.audit_log");
    cleanup(&db, &[]).assert_code(4);
    let planned = cleanup(&db, &["--dry-run"]).assert_code(0);
    assert!(planned.stdout.contains("following the guide, and drop it"), "{}", planned.stdout);
    assert_eq!(
        one(&session, "SELECT to_regclass('public.audit_log_archive')"),
        "audit_log_archive"
    );
    let done = cleanup(&db, &["--yes"]).assert_code(0).json();
    assert_eq!(done["outcome"], "done", "{done:#}");
    assert_eq!(one(&session, "SELECT to_regclass('public.audit_log_archive')"), "");
    let told = "SELECT count(*) FROM markenmate.ledger WHERE command = 'cleanup' AND subject = 'guide-archive'";
    assert_eq!(one(&session, told), "1");

    // Rows that lack what the archive demands stay where they are, and are counted.
    session.sql(
        "CREATE TABLE public.audit_log_archive AS SELECT * FROM public.audit_log;
                 INSERT INTO public.audit_log_archive (user_id) VALUES ('u')",
    );
    let done = cleanup(&db, &["--yes"]).assert_code(0).json();
    assert!(
        done["findings"].to_string().contains("1 row(s) lack what the archive demands"),
        "{done:#}"
    );
    assert_eq!(one(&session, "SELECT count(*) FROM public.audit_log_archive"), "1");
}

#[test]
fn a_user_who_is_deleted_meanwhile_takes_no_row_along() {
    let db = filled();
    let session = db.session();
    let before = audit_rows(&session);
    let users = one(
        &session,
        "SELECT string_agg(quote_literal(id), ',') FROM (SELECT u.id FROM public.\"user\" u JOIN public.audit_log l ON l.user_id = u.id WHERE u.role <> 'admin' GROUP BY u.id ORDER BY u.id LIMIT 3) x",
    );
    let running = markenmate(&["cleanup", "audit", "--yes", "--batch-time", "1ms"]).db(&db).spawn();
    for user in users.split(',') {
        session.sql(&format!(
            "UPDATE public.audit_log SET target_user_id = NULL WHERE target_user_id = {user}"
        ));
        session.sql(&format!("DELETE FROM public.\"user\" WHERE id = {user}"));
    }
    running.wait().assert_code(0);
    let count = |rows: &str| rows.split(' ').next().unwrap().to_owned();
    assert_eq!(count(&audit_rows(&session)), count(&before));
}

#[test]
fn code_of_others_never_runs_with_our_rights_and_nothing_is_swallowed() {
    let db = TestDb::baseline();
    let session = db.session();
    session.sql("DO $$ BEGIN CREATE ROLE cleanup_app LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$");
    session.sql(&crate::support::state::owned_by("cleanup_app"));
    session.sql(&format!("GRANT CREATE ON DATABASE {} TO cleanup_app", db.name));
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    session.sql(FILL);
    // As the superuser, for the owner.
    let done = cleanup(&db, &["audit", "--yes"]).assert_code(0).json();
    assert!(job(&done, "audit")["archived"].as_u64() > Some(0), "{done:#}");
    session.sql("TRUNCATE public.audit_log, public.step_up_token");
    session.sql(FILL);
    session.sql(
        "CREATE FUNCTION public.climb() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER climb BEFORE DELETE ON public.audit_log FOR EACH ROW EXECUTE FUNCTION public.climb();
         ALTER FUNCTION public.climb() OWNER TO cleanup_app",
    );
    let archived = one(&session, "SELECT count(*) FROM markenmate.audit_log_archive");
    let refused = cleanup(&db, &["audit", "--yes"]).assert_code(4);
    assert!(refused.stdout.contains("climb"), "{}", refused.stdout);
    assert_eq!(one(&session, "SELECT count(*) FROM markenmate.audit_log_archive"), archived);
    // The owner's own trigger is the owner's: what it keeps from leaving is not archived either, and said.
    let kept = markenmate(&["cleanup", "audit", "--yes", "--format", "json"]);
    let kept = kept.url(&db.url_as("cleanup_app")).run();
    assert!(kept.stdout.contains("look for triggers"), "{}", kept.stdout);
    kept.assert_code(4);
    assert_eq!(one(&session, "SELECT count(*) FROM markenmate.audit_log_archive"), archived);
    // Before the guards, and without a migration of ours.
    let bare = TestDb::baseline();
    let refused = cleanup(&bare, &["app-log", "--yes"]).assert_code(4);
    assert!(refused.stdout.contains("markenmate migrate"), "{}", refused.stdout);
    sql(&bare, &schema_file("V2__security_hardening.sql"));
    cleanup(&bare, &["--yes"]).assert_code(4);
}

#[test]
fn a_member_of_the_owner_becomes_it() {
    let db = TestDb::baseline();
    let session = db.session();
    session.sql(
        "DO $$ BEGIN CREATE ROLE cleanup_owner; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
         DO $$ BEGIN CREATE ROLE cleanup_member LOGIN NOINHERIT IN ROLE cleanup_owner; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
    );
    session.sql(&crate::support::state::owned_by("cleanup_owner"));
    session.sql(&format!("GRANT CREATE ON DATABASE {} TO cleanup_owner", db.name));
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    session.sql(FILL);
    let done = markenmate(&["cleanup", "--yes", "--format", "json"]);
    let done = done.url(&db.url_as("cleanup_member")).run().assert_code(0).json();
    assert!(job(&done, "audit")["archived"].as_u64() > Some(0), "{done:#}");
}

#[test]
fn at_a_terminal_it_asks_once_and_the_tables_fit() {
    let db = filled();
    let mut terminal = on_a_terminal(markenmate(&["cleanup"]).db(&db));
    terminal.expect("audit_log_archive").expect("Go on? [y/N]").send_line("y");
    terminal.expect("rows gone").expect("next: markenmate status");
    let (screen, code) = terminal.finish();
    assert_eq!(code, 0, "{screen}");
    let table = screen.lines().filter(|line| line.starts_with('│') || line.starts_with('┌'));
    for line in table {
        assert!(line.trim_end().chars().count() <= 80, "{line}");
    }
}
