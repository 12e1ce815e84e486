//! Between the way back and the way up again life goes on: the new application's push, its first rows, users
//! who are deleted. What can return does, under another id where its own is taken; the rest stays and is counted.

use serde_json::Value;

use super::rollback::{holds, rollback, same, used};
use crate::support::aside::{assert_nothing_kept, rows, together};
use crate::support::state::{assert_migrated, one, versions};
use crate::support::{Session, TestDb, markenmate, schema_file};

fn migrate(db: &TestDb) -> Value {
    markenmate(&["migrate", "--yes", "--format", "json"]).db(db).run().assert_code(0).json()
}

/// What a run brought back of a part: rows, renumbered, left.
#[track_caller]
fn returned(done: &Value, what: &str) -> [u64; 3] {
    let part =
        done["data"]["returned"].as_array().unwrap().iter().find(|part| part["what"] == what);
    let part = part.unwrap_or_else(|| panic!("no {what} in {done:#}"));
    ["rows", "renumbered", "left"].map(|count| part[count].as_u64().unwrap())
}

fn number(session: &Session, sql: &str) -> u64 {
    one(session, sql).parse().unwrap()
}

#[test]
fn twice_there_and_back() {
    let db = used();
    let session = db.session();
    let before = rows(&session);
    for _ in 0..2 {
        rollback(&db, &[]).assert_code(0);
        assert_eq!(versions(&session), "1");
        migrate(&db);
        crate::support::aside::same(&rows(&session), &before);
        assert_nothing_kept(&session);
        assert_migrated(&db.url);
    }
}

/// The next rows go on where the old ones ended, whoever makes them first.
#[test]
fn sequences_go_on_where_they_were() {
    for deleted in ["false", "true"] {
        let db = used();
        let session = db.session();
        session.sql("SELECT setval('public.audit_log_id_seq', 5000)");
        session.sql(&format!("DELETE FROM public.step_up_token WHERE {deleted}"));
        let next =
            "SELECT nextval('public.audit_log_id_seq'), nextval('public.step_up_token_id_seq')";
        let last = "SELECT concat_ws(' ', (SELECT last_value FROM public.audit_log_id_seq), (SELECT last_value FROM public.step_up_token_id_seq))";
        let was = one(&session, last);
        rollback(&db, &[]).assert_code(0);
        migrate(&db);
        assert_eq!(one(&session, last), was);
        let went_on: Vec<u64> =
            session.sql(next)[0].iter().map(|n| n.as_ref().unwrap().parse().unwrap()).collect();
        let expected: Vec<u64> = was.split(' ').map(|n| n.parse::<u64>().unwrap() + 1).collect();
        assert_eq!(went_on, expected);
    }
}

#[test]
fn what_the_new_application_pushed_is_adopted_and_colliding_rows_get_other_ids() {
    let db = used();
    let session = db.session();
    let kept = holds(&session);
    let ids = |table: &str| {
        one(&session, &format!("SELECT json_agg(id ORDER BY id) FROM public.{table}"))
    };
    let (audit_ids, lending) =
        (ids("audit_log"), "SELECT min(id) FROM public.token_lending WHERE id % 4 = 0");
    let lending = one(&session, lending);
    let version = |id: &str| {
        number(&session, &format!("SELECT version FROM public.token_lending WHERE id = {id}"))
    };
    let was = version(&lending);
    rollback(&db, &[]).assert_code(0);
    session.sql(&schema_file("V2__security_hardening.sql"));
    session.sql(&format!(
        "INSERT INTO public.audit_log (user_id, action, metadata) SELECT min(id), 'login', 'new ' || n FROM public.\"user\", generate_series(1, 5) n GROUP BY n;
         INSERT INTO public.step_up_token (token, user_id, expires_at) SELECT 'new ' || n, min(id), now() FROM public.\"user\", generate_series(1, 4) n GROUP BY n;
         UPDATE public.token_lending SET version = version + 2 WHERE id = {lending};
         UPDATE public.app_log SET correlation_id = 'new' WHERE id = (SELECT min(id) FROM public.app_log WHERE id % 3 = 0)"
    ));
    let done = migrate(&db);
    assert_eq!(done["data"]["adopted"], serde_json::json!([2]), "{done:#}");
    assert_migrated(&db.url);
    // Those that stood there first keep their ids.
    let stands = "SELECT count(*) FROM public.audit_log WHERE id <= 5 AND metadata LIKE 'new %'";
    assert_eq!(one(&session, stands), "5");
    let count = |json: &str| serde_json::from_str::<Vec<Value>>(json).unwrap().len() as u64;
    let taken = audit_ids
        .trim_matches(['[', ']'])
        .split(", ")
        .filter(|id| id.parse::<u32>().unwrap() <= 5)
        .count() as u64;
    assert_eq!(returned(&done, "public.audit_log"), [count(&kept[0]), taken, 0]);
    assert_eq!(returned(&done, "public.step_up_token"), [count(&kept[1]), 4, 0]);
    // Nothing but the ids differs.
    let strip = |json: &str| {
        let mut rows: Vec<String> = serde_json::from_str::<Vec<Vec<Value>>>(json)
            .unwrap()
            .iter()
            .map(|row| format!("{:?}", &row[1..]))
            .filter(|row| !row.contains("\"new "))
            .collect();
        rows.sort();
        rows
    };
    let now = holds(&session);
    for part in 0..2 {
        assert!(strip(&now[part]) == strip(&kept[part]), "{}", super::rollback::HOLDS[part]);
    }
    // Who has seen a newer version since is told of a conflict, not of an old number.
    assert_eq!(version(&lending), was + 2);
    assert_eq!(returned(&done, "public.app_log.correlation_id")[2], 1);
    let left =
        &done["findings"].as_array().unwrap().iter().find(|f| f["id"] == "set-aside-left").unwrap()
            ["detail"];
    assert!(
        left.as_str()
            .unwrap()
            .starts_with("1 stay in markenmate_quarantine.app_log_correlation_id_"),
        "{left}"
    );
    let next = one(
        &session,
        "INSERT INTO public.audit_log (user_id, action) SELECT min(id), 'login' FROM public.\"user\" RETURNING id",
    );
    assert_eq!(next, one(&session, "SELECT max(id) FROM public.audit_log"));

    // And once more: what stayed stays, whatever else comes and goes.
    let before = rows(&session);
    let stays =
        "SELECT json_agg(name ORDER BY name) FROM markenmate.set_aside WHERE state = 'left'";
    let stayed = one(&session, stays);
    rollback(&db, &[]).assert_code(0);
    migrate(&db);
    crate::support::aside::same(&rows(&session), &before);
    assert_eq!(one(&session, stays), stayed);
}

#[test]
fn rows_of_users_who_are_gone_are_archived_or_stay_and_are_counted() {
    let db = used();
    let session = db.session();
    let gone = one(
        &session,
        "SELECT string_agg(quote_literal(id), ', ') FROM (SELECT id FROM public.\"user\" WHERE role = 'user' ORDER BY id DESC LIMIT 3) u",
    );
    let of = |table: &str| {
        number(&session, &format!("SELECT count(*) FROM public.{table} WHERE user_id IN ({gone})"))
    };
    let [audit, tokens] = ["audit_log", "step_up_token"].map(of);
    assert!(audit > 0 && tokens > 0);
    let all_audit = number(&session, "SELECT count(*) FROM public.audit_log");
    let versions_kept =
        number(&session, "SELECT count(*) FROM public.token_lending WHERE version <> 1");
    let together_before = together(&session);
    rollback(&db, &[]).assert_code(0);
    session.sql(&format!("DELETE FROM public.\"user\" WHERE id IN ({gone})"));
    let still = number(&session, "SELECT count(*) FROM public.token_lending");
    let done = migrate(&db);
    assert_eq!(returned(&done, "public.audit_log"), [all_audit - audit, 0, 0]);
    assert_eq!(returned(&done, "public.step_up_token")[2], tokens);
    let [versions_back, _, versions_left] = returned(&done, "public.token_lending.version");
    assert_eq!(versions_back + versions_left, versions_kept);
    assert!(versions_left > 0 && still > 0);
    // Whom a row was about may be gone as well: the key empties it.
    let about = number(
        &session,
        &format!("SELECT count(*) FROM public.audit_log WHERE target_user_id IN ({gone})"),
    );
    assert_eq!(about, 0);
    assert_eq!(
        number(
            &session,
            "SELECT count(*) FROM public.audit_log WHERE action = 'CHANGE_ROLE' AND target_user_id IS NULL"
        ),
        all_audit - audit
    );
    // Nothing is lost: all that stayed is where the report says.
    let kept = done["data"]["returned"]
        .as_array()
        .unwrap()
        .iter()
        .find(|p| p["what"] == "public.audit_log")
        .unwrap();
    assert_eq!(kept["archived"], audit, "{kept:#}");
    let archived = format!(
        "SELECT count(*) FROM markenmate.audit_log_archive WHERE user_id IN ({gone}) AND reason = 'user deleted'"
    );
    assert_eq!(number(&session, &archived), audit);
    // Whom the others were about is kept, by the rows' ids.
    let forgotten = kept["forgotten_as"].as_str().unwrap();
    assert_eq!(kept["forgotten"], all_audit - audit, "{kept:#}");
    let pairs = format!(
        "SELECT count(*) FROM {forgotten} f JOIN public.audit_log a ON a.id = f.id AND a.target_user_id IS NULL
          WHERE f.target_user_id IN ({gone})"
    );
    assert_eq!(number(&session, &pairs), all_audit - audit);
    let said = |id: &str| done["findings"].as_array().unwrap().iter().any(|f| f["id"] == id);
    assert!(said("set-aside-archived") && said("set-aside-forgotten"), "{done:#}");
    let ledger = "SELECT detail::json ->> 'forgotten' FROM markenmate.ledger WHERE subject = 'public.audit_log' ORDER BY number DESC LIMIT 1";
    assert_eq!(number(&session, ledger), all_audit - audit);
    let lines = |text: &str| text.lines().count();
    let now = together(&session);
    for table in ["audit_log", "step_up_token"] {
        assert_eq!(lines(&now[table]), lines(&together_before[table]), "{table}");
    }
    assert_migrated(&db.url);
    // Nothing more to do.
    let again =
        markenmate(&["migrate", "--yes", "--format", "json"]).db(&db).run().assert_code(0).json();
    assert_eq!(again["outcome"], "nothing_to_do");

    // The next way back and up again leaves them where they are.
    let before = rows(&session);
    rollback(&db, &[]).assert_code(0);
    migrate(&db);
    crate::support::aside::same(&rows(&session), &before);
    assert_eq!(number(&session, &archived), audit);
    assert_eq!(number(&session, &pairs), all_audit - audit);
}

/// The application has used the ids meanwhile: the pair is that of the row as it is now.
#[test]
fn whom_a_row_was_about_is_kept_under_the_id_that_it_got() {
    let db = used();
    let session = db.session();
    rollback(&db, &[]).assert_code(0);
    session.sql(&schema_file("V2__security_hardening.sql"));
    session.sql(
        "INSERT INTO public.audit_log (user_id, action) SELECT min(id), 'login' FROM public.\"user\", generate_series(1, 5) n GROUP BY n;
         DELETE FROM public.\"user\" WHERE id = (SELECT max(id) FROM public.\"user\")",
    );
    let done = migrate(&db);
    let [_, renumbered, _] = returned(&done, "public.audit_log");
    assert!(renumbered > 0);
    let all = done["data"]["returned"].as_array().unwrap();
    let audit = all.iter().find(|part| part["what"] == "public.audit_log").unwrap();
    let pairs = format!(
        "SELECT count(*) FROM {} f JOIN public.audit_log a ON a.id = f.id AND a.action = 'CHANGE_ROLE' AND a.target_user_id IS NULL",
        audit["forgotten_as"].as_str().unwrap()
    );
    assert_eq!(number(&session, &pairs), audit["forgotten"].as_u64().unwrap());
    assert_eq!(audit["forgotten"], audit["rows"]);
    // It is listed, and goes when somebody says so.
    let listed = markenmate(&["cleanup", "set-aside", "--dry-run", "--format", "json"]).db(&db);
    let listed = listed.run().assert_code(0).json();
    let mut all = listed["data"]["tables"].as_array().unwrap().iter();
    let row = all.find(|table| table["what"] == "public.audit_log.target_user_id");
    assert_eq!(row.unwrap_or_else(|| panic!("{listed:#}"))["state"], "left");
}

/// Numbers that no application writes, and what the database lets through.
#[test]
fn odd_values_return() {
    let db = used();
    let session = db.session();
    let odd = "SELECT json_agg(version ORDER BY id) FROM public.token_lending WHERE id < 4";
    let odd = || one(&session, odd);
    session.sql(
        "BEGIN; SELECT markenmate.open_gate('a test');
         UPDATE public.token_lending SET version = CASE id WHEN 1 THEN 0 WHEN 2 THEN -7 ELSE 2147483647 END WHERE id < 4;
         COMMIT;
         UPDATE public.app_log SET correlation_id = '' WHERE id = (SELECT min(id) FROM public.app_log);
         INSERT INTO public.audit_log (id, user_id, action, metadata) SELECT -5, min(id), '', 'not json' FROM public.\"user\";
         INSERT INTO public.audit_log (id, user_id, action) SELECT 2147483647, min(id), E'\\x01' FROM public.\"user\"",
    );
    assert_eq!(odd(), "[0, -7, 2147483647]");
    let before = holds(&session);
    rollback(&db, &[]).assert_code(0);
    migrate(&db);
    // A version that goes back is what the guards refuse.
    assert_eq!(odd(), "[1, 1, 2147483647]");
    session.sql("BEGIN; SELECT markenmate.open_gate('a test'); UPDATE public.token_lending SET version = CASE id WHEN 1 THEN 0 ELSE -7 END WHERE id < 3; COMMIT");
    same(&holds(&session), &before);
    assert_nothing_kept(&session);
    // What somebody numbered by hand does not end the sequence.
    let new = "INSERT INTO public.audit_log (user_id, action) SELECT min(id), 'login' FROM public.\"user\"";
    session.sql(new);

    session.sql("SELECT setval('public.audit_log_id_seq', 2147483600)");
    rollback(&db, &[]).assert_code(0);
    session.sql(&schema_file("V2__security_hardening.sql"));
    session.sql(new);
    session.sql("UPDATE public.token_lending SET version = version + 1 WHERE id < 4");
    migrate(&db);
    assert_migrated(&db.url);
    assert_eq!(odd(), "[2, 2, 2147483647]");
}
