//! What the guards forbid and what they let pass, by statements of clients that know nothing of them.

use crate::support::app::{FIXTURE, at_version, past_guards, said};
use crate::support::{Session, TestDb, sql};

/// One rule, by what somebody does.
pub(super) struct Rule {
    /// What is so beforehand, made past the guards.
    pub before: &'static str,
    pub does: &'static str,
    /// The trigger without which it ends the other way.
    by: &'static str,
    /// SQLSTATE and message; none where it goes through.
    pub refused: Option<(&'static str, &'static str)>,
}

const fn refused(
    before: &'static str,
    does: &'static str,
    by: &'static str,
    said: (&'static str, &'static str),
) -> Rule {
    Rule { before, does, by, refused: Some(said) }
}

const fn passes(before: &'static str, does: &'static str, by: &'static str) -> Rule {
    Rule { before, does, by, refused: None }
}

pub(super) const MASTER: (&str, &str) =
    ("MM101", "Cannot demote the master admin. This is a protected account.");
pub(super) const LAST: (&str, &str) =
    ("MM102", "Cannot remove the last admin. System must have at least one admin.");
const TAKEN: (&str, &str) = ("MM103", "The master admin's flag is not taken away by hand.");
pub(super) const NO_ADMIN: (&str, &str) = ("MM103", "The master admin must be an admin.");
pub(super) const SECOND: (&str, &str) = ("MM103", "There is a master admin already.");
const TRUNCATED: (&str, &str) = ("MM105", LAST.1);
pub(super) const STALE: (&str, &str) =
    ("40001", "Lending was modified by another user. Please refresh and try again.");
pub(super) const SPENT: (&str, &str) = ("40001", "Step-up authentication required");

const NOBODY: &str = "SELECT";
pub(super) const ADA: &str = r#"UPDATE public."user" SET is_master_admin = true WHERE id = 'ada'"#;
/// As nobody but who gets past the guards can make it.
const NO_ADMIN_BUT_MASTER: &str =
    r#"UPDATE public."user" SET is_master_admin = true WHERE id = 'uta'"#;
const ALONE: &str = r#"UPDATE public."user" SET role = 'user' WHERE id = 'ben'"#;

const ADMINS: &str = "\"user\".markenmate_admins";
const UPDATED: &str = "\"user\".markenmate_last_admin_updated";
const DELETED: &str = "\"user\".markenmate_last_admin_deleted";
const VERSION: &str = "token_lending.markenmate_version";
const CONFLICT: &str = "token_lending.markenmate_conflict";
const INSERTING: &str = "token_lending.markenmate_inserting";
const UNUSED: &str = "step_up_token.markenmate_conflict";

#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    refused(ADA, r#"UPDATE "user" SET role = 'user' WHERE id = 'ada'"#, ADMINS, MASTER),
    refused(ADA, r#"UPDATE "user" SET role = 'user', is_master_admin = false WHERE id = 'ada'"#, ADMINS, MASTER),
    refused(ADA, r#"UPDATE "user" SET role = 'user' WHERE name LIKE 'A%'"#, ADMINS, MASTER),
    refused(r#"UPDATE public."user" SET role = 'admin', is_master_admin = true WHERE id = 'max'"#, r#"UPDATE "user" SET id = 'eve' WHERE id = 'max'"#, ADMINS, MASTER),
    refused(ADA, r#"DELETE FROM "user" WHERE id = 'ada'"#, ADMINS, MASTER),
    refused(ADA, r#"INSERT INTO "user" (id, name, email) VALUES ('ada', '', '') ON CONFLICT (id) DO UPDATE SET role = 'user'"#, ADMINS, MASTER),
    refused(ADA, r#"UPDATE "user" SET is_master_admin = false"#, ADMINS, TAKEN),
    refused(ADA, r#"UPDATE "user" SET is_master_admin = false WHERE id = 'ada'; UPDATE "user" SET is_master_admin = true WHERE id = 'ben'"#, ADMINS, TAKEN),
    refused(ADA, r#"UPDATE "user" SET is_master_admin = true WHERE id = 'ben'"#, ADMINS, SECOND),
    refused(ADA, r#"INSERT INTO "user" (id, name, email, role, is_master_admin) VALUES ('eve', '', '', 'admin', true)"#, ADMINS, SECOND),
    refused(ADA, r#"INSERT INTO "user" (id, name, email, role, is_master_admin) VALUES ('eve', '', '', 'user', true)"#, ADMINS, NO_ADMIN),
    refused(NOBODY, r#"UPDATE "user" SET is_master_admin = true WHERE id = 'uta'"#, ADMINS, NO_ADMIN),
    refused(NOBODY, r#"UPDATE "user" SET is_master_admin = true, role = 'user' WHERE id = 'ada'"#, ADMINS, NO_ADMIN),
    refused(NOBODY, r#"UPDATE "user" SET is_master_admin = true WHERE role = 'admin'"#, ADMINS, SECOND),
    refused(NOBODY, r#"WITH other AS (UPDATE "user" SET is_master_admin = true WHERE id = 'ben' RETURNING id) UPDATE "user" SET is_master_admin = true WHERE id = 'ada' AND EXISTS (SELECT FROM other)"#, ADMINS, SECOND),
    refused(NOBODY, r#"UPDATE "user" SET is_master_admin = true WHERE id = 'ada'; UPDATE "user" SET is_master_admin = true WHERE id = 'ben'"#, ADMINS, SECOND),
    passes(NOBODY, r#"UPDATE "user" SET is_master_admin = true WHERE id = 'ada'"#, ""),
    passes(NOBODY, r#"UPDATE "user" SET is_master_admin = true, role = 'admin' WHERE id = 'uta'"#, ""),
    passes(NOBODY, r#"INSERT INTO "user" (id, name, email, role, is_master_admin) VALUES ('eve', '', '', 'admin', true)"#, ""),
    passes(ADA, r#"UPDATE "user" SET is_master_admin = true, role = 'admin', name = 'Ada L.' WHERE id = 'ada'"#, ""),
    passes(ADA, r#"INSERT INTO "user" (id, name, email, role, is_master_admin) VALUES ('ada', '', '', 'admin', true) ON CONFLICT (id) DO UPDATE SET name = excluded.name"#, ""),
    passes(ADA, r#"UPDATE "user" SET role = 'user' WHERE id = 'ben'; DELETE FROM "user" WHERE id <> 'ada'"#, ""),
    passes(NO_ADMIN_BUT_MASTER, r#"UPDATE "user" SET name = 'x' WHERE id = 'uta'; UPDATE "user" SET role = 'admin' WHERE id = 'uta'"#, ""),
    refused(NO_ADMIN_BUT_MASTER, r#"UPDATE "user" SET is_master_admin = false WHERE id = 'uta'"#, ADMINS, TAKEN),
    refused(NO_ADMIN_BUT_MASTER, r#"DELETE FROM "user" WHERE id = 'uta'"#, ADMINS, MASTER),
    refused(ALONE, r#"UPDATE "user" SET role = 'user' WHERE id = 'ada'"#, UPDATED, LAST),
    refused(ALONE, r#"INSERT INTO "user" (id, name, email) VALUES ('ada', '', '') ON CONFLICT (id) DO UPDATE SET role = 'user'"#, UPDATED, LAST),
    refused(ALONE, r#"DELETE FROM "user" WHERE id = 'ada'"#, DELETED, LAST),
    refused(NOBODY, r#"UPDATE "user" SET role = 'user'"#, UPDATED, LAST),
    refused(NOBODY, r#"DELETE FROM "user""#, DELETED, LAST),
    refused(NOBODY, r#"UPDATE "user" SET role = 'user' WHERE id = 'ada'; UPDATE "user" SET role = 'user' WHERE id = 'ben'"#, UPDATED, LAST),
    refused(NOBODY, r#"WITH other AS (UPDATE "user" SET role = 'user' WHERE id = 'ada') UPDATE "user" SET role = 'user' WHERE id = 'ben'"#, UPDATED, LAST),
    refused(NOBODY, r#"WITH other AS (DELETE FROM "user" WHERE id = 'ada') DELETE FROM "user" WHERE id = 'ben'"#, DELETED, LAST),
    refused(NOBODY, r#"DELETE FROM "user" WHERE id = 'ada'; UPDATE "user" SET role = 'user' WHERE id = 'ben'"#, UPDATED, LAST),
    refused(NOBODY, r#"TRUNCATE "user" CASCADE"#, "\"user\".markenmate_truncate", TRUNCATED),
    refused(NOBODY, r#"TRUNCATE token_lending, "user" CASCADE"#, "\"user\".markenmate_truncate", TRUNCATED),
    passes(NOBODY, r#"UPDATE "user" SET role = CASE WHEN id = 'uta' THEN 'admin' ELSE 'user' END::user_role"#, ""),
    passes(ALONE, r#"UPDATE "user" SET id = 'eve' WHERE id = 'max'; UPDATE "user" SET name = 'A' WHERE id = 'ada'"#, ""),
    passes(r#"UPDATE public."user" SET role = 'user'"#, r#"DELETE FROM "user" WHERE id = 'ada'"#, ""),
    refused(r#"UPDATE public."user" SET role = 'user'"#, r#"TRUNCATE "user" CASCADE"#, "\"user\".markenmate_truncate", TRUNCATED),
    refused(NOBODY, "UPDATE token_lending SET version = version - 1 WHERE id = 9001", VERSION, ("MM104", "The version of lending 9001 may not go from 1 to 0.")),
    refused(NOBODY, "UPDATE token_lending SET token_count = 6, version = version + 2 WHERE id = 9001", VERSION, ("MM104", "The version of lending 9001 may not go from 1 to 3.")),
    refused(NOBODY, "UPDATE token_lending SET token_count = token_count + 1 WHERE id = 9002", VERSION, ("MM104", "The version of lending 9002 may not go from 1 to 1.")),
    passes(NOBODY, "UPDATE token_lending SET version = version + 2 WHERE id = 9001; UPDATE token_lending SET person_name = 'x'", ""),
    refused(NOBODY, "UPDATE token_lending SET person_name = 'x' WHERE false", CONFLICT, STALE),
    refused(NOBODY, "DELETE FROM token_lending; UPDATE token_lending SET person_name = 'x'", CONFLICT, STALE),
    passes(NOBODY, "INSERT INTO token_lending (id, user_id, person_name, token_count) VALUES (1, 'ada', '', 1) ON CONFLICT (id) DO UPDATE SET person_name = 'x'", INSERTING),
    passes(NOBODY, "INSERT INTO token_lending (id, user_id, person_name, token_count) SELECT 1, 'ada', '', 1 WHERE false ON CONFLICT (id) DO UPDATE SET person_name = 'x'", INSERTING),
    passes(NOBODY, "INSERT INTO token_lending (id, user_id, person_name, token_count) VALUES (1, 'ada', '', 1) ON CONFLICT (id) DO UPDATE SET person_name = 'x'", "token_lending.markenmate_updating"),
    refused(NOBODY, "SELECT set_config('markenmate.excused', 'token_lending'::regclass::oid::text, true); UPDATE token_lending SET person_name = 'x' WHERE false", "token_lending.markenmate_updating", STALE),
    refused(NOBODY, "INSERT INTO token_lending (user_id, person_name, token_count) VALUES ('ada', '', 1); UPDATE token_lending SET person_name = 'x' WHERE id = 1", "token_lending.markenmate_inserted", STALE),
    passes(NOBODY, "INSERT INTO step_up_token (token, user_id, expires_at) VALUES ('x', 'ada', now()) ON CONFLICT (token) DO UPDATE SET user_id = 'ben'", "step_up_token.markenmate_updating"),
    refused(NOBODY, "SELECT set_config('markenmate.excused', 'step_up_token'::regclass::oid::text, true); UPDATE step_up_token SET used = true WHERE id = 1", "step_up_token.markenmate_updating", SPENT),
    refused(NOBODY, "INSERT INTO step_up_token (token, user_id, expires_at) VALUES ('x', 'ada', now()); UPDATE step_up_token SET used = true WHERE id = 1", "step_up_token.markenmate_inserted", SPENT),
    passes(NOBODY, "INSERT INTO step_up_token (token, user_id, expires_at) VALUES ('x', 'ada', now()) ON CONFLICT (token) DO UPDATE SET user_id = 'ben'", "step_up_token.markenmate_inserting"),
    refused(NOBODY, "WITH i AS (INSERT INTO step_up_token (token, user_id, expires_at) SELECT 'x', 'ada', now() WHERE false) UPDATE step_up_token SET used = true WHERE id = 9002 AND NOT used", UNUSED, SPENT),
    refused(NOBODY, "SELECT set_config('markenmate.excused', 'step_up_token'::regclass::oid::text, true); UPDATE step_up_token SET used = true WHERE id = 9002 AND NOT used", UNUSED, SPENT),
    refused(NOBODY, "SELECT set_config('markenmate.inserting', 'token_lending'::regclass::oid::text, true); UPDATE token_lending SET person_name = 'x' WHERE false", CONFLICT, STALE),
    refused(NOBODY, "UPDATE step_up_token SET used = false WHERE id = 9002", "step_up_token.markenmate_spent", SPENT),
    refused(NOBODY, "UPDATE step_up_token SET used = true WHERE id IN (9001, 9002)", "step_up_token.markenmate_spent", SPENT),
    refused(NOBODY, "UPDATE step_up_token SET used = true WHERE id = 9002 AND NOT used", UNUSED, SPENT),
    refused(NOBODY, "UPDATE step_up_token SET used = true WHERE id = 9003 AND expires_at >= now()", UNUSED, SPENT),
];

/// In a transaction that is rolled back whatever it says.
pub(super) fn tried(session: &Session, level: &str, does: &str) -> Option<(String, String)> {
    session.sql(&format!("BEGIN ISOLATION LEVEL {level}"));
    let end = session.try_sql(does).err().map(said);
    session.sql("ROLLBACK");
    end
}

/// Each of them, at this level, and that it is this trigger which decides.
#[track_caller]
pub(super) fn assert_rules(db: &TestDb, level: &str) {
    let session = db.session();
    for rule in RULES {
        let Rule { before, does, by, refused } = rule;
        session.sql(FIXTURE);
        past_guards(&session, before);
        let expected = refused.map(|(state, message)| (state.to_owned(), message.to_owned()));
        assert_eq!(tried(&session, level, does), expected, "{level}, {before}: {does}");
        if let Some((table, trigger)) = by.rsplit_once('.') {
            let without = format!("ALTER TABLE {table} DISABLE TRIGGER {trigger}; {does}");
            let end = tried(&session, level, &without);
            assert_eq!(end.is_some(), refused.is_none(), "without {by}: {does}: {end:?}");
        }
    }
}

#[test]
fn every_rule_holds_at_read_committed() {
    assert_rules(&at_version(3), "READ COMMITTED");
}

#[test]
fn every_rule_holds_at_repeatable_read() {
    assert_rules(&at_version(3), "REPEATABLE READ");
}

#[test]
fn every_rule_holds_at_serializable() {
    assert_rules(&at_version(3), "SERIALIZABLE");
}

#[test]
fn every_trigger_decides_something() {
    let db = at_version(3);
    let triggers = sql(
        &db,
        "SELECT tgrelid::regclass || '.' || tgname FROM pg_trigger WHERE tgname LIKE 'markenmate%'",
    );
    assert!(triggers.len() > 14);
    for trigger in triggers.into_iter().flatten().flatten() {
        // What this one does is no refusal; it has tests of its own.
        let known = trigger == "audit_log.markenmate_keep_audit"
            || trigger.ends_with("_archive.markenmate_append_only");
        assert!(known || RULES.iter().any(|rule| rule.by == trigger), "{trigger}");
    }
}
