//! `stats`: every metric by its value, on rows made for it.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use markenmate::stats::registry::ALL;
use serde_json::Value;

use crate::support::own_server::Standby;
use crate::support::pty::on_a_terminal_of;
use crate::support::state::{fingerprint, one};
use crate::support::{Run, Session, TestDb, database_on, markenmate, sql, start, wait_until};

const PACKAGING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/prometheus");

fn stats(db: &TestDb, args: &[&str]) -> Run {
    markenmate(&[&["stats", "--format", "json"], args].concat()).db(db).run()
}

/// The value of a metric with these labels; none where there is none.
fn value(document: &Value, id: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let metrics = document["data"]["metrics"].as_array().unwrap();
    let has = |metric: &&Value| {
        metric["id"] == id && labels.iter().all(|(name, text)| metric["labels"][name] == *text)
    };
    let found: Vec<_> = metrics.iter().filter(has).collect();
    assert!(found.len() <= 1, "{id} {labels:?}: {found:?}");
    found.first().map(|metric| metric["value"].as_f64().unwrap())
}

#[track_caller]
fn assert_value(document: &Value, id: &str, expected: f64) {
    assert_close(document, id, &[], expected);
}

/// Ages and rates move with the clock.
#[track_caller]
fn assert_close(document: &Value, id: &str, labels: &[(&str, &str)], expected: f64) {
    let seen = value(document, id, labels).unwrap_or_else(|| panic!("no {id}: {document}"));
    let slack = if expected == 0.0 { 0.0 } else { expected.abs() * 0.002 };
    let age = if id.ends_with("oldest") || id.ends_with("age") { 60.0 } else { 0.0 };
    assert!((seen - expected).abs() <= slack + age, "{id} {labels:?}: {seen}, not {expected}");
}

fn skipped(document: &Value, id: &str) -> Option<String> {
    let all = document["data"]["skipped"].as_array().unwrap();
    let found = all.iter().find(|entry| entry["id"] == id)?;
    Some(found["reason"].as_str().unwrap().to_owned())
}

fn findings(document: &Value) -> Vec<&str> {
    let all = document["findings"].as_array().unwrap();
    all.iter().map(|finding| finding["id"].as_str().unwrap()).collect()
}

fn seconds(days: f64) -> f64 {
    days * 86_400.0
}

/// Audit rows, tokens, runs and counters of which each number below is known.
fn fill(db: &TestDb) {
    sql(
        db,
        "DELETE FROM public.audit_log; DELETE FROM public.step_up_token; DELETE FROM public.app_log;
         INSERT INTO public.\"user\" (id, name, email) VALUES ('a1', 'A', 'a1@x'), ('a2', 'B', 'a2@x');
         INSERT INTO public.audit_log (user_id, action, metadata, correlation_id, created_at)
              SELECT 'a1', 'STEP_UP_AUTH_FAILURE', NULL, 'c', now() - interval '1 hour' FROM generate_series(1, 7)
               UNION ALL
              SELECT 'a2', 'STEP_UP_AUTH_FAILURE', NULL, NULL, now() - interval '2 hours' FROM generate_series(1, 2)
               UNION ALL
              SELECT 'a2', 'STEP_UP_AUTH_FAILURE', NULL, 'c', now() - interval '30 hours'
               UNION ALL
              SELECT 'a2', 'AUTHZ_FAILURE_TOGGLE_ADMIN_ROLE', '{\"reason\":\"x\"}', 'c', now() - interval '3 hours'
                FROM generate_series(1, 3)
               UNION ALL
              SELECT 'a1', 'AUTHZ_FAILURE_EXPORT', NULL, 'c', now() - interval '3 hours'
               UNION ALL
              SELECT 'a1', 'LENDING_UPDATE', m, 'c', now() - interval '4 hours'
                FROM (VALUES ('{\"error\":\"version_mismatch\"}'), ('{ \"error\" : \"version_mismatch\" }'), ('{\"error\":\"other\"}'),
                             ('{\"error\":\"version_mismatch'), (NULL), ('no JSON')) v(m)
               UNION ALL
              SELECT 'a1', 'LENDING_CREATE', NULL, 'c', now() - interval '100 days';
         INSERT INTO public.step_up_token (token, user_id, used, created_at, expires_at)
              SELECT 'fresh' || n, 'a1', n = 1, now() - interval '1 minute', now() + interval '9 minutes' FROM generate_series(1, 3) n
               UNION ALL
              SELECT 'late' || n, 'a1', n <= 2, now() - interval '5 hours', now() - interval '4 hours' FROM generate_series(1, 5) n
               UNION ALL
              SELECT 'old', 'a1', false, now() - interval '3 days', now() - interval '3 days';
         INSERT INTO public.app_log (message, correlation_id, created_at)
              SELECT 'm', CASE WHEN n = 1 THEN 'c' END, now() - interval '1 hour' FROM generate_series(1, 4) n
               UNION ALL SELECT 'm', NULL, now() - interval '50 days';
         INSERT INTO markenmate.cleanup (job, run_id, cut_off, finished_at, outcome) VALUES
             ('tokens', 'r', now(), now() - interval '30 minutes', 'done'),
             ('tokens', 'r', now(), now() - interval '1 minute', 'stopped'),
             ('audit', 'r', now(), now() - interval '40 days', 'done'),
             ('audit', 'r', now(), NULL, NULL);
         UPDATE markenmate.refinery_schema_history
            SET applied_on = to_char(now() - interval '10 days', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') WHERE version = 3;
         SELECT nextval('markenmate.lending_conflicts') FROM generate_series(1, 250);
         CREATE TABLE public.\"Dead \"\"one\" (id int) WITH (autovacuum_enabled = off);
         INSERT INTO public.\"Dead \"\"one\" SELECT generate_series(1, 20000)",
    );
    // What a transaction did is counted when its session ends.
    sql(db, "DELETE FROM public.\"Dead \"\"one\" WHERE id <= 15000");
    let dead = "SELECT n_dead_tup FROM pg_stat_all_tables WHERE relname = 'Dead \"one'";
    assert!(wait_until(Duration::from_secs(20), || one(&db.session(), dead) == "15000"));
}

#[test]
fn every_metric_has_the_value_that_the_rows_give_it() {
    let db = TestDb::migrated();
    fill(&db);
    let before = fingerprint(&db.session());
    let run = stats(&db, &[]).assert_code(0);
    let seen = run.json();
    for (id, expected) in [
        ("version-conflicts", 250.0),
        ("version-conflict-rate", 25.0),
        ("version-mismatches", 2.0),
        ("step-up-conflicts", 0.0),
        ("step-up-failures", 9.0),
        ("role-failures", 3.0),
        ("tokens-issued", 8.0),
        ("tokens-used", 3.0),
        ("tokens-expired", 6.0),
        ("tokens-waiting", 2.0),
        ("correlation-ids", 17.0 / 19.0),
        ("log-correlation-ids", 0.25),
        ("audit-growth", 19.0),
        ("audit-oldest", seconds(100.0)),
        ("app-log-oldest", seconds(50.0)),
        ("tokens-oldest", seconds(3.0)),
        ("cleanup-tokens-age", 1800.0),
        ("cleanup-audit-age", seconds(40.0)),
    ] {
        assert_value(&seen, id, expected);
    }
    assert_eq!(value(&seen, "cleanup-app-log-age", &[]), None);
    for (id, actor, expected) in [
        ("step-up-failures-by-actor", "a1", Some(7.0)),
        ("step-up-failures-by-actor", "a2", Some(2.0)),
        ("role-failures-by-actor", "a1", None),
        ("role-failures-by-actor", "a2", Some(3.0)),
    ] {
        assert_eq!(value(&seen, id, &[("actor", actor)]), expected, "{id} {actor}");
    }
    let dead = [("table", "public.\"Dead \"\"one\"")];
    assert_close(&seen, "table-rows", &dead, 5000.0);
    assert_close(&seen, "table-dead-rows", &dead, 15_000.0);
    assert_close(&seen, "table-dead-ratio", &dead, 0.75);
    assert_eq!(value(&seen, "table-growth", &dead), None, "it does not say when");
    assert_close(&seen, "table-growth", &[("table", "public.audit_log")], 19.0);
    assert_close(&seen, "table-growth", &[("table", "public.app_log")], 4.0);
    let size = one(&db.session(), "SELECT pg_total_relation_size('public.audit_log')");
    assert_close(&seen, "table-bytes", &[("table", "public.audit_log")], size.parse().unwrap());
    assert!(value(&seen, "table-bytes", &[("table", "markenmate.ledger")]).is_some());

    // The window is the caller's.
    let wide = stats(&db, &["--since", "48h"]).assert_code(0).json();
    assert_value(&wide, "step-up-failures", 10.0);
    assert_value(&wide, "audit-growth", 10.0);
    let narrow = stats(&db, &["--since", "30m"]).assert_code(0).json();
    assert_value(&narrow, "tokens-issued", 3.0);
    assert_eq!(value(&narrow, "correlation-ids", &[]), None, "no row, no ratio");

    let mut over = findings(&seen);
    over.sort_unstable();
    assert_eq!(
        over,
        [
            "cleanup-audit-age",
            "correlation-ids",
            "step-up-failures-by-actor",
            "table-dead-ratio",
            "tokens-oldest",
            "version-conflict-rate"
        ]
    );
    let finding = |id: &str| {
        seen["findings"].as_array().unwrap().iter().find(|f| f["id"] == id).unwrap().clone()
    };
    assert_eq!(
        finding("step-up-failures-by-actor")["remedy"],
        "see what else: markenmate stats audit --actor a1"
    );
    assert_eq!(finding("step-up-failures-by-actor")["detail"], "7 is more than 5");
    assert!(
        finding("table-dead-ratio")["remedy"]
            .as_str()
            .unwrap()
            .starts_with("VACUUM (ANALYZE) public.\"Dead \"\"one\";")
    );
    assert!(
        finding("version-conflict-rate")["remedy"]
            .as_str()
            .unwrap()
            .contains("increase retry logic in UI")
    );
    assert_eq!(fingerprint(&db.session()), before, "it only reads");
}

#[test]
fn a_threshold_decides_what_is_over_and_fail_on_the_exit_code() {
    let db = TestDb::migrated();
    sql(&db, "DELETE FROM public.audit_log; INSERT INTO public.audit_log (user_id, action, correlation_id)
              SELECT min(id), 'X', 'c' FROM public.\"user\"");
    assert_eq!(findings(&stats(&db, &["--fail-on", "warning"]).assert_code(0).json()), [""; 0]);
    let grows = ["--threshold", "audit-growth=0.5"];
    let run = stats(&db, &grows).assert_code(0).json();
    assert_eq!(findings(&run), ["audit-growth"]);
    assert!(run["findings"][0]["remedy"].as_str().unwrap().contains("markenmate cleanup audit"));
    let metric = run["data"]["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .find(|m| m["id"] == "audit-growth")
        .unwrap();
    assert_eq!(
        (&metric["threshold"], &metric["over"], &metric["unit"]),
        (&0.5.into(), &true.into(), &"per_day".into())
    );
    let run = stats(&db, &[&grows[..], &["--fail-on", "warning"]].concat()).assert_code(3).json();
    assert_eq!(run["outcome"], "findings");
    let none = ["--threshold", "audit-growth=none", "--fail-on", "warning"];
    stats(&db, &[&grows[..], &none].concat()).assert_code(0);
    let human =
        markenmate(&["stats", "--threshold", "audit-growth=0.5"]).db(&db).run().assert_code(0);
    assert!(human.stdout.contains("┆ OVER │"), "{}", human.stdout);
    for (wrong, said) in [
        (["--threshold", "audit-grow=1"], "there is no metric"),
        (["--threshold", "audit-growth"], "ID=VALUE"),
        (["--threshold", "audit-insert=-1"], "10.00ms"),
        (["--since", "2999-01-01T00:00:00Z"], "nothing was written since then"),
        (["--since", "0s"], "nothing was written since then"),
        (["--since", "-2h"], ""),
        (["--fail-on", "error"], "warning"),
        (["--prometheus", "-"], "both want standard output"),
        (["--prometheus", "no/such/folder/x.prom"], "there is no folder"),
        (["--prometheus", "/"], "it is a folder"),
    ] {
        let run = stats(&db, &wrong).assert_code(2);
        assert!(run.stdout.contains(said), "{wrong:?}: {}", run.stdout);
    }
    let listed = markenmate(&["stats", "--dry-run"]).db(&db).run().assert_code(0);
    for metric in &ALL {
        assert!(listed.stdout.contains(&format!("- {}: ", metric.id)), "{}", metric.id);
    }
}

/// What promtool says to it.
fn promtool(args: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new("promtool")
        .args(args)
        .current_dir(PACKAGING)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, which scripts/test installs");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn prometheus_reads_what_is_written_hostile_names_included() {
    let db = TestDb::migrated();
    fill(&db);
    sql(
        &db,
        "CREATE TABLE public.\"back\\slash \"\"quoted\"\" {x=\"\"y\"\"}\n# TYPE evil counter\" (created_at timestamptz);
         INSERT INTO public.\"user\" (id, name, email) VALUES (E'\u{1b}[31m\\n\"} 1\\\\', 'H', 'h@x');
         INSERT INTO public.audit_log (user_id, action, correlation_id)
              SELECT E'\u{1b}[31m\\n\"} 1\\\\', 'STEP_UP_AUTH_FAILURE', 'c' FROM generate_series(1, 9)",
    );
    let run = markenmate(&["stats", "--prometheus", "-"]).db(&db).run().assert_code(0);
    assert_eq!(
        promtool(&["check", "metrics"], &run.stdout),
        (true, String::new()),
        "{}",
        run.stdout
    );
    assert!(!run.stdout.contains("NaN") && !run.stdout.contains("app_log_age"), "{}", run.stdout);
    assert!(
        run.stdout.lines().all(|line| line.starts_with('#') || line.starts_with("markenmate_")),
        "{}",
        run.stdout
    );
    let line = |text: &str| run.stdout.lines().any(|line| line == text);
    let database = format!("database=\"{}\"", db.name);
    assert!(line("# TYPE markenmate_version_conflicts_total counter"));
    assert!(line(&format!("markenmate_version_conflicts_total{{{database}}} 250")));
    assert!(
        line(&format!(
            "markenmate_step_up_failures_by_actor{{{database},actor=\"\u{1b}[31m\\n\\\"}} 1\\\\\"}} 9"
        )),
        "{}",
        run.stdout
    );
    assert!(line(&format!("markenmate_stats_window_seconds{{{database}}} 86400")));
    assert!(run.stderr.contains("warning: step-up-failures-by-actor"), "{}", run.stderr);
    // An id that is no plain word is not repeated in something to paste.
    assert!(run.stderr.contains("--actor ID") && !run.stderr.contains('\u{1b}'), "{}", run.stderr);
    // What is no document is no metric: the parser is one.
    assert!(!promtool(&["check", "metrics"], "markenmate_x{a=\"b} 1\n").0);
}

#[test]
fn the_file_is_put_in_its_place_whole_and_everybody_may_read_it() {
    let db = TestDb::migrated();
    let file = db.folder().join("m.prom");
    std::fs::write(&file, "old").unwrap();
    let invocation = markenmate(&[
        "stats",
        "--prometheus",
        "m.prom",
        "--fail-on",
        "warning",
        "--threshold",
        "audit-growth=0",
        "--threshold",
        "tokens-waiting=0",
    ])
    .db(&db);
    let bare = invocation.command();
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", "umask 077; exec \"$0\" \"$@\""])
        .arg(bare.get_program())
        .args(bare.get_args());
    shell
        .env_clear()
        .envs(bare.get_envs().filter_map(|(n, v)| Some((n, v?))))
        .current_dir(db.folder());
    sql(
        &db,
        "INSERT INTO public.audit_log (user_id, action, correlation_id) SELECT min(id), 'X', 'c' FROM public.\"user\"",
    );
    let output = shell.output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("over their threshold"),
        "the report, too"
    );
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(promtool(&["check", "metrics"], &text), (true, String::new()));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    let left: Vec<_> =
        std::fs::read_dir(db.folder()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["m.prom"]);
    // Where the database cannot be read the file stays, and tells its age.
    markenmate(&["stats", "--prometheus", "m.prom"])
        .db(&db)
        .url("postgresql://postgres@/gone?host=/nowhere")
        .run()
        .assert_code(5);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
}

#[test]
fn the_shipped_alerts_name_our_metrics_and_pass_their_tests() {
    let (passed, said) = promtool(&["check", "rules", "markenmate.rules.yml"], "");
    assert!(passed, "{said}");
    let (passed, said) = promtool(&["test", "rules", "markenmate.test.yml"], "");
    assert!(passed, "{said}");
    let read = |name: &str| std::fs::read_to_string(Path::new(PACKAGING).join(name)).unwrap();
    let (rules, tests) = (read("markenmate.rules.yml"), read("markenmate.test.yml"));
    assert!(rules.contains("Failed sign-ins are NOT among them"));
    let printed = markenmate(&["util", "alerts"]).run().assert_code(0);
    assert_eq!(printed.stdout.trim_end(), rules.trim_end());
    let known: BTreeSet<&str> =
        ALL.iter().map(|m| m.name).chain(["markenmate_stats_read_timestamp_seconds"]).collect();
    let words = |text: &str| {
        let mut found = BTreeSet::new();
        for (at, _) in text.match_indices("markenmate_") {
            let word: String =
                text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            found.insert(word);
        }
        found
    };
    for name in words(&rules) {
        assert!(known.contains(name.as_str()), "{name} is no metric");
    }
    assert_eq!(words(&rules), words(&tests), "every metric of an alert is in a test");
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        let tested = format!("alertname: {alert}\n");
        assert_eq!(tests.matches(&tested).count(), 2, "{alert}: once raised, once not");
    }
}

#[test]
fn statements_are_counted_where_the_server_counts_them() {
    let db = TestDb::migrated();
    let seen = stats(&db, &[]).assert_code(0).json();
    let reason = skipped(&seen, "audit-insert").unwrap();
    assert!(
        reason.contains("shared_preload_libraries") && reason.contains("CREATE EXTENSION"),
        "{reason}"
    );

    let server = start(&[
        ("shared_preload_libraries", "pg_stat_statements"),
        ("pg_stat_statements.track", "all"),
    ]);
    let files = ["V1__baseline.sql", "V2__security_hardening.sql"];
    let url = database_on(&server, "live", &files);
    let other = database_on(&server, "other", &files);
    let live = Session::open(&url);
    let read =
        |url: &str| markenmate(&["stats", "--format", "json"]).url(url).run().assert_code(0).json();
    let reason = skipped(&read(&url), "version-check").unwrap();
    assert!(
        reason.ends_with("to enable it: in this database: CREATE EXTENSION pg_stat_statements;"),
        "{reason}"
    );

    live.sql(
        "CREATE SCHEMA \"Odd \"\"one\"; CREATE EXTENSION pg_stat_statements SCHEMA \"Odd \"\"one\"",
    );
    let seen = read(&url);
    assert_value(&seen, "audit-writes", 0.0);
    assert_eq!(
        value(&seen, "audit-insert", &[]),
        None,
        "nothing was written, so nothing took long"
    );

    live.sql("INSERT INTO public.\"user\" (id, name, email) VALUES ('u', 'U', 'u@x')");
    live.sql("INSERT INTO public.token_lending (id, user_id, person_name, token_count) VALUES (1, 'u', 'P', 1)");
    live.sql("CREATE TABLE public.audit_log_copy (user_id text, action text)");
    live.sql("CREATE SCHEMA audit_log; CREATE TABLE audit_log.x (user_id text, action text)");
    live.sql("SELECT \"Odd \"\"one\".pg_stat_statements_reset()");
    let insert = |into: &str| live.sql(&format!("{into} (user_id, action) VALUES ('u', 'X')"));
    // As the application writes it, and as others may.
    for into in [
        "insert into \"audit_log\"",
        "insert into \"public\".\"audit_log\"",
        "INSERT  INTO audit_log",
        "Insert Into public.audit_log",
        "/* by: app */ insert into \"audit_log\"",
        "-- by: app\nINSERT INTO\n\t\"audit_log\"",
    ] {
        insert(into);
    }
    insert("INSERT INTO audit_log_copy");
    insert("INSERT INTO audit_log.x");
    for update in [
        "update \"token_lending\" set \"token_count\" = 2, \"version\" = \"token_lending\".\"version\" + 1 where (\"token_lending\".\"id\" = 1 and \"token_lending\".\"version\" = 1)",
        "UPDATE public.token_lending SET version = version + 1 WHERE id = 1 AND version = 2",
        // Accepting compares none, be it that it returns one.
        "update \"token_lending\" set \"acceptance_status\" = 'accepted' where \"id\" = 1",
        "update \"token_lending\" set \"acceptance_status\" = 'accepted' where \"id\" = 1 returning \"id\", \"version\"",
    ] {
        live.sql(update);
    }
    let elsewhere = Session::open(&other);
    elsewhere.sql("INSERT INTO public.\"user\" (id, name, email) VALUES ('u', 'U', 'u@x')");
    elsewhere.sql("insert into \"audit_log\" (user_id, action) VALUES ('u', 'X')");
    let seen = read(&url);
    assert_value(&seen, "audit-writes", 6.0);
    assert_value(&seen, "version-checks", 2.0);
    let total = |like: &str| -> f64 {
        let sql = format!(
            "SELECT sum(total_exec_time) FROM \"Odd \"\"one\".pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
              WHERE d.datname = 'live' AND {like}"
        );
        one(&live, &sql).parse().unwrap()
    };
    let inserts =
        total("query ~* 'insert' AND query ~* 'audit_log' AND query !~ 'copy|audit_log\\.x|pg_'");
    assert_value(&seen, "audit-write-time", inserts);
    assert_value(&seen, "audit-insert", inserts / 6.0);
    let updates = total("query ~* '^update' AND query !~ 'acceptance'");
    assert_value(&seen, "version-check-time", updates);
    assert_value(&seen, "version-check", updates / 2.0);

    // Slow ones are over: as the guide has it, 10 ms and 2 ms.
    live.sql("CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.2); RETURN NULL; END';
              CREATE TRIGGER slow AFTER INSERT ON public.audit_log FOR EACH ROW EXECUTE FUNCTION public.slow();
              CREATE TRIGGER slow AFTER UPDATE ON public.token_lending FOR EACH ROW EXECUTE FUNCTION public.slow()");
    insert("insert into \"audit_log\"");
    live.sql("update token_lending set version = version + 1 where id = 1 and version = 3");
    let seen = read(&url);
    let mut over = findings(&seen);
    over.retain(|id| id.starts_with("audit-insert") || id.starts_with("version-check"));
    assert_eq!(over, ["audit-insert", "version-check"]);

    // Whom statements of others are not shown is told so, and no figure.
    live.sql("CREATE ROLE blind LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO blind; GRANT USAGE ON SCHEMA public TO blind");
    let blind = read(&url.replacen("postgres@", "blind@", 1));
    assert!(
        skipped(&blind, "audit-writes").unwrap().contains("GRANT pg_read_all_stats TO blind"),
        "{blind}"
    );
    live.sql("GRANT pg_read_all_stats TO blind; GRANT USAGE ON SCHEMA \"Odd \"\"one\" TO blind");
    assert_value(&read(&url.replacen("postgres@", "blind@", 1)), "audit-writes", 7.0);

    // An extension that was never updated has other columns.
    live.sql(
        "DROP EXTENSION pg_stat_statements; CREATE EXTENSION pg_stat_statements VERSION '1.4'",
    );
    assert_value(&read(&url), "audit-writes", 7.0);
    assert!(value(&read(&url), "audit-insert", &[]).unwrap() > 10.0);
}

#[test]
fn a_reader_a_stranger_and_a_baseline_are_told_what_is_skipped() {
    let db = TestDb::migrated();
    fill(&db);
    let role = format!("reads_{}", db.name);
    sql(
        &db,
        &format!(
            "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA public TO {role};
             GRANT SELECT ON public.audit_log, public.\"user\" TO {role};
             ALTER ROLE {role} SET default_transaction_read_only = on"
        ),
    );
    let as_role = || {
        markenmate(&["stats", "--format", "json"])
            .db(&db)
            .url(&db.url_as(&role))
            .run()
            .assert_code(0)
            .json()
    };
    let seen = as_role();
    assert_value(&seen, "step-up-failures", 9.0);
    // A watch that lost its rights is not well.
    let watch = markenmate(&["stats", "--fail-on", "warning", "--format", "json"]);
    let watch = watch.db(&db).url(&db.url_as(&role)).run().assert_code(3).json();
    let unread = watch["findings"].as_array().unwrap();
    let unread = unread.iter().find(|finding| finding["id"] == "not-read").unwrap();
    assert!(unread["subject"].as_str().unwrap().contains("tokens-expired"), "{unread:#}");
    assert!(
        skipped(&seen, "tokens-issued").unwrap().starts_with("may not be read: permission denied"),
        "{seen}"
    );
    assert!(
        skipped(&seen, "version-conflicts").unwrap().contains("may not read schema markenmate"),
        "{seen}"
    );
    assert_close(&seen, "table-growth", &[("table", "public.audit_log")], 19.0);
    assert_eq!(value(&seen, "table-growth", &[("table", "public.app_log")]), None);
    sql(&db, &format!("GRANT USAGE ON SCHEMA markenmate TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA public, markenmate TO {role};
                       GRANT SELECT ON ALL SEQUENCES IN SCHEMA markenmate TO {role}"));
    let seen = as_role();
    assert_value(&seen, "version-conflicts", 250.0);
    assert_value(&seen, "tokens-expired", 6.0);
    sql(&db, &format!("DROP OWNED BY {role}; DROP ROLE {role}"));

    let baseline = TestDb::baseline();
    let seen = stats(&baseline, &["--fail-on", "warning"]).assert_code(0).json();
    assert_eq!(
        skipped(&seen, "audit-growth").unwrap(),
        "there is no public.audit_log.created_at: markenmate migrate"
    );
    assert!(skipped(&seen, "version-conflicts").unwrap().contains("needs version 3"));
    assert!(
        skipped(&seen, "cleanup-tokens-age")
            .unwrap()
            .contains("needs version 4 of schema markenmate")
    );
    assert!(value(&seen, "app-log-oldest", &[]).is_some());
    assert!(value(&seen, "table-bytes", &[("table", "public.\"user\"")]).is_some());
    // A table of another shape is said to be one, and the rest is read.
    let odd = TestDb::migrated();
    sql(
        &odd,
        "DROP TABLE public.step_up_token; CREATE TABLE public.step_up_token (used int, expires_at text, created_at text)",
    );
    let seen = stats(&odd, &[]).assert_code(0).json();
    assert!(skipped(&seen, "tokens-used").unwrap().contains("SQLSTATE 42"), "{seen}");
    assert!(findings(&seen).contains(&"tokens-used"));
    assert!(value(&seen, "audit-growth", &[]).is_some());
}

#[test]
fn on_a_standby_too() {
    let server = start(&[]);
    let url = database_on(&server, "live", &[]);
    let primary = Session::open(&url);
    primary.sql(&crate::support::schema_file("V1__baseline.sql"));
    primary.sql(
        "INSERT INTO public.app_log (message, created_at) VALUES ('m', now() - interval '2 days'), ('n', '-infinity')",
    );
    markenmate(&["migrate", "--yes"]).url(&url).run().assert_code(0);
    primary.sql("ANALYZE public.app_log");
    drop(primary);
    let standby = Standby::of(&server);
    let url = standby.url("live");
    assert!(wait_until(Duration::from_secs(30), || standby.socket().exists()));
    let seen = markenmate(&["stats", "--format", "json"]).url(&url).run().assert_code(0).json();
    assert_eq!(seen["target"]["role"], "standby");
    assert_value(&seen, "app-log-oldest", seconds(2.0));
    assert_close(&seen, "table-rows", &[("table", "public.app_log")], 2.0);
    markenmate(&["stats", "audit"]).url(&url).run().assert_code(0);
}

#[test]
fn backups_and_rehearsals_have_an_age() {
    let db = TestDb::migrated();
    let seen = stats(&db, &["--fail-on", "warning"]).assert_code(0).json();
    assert!(skipped(&seen, "backup-age").unwrap().contains("there is no folder"), "{seen}");
    std::fs::create_dir(db.folder().join("backups")).unwrap();
    let run = stats(&db, &["--fail-on", "warning"]).assert_code(3).json();
    assert_eq!(findings(&run), ["backup-age"]);
    assert!(
        run["findings"][0]["detail"]
            .as_str()
            .unwrap()
            .contains("no verified backup of this database")
    );
    markenmate(&["backup", "-o", "backups/b.dump"]).db(&db).run().assert_code(0);
    let run = stats(&db, &[]).assert_code(0).json();
    assert!(
        skipped(&run, "backup-age").unwrap().contains("b.dump is there: markenmate backup verify"),
        "{run}"
    );
    markenmate(&["backup", "verify", "backups/b.dump"]).db(&db).run().assert_code(0);
    let run = stats(&db, &["--fail-on", "warning"]).assert_code(0).json();
    assert_value(&run, "backup-age", 0.0_f64.max(1.0));
    let run =
        stats(&db, &["--fail-on", "warning", "--threshold", "backup-age=0"]).assert_code(3).json();
    assert_eq!(findings(&run), ["backup-age"]);
    assert!(
        skipped(&run, "rehearsal-age").unwrap().contains("no rehearsal of this database"),
        "{run}"
    );
    // Another database's do not count.
    let other = TestDb::migrated();
    let other = markenmate(&["stats", "--format", "json"])
        .db(&other)
        .env("MARKENMATE_BACKUP_DIR", &db.folder().join("backups").to_string_lossy())
        .run()
        .assert_code(0)
        .json();
    assert!(
        skipped(&other, "backup-age").unwrap().contains("no verified backup of this database"),
        "{other}"
    );

    let fresh = TestDb::baseline();
    markenmate(&["rehearse"]).db(&fresh).run().assert_code(0);
    markenmate(&["migrate", "--yes"]).db(&fresh).run().assert_code(0);
    let run = stats(&fresh, &[]).assert_code(0).json();
    // The schema is another by now: the rehearsal is still one of this database.
    assert_close(&run, "rehearsal-age", &[("verdict", "pass")], 1.0);
}

#[test]
fn the_tables_fit_a_terminal_of_80_columns() {
    let db = TestDb::migrated();
    fill(&db);
    sql(&db, &format!("CREATE TABLE public.\"{}\" (id int);
        INSERT INTO public.\"user\" (id, name, email) VALUES ('{}', 'L', 'long@x');
        INSERT INTO public.audit_log (user_id, action, correlation_id) VALUES ('{1}', 'STEP_UP_AUTH_FAILURE', 'c')", "n".repeat(60), "i".repeat(70)));
    for args in [&["stats"][..], &["stats", "audit"]] {
        let (screen, code) = on_a_terminal_of(80, markenmate(args).db(&db)).finish();
        assert_eq!(code, 0, "{screen}");
        let tables: Vec<_> =
            screen.lines().filter(|line| line.starts_with(['│', '┌', '╞', '└'])).collect();
        assert!(tables.len() > 10, "{screen}");
        for line in tables {
            assert!(line.trim_end().chars().count() <= 80, "{line}");
        }
    }
}

/// What the server does not know is no zero.
#[test]
fn rows_that_nobody_counted_are_left_out() {
    let db = TestDb::migrated();
    let seen = stats(&db, &[]).assert_code(0).json();
    let user = [("table", "public.\"user\"")];
    assert_eq!(value(&seen, "table-rows", &user), None);
    assert_eq!(value(&seen, "table-dead-rows", &user), None);
    assert_eq!(value(&seen, "table-rows", &[("table", "public.step_up_token")]), Some(0.0));
    let unknown = |seen: &Value, table: &str| {
        let all = seen["data"]["skipped"].as_array().unwrap();
        let of = all.iter().find(|e| e["id"] == "table-rows" && e["labels"]["table"] == table);
        of.is_some_and(|entry| entry["reason"].as_str().unwrap().contains("ANALYZE"))
    };
    assert!(unknown(&seen, "public.\"user\"") && !unknown(&seen, "public.step_up_token"));
    // What has happened since the server forgot is not all that is there.
    sql(
        &db,
        "CREATE TABLE public.forgotten (n int) WITH (autovacuum_enabled = off); INSERT INTO public.forgotten SELECT generate_series(1, 3000);
         CREATE TABLE public.estimated (n int) WITH (autovacuum_enabled = off); INSERT INTO public.estimated SELECT generate_series(1, 3000);
         CREATE TABLE public.counted (n int) WITH (autovacuum_enabled = off); INSERT INTO public.counted SELECT generate_series(1, 3000)",
    );
    sql(&db, "ANALYZE public.estimated");
    let rows = |table: &str| {
        let seen = stats(&db, &[]).assert_code(0).json();
        (value(&seen, "table-rows", &[("table", table)]), unknown(&seen, table))
    };
    assert!(wait_until(Duration::from_secs(20), || rows("public.counted") == (Some(3000.0), false)));
    for table in ["forgotten", "estimated"] {
        let reset =
            format!("SELECT pg_stat_reset_single_table_counters('public.{table}'::regclass)");
        sql(&db, &reset);
        sql(&db, &format!("INSERT INTO public.{table} VALUES (0)"));
        let counted =
            format!("SELECT n_live_tup FROM pg_stat_all_tables WHERE relname = '{table}'");
        assert!(wait_until(Duration::from_secs(20), || one(&db.session(), &counted) == "1"));
    }
    sql(&db, "UPDATE public.\"user\" SET name = name");
    let updated =
        "SELECT n_tup_upd > 0 FROM pg_stat_all_tables WHERE relid = 'public.\"user\"'::regclass";
    assert!(wait_until(Duration::from_secs(20), || one(&db.session(), updated) == "t"));
    assert_eq!(rows("public.forgotten"), (None, true));
    assert_eq!(rows("public.estimated"), (Some(3000.0), false));
    assert_eq!(rows("public.\"user\""), (None, true), "no zero");
    let human = markenmate(&["stats"]).db(&db).run().assert_code(0).stdout;
    assert!(
        human.contains("unknown table-rows: the server has not counted them: ANALYZE"),
        "{human}"
    );
    let line = human.lines().find(|line| line.contains("│ forgotten ")).unwrap();
    assert!(line.contains("┆ unknown"), "{line}");
    sql(&db, "ANALYZE public.\"user\"");
    let rows: f64 = one(&db.session(), "SELECT count(*) FROM public.\"user\"").parse().unwrap();
    assert_close(&stats(&db, &[]).json(), "table-rows", &user, rows);
}

#[test]
fn whoever_locks_a_table_is_waited_for_and_a_member_reads_as_the_owner() {
    let db = TestDb::migrated();
    let holder = db.session();
    holder.sql("BEGIN; LOCK TABLE public.audit_log IN ACCESS EXCLUSIVE MODE");
    for args in [&["stats"][..], &["stats", "audit"]] {
        let run =
            markenmate(&[args, &["--max-wait", "300ms"]].concat()).db(&db).run().assert_code(7);
        assert!(run.stderr.contains("audit_log"), "{}", run.stderr);
    }
    let waits = markenmate(&["stats", "audit"]).db(&db).spawn();
    std::thread::sleep(Duration::from_millis(400));
    holder.sql("COMMIT");
    waits.wait().assert_code(0);

    let role = format!("member_{}", db.name);
    sql(&db, &format!("CREATE ROLE {role} LOGIN NOINHERIT; GRANT postgres TO {role}"));
    let member =
        |args: &[&str]| markenmate(args).db(&db).url(&db.url_as(&role)).run().assert_code(0);
    assert_value(&member(&["stats", "--format", "json"]).json(), "tokens-waiting", 0.0);
    member(&["stats", "audit"]);
    sql(&db, &format!("DROP ROLE {role}"));
}

/// As often as the server counts it; what a session did is counted once it has ended.
fn reads(db: &TestDb, table: &str) -> u64 {
    let sql = format!(
        "SELECT seq_scan + coalesce(idx_scan, 0) FROM pg_stat_all_tables WHERE relid = '{table}'::regclass"
    );
    one(&db.session(), &sql).parse().unwrap()
}

#[test]
fn a_scrape_reads_each_table_once() {
    let db = TestDb::migrated();
    fill(&db);
    let tables =
        ["public.audit_log", "public.step_up_token", "public.app_log", "markenmate.cleanup"];
    let settled = || {
        let mut before = Vec::new();
        assert!(wait_until(Duration::from_secs(20), || {
            std::thread::sleep(Duration::from_millis(600));
            let now: Vec<_> = tables.iter().map(|table| reads(&db, table)).collect();
            std::mem::replace(&mut before, now.clone()) == now
        }));
        before
    };
    let before = settled();
    stats(&db, &[]).assert_code(0);
    let expected: Vec<_> = before.iter().map(|reads| reads + 1).collect();
    assert!(wait_until(Duration::from_secs(20), || reads(&db, tables[0]) > before[0]));
    assert_eq!(settled(), expected, "{tables:?}");
}

/// A table, or a column of it, that is not there takes only what needs it.
#[test]
fn what_is_missing_takes_nothing_else_down() {
    let db = TestDb::migrated();
    fill(&db);
    sql(
        &db,
        "DROP TABLE public.step_up_token; ALTER TABLE public.audit_log DROP COLUMN metadata, DROP COLUMN correlation_id;
         ALTER TABLE public.app_log DROP COLUMN correlation_id; DROP TABLE public.ticket_comment",
    );
    let seen = stats(&db, &[]).assert_code(0).json();
    for id in ["tokens-issued", "tokens-used", "tokens-expired", "tokens-waiting"] {
        let reason = skipped(&seen, id).unwrap();
        assert_eq!(reason, "there is no public.step_up_token.used: markenmate migrate");
    }
    for (id, column) in [
        ("tokens-oldest", "step_up_token.created_at"),
        ("version-mismatches", "audit_log.metadata"),
        ("correlation-ids", "audit_log.correlation_id"),
        ("log-correlation-ids", "app_log.correlation_id"),
    ] {
        assert!(skipped(&seen, id).unwrap().contains(column), "{id}");
        assert_eq!(value(&seen, id, &[]), None);
    }
    for (id, expected) in [
        ("step-up-failures", 9.0),
        ("role-failures", 3.0),
        ("audit-growth", 19.0),
        ("audit-oldest", seconds(100.0)),
        ("app-log-oldest", seconds(50.0)),
        ("version-conflicts", 250.0),
        ("cleanup-audit-age", seconds(40.0)),
    ] {
        assert_value(&seen, id, expected);
    }
    assert_eq!(value(&seen, "step-up-failures-by-actor", &[("actor", "a1")]), Some(7.0));
    assert_close(&seen, "table-growth", &[("table", "public.audit_log")], 19.0);
    assert_close(&seen, "table-growth", &[("table", "public.app_log")], 4.0);
    assert!(value(&seen, "table-growth", &[("table", "public.session")]).is_some());
    // Empty is none of it, not unknown.
    sql(&db, "TRUNCATE public.audit_log; TRUNCATE public.app_log");
    let seen = stats(&db, &[]).assert_code(0).json();
    for id in ["step-up-failures", "role-failures", "audit-growth"] {
        assert_value(&seen, id, 0.0);
    }
    assert_eq!(value(&seen, "audit-oldest", &[]), None);
    assert_eq!(skipped(&seen, "audit-oldest"), None);
}

/// Zeros, or a way to it by `migrate`, would be wrong there.
#[test]
fn another_database_than_the_applications_is_refused() {
    let db = TestDb::empty();
    sql(&db, "CREATE TABLE public.invoices (id int, created_at timestamptz)");
    let servers = db.url.replacen(&db.name, "postgres", 1);
    for url in [db.url.as_str(), &servers] {
        for args in [&["stats"][..], &["stats", "audit"], &["stats", "--prometheus", "m.prom"]] {
            let run = markenmate(args).db(&db).url(url).run().assert_code(4);
            assert!(
                run.stderr.contains("none of the application's tables is in database"),
                "{}",
                run.stderr
            );
            assert!(run.stderr.contains("-d markenmate"), "{}", run.stderr);
            assert_eq!(run.stdout, "");
        }
    }
    assert!(!db.folder().join("m.prom").exists());
    // One that has lost some of them is the application's.
    let lost = TestDb::migrated();
    sql(&lost, "DROP TABLE public.\"user\" CASCADE; DROP TABLE public.step_up_token");
    assert!(value(&stats(&lost, &[]).assert_code(0).json(), "audit-growth", &[]).is_some());
}
