//! `verify`: what the audit log must have seen, how long its writes take, whether cleanup runs. Each by value on data
//! built for it.

use serde_json::Value;

use crate::support::{Session, TestDb, database_on, markenmate, sql, start};

const CHECKS: &str = "audit-coverage,performance,schedule,app-errors";

#[track_caller]
fn verify_at(url: &str, args: &[&str]) -> Value {
    let args = [&["verify", "--format", "json", "--only", CHECKS], args].concat();
    markenmate(&args).url(url).run().assert_code(0).json()
}

#[track_caller]
fn verify(db: &TestDb, args: &[&str]) -> Value {
    verify_at(&db.url, args)
}

/// Subjects and details of one check's findings, without the time at a detail's end.
fn found(document: &Value, id: &str) -> Vec<[String; 2]> {
    let all = document["findings"].as_array().unwrap().iter().filter(|f| f["id"] == id);
    let text =
        |value: &Value| value.as_str().unwrap().split(", since 20").next().unwrap().to_owned();
    all.map(|f| ["subject", "detail"].map(|key| text(&f[key]))).collect()
}

fn status(document: &Value, id: &str) -> [String; 2] {
    let all = document["data"]["checks"].as_array().unwrap();
    let check = all.iter().find(|check| check["id"] == id).unwrap();
    ["status", "detail"].map(|key| check[key].as_str().unwrap_or_default().to_owned())
}

/// A user, who is made an admin as the application does it.
fn user(id: &str, email: &str, since: &str) -> String {
    format!(
        "INSERT INTO public.\"user\" (id, name, email, created_at) VALUES ('{id}', 'x', '{email}', {since});
         UPDATE public.\"user\" SET role = 'admin' WHERE id = '{id}';"
    )
}

fn change(target: &str, role: &str, when: &str) -> String {
    format!(
        "INSERT INTO public.audit_log (user_id, action, target_user_id, metadata, created_at)
         SELECT min(id), 'CHANGE_ROLE', '{target}', '{{\"oldRole\":\"user\",\"newRole\":\"{role}\"}}', {when}
           FROM public.\"user\" WHERE role = 'admin';"
    )
}

/// The hardening was recorded an hour ago.
const AN_HOUR_AGO: &str = "UPDATE markenmate.refinery_schema_history
    SET applied_on = to_char((now() - interval '1 hour') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') WHERE version = 2;";

#[test]
fn admins_who_became_so_without_a_row_are_found() {
    let db = TestDb::migrated();
    sql(&db, AN_HOUR_AGO);
    // Who was an admin before, and the application's own first one, are no fault.
    sql(&db, &user("old", "old@x.org", "now() - interval '2 hours'"));
    sql(
        &db,
        "INSERT INTO public.\"user\" (id, name, email, created_at) VALUES ('seed', 'x', 'Admin@markenmate.app', now());
         UPDATE public.\"user\" SET role = 'admin' WHERE id = 'seed'",
    );
    // Promoted as it should be; its row was archived since.
    sql(&db, &user("kept", "kept@x.org", "now() - interval '30 minutes'"));
    sql(&db, &change("kept", "admin", "now() - interval '20 minutes'"));
    sql(
        &db,
        "WITH gone AS (DELETE FROM public.audit_log WHERE target_user_id = 'kept' RETURNING *)
         INSERT INTO markenmate.audit_log_archive (id, user_id, action, target_user_id, metadata, created_at)
         SELECT id, user_id, action, target_user_id, metadata, created_at FROM gone",
    );
    let document = verify(&db, &[]);
    assert_eq!(status(&document, "audit-coverage"), ["pass", ""]);

    sql(&db, &user("new", "new@x.org", "now() - interval '30 minutes'"));
    // Demoted by a row, and an admin again by none.
    sql(&db, &user("back", "back@x.org", "now() - interval '2 hours'"));
    sql(&db, &change("back", "admin", "now() - interval '30 minutes'"));
    sql(&db, &change("back", "user", "now() - interval '20 minutes'"));
    let document = verify(&db, &[]);
    let expected = "2 admin(s) became so without a CHANGE_ROLE, for example back@x.org";
    assert_eq!(found(&document, "audit-coverage"), [["public.\"user\".role", expected]]);
    assert_eq!(status(&document, "audit-coverage")[0], "warn");
    // From later on, neither is to be judged.
    let document = verify(&db, &["--since", "1s"]);
    assert_eq!(status(&document, "audit-coverage")[0], "pass");
    sql(&db, &change("new", "admin", "now()"));
    let document = verify(&db, &[]);
    assert!(found(&document, "audit-coverage")[0][1].starts_with("1 admin(s)"), "{document}");
}

#[test]
fn updates_and_step_ups_without_a_row_are_found() {
    let db = TestDb::migrated();
    sql(&db, AN_HOUR_AGO);
    let lending = |n: i32, version: i32, when: &str| {
        format!(
            "INSERT INTO public.token_lending (id, user_id, person_name, token_count, version, updated_at)
             SELECT {n}, min(id), 'x', 1, {version}, {when} FROM public.\"user\";"
        )
    };
    let update = |table: &str, n: &str| {
        format!(
            "INSERT INTO {table} (id, user_id, action, metadata, created_at)
             SELECT {n}000, min(id), 'LENDING_UPDATE', '{{\"lendingId\":{n},\"personName\":\"x\"}}', now() FROM public.\"user\";"
        )
    };
    // 900: never updated; 901: before the hardening; 902 and 903: by their rows, one of them archived.
    sql(&db, &lending(900, 1, "now()"));
    sql(&db, &lending(901, 2, "now() - interval '2 hours'"));
    sql(&db, &(lending(902, 2, "now()") + &update("public.audit_log", "902")));
    sql(&db, &(lending(903, 3, "now()") + &update("markenmate.audit_log_archive", "903")));
    let token = |n: i32, used: bool, when: &str| {
        format!(
            "INSERT INTO public.step_up_token (id, token, user_id, expires_at, used, created_at)
             SELECT {n}, 't{n}', min(id), {when} + interval '10 minutes', {used}, {when} FROM public.\"user\";"
        )
    };
    let step_up = |when: &str| {
        format!(
            "INSERT INTO public.audit_log (user_id, action, created_at)
             SELECT min(id), 'STEP_UP_AUTH_SUCCESS', {when} FROM public.\"user\";"
        )
    };
    sql(&db, &token(900, false, "now()"));
    sql(&db, &token(901, true, "now() - interval '2 hours'"));
    sql(
        &db,
        &(token(902, true, "now() - interval '30 minutes'")
            + &step_up("now() - interval '30 minutes 5 seconds'")),
    );
    assert_eq!(status(&verify(&db, &[]), "audit-coverage"), ["pass", ""]);

    // A row that is no JSON stops nothing, and none for another lending counts.
    sql(&db, &lending(904, 2, "now()"));
    sql(
        &db,
        "INSERT INTO public.audit_log (user_id, action, metadata)
         SELECT min(id), 'LENDING_UPDATE', 'lendingId 904 {' FROM public.\"user\"",
    );
    sql(&db, &update("public.audit_log", "90"));
    sql(&db, &token(903, true, "now()"));
    let document = verify(&db, &[]);
    assert_eq!(
        found(&document, "audit-coverage"),
        [
            [
                "public.token_lending.version",
                "1 lending(s) were updated without a LENDING_UPDATE, for example id 904"
            ],
            [
                "public.step_up_token.used",
                "1 token(s) were used without a STEP_UP_AUTH_SUCCESS, for example id 903"
            ],
        ]
    );
    sql(&db, &(update("public.audit_log", "904") + &step_up("now()")));
    assert_eq!(status(&verify(&db, &[]), "audit-coverage"), ["pass", ""]);
}

#[test]
fn what_left_for_files_is_not_asked_for() {
    let db = TestDb::migrated();
    sql(
        &db,
        "UPDATE markenmate.refinery_schema_history SET applied_on = '2025-01-01T00:00:00Z' WHERE version = 2",
    );
    // The first admin of all is nobody's to make.
    sql(&db, &user("first", "first@x.org", "'2025-02-15'"));
    sql(&db, &user("new", "new@x.org", "'2025-03-15'"));
    // The sample's own admins are of no interest here.
    let said = || found(&verify(&db, &[]), "audit-coverage")[0][1].clone();
    let others = sql(
        &db,
        "SELECT count(*) FROM public.\"user\" WHERE role = 'admin' AND created_at >= '2025-04-02'
                            AND email <> 'admin@markenmate.app'",
    );
    let others: u32 = others[0][0].as_ref().unwrap().parse().unwrap();
    assert!(said().starts_with(&format!("{} admin(s)", others + 1)), "{}", said());
    let file = "INSERT INTO markenmate.export (name, folder, archive, month, first_archive_id, last_archive_id, rows, checksum, state, run_id)
                VALUES ('f', '/x', 'audit_log_archive', '2025-03-01', 1, 1, 1, 1, 'done', 'r')";
    sql(&db, file);
    assert!(said().starts_with(&format!("{others} admin(s)")), "{}", said());
}

#[test]
fn a_job_that_does_not_run_is_found() {
    let db = TestDb::migrated();
    let token = "INSERT INTO public.step_up_token (token, user_id, expires_at)
                 SELECT 't', min(id), now() - interval '1 minute' FROM public.\"user\"";
    let old = "INSERT INTO public.audit_log (user_id, action, created_at)
               SELECT min(id), 'X', now() - interval '91 days' FROM public.\"user\"";
    // Runs can only just have been recorded: nothing is late yet.
    sql(&db, token);
    sql(&db, old);
    assert_eq!(status(&verify(&db, &[]), "schedule"), ["pass", ""]);
    sql(
        &db,
        "UPDATE markenmate.refinery_own_history SET applied_on = '2025-01-01T00:00:00Z' WHERE version = 4",
    );
    let document = verify(&db, &[]);
    assert_eq!(
        found(&document, "schedule"),
        [
            ["public.step_up_token", "cleanup tokens has never run; 1 expired token(s) wait"],
            ["public.audit_log", "cleanup audit has never run; 1 row(s) older than 90 days wait"],
        ]
    );
    let remedy = document["findings"][0]["remedy"].as_str().unwrap();
    assert!(remedy.starts_with("markenmate cleanup tokens;"), "{remedy}");

    let ran = |job: &str, ago: &str, outcome: &str| {
        format!(
            "TRUNCATE markenmate.cleanup; INSERT INTO markenmate.cleanup (job, run_id, cut_off, last_at, finished_at, outcome)
             VALUES ('{job}', 'r', now(), now() - interval '{ago}', now(), {outcome})"
        )
    };
    let late = |job: &str, ago: &str, outcome: &str| {
        sql(&db, &ran(job, ago, outcome));
        let document = verify(&db, &[]);
        found(&document, "schedule")
            .iter()
            .any(|[_, said]| said.starts_with(&format!("cleanup {job}")))
    };
    assert!(!late("tokens", "59 minutes", "'done'"));
    assert!(late("tokens", "61 minutes", "'done'"));
    assert!(!late("audit", "34 days", "'stopped'"));
    assert!(late("audit", "36 days", "'done'"));
    // It began, and did nothing.
    assert!(late("tokens", "1 minute", "'ended'"));
    assert!(late("tokens", "1 minute", "NULL"));
    // Where nothing waits, nobody is late.
    sql(
        &db,
        "DELETE FROM public.step_up_token; SET session_replication_role = replica; DELETE FROM public.audit_log",
    );
    sql(&db, "TRUNCATE markenmate.cleanup");
    assert_eq!(status(&verify(&db, &[]), "schedule"), ["pass", ""]);
    // As the remedy says.
    sql(&db, token);
    assert_eq!(status(&verify(&db, &[]), "schedule")[0], "warn");
    markenmate(&["cleanup", "tokens", "--yes"]).db(&db).run().assert_code(0);
    assert_eq!(status(&verify(&db, &[]), "schedule"), ["pass", ""]);
}

#[test]
fn where_runs_are_not_recorded_nothing_is_judged() {
    let db = TestDb::hardened();
    let document = markenmate(&["verify", "--format", "json"]).db(&db).run().json();
    let why = "runs of cleanup are not recorded yet: migrate begins that";
    for id in ["schedule", "audit-coverage"] {
        assert_eq!(status(&document, id), ["skipped", why]);
    }
}

/// `app_log` errors since the hardening, whenever the guards came, or since `--since`.
#[test]
fn errors_are_counted_from_the_hardening_on() {
    let db = TestDb::migrated();
    sql(&db, AN_HOUR_AGO);
    let error = |ago: &str| {
        let text = "INSERT INTO public.app_log (level, message, created_at) VALUES ('error', 'broken', now() - interval";
        sql(&db, &format!("{text} '{ago}')"))
    };
    error("2 hours");
    assert_eq!(status(&verify(&db, &[]), "app-errors"), ["pass", ""]);
    // Before the guards were recorded.
    error("30 minutes");
    let of = |args: &[&str]| found(&verify(&db, args), "app-errors").first().map(|f| f[1].clone());
    assert!(of(&[]).unwrap().starts_with("1 error(s) since "));
    assert_eq!(of(&["--since", "20m"]), None);
    assert!(of(&["--since", "3h"]).unwrap().starts_with("2 error(s) since "));
}

/// In any case, quoted or not, in whatever schema the extension is; and what others write is not taken for it.
#[test]
fn slow_statements_are_found() {
    let server = start(&[("shared_preload_libraries", "pg_stat_statements")]);
    let url = database_on(&server, "live", &["V1__baseline.sql", "V2__security_hardening.sql"]);
    let live = Session::open(&url);
    assert_eq!(status(&verify_at(&url, &[]), "performance")[0], "skipped");
    let why = status(&verify_at(&url, &[]), "performance")[1].clone();
    assert!(why.contains("CREATE EXTENSION pg_stat_statements"), "{why}");
    live.sql("CREATE SCHEMA \"Stats x\"; CREATE EXTENSION pg_stat_statements SCHEMA \"Stats x\"");
    live.sql("INSERT INTO public.\"user\" (id, name, email) VALUES ('u', 'x', 'u@x.org');
              INSERT INTO public.token_lending (user_id, person_name, token_count) VALUES ('u', 'x', 1)");
    live.sql("SELECT \"Stats x\".pg_stat_statements_reset()");
    let why = status(&verify_at(&url, &[]), "performance")[1].clone();
    assert!(why.contains("neither an audit row nor an update"), "{why}");

    let slow = |seconds: &str| format!("(SELECT 'u' FROM pg_sleep({seconds}))");
    let audit = |insert: &str, seconds: &str| {
        live.sql(&format!("{insert} VALUES ({}, 'A')", slow(seconds)))
    };
    // Quick, and what is slow is another table's.
    audit("insert into \"audit_log\" (\"user_id\", \"action\")", "0");
    live.sql("CREATE TABLE public.audit_log_mine (user_id text, action text)");
    audit("INSERT INTO audit_log_mine (user_id, action)", "0.05");
    live.sql(
        "UPDATE token_lending SET version = 1 WHERE user_id = (SELECT 'u' FROM pg_sleep(0.05))",
    );
    assert_eq!(status(&verify_at(&url, &[]), "performance"), ["pass", ""]);
    for insert in [
        "insert into \"audit_log\" (\"user_id\", \"action\")",
        "INSERT INTO audit_log(user_id, action)",
        "INSERT\n INTO \"public\".\"audit_log\" (user_id, action)",
    ] {
        live.sql("SELECT \"Stats x\".pg_stat_statements_reset()");
        audit(insert, "0.02");
        let found = found(&verify_at(&url, &[]), "performance");
        let [subject, detail] = &found[0];
        assert_eq!((found.len(), subject.as_str()), (1, "public.audit_log"));
        let ms: f64 = detail.split(' ').next().unwrap().parse().unwrap();
        assert!((20.0..200.0).contains(&ms), "{detail}");
        assert!(
            detail
                .ends_with("over 1 call(s) of insert into audit_log; the guide expects 5 to 10 ms"),
            "{detail}"
        );
    }
    for update in [
        "update \"token_lending\" set \"token_count\" = 2, \"version\" = 2 where (\"token_lending\".\"id\" = 1 and \"token_lending\".\"version\"",
        "UPDATE token_lending SET version = 2 WHERE (id = 1 AND version",
    ] {
        live.sql("SELECT \"Stats x\".pg_stat_statements_reset()");
        live.sql(&format!("{update} = (SELECT 1 FROM pg_sleep(0.005)))"));
        let found = found(&verify_at(&url, &[]), "performance");
        assert_eq!(found[0][0], "public.token_lending", "{found:?}");
        assert!(
            found[0][1].contains(
                "of version-checked update of token_lending; the guide expects 1 to 2 ms"
            )
        );
    }
    // Who may not see the statements of others says so, instead of that all is well.
    live.sql(
        "CREATE ROLE looker LOGIN; GRANT USAGE ON SCHEMA \"Stats x\", public TO looker;
         GRANT SELECT ON ALL TABLES IN SCHEMA public TO looker",
    );
    let document = verify_at(&url.replacen("postgres@", "looker@", 1), &[]);
    let [word, why] = status(&document, "performance");
    assert!(word == "skipped" && why.contains("GRANT pg_read_all_stats TO looker"), "{why}");
}
