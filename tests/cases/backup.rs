//! `backup`: what is kept is whole and proven, what is not is not there.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use markenmate::backup::manifest::Manifest;
use serde_json::Value;

use crate::support::campaign::{figure, tell};
use crate::support::own_server::{Standby, program, succeed};
use crate::support::state::{one, owned_by};
use crate::support::tls_server::TlsServer;
use crate::support::{
    Session, TestDb, cluster, database_on, markenmate, pty, sql, start, wait_until,
};

const FORMS: [(&str, &str); 3] = [("plain", ".sql"), ("custom", ".dump"), ("directory", "")];

/// A backup of that name in the database's folder.
fn backup(db: &TestDb, name: &str, more: &[&str]) -> PathBuf {
    let args = [&["backup", "-o", name], more].concat();
    markenmate(&args).db(db).run().assert_code(0);
    db.folder().join(name)
}

fn verify(path: &Path) -> i32 {
    markenmate(&["backup", "verify", path.to_str().unwrap()]).run().code
}

fn manifest(path: &Path) -> Value {
    let file = format!("{}.manifest.json", path.display());
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn listed(folder: &Path) -> usize {
    let args = ["backup", "list", folder.to_str().unwrap(), "--format", "json"];
    let document = markenmate(&args).run().assert_code(0).json();
    document["data"]["backups"].as_array().unwrap().len()
}

/// All bytes of a backup, file by file.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_path_buf()];
    }
    names(path).iter().map(|name| path.join(name)).collect()
}

#[test]
fn every_form_is_whole_proven_and_nobody_elses_business() {
    let db = TestDb::baseline();
    for (form, extension) in FORMS {
        let name = format!("b_{form}{extension}");
        let invocation = markenmate(&["backup", "-o", &name, "--format", "json"]).db(&db);
        let inner = invocation.command();
        // Whatever the umask says.
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "umask 000; exec \"$0\" \"$@\""]).arg(inner.get_program());
        shell.args(inner.get_args()).env_clear().current_dir(db.folder());
        shell.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let document: Value = serde_json::from_str(&succeed(&mut shell)).unwrap();
        let path = db.folder().join(&name);
        let manifest = manifest(&path);
        assert_eq!(manifest["archive"]["form"], form);
        assert_eq!(document["data"]["path"], name);
        assert_eq!(document["data"]["manifest"], format!("{name}.manifest.json"));
        let bytes: u64 = files(&path).iter().map(|file| file.metadata().unwrap().len()).sum();
        assert_eq!(document["data"]["bytes"], bytes);
        for table in manifest["tables"].as_array().unwrap() {
            let name = table["name"].as_str().unwrap();
            // It is listed in its own database a moment later.
            let own = if name == "public.db_backup" {
                " WHERE description NOT LIKE 'markenmate%'"
            } else {
                ""
            };
            let rows = one(&db.session(), &format!("SELECT count(*) FROM {name}{own}"));
            let seen = table["rows"].as_u64().unwrap();
            assert!(
                name == "public.db_backup" || seen.to_string() == rows,
                "{name}: {seen} {rows}"
            );
        }
        for file in
            files(&path).iter().chain([&path, &db.folder().join(format!("{name}.manifest.json"))])
        {
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode & 0o077, 0, "{}: {mode:o}", file.display());
        }
        if form != "directory" {
            let sum = succeed(Command::new("sha256sum").arg(&path));
            assert!(sum.starts_with(document["data"]["sha256"].as_str().unwrap()), "{sum}");
        }
        assert_eq!(verify(&path), 0, "{form}");
    }
    let args = ["backup", "list", ".", "--format", "json"];
    let document = markenmate(&args).db(&db).run().assert_code(0).json();
    let backups = document["data"]["backups"].as_array().unwrap();
    assert_eq!(backups.len(), 3);
    assert!(backups.iter().all(|backup| backup["verified"] == true), "{document:#}");
    let page = sql(
        &db,
        "SELECT filename, file_size::text, description FROM public.db_backup ORDER BY id DESC LIMIT 3",
    );
    assert_eq!(page[0][0].as_deref(), Some("b_directory"));
    assert!(page[0][2].as_deref().unwrap().contains("run by "), "{page:?}");
}

#[test]
fn without_a_name_it_is_called_as_the_app_calls_them() {
    let db = TestDb::baseline();
    markenmate(&["backup"]).db(&db).run().assert_code(0);
    let folder = db.folder().join("backups");
    assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let name = &names(&folder)[0];
    let pattern =
        regex::Regex::new(r"^markenmate-backup-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z$").unwrap();
    assert!(pattern.is_match(name), "{name}");
    let elsewhere = db.folder().join("elsewhere");
    markenmate(&["backup"])
        .db(&db)
        .env("MARKENMATE_BACKUP_DIR", elsewhere.to_str().unwrap())
        .run()
        .assert_code(0);
    assert_eq!(listed(&elsewhere), 1);
}

/// While somebody writes, the manifest and the dump show one and the same moment.
#[test]
fn manifest_and_dump_are_of_one_moment() {
    let db = TestDb::baseline();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (stop, url) = (stop.clone(), db.url.clone());
        move || {
            let session = Session::open(&url);
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                session.sql(
                    "INSERT INTO public.app_log (message) SELECT 'x' FROM generate_series(1, 50)",
                );
            }
        }
    });
    for (form, extension) in FORMS {
        let path = backup(&db, &format!("m{extension}"), &["--checksums", "full"]);
        let restored = TestDb::empty();
        let (tool, args): (_, &[&str]) = match form {
            "plain" => ("psql", &["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &restored.url, "-f"]),
            _ => ("pg_restore", &["--exit-on-error", "-d", &restored.url]),
        };
        succeed(Command::new(program(cluster(), tool)).args(args).arg(&path));
        let again = backup(&restored, "again", &["--checksums", "full"]);
        assert_eq!(manifest(&path)["tables"], manifest(&again)["tables"], "{form}");
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();
}

/// A checksum tells content, not layout: columns that were dropped, added elsewhere or moved.
#[test]
fn a_checksum_is_of_the_rows_and_of_nothing_else() {
    let db = TestDb::baseline();
    let sum = |name: &str| {
        let path = backup(&db, name, &["--checksums", "full"]);
        let tables = manifest(&path)["tables"].clone();
        let table = tables
            .as_array()
            .unwrap()
            .iter()
            .find(|t| t["name"] == "public.favorite")
            .unwrap()
            .clone();
        table["checksum"].as_str().unwrap().to_owned()
    };
    let before = sum("before");
    sql(&db, "ALTER TABLE public.favorite ADD COLUMN gone text; ALTER TABLE public.favorite DROP COLUMN gone;
              CREATE TABLE other AS SELECT * FROM public.favorite ORDER BY id DESC;
              DELETE FROM public.favorite; INSERT INTO public.favorite SELECT * FROM other; DROP TABLE other");
    assert_eq!(sum("after"), before);
    sql(
        &db,
        "UPDATE public.favorite SET created_at = created_at + interval '1 microsecond' WHERE id = (SELECT min(id) FROM public.favorite)",
    );
    assert_ne!(sum("changed"), before);
}

/// One flipped bit, one missing byte: refused.
#[test]
fn a_flipped_bit_or_a_cut_is_refused() {
    let db = TestDb::baseline();
    let (flips, cuts) = (figure("FLIPS", 12), figure("CUTS_OF_BACKUPS", 4));
    let (mut tried, mut refused) = (0, 0);
    for (form, extension) in FORMS {
        let path = backup(&db, &format!("f_{form}{extension}"), &[]);
        assert_eq!(verify(&path), 0);
        let mut all = files(&path);
        all.push(db.folder().join(format!("f_{form}{extension}.manifest.json")));
        let whole: u64 = all.iter().map(|file| file.metadata().unwrap().len()).sum();
        let mut damage = |at: u64, harm: &dyn Fn(&mut Vec<u8>, usize)| {
            let (mut at, mut file) = (at, 0);
            while at >= all[file].metadata().unwrap().len() {
                at -= all[file].metadata().unwrap().len();
                file += 1;
            }
            let sound = fs::read(&all[file]).unwrap();
            let mut harmed = sound.clone();
            harm(&mut harmed, usize::try_from(at).unwrap());
            fs::write(&all[file], &harmed).unwrap();
            let code = verify(&path);
            assert_eq!(code, 4, "{form}: {} at {at}", all[file].display());
            fs::write(&all[file], &sound).unwrap();
            tried += 1;
            refused += u32::from(code == 4);
        };
        for n in 0..u64::from(flips) {
            // Spread evenly, each time another bit.
            damage(n * whole / u64::from(flips) + n % 7, &|bytes, at| bytes[at] ^= 1 << (at % 8));
        }
        for n in 0..u64::from(cuts) {
            damage(n * whole / u64::from(cuts), &|bytes, at| bytes.truncate(at));
        }
        // A file of a folder is gone, or one more is there.
        if form == "directory" {
            let toc = path.join("toc.dat");
            let sound = fs::read(&toc).unwrap();
            fs::remove_file(&toc).unwrap();
            assert_eq!(verify(&path), 4);
            fs::write(&toc, &sound).unwrap();
            fs::write(path.join("more"), "x").unwrap();
            assert_eq!(verify(&path), 4);
            fs::remove_file(path.join("more")).unwrap();
        }
        assert_eq!(verify(&path), 0);
    }
    tell(&format!("{tried} flipped bits and cuts in backups and manifests: {refused} refused"));
}

/// What was verified and changed afterwards is not verified any more.
#[test]
fn verified_is_what_was_verified() {
    let db = TestDb::baseline();
    let path = backup(&db, "v.dump", &[]);
    assert_eq!(verify(&path), 0);
    let other = backup(&db, "w.dump", &[]);
    let sidecar = |path: &Path| format!("{}.verified.json", path.display());
    fs::copy(sidecar(&path), sidecar(&other)).unwrap();
    let args = ["backup", "list", ".", "--format", "json"];
    let document = markenmate(&args).db(&db).run().assert_code(0).json();
    let verified: Vec<_> = document["data"]["backups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| (b["path"].as_str().unwrap().to_owned(), b["verified"].as_bool().unwrap()))
        .collect();
    assert_eq!(verified, [("./w.dump".to_owned(), false), ("./v.dump".to_owned(), true)]);
}

/// However its name is written, what a killed run has left of it is no other run.
#[test]
fn what_a_killed_run_left_under_a_name_is_swept() {
    let db = TestDb::baseline();
    for name in ["k.dump", "./k2.dump", "k3"] {
        let partial = db.folder().join(format!("{name}.partial"));
        match name {
            "k3" => fs::create_dir(&partial).unwrap(),
            _ => fs::write(&partial, "left").unwrap(),
        }
        markenmate(&["backup", "-o", name]).db(&db).run().assert_code(0);
        assert!(!partial.exists(), "{name}");
    }
    fs::write(db.folder().join("k2.dump"), "cut").unwrap();
    let listed = markenmate(&["backup", "list", "."]).db(&db).run().assert_code(0);
    assert!(listed.stdout.contains("NOT WHOLE"), "{}", listed.stdout);
    let run = markenmate(&["backup", "-o", "-", "--restore-test"]).db(&db).run().assert_code(2);
    assert!(run.stderr.contains("no manifest"), "{}", run.stderr);
    for verb in [&["backup", "list", "nowhere"][..], &["backup", "prune", "nowhere", "--keep", "1"]]
    {
        let run = markenmate(verb).db(&db).run().assert_code(4);
        assert!(run.stderr.contains("there is no folder nowhere"), "{}", run.stderr);
    }
}

#[test]
fn nothing_is_overwritten_and_a_folder_that_is_not_there_is_said() {
    let db = TestDb::baseline();
    let folder = db.folder();
    fs::write(folder.join("file.dump"), "precious").unwrap();
    symlink("file.dump", folder.join("link.dump")).unwrap();
    symlink("nowhere", folder.join("dangling")).unwrap();
    succeed(Command::new("mkfifo").arg(folder.join("fifo.sql")));
    // Nor is it waited for where a killed run's leavings are looked for.
    succeed(Command::new("mkfifo").arg(folder.join("markenmate-backup-1.partial")));
    let before = names(folder);
    for name in ["file.dump", "link.dump", "dangling", "fifo.sql"] {
        let run = markenmate(&["backup", "-o", name]).db(&db).run().assert_code(4);
        assert!(run.stderr.contains("nothing is overwritten"), "{}", run.stderr);
    }
    let run = markenmate(&["backup", "-o", "no/such/folder.dump"]).db(&db).run().assert_code(4);
    assert!(run.stderr.contains("there is no folder no/such"), "{}", run.stderr);
    assert_eq!(names(folder), before);
    backup(&db, "fine.dump", &[]);
    assert_eq!(fs::read_to_string(folder.join("file.dump")).unwrap(), "precious");
}

/// A program of that name in a folder of its own.
fn fake(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn without_the_right_pg_dump_there_is_no_backup() {
    let db = TestDb::baseline();
    let tools = tempfile::TempDir::new().unwrap();
    let run = |out: &str| {
        let bindir = tools.path().to_str().unwrap().to_owned();
        markenmate(&["backup", "-o", out]).db(&db).env("MARKENMATE_PG_BINDIR", &bindir).run()
    };
    let major = cluster().major();
    let none = run("a.dump").assert_code(4);
    assert!(
        none.stderr.contains(&format!("apt-get install postgresql-client-{major}")),
        "{}",
        none.stderr
    );
    fake(tools.path(), "pg_dump", "echo 'pg_dump (PostgreSQL) 12.3'");
    let old = run("a.dump").assert_code(4);
    assert!(old.stderr.contains("is of version 12.3"), "{}", old.stderr);
    // It says that it is one, and says that all went well.
    let real = program(cluster(), "pg_restore").display().to_string();
    fake(tools.path(), "pg_restore", &format!("exec {real} \"$@\""));
    fake(
        tools.path(),
        "pg_dump",
        &format!(
            "case $1 in --version) echo 'pg_dump (PostgreSQL) {major}.0';; *) echo nonsense;; esac"
        ),
    );
    for name in ["a.dump", "a.sql", "a"] {
        let lies = run(name);
        assert!([1, 4].contains(&lies.code), "{name}: {lies:?}");
    }
    // It writes half of it and fails.
    fake(
        tools.path(),
        "pg_dump",
        &format!(
            "case $1 in --version) echo 'pg_dump (PostgreSQL) {major}.0';; *) echo half; echo 'pg_dump: error: the disk is on fire' >&2; exit 1;; esac"
        ),
    );
    let fails = run("a.sql").assert_code(1);
    assert!(fails.stderr.contains("the disk is on fire"), "{}", fails.stderr);
    assert_eq!(names(db.folder()), <[&str; 0]>::default());
}

#[test]
fn a_role_that_may_not_read_everything_makes_no_backup() {
    let db = TestDb::baseline();
    let role = format!("half_{}", db.name);
    sql(&db, &format!("CREATE ROLE {role} LOGIN; GRANT SELECT ON public.\"user\" TO {role}"));
    for (to, form) in [("a.dump", "custom"), ("a", "directory"), ("a.sql", "plain"), ("-", "plain")]
    {
        // Else our own look at the rows is refused before pg_dump is.
        let args = ["backup", "-o", to, "-F", form, "--checksums", "none"];
        let run = markenmate(&args).db(&db).url(&db.url_as(&role)).run().assert_code(4);
        assert!(run.stderr.contains("permission denied"), "{}", run.stderr);
        assert!(run.stderr.contains("hint: a backup needs a role that may read"), "{}", run.stderr);
        assert_eq!(names(db.folder()), <[&str; 0]>::default());
    }
}

#[test]
fn a_reader_and_a_standby_will_do_and_are_said_not_to_be_listed() {
    let db = TestDb::baseline();
    let reader = format!("reads_{}", db.name);
    sql(
        &db,
        &format!(
            "CREATE ROLE {reader} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader};
             GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {reader}"
        ),
    );
    let run = markenmate(&["backup", "-o", "r.dump"])
        .db(&db)
        .url(&db.url_as(&reader))
        .run()
        .assert_code(0);
    assert!(
        run.stdout.contains("not listed on the app's admin page: permission denied"),
        "{}",
        run.stdout
    );

    let server = start(&[]);
    database_on(&server, "followed", &["V1__baseline.sql"]);
    let standby = Standby::of(&server);
    let there = standby.url("followed");
    let arrived = "SELECT to_regclass('public.app_log') IS NOT NULL";
    assert!(wait_until(Duration::from_secs(20), || one(&Session::open(&there), arrived) == "t"));
    let run = markenmate(&["backup", "-o", "s"]).db(&db).url(&there).run().assert_code(0);
    assert!(run.stdout.contains("nothing can be written here"), "{}", run.stdout);
    assert_eq!(manifest(&db.folder().join("s"))["lsn"], Value::Null);
    assert_eq!(verify(&db.folder().join("s")), 0);
}

/// The guide's own command line.
#[test]
fn stdout_gets_plain_sql_and_nothing_else() {
    let db = TestDb::baseline();
    let run = markenmate(&["backup", "-o", "-"]).db(&db).run().assert_code(0);
    assert!(
        run.stdout.trim_start().starts_with("--\n-- PostgreSQL database dump"),
        "{}",
        &run.stdout[..200]
    );
    let restored = TestDb::empty();
    fs::write(db.folder().join("out.sql"), &run.stdout).unwrap();
    succeed(
        Command::new(program(cluster(), "psql"))
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &restored.url, "-f"])
            .arg(db.folder().join("out.sql")),
    );
    markenmate(&["backup", "-o", "-", "--format", "json"]).db(&db).run().assert_code(2);

    let invocation = markenmate(&["backup"]).db(&db);
    let file = fs::File::create(db.folder().join("report")).unwrap();
    let status =
        invocation.command().stdout(file).stderr(std::process::Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(2));
    assert_eq!(names(db.folder()), ["out.sql", "report"]);
}

/// The password reaches pg_dump, and nobody else.
#[test]
fn a_password_reaches_pg_dump_in_no_argument_and_no_file() {
    let server = TlsServer::shared();
    let folder = tempfile::TempDir::new().unwrap();
    let url = format!("postgresql://markenmate:pw@127.0.0.1:{}/postgres", server.port);
    let run = markenmate(&["backup", "-o", "p"]).url(&url).cwd(folder.path()).run();
    let run = run.assert_code(0);
    assert!(!run.stderr.contains(":pw"), "{run:?}");
    assert_eq!(names(folder.path()), ["p", "p.manifest.json"]);
}

#[test]
fn a_signal_and_a_kill_leave_nothing_that_could_be_taken_for_a_backup() {
    let db = TestDb::baseline();
    sql(
        &db,
        "INSERT INTO public.app_log (message) SELECT repeat(md5(n::text), 20) FROM generate_series(1, 40000) n",
    );
    let kills = figure("BACKUP_KILLS", 4);
    let folder = db.folder().join("backups");
    let (mut made, mut none) = (0, 0);
    for n in 0..kills {
        let signal = if n % 4 == 0 { "INT" } else { "KILL" };
        let extension = FORMS[n as usize % 3].1;
        let name = format!("backups/markenmate-backup-{n}{extension}");
        fs::create_dir_all(&folder).unwrap();
        let running = markenmate(&["backup", "-o", &name]).db(&db).spawn();
        std::thread::sleep(Duration::from_millis(u64::from(20 + n * 1200 / kills.max(1))));
        running.signal(signal);
        let run = running.wait();
        let path = db.folder().join(&name);
        if run.code == 0 || Path::new(&format!("{}.manifest.json", path.display())).exists() {
            assert_eq!(verify(&path), 0, "{run:?}");
            made += 1;
        } else {
            assert!(!path.exists(), "{}: {run:?}", path.display());
            none += 1;
        }
        if signal == "INT" && run.code != 0 {
            assert_eq!(run.code, 130, "{run:?}");
        }
    }
    // The next run sweeps, and succeeds.
    let wait = Duration::from_secs(20);
    assert!(
        wait_until(wait, || {
            markenmate(&["backup", "-o", "backups/last"]).db(&db).run().assert_code(0);
            fs::remove_dir_all(folder.join("last")).unwrap();
            fs::remove_file(folder.join("last.manifest.json")).unwrap();
            !names(&folder).iter().any(|name| name.ends_with(".partial"))
        }),
        "{:?}",
        names(&folder)
    );
    assert_eq!(listed(&folder), made);
    tell(&format!(
        "{kills} backups ended by a signal: {made} had been kept whole, {none} left nothing"
    ));
}

/// Somebody's DDL is waited for, as long as `--max-wait` says, and named by pg_dump.
#[test]
fn a_table_that_is_locked_is_not_waited_for_without_end() {
    let db = TestDb::baseline();
    let holder = db.session();
    holder.sql("BEGIN; LOCK TABLE public.app_log IN ACCESS EXCLUSIVE MODE");
    let run = markenmate(&["backup", "-o", "l.dump", "--max-wait", "300ms"]).db(&db).run();
    assert!(run.stderr.contains("AccessExclusive on public.app_log"), "{}", run.stderr);
    assert_eq!(run.code, 7, "{run:?}");
    assert_eq!(names(db.folder()), <[&str; 0]>::default());
}

/// `migrate --require-backup`, and what it says to each backup that does not count.
#[test]
fn the_gate_opens_for_a_verified_young_backup_of_this_very_database() {
    let db = TestDb::baseline();
    let gate = |required: &str, code: i32| {
        let args = ["migrate", "--check", "--require-backup", required];
        markenmate(&args).db(&db).run().assert_code(code).stderr
    };
    assert!(gate("24h", 4).contains("there is no verified backup of this database"));
    markenmate(&["backup", "-o", "backups"]).db(&db).run().assert_code(0);
    fs::remove_dir_all(db.folder().join("backups")).unwrap();
    fs::remove_file(db.folder().join("backups.manifest.json")).unwrap();

    let other = TestDb::baseline();
    fs::create_dir(db.folder().join("backups")).unwrap();
    let path = db.folder().join("backups/b.dump");
    markenmate(&["backup", "-o", path.to_str().unwrap()]).db(&other).run().assert_code(0);
    assert_eq!(verify(&path), 0);
    assert!(gate("24h", 4).contains("b.dump is of another database"));

    backup(&db, "backups/a.dump", &[]);
    assert!(gate("24h", 4).contains("a.dump is not verified: markenmate backup verify"));
    assert_eq!(verify(&db.folder().join("backups/a.dump")), 0);
    gate("24h", 3);
    gate("24h,backups/a.dump", 3);
    std::thread::sleep(Duration::from_millis(1100));
    assert!(gate("1s", 4).contains("old; 1s is allowed"));
    gate("24h,nowhere", 4);
    fs::write(db.folder().join("backups/a.dump.manifest.json"), "{}").unwrap();
    assert!(gate("24h", 4).contains("a.dump: its manifest"));
    markenmate(&["migrate", "--yes", "--require-backup", "24h"]).db(&db).run().assert_code(4);
    // Nothing to lose, nothing to back up.
    let empty = TestDb::empty();
    markenmate(&["migrate", "--yes", "--require-backup", "24h"]).db(&empty).run().assert_code(0);
    // Nothing to do, nothing to fear.
    let done = TestDb::baseline();
    markenmate(&["migrate", "--yes"]).db(&done).run().assert_code(0);
    markenmate(&["migrate", "--yes", "--require-backup", "24h"]).db(&done).run().assert_code(0);
}

/// On a terminal it is offered, elsewhere it is said.
#[test]
fn a_migration_without_a_backup_offers_to_make_one() {
    let db = TestDb::baseline();
    let said = markenmate(&["migrate", "--dry-run"]).db(&db).run().assert_code(0);
    assert!(said.stdout.contains("WARNING [no-backup]"), "{}", said.stdout);
    assert!(said.stdout.contains("-> markenmate backup --restore-test\n"), "{}", said.stdout);
    let unverified = TestDb::baseline();
    fs::create_dir(unverified.folder().join("backups")).unwrap();
    backup(&unverified, "backups/it's a.dump", &[]);
    let said = markenmate(&["migrate", "--dry-run"]).db(&unverified).run().assert_code(0);
    let verify = r"-> markenmate backup verify 'backups/it'\''s a.dump'";
    assert!(said.stdout.contains(verify), "{}", said.stdout);
    let mut terminal = pty::on_a_terminal(markenmate(&["migrate"]).db(&db));
    terminal
        .expect("none of this database")
        .expect("b: back up now, y: go on without, n: quit [b/y/N]");
    terminal.send_line("b").expect("backed up and verified: backups/markenmate-backup-");
    terminal.expect("last verified backup").expect("old: backups/markenmate-backup-");
    terminal.expect("now? [y/N]").send_line("n");
    let (screen, code) = terminal.finish();
    assert_eq!(code, 4, "{screen}");
    assert_eq!(listed(&db.folder().join("backups")), 1);
    assert_eq!(one(&db.session(), "SELECT to_regnamespace('markenmate')::text"), "");
    let now = markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    assert!(!now.stdout.contains("no-backup"), "{}", now.stdout);
}

/// Restored into a throw-away server: rows, content, keys, indexes, sequences, owners, grants.
#[test]
fn a_restore_test_restores_and_compares() {
    let db = TestDb::baseline();
    let app = format!("owns_{}", db.name);
    sql(
        &db,
        &format!(
            "CREATE ROLE {app}; {}; GRANT SELECT ON public.restaurant TO PUBLIC",
            owned_by(&app)
        ),
    );
    for (form, extension) in FORMS {
        let name = format!("t{extension}");
        let run =
            markenmate(&["backup", "-o", &name, "--restore-test"]).db(&db).run().assert_code(0);
        assert!(run.stdout.contains("restored and compared: "), "{form}: {}", run.stdout);
    }
    let args = ["backup", "list", ".", "--format", "json"];
    let document = markenmate(&args).db(&db).run().assert_code(0).json();
    let all = document["data"]["backups"].as_array().unwrap();
    assert!(all.iter().all(|backup| backup["restore_tested"] == true), "{document:#}");

    // A manifest that promises more than the dump holds: as if the dump had lost it.
    let path = backup(&db, "lost.dump", &["--checksums", "full"]);
    let file = format!("{}.manifest.json", path.display());
    let mut lost = Manifest::open(&fs::read(&file).unwrap()).unwrap();
    lost.tables[0].checksum = Some("0:0".into());
    lost.tables[1].rows = Some(7);
    lost.sequences[0].last_value = Some(i64::from(i32::MAX));
    lost.catalogue.tables.get_mut("user").unwrap().indexes.insert(
        "lost_idx".into(),
        serde_json::from_value(serde_json::json!({ "unique": false, "columns": ["name"] }))
            .unwrap(),
    );
    fs::write(&file, lost.seal()).unwrap();
    let args = ["backup", "verify", path.to_str().unwrap(), "--restore-test", "--format", "json"];
    let document = markenmate(&args).run().assert_code(4).json();
    let findings = document["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 4, "{document:#}");
    assert!(!Path::new(&format!("{}.restore-tested.json", path.display())).exists());
}

/// A restore that loses a key says so: orphans in the source stop it.
#[test]
fn orphans_in_the_source_make_no_restore_tested_backup() {
    let db = TestDb::baseline();
    sql(
        &db,
        "SET session_replication_role = replica;
         INSERT INTO public.session (id, expires_at, token, created_at, updated_at, user_id)
         VALUES ('s', now(), 't', now(), now(), 'nobody')",
    );
    let plain = markenmate(&["backup", "-o", "p.dump", "--format", "json"]).db(&db).run();
    let plain = plain.assert_code(0).json();
    assert_eq!(plain["findings"][0]["id"], "orphans", "{plain:#}");
    let broken = serde_json::json!(["public.session.user_id"]);
    assert_eq!(manifest(&db.folder().join("p.dump"))["broken_keys"], broken);
    let run =
        markenmate(&["backup", "-o", "o.dump", "--restore-test"]).db(&db).run().assert_code(4);
    assert!(run.stderr.contains("cannot be restored"), "{}", run.stderr);
    assert!(run.stderr.contains("violates foreign key constraint"), "{}", run.stderr);
    let args = ["backup", "list", ".", "--format", "json"];
    let document = markenmate(&args).db(&db).run().assert_code(0).json();
    let all = document["data"]["backups"].as_array().unwrap();
    assert!(all.iter().all(|backup| backup["restore_tested"] == false), "{document:#}");
}

/// A full disk in the middle, and a folder that cannot be written to.
#[test]
fn a_full_disk_ends_it_clearly_and_leaves_nothing() {
    let db = TestDb::baseline();
    sql(
        &db,
        "INSERT INTO public.app_log (message) SELECT md5(n::text) FROM generate_series(1, 20000) n",
    );
    for (form, extension) in FORMS {
        let invocation = markenmate(&["backup", "-o", &format!("full{extension}")]).db(&db);
        let inner = invocation.command();
        // No file of this process or its children grows beyond 100 kB; who ignores the signal gets an error.
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", "trap '' XFSZ; ulimit -f 200; exec \"$0\" \"$@\""])
            .arg(inner.get_program());
        shell.args(inner.get_args()).env_clear().current_dir(db.folder());
        shell.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = shell.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{form}: {said}");
        assert!(said.contains("there is no backup"), "{form}: {said}");
        assert!(said.contains("File too large"), "{form}: {said}");
        assert_eq!(names(db.folder()), <[&str; 0]>::default(), "{form}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_to_is_refused() {
    let db = TestDb::baseline();
    // As root, only the kernel's own folders say no.
    let run = markenmate(&["backup", "-o", "/proc/x.dump"]).db(&db).run();
    assert!([1, 4].contains(&run.code), "{run:?}");
    assert!(run.stderr.contains("cannot write /proc/x.dump"), "{}", run.stderr);
}

#[test]
fn pruning_keeps_what_is_verified_and_never_the_last() {
    let (db, other) = (TestDb::baseline(), TestDb::baseline());
    let folder = db.folder().join("backups");
    fs::create_dir(&folder).unwrap();
    let make = |db: &TestDb, name: &str, proven: bool| {
        let path = folder.join(name);
        markenmate(&["backup", "-o", path.to_str().unwrap()]).db(db).run().assert_code(0);
        if proven {
            assert_eq!(verify(&path), 0);
        }
    };
    for (name, proven) in
        [("1", false), ("2.dump", true), ("3", true), ("4.sql", true), ("5", false)]
    {
        make(&db, name, proven);
    }
    make(&other, "o1", true);
    let prune = |more: &[&str]| {
        let dir = folder.to_str().unwrap();
        markenmate(&[&["backup", "prune", dir, "--format", "json"], more].concat()).run()
    };
    let left =
        || names(&folder).into_iter().filter(|name| !name.ends_with(".json")).collect::<Vec<_>>();
    prune(&["--keep", "0"]).assert_code(2);
    prune(&["--keep", "2"]).assert_code(4);
    let plan = prune(&["--keep", "2", "--dry-run"]).assert_code(0).json();
    assert_eq!(plan["steps"].as_array().unwrap().len(), 2, "{plan:#}");
    assert_eq!(left().len(), 6);
    // The two newest verified ones stay, what is newer than they are, and the other database's.
    prune(&["--keep", "2", "--yes"]).assert_code(0);
    assert_eq!(left(), ["3", "4.sql", "5", "o1"]);
    prune(&["--keep", "1", "--yes"]).assert_code(0);
    assert_eq!(left(), ["4.sql", "5", "o1"]);
    let again = prune(&["--keep", "1", "--yes"]).assert_code(0).json();
    assert_eq!(again["outcome"], "nothing_to_do");
    // Where none is verified, none goes.
    for name in ["4.sql", "5", "o1"] {
        fs::remove_file(folder.join(format!("{name}.verified.json"))).ok();
    }
    prune(&["--keep", "1", "--yes"]).assert_code(0);
    assert_eq!(left(), ["4.sql", "5", "o1"]);
    assert_eq!(names(&folder).len(), 6);
}
