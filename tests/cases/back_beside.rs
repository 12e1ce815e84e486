//! What stands beside the rows that a rollback sets aside: grants, comments, indexes, settings. It does not return
//! with them, and that is said before, kept, and said again, as what puts it there again.

use serde_json::Value;

use super::rollback::{rollback, used};
use crate::support::state::{fingerprint, one};
use crate::support::{TestDb, markenmate, sql};

/// Everything that can stand beside rows, with names that have to be quoted.
fn built_on(db: &TestDb, app: &str) {
    sql(
        db,
        &format!(
            "CREATE ROLE {app} LOGIN;
             REVOKE SELECT ON public.audit_log FROM {app};
             GRANT SELECT (id, action) ON public.audit_log TO {app};
             GRANT UPDATE (version) ON public.token_lending TO {app};
             REVOKE DELETE ON public.audit_log FROM CURRENT_USER;
             GRANT USAGE ON SEQUENCE public.audit_log_id_seq TO PUBLIC;
             GRANT SELECT ON public.step_up_token TO {app} WITH GRANT OPTION;
             ALTER TABLE public.step_up_token ENABLE ROW LEVEL SECURITY;
             COMMENT ON TABLE public.audit_log IS E'it''s;\\nours';
             COMMENT ON COLUMN public.audit_log.action IS 'what';
             COMMENT ON COLUMN public.token_lending.version IS 'which';
             COMMENT ON SEQUENCE public.audit_log_id_seq IS 'ids';
             ALTER TABLE public.audit_log SET (fillfactor = 70, toast.autovacuum_enabled = false);
             ALTER TABLE public.audit_log REPLICA IDENTITY FULL;
             ALTER TABLE public.audit_log ALTER COLUMN action SET STATISTICS 500;
             ALTER TABLE public.audit_log ALTER COLUMN action SET (n_distinct = 5);
             ALTER TABLE public.audit_log ALTER COLUMN metadata SET STORAGE EXTERNAL;
             CREATE INDEX \"by; action\" ON public.audit_log (lower(action)) WHERE action <> 'x';
             CREATE STATISTICS public.\"and; so\" ON action, user_id FROM public.audit_log;
             ALTER TABLE public.audit_log ADD CONSTRAINT \"not; empty\" CHECK (action <> '');
             CREATE RULE \"r; u\" AS ON UPDATE TO public.step_up_token WHERE NEW.id < 0 DO INSTEAD NOTHING;
             ALTER TABLE public.audit_log CLUSTER ON \"audit_log_pkey\""
        ),
    );
}

/// The same of it as the server has it, on both tables and both kinds of columns.
fn beside(db: &TestDb) -> String {
    let tables = "('audit_log', 'step_up_token', 'audit_log_id_seq', 'token_lending')";
    one(
        &db.session(),
        &format!(
            "SELECT string_agg(l, E'\\n' ORDER BY l COLLATE \"C\") FROM (
               SELECT concat_ws(' ', c.relname, x.acl, c.relrowsecurity, c.reloptions, t.reloptions, c.relreplident,
                                obj_description(c.oid, 'pg_class'))
                 FROM pg_class c LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
                CROSS JOIN LATERAL (SELECT string_agg(a::text, ' ' ORDER BY a::text)
                                      FROM aclexplode(coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", c.relowner))) a) x(acl)
                WHERE c.relnamespace = 'public'::regnamespace AND c.relname IN {tables}
                UNION ALL
               SELECT concat_ws(' ', c.relname, a.attname, x.acl, a.attstattarget, a.attoptions, a.attstorage, col_description(c.oid, a.attnum))
                 FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                CROSS JOIN LATERAL (SELECT string_agg(y::text, ' ' ORDER BY y::text) FROM aclexplode(a.attacl) y) x(acl)
                WHERE c.relnamespace = 'public'::regnamespace AND c.relname IN {tables} AND c.relkind = 'r'
                UNION ALL
               SELECT pg_get_indexdef(i.indexrelid) || i.indisclustered FROM pg_index i WHERE i.indrelid = 'public.audit_log'::regclass
                UNION ALL
               SELECT pg_get_constraintdef(k.oid) FROM pg_constraint k WHERE k.conrelid = 'public.audit_log'::regclass
                UNION ALL
               SELECT pg_get_ruledef(r.oid) FROM pg_rewrite r WHERE r.ev_class = 'public.step_up_token'::regclass
                UNION ALL
               SELECT pg_get_statisticsobjdef(s.oid) FROM pg_statistic_ext s) y(l)"
        ),
    )
}

fn said(document: &Value) -> Vec<String> {
    let findings = document["findings"].as_array().unwrap().iter();
    let beside = findings.filter(|finding| finding["id"] == "beside");
    beside.map(|finding| finding["remedy"].as_str().unwrap().to_owned()).collect()
}

fn to_json(db: &TestDb, args: &[&str]) -> Value {
    markenmate(&[args, &["--format", "json"]].concat()).db(db).run().assert_code(0).json()
}

#[test]
fn what_stands_beside_the_rows_is_said_kept_and_said_again() {
    let db = used();
    let app = format!("app_rw_{}", db.name);
    built_on(&db, &app);
    let before = beside(&db);
    let planned = to_json(&db, &["rollback", "--dry-run"]);
    let listed = said(&planned);
    for part in [
        format!("GRANT SELECT (action) ON TABLE public.audit_log TO {app};"),
        format!("GRANT UPDATE (version) ON TABLE public.token_lending TO {app};"),
        format!("GRANT SELECT ON TABLE public.step_up_token TO {app} WITH GRANT OPTION;"),
        "REVOKE DELETE ON TABLE public.audit_log FROM postgres;".into(),
        "ALTER TABLE public.step_up_token ENABLE ROW LEVEL SECURITY;".into(),
        "ALTER TABLE public.audit_log REPLICA IDENTITY FULL;".into(),
    ] {
        assert!(listed.contains(&part), "{part}: {listed:#?}");
    }
    let screen = markenmate(&["rollback", "--dry-run"]).db(&db).run().assert_code(0).stdout;
    let to_go = format!("does not return by itself: {} below", listed.len());
    assert!(screen.contains(&to_go), "{screen}");
    assert!(screen.contains("loses      no row: "), "{screen}");

    assert_eq!(said(&rollback(&db, &[]).assert_code(0).json()), listed);
    let detail = one(
        &db.session(),
        "SELECT detail FROM markenmate.ledger WHERE command = 'rollback' ORDER BY number DESC LIMIT 1",
    );
    let detail: Value = serde_json::from_str(&detail).unwrap();
    assert_eq!(detail["beside"].as_array().unwrap().len(), listed.len(), "{detail:#}");

    let back = to_json(&db, &["migrate", "--yes"]);
    assert_eq!(said(&back), listed);
    for statement in &listed {
        sql(&db, statement);
    }
    assert_eq!(beside(&db), before);
    assert!(said(&to_json(&db, &["rollback", "--dry-run"])) == listed);
}

/// What the migration grants, and the owner's default privileges, come anew by themselves.
#[test]
fn what_comes_anew_by_itself_is_not_said() {
    let db = TestDb::baseline();
    let (app, reader) = (format!("app_{}", db.name), format!("reader_{}", db.name));
    sql(
        &db,
        &format!(
            "CREATE ROLE {app}; CREATE ROLE {reader};
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {app};
             GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {app};
             ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {reader};
             ALTER DEFAULT PRIVILEGES REVOKE TRIGGER ON TABLES FROM CURRENT_USER"
        ),
    );
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    let before = fingerprint(&db.session());
    let planned = to_json(&db, &["rollback", "--dry-run"]);
    assert_eq!(said(&planned), Vec::<String>::new(), "{planned:#}");
    assert_eq!(fingerprint(&db.session()), before);
    sql(
        &db,
        &format!(
            "REVOKE SELECT ON public.audit_log FROM {app}; REVOKE SELECT ON public.step_up_token FROM {reader}"
        ),
    );
    let held = beside(&db);
    let revoked = [
        format!("REVOKE SELECT ON TABLE public.audit_log FROM {app};"),
        format!("REVOKE SELECT ON TABLE public.step_up_token FROM {reader};"),
    ];
    rollback(&db, &[]).assert_code(0);
    assert_eq!(said(&to_json(&db, &["migrate", "--yes"])), revoked);
    sql(&db, &revoked.join(" "));
    assert_eq!(beside(&db), held);
}

/// Whoever pastes it is told as well.
#[test]
fn the_pasted_way_back_says_it() {
    let db = used();
    sql(
        &db,
        "COMMENT ON TABLE public.audit_log IS '%; ours'; CREATE INDEX mine ON public.audit_log (action)",
    );
    sql(&db, &markenmate(&["util", "down", "3"]).run().assert_code(0).stdout);
    let file = db.folder().join("down.sql");
    std::fs::write(&file, markenmate(&["util", "down", "2"]).run().assert_code(0).stdout).unwrap();
    let psql = crate::support::own_server::program(crate::support::cluster(), "psql");
    let output = std::process::Command::new(psql)
        .args(["-X", "-v", "ON_ERROR_STOP=1", "-d", &db.url, "-f"])
        .arg(&file)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    for part in [
        "COMMENT ON TABLE public.audit_log IS '%; ours';",
        "CREATE INDEX mine ON public.audit_log USING btree (action);",
    ] {
        assert!(told.contains(part), "{told}");
    }
}

/// A throw-away server has no grants; what it has is compared.
#[test]
fn a_rehearsal_names_what_does_not_return() {
    let db = used();
    sql(
        &db,
        "ALTER TABLE public.audit_log REPLICA IDENTITY FULL; ALTER TABLE public.token_lending REPLICA IDENTITY FULL;
         ALTER TABLE public.token_lending ALTER COLUMN version SET STATISTICS 300",
    );
    let run = markenmate(&["rehearse", "--format", "json"]).db(&db).run().assert_code(3);
    let document = run.json();
    let last = document["data"]["stages"].as_array().unwrap().last().unwrap();
    assert_eq!(last["id"], "compare-again", "{document:#}");
    for statement in [
        "ALTER TABLE public.audit_log REPLICA IDENTITY FULL;",
        "ALTER TABLE public.token_lending ALTER COLUMN version SET STATISTICS 300;",
    ] {
        assert!(run.stdout.contains(statement), "{document:#}");
    }
    assert!(!run.stdout.contains("token_lending REPLICA"), "{document:#}");
}

/// A table whose rows are in its children is not empty: there is something to lose.
#[test]
fn users_in_a_child_are_something_to_lose() {
    let db = TestDb::baseline();
    sql(
        &db,
        "CREATE TEMP TABLE k AS SELECT * FROM public.\"user\"; TRUNCATE public.\"user\" CASCADE;
         CREATE TABLE public.members () INHERITS (public.\"user\"); INSERT INTO public.members SELECT * FROM k",
    );
    for gate in [["--require-backup", "24h"], ["--require-rehearsal", "24h"]] {
        let args = [&["migrate", "--check"][..], &gate].concat();
        let run = markenmate(&args).db(&db).run().assert_code(4);
        assert!(run.stderr.contains("that is required is not there"), "{}", run.stderr);
    }
}

/// What is copied is told beforehand by its size; what moves takes no room.
#[test]
fn the_room_for_the_copy_is_told() {
    let db = used();
    let planned = to_json(&db, &["rollback", "--dry-run"]);
    let parts = planned["data"]["set_aside"].as_array().unwrap();
    let bytes =
        |what: &str| parts.iter().find(|p| p["what"] == what).unwrap()["bytes"].as_u64().unwrap();
    assert_eq!(bytes("public.audit_log"), 0);
    let said = bytes("public.app_log.correlation_id");
    let done = rollback(&db, &[]).assert_code(0).json();
    let kept = done["data"]["set_aside"]
        .as_array()
        .unwrap()
        .iter()
        .find(|p| p["what"] == "public.app_log.correlation_id");
    let size =
        format!("SELECT pg_total_relation_size('{}')", kept.unwrap()["kept_as"].as_str().unwrap());
    let real: u64 = one(&db.session(), &size).parse().unwrap();
    assert!(said > real / 4 && said < real * 2, "said {said}, took {real}");
}
