//! `stats audit`: who did what, and every anomaly, on rows made for it.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::{Run, TestDb, markenmate, sql};

fn audit(db: &TestDb, args: &[&str]) -> Run {
    markenmate(&[&["stats", "audit", "--format", "json"], args].concat()).db(db).run()
}

/// Users: two admins, one who was one, one who is gone.
fn users(db: &TestDb) {
    sql(
        db,
        "DELETE FROM public.audit_log;
         INSERT INTO public.\"user\" (id, name, email, role) VALUES
             ('boss', 'B', 'Boss@x', 'admin'), ('chief', 'C', 'chief@x', 'admin'), ('was', 'W', 'was@x', 'user'),
             ('plain', 'P', 'plain@x', 'user'), ('gone', 'G', 'gone@x', 'user')",
    );
}

/// A row: user, action, minutes ago, correlation id, and the rest where there is some.
fn row(
    db: &TestDb,
    user: &str,
    action: &str,
    minutes: u32,
    correlation: &str,
    target: Option<&str>,
    metadata: &str,
) {
    let target = target.map_or("NULL".to_owned(), |target| format!("'{target}'"));
    let metadata =
        if metadata.is_empty() { "NULL".to_owned() } else { format!("$x${metadata}$x$") };
    sql(
        db,
        &format!(
            "INSERT INTO public.audit_log (user_id, action, target_user_id, metadata, correlation_id, created_at)
             VALUES ('{user}', '{action}', {target}, {metadata}, nullif('{correlation}', ''), now() - interval '{minutes} minutes')"
        ),
    );
}

fn findings(document: &Value) -> Vec<(&str, &str, &str)> {
    let all = document["findings"].as_array().unwrap();
    all.iter()
        .map(|f| {
            (
                f["id"].as_str().unwrap(),
                f["subject"].as_str().unwrap(),
                f["detail"].as_str().unwrap(),
            )
        })
        .collect()
}

fn subjects<'a>(document: &'a Value, id: &str) -> Vec<&'a str> {
    findings(document)
        .into_iter()
        .filter(|(of, ..)| *of == id)
        .map(|(_, subject, _)| subject)
        .collect()
}

#[test]
fn who_did_what_with_the_archive() {
    let db = TestDb::migrated();
    users(&db);
    row(&db, "boss", "STEP_UP_AUTH_SUCCESS", 60, "c1", None, "");
    row(&db, "boss", "STEP_UP_AUTH_FAILURE", 61, "c2", None, "");
    row(
        &db,
        "boss",
        "CHANGE_ROLE",
        59,
        "c3",
        Some("plain"),
        "{\"oldRole\":\"user\",\"newRole\":\"admin\"}",
    );
    row(&db, "plain", "LENDING_CREATE", 10, "c4", None, "{}");
    row(&db, "plain", "LENDING_CREATE", 60 * 24 * 40, "c5", None, "{}");
    row(&db, "gone", "LENDING_CREATE", 30, "c6", None, "{}");
    row(&db, "gone", "STEP_UP_AUTH_FAILURE", 30, "c7", None, "");
    // The guards keep a deleted user's rows in the archive.
    sql(&db, "DELETE FROM public.\"user\" WHERE id = 'gone'");
    let seen = audit(&db, &[]).assert_code(0).json();
    let deeds: Vec<_> = seen["data"]["actions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|deed| {
            (
                deed["actor"].as_str().unwrap(),
                deed["email"].as_str(),
                deed["role"].as_str(),
                deed["action"].as_str().unwrap(),
                deed["count"].as_u64().unwrap(),
                deed["archived"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        deeds,
        [
            ("boss", Some("Boss@x"), Some("admin"), "CHANGE_ROLE", 1, 0),
            ("boss", Some("Boss@x"), Some("admin"), "STEP_UP_AUTH_FAILURE", 1, 0),
            ("boss", Some("Boss@x"), Some("admin"), "STEP_UP_AUTH_SUCCESS", 1, 0),
            ("gone", None, None, "LENDING_CREATE", 1, 1),
            ("gone", None, None, "STEP_UP_AUTH_FAILURE", 1, 1),
            ("plain", Some("plain@x"), Some("user"), "LENDING_CREATE", 1, 0),
        ]
    );
    assert_eq!((&seen["data"]["rows"], &seen["data"]["archived"]), (&6.into(), &2.into()));
    let rates = seen["data"]["rates"].as_array().unwrap();
    let boss = rates.iter().find(|rate| rate["actor"] == "boss").unwrap();
    assert_eq!(
        (&boss["step_up_failures"], &boss["step_ups"], &boss["step_up_rate"]),
        (&1.into(), &2.into(), &0.5.into())
    );
    assert_eq!((&boss["role_failures"], &boss["role_rate"]), (&0.into(), &0.0.into()));
    assert_eq!(findings(&seen), []);

    let count =
        |args: &[&str]| audit(&db, args).assert_code(0).json()["data"]["rows"].as_u64().unwrap();
    assert_eq!(count(&["--since", "60d"]), 7);
    assert_eq!(count(&["--actor", "bOSS@X"]), 3, "an address in any case");
    assert_eq!(count(&["--actor", "gone"]), 2, "an id of somebody who is gone");
    assert_eq!(count(&["--actor", "nobody' OR true --"]), 0);
    assert_eq!(count(&["--action", "LENDING_CREATE", "--actor", "plain"]), 1);
    assert_eq!(count(&["--since", "20m"]), 1);
    let human = markenmate(&["stats", "audit"]).db(&db).run().assert_code(0);
    for text in [
        "Boss@x (id boss, role admin)",
        "id gone, who is no user any more",
        "1 of 2 (50 %)",
        "6 rows of 3 users, 2 of them in the archive",
    ] {
        assert!(human.stdout.contains(text), "{text}: {}", human.stdout);
    }
}

#[test]
fn every_anomaly_is_found_and_nothing_else() {
    let db = TestDb::migrated();
    users(&db);
    let step_up =
        |user: &str, minutes| row(&db, user, "STEP_UP_AUTH_SUCCESS", minutes, "s", None, "");
    // As it should be: a step-up nine minutes before, no burst, all of it with ids.
    step_up("boss", 109);
    row(
        &db,
        "boss",
        "CHANGE_ROLE",
        100,
        "ok",
        Some("plain"),
        "{\"oldRole\":\"user\",\"newRole\":\"admin\"}",
    );
    for minutes in [200, 220, 240, 260, 280] {
        row(&db, "boss", "STEP_UP_AUTH_FAILURE", minutes, "slow", None, "");
    }
    assert_eq!(findings(&audit(&db, &["--fail-on", "warning"]).assert_code(0).json()), []);
    // Under broken glass nobody of the application acts.
    row(
        &db,
        "plain",
        "BREAK_GLASS",
        90,
        "glass",
        Some("plain"),
        "{\"command\":\"admin demote\",\"reason\":\"r\"}",
    );
    row(
        &db,
        "plain",
        "CHANGE_ROLE",
        90,
        "glass",
        Some("plain"),
        "{\"oldRole\":\"admin\",\"newRole\":\"user\"}",
    );
    assert_eq!(findings(&audit(&db, &[]).assert_code(0).json()), []);

    step_up("was", 305);
    row(&db, "was", "CHANGE_ROLE", 300, "n", Some("plain"), "{}");
    step_up("gone", 305);
    row(&db, "gone", "REVOKE_SESSIONS", 300, "n", Some("plain"), "{}");
    sql(&db, "DELETE FROM public.\"user\" WHERE id = 'gone'");
    step_up("chief", 402);
    row(&db, "chief", "CHANGE_ROLE", 400, "n", Some("chief"), "{}");
    step_up("boss", 520);
    row(&db, "boss", "CHANGE_ROLE", 500, "n", Some("was"), "{}");
    for minutes in [601, 603, 605, 607, 609, 611] {
        row(&db, "plain", "STEP_UP_AUTH_FAILURE", minutes, "n", None, "");
    }
    step_up("plain", 600);
    row(&db, "chief", "STEP_UP_AUTH_FAILURE", 700, "", None, "");
    row(&db, "chief", "LENDING_CREATE", 700, "  ", None, "{}");
    row(&db, "chief", " ", 700, "n", None, "");
    sql(
        &db,
        "INSERT INTO public.audit_log (user_id, action, correlation_id, created_at) VALUES ('chief', 'X', 'n', now() + interval '1 day')",
    );
    let run = audit(&db, &["--fail-on", "warning"]).assert_code(3).json();
    for (id, expected) in [
        ("not-admin", &["gone", "was@x"][..]),
        ("own-role", &["chief@x"]),
        ("no-step-up", &["Boss@x"]),
        ("failure-burst", &["plain@x"]),
        ("guessed", &["plain@x"]),
        ("no-correlation-id", &["public.audit_log.correlation_id"]),
        ("no-action", &["public.audit_log.action"]),
        ("to-come", &["public.audit_log.created_at"]),
    ] {
        assert_eq!(subjects(&run, id), expected, "{id}");
    }
    let all = findings(&run);
    assert_eq!(all.len(), 9, "{all:#?}");
    let remedies = run["findings"].to_string();
    assert!(remedies.contains("markenmate stats audit --actor gone"), "{remedies}");
    let detail = |id: &str| all.iter().find(|(of, ..)| *of == id).unwrap().2;
    assert!(
        detail("not-admin").starts_with("REVOKE_SESSIONS: 1 time(s)")
            && detail("not-admin").ends_with("no user any more now"),
        "{}",
        detail("not-admin")
    );
    assert!(detail("failure-burst").starts_with("failed 6 times within 15 minutes"));
    assert!(detail("guessed").contains("after 6 that failed"));
    assert!(detail("no-correlation-id").starts_with("2 row(s)"));
    // What is not in scope is not found; the step-up before the window is seen.
    assert_eq!(subjects(&audit(&db, &["--since", "101m"]).json(), "no-step-up"), [""; 0]);
    assert_eq!(subjects(&audit(&db, &["--actor", "was"]).json(), "own-role"), [""; 0]);
}

#[test]
fn metadata_that_is_no_json_is_counted_and_named() {
    let db = TestDb::migrated();
    users(&db);
    for good in [
        "{}",
        "[]",
        "null",
        "1e400",
        " {\"a\": [1, 2.5e-3, {\"b\": \"\\u00fc\\ud83d\\ude00\"}]} ",
        "\"\\\"\"",
        "{\"oldRole\":\"user\",\"newRole\":\"admin\"}",
        "{\"lendingId\":-1,\"personName\":\"A \\\"B\\\" ü\",\"lendToUserId\":null}",
    ] {
        row(&db, "boss", "X", 5, "c", None, good);
    }
    assert_eq!(audit(&db, &[]).json()["data"]["not_json"]["count"], 0);
    let bad = [
        "{",
        "{\"a\":1,}",
        "{\"a\":01}",
        "{\"a\":1\"b\":2}",
        "{'a':1}",
        "nan",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"tab\there\"}",
        "{\"a\":.5}",
        "{\"a\":-}",
        "{\"a\":true,\"b\"}",
        "text",
        "{} {}",
        "{\"a\":\"line\nbreak\"}",
        "{\"a\":\"\u{7f}\"},",
    ];
    for text in bad {
        row(&db, "boss", "X", 5, "c", None, text);
    }
    // The server agrees with each.
    for text in bad {
        assert!(db.session().try_sql(&format!("SELECT $x${text}$x$::json")).is_err(), "{text:?}");
    }
    sql(&db, "INSERT INTO public.audit_log (user_id, action, metadata, correlation_id)
              VALUES ('boss', 'X', '', 'c'), ('boss', 'X', repeat('x', 300000), 'c'), ('boss', 'X', '{\"a\":\"' || repeat('y', 300000) || '\"}', 'c')");
    // And of the archive.
    row(&db, "gone", "X", 5, "c", None, "{bad");
    sql(&db, "DELETE FROM public.\"user\" WHERE id = 'gone'");
    let seen = audit(&db, &["--fail-on", "warning"]).assert_code(3).json();
    let found = &seen["data"]["not_json"];
    assert_eq!(
        (&found["count"], &found["too_long"]),
        (&(bad.len() + 2).into(), &2.into()),
        "{found}"
    );
    let archived = found["examples"].as_array().unwrap().iter().filter(|e| e["archived"] == true);
    assert_eq!(archived.count(), 1, "{found}");
    assert!(subjects(&seen, "not-json") == ["public.audit_log.metadata"]);
    assert_eq!(audit(&db, &["--actor", "chief"]).json()["data"]["not_json"]["count"], 0);
}

/// More than a page of rows, and more than a page of bytes.
#[test]
fn pages_lose_nothing() {
    let db = TestDb::migrated();
    users(&db);
    sql(&db, "INSERT INTO public.audit_log (user_id, action, metadata, correlation_id)
              SELECT 'boss', 'X', CASE WHEN n % 1000 = 0 THEN '{bad' WHEN n % 3 = 0 THEN NULL ELSE '{\"a\":1}' END, 'c'
                FROM generate_series(1, 25000) n;
              INSERT INTO public.audit_log (user_id, action, metadata, correlation_id)
              SELECT 'boss', 'X', repeat('x', 200000), 'c' FROM generate_series(1, 30)");
    let found = audit(&db, &[]).assert_code(0).json()["data"]["not_json"].clone();
    assert_eq!((&found["count"], &found["too_long"]), (&55.into(), &0.into()));
    assert_eq!(found["examples"].as_array().unwrap().len(), 20);
}

#[test]
fn a_spreadsheet_calculates_nothing_and_a_terminal_obeys_nothing() {
    let db = TestDb::migrated();
    users(&db);
    sql(
        &db,
        "INSERT INTO public.\"user\" (id, name, email) VALUES ('=id', 'E', '+evil@x'), ('-i', 'F', E'\\t=1@x'), ('@i', 'G', E'\u{1b}[31m,\"q\"\\n=2@x');
         INSERT INTO public.audit_log (user_id, action, correlation_id) VALUES
             ('=id', '=HYPERLINK(\"http://x\")', 'c'), ('-i', '-1+1', 'c'), ('@i', E'\\r\\n@SUM(A1)', 'c')",
    );
    let run = markenmate(&["stats", "audit", "--csv", "-"]).db(&db).run().assert_code(0);
    let lines: Vec<_> = run.stdout.split("\r\n").collect();
    assert_eq!(lines[0], "kind,actor,email,role,action,count,archived,first,last,detail,object");
    assert_eq!(lines.len(), 5, "{}", run.stdout);
    assert!(
        lines[1].starts_with("action,\"'-i\",\"'\\t=1@x\",user,\"'-1+1\",1,0,"),
        "{}",
        lines[1]
    );
    assert!(
        lines[2].starts_with(
            "action,\"'=id\",\"'+evil@x\",user,\"'=HYPERLINK(\"\"http://x\"\")\",1,0,"
        ),
        "{}",
        lines[2]
    );
    assert!(
        lines[3].starts_with(
            "action,\"'@i\",\"\\u{1b}[31m,\"\"q\"\"\\n=2@x\",user,\"'\\r\\n@SUM(A1)\",1,0,"
        ),
        "{}",
        lines[3]
    );
    // A real reader of CSV sees eleven cells in each, none of which begins a formula.
    let script = "import csv, sys; rows = list(csv.reader(sys.stdin)); \
                  assert all(len(r) == 11 for r in rows), rows; \
                  assert not any(c[:1] in '=+-@\\t\\r' for r in rows for c in r if c), rows";
    let python = std::process::Command::new("python3")
        .args(["-c", script])
        .stdin(std::process::Stdio::piped())
        .spawn();
    if let Ok(mut python) = python {
        std::io::Write::write_all(&mut python.stdin.take().unwrap(), run.stdout.as_bytes())
            .unwrap();
        assert!(python.wait().unwrap().success());
    }
    let human = markenmate(&["stats", "audit"]).db(&db).run().assert_code(0);
    assert!(
        !human.stdout.contains('\u{1b}') && human.stdout.contains("\\u{1b}[31m"),
        "{}",
        human.stdout
    );

    markenmate(&["stats", "audit", "--csv", "a.csv"]).db(&db).run().assert_code(0);
    let file = db.folder().join("a.csv");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), run.stdout);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let wrong = audit(&db, &["--csv", "-"]).assert_code(2);
    assert!(wrong.stdout.contains("both want standard output"), "{}", wrong.stdout);
    let wrong = audit(&db, &["--csv", "no/such/x.csv"]).assert_code(2);
    assert!(wrong.stdout.contains("there is no folder"), "{}", wrong.stdout);
}

#[test]
fn without_an_audit_log_or_the_right_to_read_it() {
    let run = markenmate(&["stats", "audit"]).db(&TestDb::baseline()).run().assert_code(4);
    assert!(run.stderr.contains("there is no audit log in this database"), "{}", run.stderr);
    // As the app's push makes it: no archive yet.
    let pushed = TestDb::hardened();
    users(&pushed);
    row(&pushed, "boss", "X", 1, "c", None, "");
    let seen = audit(&pushed, &[]).assert_code(0).json();
    assert_eq!((&seen["data"]["rows"], &seen["data"]["archive"]), (&1.into(), &false.into()));

    let db = TestDb::migrated();
    users(&db);
    row(&db, "boss", "X", 1, "c", None, "");
    let role = format!("reviews_{}", db.name);
    sql(&db, &format!("CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA public TO {role}"));
    let denied =
        markenmate(&["stats", "audit"]).db(&db).url(&db.url_as(&role)).run().assert_code(4);
    assert!(denied.stderr.contains("permission denied"), "{}", denied.stderr);
    sql(&db, &format!("GRANT SELECT ON public.audit_log, public.\"user\" TO {role}"));
    let seen = markenmate(&["stats", "audit", "--format", "json"])
        .db(&db)
        .url(&db.url_as(&role))
        .run()
        .assert_code(0)
        .json();
    assert_eq!(
        subjects(&seen, "archive"),
        ["markenmate.audit_log_archive"],
        "it is said that it was left out"
    );
    assert_eq!(seen["data"]["rows"], 1);
    // Schema and history may be read, the archive not.
    let grant = "GRANT USAGE ON SCHEMA markenmate TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA markenmate TO {role};
                 REVOKE SELECT ON markenmate.audit_log_archive FROM {role}";
    sql(&db, &grant.replace("{role}", &role));
    let seen = markenmate(&["stats", "audit", "--format", "json"])
        .db(&db)
        .url(&db.url_as(&role))
        .run()
        .assert_code(0)
        .json();
    assert_eq!(subjects(&seen, "archive"), ["markenmate.audit_log_archive"]);
    assert_eq!(seen["data"]["archive"], false);
    sql(&db, &format!("DROP OWNED BY {role}; DROP ROLE {role}"));
    // An archive of another shape.
    sql(&db, "ALTER TABLE markenmate.audit_log_archive RENAME COLUMN metadata TO meta");
    let seen = audit(&db, &[]).assert_code(0).json();
    let said = findings(&seen);
    assert!(said.len() == 1 && said[0].2.contains("SQLSTATE 42703"), "{said:?}");
}

/// A column holds one kind of thing: ids, addresses or objects.
#[test]
fn a_column_of_the_csv_is_of_one_kind() {
    let db = TestDb::migrated();
    users(&db);
    row(&db, "was", "STEP_UP_AUTH_SUCCESS", 305, "n", None, "");
    row(&db, "was", "CHANGE_ROLE", 300, "n", Some("plain"), "{}");
    row(&db, "gone", "REVOKE_SESSIONS", 300, "n", Some("plain"), "{bad");
    row(&db, "chief", "CHANGE_ROLE", 400, "n", Some("chief"), "{}");
    for minutes in [601, 603, 605, 607, 609] {
        row(&db, "plain", "STEP_UP_AUTH_FAILURE", minutes, "n", None, "");
    }
    row(&db, "plain", "STEP_UP_AUTH_SUCCESS", 600, "n", None, "");
    row(&db, "boss", " ", 700, "", None, "");
    sql(
        &db,
        "UPDATE public.audit_log SET created_at = 'infinity' WHERE user_id = 'boss'; DELETE FROM public.\"user\" WHERE id = 'gone'",
    );
    let run = markenmate(&["stats", "audit", "--csv", "-"]).db(&db).run().assert_code(0);
    let rows: Vec<Vec<&str>> =
        run.stdout.split("\r\n").skip(1).map(|line| line.split(',').collect()).collect();
    let found: Vec<_> = rows
        .iter()
        .filter(|row| row.len() > 1 && row[0] != "action")
        .map(|row| (row[0], row[1], row[2], *row.last().unwrap()))
        .collect();
    assert_eq!(
        found,
        [
            ("not-admin", "gone", "", ""),
            ("not-admin", "was", "was@x", ""),
            ("own-role", "chief", "chief@x", ""),
            ("no-step-up", "chief", "chief@x", ""),
            ("failure-burst", "plain", "plain@x", ""),
            ("guessed", "plain", "plain@x", ""),
            ("no-correlation-id", "", "", "public.audit_log.correlation_id"),
            ("no-action", "", "", "public.audit_log.action"),
            ("no-time", "", "", "public.audit_log.created_at"),
            ("not-json", "", "", "public.audit_log.metadata"),
        ],
        "{}",
        run.stdout
    );
    let actors = ["boss", "chief", "gone", "plain", "was"];
    for row in rows.iter().filter(|row| row[0] == "action") {
        assert!(actors.contains(&row[1]) && row.last() == Some(&""), "{row:?}");
    }
}

#[test]
fn an_actor_whom_nobody_knows_is_said_to_be_none() {
    let db = TestDb::migrated();
    users(&db);
    row(&db, "plain", "X", 60 * 24 * 40, "c", None, "");
    row(&db, "gone", "X", 60 * 24 * 40, "c", None, "");
    sql(&db, "DELETE FROM public.\"user\" WHERE id = 'gone'");
    for (actor, known) in [
        ("nobody", false),
        ("nobody@x", false),
        ("x' OR true --", false),
        ("PLAIN", false),
        ("boss", true),
        ("BOSS@x", true),
        ("plain", true),
        ("gone", true),
    ] {
        let run = audit(&db, &["--actor", actor, "--fail-on", "warning"]).assert_code(0);
        let document = run.json();
        let notices = document["data"]["notices"].as_array().unwrap();
        let said = format!("no user and no audit row has the actor {actor:?}");
        assert_eq!(notices.len(), usize::from(!known), "{actor}: {notices:?}");
        assert_eq!(run.stderr.contains(&format!("notice: {said}")), !known, "{}", run.stderr);
        assert!(known || notices[0].as_str().unwrap().starts_with(&said), "{notices:?}");
    }
    assert_eq!(audit(&db, &[]).assert_code(0).json()["data"]["notices"], Value::Array(vec![]));
}

#[test]
fn times_that_are_none_fail_nothing_and_are_counted() {
    let db = TestDb::migrated();
    users(&db);
    let times = [
        "-infinity",
        "infinity",
        "4714-11-24 00:00:00+00 BC",
        "0044-03-15 12:00:00+00 BC",
        "0001-12-31 23:59:59+00 BC",
        "10000-01-01 00:00:00+00",
        "294276-12-31 23:59:59.999999+00",
    ];
    for time in times {
        sql(
            &db,
            &format!(
                "INSERT INTO public.audit_log (user_id, action, metadata, correlation_id, created_at)
                 SELECT 'boss', a, '{{', 'c', '{time}' FROM unnest(ARRAY['CHANGE_ROLE', 'STEP_UP_AUTH_FAILURE', 'STEP_UP_AUTH_FAILURE', 'STEP_UP_AUTH_SUCCESS']) a"
            ),
        );
    }
    // Times, if odd ones: before the window, and to come.
    sql(&db, "INSERT INTO public.audit_log (user_id, action, correlation_id, created_at)
              VALUES ('boss', 'X', 'c', '0001-01-01 00:00:00+00'), ('boss', 'X', 'c', '9999-12-31 23:59:59+00')");
    // And in the archive.
    sql(&db, "INSERT INTO public.audit_log (user_id, action, correlation_id, created_at) VALUES ('gone', 'Y', 'c', 'infinity');
              DELETE FROM public.\"user\" WHERE id = 'gone'");
    let seen = audit(&db, &["--since", "1h"]).assert_code(0).json();
    let said = findings(&seen);
    let detail = |id: &str| {
        let of: Vec<_> = said.iter().filter(|(of, ..)| *of == id).collect();
        assert_eq!(of.len(), 1, "{id}: {said:#?}");
        of[0].2
    };
    let none = 4 * times.len() + 1;
    assert!(detail("no-time").starts_with(&format!("{none} row(s) have a time that is none")));
    assert!(detail("to-come").starts_with("1 row(s)"), "{}", detail("to-come"));
    assert!(detail("no-step-up").contains("7 time(s), the last at a time that is none"));
    assert!(detail("not-json").starts_with("28 row(s)"), "{}", detail("not-json"));
    assert_eq!(said.len(), 4, "{said:#?}");
    assert_eq!(seen["data"]["rows"], none + 1);
    let deeds = seen["data"]["actions"].as_array().unwrap();
    let of = |action: &str| deeds.iter().find(|deed| deed["action"] == action).unwrap();
    assert_eq!(
        (&of("CHANGE_ROLE")["first"], &of("CHANGE_ROLE")["last"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(of("X")["last"], "9999-12-31T23:59:59Z");
    // Whoever asks for somebody or something else does not see them.
    let other = audit(&db, &["--actor", "chief", "--fail-on", "warning"]).assert_code(0).json();
    assert_eq!(other["data"]["rows"], 0);
    assert_eq!(subjects(&audit(&db, &["--action", "X"]).json(), "no-time"), [""; 0]);
    markenmate(&["stats", "audit", "--csv", "-"]).db(&db).run().assert_code(0);
    markenmate(&["stats", "audit"]).db(&db).run().assert_code(0);
    markenmate(&["stats", "--fail-on", "warning"]).db(&db).run().assert_code(3);
}

#[test]
fn two_documents_for_standard_output_are_refused_without_a_database() {
    for args in [&["stats", "--prometheus", "-"][..], &["stats", "audit", "--csv", "-"]] {
        let run = markenmate(&[args, &["--format", "json"]].concat())
            .url("postgresql://postgres@/gone?host=/nowhere")
            .run()
            .assert_code(2);
        assert!(run.stdout.contains("both want standard output"), "{}", run.stdout);
        assert!(run.stdout.contains("to a file"), "{}", run.stdout);
    }
}
