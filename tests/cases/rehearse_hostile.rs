//! What a certificate must not be talked into, and what a rehearsal must not miss or blame on the way.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use chrono::Utc;
use markenmate::backup::certificate::Certificate;
use markenmate::backup::manifest::{Database, Manifest};
use markenmate::report::StepStatus;
use markenmate::sandbox::sample::Sample;
use serde_json::Value;
use tempfile::TempDir;

use super::rehearse::{certificate, migrate, rehearse, reseal};
use super::rollback::{rollback, used};
use crate::support::state::{one, owned_by};
use crate::support::{Session, TestDb, cluster, markenmate, schema_file, sql};

fn untouched(db: &TestDb) -> bool {
    one(&db.session(), "SELECT to_regclass('markenmate.run') IS NULL") == "t"
}

/// The certificate of a rehearsal that went well.
fn passed(db: &TestDb, args: &[&str]) -> (PathBuf, Certificate) {
    certificate(db, &rehearse(db, args).run().assert_code(0).json())
}

fn found<'a>(document: &'a Value, id: &str) -> Option<&'a Value> {
    document["findings"].as_array().unwrap().iter().find(|finding| finding["id"] == id)
}

/// Every attempt looks again, and not only the first.
#[test]
fn what_changed_while_migrate_waited_was_not_rehearsed() {
    let db = TestDb::baseline();
    passed(&db, &[]);
    let reader = db.session();
    reader.sql("BEGIN; SELECT FROM public.token_lending LIMIT 1");
    let running = markenmate(&["migrate", "--yes", "--require-rehearsal"]).db(&db).spawn();
    running.wait_for_stderr("waiting: pid ");
    sql(&db, "ALTER TABLE public.restaurant ADD COLUMN later integer");
    reader.sql("ROLLBACK");
    let run = running.wait().assert_code(4);
    assert!(run.stderr.contains("was changed since it was rehearsed with"), "{}", run.stderr);
    assert!(untouched(&db));
    sql(&db, "ALTER TABLE public.restaurant DROP COLUMN later");
    reader.sql("BEGIN; SELECT FROM public.token_lending LIMIT 1");
    let running = markenmate(&["migrate", "--yes", "--require-rehearsal"]).db(&db).spawn();
    running.wait_for_stderr("waiting: pid ");
    reader.sql("ROLLBACK");
    running.wait().assert_code(0);
}

/// A rehearsal of today with the rows of last month has proven nothing of today's.
#[test]
fn a_rehearsal_is_as_old_as_its_rows() {
    let db = TestDb::baseline();
    let (path, _) = passed(&db, &[]);
    reseal(&path, |c| c.backup.snapshot_at = Utc::now() - Duration::from_secs(3 * 3600));
    let old = migrate(&db, &["--require-rehearsal", "2h"]).assert_code(4);
    assert!(
        old.stderr.contains("rehearsed with rows that are 3h old; 2h is allowed"),
        "{}",
        old.stderr
    );
    markenmate(&["migrate", "--check", "--require-rehearsal", "4h"]).db(&db).run().assert_code(3);
    // A backup of yesterday is not taken again without a word: there is one of now.
    let mut there = fs::read_dir(db.folder().join("backups")).unwrap().flatten().map(|e| e.path());
    let manifest = there.find(|p| p.to_string_lossy().ends_with(".manifest.json")).unwrap();
    let opened = Manifest::open(&fs::read(&manifest).unwrap()).unwrap();
    let old = Utc::now() - Duration::from_secs(30 * 3600);
    let aged = Manifest { snapshot_at: old, ..opened };
    fs::write(&manifest, aged.seal()).unwrap();
    let dump = manifest.to_string_lossy().replace(".manifest.json", "");
    markenmate(&["backup", "verify", &dump]).db(&db).run().assert_code(0);
    let planned = rehearse(&db, &["--dry-run"]).run().assert_code(0);
    assert!(planned.stdout.contains("is 1day 6h old"), "{}", planned.stdout);
    let named = rehearse(&db, &["--from", &dump]).run().assert_code(0).json();
    let remark = found(&named, "old-rows").unwrap_or_else(|| panic!("{named:#}"));
    assert!(remark["detail"].as_str().unwrap().contains("1day 6h"), "{named:#}");
}

/// Whose code runs, who sees which rows and what hangs on the tables decides over the way as much as columns do.
#[test]
fn what_is_beside_the_schema_counts_as_well() {
    let db = TestDb::baseline();
    let role = format!("reports_{}", db.name);
    sql(&db, &format!("CREATE ROLE {role}"));
    sql(
        &db,
        "CREATE FUNCTION public.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE FUNCTION public.stop() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$no$$; END'",
    );
    let (path, _) = passed(&db, &["--on-server", "--yes"]);
    let named = format!(",{}", path.display());
    let check = || markenmate(&["migrate", "--check", "--require-rehearsal", &named]).db(&db).run();
    check().assert_code(3);
    for (change, back) in [
        (
            "CREATE TRIGGER t BEFORE UPDATE ON public.token_lending FOR EACH ROW EXECUTE FUNCTION public.nothing()",
            "DROP TRIGGER t ON public.token_lending",
        ),
        (
            "ALTER TABLE public.app_log ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE public.app_log DISABLE ROW LEVEL SECURITY",
        ),
        ("CREATE POLICY p ON public.app_log USING (false)", "DROP POLICY p ON public.app_log"),
        (
            "CREATE SCHEMA other; CREATE TABLE other.t (id integer REFERENCES public.token_lending)",
            "DROP SCHEMA other CASCADE",
        ),
        (
            "CREATE SCHEMA other; CREATE VIEW other.v AS SELECT id FROM public.app_log",
            "DROP SCHEMA other CASCADE",
        ),
        (
            &format!("GRANT SELECT ON public.app_log TO {role}"),
            &format!("REVOKE SELECT ON public.app_log FROM {role}"),
        ),
        (
            &format!("GRANT SELECT (id) ON public.app_log TO {role}"),
            &format!("REVOKE SELECT (id) ON public.app_log FROM {role}"),
        ),
        (
            "CREATE OR REPLACE FUNCTION public.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            "CREATE OR REPLACE FUNCTION public.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        ),
        (
            "ALTER TABLE public.session DISABLE TRIGGER ALL",
            "ALTER TABLE public.session ENABLE TRIGGER ALL",
        ),
        (
            "CREATE RULE r AS ON DELETE TO public.app_log DO INSTEAD NOTHING",
            "DROP RULE r ON public.app_log",
        ),
    ] {
        sql(&db, change);
        let refused = check().assert_code(4);
        assert!(refused.stderr.contains("is of other triggers"), "{change}: {}", refused.stderr);
        sql(&db, back);
        check().assert_code(3);
    }
    // An event trigger can refuse all of it: it is named whether a certificate is wanted or not.
    sql(&db, "CREATE EVENT TRIGGER stop ON ddl_command_start EXECUTE FUNCTION public.stop()");
    let named = markenmate(&["migrate", "--check"]).db(&db).run().assert_code(3);
    assert!(named.stdout.contains("WARNING [event-triggers] stop"), "{}", named.stdout);
    check().assert_code(4);
    sql(&db, &format!("DROP EVENT TRIGGER stop; DROP ROLE {role}"));
}

/// A backup that shows other triggers than there are is not rehearsed with.
#[test]
fn a_backup_of_other_triggers_is_taken_anew() {
    let db = TestDb::baseline();
    let (_, first) = passed(&db, &[]);
    sql(
        &db,
        "CREATE FUNCTION public.same() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER t BEFORE UPDATE ON public.token_lending FOR EACH ROW EXECUTE FUNCTION public.same()",
    );
    let (_, second) = passed(&db, &[]);
    assert_ne!(first.backup.path, second.backup.path);
    assert_eq!(first.schema.sha256, second.schema.sha256);
    migrate(&db, &["--require-rehearsal"]).assert_code(0);
}

/// The application's role, who owns its tables and, unless said otherwise, nothing else.
fn app_role(db: &TestDb) -> String {
    let app = format!("app_{}", db.name);
    sql(db, &format!("CREATE ROLE {app} LOGIN; {}", owned_by(&app)));
    app
}

/// The rehearsal says no, by the live database's own catalogue, and so does migrate.
fn stands_in_the_way(db: &TestDb, url: &str, words: &str) {
    let run = |args: &[&str]| markenmate(args).url(url).cwd(db.folder()).run();
    let no = run(&["rehearse", "--format", "json"]).assert_code(3).json();
    assert_eq!(no["data"]["failed_stage"], "preflight", "{no:#}");
    let live = found(&no, "live").unwrap_or_else(|| panic!("{no:#}"));
    assert!(live["detail"].as_str().unwrap().contains(words), "{no:#}");
    let refused = run(&["migrate", "--check", "--require-rehearsal"]).assert_code(4);
    assert!(refused.stderr.contains("failed at preflight"), "{}", refused.stderr);
}

#[test]
fn owners_and_privileges_of_the_live_database_count() {
    // Whose database it is not, and who may make no schema in it: the tool's own was made beforehand.
    let db = TestDb::baseline();
    let app = app_role(&db);
    sql(&db, &format!("CREATE SCHEMA markenmate AUTHORIZATION {app}"));
    stands_in_the_way(&db, &db.url_as(&app), "none may be made");
    sql(&db, &format!("CREATE SCHEMA markenmate_quarantine AUTHORIZATION {app}"));
    let page =
        markenmate(&["rehearse"]).url(&db.url_as(&app)).cwd(db.folder()).run().assert_code(0);
    assert!(
        page.stdout.contains("looked at on the live database, and not rehearsed"),
        "{}",
        page.stdout
    );
    sql(&db, "ALTER SCHEMA markenmate_quarantine OWNER TO postgres");
    stands_in_the_way(&db, &db.url_as(&app), "it belongs to postgres");

    let db = TestDb::baseline();
    app_role(&db);
    let forced =
        "ALTER TABLE public.token_lending ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY";
    sql(&db, forced);
    stands_in_the_way(&db, &db.url, "row security is forced");
}

/// What the application's role wrote does not run with a superuser's rights: it would be refused.
#[test]
fn code_that_would_be_refused_on_the_live_database_counts() {
    let db = TestDb::baseline();
    let app = app_role(&db);
    sql(
        &db,
        &format!(
            "SET ROLE {app};
             CREATE FUNCTION public.same() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER t BEFORE UPDATE ON public.token_lending FOR EACH ROW EXECUTE FUNCTION public.same()"
        ),
    );
    stands_in_the_way(&db, &db.url, "is not the application's");
    // It is the role's own.
    sql(&db, &format!("ALTER DATABASE {} OWNER TO {app}", db.name));
    markenmate(&["rehearse"]).url(&db.url_as(&app)).cwd(db.folder()).run().assert_code(0);
    let refused =
        markenmate(&["migrate", "--yes", "--require-rehearsal"]).db(&db).run().assert_code(4);
    assert!(refused.stderr.contains("connect as"), "{}", refused.stderr);
    let args = ["migrate", "--yes", "--require-rehearsal"];
    markenmate(&args).url(&db.url_as(&app)).cwd(db.folder()).run().assert_code(0);
}

/// A schema that is only named like the tool's is somebody's.
#[test]
fn what_is_named_alike_is_compared() {
    let db = TestDb::baseline();
    sql(
        &db,
        "CREATE SCHEMA markenmate_notes; CREATE TABLE markenmate_notes.t (n integer);
         CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO markenmate_notes.t VALUES (1); RETURN NEW; END';
         CREATE TRIGGER t BEFORE UPDATE ON public.token_lending FOR EACH ROW EXECUTE FUNCTION public.note()",
    );
    let no = rehearse(&db, &[]).run().assert_code(3).json();
    assert_eq!(no["data"]["failed_stage"], "compare-again", "{no:#}");
    assert_eq!(found(&no, "compared").unwrap()["subject"], "markenmate_notes.t", "{no:#}");
}

/// The seal is the hash of its own bytes: whoever may write there can seal anything.
#[test]
fn a_certificate_that_others_could_write_does_not_count() {
    let db = TestDb::baseline();
    let (path, genuine) = passed(&db, &[]);
    let folder = path.parent().unwrap().to_path_buf();
    let check = |words: &str| {
        let refused = migrate(&db, &["--check", "--require-rehearsal"]).assert_code(4);
        assert!(refused.stderr.contains(words), "no {words:?} in {}", refused.stderr);
    };
    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    for (what, usual) in [(&path, 0o600), (&folder, 0o700)] {
        mode(what, 0o777);
        check("chmod go-w");
        mode(what, usual);
        if chown(what, Some(12_345), None).is_ok() {
            check("belongs to user 12345");
            chown(what, Some(rustix::process::geteuid().as_raw()), None).unwrap();
        }
    }
    // As in /tmp.
    mode(&folder, 0o1777);
    markenmate(&["migrate", "--check", "--require-rehearsal"]).db(&db).run().assert_code(3);
    mode(&folder, 0o700);
    // A yes without its stages is no yes, however well it is sealed.
    for change in [
        (|c| c.stages.clear()) as fn(&mut Certificate),
        |c| drop(c.stages.pop()),
        |c| c.stages.swap(3, 7),
        |c| c.stages[7].status = StepStatus::Failed,
        |c| c.stages[7].status = StepStatus::Planned,
        |c| c.stages[10].status = StepStatus::Skipped,
        |c| c.failed_stage = Some("rollback".into()),
    ] {
        reseal(&path, change);
        check("does not have every stage");
        reseal(&path, |c| *c = genuine.clone());
    }
    migrate(&db, &["--require-rehearsal"]).assert_code(0);
}

/// What is newer and says no, or says nothing that can be read, speaks against an older yes.
#[test]
fn a_newer_no_is_seen_wherever_it_was_written() {
    let db = TestDb::baseline();
    passed(&db, &[]);
    let view = "CREATE VIEW public.lent AS SELECT token_count FROM public.token_lending";
    let trigger = "CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS
                     'BEGIN NEW.updated_at := clock_timestamp(); RETURN NEW; END';
                   CREATE TRIGGER touch BEFORE UPDATE ON public.token_lending FOR EACH ROW EXECUTE FUNCTION public.touch()";
    sql(&db, view);
    passed(&db, &[]);
    sql(&db, trigger);
    rehearse(&db, &["--certificate", "elsewhere.json"]).run().assert_code(3);
    let refused = migrate(&db, &["--require-rehearsal"]).assert_code(4);
    assert!(refused.stderr.contains("failed at compare-again"), "{}", refused.stderr);
    // The same no, damaged: what it said is not known, and it is newer.
    sql(&db, "DROP TRIGGER touch ON public.token_lending; DROP FUNCTION public.touch()");
    markenmate(&["migrate", "--check", "--require-rehearsal"]).db(&db).run().assert_code(3);
    let damaged = db.folder().join("backups").join("markenmate-x.rehearsal.json");
    fs::write(&damaged, "{").unwrap();
    let refused = migrate(&db, &["--require-rehearsal"]).assert_code(4);
    assert!(refused.stderr.contains("it may have said no"), "{}", refused.stderr);
    fs::remove_file(&damaged).unwrap();
    migrate(&db, &["--require-rehearsal"]).assert_code(0);
}

#[test]
fn a_path_that_is_not_there_is_said() {
    let db = TestDb::baseline();
    let refused = migrate(&db, &["--require-rehearsal", ",/nope"]).assert_code(4);
    assert!(refused.stderr.contains("there is no /nope"), "{}", refused.stderr);
}

/// A copy of the server's files has its identity, and another major version its own locks.
#[test]
fn what_was_rehearsed_elsewhere_is_said() {
    let db = TestDb::baseline();
    let (path, _) = passed(&db, &[]);
    reseal(&path, |c| c.database.name = "shop".into());
    let check =
        || markenmate(&["migrate", "--check", "--require-rehearsal"]).db(&db).run().assert_code(3);
    assert!(check().stdout.contains("a database called \"shop\""), "{}", check().stdout);
    reseal(&path, |c| {
        c.database.name.clone_from(&db.name);
        c.ground.server_version = "99.1 (Somewhere)".into();
    });
    assert!(check().stdout.contains("rehearsed on PostgreSQL 99; this is"), "{}", check().stdout);
}

/// A file system of its own, which is soon full. None where none may be mounted.
struct Tmpfs(TempDir);

impl Tmpfs {
    fn of(megabytes: u32) -> Option<Self> {
        let folder = TempDir::new_in("/tmp").unwrap();
        let size = format!("size={megabytes}m,mode=1777");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then(|| Self(folder))
    }

    fn name(&self) -> &str {
        self.0.path().to_str().unwrap()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn certificates(db: &TestDb) -> usize {
    let there = fs::read_dir(db.folder().join("backups")).into_iter().flatten().flatten();
    there.filter(|entry| entry.file_name().to_string_lossy().ends_with(".rehearsal.json")).count()
}

/// That this machine is full says nothing of the way.
#[test]
fn a_full_disk_is_no_verdict() {
    let Some(small) = Tmpfs::of(60) else { return };
    let db = TestDb::baseline();
    let tight = rehearse(&db, &[]).env("TMPDIR", small.name()).run().assert_code(4);
    assert!(tight.stdout.contains("TMPDIR=DIR"), "{}", tight.stdout);
    assert_eq!(certificates(&db), 0);
    let large = Tmpfs::of(180).unwrap();
    for moment in ["rehearsing: restore it", "rehearsing: verify"] {
        let filler = large.0.path().join("filler");
        let running = rehearse(&db, &[]).env("TMPDIR", large.name()).spawn();
        running.wait_for_stderr(moment);
        let mut file = fs::File::create(&filler).unwrap();
        while file.write_all(&[0; 65_536]).is_ok() {}
        while file.write_all(&[0]).is_ok() {}
        let run = running.wait();
        fs::remove_file(&filler).unwrap();
        assert!(![0, 3].contains(&run.code), "{moment}: {}", run.stdout);
        assert!(run.stdout.contains("No space left on device"), "{moment}: {}", run.stdout);
        assert_eq!(certificates(&db), 0, "{moment}");
    }
    passed(&db, &[]);
}

/// What is a letter is the database's to say, and not that of whoever makes a throw-away server.
#[test]
fn rows_are_restored_in_the_locale_of_their_database() {
    let db = TestDb::empty();
    let name = format!("{}_utf", db.name);
    let admin = Session::open(&cluster().url("postgres"));
    admin.sql(&format!(
        "CREATE DATABASE {name} TEMPLATE template0 LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'"
    ));
    let url = cluster().url(&name);
    let session = Session::open(&url);
    session.sql(&schema_file("V1__baseline.sql"));
    session.sql(&Sample { users: 5, orphans: false }.sql());
    session.sql(
        "ALTER TABLE public.restaurant ADD COLUMN word text CHECK (word ~ '^[[:alpha:]]+$');
         UPDATE public.restaurant SET word = 'Küche'",
    );
    let run = |args: &[&str]| markenmate(args).url(&url).cwd(db.folder()).run();
    let document = run(&["rehearse", "--format", "json"]).assert_code(0).json();
    assert!(found(&document, "locale").is_none(), "{document:#}");
    run(&["backup", "-o", "b"]).assert_code(0);
    run(&["backup", "verify", "--restore-test", "b"]).assert_code(0);
    // What is not installed here is taken for the nearest, and said.
    let manifest = db.folder().join("b.manifest.json");
    let opened = Manifest::open(&fs::read(&manifest).unwrap()).unwrap();
    let (collate, ctype) = ("xx_XX.UTF-8".to_owned(), "xx_XX.UTF-8".to_owned());
    let database = Database { collate, ctype, ..opened.database.clone() };
    fs::write(&manifest, Manifest { database, ..opened }.seal()).unwrap();
    let document = run(&["rehearse", "--from", "b", "--format", "json"]).assert_code(0).json();
    assert_eq!(found(&document, "locale").unwrap()["subject"], "xx_XX.UTF-8", "{document:#}");
    drop(session);
    admin.sql(&format!("DROP DATABASE {name} WITH (FORCE)"));
}

/// A trigger of the database's own that writes into the live one.
#[test]
fn beside_the_live_database_nothing_may_reach_into_it() {
    let db = TestDb::baseline();
    let outbox = |then: &str| {
        format!(
            "CREATE OR REPLACE FUNCTION public.send() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
               $$BEGIN {then} RETURN NEW; END$$"
        )
    };
    let trigger = "CREATE TRIGGER send BEFORE UPDATE ON public.token_lending FOR EACH ROW EXECUTE FUNCTION public.send()";
    sql(&db, &format!("{}; {trigger}", outbox("")));
    let document = rehearse(&db, &["--on-server", "--yes"]).run().assert_code(0).json();
    let remark = found(&document, "triggers").unwrap_or_else(|| panic!("{document:#}"));
    assert_eq!(remark["subject"], "trigger send on public.token_lending");
    let address = cluster().socket_dir().display().to_string();
    let reach = format!(
        "PERFORM public.dblink_exec('host={address} port={} user=postgres dbname={}', 'INSERT INTO public.outbox VALUES (1)');",
        cluster().port(),
        db.name
    );
    sql(
        &db,
        &format!(
            "CREATE EXTENSION dblink SCHEMA public; CREATE TABLE public.outbox (n integer); {}",
            outbox(&reach)
        ),
    );
    let refused = rehearse(&db, &["--on-server", "--yes"]).run().assert_code(4);
    for part in
        ["trigger send on public.token_lending", "extension dblink", "leave out --on-server"]
    {
        assert!(refused.stdout.contains(part), "no {part:?} in {}", refused.stdout);
    }
    assert_eq!(one(&db.session(), "SELECT count(*) FROM public.outbox"), "0");
    // A way out that nothing takes is none.
    sql(&db, "DROP TRIGGER send ON public.token_lending");
    rehearse(&db, &["--on-server", "--yes"]).run().assert_code(0);
}

/// A dump without privileges says nothing of the live database's.
#[test]
fn grants_are_not_told_from_a_throw_away_server() {
    let db = TestDb::migrated();
    let document = rehearse(&db, &[]).run().assert_code(0).json();
    for id in ["own-grants", "app-grants"] {
        assert!(found(&document, id).is_none(), "{document:#}");
    }
}

/// What an earlier rollback set aside and cannot return is no fault of the way, and is said.
#[test]
fn what_can_no_longer_return_is_said() {
    let db = used();
    rollback(&db, &[]).assert_code(0);
    let kept = "SELECT name FROM markenmate.set_aside WHERE of_table = 'step_up_token' AND of_column IS NULL";
    let kept = one(&db.session(), kept);
    let gone = format!(
        "DELETE FROM public.\"user\" WHERE id = (SELECT q.user_id FROM markenmate_quarantine.{kept} q
           JOIN public.\"user\" u ON u.id = q.user_id WHERE u.role = 'user' ORDER BY q.id LIMIT 1)"
    );
    sql(&db, &gone);
    let document = rehearse(&db, &[]).run().assert_code(0).json();
    let left = found(&document, "left").unwrap_or_else(|| panic!("{document:#}"));
    assert_eq!(left["subject"], "public.step_up_token", "{document:#}");
}

/// A rehearsal, too, fills a database of that name.
#[test]
fn half_of_a_rehearsal_is_named_as_one() {
    let db = TestDb::baseline();
    let oid = one(&db.session(), "SELECT oid FROM pg_database WHERE datname = current_database()");
    let half = format!("{}_restoring_{oid}_0a1b2c3d", db.name);
    sql(&db, &format!("CREATE DATABASE {half}"));
    let said = markenmate(&["status"]).db(&db).run();
    assert!(said.stdout.contains("or a rehearsal on the server was killed"), "{}", said.stdout);
    // A rehearsal elsewhere leaves it, the next one on the server drops it.
    rehearse(&db, &[]).run().assert_code(0);
    let next = rehearse(&db, &["--on-server", "--yes"]).run().assert_code(0);
    assert!(next.stderr.contains(&format!("had left {half}: dropped")), "{}", next.stderr);
}
