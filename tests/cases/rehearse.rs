//! `rehearse`: there, back and there again on another database, the certificate of it, and what `migrate` makes
//! of that.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Utc;
use markenmate::backup::certificate::{Certificate, Verdict};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::rollback::{rollback, used};
use crate::support::pty::on_a_terminal;
use crate::support::schema::digests;
use crate::support::state::{assert_migrated, fingerprint, one, owned_by, versions};
use crate::support::{Invocation, Run, Session, TestDb, cluster, markenmate, sql, wait_until};

pub fn rehearse(db: &TestDb, args: &[&str]) -> Invocation {
    markenmate(&[&["rehearse", "--format", "json"], args].concat()).db(db)
}

pub fn migrate(db: &TestDb, args: &[&str]) -> Run {
    markenmate(&[&["migrate", "--yes"], args].concat()).db(db).run()
}

/// The certificate of a run, sealed as it should be.
pub fn certificate(db: &TestDb, document: &Value) -> (PathBuf, Certificate) {
    let path = db.folder().join(document["data"]["certificate"].as_str().unwrap());
    let certificate = Certificate::open(&path).unwrap();
    (path, certificate)
}

/// Seals it anew where it is, after a change.
pub fn reseal(path: &Path, change: impl FnOnce(&mut Certificate)) {
    let mut certificate = Certificate::open(path).unwrap();
    change(&mut certificate);
    fs::write(path, certificate.seal().0).unwrap();
}

fn stages(document: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let stages = document["data"]["stages"].as_array().unwrap();
    stages.iter().map(|stage| (text(&stage["id"]), text(&stage["status"]))).collect()
}

/// All there is in the database, the app's list of backups included.
fn everything(db: &TestDb) -> String {
    format!("{}\n{:?}", fingerprint(&db.session()), digests(db))
}

const STAGES: [&str; 11] = [
    "backup",
    "restore",
    "preflight",
    "migrate",
    "set-master-admin",
    "verify",
    "use",
    "rollback",
    "compare",
    "migrate-again",
    "compare-again",
];

#[test]
fn a_rehearsal_leaves_a_certificate_and_the_database_as_it_was() {
    let db = TestDb::baseline();
    let before = everything(&db);
    let document = rehearse(&db, &[]).run().assert_code(0).json();
    assert_eq!(everything(&db), before);
    let done = STAGES.map(|id| (id.to_owned(), "done".to_owned()));
    assert_eq!(stages(&document), done, "{document:#}");
    for stage in document["data"]["stages"].as_array().unwrap() {
        let locks =
            ["migrate", "rollback", "migrate-again"].contains(&stage["id"].as_str().unwrap());
        assert!(stage["duration_ms"].is_u64(), "{stage:#}");
        assert_eq!(stage["locked_ms"].as_f64().is_some_and(|ms| ms > 0.0), locks, "{stage:#}");
    }
    assert_eq!(document["data"]["verdict"], "pass");
    assert_eq!(document["next"], "markenmate migrate --require-rehearsal");
    let (path, certificate) = certificate(&db, &document);
    assert_eq!(certificate.verdict, Verdict::Pass);
    let oid = "SELECT oid FROM pg_database WHERE datname = current_database()";
    assert_eq!(certificate.database.oid.to_string(), one(&db.session(), oid));
    assert_eq!(certificate.ground.kind, "sandbox");
    assert_eq!(certificate.schema.state, "baseline");
    assert!(certificate.migrations.app[1].down.is_some());
    // The seed account's password is for whoever goes live; here nobody signs in.
    let remarks: Vec<_> = certificate.findings.iter().map(|f| f.id.as_str()).collect();
    assert_eq!(remarks, ["set-master-admin", "default-password"]);

    let page = fs::read_to_string(path.with_extension("txt")).unwrap();
    for part in [
        "PASS",
        &db.name,
        &certificate.sha256,
        &certificate.schema.sha256,
        &certificate.migrations.sha256,
        &certificate.backup.manifest_sha256,
        "compare-again",
        "locked ms",
        "WARNING [default-password]",
    ] {
        assert!(page.contains(part), "no {part:?} in {page}");
    }
    // The backup it took is one like any other, and is not taken twice.
    let human = markenmate(&["rehearse"]).db(&db).run().assert_code(0);
    assert!(human.stdout.contains("PASS: there, back, and there again"), "{}", human.stdout);
    let backups = fs::read_dir(db.folder().join("backups")).unwrap().flatten();
    let taken = backups.filter(|e| e.file_name().to_string_lossy().ends_with(".manifest.json"));
    assert_eq!(taken.count(), 1);
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// Whatever the versions have brought is in use already, and nothing is left to migrate.
#[test]
fn a_database_that_is_migrated_rehearses_its_way_back() {
    let db = used();
    let document = rehearse(&db, &["--certificate", "c.json"]).run().assert_code(0).json();
    let by_id: Vec<_> = stages(&document);
    assert!(by_id.contains(&("migrate".into(), "skipped".into())), "{document:#}");
    assert!(by_id.contains(&("compare-again".into(), "done".into())), "{document:#}");
    assert_eq!(document["data"]["certificate"], "c.json");
    assert_eq!(document["data"]["page"], "c.txt");
    // Taken back by another, it comes back there as well.
    rollback(&db, &[]).assert_code(0);
    let kept = rehearse(&db, &[]).run().assert_code(0).json();
    let migrated = &kept["data"]["stages"][3]["detail"];
    assert!(migrated.as_str().unwrap().contains("brought back"), "{kept:#}");
    let again = rehearse(&db, &["--certificate", "c.json"]).run().assert_code(4);
    assert!(again.stdout.contains("nothing is overwritten"), "{}", again.stdout);
}

#[test]
fn a_backup_that_is_named_is_the_one() {
    let db = TestDb::baseline();
    markenmate(&["backup", "-o", "b.dump"]).db(&db).run().assert_code(0);
    sql(&db, "ALTER TABLE public.restaurant ADD COLUMN later integer");
    let document = rehearse(&db, &["--from", "b.dump"]).run().assert_code(0).json();
    let (path, certificate) = certificate(&db, &document);
    assert_eq!(certificate.backup.path, Path::new("b.dump"));
    assert!(certificate.findings.iter().any(|f| f.id == "other-schema"), "{document:#}");
    let refused = migrate(&db, &["--require-rehearsal"]).assert_code(4);
    assert!(refused.stderr.contains("is of another schema"), "{}", refused.stderr);
    sql(&db, "ALTER TABLE public.restaurant DROP COLUMN later");
    let path = format!(",{}", path.display());
    migrate(&db, &["--require-rehearsal", &path]).assert_code(0);

    // Without a manifest nobody knows what it is of; with another byte it is not what was written.
    fs::write(db.folder().join("bare.sql"), "SELECT 1;").unwrap();
    let bare = rehearse(&db, &["--from", "bare.sql"]).run().assert_code(4);
    assert!(bare.stdout.contains("has no manifest"), "{}", bare.stdout);
    let file = db.folder().join("b.dump");
    let mut bytes = fs::read(&file).unwrap();
    let last = bytes.len() / 2;
    bytes[last] ^= 1;
    fs::write(&file, bytes).unwrap();
    let broken = rehearse(&db, &["--from", "b.dump"]).run().assert_code(4);
    assert!(broken.stdout.contains("is not what was written"), "{}", broken.stdout);
}

/// The clear no: what would not go back, or not come back as it was.
#[test]
fn what_cannot_go_back_is_a_no_that_names_the_stage() {
    let db = TestDb::hardened();
    sql(&db, "CREATE VIEW public.versions AS SELECT version FROM public.token_lending");
    let no = rehearse(&db, &[]).run().assert_code(3).json();
    assert_eq!(no["outcome"], "findings");
    assert_eq!(no["data"]["failed_stage"], "rollback", "{no:#}");
    assert_eq!(no["data"]["verdict"], "fail");
    let dependent = no["findings"].as_array().unwrap().iter().find(|f| f["id"] == "dependent");
    assert_eq!(dependent.unwrap()["subject"], "view public.versions", "{no:#}");
    let skipped: Vec<_> = stages(&no).into_iter().filter(|(_, s)| s == "skipped").collect();
    assert_eq!(skipped.len(), 3, "{no:#}");
    let (path, certificate) = certificate(&db, &no);
    assert_eq!(certificate.failed_stage.as_deref(), Some("rollback"));
    let page = fs::read_to_string(path.with_extension("txt")).unwrap();
    assert!(page.contains("FAIL at rollback") && page.contains("view public.versions"), "{page}");
    let refused = migrate(&db, &["--require-rehearsal"]).assert_code(4);
    assert!(refused.stderr.contains("the rehearsal failed at rollback"), "{}", refused.stderr);
    assert_eq!(one(&db.session(), "SELECT to_regclass('markenmate.run') IS NULL"), "t");
}

#[test]
fn a_row_that_does_not_come_back_as_it_was_is_a_no() {
    let db = TestDb::baseline();
    sql(
        &db,
        "CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS
           'BEGIN NEW.updated_at := clock_timestamp(); RETURN NEW; END';
         CREATE TRIGGER touch BEFORE UPDATE ON public.token_lending FOR EACH ROW EXECUTE FUNCTION public.touch()",
    );
    let no = rehearse(&db, &[]).run().assert_code(3).json();
    assert_eq!(no["data"]["failed_stage"], "compare-again", "{no:#}");
    let compared = no["findings"].as_array().unwrap().iter().find(|f| f["id"] == "compared");
    assert_eq!(compared.unwrap()["subject"], "public.token_lending", "{no:#}");
    // The way back itself took nothing: what the trigger did before it is a remark.
    assert!(stages(&no).contains(&("compare".into(), "done".into())), "{no:#}");
}

#[test]
fn what_migrate_would_refuse_is_a_no_before_anything_is_done() {
    let db = TestDb::baseline();
    sql(&db, "ALTER TABLE public.token_lending ADD COLUMN version integer DEFAULT 0");
    let no = rehearse(&db, &[]).run().assert_code(3).json();
    assert_eq!(no["data"]["failed_stage"], "preflight", "{no:#}");
    assert!(no["findings"].as_array().unwrap().iter().any(|f| f["id"] == "partial"), "{no:#}");
    // What a restored database does not show: its tables belong to one role there.
    let db = TestDb::baseline();
    let other = format!("other_{}", db.name);
    sql(&db, &format!("CREATE ROLE {other}; ALTER TABLE public.account OWNER TO {other}"));
    let no = rehearse(&db, &[]).run().assert_code(3).json();
    assert_eq!(no["data"]["failed_stage"], "preflight", "{no:#}");
    assert!(no.to_string().contains("belongs to role"), "{no:#}");
    let nothing = rehearse(&TestDb::empty(), &[]).run().assert_code(4);
    assert!(nothing.stdout.contains("there is nothing to rehearse with"), "{}", nothing.stdout);
}

/// Neither of the guide's ways back is any use where a backup does not restore.
#[test]
fn what_cannot_be_restored_is_a_no() {
    let db = TestDb::baseline();
    sql(
        &db,
        "SET session_replication_role = replica;
         UPDATE public.session SET user_id = 'gone' WHERE id = (SELECT min(id) FROM public.session)",
    );
    for more in [&[][..], &["--on-server", "--yes"]] {
        let no = rehearse(&db, more).run().assert_code(3).json();
        assert_eq!(no["data"]["failed_stage"], "restore", "{no:#}");
        assert_eq!(no["findings"][0]["subject"], "public.session.user_id", "{no:#}");
        assert_eq!(scratches(&db), NONE);
    }
    // What takes more rights than a sandbox gives is no verdict.
    let db = TestDb::baseline();
    sql(&db, "CREATE FUNCTION public.c() RETURNS void LANGUAGE internal AS 'pg_sleep'");
    let cannot = rehearse(&db, &[]).run().assert_code(4);
    assert!(cannot.stdout.contains("--on-server"), "{}", cannot.stdout);
    rehearse(&db, &["--on-server", "--yes"]).run().assert_code(0);
}

#[test]
fn a_rehearsal_that_is_required_is_of_this_database_these_migrations_and_not_too_old() {
    let db = TestDb::baseline();
    let says = |args: &[&str], words: &str| {
        let run = migrate(&db, args).assert_code(4);
        assert!(run.stderr.contains(words), "no {words:?} in {}", run.stderr);
        assert!(run.stderr.contains("markenmate rehearse"), "{}", run.stderr);
    };
    says(&["--require-rehearsal"], "there is no rehearsal of these migrations");
    markenmate(&["migrate", "--check", "--require-rehearsal"]).db(&db).run().assert_code(4);
    let document = rehearse(&db, &[]).run().assert_code(0).json();
    let (path, _) = certificate(&db, &document);
    let genuine = fs::read(&path).unwrap();
    markenmate(&["migrate", "--check", "--require-rehearsal", "1h"]).db(&db).run().assert_code(3);

    let other = TestDb::baseline();
    let named = format!(",{}", path.display());
    let foreign = migrate(&other, &["--require-rehearsal", &named]).assert_code(4);
    assert!(foreign.stderr.contains("is of another database"), "{}", foreign.stderr);

    says(&["--require-rehearsal", "1ms"], "0s is allowed");
    reseal(&path, |c| c.backup.snapshot_at = Utc::now() - Duration::from_secs(3 * 3600));
    says(&["--require-rehearsal", "2h"], "are 3h old; 2h is allowed");
    markenmate(&["migrate", "--check", "--require-rehearsal", "4h"]).db(&db).run().assert_code(3);
    reseal(&path, |c| c.migrations.sha256 = "0".into());
    says(&["--require-rehearsal"], "is of other migrations");
    fs::write(&path, &genuine).unwrap();
    reseal(&path, |c| c.database.system_identifier = Some("1".into()));
    says(&["--require-rehearsal"], "is of a database on another server");
    let mut bytes = genuine.clone();
    let at = String::from_utf8(bytes.clone()).unwrap().find("\"pass\"").unwrap();
    bytes[at + 1] = b'P';
    fs::write(&path, &bytes).unwrap();
    says(&["--require-rehearsal"], "cannot be relied on");
    bytes.clone_from(&genuine);
    bytes[2] = b'\t';
    fs::write(&path, &bytes).unwrap();
    says(&["--require-rehearsal"], "its own hash differs");

    fs::write(&path, &genuine).unwrap();
    sql(&db, "ALTER TABLE public.restaurant ADD COLUMN later integer");
    says(&["--require-rehearsal"], "is of another schema");
    sql(&db, "ALTER TABLE public.restaurant DROP COLUMN later");
    assert_eq!(one(&db.session(), "SELECT to_regclass('markenmate.run') IS NULL"), "t");
    migrate(&db, &["--require-rehearsal", "1d"]).assert_code(0);
    assert_migrated(&db.url);
    // There is nothing to do: nothing is required for it.
    migrate(&db, &["--require-rehearsal", "1ms"]).assert_code(0);
    // Taken back, it is another history: a new rehearsal, with what is set aside.
    rollback(&db, &[]).assert_code(0);
    says(&["--require-rehearsal"], "is of another schema, in state baseline");
    rehearse(&db, &[]).run().assert_code(0);
    migrate(&db, &["--require-rehearsal"]).assert_code(0);
    assert_eq!(versions(&db.session()), "1,2,3");
}

/// The answer may come hours after the look.
#[test]
fn what_changed_while_the_question_stood_was_not_rehearsed() {
    let db = TestDb::baseline();
    rehearse(&db, &[]).run().assert_code(0);
    let ask = || on_a_terminal(markenmate(&["migrate", "--require-rehearsal"]).db(&db));
    let mut terminal = ask();
    terminal.expect("[y/N]");
    sql(&db, "CREATE VIEW public.names AS SELECT name FROM public.restaurant");
    terminal.send_line("y");
    let (screen, code) = terminal.finish();
    assert_eq!(code, 4, "{screen}");
    assert!(screen.contains("was changed since it was rehearsed with"), "{screen}");
    sql(&db, "DROP VIEW public.names");
    let mut terminal = ask();
    terminal.expect("[y/N]").send_line("y");
    let (screen, code) = terminal.finish();
    assert_eq!(code, 0, "{screen}");
}

/// The databases of the server that belong to this one's rehearsals.
fn scratches(db: &TestDb) -> Vec<String> {
    let session = Session::open(&cluster().url("postgres"));
    let like = db.name.replace('_', "\\_");
    let sql = format!("SELECT datname FROM pg_database WHERE datname LIKE '{like}\\_%'");
    session.sql(&sql).into_iter().map(|row| row[0].clone().unwrap()).collect()
}

const NONE: [String; 0] = [];

#[test]
fn on_the_server_itself_it_asks_first_and_leaves_nothing() {
    let db = TestDb::baseline();
    let before = everything(&db);
    let asked = rehearse(&db, &["--on-server"]).run().assert_code(4);
    assert!(asked.stdout.contains("this needs your consent"), "{}", asked.stdout);
    let planned = rehearse(&db, &["--on-server", "--dry-run"]).run().assert_code(0).json();
    assert_eq!(planned["steps"].as_array().unwrap().len(), STAGES.len());
    assert_eq!(fs::read_dir(db.folder()).unwrap().count(), 0);
    let done = rehearse(&db, &["--on-server", "--yes"]).run().assert_code(0).json();
    assert_eq!(certificate(&db, &done).1.ground.kind, "server");
    assert_eq!((scratches(&db), everything(&db)), (NONE.to_vec(), before));
    migrate(&db, &["--require-rehearsal"]).assert_code(0);
}

/// Everything belongs to the application's role, who may make databases and no more.
#[test]
fn the_owner_needs_no_superuser() {
    let db = TestDb::baseline();
    let app = format!("app_{}", db.name);
    sql(
        &db,
        &format!(
            "CREATE ROLE {app} LOGIN CREATEDB; {}; ALTER DATABASE {} OWNER TO {app}",
            owned_by(&app),
            db.name
        ),
    );
    let url = db.url_as(&app);
    for args in [&["rehearse", "--on-server", "--yes"][..], &["rehearse"]] {
        let run = markenmate(args).url(&url).cwd(db.folder()).run().assert_code(0);
        assert!(!run.stdout.contains("[rights]"), "{}", run.stdout);
    }
    let superuser = markenmate(&["rehearse", "--on-server", "--yes"]).db(&db).run().assert_code(0);
    assert!(superuser.stdout.contains("WARNING [rights]"), "{}", superuser.stdout);
    assert_eq!(scratches(&db), NONE);
    // A reader cannot migrate, and can rehearse.
    let reader = format!("reader_{}", db.name);
    sql(
        &db,
        &format!(
            "CREATE ROLE {reader} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader};
             GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {reader}"
        ),
    );
    let run = markenmate(&["rehearse"]).url(&db.url_as(&reader)).cwd(db.folder()).run();
    let run = run.assert_code(0);
    assert!(run.stdout.contains("WARNING [privilege]"), "{}", run.stdout);
    markenmate(&["rehearse", "--on-server", "--yes"])
        .url(&db.url_as(&reader))
        .cwd(db.folder())
        .run()
        .assert_code(4);
    sql(&db, &format!("DROP OWNED BY {reader}; DROP ROLE {reader}"));
}

/// A folder for temporary files that anybody may use, so that nothing in it goes unnoticed.
fn place() -> TempDir {
    let folder = TempDir::new_in("/tmp").unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    folder
}

#[test]
fn ended_at_any_moment_it_leaves_nothing() {
    let db = TestDb::baseline();
    let before = everything(&db);
    markenmate(&["backup", "-o", "b"]).db(&db).run().assert_code(0);
    sql(&db, "DELETE FROM public.db_backup WHERE description LIKE 'markenmate%'");
    let temporary = place();
    let holds = || fs::read_dir(temporary.path()).unwrap().next().is_some();
    let moments = ["rehearsing: restore it", "rehearsing: verify", "rehearsing: roll back"];
    for (moment, signal) in moments.into_iter().zip(["INT", "KILL", "TERM"]) {
        for here in [true, false] {
            let more = if here { &[][..] } else { &["--on-server", "--yes"] };
            let args = [&["--from", "b"], more].concat();
            let tmp = temporary.path().to_str().unwrap();
            let running = rehearse(&db, &args).env("TMPDIR", tmp).spawn();
            running.wait_for_stderr(moment);
            running.signal(signal);
            let run = running.wait();
            assert_eq!(run.code, if signal == "KILL" { 137 } else { 130 }, "{}", run.stdout);
            let soon = Duration::from_secs(20);
            assert!(wait_until(soon, || !holds()), "{moment}: a server is left");
            if signal == "KILL" && !here {
                assert_eq!(scratches(&db).len(), 1, "{moment}");
                // The next one knows it by its name.
                let next = rehearse(&db, &args).run().assert_code(0);
                assert!(next.stderr.contains("had left"), "{}", next.stderr);
                let (path, _) = certificate(&db, &next.json());
                fs::remove_dir_all(path.parent().unwrap()).unwrap();
            }
            assert_eq!(scratches(&db), NONE, "{moment}");
            assert!(!db.folder().join("backups").exists(), "{moment}");
        }
    }
    assert_eq!(everything(&db), before);
}

#[test]
fn a_dry_run_says_what_would_be_done() {
    let db = TestDb::baseline();
    let run = markenmate(&["rehearse", "--dry-run"]).db(&db).run().assert_code(0);
    for part in ["there is no verified backup of this database", "only read", "Would do:"] {
        assert!(run.stdout.contains(part), "no {part:?} in {}", run.stdout);
    }
    let nowhere = db.folder().to_str().unwrap();
    let none = rehearse(&db, &[]).env("MARKENMATE_PG_BINDIR", nowhere).run().assert_code(4);
    assert!(none.stdout.contains("--on-server"), "{}", none.stdout);
    let planned = rehearse(&db, &["--dry-run"]).run().assert_code(0).json();
    assert_eq!(planned["outcome"], "planned");
    assert_eq!(planned["data"]["stages"], json!([]));
    assert_eq!(fs::read_dir(db.folder()).unwrap().count(), 0);
}
