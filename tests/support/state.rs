//! What a database looks like: all of it before and after, and what a finished migration is.

use super::{Session, markenmate};

/// Everything a role can see of the catalogue outside the server's own schemas, as one text.
const FINGERPRINT: &str = r"
SELECT string_agg(line, E'\n' ORDER BY line) FROM (
    SELECT concat_ws(' ', 'relation', c.oid::regclass, c.relkind, pg_get_userbyid(c.relowner), c.relacl::text,
                     c.relfilenode) AS line, c.relnamespace AS schema FROM pg_class c WHERE c.relkind NOT IN ('t')
     UNION ALL
    SELECT concat_ws(' ', 'column', a.attrelid::regclass, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod),
                     a.attnotnull, a.attacl::text, pg_get_expr(d.adbin, d.adrelid)), c.relnamespace
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE a.attnum > 0 AND c.relkind NOT IN ('t')
     UNION ALL
    SELECT concat_ws(' ', 'constraint', k.conrelid::regclass, k.conname, k.convalidated, pg_get_constraintdef(k.oid)),
           k.connamespace FROM pg_constraint k
     UNION ALL
    SELECT concat_ws(' ', 'trigger', t.tgrelid::regclass, t.tgname, t.tgenabled, pg_get_triggerdef(t.oid)), c.relnamespace
      FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal
     UNION ALL
    SELECT concat_ws(' ', 'function', p.oid::regprocedure, pg_get_userbyid(p.proowner), p.proacl::text, p.prosecdef,
                     p.proconfig::text, md5(p.prosrc)), p.pronamespace FROM pg_proc p
     UNION ALL
    SELECT concat_ws(' ', 'schema', n.nspname, pg_get_userbyid(n.nspowner), n.nspacl::text), n.oid FROM pg_namespace n
) f JOIN pg_namespace n ON n.oid = f.schema
 WHERE n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%'";

/// All of the catalogue, and no row of any table.
pub fn catalogue(session: &Session) -> String {
    one(session, FINGERPRINT)
}

/// All of the catalogue, with the rows of schema `markenmate` where there are any.
pub fn fingerprint(session: &Session) -> String {
    let mut text = catalogue(session);
    for table in
        ["refinery_schema_history", "refinery_own_history", "run", "ledger", "gate", "turn"]
    {
        if one(session, &format!("SELECT to_regclass('markenmate.{table}') IS NOT NULL")) == "t" {
            let rows = format!(
                "SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '') FROM markenmate.{table} t"
            );
            text.push('\n');
            text.push_str(&one(session, &rows));
        }
    }
    text
}

/// Gives a role the app's tables, sequences and types, and the right to make more.
pub fn owned_by(role: &str) -> String {
    format!(
        "DO $$ DECLARE r record; BEGIN
           FOR r IN SELECT c.oid::regclass AS name FROM pg_class c
                     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
           LOOP EXECUTE format('ALTER TABLE %s OWNER TO {role}', r.name); END LOOP;
           FOR r IN SELECT t.oid::regtype AS name FROM pg_type t
                     WHERE t.typnamespace = 'public'::regnamespace AND t.typtype = 'e'
           LOOP EXECUTE format('ALTER TYPE %s OWNER TO {role}', r.name); END LOOP;
         END $$;
         GRANT USAGE, CREATE ON SCHEMA public TO {role}"
    )
}

/// The first column of the first row; nothing and NULL are empty.
#[track_caller]
pub fn one(session: &Session, sql: &str) -> String {
    session.sql(sql).into_iter().flatten().next().flatten().unwrap_or_default()
}

/// The history's versions: `1,2,3`.
pub fn versions(session: &Session) -> String {
    one(
        session,
        "SELECT string_agg(version::text, ',' ORDER BY version) FROM markenmate.refinery_schema_history",
    )
}

/// The latest version is there, once, under the names that the application knows.
#[track_caller]
pub fn assert_migrated(url: &str) {
    assert_migrated_to(url, "1,2,3", "current");
}

/// The guide's version is there, and not the guards.
#[track_caller]
pub fn assert_hardened(url: &str) {
    assert_migrated_to(url, "1,2", "pending");
}

#[track_caller]
fn assert_migrated_to(url: &str, recorded: &str, state: &str) {
    let session = Session::open(url);
    assert_eq!(versions(&session), recorded);
    let own = "SELECT string_agg(version::text, ',' ORDER BY version) FROM markenmate.refinery_own_history";
    assert_eq!(one(&session, own), "1,2,3,4");
    let sequences = one(
        &session,
        "SELECT string_agg(s.relname || ' of ' || d.refobjid::regclass, ', ' ORDER BY s.relname)
           FROM pg_class s JOIN pg_depend d ON d.objid = s.oid AND d.deptype = 'a' AND d.refobjsubid > 0
          WHERE s.relkind = 'S' AND (s.relname LIKE 'audit_log%' OR s.relname LIKE 'step_up_token%')
            AND s.relnamespace = 'public'::regnamespace",
    );
    assert_eq!(sequences, "audit_log_id_seq of audit_log, step_up_token_id_seq of step_up_token");
    let doubles = "SELECT string_agg(relname, ', ') FROM pg_class WHERE relname ~ '_(seq|key|pkey|fk)[0-9]+$'";
    assert_eq!(one(&session, doubles), "");
    let seen = markenmate(&["status", "--format", "json"]).url(url).run().assert_code(0).json();
    assert_eq!(seen["data"]["state"], state, "{seen:#}");
}

/// No session of the binary is left on the server, within two seconds.
#[track_caller]
pub fn assert_gone(session: &Session) {
    let left = || {
        one(
            session,
            "SELECT string_agg(format('%s %s %s', pid, state, query), E'\n') FROM pg_stat_activity \
        WHERE application_name = 'markenmate' AND datname = current_database()",
        )
    };
    let gone = super::wait_until(std::time::Duration::from_secs(2), || left().is_empty());
    assert!(gone, "still there: {}", left());
}
