//! `cleanup --export` into folders that cannot be written: nothing is lost, and the next run goes on.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::state::one;
use crate::support::{Session, TestDb, cluster, markenmate};

use super::cleanup::{cleanup, filled};
use super::export::{exported, files};

/// As whoever the server runs as: rights mean nothing to root. Exit code, and what it said.
fn as_somebody(db: &TestDb, folder: &Path) -> (i32, Value) {
    somebody_doing(db, folder, "--yes")
}

fn somebody_doing(db: &TestDb, folder: &Path, how: &str) -> (i32, Value) {
    let folder = folder.to_str().unwrap();
    let args = ["cleanup", "audit", how, "--format", "json", "--export-older-than", "0s"];
    let bare = markenmate(&[&args[..], &["--export", folder]].concat()).db(db).cwd(Path::new("/"));
    let command = bare.command();
    let mut somebody = Command::new(command.get_program());
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        let server = cluster().socket_dir().metadata().unwrap();
        somebody = Command::new("setpriv");
        somebody.arg(format!("--reuid={}", server.uid())).arg(format!("--regid={}", server.gid()));
        somebody.args(["--clear-groups", "--"]).arg(command.get_program());
    }
    somebody.args(command.get_args()).env_clear().current_dir("/");
    somebody
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("HOME", "/");
    let ended = somebody.output().unwrap();
    let said = serde_json::from_slice(&ended.stdout);
    (ended.status.code().unwrap(), said.unwrap_or_else(|e| panic!("{e}: {ended:?}")))
}

fn give(path: &Path) {
    let server = cluster().socket_dir().metadata().unwrap();
    chown(path, Some(server.uid()), Some(server.gid())).unwrap();
}

/// Whoever owns it, nobody but root writes into it.
fn close(path: &Path) {
    fs::create_dir_all(path).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o555)).unwrap();
}

fn open(path: &Path) {
    give(path);
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

fn counts(session: &Session) -> [u64; 2] {
    ["public.audit_log", "markenmate.audit_log_archive"]
        .map(|table| one(session, &format!("SELECT count(*) FROM {table}")).parse().unwrap())
}

fn states(session: &Session) -> String {
    one(
        session,
        "SELECT coalesce(string_agg(state, ',' ORDER BY began_at), '') FROM markenmate.export",
    )
}

fn scratch() -> TempDir {
    let scratch = TempDir::new_in("/tmp").unwrap();
    open(scratch.path());
    scratch
}

#[test]
fn a_folder_without_rights_is_refused_before_rows_move() {
    let (db, scratch) = (filled(), scratch());
    let session = db.session();
    let before = counts(&session);
    let folder = scratch.path().join("ex");
    close(&folder);
    for target in [folder.clone(), folder.join("below")] {
        let (code, said) = as_somebody(&db, &target);
        assert_eq!((code, &said["outcome"]), (4, &json!("refused")), "{said:#}");
        let error = said["error"].to_string();
        assert!(
            error.contains("cannot use the folder") && error.contains("Permission denied"),
            "{error}"
        );
        assert!(error.contains("the right to write there"), "{error}");
        // A dry run foretells it.
        let (code, dry) = somebody_doing(&db, &target, "--dry-run");
        assert_eq!((code, &dry["error"]), (4, &said["error"]));
        assert_eq!((counts(&session), states(&session)), (before, String::new()));
    }
    open(&folder);
    let (code, said) = as_somebody(&db, &folder);
    assert_eq!(code, 0, "{said:#}");
    let [live, archived] = counts(&session);
    assert_eq!(live + archived + exported(&folder, "audit_log").len() as u64, before[0]);
}

/// Below the folder: it shows only when the first file, or what says of it, is to be written.
#[test]
fn below_the_folder_rights_may_be_missing_too() {
    for within in ["audit_log", "audit_log/_manifest"] {
        let (db, scratch) = (filled(), scratch());
        let session = db.session();
        let all = counts(&session)[0];
        let folder = scratch.path().join("ex");
        let closed = folder.join(within);
        close(&closed);
        closed.ancestors().skip(1).take_while(|at| *at != scratch.path()).for_each(open);
        let (code, said) = as_somebody(&db, &folder);
        assert_eq!((code, &said["outcome"]), (6, &json!("partial")), "{said:#}");
        let error = said["error"].to_string();
        for part in [
            "cannot write",
            "Permission denied",
            "are in the archive still",
            "run it again when that can be written",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        // What the job did is told, and no file counts as done.
        assert_eq!(said["data"]["jobs"][0]["outcome"], "done", "{said:#}");
        assert_eq!(said["data"]["files"], json!([]), "{said:#}");
        assert_eq!(said["steps"][1]["status"], "failed", "{said:#}");
        let [live, archived] = counts(&session);
        assert_eq!(live + archived, all);
        assert!(!files(&folder).keys().any(|name| name.contains("partial")));
        open(&closed);
        let (code, said) = as_somebody(&db, &folder);
        assert_eq!(code, 0, "{said:#}");
        let [live, archived] = counts(&session);
        assert_eq!(live + archived + exported(&folder, "audit_log").len() as u64, all);
        assert!(!states(&session).contains("writing"), "{}", states(&session));
    }
}

fn mount(arguments: &[&str], at: &Path) -> bool {
    let mut mount = Command::new("mount");
    mount.args(arguments).arg(at).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// Dropped, it is unmounted.
struct Mounted(TempDir);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn on_a_file_system_that_is_read_only_nothing_moves_and_what_was_begun_goes_on_later() {
    let db = filled();
    let session = db.session();
    let disk = TempDir::new_in("/tmp").unwrap();
    if !mount(&["-t", "tmpfs", "-o", "size=8m", "tmpfs"], disk.path()) {
        return println!("nothing may be mounted here: the read-only file system was not tried");
    }
    let disk = Mounted(disk);
    let folder = disk.0.path().join("ex");
    let export = || {
        cleanup(
            &db,
            &["audit", "--yes", "--export-older-than", "0s", "--export", folder.to_str().unwrap()],
        )
    };
    cleanup(&db, &["audit", "--yes"]).assert_code(0);
    let before = counts(&session);
    // One that was killed with its file written.
    let holder = db.session();
    holder.sql("BEGIN; LOCK TABLE markenmate.gate IN SHARE MODE");
    let args = [
        "cleanup",
        "audit",
        "--yes",
        "--export-older-than",
        "0s",
        "--export",
        folder.to_str().unwrap(),
    ];
    let running = markenmate(&args).db(&db).spawn();
    running.wait_for_stderr("waiting");
    running.signal("KILL");
    running.wait();
    holder.sql("COMMIT");
    let written = files(&folder);
    assert!(mount(&["-o", "remount,ro"], disk.0.path()));
    let refused = export().assert_code(4);
    for part in
        ["cannot use the folder", "Read-only file system", "mount that file system for writing"]
    {
        assert!(refused.stdout.contains(part), "{part}: {}", refused.stdout);
    }
    let dry = ["audit", "--dry-run", "--export", folder.to_str().unwrap()];
    assert_eq!(cleanup(&db, &dry).assert_code(4).json()["error"], refused.json()["error"]);
    assert_eq!((counts(&session), states(&session).as_str()), (before, "writing"));
    assert_eq!(files(&folder), written);
    assert!(mount(&["-o", "remount,rw"], disk.0.path()));
    export().assert_code(0);
    assert_eq!(counts(&session)[1] + exported(&folder, "audit_log").len() as u64, before[1]);
}

#[test]
fn rows_without_a_month_stay_and_are_told() {
    let db = TestDb::migrated();
    let session = db.session();
    session.sql(
        "INSERT INTO markenmate.audit_log_archive (id, user_id, action, ip_address, user_agent, created_at)
         SELECT n, 'u', 'A', '-', '-', t::timestamptz FROM unnest(ARRAY['-infinity', 'infinity', '0044-03-15 12:00Z BC', '0001-01-01 00:00Z', '2020-02-03 00:00Z'])
           WITH ORDINALITY u(t, n);
         INSERT INTO public.audit_log (user_id, action, ip_address, user_agent, created_at) SELECT min(id), 'A', '-', '-', '-infinity' FROM public.\"user\"",
    );
    let folder = db.folder().join("ex");
    let args = ["audit", "--yes", "--export", folder.to_str().unwrap()];
    let dry = cleanup(&db, &[&args[..], &["--dry-run"]].concat()).assert_code(0).json();
    let done = cleanup(&db, &args).assert_code(0).json();
    for document in [&dry, &done] {
        let note =
            document["findings"].as_array().unwrap().iter().find(|f| f["id"] == "never-exported");
        let note = note.unwrap_or_else(|| panic!("{document:#}"));
        assert_eq!(
            (&note["severity"], &note["subject"]),
            (&json!("info"), &json!("markenmate.audit_log_archive: 4 row(s)"))
        );
    }
    assert_eq!(done["data"]["files"].as_array().unwrap().len(), 2, "{done:#}");
    assert_eq!(counts(&session)[1], 4);
    // What is said of it finds just these, and gives them a month.
    let remedy = done["findings"][0]["remedy"].as_str().unwrap();
    let (look, mend) = remedy.split_once(";  -- to give them a month: ").unwrap();
    assert_eq!(session.sql(look).len(), 4);
    session.sql(mend);
    let again = cleanup(&db, &args).assert_code(0).json();
    assert_eq!(again["findings"], json!([]), "{again:#}");
}
