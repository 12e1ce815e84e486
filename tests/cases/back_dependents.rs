//! What others have built on what goes: named and refused, never dropped along. The remedy, followed to the
//! letter and in its order, lets the next rollback through, and all that returns afterwards returns whole.

use super::rollback::{rollback, used};
use crate::support::aside::{assert_nothing_kept, rows, same};
use crate::support::state::{assert_migrated, fingerprint, one};
use crate::support::{Run, Session, TestDb, cluster, markenmate};

/// What is built, what it is called, and how many things are named.
struct Built {
    what: &'static str,
    sql: &'static str,
    named: usize,
    /// The server's version from which on there is such a thing.
    since: u32,
}

#[rustfmt::skip]
const BUILT: &[Built] = &[
    Built { what: "view", sql: "CREATE VIEW public.d1 AS SELECT id, version FROM public.token_lending", named: 1, since: 0 },
    Built { what: "view", sql: "CREATE VIEW public.d2 AS SELECT * FROM public.audit_log", named: 1, since: 0 },
    Built { what: "view", sql: "CREATE VIEW public.\"D 3\" AS SELECT id AS \"I d\" FROM public.\"user\" WHERE is_master_admin; CREATE VIEW public.a3 AS SELECT * FROM public.\"D 3\"; CREATE VIEW public.b3 AS SELECT count(*) FROM public.a3", named: 3, since: 0 },
    Built { what: "materialized view", sql: "CREATE MATERIALIZED VIEW public.d4 AS SELECT correlation_id, count(*) AS n FROM public.app_log GROUP BY 1; CREATE INDEX d4_idx ON public.d4 (n)", named: 1, since: 0 },
    Built { what: "function", sql: "CREATE FUNCTION public.d5(text) RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM public.audit_log WHERE user_id = $1; END", named: 1, since: 14 },
    Built { what: "function", sql: "CREATE PROCEDURE public.d6() LANGUAGE sql BEGIN ATOMIC UPDATE public.token_lending SET version = version + 1; END", named: 1, since: 14 },
    Built { what: "function", sql: "CREATE FUNCTION public.d7() RETURNS SETOF public.audit_log LANGUAGE sql AS 'SELECT * FROM public.audit_log'", named: 1, since: 0 },
    Built { what: "function", sql: "CREATE FUNCTION public.d8(public.step_up_token[]) RETURNS integer LANGUAGE sql AS 'SELECT 1'; CREATE VIEW public.d8 AS SELECT public.d8(NULL) AS n", named: 2, since: 0 },
    Built { what: "foreign key", sql: "CREATE TABLE public.d9 (id integer REFERENCES public.audit_log (id))", named: 1, since: 0 },
    Built { what: "index", sql: "CREATE INDEX d10 ON public.token_lending (version)", named: 1, since: 0 },
    Built { what: "index", sql: "CREATE UNIQUE INDEX d11 ON public.token_lending (id) WHERE version > 5; CREATE INDEX d11b ON public.app_log ((correlation_id || 'x'))", named: 2, since: 0 },
    Built { what: "constraint", sql: "ALTER TABLE public.token_lending ADD CONSTRAINT d12 CHECK (version > 0)", named: 1, since: 0 },
    Built { what: "constraint", sql: "ALTER TABLE public.token_lending ADD CONSTRAINT d13 UNIQUE (id, version); CREATE TABLE public.d13b (a integer, b integer, FOREIGN KEY (a, b) REFERENCES public.token_lending (id, version))", named: 2, since: 0 },
    Built { what: "trigger", sql: "CREATE FUNCTION public.d14() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER d14 AFTER UPDATE OF version ON public.token_lending FOR EACH ROW EXECUTE FUNCTION public.d14()", named: 1, since: 0 },
    Built { what: "trigger", sql: "CREATE FUNCTION public.d15() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER d15 AFTER INSERT ON public.audit_log FOR EACH ROW EXECUTE FUNCTION public.d15()", named: 1, since: 0 },
    Built { what: "policy", sql: "CREATE POLICY d16 ON public.\"user\" USING (is_master_admin)", named: 1, since: 0 },
    Built { what: "policy", sql: "CREATE POLICY d17 ON public.ticket USING (EXISTS (SELECT FROM public.audit_log a WHERE a.user_id = 'x'))", named: 1, since: 0 },
    Built { what: "generated column", sql: "ALTER TABLE public.token_lending ADD COLUMN d18 integer GENERATED ALWAYS AS (version * 2) STORED; CREATE INDEX d18 ON public.token_lending (d18)", named: 2, since: 0 },
    Built { what: "generated column", sql: "ALTER TABLE public.token_lending ADD COLUMN d19 integer GENERATED ALWAYS AS (version * 2) VIRTUAL", named: 1, since: 18 },
    Built { what: "statistics", sql: "CREATE STATISTICS public.d20 ON token_count, version FROM public.token_lending", named: 1, since: 0 },
    Built { what: "rule", sql: "CREATE RULE d21 AS ON DELETE TO public.demo_data DO ALSO DELETE FROM public.audit_log WHERE id = old.id", named: 1, since: 0 },
    Built { what: "inheriting table", sql: "CREATE TABLE public.d22 () INHERITS (public.token_lending)", named: 1, since: 0 },
    Built { what: "sequence", sql: "CREATE SEQUENCE public.d23 OWNED BY public.token_lending.version", named: 1, since: 0 },
    Built { what: "column", sql: "CREATE TABLE public.d24 (id integer, row public.audit_log)", named: 1, since: 0 },
    Built { what: "publication", sql: "CREATE PUBLICATION %NAME%_d25 FOR TABLE public.audit_log, public.token_lending", named: 1, since: 0 },
    Built { what: "publication", sql: "CREATE PUBLICATION %NAME%_d26 FOR TABLE public.token_lending (id, version)", named: 1, since: 15 },
    Built { what: "default", sql: "CREATE FUNCTION public.d27() RETURNS integer LANGUAGE sql BEGIN ATOMIC SELECT max(version) FROM public.token_lending; END; ALTER TABLE public.demo_data ADD COLUMN d27 integer DEFAULT public.d27()", named: 2, since: 14 },
];

fn known() -> impl Iterator<Item = &'static Built> {
    let major = cluster().major();
    BUILT.iter().filter(move |built| built.since <= major)
}

/// Runs the findings' remedies, one after the other.
#[track_caller]
fn follow(session: &Session, run: &Run) -> Vec<String> {
    let document = run.json();
    let findings =
        document["findings"].as_array().unwrap().iter().filter(|f| f["id"] == "dependent");
    let mut subjects = Vec::new();
    for finding in findings {
        let remedy = finding["remedy"].as_str().unwrap();
        let done = session.try_sql(remedy);
        assert!(done.is_ok(), "{remedy}: {done:?} in {document:#}");
        subjects.push(finding["subject"].as_str().unwrap().to_owned());
    }
    subjects
}

fn check(db: &TestDb, more: &[&str]) -> Run {
    markenmate(&[&["rollback", "--check", "--format", "json"], more].concat()).db(db).run()
}

#[test]
fn each_kind_is_named_and_its_remedy_lets_it_through() {
    let db = used();
    let session = db.session();
    check(&db, &[]).assert_code(3);
    for built in known() {
        session.sql(&built.sql.replace("%NAME%", &db.name));
        let before = fingerprint(&session);
        let run = rollback(&db, &[]).assert_code(4);
        assert_eq!(fingerprint(&session), before);
        let document = run.json();
        assert!(
            document["error"]["message"].as_str().unwrap().contains("nothing was changed"),
            "{document:#}"
        );
        check(&db, &[]).assert_code(4);
        markenmate(&["rollback", "--dry-run"]).db(&db).run().assert_code(4);
        // The guards alone may go.
        check(&db, &["--to", "2"]).assert_code(3);
        let subjects = follow(&session, &run);
        assert_eq!(subjects.len(), built.named, "{}: {subjects:?}", built.sql);
        let kind = format!("{} ", built.what);
        assert!(subjects.iter().any(|subject| subject.starts_with(&kind)), "{kind}{subjects:?}");
        check(&db, &[]).assert_code(3);
    }
}

#[test]
fn all_of_it_at_once_and_everything_returns() {
    let db = used();
    let session = db.session();
    for built in known() {
        session.sql(&built.sql.replace("%NAME%", &db.name));
    }
    let run = rollback(&db, &[]).assert_code(4);
    let named: usize = known().map(|built| built.named).sum();
    // A child has what its parent has.
    assert!(follow(&session, &run).len() >= named);
    session.sql("DROP TABLE public.d9, public.d13b, public.d22, public.d24; ALTER TABLE public.demo_data DROP COLUMN IF EXISTS d27; ALTER TABLE public.token_lending DROP COLUMN d18");
    let before = rows(&session);
    rollback(&db, &[]).assert_code(0);
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    same(&rows(&session), &before);
    assert_nothing_kept(&session);
    assert_migrated(&db.url);
}

/// What belongs to a table that goes, goes with it.
#[test]
fn what_is_the_tables_own_is_nobody_elses() {
    let db = used();
    let session = db.session();
    session.sql(
        "CREATE INDEX own1 ON public.audit_log (created_at);
         CREATE STATISTICS public.own2 ON user_id, action FROM public.audit_log;
         ALTER TABLE public.step_up_token ADD CONSTRAINT own3 CHECK (token <> '');
         CREATE VIEW public.own4 AS SELECT id, token_count FROM public.token_lending",
    );
    check(&db, &[]).assert_code(3);
    rollback(&db, &[]).assert_code(0);
    assert_ne!(one(&session, "SELECT count(*) FROM public.own4"), "0");
}

/// Built while the values are copied: seen once nobody can build any more.
#[test]
fn what_is_built_between_the_copy_and_the_locks_is_not_dropped_along() {
    let db = used();
    let session = db.session();
    let before = fingerprint(&session);
    let holder = db.session();
    holder.sql("BEGIN; SELECT FROM public.\"user\" LIMIT 1");
    let args = ["rollback", "--confirm", &db.name, "--format", "json", "--lock-timeout", "60s"];
    let running = markenmate(&args).db(&db).spawn();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'markenmate' \
                 AND datname = current_database() AND wait_event_type = 'Lock'";
    assert!(crate::support::wait_until(std::time::Duration::from_secs(30), || one(
        &session, waits
    ) == "1"));
    session.sql("CREATE INDEX late ON public.token_lending (version)");
    holder.sql("ROLLBACK");
    let run = running.wait().assert_code(4);
    assert_eq!(follow(&session, &run), ["index public.late"]);
    assert_eq!(fingerprint(&session), before);
    rollback(&db, &[]).assert_code(0);
}
