//! `verify`: each check is broken once, and seen alone.

use markenmate::checks::registry::{self, Source};
use markenmate::sandbox::sample::{ORPHANS, Sample};
use serde_json::Value;

use crate::support::tls_server::TlsServer;
use crate::support::{Session, TestDb, markenmate, sql, start};

const SET_MASTER: &str = "UPDATE public.\"user\" SET is_master_admin = true \
    WHERE id = (SELECT id FROM public.\"user\" WHERE role = 'admin' ORDER BY created_at, id LIMIT 1);";

/// The second admin's, `Größe-Übung-7`, in place of the one of the app's source.
const CHANGE_PASSWORD: &str = "UPDATE public.account a SET password = other.password FROM public.account other \
       JOIN public.\"user\" o ON o.id = other.user_id AND o.email = 'Zweite.Admin@Example.de' \
      WHERE a.user_id = (SELECT id FROM public.\"user\" WHERE email = 'admin@markenmate.app');";

/// A migrated database with a master admin: every check holds.
fn sound() -> TestDb {
    let db = TestDb::baseline();
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    sql(&db, SET_MASTER);
    sql(&db, CHANGE_PASSWORD);
    db
}

/// Runs SQL as a superuser can, past every trigger.
fn past_guards(db: &TestDb, text: &str) {
    sql(db, &format!("SET session_replication_role = replica; {text}"));
}

#[track_caller]
fn verify(db: &TestDb, args: &[&str], code: i32) -> Value {
    let args = [&["verify", "--format", "json"], args].concat();
    markenmate(&args).db(db).run().assert_code(code).json()
}

/// Id, severity and subject of each finding.
fn found(document: &Value) -> Vec<[&str; 3]> {
    let all = document["findings"].as_array().unwrap().iter();
    all.map(|f| ["id", "severity", "subject"].map(|key| f[key].as_str().unwrap())).collect()
}

fn status<'a>(document: &'a Value, id: &str) -> [&'a str; 2] {
    let all = document["data"]["checks"].as_array().unwrap();
    let check = all.iter().find(|check| check["id"] == id).unwrap();
    [check["status"].as_str().unwrap(), check["detail"].as_str().unwrap_or_default()]
}

fn detail<'a>(document: &'a Value, id: &str) -> &'a str {
    let all = document["findings"].as_array().unwrap();
    all.iter().find(|finding| finding["id"] == id).unwrap()["detail"].as_str().unwrap()
}

/// Breaks a sound database, sees exactly these findings, mends it as the first one says.
#[track_caller]
fn breaks(violation: &str, expected: &[[&str; 3]]) -> (TestDb, Value) {
    let db = sound();
    past_guards(&db, violation);
    let code = if expected.iter().any(|[_, severity, _]| *severity == "error") { 3 } else { 0 };
    let document = verify(&db, &[], code);
    assert_eq!(found(&document), expected);
    (db, document)
}

/// Runs a finding's remedy and sees that nothing is left to find.
#[track_caller]
fn mends(db: &TestDb, document: &Value) {
    for finding in document["findings"].as_array().unwrap() {
        sql(db, finding["remedy"].as_str().unwrap());
    }
    assert_eq!(found(&verify(db, &[], 0)), <[[&str; 3]; 0]>::default());
}

const MASTER: &str = "public.\"user\".is_master_admin";

#[test]
fn a_sound_database_passes() {
    let db = sound();
    let document = verify(&db, &["--fail-on", "warning"], 0);
    assert_eq!(document["outcome"], "done");
    assert_eq!(document["data"]["version"], 3);
    let checks = document["data"]["checks"].as_array().unwrap();
    let ids: Vec<_> = checks.iter().map(|check| check["id"].as_str().unwrap()).collect();
    assert_eq!(ids, registry::ALL.iter().map(|check| check.id).collect::<Vec<_>>());
    for check in checks {
        let id = check["id"].as_str().unwrap();
        let tried = id.starts_with("probe-")
            || id.starts_with("app-") && registry::find(id).unwrap().source == Source::App
            // The server under test does not count statements.
            || id == "performance";
        assert_eq!(check["status"], if tried { "skipped" } else { "pass" }, "{check}");
    }
    let admins = document["data"]["admins"].as_array().unwrap();
    assert_eq!(admins.len(), 3);
    assert_eq!(admins[0]["email"], "admin@markenmate.app");
    assert_eq!(admins[0]["is_master_admin"], true);
    assert_eq!(admins[1]["is_master_admin"], false);
}

#[test]
fn people_read_checks_findings_admins_and_one_line() {
    let db = sound();
    past_guards(&db, "UPDATE public.\"user\" SET is_master_admin = false");
    let run = markenmate(&["verify"]).db(&db).run().assert_code(3);
    let at = |text: &str| run.stdout.find(text).unwrap_or_else(|| panic!("{text}: {}", run.stdout));
    let order = [
        at("fail     master-admin-set"),
        at("skipped probe-step-up, probe-master-admin"),
        at("ERROR [master-admin-set]"),
        at("  -> markenmate set-master-admin"),
        at("Admins (guide step 4)"),
        at("dritter"),
        at("Something must be mended (version 3)"),
    ];
    assert!(order.is_sorted(), "{}", run.stdout);
    assert_eq!(run.stdout.matches("ERROR [").count(), 1);
}

#[test]
fn every_statement_runs_unchanged_in_psql() {
    let db = sound();
    for path in ["pg_catalog", "\"$user\", public"] {
        let session = db.session();
        session.sql(&format!("SET search_path = {path}; BEGIN READ ONLY"));
        for check in &registry::ALL {
            let Source::Sql(text) = check.source else { continue };
            // Without a time from the command, logs are judged over the last day.
            assert!(session.sql(text).len() < 3, "{}", check.id);
        }
    }
}

#[test]
fn a_database_before_the_migration_is_told_to_migrate() {
    let db = TestDb::baseline();
    sql(&db, CHANGE_PASSWORD);
    let document = verify(&db, &["--since", "1s"], 3);
    for id in ["migrations-pending", "contract", "new-tables", "new-columns"] {
        assert_eq!(status(&document, id)[0], "fail", "{id}");
    }
    assert_eq!(
        status(&document, "master-admin-set"),
        ["skipped", "column public.\"user\".is_master_admin is missing"]
    );
    assert_eq!(status(&document, "admin-exists")[0], "pass");
    assert_eq!(document["data"]["admins"][0]["is_master_admin"], Value::Null);
    for finding in document["findings"].as_array().unwrap() {
        assert_eq!(finding["remedy"], "markenmate migrate", "{finding}");
    }
    // Against the version that it has, nothing but the record is missing.
    let document = verify(&db, &["--to", "baseline", "--since", "1s"], 0);
    assert_eq!(found(&document), [["migrations-pending", "warning", "V1 baseline"]]);
    assert_eq!(status(&document, "new-tables")[0], "skipped");
}

#[test]
fn an_empty_database_is_no_crash() {
    let document = verify(&TestDb::empty(), &[], 3);
    assert_eq!(status(&document, "admin-exists"), ["skipped", "table public.\"user\" is missing"]);
    assert_eq!(status(&document, "orphans")[0], "pass");
    assert_eq!(document["data"]["admins"], Value::Array(vec![]));
}

#[test]
fn history() {
    breaks(
        "UPDATE markenmate.refinery_schema_history SET checksum = '1' WHERE version = 2",
        &[["history", "error", "markenmate.refinery_schema_history: version 2"]],
    );
}

#[test]
fn a_damaged_history() {
    let (_, document) = breaks(
        "DROP TABLE markenmate.refinery_own_history",
        &[["history", "error", "schema markenmate"]],
    );
    assert!(detail(&document, "history").contains("refinery_own_history"));
    assert_eq!(status(&document, "migrations-pending")[0], "skipped");
    assert_eq!(status(&document, "contract")[0], "pass");
}

#[test]
fn a_newer_history() {
    let (_, document) = breaks(
        "INSERT INTO markenmate.refinery_schema_history (version, name, applied_on, checksum) \
         VALUES (99, 'later', '2030-01-01T00:00:00Z', '1')",
        &[["history", "error", "V99 later"]],
    );
    assert!(detail(&document, "history").contains("newer markenmate"));
}

#[test]
fn migrations_pending() {
    let (db, document) = breaks(
        "DELETE FROM markenmate.refinery_schema_history WHERE version = 3",
        &[["migrations-pending", "warning", "V3 guards"]],
    );
    assert!(detail(&document, "migrations-pending").contains("migrate records it"));
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    verify(&db, &["--fail-on", "warning"], 0);
}

#[test]
fn contract() {
    for (violation, subject, says) in [
        (
            "ALTER TABLE public.session DROP COLUMN user_agent",
            "column public.session.user_agent",
            "missing",
        ),
        (
            "ALTER TABLE public.audit_log ALTER action DROP NOT NULL",
            "column public.audit_log.action",
            "is text",
        ),
        (
            "ALTER TABLE public.token_lending ALTER version SET DEFAULT 0",
            "column public.token_lending.version",
            "DEFAULT 0",
        ),
        (
            "ALTER TABLE public.audit_log DROP CONSTRAINT audit_log_user_id_user_id_fk, ADD CONSTRAINT \
             audit_log_user_id_user_id_fk FOREIGN KEY (user_id) REFERENCES public.\"user\" (id)",
            "constraint public.audit_log.audit_log_user_id_user_id_fk",
            "expected FOREIGN KEY (user_id) REFERENCES public.\"user\" (id) ON DELETE CASCADE",
        ),
        (
            "ALTER TABLE public.session DROP CONSTRAINT session_token_unique",
            "constraint public.session.session_token_unique",
            "missing",
        ),
        (
            "ALTER SEQUENCE public.audit_log_id_seq RENAME TO other_seq",
            "column public.audit_log.id",
            "other_seq",
        ),
    ] {
        let db = sound();
        sql(&db, violation);
        let document = verify(&db, &["--only", "contract"], 3);
        let all = document["findings"].as_array().unwrap();
        let hit = all.iter().find(|f| f["subject"] == subject);
        let hit = hit.unwrap_or_else(|| panic!("{violation}: {all:?}"));
        assert!(hit["detail"].as_str().unwrap().contains(says), "{hit}");
    }
}

#[test]
fn the_order_of_columns_is_no_finding() {
    let db = sound();
    sql(
        &db,
        "ALTER TABLE public.audit_log DROP COLUMN metadata; ALTER TABLE public.audit_log ADD COLUMN metadata text",
    );
    verify(&db, &["--fail-on", "warning"], 0);
}

#[test]
fn an_old_application_that_dropped_what_is_new() {
    let db = sound();
    sql(
        &db,
        "DROP TABLE public.step_up_token; ALTER TABLE public.token_lending DROP COLUMN version",
    );
    let document = verify(&db, &[], 3);
    let expected = [
        ["contract", "error", "table public.step_up_token"],
        ["contract", "error", "column public.token_lending.version"],
        ["new-tables", "error", "public.step_up_token"],
        ["new-columns", "error", "public.token_lending.version"],
        ["step-up-guard", "error", "public.step_up_token"],
        ["lost-update-guard", "error", "public.token_lending.version"],
    ];
    assert_eq!(found(&document), expected);
    assert_eq!(status(&document, "lending-version")[0], "skipped");
    assert_eq!(status(&document, "step-up-tokens")[0], "skipped");
}

#[test]
fn new_columns_have_their_types() {
    let db = sound();
    sql(&db, "ALTER TABLE public.app_log ALTER correlation_id TYPE uuid USING NULL");
    let document = verify(&db, &["--only", "new-columns"], 3);
    assert_eq!(detail(&document, "new-columns"), "is of type uuid; expected text");
}

#[test]
fn master_admin_set() {
    let (db, document) = breaks(
        "UPDATE public.\"user\" SET is_master_admin = false",
        &[["master-admin-set", "error", MASTER]],
    );
    assert!(detail(&document, "master-admin-set").contains("admin@markenmate.app"));
    assert_eq!(document["findings"][0]["remedy"], "markenmate set-master-admin");
    markenmate(&["set-master-admin", "--yes"]).db(&db).run().assert_code(0);
    assert_eq!(found(&verify(&db, &[], 0)), <[[&str; 3]; 0]>::default());
}

#[test]
fn single_master() {
    let (db, document) = breaks(
        "UPDATE public.\"user\" SET is_master_admin = true WHERE role = 'admin'",
        &[["single-master", "error", MASTER]],
    );
    assert!(detail(&document, "single-master").starts_with("3 users"));
    let id = sql(&db, "SELECT id FROM public.\"user\" WHERE email = 'admin@markenmate.app'")
        .remove(0)
        .remove(0)
        .unwrap();
    let remedy = format!("markenmate set-master-admin {id} --transfer --as {id}");
    assert_eq!(document["findings"][0]["remedy"], remedy.as_str());
}

#[test]
fn master_is_admin() {
    let db = sound();
    past_guards(&db, "UPDATE public.\"user\" SET role = 'user' WHERE is_master_admin");
    let document = verify(&db, &[], 3);
    let ids: Vec<_> = found(&document).iter().map(|[id, ..]| *id).collect();
    assert_eq!(ids, ["master-admin-set", "master-is-admin"]);
    assert_eq!(
        document["findings"][1]["remedy"],
        "markenmate set-master-admin USER --transfer --break-glass --reason TEXT"
    );
}

#[test]
fn admin_exists() {
    let db = sound();
    past_guards(&db, "UPDATE public.\"user\" SET role = 'user', is_master_admin = false");
    let document = verify(&db, &[], 3);
    let expected =
        [["master-admin-set", "error", MASTER], ["admin-exists", "error", "public.\"user\".role"]];
    assert_eq!(found(&document), expected);
    assert_eq!(document["findings"][0]["remedy"], "No admin found. Create an admin first.");
    assert_eq!(document["data"]["admins"], Value::Array(vec![]));
}

#[test]
fn orphans_in_every_key() {
    let db = TestDb::empty();
    sql(&db, markenmate::migrations::registry::find(1).unwrap().sql);
    sql(&db, &Sample { users: 30, orphans: true }.sql());
    let document = verify(&db, &["--only", "orphans"], 3);
    let mut expected: Vec<_> =
        ORPHANS.iter().map(|(key, n)| (format!("public.{key}"), *n)).collect();
    expected.sort();
    let all = document["findings"].as_array().unwrap();
    let seen: Vec<_> = all
        .iter()
        .map(|finding| {
            let count = finding["detail"].as_str().unwrap().split(' ').next().unwrap();
            let listed = sql(&db, finding["remedy"].as_str().unwrap()).len();
            assert_eq!(listed.to_string(), count);
            (finding["subject"].as_str().unwrap().to_owned(), count.parse().unwrap())
        })
        .collect();
    assert_eq!(seen, expected);
    assert!(
        all.iter().any(|f| f["detail"].as_str().unwrap().ends_with("for example gone-lender-1"))
    );
}

#[test]
fn orphans_of_a_key_that_is_lost_or_of_two_columns() {
    let db = sound();
    sql(
        &db,
        "ALTER TABLE public.favorite DROP CONSTRAINT favorite_user_id_user_id_fk; \
         UPDATE public.favorite SET user_id = E'\\x01<b>&\\n' WHERE id = (SELECT min(id) FROM public.favorite); \
         CREATE TABLE public.\"Old\" (\"A\" int, b text, PRIMARY KEY (\"A\", b)); \
         CREATE TABLE public.child (x int, y text, FOREIGN KEY (x, y) REFERENCES public.\"Old\"); \
         INSERT INTO public.child VALUES (1, NULL); \
         SET session_replication_role = replica; INSERT INTO public.child VALUES (7, 'z')",
    );
    let document = verify(&db, &["--only", "orphans"], 3);
    let details: Vec<_> = document["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (&f["subject"], &f["detail"]))
        .collect();
    assert_eq!(details[0].0, "public.child.(x, y)");
    assert_eq!(
        details[0].1,
        "1 row(s) point to nothing in public.\"Old\" (\"A\", b), for example 7, z"
    );
    assert_eq!(details[1].0, "public.favorite.user_id");
    assert!(details[1].1.as_str().unwrap().ends_with("for example \u{1}<b>&\n"));
    assert_eq!(details.len(), 2);
    let shown = markenmate(&["verify", "--only", "orphans"]).db(&db).run().assert_code(3).stdout;
    assert!(shown.contains("for example \\u{1}<b>&\\n\n"), "{shown}");
}

#[test]
fn keys_validated() {
    let (db, document) = breaks(
        "ALTER TABLE public.app_log ADD CONSTRAINT long_enough CHECK (length(message) >= 0) NOT VALID",
        &[["keys-validated", "warning", "public.app_log.long_enough"]],
    );
    mends(&db, &document);
    let (_, document) = breaks(
        "ALTER TABLE public.session DROP CONSTRAINT session_user_id_user_id_fk, ADD CONSTRAINT session_user_id_user_id_fk \
         FOREIGN KEY (user_id) REFERENCES public.\"user\" (id) ON DELETE CASCADE NOT VALID",
        &[
            ["contract", "error", "constraint public.session.session_user_id_user_id_fk"],
            ["keys-validated", "warning", "public.session.session_user_id_user_id_fk"],
        ],
    );
    assert!(detail(&document, "contract").contains("NOT VALID"));
}

#[test]
fn indexes_valid() {
    let db = sound();
    let double = "INSERT INTO public.demo_data (header, type, status, target, \"limit\", reviewer) \
                  VALUES ('x', 't', 's', 1, 1, 'r'), ('x', 't', 's', 1, 1, 'r')";
    sql(&db, double);
    let create = "CREATE UNIQUE INDEX CONCURRENTLY twice ON public.demo_data (header)";
    assert!(db.session().try_sql(create).is_err());
    let document = verify(&db, &[], 0);
    assert_eq!(found(&document), [["indexes-valid", "warning", "public.twice"]]);
    assert_eq!(document["findings"][0]["remedy"], "DROP INDEX CONCURRENTLY public.twice;");
    verify(&db, &["--fail-on", "warning"], 3);
    mends(&db, &document);
}

#[test]
fn serial_headroom() {
    let (db, document) = breaks(
        "SELECT setval('public.app_log_id_seq', 1610612736)",
        &[["serial-headroom", "warning", "public.app_log.id"]],
    );
    assert!(detail(&document, "serial-headroom").starts_with("75 % of integer is used"));
    sql(
        &db,
        "SELECT setval('public.app_log_id_seq', 2000000000); \
         CREATE TABLE public.own (small smallint GENERATED ALWAYS AS IDENTITY); \
         SELECT setval('public.own_small_seq', 24000)",
    );
    let document = verify(&db, &[], 0);
    let last = "public.own.small";
    assert_eq!(found(&document)[1], ["serial-headroom", "warning", last]);
    assert!(detail(&document, "serial-headroom").contains("past 90 %"));
}

#[test]
fn lending_version() {
    let (db, document) = breaks(
        "UPDATE public.token_lending SET version = 0 WHERE id IN (SELECT id FROM public.token_lending ORDER BY id LIMIT 2)",
        &[["lending-version", "error", "public.token_lending.version"]],
    );
    assert!(detail(&document, "lending-version").starts_with("2 row(s)"));
    mends(&db, &document);
}

fn audit_row(action: &str, metadata: &str, correlation: &str) -> String {
    format!(
        "INSERT INTO public.audit_log (user_id, action, metadata, correlation_id) \
         SELECT id, '{action}', {metadata}, {correlation} FROM public.\"user\" WHERE role = 'admin' LIMIT 1;"
    )
}

const LENDING: &str = "INSERT INTO public.token_lending (user_id, person_name, token_count) \
    SELECT id, 'Zoë', 1 FROM public.\"user\" LIMIT 1;";

#[test]
fn audit_capture() {
    breaks(
        &audit_row(" ", "NULL", "'x'"),
        &[["audit-capture", "warning", "public.audit_log.action"]],
    );
    breaks(
        &audit_row("CHANGE_ROLE", "'not JSON {'", "'x'"),
        &[["audit-capture", "warning", "public.audit_log.metadata"]],
    );
    let (db, _) = breaks(LENDING, &[["audit-capture", "warning", "public.token_lending"]]);
    let metadata =
        "'{\"lendingId\":' || (SELECT max(id) FROM public.token_lending) || ',\"tokenCount\":1}'";
    sql(&db, &audit_row("LENDING_CREATE", metadata, "'x'"));
    sql(&db, &audit_row("CHANGE_ROLE", "'{\"oldRole\":\"user\",\"newRole\":\"admin\"}'", "'x'"));
    verify(&db, &["--fail-on", "warning"], 0);
}

fn token(token: &str, minutes: u32) -> String {
    format!(
        "INSERT INTO public.step_up_token (token, user_id, expires_at) SELECT '{token}', id, \
         now() + interval '{minutes} minutes' FROM public.\"user\" WHERE role = 'admin' LIMIT 1;"
    )
}

#[test]
fn step_up_tokens() {
    let good = "aB3-_".repeat(9)[..43].to_owned();
    let (db, document) = breaks(
        &token(&good, 60),
        &[["step-up-tokens", "warning", "public.step_up_token.expires_at"]],
    );
    assert!(!document.to_string().contains(&good), "a token is a secret");
    mends(&db, &document);
    let (db, document) = breaks(
        &token("short+", 10),
        &[["step-up-tokens", "warning", "public.step_up_token.token"]],
    );
    assert!(!document.to_string().contains("short+"), "a token is a secret");
    mends(&db, &document);
    sql(&db, &token(&good, 10));
    verify(&db, &["--fail-on", "warning"], 0);
}

#[test]
fn correlation_ids() {
    let (db, document) = breaks(
        &(audit_row("STEP_UP_AUTH_SUCCESS", "NULL", "NULL") + &audit_row("X", "NULL", "'batch-7'")),
        &[["correlation-ids", "warning", "public.audit_log.correlation_id"]],
    );
    assert!(detail(&document, "correlation-ids").starts_with("1 of 2 audit rows"));
    sql(&db, "UPDATE public.audit_log SET created_at = now() - interval '3 days'");
    verify(&db, &["--fail-on", "warning"], 0);
    verify(&db, &["--fail-on", "warning", "--since", "4d"], 3);
}

#[test]
fn app_errors() {
    let (db, document) = breaks(
        "INSERT INTO public.app_log (level, message) VALUES ('error', 'first'); \
         INSERT INTO public.app_log (level, message) VALUES ('error', E'\\x1b[31mnewest')",
        &[["app-errors", "warning", "public.app_log"]],
    );
    let said = detail(&document, "app-errors");
    assert!(said.starts_with("2 error(s)") && said.ends_with("newest: \u{1b}[31mnewest"), "{said}");
    let shown = markenmate(&["verify"]).db(&db).run().assert_code(0).stdout;
    assert!(shown.contains("\\u{1b}[31mnewest") && !shown.contains('\u{1b}'), "{shown}");
    verify(&db, &["--since", "2999-01-01T00:00:00+01:00", "--fail-on", "warning"], 0);
}

#[test]
fn guide_archive() {
    let (db, document) = breaks(
        "CREATE TABLE public.audit_log_archive (LIKE public.audit_log)",
        &[["guide-archive", "warning", "public.audit_log_archive"]],
    );
    assert_eq!(document["findings"][0]["remedy"], "markenmate cleanup audit");
    markenmate(&["cleanup", "audit", "--yes"]).db(&db).run().assert_code(0);
    verify(&db, &["--only", "guide-archive"], 0);
}

#[test]
fn guards_must_be_there_enabled_and_see_their_columns() {
    let db = sound();
    let guards = ["step-up-guard", "master-admin-guard", "last-admin-guard", "lost-update-guard"];
    let guards = guards.join(",");
    let judged = |args: &[&str], code| verify(&db, &[&["--only", &guards], args].concat(), code);
    assert_eq!(
        status(&judged(&["--to", "2"], 0), "step-up-guard"),
        ["skipped", "belongs to version 3; judged against version 2"]
    );
    for (trigger, table, ids) in [
        ("markenmate_spent", "step_up_token", &["step-up-guard"][..]),
        ("markenmate_conflict", "step_up_token", &["step-up-guard"]),
        ("markenmate_updating", "step_up_token", &["step-up-guard"]),
        ("markenmate_admins", "\"user\"", &["master-admin-guard", "last-admin-guard"]),
        ("markenmate_truncate", "\"user\"", &["master-admin-guard", "last-admin-guard"]),
        ("markenmate_last_admin_updated", "\"user\"", &["last-admin-guard"]),
        ("markenmate_last_admin_deleted", "\"user\"", &["last-admin-guard"]),
        ("markenmate_version", "token_lending", &["lost-update-guard"]),
        ("markenmate_conflict", "token_lending", &["lost-update-guard"]),
        ("markenmate_inserting", "token_lending", &["lost-update-guard"]),
    ] {
        let subject = format!("trigger {trigger} on public.{table}");
        let expected: Vec<_> = ids.iter().map(|id| [*id, "error", subject.as_str()]).collect();
        for (state, says) in [("DISABLE", "is disabled"), ("ENABLE REPLICA", "on replicas only")] {
            sql(&db, &format!("ALTER TABLE public.{table} {state} TRIGGER {trigger}"));
            let document = judged(&[], 3);
            assert_eq!(found(&document), expected);
            assert!(detail(&document, ids[0]).contains(says));
            mends(&db, &document);
        }
        let definition = format!(
            "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = '{trigger}' AND tgrelid = 'public.{table}'::regclass"
        );
        let definition = sql(&db, &definition).remove(0).remove(0).unwrap();
        sql(&db, &format!("DROP TRIGGER {trigger} ON public.{table}"));
        let document = judged(&[], 3);
        assert_eq!(found(&document), expected);
        assert_eq!(detail(&document, ids[0]), "is missing");
        // The statement stands in the contract's finding, which is run here.
        let document = verify(&db, &["--only", "contract"], 3);
        let same = format!("trigger public.{table}.{trigger}");
        assert_eq!(found(&document), [["contract", "error", same.as_str()]]);
        mends(&db, &document);
        // One that calls something else is none.
        sql(
            &db,
            &format!(
                "CREATE FUNCTION public.other() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
            DROP TRIGGER {trigger} ON public.{table}; \
            CREATE TRIGGER {trigger} AFTER INSERT ON public.{table} FOR EACH STATEMENT EXECUTE FUNCTION public.other()"
            ),
        );
        assert_eq!(found(&judged(&[], 3)), expected);
        sql(
            &db,
            &format!(
                "DROP TRIGGER {trigger} ON public.{table}; DROP FUNCTION public.other(); {definition}"
            ),
        );
    }
    for (table, column, id) in [
        ("step_up_token", "used", "step-up-guard"),
        ("\"user\"", "is_master_admin", "master-admin-guard"),
        ("token_lending", "version", "lost-update-guard"),
    ] {
        sql(&db, &format!("ALTER TABLE public.{table} DROP COLUMN {column}"));
        let document = judged(&[], 3);
        let subject = format!("public.{table}.{column}");
        assert_eq!(found(&document), [[id, "error", subject.as_str()]]);
        assert!(detail(&document, id).contains("falls silent"));
        sql(&db, document["findings"][0]["remedy"].as_str().unwrap());
        assert_eq!(found(&judged(&[], 0)), <[[&str; 3]; 0]>::default());
    }
}

#[test]
fn guards_that_were_never_made_are_one_finding_a_table() {
    let db = TestDb::baseline();
    markenmate(&["migrate", "--yes", "--to", "2"]).db(&db).run().assert_code(0);
    let guards = "step-up-guard,master-admin-guard,last-admin-guard,lost-update-guard";
    let document = verify(&db, &["--only", guards], 3);
    let user = "public.\"user\"";
    let expected = [
        ["step-up-guard", "error", "public.step_up_token"],
        ["master-admin-guard", "error", user],
        ["last-admin-guard", "error", user],
        ["lost-update-guard", "error", "public.token_lending"],
    ];
    assert_eq!(found(&document), expected);
    assert!(
        document["findings"]
            .as_array()
            .unwrap()
            .iter()
            .all(|f| f["remedy"] == "markenmate migrate")
    );
}

/// As whoever runs this: the owner of a type says what its casts do.
#[test]
fn no_cast_is_run_by_who_looks_for_the_default_password() {
    let db = sound();
    sql(
        &db,
        "CREATE TYPE public.word AS ENUM ('a');
         CREATE FUNCTION public.cast_word(public.word) RETURNS json LANGUAGE plpgsql AS $$ BEGIN RAISE 'run'; END $$;
         CREATE CAST (public.word AS json) WITH FUNCTION public.cast_word(public.word);
         ALTER TABLE public.\"user\" ADD word public.word DEFAULT 'a'",
    );
    verify(&db, &["--only", "default-password"], 0);
    sql(&db, "ALTER TABLE public.\"user\" DROP must_change_password");
    verify(&db, &["--only", "default-password"], 0);
}

#[test]
fn default_password() {
    let db = sound();
    let judged = |code| verify(&db, &["--only", "default-password"], code);
    let admin = |email: &str| {
        let id = sql(&db, &format!("SELECT id FROM public.\"user\" WHERE email = '{email}'"))
            .remove(0)
            .remove(0)
            .unwrap();
        (format!("{email} ({id})"), id)
    };
    let (first, first_id) = admin("admin@markenmate.app");
    let (second, second_id) = admin("Zweite.Admin@Example.de");
    judged(0);
    // As the sample has it, and as the app's own library made it.
    let sample = Sample { users: 1, orphans: false }.sql();
    let seed = sample
        .split('\'')
        .find(|part| part.starts_with("6d61726b656e6d6174652d73616d706c:"))
        .unwrap();
    sql(
        &db,
        &format!("UPDATE public.account SET password = '{seed}' WHERE user_id = '{first_id}'"),
    );
    let document = judged(3);
    assert_eq!(found(&document), [["default-password", "error", first.as_str()]]);
    assert!(detail(&document, "default-password").contains("public source"));
    let remedy = document["findings"][0]["remedy"].as_str().unwrap();
    assert_eq!(
        remedy,
        "log in as admin@markenmate.app and change the password; or take the role away: \
         markenmate admin demote admin@markenmate.app --as ADMIN"
    );
    // Whoever is no admin may have it.
    let everybody =
        sql(&db, "SELECT id FROM public.\"user\" WHERE role = 'user' ORDER BY id LIMIT 1")
            .remove(0)
            .remove(0)
            .unwrap();
    sql(&db, CHANGE_PASSWORD);
    sql(
        &db,
        &format!("UPDATE public.account SET password = '{seed}' WHERE user_id = '{everybody}'"),
    );
    judged(0);
    sql(
        &db,
        &format!("UPDATE public.\"user\" SET must_change_password = true WHERE id = '{second_id}'"),
    );
    let document = judged(3);
    assert_eq!(found(&document), [["default-password", "error", second.as_str()]]);
    assert!(detail(&document, "default-password").contains("must change"));
    // A hash that cannot be judged is said, and is no error.
    sql(
        &db,
        &format!(
            "UPDATE public.\"user\" SET must_change_password = false; UPDATE public.account SET password = '$argon2id$x' WHERE user_id = '{second_id}'"
        ),
    );
    let document = judged(0);
    assert_eq!(found(&document), [["default-password", "info", second.as_str()]]);
    assert!(!document.to_string().contains("argon2id"), "hashes stay where they are");
    // Somebody else's service logs in whoever has no password here.
    sql(
        &db,
        &format!(
            "UPDATE public.account SET provider_id = 'github', password = '{seed}' WHERE user_id = '{second_id}'"
        ),
    );
    judged(0);
}

/// A role of this database's own; it goes with the returned value.
struct Role<'a>(&'a TestDb, String);

impl Drop for Role<'_> {
    fn drop(&mut self) {
        let name = &self.1;
        let _ = self.0.session().try_sql(&format!("DROP OWNED BY {name}; DROP ROLE {name}"));
    }
}

fn role<'a>(db: &'a TestDb, grants: &str) -> Role<'a> {
    let name = format!("reader_{}", db.name);
    sql(db, &format!("CREATE ROLE {name} LOGIN; {}", grants.replace("READER", &name)));
    Role(db, name)
}

#[test]
fn what_a_role_may_not_read_is_skipped_with_the_reason() {
    let db = sound();
    let reader = role(&db, "GRANT SELECT ON public.\"user\", public.app_log TO READER");
    let document = verify(&db, &["-U", &reader.1], 0);
    // Not judged is not sound, and said so.
    verify(&db, &["-U", &reader.1, "--fail-on", "warning"], 3);
    for id in [
        "history",
        "migrations-pending",
        "default-password",
        "lending-version",
        "step-up-tokens",
        "orphans",
    ] {
        let finding = [id, "warning", &format!("check {id}")];
        assert!(found(&document).contains(&finding), "{id}: {document:#}");
        let [status, reason] = status(&document, id);
        assert_eq!(status, "skipped", "{id}");
        assert!(reason.contains("permission denied") || reason.contains("GRANT USAGE"), "{reason}");
    }
    for id in ["contract", "master-admin-set", "app-errors", "keys-validated"] {
        assert_eq!(status(&document, id)[0], "pass", "{id}");
    }
    assert_eq!(document["data"]["admins"].as_array().unwrap().len(), 3);
}

#[test]
fn a_reader_of_everything_sees_everything() {
    let db = sound();
    let reader = role(
        &db,
        "GRANT USAGE ON SCHEMA markenmate TO READER; \
         GRANT SELECT ON ALL TABLES IN SCHEMA public, markenmate TO READER; \
         GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO READER",
    );
    let document = verify(&db, &["-U", &reader.1, "--fail-on", "warning"], 0);
    let checks = document["data"]["checks"].as_array().unwrap();
    assert_eq!(checks.iter().filter(|check| check["status"] == "skipped").count(), 9);
}

#[test]
fn one_broken_check_does_not_hide_the_rest() {
    let db = sound();
    past_guards(
        &db,
        "ALTER TABLE public.token_lending ALTER version DROP DEFAULT, ALTER version TYPE boolean USING true; \
         UPDATE public.\"user\" SET is_master_admin = false",
    );
    let document = verify(&db, &[], 3);
    let expected = [
        ["contract", "error", "column public.token_lending.version"],
        ["new-columns", "error", "public.token_lending.version"],
        ["master-admin-set", "error", MASTER],
        ["lending-version", "error", "check lending-version"],
        ["audit-coverage", "error", "check audit-coverage"],
    ];
    assert_eq!(found(&document), expected);
    assert!(detail(&document, "lending-version").contains("SQLSTATE 42883"));
    assert_eq!(status(&document, "app-errors")[0], "pass");
}

#[test]
fn a_check_that_takes_too_long_is_a_finding() {
    let db = sound();
    sql(&db, "CREATE TABLE public.child (id text REFERENCES public.\"user\" (id))");
    let holder = db.session();
    holder.sql("BEGIN; LOCK TABLE public.child");
    let args = ["--lock-timeout", "30s", "--statement-timeout", "700ms"];
    let document = verify(&db, &args, 3);
    assert_eq!(found(&document), [["orphans", "error", "check orphans"]]);
    assert!(detail(&document, "orphans").contains("statement timeout"));
}

#[test]
fn somebody_who_locks_a_table_is_waited_for_and_named() {
    let db = sound();
    let holder = db.session();
    holder.sql("BEGIN; LOCK TABLE public.app_log");
    let args = ["verify", "--max-wait", "1s", "--only", "app-errors"];
    let run = markenmate(&args).db(&db).run().assert_code(7);
    assert!(
        run.stderr.contains("app_log") && run.stderr.contains("pg_terminate_backend"),
        "{}",
        run.stderr
    );
    let running = markenmate(&["verify", "--only", "app-errors"]).db(&db).spawn();
    running.wait_for_stderr("waiting");
    holder.sql("ROLLBACK");
    running.wait().assert_code(0);
}

#[test]
fn only_and_skip() {
    let db = TestDb::baseline();
    let document = verify(&db, &["--only", "admin-exists,orphans", "--only", "guide-archive"], 0);
    let checks = document["data"]["checks"].as_array().unwrap();
    let ids: Vec<_> = checks.iter().map(|check| check["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["admin-exists", "orphans", "guide-archive"]);
    let document = verify(&db, &["--skip", "contract"], 3);
    assert!(found(&document).iter().all(|[id, ..]| *id != "contract"));
    for flag in ["--only", "--skip"] {
        let run = markenmate(&["verify", flag, "orphan"]).db(&db).run().assert_code(2);
        assert!(run.stderr.contains("orphans, keys-validated"), "{}", run.stderr);
    }
    markenmate(&["verify", "--only", "orphans", "--skip", "orphans"]).db(&db).run().assert_code(2);
    markenmate(&["verify", "--to", "9"]).db(&db).run().assert_code(2);
    let run = markenmate(&["verify", "--since", "yesterday"]).db(&db).run().assert_code(2);
    assert!(run.stderr.contains("such as 2h"), "{}", run.stderr);
}

#[test]
fn a_dry_run_lists_the_checks() {
    let db = TestDb::baseline();
    let args = ["verify", "--dry-run", "--format", "json"];
    let document = markenmate(&args).db(&db).run().assert_code(0).json();
    assert_eq!(document["outcome"], "planned");
    let steps = document["steps"].as_array().unwrap();
    assert_eq!(steps.len(), registry::ALL.len());
    assert!(steps.iter().all(|step| step["status"] == "planned"));
    let run = markenmate(&["verify", "--dry-run", "-v", "--only", "admin-exists"]).db(&db).run();
    assert!(run.assert_code(0).stdout.contains("WHERE concat(role) = 'admin'"));
}

#[test]
fn junit_is_written_whole() {
    let db = sound();
    past_guards(&db, "UPDATE public.\"user\" SET is_master_admin = false");
    sql(&db, "INSERT INTO public.app_log (level, message) VALUES ('error', E'<&\\x1b[2J')");
    markenmate(&["verify", "--junit", "verify.xml"]).db(&db).run().assert_code(3);
    let file = db.folder().join("verify.xml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(&format!("tests=\"{}\"", registry::ALL.len())), "{text}");
    assert!(text.contains("skipped=\"9\" errors=\"0\" failures=\"1\""), "{text}");
    assert!(text.contains("&lt;&amp;") && !text.contains('\u{1b}'), "{text}");
    markenmate(&["verify", "--junit", "verify.xml", "--fail-on", "warning"]).db(&db).run();
    assert!(std::fs::read_to_string(&file).unwrap().contains("failures=\"2\""));
    assert_eq!(std::fs::read_dir(db.folder()).unwrap().count(), 1, "nothing is left beside it");
    let run = markenmate(&["verify", "--junit", "no/such/verify.xml"]).db(&db).run().assert_code(2);
    assert!(run.stderr.contains("there is no folder no/such"), "{}", run.stderr);
}

#[test]
fn github_annotations() {
    let db = sound();
    sql(
        &db,
        "INSERT INTO public.app_log (level, message) VALUES ('error', E'100 %\\n::error::forged')",
    );
    let run = markenmate(&["verify", "--github"]).db(&db).run().assert_code(0);
    let lines: Vec<_> = run.stdout.lines().filter(|line| line.starts_with("::")).collect();
    assert_eq!(lines.len(), 1, "{}", run.stdout);
    assert!(
        lines[0].starts_with("::warning title=app-errors%3A Success criterion"),
        "{}",
        lines[0]
    );
    assert!(lines[0].contains("newest: 100 %25%0A::error::forged%0ASELECT"), "{}", lines[0]);
    let run = markenmate(&["verify", "--github", "--format", "json"]).db(&db).run().assert_code(0);
    run.json();
    assert!(run.stderr.contains("::warning title=app-errors"), "{}", run.stderr);
}

#[test]
fn nothing_is_written_even_where_everything_may_be() {
    let server = start(&[("default_transaction_read_only", "on")]);
    let url = server.url("postgres");
    let run = markenmate(&["verify", "-d", &url, "--format", "json"]).run().assert_code(3);
    assert_eq!(status(&run.json(), "new-tables")[0], "fail");
}

#[test]
fn a_standby_is_good_enough() {
    let server = TlsServer::start_standby();
    let url = format!(
        "host={} port={} user=markenmate password=pw dbname=postgres",
        server.socket(),
        server.port
    );
    let run = markenmate(&["verify", "-d", &url, "--format", "json"]).run().assert_code(3);
    let document = run.json();
    assert_eq!(document["target"]["role"], "standby");
    assert_eq!(status(&document, "orphans")[0], "pass");
}

/// Whoever replays somebody else's changes passes every trigger: not by a setting that nobody sees.
#[test]
fn settings_that_pass_the_guards() {
    // A server of its own: a role's setting is every database's.
    let server = start(&[]);
    let url = server.url("postgres");
    let session = Session::open(&url);
    let verify = |code| {
        let args = ["verify", "--only", "replication-role", "--format", "json"];
        markenmate(&args).url(&url).run().assert_code(code).json()
    };
    session.sql("CREATE ROLE replays");
    for (setting, subject) in [
        ("ALTER ROLE replays", "role replays"),
        ("ALTER ROLE replays IN DATABASE postgres", "role replays in database postgres"),
        ("ALTER DATABASE postgres", "database postgres"),
        ("ALTER SYSTEM", "the server"),
    ] {
        session.sql(&format!("{setting} SET session_replication_role = 'REPLICA'"));
        session.sql("SELECT pg_reload_conf(), pg_sleep(0.3)");
        let document = verify(3);
        let subject = format!("setting session_replication_role of {subject}");
        assert_eq!(found(&document), [["replication-role", "error", subject.as_str()]]);
        for statement in document["findings"][0]["remedy"].as_str().unwrap().split_inclusive(';') {
            session.sql(statement);
        }
        session.sql("SELECT pg_sleep(0.3)");
        assert_eq!(found(&verify(0)), <[[&str; 3]; 0]>::default());
    }
}
