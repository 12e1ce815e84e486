//! What `migrate --dry-run` says beforehand of locks, sizes and whoever is in the way, held against what
//! the server shows and against what `--check` answers.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use markenmate::db::lock_mode::LockMode;
use markenmate::migrations::effects::{Effect, effects};
use markenmate::migrations::registry;
use markenmate::migrations::statements::statements;
use serde_json::{Value, json};

use crate::support::own_server::program;
use crate::support::state::{fingerprint, one, owned_by};
use crate::support::{Run, Session, TestDb, cluster, database_on, markenmate, start, wait_until};

/// `data` of a dry run, which ends 0 whoever is in the way.
#[track_caller]
fn foretold(url: &str) -> Value {
    let args = ["migrate", "--dry-run", "--format", "json"];
    markenmate(&args).url(url).run().assert_code(0).json()["data"].clone()
}

#[track_caller]
fn screen(url: &str) -> String {
    markenmate(&["migrate", "--dry-run"]).url(url).run().assert_code(0).stdout
}

fn check(url: &str) -> Run {
    markenmate(&["migrate", "--check"]).url(url).run()
}

/// What is said of the statement that locks the table.
#[track_caller]
fn line_of<'a>(data: &'a Value, table: &str) -> &'a Value {
    let lines = data["forecast"].as_array().unwrap();
    lines.iter().find(|line| line["table"] == table).unwrap_or_else(|| panic!("{table}: {data}"))
}

const USER: &str = "public.\"user\"";

/// The database before the guards.
fn hardened() -> TestDb {
    let db = TestDb::baseline();
    markenmate(&["migrate", "--yes", "--to", "2"]).db(&db).run().assert_code(0);
    db
}

/// Long enough to be no short transaction.
fn outlast() {
    std::thread::sleep(Duration::from_millis(1100));
}

/// `who` is named with its kind and its end; the statement, the screen and `--check` agree that it is waited for.
#[track_caller]
fn assert_waits(url: &str, table: &str, kind: &str, who: &str, end: &str) -> Value {
    let data = foretold(url);
    let line = line_of(&data, table);
    assert_eq!(line["verdict"], "wait", "{line}");
    let holder = line["holders"].as_array().unwrap().iter().find(|h| h["kind"] == kind);
    let holder = holder.unwrap_or_else(|| panic!("no {kind}: {line}"));
    assert_eq!((&holder["excludes"], &holder["end"]), (&json!(true), &json!(end)), "{line}");
    assert!(line["why"].as_str().unwrap().contains(who), "{line}");
    let screen = screen(url);
    assert!(screen.contains(&format!("waits for {who}")), "{screen}");
    assert!(screen.contains(&format!("to end it: {end}")), "{screen}");
    let check = check(url).assert_code(7);
    assert!(check.stderr.contains(&format!("because: {who}")), "{}", check.stderr);
    assert!(check.stderr.contains(&format!("to end it: {end}")), "{}", check.stderr);
    line.clone()
}

/// Nobody is waited for, whoever holds something.
#[track_caller]
fn assert_goes(url: &str) -> Value {
    let data = foretold(url);
    for line in data["forecast"].as_array().unwrap() {
        assert_eq!(line["verdict"], "go", "{line}");
    }
    let screen = screen(url);
    assert!(!screen.contains("waits for"), "{screen}");
    assert!(!screen.contains("┆ wait"), "{screen}");
    check(url).assert_code(3);
    data
}

#[test]
fn where_nobody_is_in_the_way_all_goes() {
    let db = TestDb::baseline();
    db.session().sql("ANALYZE");
    let before = fingerprint(&db.session());
    let data = assert_goes(&db.url);
    let line = line_of(&data, USER);
    let bytes = one(&db.session(), "SELECT pg_relation_size('public.\"user\"')");
    let rows = one(&db.session(), "SELECT count(*) FROM public.\"user\"");
    assert_eq!(
        line,
        &json!({
            "statement": "LOCK TABLE public.\"user\" IN ACCESS EXCLUSIVE MODE", "table": USER,
            "lock": "ACCESS EXCLUSIVE", "bytes": bytes.parse::<u64>().unwrap(), "rows": rows.parse::<u64>().unwrap(),
            "rewrites": false, "scans": false, "holders": [], "verdict": "go", "why": "nobody holds it",
        })
    );
    let screen = screen(&db.url);
    let table: Vec<&str> =
        screen.lines().filter(|line| line.starts_with(['┌', '│', '└'])).collect();
    assert!(table.len() >= 6 && table.iter().all(|line| line.chars().count() <= 80), "{screen}");
    assert!(screen.contains("longest lock expected  milliseconds; queues 50ms"), "{screen}");
    assert_eq!(fingerprint(&db.session()), before);

    // The tables that version 2 makes are in nobody's use before.
    let tables: BTreeSet<&str> =
        data["forecast"].as_array().unwrap().iter().map(|l| l["table"].as_str().unwrap()).collect();
    assert_eq!(tables, ["public.app_log", "public.token_lending", USER].into());
    let data = assert_goes(&hardened().url);
    let guards: BTreeSet<&str> =
        data["forecast"].as_array().unwrap().iter().map(|l| l["table"].as_str().unwrap()).collect();
    assert_eq!(
        guards,
        [
            "markenmate.gate",
            "markenmate.ledger",
            "markenmate.refinery_schema_history",
            "markenmate.run",
            "public.audit_log",
            "public.step_up_token",
            "public.token_lending",
            USER
        ]
        .into()
    );

    let empty = TestDb::empty();
    assert_eq!(foretold(&empty.url)["forecast"], json!([]));
    assert_eq!(foretold(&TestDb::migrated().url)["forecast"], json!([]));
}

#[test]
fn a_number_of_rows_is_what_the_server_counted_last() {
    let db = TestDb::empty();
    let session = db.session();
    session.sql(registry::find(1).unwrap().sql);
    let rows = || line_of(&foretold(&db.url), USER)["rows"].clone();
    assert_eq!(rows(), 0);
    session.sql("ALTER TABLE public.\"user\" SET (autovacuum_enabled = off)");
    session.sql("INSERT INTO public.\"user\" (id, name, email) SELECT n, n, n FROM generate_series(1, 30000) n");
    assert_eq!(rows(), Value::Null);
    assert!(screen(&db.url).contains("┆ ?"), "{}", screen(&db.url));
    session.sql("ANALYZE public.\"user\"");
    assert_eq!(rows(), 30_000);
    assert!(screen(&db.url).contains("┆ 30k"), "{}", screen(&db.url));
}

/// A pg_dump that nobody reads from: it holds its locks and gets no further.
struct Dump(Child);

impl Dump {
    fn of(url: &str) -> Self {
        let session = Session::open(url);
        session.sql("CREATE TABLE public.zz_large AS SELECT repeat('x', 1000) AS x FROM generate_series(1, 30000)");
        let child = Command::new(program(cluster(), "pg_dump"))
            .args(["-d", url])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It has all its locks by then.
        let copies = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                      AND application_name = 'pg_dump' AND query LIKE 'COPY %'";
        let dump = Self(child);
        assert!(wait_until(Duration::from_secs(30), || one(&session, copies) == "1"));
        dump
    }

    fn pid(session: &Session) -> String {
        one(
            session,
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'pg_dump' AND datname = current_database()",
        )
    }
}

impl Drop for Dump {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_running_dump_is_in_the_way_of_the_columns_and_not_of_the_guards() {
    let db = TestDb::baseline();
    let dump = Dump::of(&db.url);
    outlast();
    let pid = Dump::pid(&db.session());
    let end = format!("SELECT pg_terminate_backend({pid});");
    let line = assert_waits(&db.url, USER, "pg_dump", &format!("pid {pid} "), &end);
    assert_eq!(line["lock"], "ACCESS EXCLUSIVE");
    assert_eq!(line["why"], format!("pid {pid} is a backup: it holds its locks until it ends"));
    // Once, for all of its tables.
    let shown = screen(&db.url);
    let named = "holds AccessShare on public.\"user\", public.token_lending, public.app_log; it is a backup";
    assert!(shown.contains(named), "{shown}");
    assert_eq!(check(&db.url).stderr.matches("to end it").count(), 1);
    drop(dump);

    let db = hardened();
    let _dump = Dump::of(&db.url);
    outlast();
    let data = assert_goes(&db.url);
    let line = line_of(&data, USER);
    assert_eq!(
        (&line["lock"], &line["holders"][0]["kind"]),
        (&json!("SHARE ROW EXCLUSIVE"), &json!("pg_dump"))
    );
    assert_eq!(line["holders"][0]["excludes"], false);
    assert_eq!(line["why"], "whoever holds it lets this lock in beside");
}

#[test]
fn an_idle_transaction_is_in_the_way_by_what_it_did() {
    let idle = |db: &TestDb, sql: &str| {
        let session = db.session();
        session.sql(&format!("SET application_name = billing; BEGIN; {sql}"));
        let pid = one(&session, "SELECT pg_backend_pid()");
        outlast();
        (session, format!("pid {pid} "), format!("SELECT pg_terminate_backend({pid});"))
    };
    let read = "SELECT FROM public.token_lending LIMIT 1";
    let db = TestDb::baseline();
    let (_holder, who, end) = idle(&db, read);
    let line = assert_waits(&db.url, "public.token_lending", "idle_in_transaction", &who, &end);
    assert!(line["why"].as_str().unwrap().contains("idle in a transaction"), "{line}");
    assert_eq!(line["holders"][0]["application"], "billing");
    let data = foretold(&db.url);
    assert_eq!(line_of(&data, USER)["verdict"], "go", "{data}");

    let db = hardened();
    let (holder, who, end) = idle(&db, read);
    assert_goes(&db.url);
    holder.sql("UPDATE public.token_lending SET token_count = 1 WHERE false");
    let line = assert_waits(&db.url, "public.token_lending", "idle_in_transaction", &who, &end);
    assert_eq!(line["holders"][0]["lock"], "ROW EXCLUSIVE");
    holder.sql("ROLLBACK");
    assert_goes(&db.url);
}

#[test]
fn a_long_statement_is_at_work() {
    let db = TestDb::baseline();
    let url = db.url.clone();
    let worker = std::thread::spawn(move || {
        Session::open(&url)
            .try_sql("SELECT pg_sleep(60) FROM (SELECT FROM public.app_log LIMIT 1) a")
    });
    let session = db.session();
    let sleeps = "SELECT coalesce(max(pid)::text, '') FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
    assert!(wait_until(Duration::from_secs(20), || !one(&session, sleeps).is_empty()));
    let pid = one(&session, sleeps);
    outlast();
    let end = format!("SELECT pg_terminate_backend({pid});");
    let line = assert_waits(&db.url, "public.app_log", "session", &format!("pid {pid} "), &end);
    assert!(line["why"].as_str().unwrap().contains("has been at work for "), "{line}");
    session.sql(&end);
    assert!(worker.join().unwrap().is_err());
    assert_goes(&db.url);
}

#[test]
fn a_prepared_transaction_is_in_the_way_by_what_it_did() {
    let server = start(&[("max_prepared_transactions", "5")]);
    for (files, sql, waits) in [
        (&["V1__baseline.sql"][..], "SELECT FROM public.\"user\" LIMIT 1", true),
        (
            &["V1__baseline.sql", "V2__security_hardening.sql"],
            "SELECT FROM public.\"user\" LIMIT 1",
            false,
        ),
        (&["V1__baseline.sql", "V2__security_hardening.sql"], "DELETE FROM public.\"user\"", true),
    ] {
        let name = format!("prepared_{}_{waits}", files.len());
        let url = database_on(&server, &name, files);
        let session = Session::open(&url);
        session.sql(&format!("BEGIN; {sql}; PREPARE TRANSACTION 'it''s {name}'"));
        outlast();
        let end = format!("ROLLBACK PREPARED 'it''s {name}';");
        if waits {
            let line = assert_waits(&url, USER, "prepared", "prepared transaction ", &end);
            assert!(
                line["why"]
                    .as_str()
                    .unwrap()
                    .starts_with(&format!("prepared transaction \"it's {name}\"")),
                "{line}"
            );
        } else {
            assert_goes(&url);
        }
        session.sql(&end);
        assert_goes(&url);
    }
}

/// Vacuums that take long; the database is at that version.
fn vacuumed(
    version: i32,
    options: &str,
    before: &str,
) -> (markenmate::sandbox::Sandbox, String, String) {
    let server = start(&[
        ("autovacuum_naptime", "1"),
        ("autovacuum_vacuum_cost_delay", "100ms"),
        ("autovacuum_vacuum_cost_limit", "1"),
    ]);
    let files = ["V1__baseline.sql", "V2__security_hardening.sql"];
    let url = database_on(&server, "vacuumed", &files[..usize::try_from(version).unwrap()]);
    let session = Session::open(&url);
    session.sql(&format!(
        "CREATE ROLE owner LOGIN; ALTER DATABASE vacuumed OWNER TO owner; {}",
        owned_by("owner")
    ));
    session.sql(
        r#"INSERT INTO public."user" (id, name, email) SELECT n, repeat('x', 500), n FROM generate_series(1, 20000) n"#,
    );
    session.sql(before);
    session.sql(&format!("ALTER TABLE public.\"user\" SET ({options})"));
    let vacuums = r#"SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
        WHERE a.backend_type = 'autovacuum worker' AND l.relation = 'public."user"'::regclass
          AND l.mode = 'ShareUpdateExclusiveLock' AND a.xact_start < clock_timestamp() - interval '1.1 s'"#;
    assert!(wait_until(Duration::from_secs(90), || one(&session, vacuums) == "1"));
    let pid = one(&session, &vacuums.replace("count(*)", "a.pid"));
    (server, url, pid)
}

#[test]
fn autovacuum_is_in_the_way_and_gives_way() {
    for version in [1, 2] {
        let often = "autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0";
        let (_server, url, pid) = vacuumed(version, often, "UPDATE public.\"user\" SET name = 'y'");
        let owner = url.replacen("postgres@", "owner@", 1);
        for (url, said) in [(&url, ""), (&owner, "  -- as a superuser")] {
            let end = format!("SELECT pg_terminate_backend({pid});");
            let line = assert_waits(url, USER, "autovacuum", &format!("pid {pid} "), &end);
            assert!(
                line["why"].as_str().unwrap().contains("gives way to whoever queues"),
                "{line}"
            );
            assert_eq!(line["holders"][0]["lock"], "SHARE UPDATE EXCLUSIVE", "{said}");
        }
    }
}

/// Its worker is not ended by whoever waits.
#[test]
fn autovacuum_against_wraparound_gives_way_to_nobody() {
    let ids =
        "DO $$ BEGIN FOR i IN 1..100100 LOOP PERFORM txid_current(); COMMIT; END LOOP; END $$";
    for version in [1, 2] {
        let (_server, url, pid) = vacuumed(version, "autovacuum_freeze_max_age = 100000", ids);
        let owner = url.replacen("postgres@", "owner@", 1);
        for url in [&url, &owner] {
            let end = format!("SELECT pg_terminate_backend({pid});");
            let line =
                assert_waits(url, USER, "autovacuum_wraparound", &format!("pid {pid} "), &end);
            assert!(line["why"].as_str().unwrap().contains("gives way to nobody"), "{line}");
        }
    }
}

/// The application's own transactions end before anybody could wait for them, though there is always one.
#[test]
fn short_transactions_are_no_reason_to_wait() {
    let db = hardened();
    let owner = format!("owner_{}", db.name);
    db.session().sql(&format!(
        "CREATE ROLE {owner} LOGIN; {}; GRANT CREATE ON DATABASE {} TO {owner}; ALTER SCHEMA markenmate OWNER TO {owner}",
        owned_by(&owner),
        db.name
    ));
    db.session().sql(&format!(
        "DO $$ DECLARE r record; BEGIN FOR r IN SELECT c.oid::regclass AS name FROM pg_class c \
          WHERE c.relnamespace = 'markenmate'::regnamespace AND c.relkind = 'r' \
         LOOP EXECUTE format('ALTER TABLE %s OWNER TO {owner}', r.name); END LOOP; END $$"
    ));
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let app = db.session();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                app.sql("BEGIN; LOCK TABLE public.\"user\" IN ROW EXCLUSIVE MODE; SELECT pg_sleep(0.2); COMMIT");
            }
        });
        // Whoever may not see how old a transaction is sees that it is another one a second later.
        let ended = std::panic::catch_unwind(|| {
            for url in [db.url.clone(), db.url_as(&owner)] {
                assert_goes(&url);
            }
        });
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        ended.unwrap();
    });
}

/// A weak lock that stays is not lost among strong ones that go.
#[test]
fn among_many_the_one_that_stays_is_seen() {
    let db = TestDb::baseline();
    let reader = db.session();
    reader.sql("BEGIN; SELECT FROM public.\"user\" LIMIT 1");
    let pid = one(&reader, "SELECT pg_backend_pid()");
    outlast();
    let app: Vec<Session> = (0..25).map(|_| db.session()).collect();
    for session in &app {
        session
            .sql("BEGIN; LOCK TABLE public.\"user\", public.token_lending IN ROW EXCLUSIVE MODE");
    }
    let data = foretold(&db.url);
    let line = line_of(&data, USER);
    assert_eq!(
        (&line["verdict"], &line["holders"][0]["pid"]),
        (&json!("wait"), &json!(pid.parse::<i32>().unwrap()))
    );
    let check = check(&db.url).assert_code(7);
    assert!(check.stderr.contains(&format!("pid {pid} ")), "{}", check.stderr);
}

#[test]
fn another_run_is_foretold() {
    let db = TestDb::baseline();
    let other = db.session();
    other.sql(&format!("BEGIN; {}", markenmate::db::locks::try_lock_sql()));
    let shown = screen(&db.url);
    assert!(shown.contains("holds Exclusive on the lock between runs of markenmate"), "{shown}");
    check(&db.url).assert_code(7);
}

type Locks = BTreeSet<(String, LockMode)>;
type Scans = Vec<(String, u32)>;

/// The tables of before, with the locks that this session holds on them, and how often it read all of one.
fn seen(session: &Session) -> (Locks, Scans) {
    let locks = session.sql(
        "SELECT b.name, l.mode FROM pg_locks l JOIN before b ON b.oid = l.relation \
          WHERE l.pid = pg_backend_pid() AND l.granted",
    );
    let scans = session.sql(
        "SELECT b.name, s.seq_scan FROM before b JOIN pg_stat_xact_all_tables s ON s.relid = b.oid",
    );
    let text = |cell: &Option<String>| cell.clone().unwrap();
    (
        locks.iter().map(|row| (text(&row[0]), LockMode::named(&text(&row[1])).unwrap())).collect(),
        scans.iter().map(|row| (text(&row[0]), text(&row[1]).parse().unwrap())).collect(),
    )
}

/// Runs the statements in one transaction, and holds each against what is told of it.
#[track_caller]
fn assert_told(session: &Session, sql: &str) {
    session.sql(
        "CREATE TEMPORARY TABLE before AS \
         SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name, pg_relation_filenode(c.oid) AS node \
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
          WHERE c.relkind = 'r' AND n.nspname IN ('public', 'markenmate')",
    );
    session.sql("BEGIN; SET LOCAL search_path = pg_catalog, pg_temp");
    let all = statements(sql);
    let mut known = 0;
    let (mut locks, mut scans) = seen(session);
    let mut rewritten = BTreeSet::new();
    for at in 1..=all.len() {
        let told: Vec<Effect> = effects(all[..at].iter().map(|s| s.text)).unwrap().split_off(known);
        known += told.len();
        let text = all[at - 1].text;
        session.sql(text);
        let (now, read) = seen(session);
        for effect in &told {
            assert!(
                now.contains(&(effect.table.to_string(), effect.lock)),
                "{text}\n{effect:?}\n{now:?}"
            );
        }
        for (table, mode) in now.difference(&locks) {
            let covers =
                |effect: &Effect| effect.table.to_string() == *table && effect.lock.covers(*mode);
            // PostgreSQL 18 locks what it grants, as a reader does.
            let grants = *mode == LockMode::AccessShare && text.contains("GRANT ");
            let had =
                grants || locks.iter().any(|(name, lock)| name == table && lock.covers(*mode));
            assert!(had || told.iter().any(covers), "{text}\ntakes {mode} on {table}: {told:?}");
        }
        for (table, count) in &read {
            let before =
                scans.iter().find(|(name, _)| name == table).map_or(0, |(_, count)| *count);
            let of_it = || told.iter().filter(|effect| effect.table.to_string() == *table);
            let foretold: u32 = of_it().map(|effect| effect.scans).sum();
            let rewrites = of_it().any(|effect| effect.rewrites);
            assert!(
                rewrites || count - before == foretold,
                "{text}\nreads {table} {} times: {told:?}",
                count - before
            );
        }
        rewritten.extend(told.iter().filter(|e| e.rewrites).map(|e| e.table.to_string()));
        (locks, scans) = (now, read);
    }
    let changed = session
        .sql("SELECT name FROM before WHERE node IS DISTINCT FROM pg_relation_filenode(oid)");
    let changed: BTreeSet<String> =
        changed.into_iter().map(|row| row[0].clone().unwrap()).collect();
    assert_eq!(changed, rewritten, "{sql}");
    session.sql("ROLLBACK");
    session.sql("DROP TABLE before");
}

/// What is forecast is told from the SQL; here it is run.
#[test]
fn every_migration_does_what_is_told_of_it() {
    for entry in registry::APP.iter().skip(1) {
        let db = TestDb::baseline();
        let older = (entry.version - 1).to_string();
        markenmate(&["migrate", "--yes", "--to", &older]).db(&db).run().assert_code(0);
        assert_told(&db.session(), entry.sql);
        assert!(!entry.effects().is_empty(), "{entry}");
        assert!(entry.effects().iter().all(|effect| !effect.rewrites), "{entry}");
    }
    let db = TestDb::baseline();
    let session = db.session();
    session.sql("CREATE SCHEMA markenmate");
    for own in &registry::OWN {
        assert_told(&session, own.sql);
        session.sql(own.sql);
    }
    assert_told(&session, markenmate::db::ledger::LOCK);
}

/// Kinds of statements that a migration or a way back may use.
#[test]
fn other_statements_do_what_is_told_of_them() {
    let db = TestDb::baseline();
    let session = db.session();
    session.sql("CREATE SEQUENCE public.numbers; CREATE SCHEMA elsewhere");
    for mode in LockMode::ALL {
        assert_told(&session, &format!("LOCK TABLE public.\"user\" IN {mode} MODE"));
    }
    for sql in [
        "ALTER TABLE public.app_log ADD COLUMN seen timestamp with time zone DEFAULT now() NOT NULL",
        "ALTER TABLE public.app_log ADD COLUMN seen timestamp with time zone DEFAULT clock_timestamp() NOT NULL",
        "ALTER TABLE public.app_log ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY",
        "ALTER TABLE public.app_log ADD COLUMN a text DEFAULT 'a', ADD COLUMN b integer DEFAULT 7 NOT NULL",
        "ALTER TABLE public.app_log DROP COLUMN message",
        "ALTER TABLE public.app_log RENAME COLUMN message TO said",
        "ALTER TABLE public.app_log RENAME TO said",
        "ALTER TABLE public.app_log SET SCHEMA elsewhere",
        "ALTER TABLE public.token_lending ADD CONSTRAINT k FOREIGN KEY (user_id) REFERENCES public.\"user\" (id) NOT VALID",
        "CREATE TABLE public.new (a text REFERENCES public.\"user\" (id)); COMMENT ON TABLE public.new IS 'x'",
        "COMMENT ON TABLE public.app_log IS 'x'; COMMENT ON COLUMN public.app_log.message IS 'x'",
        "ALTER SEQUENCE public.numbers OWNED BY public.app_log.id",
        "SELECT count(*) FROM public.app_log; SELECT count(*) FROM public.app_log a JOIN public.app_log b ON true",
        "DO $$ BEGIN IF EXISTS (SELECT FROM public.app_log WHERE message = 'none') THEN RAISE 'x'; END IF; END $$",
        "DO $$ BEGIN EXECUTE format('GRANT SELECT ON public.app_log TO %I', current_user); END $$",
    ] {
        assert_told(&session, sql);
    }
}

/// The manual's table, as the server has it.
#[test]
fn modes_keep_each_other_out_as_on_the_server() {
    let db = TestDb::baseline();
    let (one, other) = (db.session(), db.session());
    for held in LockMode::ALL {
        one.sql(&format!("BEGIN; LOCK TABLE public.app_log IN {held} MODE"));
        for wanted in LockMode::ALL {
            let got =
                other.try_sql(&format!("BEGIN; LOCK TABLE public.app_log IN {wanted} MODE NOWAIT"));
            other.sql("ROLLBACK");
            assert_eq!(got.is_err(), held.conflicts(wanted), "{held}, {wanted}");
        }
        one.sql("ROLLBACK");
    }
}

/// Whoever reads a child keeps it from its parent's columns.
#[test]
fn a_child_is_locked_with_its_parent() {
    let db = TestDb::baseline();
    db.session().sql(
        "CREATE TABLE public.\"app; log 2025\" () INHERITS (public.app_log);
         INSERT INTO public.\"app; log 2025\" SELECT * FROM public.app_log",
    );
    let parent = "SELECT pg_relation_size('public.app_log') < pg_relation_size('public.app_log') + pg_relation_size('public.\"app; log 2025\"')";
    assert_eq!(one(&db.session(), parent), "t");
    let holder = db.session();
    holder.sql("BEGIN; SELECT FROM ONLY public.\"app; log 2025\" LIMIT 1");
    let pid = one(&holder, "SELECT pg_backend_pid()");
    outlast();
    let end = format!("SELECT pg_terminate_backend({pid});");
    let line =
        assert_waits(&db.url, "public.app_log", "idle_in_transaction", &format!("pid {pid}"), &end);
    let bytes =
        "SELECT pg_relation_size('public.app_log') + pg_relation_size('public.\"app; log 2025\"')";
    assert_eq!(line["bytes"].to_string(), one(&db.session(), bytes));
    let run = markenmate(&["migrate", "--yes", "--max-wait", "1s"]).db(&db).run().assert_code(7);
    assert!(run.stderr.contains("\"app; log 2025\""), "{}", run.stderr);
    holder.sql("ROLLBACK");
    assert_goes(&db.url);
}

/// Our own tables are written, whoever else is at them.
#[test]
fn who_holds_a_table_of_our_own_is_in_the_way() {
    let db = hardened();
    for (table, check) in [
        ("run", "migrate"),
        ("refinery_schema_history", "migrate"),
        ("run", "rollback"),
        ("set_aside", "rollback"),
    ] {
        let holder = db.session();
        holder.sql(&format!("BEGIN; LOCK TABLE markenmate.{table} IN SHARE MODE"));
        let pid = format!("pid {}", one(&holder, "SELECT pg_backend_pid()"));
        outlast();
        let checked = markenmate(&[check, "--check"]).db(&db).run().assert_code(7);
        assert!(checked.stderr.contains(&pid), "{table}: {}", checked.stderr);
        let args = match check {
            "migrate" => vec!["migrate", "--yes", "--max-wait", "1s"],
            _ => vec!["rollback", "--confirm", &db.name, "--max-wait", "1s"],
        };
        let run = markenmate(&args).db(&db).run().assert_code(7);
        assert!(run.stderr.contains(&pid), "{table}: {}", run.stderr);
        holder.sql("ROLLBACK; BEGIN; SELECT FROM markenmate.run");
        outlast();
        assert_eq!(markenmate(&[check, "--check"]).db(&db).run().code, 3);
        holder.sql("ROLLBACK");
    }
}

/// What returns by another than the owner is looked at with all that hangs on it by a key.
#[test]
fn what_returns_locks_what_hangs_on_it() {
    let db = TestDb::baseline();
    let owner = format!("owner_{}", db.name);
    db.session().sql(&format!(
        "CREATE ROLE {owner} LOGIN; {}; GRANT CREATE ON DATABASE {} TO {owner}",
        owned_by(&owner),
        db.name
    ));
    markenmate(&["migrate", "--yes"]).db(&db).url(&db.url_as(&owner)).run().assert_code(0);
    super::rollback::fill(&db.session());
    super::rollback::rollback(&db, &[]).assert_code(0);
    let holder = db.session();
    holder.sql("BEGIN; LOCK TABLE public.session IN SHARE MODE");
    let pid = format!("pid {}", one(&holder, "SELECT pg_backend_pid()"));
    outlast();
    let checked = check(&db.url).assert_code(7);
    assert!(checked.stderr.contains(&pid), "{}", checked.stderr);
    // Nobody else waits for it meanwhile.
    let run = markenmate(&["migrate", "--yes", "--max-wait", "2s"]).db(&db).spawn();
    let app = db.session();
    let blocked = wait_until(Duration::from_millis(1500), || {
        let reads = "SET lock_timeout = '5ms'; SELECT FROM public.\"user\" LIMIT 1; SELECT FROM public.app_log LIMIT 1";
        app.try_sql(reads).is_err()
    });
    let run = run.wait().assert_code(7);
    assert!(!blocked, "a reader of the application's had to wait");
    assert!(run.stderr.contains(&pid), "{}", run.stderr);
    // The owner has nobody to fear.
    assert_eq!(check(&db.url_as(&owner)).code, 3);
    holder.sql("ROLLBACK");
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
}

/// A question about waiting is not waited with.
#[test]
fn a_queue_for_a_table_is_answered_at_once() {
    let db = hardened();
    let reader = db.session();
    reader.sql("BEGIN; SELECT FROM public.\"user\" LIMIT 1");
    let pid = format!("pid {}", one(&reader, "SELECT pg_backend_pid()"));
    let queued = db.session();
    std::thread::scope(|scope| {
        let queued = scope.spawn(move || {
            queued.try_sql("BEGIN; LOCK TABLE public.\"user\" IN ACCESS EXCLUSIVE MODE; ROLLBACK")
        });
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'public.\"user\"'::regclass";
        assert!(wait_until(Duration::from_secs(5), || one(&db.session(), waits) == "1"));
        outlast();
        let checks = ["migrate", "rollback"].map(|command| {
            let began = std::time::Instant::now();
            let args = [command, "--check", "--max-wait", "6s"];
            let run = markenmate(&args).db(&db).run();
            (run, began.elapsed())
        });
        reader.sql("ROLLBACK");
        queued.join().unwrap().unwrap();
        for (run, took) in checks {
            assert_eq!(run.code, 7, "{}", run.stderr);
            assert!(took < Duration::from_secs(5), "{took:?}");
            assert!(run.stderr.contains(&pid), "{}", run.stderr);
            assert!(run.stderr.contains("is queued"), "{}", run.stderr);
        }
    });
}
