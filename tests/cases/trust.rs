//! Whoever owns schema `markenmate` is not whoever runs the tool: what the application's role put there
//! beside rows is named and not run, whoever looks.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::support::state::{assert_migrated, catalogue, one, owned_by};
use crate::support::{TestDb, cluster, markenmate, sql, wait_until};

/// A database at version 1 whose tables, `markenmate`'s included, belong to a role of the application's,
/// and functions of that role's which leave a file behind if a superuser runs them.
fn owned_by_the_application() -> (TestDb, String) {
    let db = TestDb::baseline();
    let app = format!("app_{}", db.name);
    sql(
        &db,
        &format!(
            "CREATE ROLE {app} LOGIN;
             ALTER SCHEMA public OWNER TO {app};
             {}",
            owned_by(&app)
        ),
    );
    markenmate(&["migrate", "--yes", "--to", "1"]).db(&db).run().assert_code(0);
    sql(
        &db,
        &format!(
            "SET SESSION AUTHORIZATION {app};
             CREATE FUNCTION markenmate.climb() RETURNS text LANGUAGE plpgsql AS $$ BEGIN
               EXECUTE 'RESET ROLE';
               IF current_setting('is_superuser') = 'on' THEN
                   EXECUTE 'COPY (SELECT 1) TO ''{}''';
               END IF;
               RETURN '';
             EXCEPTION WHEN OTHERS THEN RETURN '';  -- the server keeps its owner's maintenance apart
             END $$;
             CREATE FUNCTION markenmate.pure(text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
               PERFORM markenmate.climb(); RETURN true; END $$;
             CREATE FUNCTION markenmate.climb_on_write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               PERFORM markenmate.climb(); RETURN NEW; END $$",
            sprung(&db).display()
        ),
    );
    (db, app)
}

/// The file that is there once any of it ran as a superuser, in a READ ONLY transaction too.
fn sprung(db: &TestDb) -> PathBuf {
    cluster().data_dir().join(format!("sprung_{}", db.name))
}

const HISTORY: &str = "markenmate.refinery_schema_history";

#[test]
fn what_stands_beside_rows_in_our_schema_is_found_and_never_run() {
    let (db, app) = owned_by_the_application();
    let view = format!(
        "ALTER TABLE {HISTORY} RENAME TO kept;
         CREATE VIEW {HISTORY} AS SELECT version, name, applied_on, checksum || markenmate.climb() AS checksum
           FROM markenmate.kept"
    );
    let undo_view = format!(
        "DROP VIEW {HISTORY}; ALTER TABLE markenmate.kept RENAME TO refinery_schema_history"
    );
    let on = |table: &str, trap: &str| trap.replace("%", &format!("markenmate.{table}"));
    let trigger = "CREATE TRIGGER trap BEFORE INSERT OR DELETE ON % FOR EACH ROW EXECUTE FUNCTION markenmate.climb_on_write()";
    let traps = [
        (view, undo_view, "refinery_schema_history is no plain table"),
        (
            on("refinery_schema_history", trigger),
            on("refinery_schema_history", "DROP TRIGGER trap ON %"),
            "trigger trap",
        ),
        (on("run", trigger), on("run", "DROP TRIGGER trap ON %"), "trigger trap on run"),
        (on("ledger", trigger), on("ledger", "DROP TRIGGER trap ON %"), "trigger trap on ledger"),
        (
            on("ledger", "ALTER TABLE % ALTER COLUMN host SET DEFAULT markenmate.climb()"),
            on("ledger", "ALTER TABLE % ALTER COLUMN host DROP DEFAULT"),
            "column ledger.host",
        ),
        (
            on("ledger", "CREATE INDEX trap ON % (number) WHERE markenmate.pure(hash)"),
            "DROP INDEX markenmate.trap".into(),
            "index trap on ledger",
        ),
        (
            on(
                "audit_log_archive",
                "CREATE RULE trap AS ON INSERT TO % DO ALSO SELECT markenmate.climb()",
            ),
            on("audit_log_archive", "DROP RULE trap ON %"),
            "rule trap",
        ),
        (
            on("run", "ALTER TABLE % ADD COLUMN trap text DEFAULT markenmate.climb()"),
            on("run", "ALTER TABLE % DROP COLUMN trap"),
            "column run.trap",
        ),
        (
            on(
                "refinery_own_history",
                "ALTER TABLE % ADD CONSTRAINT trap CHECK (markenmate.climb() IS NULL) NOT VALID",
            ),
            on("refinery_own_history", "ALTER TABLE % DROP CONSTRAINT trap"),
            "constraint trap on refinery_own_history",
        ),
        (
            on("refinery_schema_history", "CREATE TABLE markenmate.child () INHERITS (%)"),
            "DROP TABLE markenmate.child".into(),
            "inherits or is inherited",
        ),
        (
            on(
                "refinery_schema_history",
                "ALTER TABLE % ADD CONSTRAINT trap EXCLUDE USING btree (version WITH =) WHERE (markenmate.pure('x'))",
            ),
            on("refinery_schema_history", "ALTER TABLE % DROP CONSTRAINT trap"),
            "constraint trap on refinery_schema_history",
        ),
        (
            on("refinery_own_history", "CREATE INDEX trap ON % (version) WHERE markenmate.pure('x')"),
            "DROP INDEX markenmate.trap".into(),
            "index trap on refinery_own_history",
        ),
        (
            on(
                "run",
                "ALTER TABLE % ADD COLUMN trap text DEFAULT query_to_xml('SELECT markenmate.climb()', true, true, '')::text",
            ),
            on("run", "ALTER TABLE % DROP COLUMN trap"),
            "column run.trap",
        ),
        (
            "CREATE TABLE markenmate.parent (LIKE markenmate.run) PARTITION BY LIST (markenmate.pure(command));
             ALTER TABLE markenmate.parent ATTACH PARTITION markenmate.run FOR VALUES IN (true)"
                .into(),
            "ALTER TABLE markenmate.parent DETACH PARTITION markenmate.run; DROP TABLE markenmate.parent".into(),
            "run inherits or is inherited",
        ),
    ];
    for (trap, take_away, said) in traps {
        sql(&db, &format!("SET SESSION AUTHORIZATION {app}; {trap}"));
        let before = catalogue(&db.session());
        for command in
            [vec!["status"], vec!["verify"], vec!["migrate", "--dry-run"], vec!["migrate", "--yes"]]
        {
            let run = markenmate(&[&command[..], &["--format", "json"]].concat()).db(&db).run();
            let document = run.json();
            let code = match command[0] {
                "status" => 0,
                "verify" => 3,
                _ => 4,
            };
            assert_eq!(run.code, code, "{trap}\n{command:?}: {document:#}");
            assert!(run.stdout.contains(said), "{trap}\n{command:?}: {document:#}");
        }
        assert_eq!(catalogue(&db.session()), before, "{trap}");
        let undo = markenmate(&["util", "down", "2"]).run().assert_code(0).stdout;
        let error = db.session().try_sql(&undo).unwrap_err();
        assert!(error.as_db_error().unwrap().message().contains(said), "{trap}: {error:?}");
        assert!(!sprung(&db).exists(), "{trap}");
        sql(&db, &format!("SET SESSION AUTHORIZATION {app}; {take_away}"));
        markenmate(&["migrate", "--yes", "--to", "1"]).db(&db).run().assert_code(0);
    }
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    assert_migrated(&db.url);
}

/// Who owns all of it can still have granted too much of it.
#[test]
fn a_trigger_by_grant_is_found_as_well() {
    let db = TestDb::baseline();
    markenmate(&["migrate", "--yes", "--to", "1"]).db(&db).run().assert_code(0);
    let app = format!("app_{}", db.name);
    sql(
        &db,
        &format!(
            "CREATE ROLE {app} LOGIN; CREATE SCHEMA apps AUTHORIZATION {app};
             GRANT USAGE ON SCHEMA markenmate TO {app};
             GRANT ALL ON ALL TABLES IN SCHEMA markenmate TO {app}"
        ),
    );
    sql(
        &db,
        &format!(
            "SET SESSION AUTHORIZATION {app};
             CREATE FUNCTION apps.climb() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               COPY (SELECT 1) TO '{}'; RETURN NEW; END $$;
             CREATE TRIGGER trap BEFORE INSERT ON markenmate.run FOR EACH ROW EXECUTE FUNCTION apps.climb()",
            sprung(&db).display()
        ),
    );
    let run = markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(4);
    assert!(run.stderr.contains("trigger trap on run"), "{}", run.stderr);
    assert!(
        run.stderr.contains("hint: its code would run with your rights: drop it"),
        "{}",
        run.stderr
    );
    assert!(!sprung(&db).exists());

    // Nor can it be put there between the look and the write, while the run waits for the app.
    sql(&db, "DROP TRIGGER trap ON markenmate.run");
    let holder = db.session();
    holder.sql("BEGIN; LOCK TABLE public.\"user\" IN ACCESS SHARE MODE");
    let running = markenmate(&["migrate", "--yes", "--lock-timeout", "2s"]).db(&db).spawn();
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'public.\"user\"'::regclass";
    let watcher = db.session();
    assert!(wait_until(Duration::from_secs(20), || one(&watcher, waits) == "1"));
    let late = db.session();
    late.sql(&format!("SET SESSION AUTHORIZATION {app}; SET lock_timeout = '20ms'"));
    let trigger = "CREATE TRIGGER trap BEFORE INSERT ON markenmate.run FOR EACH ROW EXECUTE FUNCTION apps.climb()";
    let error = late.try_sql(trigger).unwrap_err();
    assert_eq!(error.code().unwrap().code(), "55P03", "{error:?}");
    holder.sql("ROLLBACK");
    running.wait().assert_code(0);
    assert!(!sprung(&db).exists());
    assert_migrated(&db.url);
}

/// Statistics and a plain index run nothing: they are nobody's business.
#[test]
fn what_runs_nothing_is_left_alone() {
    let (db, app) = owned_by_the_application();
    sql(
        &db,
        &format!(
            "SET SESSION AUTHORIZATION {app};
             CREATE STATISTICS markenmate.s ON version, name FROM {HISTORY};
             CREATE INDEX plain ON markenmate.run (started_at);
             ALTER TABLE markenmate.run ADD COLUMN ticket text DEFAULT 'none'"
        ),
    );
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    assert_migrated(&db.url);
}

#[test]
fn a_damaged_history_is_named_and_nothing_is_done() {
    for damage in [
        "DROP TABLE markenmate.refinery_own_history",
        "DROP TABLE markenmate.refinery_schema_history",
    ] {
        let db = TestDb::baseline();
        markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
        sql(&db, damage);
        let before = catalogue(&db.session());
        let find = |args: &[&str], code: i32| -> Value {
            let args = [args, &["--format", "json"]].concat();
            markenmate(&args).db(&db).run().assert_code(code).json()
        };
        let status = find(&["status"], 0);
        let finding = &status["findings"][0];
        assert_eq!(status["data"]["state"], "drifted", "{status:#}");
        assert_eq!(
            (finding["id"].as_str(), finding["severity"].as_str()),
            (Some("history"), Some("error")),
            "{status:#}"
        );
        let refused = find(&["migrate", "--yes"], 4);
        assert!(
            refused["error"]["message"].as_str().unwrap().contains("history is not to be trusted"),
            "{refused:#}"
        );
        find(&["migrate", "--check"], 4);
        find(&["verify", "--only", "history"], 3);
        assert_eq!(catalogue(&db.session()), before, "{damage}");
    }
}

/// A member that does not inherit may read nothing as itself, but everything as the owner it may become.
#[test]
fn a_member_that_does_not_inherit_reads_what_it_wrote() {
    let (db, app) = owned_by_the_application();
    let ops = format!("ops_{}", db.name);
    sql(&db, &format!("CREATE ROLE {ops} LOGIN NOINHERIT; GRANT {app} TO {ops}"));
    let url = db.url_as(&ops);
    markenmate(&["migrate", "--yes"]).url(&url).run().assert_code(0);
    let again = markenmate(&["migrate", "--yes"]).url(&url).run().assert_code(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
    let status = markenmate(&["status", "--format", "json"]).url(&url).run().assert_code(0).json();
    assert_eq!(status["data"]["state"], "current", "{status:#}");
}

/// What the tables' owner has put there runs as whoever writes them: a superuser does not.
#[test]
fn admins_are_not_changed_where_code_of_the_owners_would_run() {
    let (db, app) = owned_by_the_application();
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    sql(
        &db,
        "INSERT INTO public.\"user\" (id, name, email, role) VALUES ('t1', 'T', 'trust@example.org', 'user')",
    );
    let promote = || {
        let args =
            ["admin", "promote", "t1", "--break-glass", "--reason", "x", "--confirm", &db.name];
        markenmate(&args).db(&db).run()
    };
    for (trap, named, away) in [
        (
            "CREATE TRIGGER zz BEFORE UPDATE ON public.\"user\" FOR EACH ROW EXECUTE FUNCTION markenmate.climb_on_write()",
            "trigger zz on public.\"user\"",
            "DROP TRIGGER zz ON public.\"user\"",
        ),
        (
            "CREATE TRIGGER zz AFTER INSERT ON public.audit_log FOR EACH ROW EXECUTE FUNCTION markenmate.climb_on_write()",
            "trigger zz on public.audit_log",
            "DROP TRIGGER zz ON public.audit_log",
        ),
        (
            "ALTER TABLE public.audit_log ADD CONSTRAINT zz CHECK (markenmate.pure(action))",
            "constraint zz on public.audit_log",
            "ALTER TABLE public.audit_log DROP CONSTRAINT zz",
        ),
        (
            "ALTER TABLE public.step_up_token ADD COLUMN zz text DEFAULT markenmate.climb()",
            "column public.step_up_token.zz",
            "ALTER TABLE public.step_up_token DROP COLUMN zz",
        ),
        (
            "CREATE INDEX zz ON public.\"user\" (markenmate.pure(name))",
            "index zz on public.\"user\"",
            "DROP INDEX public.zz",
        ),
        // The server's own function, which runs whatever SQL it is given.
        (
            "ALTER TABLE public.audit_log ADD CONSTRAINT zz
               CHECK (query_to_xml('SELECT markenmate.climb()', true, true, '') IS NOT NULL) NOT VALID",
            "constraint zz on public.audit_log",
            "ALTER TABLE public.audit_log DROP CONSTRAINT zz",
        ),
        (
            "CREATE DOMAIN markenmate.zz AS text CHECK (markenmate.pure(VALUE));
             ALTER TABLE public.audit_log ADD COLUMN zz text DEFAULT '1'::text::markenmate.zz",
            "column public.audit_log.zz",
            "ALTER TABLE public.audit_log DROP COLUMN zz; DROP DOMAIN markenmate.zz",
        ),
        (
            "CREATE FUNCTION markenmate.less(text, text) RETURNS double precision IMMUTABLE LANGUAGE plpgsql
               AS $$ BEGIN PERFORM markenmate.climb(); RETURN 1; END $$;
             CREATE TYPE markenmate.zz AS RANGE (SUBTYPE = text, SUBTYPE_DIFF = markenmate.less);
             ALTER TABLE public.step_up_token ADD COLUMN zz markenmate.zz[]",
            "column public.step_up_token.zz",
            "ALTER TABLE public.step_up_token DROP COLUMN zz; DROP TYPE markenmate.zz; DROP FUNCTION markenmate.less",
        ),
        (
            "CREATE FUNCTION markenmate.as_text(public.user_role) RETURNS text LANGUAGE plpgsql
               AS $$ BEGIN RETURN markenmate.climb(); END $$;
             CREATE CAST (public.user_role AS text) WITH FUNCTION markenmate.as_text(public.user_role) AS IMPLICIT",
            "column public.\"user\".role",
            "DROP CAST (public.user_role AS text); DROP FUNCTION markenmate.as_text(public.user_role)",
        ),
        // Whatever it does as its owner, it could change what is called after it.
        (
            "CREATE FUNCTION markenmate.zz() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql
               AS $$ BEGIN PERFORM markenmate.climb(); RETURN NEW; END $$;
             CREATE TRIGGER zz BEFORE UPDATE ON public.\"user\" FOR EACH ROW EXECUTE FUNCTION markenmate.zz()",
            "trigger zz on public.\"user\"",
            "DROP FUNCTION markenmate.zz CASCADE",
        ),
        (
            "CREATE TRIGGER zz BEFORE UPDATE ON public.\"user\" FOR EACH ROW WHEN (markenmate.pure(NEW.name))
               EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            "trigger zz on public.\"user\"",
            "DROP TRIGGER zz ON public.\"user\"",
        ),
        // What the guards write, and what a change calls of them.
        (
            "CREATE CONSTRAINT TRIGGER zz AFTER INSERT OR UPDATE ON markenmate.turn DEFERRABLE INITIALLY DEFERRED
               FOR EACH ROW EXECUTE FUNCTION markenmate.climb_on_write()",
            "trigger zz on markenmate.turn",
            "DROP TRIGGER zz ON markenmate.turn",
        ),
        (
            "CREATE TABLE public.parent (LIKE public.audit_log) PARTITION BY LIST (markenmate.pure(action));
             ALTER TABLE public.parent ATTACH PARTITION public.audit_log FOR VALUES IN (true)",
            "public.audit_log is a partition",
            "ALTER TABLE public.parent DETACH PARTITION public.audit_log; DROP TABLE public.parent",
        ),
        // Tables that a key leads to, or that lead to ours by a key.
        (
            "CREATE TABLE public.word (w text PRIMARY KEY); CREATE INDEX zz ON public.word (w) WHERE markenmate.pure('x');
             ALTER TABLE public.audit_log ADD CONSTRAINT word FOREIGN KEY (action) REFERENCES public.word (w) NOT VALID",
            "index zz on ",
            "ALTER TABLE public.audit_log DROP CONSTRAINT word; DROP TABLE public.word",
        ),
        (
            "CREATE TABLE public.kid (s text REFERENCES public.session (id)); CREATE INDEX zz ON public.kid (s) WHERE markenmate.pure('x')",
            "index zz on ",
            "DROP TABLE public.kid",
        ),
        (
            "CREATE FUNCTION markenmate.as_text(public.user_role[]) RETURNS text LANGUAGE plpgsql
               AS $$ BEGIN RETURN markenmate.climb(); END $$;
             CREATE CAST (public.user_role[] AS text) WITH FUNCTION markenmate.as_text(public.user_role[]) AS IMPLICIT;
             CREATE TABLE public.kid (s text REFERENCES public.session (id) ON DELETE CASCADE, roles public.user_role[])",
            "column public.kid.roles",
            "DROP TABLE public.kid; DROP CAST (public.user_role[] AS text); DROP FUNCTION markenmate.as_text(public.user_role[])",
        ),
        // Tables that rows are taken from along with ours, and those that stand for ours.
        (
            "CREATE TABLE public.zz (id text REFERENCES public.session (id) ON DELETE CASCADE);
             CREATE TABLE public.zz2 (id text, session_id text REFERENCES public.session (id) ON DELETE SET NULL);
             CREATE TRIGGER zz BEFORE UPDATE ON public.zz2 FOR EACH ROW EXECUTE FUNCTION markenmate.climb_on_write()",
            "trigger zz on public.zz2",
            "DROP TABLE public.zz, public.zz2",
        ),
        (
            "CREATE TABLE public.zz () INHERITS (public.session);
             CREATE TRIGGER zz BEFORE DELETE ON public.zz FOR EACH ROW EXECUTE FUNCTION markenmate.climb_on_write()",
            "trigger zz on public.zz",
            "DROP TABLE public.zz",
        ),
    ] {
        sql(&db, &format!("SET SESSION AUTHORIZATION {app}; {trap}"));
        let run = promote().assert_code(4);
        assert!(run.stderr.contains(named), "{named}: {}", run.stderr);
        let args = ["verify", "--probe", "--yes", "--only", "probe-last-admin", "--format", "json"];
        let probed = markenmate(&args).db(&db).run().json();
        assert_eq!(probed["data"]["checks"][0]["status"], "skipped", "{probed}");
        assert!(!sprung(&db).exists(), "{named}");
        // Its owner may do as it likes.
        sql(&db, &format!("SET SESSION AUTHORIZATION {app}; {away}"));
    }
    // A guard with another body is none of ours, and is not to be dropped.
    sql(&db, "ALTER FUNCTION markenmate.is_open() SECURITY INVOKER");
    let run = promote().assert_code(4);
    assert!(run.stderr.contains("function markenmate.is_open()"), "{}", run.stderr);
    sql(&db, "ALTER FUNCTION markenmate.is_open() SECURITY DEFINER");
    let body = "SELECT pg_get_functiondef('markenmate.note_purpose'::regproc)";
    let kept = one(&db.session(), body);
    let hollow = "SELECT set_config('search_path', '', true); CREATE OR REPLACE FUNCTION markenmate.note_purpose() RETURNS trigger \
                  SECURITY DEFINER LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$";
    sql(&db, &format!("SET SESSION AUTHORIZATION {app}; {hollow}"));
    let run = promote().assert_code(4);
    assert!(run.stderr.contains("function markenmate.note_purpose()"), "{}", run.stderr);
    assert!(run.stderr.contains("hint: markenmate verify says"), "{}", run.stderr);
    sql(&db, &format!("SET SESSION AUTHORIZATION {app}; {kept}"));
    promote().assert_code(0);
    assert!(!sprung(&db).exists());
}

/// What runs nothing of anybody else's is no reason to refuse.
#[test]
fn harmless_parts_of_the_applications_tables_are_left_alone() {
    let (db, app) = owned_by_the_application();
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    let super_user = one(&db.session(), "SELECT current_user");
    sql(
        &db,
        &format!(
            "CREATE FUNCTION public.touched() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
             CREATE TRIGGER zz BEFORE UPDATE ON public.\"user\" FOR EACH ROW EXECUTE FUNCTION public.touched();
             INSERT INTO public.\"user\" (id, name, email, role) VALUES ('t1', 'T', 'trust@example.org', 'user');
             SET SESSION AUTHORIZATION {app};
             CREATE DOMAIN public.short AS text CHECK (VALUE ~ '^[a-z]*$' AND length(VALUE) < 99);
             CREATE TABLE public.note (user_id text REFERENCES public.\"user\" (id) ON DELETE CASCADE);
             CREATE TRIGGER note BEFORE DELETE ON public.note FOR EACH ROW EXECUTE FUNCTION markenmate.climb_on_write();
             CREATE POLICY p ON public.session USING (markenmate.pure(id));
             CREATE TRIGGER same BEFORE UPDATE ON public.\"user\" FOR EACH ROW WHEN (OLD.* IS NOT DISTINCT FROM NEW.*)
               EXECUTE FUNCTION suppress_redundant_updates_trigger();
             CREATE TRIGGER off BEFORE UPDATE ON public.session FOR EACH ROW EXECUTE FUNCTION markenmate.climb_on_write();
             ALTER TABLE public.session DISABLE TRIGGER off;
             ALTER TABLE public.\"user\" ADD COLUMN roles public.user_role[] DEFAULT '{{}}',
               ADD COLUMN number uuid DEFAULT gen_random_uuid(), ADD COLUMN seen date DEFAULT now()::date,
               ADD COLUMN short public.short, ADD COLUMN until timestamptz DEFAULT now() + interval '7 days',
               ADD COLUMN ticket text DEFAULT 'U-' || nextval('public.audit_log_id_seq'), ADD CHECK (created_at > '2001-01-01'::date),
               ADD CHECK (lower(email) = email OR length(email) > 0);
             CREATE INDEX ON public.\"user\" (lower(email)) WHERE role = 'admin';
             CREATE STATISTICS public.s ON (lower(name)), role FROM public.\"user\""
        ),
    );
    let args = ["admin", "promote", "t1", "--break-glass", "--reason", "x", "--confirm", &db.name];
    markenmate(&args).db(&db).run().assert_code(0);
    // A probe deletes a user of its own, with what goes along.
    sql(&db, "DROP TABLE public.note");
    let args = ["verify", "--probe", "--yes", "--only", "probe-last-admin"];
    markenmate(&args).db(&db).run().assert_code(0);
    assert_eq!(one(&db.session(), "SELECT current_user"), super_user);
    assert!(!sprung(&db).exists());
}
