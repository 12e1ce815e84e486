//! `cleanup --export`: whole months leave the archive for files, and at every moment each row is somewhere.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::state::one;
use crate::support::{Invocation, Session, TestDb, markenmate, sql};

use super::cleanup::{FILL, cleanup, filled, job};

/// Every file below a folder, by its path there.
pub fn files(folder: &Path) -> BTreeMap<String, PathBuf> {
    fn walk(at: &Path, root: &Path, found: &mut BTreeMap<String, PathBuf>) {
        for entry in std::fs::read_dir(at).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, found);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.insert(name, path);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found
}

/// The rows in all files of a table.
pub fn exported(folder: &Path, table: &str) -> Vec<Value> {
    let mut rows = Vec::new();
    for (name, path) in files(&folder.join(table)) {
        if name.ends_with(".jsonl.gz") && !name.contains("/.") {
            let mut text = String::new();
            let file = std::fs::File::open(path).unwrap();
            flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
            rows.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
        }
    }
    rows
}

fn export(db: &TestDb, args: &[&str]) -> Invocation {
    let folder = db.folder().join("ex");
    let folder = folder.to_str().unwrap();
    let fixed =
        ["cleanup", "--yes", "--format", "json", "--export-older-than", "0s", "--export", folder];
    markenmate(&[&fixed, args].concat()).db(db)
}

fn archived(session: &Session, table: &str) -> u64 {
    one(session, &format!("SELECT count(*) FROM markenmate.{table}_archive")).parse().unwrap()
}

#[test]
fn whole_months_go_into_files_that_duckdb_reads_as_one_table() {
    let db = filled();
    let session = db.session();
    cleanup(&db, &["audit", "--older-than", "0s", "--yes"]).assert_code(0);
    let columns = "id, user_id, action, coalesce(target_user_id, '-'), coalesce(metadata, '-'), ip_address, user_agent, coalesce(correlation_id, '-')";
    let before = one(
        &session,
        &format!(
            "SELECT count(*) || ' ' || sum(id) || ' ' || md5(string_agg(concat_ws('|', {columns}), '/' ORDER BY archive_id))
               FROM markenmate.audit_log_archive WHERE created_at < date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'"
        ),
    );
    let done = export(&db, &["audit", "--older-than", "0s"]).run().assert_code(0).json();
    let folder = db.folder().join("ex");
    let names: Vec<String> = files(&folder).into_keys().collect();
    assert!(
        names
            .iter()
            .all(|name| name.starts_with("audit_log/year=")
                || name.starts_with("audit_log/_manifest/")),
        "{names:?}"
    );
    let script = format!(
        "import duckdb\n\
         names = ['id', 'user_id', 'action', 'target_user_id', 'metadata', 'ip_address', 'user_agent', 'correlation_id', 'archive_id']\n\
         table = f\"read_json('{0}/audit_log/**/*.jsonl.gz', hive_partitioning = true, columns = {{dict((n, 'BIGINT' if n in ('id', 'archive_id') else 'VARCHAR') for n in names)}})\"\n\
         print(duckdb.sql(f\"SELECT count(*) || ' ' || sum(id) || ' ' || md5(string_agg(concat_ws('|', {columns}), '/' ORDER BY archive_id)) FROM {{table}}\").fetchall()[0][0])\n\
         print(duckdb.sql(f\"SELECT count(*) FROM read_json('{0}/audit_log/**/*.jsonl.gz', hive_partitioning = true) WHERE year <> date_part('year', created_at AT TIME ZONE 'UTC') OR month::int <> date_part('month', created_at AT TIME ZONE 'UTC')\").fetchall()[0][0])",
        folder.display()
    );
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut python = Command::new("python3");
    python.args(["-c", &script]).env("PYTHONPATH", root.join("target/python"));
    let answer = python.output().expect("python3");
    assert!(
        answer.status.success(),
        "scripts/test installs duckdb: {}",
        String::from_utf8_lossy(&answer.stderr)
    );
    let answer = String::from_utf8(answer.stdout).unwrap();
    assert_eq!(answer.lines().collect::<Vec<_>>(), [before.as_str(), "0"]);

    // What the manifest, the register and the ledger say of a file is so.
    for file in done["data"]["files"].as_array().unwrap() {
        let path = folder.join(file["name"].as_str().unwrap());
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(hex::encode(Sha256::digest(&bytes)), file["sha256"], "{file}");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let name = path.file_name().unwrap().to_str().unwrap().replace(".jsonl.gz", ".json");
        let manifest =
            std::fs::read_to_string(folder.join("audit_log/_manifest").join(name)).unwrap();
        assert_eq!(&serde_json::from_str::<Value>(&manifest).unwrap()["file"], file);
        let known = format!(
            "SELECT state || ' ' || rows || ' ' || sha256 FROM markenmate.export WHERE name = '{}'",
            file["name"].as_str().unwrap()
        );
        assert_eq!(
            one(&session, &known),
            format!("done {} {}", file["rows"], file["sha256"].as_str().unwrap())
        );
    }
    let ledger = "SELECT count(*) FROM markenmate.ledger WHERE command = 'cleanup --export'";
    assert_eq!(one(&session, ledger), done["data"]["files"].as_array().unwrap().len().to_string());
    markenmate(&["verify", "--only", "ledger-chain"]).db(&db).run().assert_code(0);
    // What is of this month stays.
    let left = "SELECT count(*) FROM markenmate.audit_log_archive WHERE created_at < date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'";
    assert_eq!(one(&session, left), "0");
}

#[test]
fn a_month_that_comes_late_gets_another_file() {
    let db = filled();
    let session = db.session();
    let dry = export(&db, &["audit", "--dry-run"]).run().assert_code(0);
    assert!(!db.folder().join("ex").exists(), "{}", dry.stdout);
    export(&db, &["audit", "app-log"]).run().assert_code(0);
    let folder = db.folder().join("ex");
    let before = files(&folder);
    assert!(before.keys().any(|name| name.starts_with("audit_log/year=")));
    let rows = exported(&folder, "audit_log").len() as u64 + archived(&session, "audit_log");
    export(&db, &["audit", "app-log"]).run().assert_code(0);
    assert_eq!(files(&folder).len(), before.len());
    sql(&db, &FILL.replace("md5(u.id || n)", "md5(u.id || n || 'x')"));
    let again = export(&db, &["audit"]).run().assert_code(0).json();
    assert!(!again["data"]["files"].as_array().unwrap().is_empty());
    assert!(before.values().all(|path| path.exists()));
    let more = job(&again, "audit")["archived"].as_u64().unwrap();
    assert_eq!(
        exported(&folder, "audit_log").len() as u64 + archived(&session, "audit_log"),
        rows + more
    );
}

#[test]
fn killed_with_the_file_written_and_the_rows_still_there_the_next_run_ends_it() {
    let db = filled();
    let session = db.session();
    cleanup(&db, &["audit", "--yes"]).assert_code(0);
    let all = archived(&session, "audit_log");
    // The rows cannot leave the archive.
    let holder = db.session();
    holder.sql("BEGIN; LOCK TABLE markenmate.gate IN SHARE MODE");
    let running = export(&db, &["audit"]).spawn();
    running.wait_for_stderr("waiting");
    running.signal("KILL");
    running.wait();
    holder.sql("COMMIT");
    let folder = db.folder().join("ex");
    assert!(!exported(&folder, "audit_log").is_empty());
    assert_eq!(archived(&session, "audit_log"), all);
    assert_eq!(one(&session, "SELECT string_agg(state, ',') FROM markenmate.export"), "writing");

    // Not into another folder, which would have them twice.
    let other = db.folder().join("other");
    let refused = cleanup(
        &db,
        &["audit", "--yes", "--export-older-than", "0s", "--export", other.to_str().unwrap()],
    )
    .assert_code(4);
    assert!(
        refused.stdout.contains("to go on with it: markenmate cleanup --export"),
        "{}",
        refused.stdout
    );
    assert!(files(&other).is_empty());
    export(&db, &["audit"]).run().assert_code(0);
    assert_eq!(exported(&folder, "audit_log").len() as u64 + archived(&session, "audit_log"), all);
    assert!(!files(&folder).keys().any(|name| name.contains("partial")));
}

#[test]
fn on_a_full_disk_the_rows_stay_and_nothing_half_is_left() {
    let db = filled();
    let session = db.session();
    cleanup(&db, &["audit", "--yes"]).assert_code(0);
    let all = archived(&session, "audit_log");
    let bare = export(&db, &["audit"]);
    let command = bare.command();
    // Files end at 4 kB, as if the disk did.
    let mut limited = Command::new("/bin/sh");
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(command.get_current_dir().unwrap());
    let ended = limited.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(
        said.contains("File too large") && said.contains("its rows are in the archive still"),
        "{said}"
    );
    assert_eq!(archived(&session, "audit_log"), all);
    assert!(files(&db.folder().join("ex")).is_empty());
    assert_eq!(one(&session, "SELECT string_agg(state, ',') FROM markenmate.export"), "given_up");
    export(&db, &["audit"]).run().assert_code(0);
    let folder = db.folder().join("ex");
    assert_eq!(exported(&folder, "audit_log").len() as u64 + archived(&session, "audit_log"), all);
}

#[test]
fn a_file_that_is_there_is_not_written_over() {
    let db = filled();
    let session = db.session();
    export(&db, &["audit"]).run().assert_code(0);
    let folder = db.folder().join("ex");
    let before: BTreeMap<_, _> = files(&folder)
        .into_iter()
        .map(|(name, path)| (name, std::fs::read(path).unwrap()))
        .collect();
    // As after a restore: the same numbers come again, with other rows.
    session.sql("DELETE FROM markenmate.export; BEGIN; SELECT markenmate.open_gate('test'); DELETE FROM markenmate.audit_log_archive; COMMIT;
                 ALTER TABLE markenmate.audit_log_archive ALTER COLUMN archive_id RESTART");
    sql(&db, &FILL.replace("md5(u.id || n)", "md5(u.id || n || 'x')"));
    let refused = export(&db, &["audit"]).run();
    assert!([4, 6].contains(&refused.code), "{refused:?}");
    assert!(refused.stdout.contains("is there already"), "{}", refused.stdout);
    let after: BTreeMap<_, _> = files(&folder)
        .into_iter()
        .map(|(name, path)| (name, std::fs::read(path).unwrap()))
        .collect();
    assert_eq!(after, before);
    assert_eq!(archived(&session, "audit_log"), exported(&folder, "audit_log").len() as u64);
}
