//! `status` as the doctor: each state is made for real, the advice is followed as it is printed, by psql
//! and a shell, and what comes of it is a database at the latest version that `verify` passes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::own_server::{Standby, program, succeed};
use crate::support::pty::on_a_terminal;
use crate::support::state::{catalogue, fingerprint, one};
use crate::support::{
    Session, TestDb, cluster, database_on, markenmate, schema_file, sql, start, wait_until,
};

const SECOND: &str = "Zweite.Admin@Example.de";
const USER: &str = "person22@example.de";
const PASSWORD: &str = "Größe-Übung-7";

/// The seed account gets a password of its own, the second admin's: nothing speaks against it any more.
const CHANGE_PASSWORD: &str = "UPDATE public.account a SET password = other.password FROM public.account other \
       JOIN public.\"user\" o ON o.id = other.user_id AND o.email = 'Zweite.Admin@Example.de' \
      WHERE a.user_id = (SELECT id FROM public.\"user\" WHERE email = 'admin@markenmate.app')";

fn baseline() -> TestDb {
    let db = TestDb::baseline();
    sql(&db, CHANGE_PASSWORD);
    db
}

fn migrated_to(version: &str) -> TestDb {
    let db = baseline();
    markenmate(&["migrate", "--yes", "--to", version]).db(&db).run().assert_code(0);
    db
}

/// At the latest version, with a master admin: `verify` passes.
fn sound() -> TestDb {
    let db = migrated_to("3");
    markenmate(&["set-master-admin", "--yes"]).db(&db).run().assert_code(0);
    db
}

fn status_at(url: &str) -> Value {
    markenmate(&["status", "--format", "json"]).url(url).run().assert_code(0).json()
}

fn status(db: &TestDb) -> Value {
    let before = fingerprint(&db.session());
    let seen = status_at(&db.url);
    assert_eq!(fingerprint(&db.session()), before, "status reads");
    seen
}

fn findings(document: &Value) -> &[Value] {
    document["findings"].as_array().unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

/// The finding of that id.
#[track_caller]
fn find<'a>(document: &'a Value, id: &str) -> &'a Value {
    let found = findings(document).iter().find(|finding| finding["id"] == id);
    found.unwrap_or_else(|| panic!("no {id} in {document:#}"))
}

/// Whoever follows the advice: a shell in which `markenmate` is the binary, with consent given, and the
/// password of the admin whose word it takes.
struct Operator<'a> {
    db: &'a TestDb,
    path: PathBuf,
}

impl<'a> Operator<'a> {
    fn of(db: &'a TestDb) -> Self {
        let path = db.folder().join("bin");
        fs::create_dir_all(&path).unwrap();
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in\n\
             util*) exec {binary} \"$@\" ;;\n\
             *--as*) printf '%s\\n' '{PASSWORD}' | exec {binary} \"$@\" --admin-password-stdin --yes ;;\n\
             *) exec {binary} \"$@\" --confirm '{name}' ;;\nesac\n",
            binary = env!("CARGO_BIN_EXE_markenmate"),
            name = db.name,
        );
        fs::write(path.join("markenmate"), script).unwrap();
        fs::set_permissions(path.join("markenmate"), fs::Permissions::from_mode(0o755)).unwrap();
        Self { db, path }
    }

    /// Runs a line in the shell: its code and what it said.
    fn shell(&self, line: &str) -> (i32, String) {
        let psql = program(cluster(), "psql");
        let beside = psql.parent().and_then(|path| path.to_str()).unwrap_or_default();
        let output = Command::new("/bin/sh")
            .args(["-c", line])
            .env("PATH", format!("{}:{beside}:/usr/bin:/bin", self.path.display()))
            .env("DATABASE_URL", &self.db.url)
            .current_dir(self.db.folder())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8_lossy(&said).into_owned())
    }

    /// Does what a remedy says: a command, or SQL.
    #[track_caller]
    fn follow(&self, remedy: &str) -> String {
        if remedy.starts_with("markenmate ") {
            let (code, said) = self.shell(remedy);
            assert!([0, 3].contains(&code), "{remedy}\nended with {code}: {said}");
            return said;
        }
        let file = self.db.folder().join("remedy.sql");
        fs::write(&file, remedy).unwrap();
        let mut psql = Command::new(program(cluster(), "psql"));
        psql.args(["-X", "-v", "ON_ERROR_STOP=1", "-d", &self.db.url, "-f"]).arg(&file);
        succeed(&mut psql)
    }

    /// Follows the advice until `verify` has nothing to say; what was followed on the way.
    #[track_caller]
    fn heal(&self) -> Vec<String> {
        let mut followed = Vec::new();
        for _ in 0..8 {
            let seen = status(self.db);
            let next = text(&seen["data"], "next");
            followed.push(next.to_owned());
            match next {
                "markenmate verify" => {
                    assert_eq!(seen["data"]["state"], "current", "{seen:#}");
                    let (code, said) = self.shell("markenmate verify --format json 2>verify.err");
                    if code == 0 {
                        return followed;
                    }
                    let judged: Value = serde_json::from_str(&said).unwrap();
                    self.mend(&judged, &mut followed);
                }
                "markenmate status" => self.mend(&seen, &mut followed),
                command => {
                    let said = self.follow(command);
                    // What was shown only is done as it says itself.
                    if command.ends_with("--dry-run") {
                        let next = said.lines().find_map(|line| line.strip_prefix("next: "));
                        self.follow(next.unwrap_or_else(|| panic!("no next in {said}")));
                    }
                }
            }
        }
        panic!("the advice leads nowhere: {followed:#?}\n{:#}", status(self.db));
    }

    #[track_caller]
    fn mend(&self, document: &Value, followed: &mut Vec<String>) {
        let weighs = |finding: &&Value| finding["severity"] != "info";
        assert!(findings(document).iter().any(|f| weighs(&f)), "nothing to mend: {document:#}");
        for finding in findings(document).iter().filter(weighs) {
            self.follow(text(finding, "remedy"));
            followed.push(text(finding, "remedy").to_owned());
        }
    }
}

/// In `state`, and by the advice to the end.
#[track_caller]
fn heals(db: &TestDb, state: &str) -> Vec<String> {
    let seen = status(db);
    assert_eq!(seen["data"]["state"], state, "{seen:#}");
    Operator::of(db).heal()
}

fn versions(db: &TestDb) -> Value {
    let seen = status(db);
    let all = seen["data"]["migrations"].as_array().unwrap();
    all.iter().map(|migration| migration["state"].clone()).collect()
}

#[test]
fn a_pristine_database_is_shown_first_and_then_built() {
    let db = TestDb::empty();
    let seen = status(&db);
    assert_eq!(seen["data"]["state"], "pristine");
    assert_eq!(seen["data"]["next"], "markenmate migrate --dry-run");
    let said = Operator::of(&db).follow("markenmate migrate --dry-run");
    assert!(said.contains("\nnext: markenmate migrate\n"), "{said}");
    Operator::of(&db).follow("markenmate migrate");
    assert_eq!(status(&db)["data"]["state"], "current");
    // What is missing now is the application's to make.
    sql(
        &db,
        "INSERT INTO public.\"user\" (id, name, email, role) VALUES ('u1', 'A', 'a@example.org', 'user');
         UPDATE public.\"user\" SET role = 'admin';
         INSERT INTO public.account (id, account_id, provider_id, user_id, password, updated_at)
              VALUES ('a1', 'u1', 'credential', 'u1', '$2b$12$x', now())",
    );
    assert_eq!(Operator::of(&db).heal()[0], "markenmate set-master-admin");
}

/// Some other application's database: nothing is built into it without a look at what else is there.
#[test]
fn a_database_of_something_else_is_named() {
    let db = TestDb::empty();
    sql(&db, "CREATE TABLE public.invoice (id int)");
    let seen = status(&db);
    assert_eq!(seen["data"]["state"], "pristine");
    assert!(text(find(&seen, "not-empty"), "detail").contains("public.invoice"), "{seen:#}");
    let said = Operator::of(&db).follow(text(&seen["data"], "next"));
    assert!(said.contains("public.invoice"), "{said}");
    assert_eq!(status(&db)["data"]["state"], "pristine");
}

#[test]
fn what_an_application_has_made_is_adopted() {
    let db = baseline();
    assert_eq!(
        heals(&db, "baseline"),
        ["markenmate migrate", "markenmate set-master-admin", "markenmate verify"]
    );
    assert_eq!(versions(&db), json!(["adopted", "applied", "applied"]));
}

/// By the guide's file, and as far as it goes.
#[test]
fn what_was_applied_by_hand_is_adopted() {
    let db = TestDb::hardened();
    sql(&db, CHANGE_PASSWORD);
    heals(&db, "hardened-unrecorded");
    assert_eq!(versions(&db), json!(["adopted", "adopted", "applied"]));

    let db = migrated_to("2");
    assert_eq!(status(&db)["data"]["state"], "pending");
    sql(&db, &schema_file("V3__guards.sql"));
    heals(&db, "hardened-unrecorded");
    assert_eq!(versions(&db), json!(["adopted", "applied", "adopted"]));
}

/// The old application's push has taken away what it does not know, the tables without rows included.
#[test]
fn a_history_without_objects_gets_them_back() {
    let db = sound();
    sql(
        &db,
        r#"SET session_replication_role = replica; DELETE FROM public.audit_log; RESET session_replication_role;
           ALTER TABLE public."user" DROP COLUMN is_master_admin;
           ALTER TABLE public.token_lending DROP COLUMN version;
           ALTER TABLE public.app_log DROP COLUMN correlation_id;
           DROP TABLE public.audit_log, public.step_up_token"#,
    );
    let followed = heals(&db, "drifted");
    assert!(followed.iter().any(|line| line == "markenmate set-master-admin"), "{followed:#?}");

    // Tables whose keys point to one another come back in an order in which they can.
    let db = migrated_to("3");
    sql(
        &db,
        "DROP TABLE public.order_history, public.order_history_item, public.menu_item, public.restaurant, \
                    public.favorite, public.ticket, public.ticket_comment CASCADE",
    );
    heals(&db, "drifted");
}

#[test]
fn an_emptied_database_is_restored() {
    let db = sound();
    let rows = || one(&db.session(), "SELECT count(*) FROM public.token_lending");
    let before = rows();
    markenmate(&["backup"]).db(&db).run().assert_code(0);
    let folder = db.folder().join("backups");
    let made = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let made = made.into_iter().find(|path| path.is_dir()).unwrap();
    markenmate(&["backup", "verify", made.to_str().unwrap()]).run().assert_code(0);
    sql(&db, "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    let followed = heals(&db, "drifted");
    assert_eq!(followed[..2], ["markenmate rollback --restore", "markenmate verify"]);
    assert_eq!(rows(), before);
    drop_besides(&db);
}

/// As the finding says: then there is nothing to bring back.
#[test]
fn an_emptied_database_without_a_backup_begins_anew() {
    let db = sound();
    sql(&db, "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    let seen = status(&db);
    let (code, said) = Operator::of(&db).shell(text(&seen["data"], "next"));
    assert!(code == 4 && said.contains("there is no verified backup"), "{said}");
    let detail = text(&findings(&seen)[0], "detail").to_owned();
    let (_, statement) = detail.split_once(": DELETE").unwrap();
    sql(&db, &format!("DELETE{statement}"));
    let operator = Operator::of(&db);
    for _ in 0..3 {
        let seen = status(&db);
        match text(&seen["data"], "next") {
            "markenmate status" => operator.mend(&seen, &mut Vec::new()),
            next => drop(operator.follow(&next.replace(" --dry-run", ""))),
        }
    }
    assert_eq!(status(&db)["data"]["state"], "current");
    let kept = "SELECT count(*) > 1 FROM markenmate.ledger";
    assert_eq!(one(&db.session(), kept), "t");
}

#[test]
fn objects_without_a_history_are_recorded() {
    for (lose, state) in [
        ("DROP SCHEMA markenmate CASCADE", "hardened-unrecorded"),
        ("DELETE FROM markenmate.refinery_schema_history", "hardened-unrecorded"),
        ("DROP TABLE markenmate.refinery_schema_history", "drifted"),
        ("DROP TABLE markenmate.refinery_own_history", "drifted"),
        (
            "DROP TABLE markenmate.refinery_own_history, markenmate.refinery_schema_history",
            "drifted",
        ),
        ("DELETE FROM markenmate.refinery_own_history", "drifted"),
        ("DELETE FROM markenmate.refinery_own_history WHERE version = 2", "drifted"),
    ] {
        let db = sound();
        sql(&db, lose);
        let followed = heals(&db, state);
        assert!(followed.len() < 6, "{lose}: {followed:#?}");
    }
}

/// Roles other than the owner mend it as well: what they make belongs to the owner.
#[test]
fn histories_made_anew_belong_to_the_owner() {
    let db = sound();
    let app = format!("app_{}", db.name);
    sql(
        &db,
        &format!(
            "CREATE ROLE {app} LOGIN; {}; ALTER SCHEMA markenmate OWNER TO {app};
             DO $$ DECLARE r record; BEGIN
               FOR r IN SELECT oid::regclass AS name FROM pg_class WHERE relnamespace = 'markenmate'::regnamespace AND relkind IN ('r', 'S')
                 AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'i')
               LOOP EXECUTE format('ALTER TABLE %s OWNER TO {app}', r.name); END LOOP;
               FOR r IN SELECT oid::regprocedure AS name FROM pg_proc WHERE pronamespace = 'markenmate'::regnamespace
               LOOP EXECUTE format('ALTER FUNCTION %s OWNER TO {app}', r.name); END LOOP;
             END $$; DROP TABLE markenmate.refinery_own_history, markenmate.refinery_schema_history",
            crate::support::state::owned_by(&app)
        ),
    );
    heals(&db, "drifted");
    let owners = "SELECT string_agg(DISTINCT pg_get_userbyid(relowner), ',') FROM pg_class \
                   WHERE relnamespace = 'markenmate'::regnamespace AND relkind = 'r'";
    assert_eq!(one(&db.session(), owners), app);
}

/// Whatever was done to a row: what is there is compared, and recorded anew; no object is touched.
#[test]
fn a_history_that_was_edited_is_recorded_anew() {
    const APP: &str = "markenmate.refinery_schema_history";
    const OWN: &str = "markenmate.refinery_own_history";
    for edit in [
        format!("UPDATE {APP} SET name = 'other', checksum = '1' WHERE version = 2"),
        format!("UPDATE {APP} SET applied_on = 'yesterday'"),
        format!("UPDATE {APP} SET version = -1 WHERE version = 2"),
        format!("DELETE FROM {APP} WHERE version = 1"),
        format!("ALTER TABLE {APP} DROP COLUMN checksum"),
        format!("UPDATE {OWN} SET checksum = 'x', applied_on = NULL"),
        format!("DELETE FROM {OWN} WHERE version = 1"),
        format!("UPDATE {OWN} SET version = 0 WHERE version = 2"),
        format!("ALTER TABLE {OWN} DROP COLUMN name"),
    ] {
        let db = sound();
        sql(&db, &edit);
        let tables = |db: &TestDb| {
            let all = catalogue(&db.session());
            all.lines().filter(|line| !line.contains("markenmate")).collect::<Vec<_>>().join("\n")
        };
        let before = tables(&db);
        heals(&db, "drifted");
        assert_eq!(tables(&db), before, "{edit}");
    }
}

/// More than rows in schema markenmate: what is there is named one by one, with what takes it away.
#[test]
fn a_history_with_code_beside_it_is_freed_of_it() {
    let db = sound();
    sql(
        &db,
        "CREATE FUNCTION public.trap() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE FUNCTION public.climb() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
         CREATE FUNCTION public.pure(text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
         CREATE TRIGGER \"it's a trap\" BEFORE INSERT ON markenmate.run FOR EACH ROW EXECUTE FUNCTION public.trap();
         CREATE RULE trap AS ON INSERT TO markenmate.audit_log_archive DO ALSO SELECT public.climb();
         ALTER TABLE markenmate.ledger ALTER COLUMN host SET DEFAULT public.climb();
         ALTER TABLE markenmate.run ADD CONSTRAINT trap CHECK (public.climb() IS NOT NULL) NOT VALID;
         CREATE INDEX trap ON markenmate.ledger (number) WHERE public.pure(hash)",
    );
    let seen = status(&db);
    assert!(text(find(&seen, "history"), "detail").contains("more than rows"), "{seen:#}");
    assert_eq!(seen["data"]["migrations"], json!([]));
    let followed = heals(&db, "drifted");
    assert_eq!(
        followed.iter().filter(|line| line.contains("markenmate.")).count(),
        5,
        "{followed:#?}"
    );
}

/// Half of the guards, and nobody knows of it: what is there is dropped, and all of it made.
#[test]
fn half_of_the_guards_is_made_whole() {
    let by_hand = schema_file("V3__guards.sql");
    for half in [
        // Functions without their triggers, and one of them missing.
        "DROP FUNCTION markenmate.guard_lending() CASCADE".to_owned(),
        "DROP FUNCTION markenmate.is_open() CASCADE; DROP TRIGGER markenmate_keep_audit ON public.audit_log".into(),
        "CREATE OR REPLACE FUNCTION markenmate.is_open() RETURNS boolean LANGUAGE sql AS 'SELECT true'".into(),
        "CREATE TRIGGER mine BEFORE INSERT ON public.app_log FOR EACH STATEMENT EXECUTE FUNCTION markenmate.note_purpose();
         DROP FUNCTION markenmate.close_gate()".into(),
        // All functions, and not all triggers.
        "DROP TRIGGER markenmate_admins ON public.\"user\"".into(),
    ] {
        let db = migrated_to("2");
        sql(&db, &by_hand);
        sql(&db, &half);
        heals(&db, "partial");
    }
}

/// Half of the hardening beside whole guards' leftovers, and without any history.
#[test]
fn leftovers_of_guards_on_a_baseline_are_dropped() {
    let db = migrated_to("3");
    sql(
        &db,
        r#"DROP TABLE public.audit_log, public.step_up_token;
           ALTER TABLE public."user" DROP COLUMN is_master_admin;
           ALTER TABLE public.token_lending DROP COLUMN version;
           ALTER TABLE public.app_log DROP COLUMN correlation_id;
           DROP FUNCTION markenmate.is_open();
           DELETE FROM markenmate.refinery_schema_history WHERE version > 1"#,
    );
    let followed = heals(&db, "partial");
    assert_eq!(followed[2], "markenmate migrate", "{followed:#?}");
}

#[test]
fn guards_that_drifted_are_made_as_they_were() {
    for drift in [
        "ALTER TABLE public.\"user\" DISABLE TRIGGER markenmate_admins",
        "ALTER TABLE public.token_lending ENABLE REPLICA TRIGGER markenmate_version",
        "DROP TRIGGER markenmate_conflict ON public.token_lending",
        "DROP FUNCTION markenmate.close_gate(); DROP FUNCTION markenmate.guard_admins() CASCADE",
        "CREATE OR REPLACE FUNCTION markenmate.is_open() RETURNS boolean LANGUAGE sql AS 'SELECT true'",
        // A table with guards is gone along with one of their functions.
        "DROP TABLE public.step_up_token; DROP FUNCTION markenmate.guard_truncate() CASCADE",
    ] {
        let db = sound();
        sql(&db, drift);
        heals(&db, "drifted");
    }
}

/// Its end is another binary: until then nothing is done, and `status` may be asked again.
#[test]
fn a_newer_history_waits_for_a_newer_tool() {
    let db = sound();
    sql(
        &db,
        "INSERT INTO markenmate.refinery_schema_history (version, name, applied_on, checksum) VALUES (99, 'later', '', '')",
    );
    let seen = status(&db);
    assert_eq!(seen["data"]["state"], "newer");
    assert!(text(find(&seen, "history"), "remedy").contains("use the markenmate that applied it"));
    assert_eq!(seen["data"]["next"], "markenmate status");
    let (code, said) = Operator::of(&db).shell("markenmate migrate");
    assert!(code == 4 && said.contains("newer markenmate"), "{said}");
    // Which takes it back, say.
    sql(&db, "DELETE FROM markenmate.refinery_schema_history WHERE version = 99");
    heals(&db, "current");
}

#[test]
fn an_index_that_failed_is_dropped() {
    let db = sound();
    let session = db.session();
    session.sql(
        "INSERT INTO public.demo_data (header, type, status, target, \"limit\", reviewer) \
         VALUES ('x', 't', 's', 1, 1, 'r'), ('x', 't', 's', 1, 1, 'r')",
    );
    let create = "CREATE UNIQUE INDEX CONCURRENTLY \"It's twice\" ON public.demo_data (header)";
    assert!(session.try_sql(create).is_err());
    let seen = status(&db);
    let finding = find(&seen, "indexes-valid");
    assert_eq!(finding["remedy"], "DROP INDEX CONCURRENTLY public.\"It's twice\";");
    // What a REINDEX that failed as well leaves behind has a name of its own.
    assert!(session.try_sql("REINDEX INDEX CONCURRENTLY public.\"It's twice\"").is_err());
    let followed = heals(&db, "current");
    assert_eq!(followed[0], "markenmate status");
    let left = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
    assert_eq!(one(&session, left), "0");
    // The rows are nobody's fault.
    assert_eq!(one(&session, "SELECT count(*) >= 2 FROM public.demo_data WHERE header = 'x'"), "t");

    // One that is being built is none that failed.
    let holder = db.session();
    holder.sql("BEGIN; LOCK TABLE public.demo_data IN ROW EXCLUSIVE MODE");
    let url = db.url.clone();
    let building = std::thread::spawn(move || {
        Session::open(&url).sql("CREATE INDEX CONCURRENTLY slowly ON public.demo_data (header)");
    });
    let there = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
    assert!(wait_until(Duration::from_secs(20), || one(&session, there) == "1"));
    let seen = status_at(&db.url);
    assert!(findings(&seen).iter().all(|finding| finding["id"] != "indexes-valid"), "{seen:#}");
    assert_eq!(seen["data"]["next"], "markenmate verify");
    holder.sql("ROLLBACK");
    building.join().unwrap();
}

fn besides(db: &TestDb) -> Vec<String> {
    let session = Session::open(&cluster().url("postgres"));
    let like = db.name.replace('_', "\\_");
    let sql = format!("SELECT datname FROM pg_database WHERE datname LIKE '{like}\\_%' ORDER BY 1");
    session.sql(&sql).into_iter().map(|row| row[0].clone().unwrap()).collect()
}

fn drop_besides(db: &TestDb) {
    let session = Session::open(&cluster().url("postgres"));
    for name in besides(db) {
        session.sql(&format!("DROP DATABASE \"{name}\" WITH (FORCE)"));
    }
}

#[test]
fn half_a_restore_is_dropped() {
    let db = sound();
    sql(
        &db,
        "CREATE SCHEMA slow;
         CREATE FUNCTION slow.slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
         CREATE TABLE slow.slowed (id int); INSERT INTO slow.slowed SELECT generate_series(1, 60);
         CREATE INDEX ON slow.slowed (slow.slow(id));
         CREATE OR REPLACE FUNCTION slow.slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN $1; END'",
    );
    markenmate(&["backup", "-o", "b"]).db(&db).run().assert_code(0);
    let path = db.folder().join("b");
    let restore = [
        "rollback",
        "--restore",
        path.to_str().unwrap(),
        "--no-safety-backup",
        "--confirm",
        &db.name,
    ];
    let running = markenmate(&restore).db(&db).spawn();
    assert!(wait_until(Duration::from_secs(30), || !besides(&db).is_empty()));
    running.wait_for_stderr("restore ");

    // While it is at work it is not to be disturbed.
    let seen = status(&db);
    assert_eq!(find(&seen, "restore-at-work")["severity"], "info");
    assert_eq!(seen["data"]["next"], "markenmate status");
    running.signal("KILL");
    drop(running);
    let half = || {
        let seen = status_at(&db.url);
        findings(&seen).iter().any(|finding| finding["id"] == "half-restore")
    };
    assert!(wait_until(Duration::from_secs(30), half));
    let seen = status(&db);
    let finding = find(&seen, "half-restore");
    assert_eq!(finding["subject"], besides(&db)[0].as_str());
    assert!(text(finding, "detail").contains("was killed"), "{finding:#}");
    // A reader sees it as well, and whose it is to drop.
    let reader = format!("reader_{}", db.name);
    sql(&db, &format!("CREATE ROLE {reader} LOGIN"));
    let for_reader = status_at(&db.url_as(&reader));
    let remedy = text(find(&for_reader, "half-restore"), "remedy").to_owned();
    assert!(remedy.ends_with("WITH (FORCE);  -- as postgres"), "{remedy}");
    assert_eq!(heals(&db, "current")[0], "markenmate status");
    assert_eq!(besides(&db), <[String; 0]>::default());
}

#[test]
fn a_whole_one_that_waits_is_said_to_and_dropped_or_taken() {
    let db = sound();
    markenmate(&["backup", "-o", "b"]).db(&db).run().assert_code(0);
    let path = db.folder().join("b");
    let args = ["rollback", "--restore", path.to_str().unwrap(), "--no-safety-backup"];
    let decline = || {
        let mut terminal = on_a_terminal(markenmate(&args).db(&db));
        terminal.expect(&format!("Type {} to go on", db.name)).send_line("no");
        assert_eq!(terminal.finish().1, 4);
    };
    decline();
    let seen = status(&db);
    let waits = find(&seen, "half-restore");
    assert!(text(waits, "detail").contains("it is whole"), "{waits:#}");
    assert!(!text(waits, "title").contains("Half"), "{waits:#}");
    let (_, drop) = text(waits, "detail").split_once("does not want that: ").unwrap();
    let again = format!("markenmate rollback --restore {}", path.canonicalize().unwrap().display());
    assert_eq!(text(waits, "remedy"), again);
    Operator::of(&db).follow(drop);
    heals(&db, "current");
    assert_eq!(besides(&db), <[String; 0]>::default());

    // Taken, by the advice: nothing is restored a second time.
    decline();
    let waiting = besides(&db);
    assert!(Operator::of(&db).follow(&again).contains(&waiting[0]));
    heals(&db, "current");
    // What was live is still there, and listed, as it takes room.
    let kept = besides(&db);
    assert_eq!(kept.len(), 1, "{kept:?}");
    let seen = status(&db);
    assert_eq!(find(&seen, "kept-database")["subject"], kept[0].as_str());
    let listed = markenmate(&["cleanup", "set-aside", "--dry-run", "--format", "json"]).db(&db);
    let listed = listed.run().assert_code(0).json();
    assert_eq!(listed["data"]["databases"][0]["name"], kept[0].as_str(), "{listed:#}");
    let (code, said) =
        Operator::of(&db).shell(&format!("markenmate cleanup set-aside {}", kept[0]));
    assert_eq!(code, 0, "{said}");
    assert_eq!(besides(&db), <[String; 0]>::default());

    decline();
    markenmate(&[&args[..], &["--confirm", &db.name]].concat()).db(&db).run().assert_code(0);
    heals(&db, "current");
    drop_besides(&db);

    // A name is anybody's to give.
    let forger = format!("forger_{}", db.name);
    let admin = Session::open(&cluster().url("postgres"));
    admin.sql(&format!("CREATE ROLE {forger}"));
    admin.sql(&format!("CREATE DATABASE \"{}_restoring_1_0a1b2c3d\" OWNER {forger}", db.name));
    let seen = status(&db);
    assert_eq!(seen["data"]["next"], "markenmate verify", "{seen:#}");
    drop_besides(&db);
    admin.sql(&format!("DROP ROLE {forger}"));
}

fn flag(db: &TestDb, emails: &[&str]) {
    let emails: Vec<_> = emails.iter().map(|email| format!("'{email}'")).collect();
    let who = emails.join(", ");
    sql(db, &format!("UPDATE public.\"user\" SET is_master_admin = email IN ({who})"));
}

#[test]
fn master_admins_in_the_guards_way_are_the_blocker() {
    for (masters, id, command) in [
        (&["admin@markenmate.app", SECOND][..], "single-master", "--transfer --as "),
        (&[SECOND, USER], "single-master", "--transfer --as "),
        (&[USER], "master-is-admin", "--transfer --break-glass "),
        (&[USER, "person24@example.de"], "single-master", "--transfer --break-glass "),
    ] {
        for recorded in [true, false] {
            let db = if recorded { migrated_to("2") } else { TestDb::hardened() };
            sql(&db, CHANGE_PASSWORD);
            flag(&db, masters);
            markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(4);
            let seen = status(&db);
            let blocker = find(&seen, id);
            assert_eq!(blocker["severity"], "error");
            assert!(
                masters.iter().all(|email| text(blocker, "detail").contains(email)),
                "{blocker:#}"
            );
            let next = text(&seen["data"], "next");
            assert_eq!(blocker["remedy"], next);
            assert!(next.contains(command), "{next}");
            let state = if recorded { "pending" } else { "hardened-unrecorded" };
            assert_eq!(heals(&db, state)[1], "markenmate migrate");
        }
    }
}

#[test]
fn a_master_admin_without_any_admin_is_promoted() {
    let db = migrated_to("2");
    sql(&db, "UPDATE public.\"user\" SET role = 'user'");
    flag(&db, &[SECOND]);
    let followed = heals(&db, "pending");
    assert!(followed[0].starts_with("markenmate admin promote "), "{followed:#?}");
}

/// Whoever owns the table gets round any trigger.
#[test]
fn master_admins_that_got_round_the_guards_are_seen() {
    for (masters, id) in
        [("role = 'admin'", "single-master"), ("email = 'person22@example.de'", "master-is-admin")]
    {
        let db = sound();
        sql(
            &db,
            &format!(
                "ALTER TABLE public.\"user\" DISABLE TRIGGER USER;
                 UPDATE public.\"user\" SET is_master_admin = {masters};
                 ALTER TABLE public.\"user\" ENABLE TRIGGER USER"
            ),
        );
        let seen = status(&db);
        assert_eq!(find(&seen, id)["severity"], "error");
        assert_eq!(find(&seen, id)["remedy"], seen["data"]["next"]);
        let followed = heals(&db, "current");
        assert!(followed[0].starts_with("markenmate set-master-admin "), "{followed:#?}");
    }
}

/// What a way back has set aside is said, and its remedy lists it.
#[test]
fn what_is_set_aside_is_named() {
    let db = sound();
    let operator = Operator::of(&db);
    for version in ["3", "2"] {
        let down = markenmate(&["util", "down", version]).run().assert_code(0).stdout;
        operator.follow(&down);
    }
    let seen = status(&db);
    assert_eq!(seen["data"]["state"], "pending");
    assert_eq!(text(find(&seen, "set-aside"), "remedy"), "markenmate migrate");
    assert_eq!(seen["data"]["next"], "markenmate migrate");
    let kept = seen["data"]["set_aside"].as_array().unwrap();
    assert!(kept.iter().any(|kept| kept["what"] == "public.audit_log"), "{seen:#}");
    // Half of it came back, say.
    sql(&db, "UPDATE markenmate.set_aside SET state = 'returning'");
    let seen = status(&db);
    assert!(text(find(&seen, "set-aside"), "detail").contains("on its way back"), "{seen:#}");
    operator.heal();
}

/// What one may not do is said with who may, and nothing that status does is refused.
#[test]
fn a_reader_and_a_standby_are_told_as_much() {
    let server = start(&[]);
    let url = database_on(&server, "live", &["V1__baseline.sql"]);
    Session::open(&url).sql("CREATE ROLE guest LOGIN");
    let guest = status_at(&url.replacen("postgres@", "guest@", 1));
    assert_eq!(guest["data"]["next"], "markenmate migrate");
    let standby = Standby::of(&server);
    let seen = status_at(&standby.url("live"));
    assert_eq!(seen["data"]["state"], "baseline");
    let human = markenmate(&["status"]).url(&standby.url("live")).run().assert_code(0);
    let next = "\nnext: on the primary, then: markenmate migrate\n";
    assert!(human.stdout.ends_with(next), "{}", human.stdout);
}
