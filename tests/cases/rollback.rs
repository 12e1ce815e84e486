//! `rollback --to`: nothing is lost, nothing is left, and `migrate` brings it back.

use serde_json::Value;

use crate::support::state::{assert_migrated, catalogue, one, versions};
use crate::support::{Run, Session, TestDb, markenmate};

pub(super) fn rollback(db: &TestDb, args: &[&str]) -> Run {
    let args = [&["rollback", "--confirm", &db.name, "--format", "json"], args].concat();
    markenmate(&args).db(db).run()
}

/// What the guide's migration holds: rows of the new tables, values of the new columns.
pub(super) const HOLDS: [&str; 5] = [
    "SELECT json_agg(json_build_array(t.id, t.user_id, t.action, t.target_user_id, t.metadata, t.created_at) ORDER BY t.id) FROM public.audit_log t",
    "SELECT json_agg(json_build_array(t.id, t.token, t.user_id, t.expires_at, t.used, t.created_at) ORDER BY t.id) FROM public.step_up_token t",
    "SELECT json_agg(json_build_array(t.id, t.version) ORDER BY t.id) FROM public.token_lending t",
    "SELECT json_agg(json_build_array(t.id, t.correlation_id) ORDER BY t.id) FROM public.app_log t",
    "SELECT json_agg(json_build_array(t.id, t.is_master_admin) ORDER BY t.id) FROM public.\"user\" t",
];

pub(super) fn holds(session: &Session) -> Vec<String> {
    HOLDS.iter().map(|sql| one(session, sql)).collect()
}

/// A migrated database in which all of it is used.
pub(super) fn used() -> TestDb {
    let db = TestDb::migrated();
    fill(&db.session());
    db
}

/// Uses all of it.
pub(super) fn fill(session: &Session) {
    session.sql(
        "UPDATE public.\"user\" SET is_master_admin = true WHERE id = (SELECT min(id) FROM public.\"user\" WHERE role = 'admin');
         UPDATE public.token_lending SET version = version + 1, token_count = token_count + 1 WHERE id % 2 = 0;
         UPDATE public.token_lending SET version = version + 3 WHERE id % 4 = 0;
         UPDATE public.app_log SET correlation_id = 'c' || id WHERE id % 3 = 0;
         INSERT INTO public.audit_log (user_id, action, target_user_id, metadata)
         SELECT u.id, 'CHANGE_ROLE', (SELECT max(id) FROM public.\"user\"), '{\"n\":' || n || '}' FROM public.\"user\" u, generate_series(1, 3) n;
         INSERT INTO public.step_up_token (token, user_id, expires_at, used)
         SELECT md5(u.id), u.id, now() + interval '1 hour', u.id < 'c' FROM public.\"user\" u",
    );
}

#[test]
fn there_and_back_again() {
    let db = used();
    let session = db.session();
    let before = holds(&session);
    let contract = TestDb::baseline();
    let done = rollback(&db, &[]).assert_code(0).json();
    assert_eq!(done["data"]["reverted"], serde_json::json!([3, 2]), "{done:#}");
    assert_eq!(versions(&session), "1");
    let public = |session: &Session| {
        catalogue(session)
            .lines()
            .filter(|line| !line.contains("markenmate") && !line.contains("pg.dropped"))
            .map(|line| {
                line.split_whitespace()
                    .filter(|word| word.parse::<u64>().is_err())
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect::<Vec<_>>()
    };
    assert!(public(&session) == public(&contract.session()));
    let kept: u64 = done["data"]["set_aside"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["rows"].as_u64().unwrap())
        .sum();
    let count = |value: &str| {
        serde_json::from_str::<Value>(value).unwrap().as_array().unwrap().len() as u64
    };
    assert!(kept > count(&before[0]) + count(&before[1]), "{done:#}");
    markenmate(&["verify", "--to", "1", "--only", "contract,history"]).db(&db).run().assert_code(0);
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    assert_migrated(&db.url);
    same(&holds(&session), &before);
}

/// Without printing all of it.
#[track_caller]
pub(super) fn same(left: &[String], right: &[String]) {
    for ((left, right), sql) in left.iter().zip(right).zip(HOLDS) {
        let at = left
            .bytes()
            .zip(right.bytes())
            .position(|(l, r)| l != r)
            .unwrap_or(0)
            .saturating_sub(40);
        let part = |text: &str| text.chars().skip(at).take(120).collect::<String>();
        assert!(left == right, "{sql}\n{}\n{}", part(left), part(right));
    }
}
