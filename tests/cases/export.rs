//! `cleanup --export`: whole months leave the archive for files, and at every moment each row is somewhere.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::state::one;
use crate::support::{Invocation, Session, TestDb, markenmate, schema_file, sql, wait_until};

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
    assert!(refused.stdout.contains("markenmate cleanup audit --export"), "{}", refused.stdout);
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
    assert!(said.contains("File too large") && said.contains("are in the archive still"), "{said}");
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

/// An export that was killed with its first file named and its rows still in the archive. Returns how many there are.
fn killed(db: &TestDb, name: &str) -> u64 {
    let session = db.session();
    cleanup(db, &[name, "--yes"]).assert_code(0);
    let all = archived(&session, &name.replace("audit", "audit_log").replace("app-log", "app_log"));
    let holder = db.session();
    holder.sql("BEGIN; LOCK TABLE markenmate.gate IN SHARE MODE");
    let running = export(db, &[name]).spawn();
    running.wait_for_stderr("waiting");
    running.signal("KILL");
    running.wait();
    holder.sql("COMMIT");
    all
}

fn states(session: &Session) -> String {
    one(session, "SELECT string_agg(state, ',' ORDER BY began_at) FROM markenmate.export")
}

#[test]
fn what_is_given_up_leaves_no_file_with_rows_that_the_archive_has() {
    let db = filled();
    let session = db.session();
    let all = killed(&db, "audit");
    let folder = db.folder().join("ex");
    // The lines are others now.
    session.sql("ALTER TABLE markenmate.audit_log_archive ADD COLUMN later text DEFAULT 'x'");
    let failed = export(&db, &["audit"]).run().assert_code(1);
    assert!(failed.stdout.contains("the archive changed"), "{}", failed.stdout);
    assert!(!failed.stdout.contains("there is room"), "{}", failed.stdout);
    assert_eq!(files(&folder), BTreeMap::new());
    assert_eq!(states(&session), "given_up");
    export(&db, &["audit"]).run().assert_code(0);
    assert_eq!(exported(&folder, "audit_log").len() as u64 + archived(&session, "audit_log"), all);
}

#[test]
fn what_cannot_be_removed_is_not_given_up() {
    let db = filled();
    let session = db.session();
    killed(&db, "audit");
    let folder = db.folder().join("ex");
    let (_, target) = files(&folder).into_iter().find(|(name, _)| name.ends_with("gz")).unwrap();
    std::fs::remove_file(&target).unwrap();
    std::fs::create_dir_all(target.join("in the way")).unwrap();
    export(&db, &["audit"]).run().assert_code(1);
    assert_eq!(states(&session), "writing");
    std::fs::remove_dir_all(&target).unwrap();
    export(&db, &["audit"]).run().assert_code(0);
    assert!(states(&session).starts_with("done"));
}

fn page(after: u64, size: u64, bytes: u64) -> String {
    include_str!("../../src/cleanup/export/page.sql")
        .replace("%ARCHIVE%", "audit_log_archive")
        .replace("%RANGE%", "a.archive_id BETWEEN 1 AND 1000000 AND a.created_at < now()")
        .replace("%AFTER%", &format!("'{after}'::bigint"))
        .replace("%SIZE%", &size.to_string())
        .replace("%BYTES%", &bytes.to_string())
}

#[test]
fn a_page_is_read_in_the_order_of_the_key_and_ends_by_bytes() {
    let db = filled();
    let session = db.session();
    session.sql("ALTER TABLE markenmate.audit_log_archive SET (autovacuum_enabled = false)");
    session.sql(
        "INSERT INTO markenmate.audit_log_archive (id, user_id, action, metadata, ip_address, user_agent, created_at)
         SELECT n, 'u', 'A', CASE WHEN n BETWEEN 101 AND 400 THEN repeat(md5(n::text), CASE n WHEN 200 THEN 300000 ELSE 3200 END) END,
                '-', '-', now() - interval '200 days' FROM generate_series(1, 20000) n",
    );
    // No statistics, as after the run that filled it.
    let text = page(10_000, 2_000, 1 << 23);
    let (settings, select) = text.rsplit_once(';').unwrap();
    session.sql(&format!("BEGIN; {settings}"));
    let plan: Vec<String> = session
        .sql(&format!("EXPLAIN {select}"))
        .iter()
        .map(|row| row[0].clone().unwrap())
        .collect();
    session.sql("COMMIT");
    let plan = plan.join("\n");
    assert!(plan.contains("Index Scan using audit_log_archive_pkey"), "{plan}");
    assert!(!plan.contains("Sort") && !plan.contains("Bitmap"), "{plan}");

    let read = |after| {
        let text = page(after, 2_000, 1 << 20);
        let select = text.rsplit_once(';').unwrap().1.to_owned();
        let figures = one(
            &session,
            &format!(
                "SELECT count(*) || ' ' || sum(octet_length(line)) || ' ' || max(archive_id) FROM ({select}) page"
            ),
        );
        figures.split(' ').map(|n| n.parse().unwrap()).collect::<Vec<u64>>()
    };
    let first = read(100);
    assert!(first[0] < 15 && first[1] <= 1 << 20, "{first:?}");
    // One that is longer by itself comes alone.
    let one_row = read(199);
    assert_eq!((one_row[0], one_row[2]), (1, 200));
    export(&db, &["audit"]).run().assert_code(0);
    let rows = exported(&db.folder().join("ex"), "audit_log");
    let longest = rows.iter().filter_map(|row| row["metadata"].as_str()).map(str::len).max();
    assert_eq!(longest, Some(300_000 * 32));
    assert!(rows.len() >= 20_000);
}

#[test]
fn the_way_on_names_the_job_and_another_archives_export_is_told() {
    let db = filled();
    killed(&db, "app-log");
    let (folder, other) = (db.folder().join("ex"), db.folder().join("other"));
    let other = other.to_str().unwrap();
    let go_on = format!("markenmate cleanup app-log --export {}", folder.display());
    let flags = ["--yes", "--export-older-than", "0s", "--export", other];
    let before = one(&db.session(), "SELECT count(*) FROM public.audit_log");
    let refused = cleanup(&db, &[&["audit", "app-log", "--older-than", "1s"], &flags[..]].concat())
        .assert_code(4);
    assert!(
        refused.stdout.contains(&format!("{go_on} --older-than 1s --export-older-than 0s")),
        "{}",
        refused.stdout
    );
    // A dry run is refused the same, and shows what there is to do.
    let dry = [&["audit", "app-log", "--older-than", "1s", "--dry-run"], &flags[..]].concat();
    let dry = cleanup(&db, &dry).assert_code(4).json();
    assert_eq!(dry["error"], refused.json()["error"], "{dry:#}");
    assert_eq!(dry["data"]["jobs"][1]["id"], "app-log", "{dry:#}");
    cleanup(&db, &["app-log", "--dry-run", "--export", folder.to_str().unwrap()]).assert_code(0);
    // Before the jobs moved anything.
    assert_eq!(one(&db.session(), "SELECT count(*) FROM public.audit_log"), before);
    let audit = cleanup(&db, &[&["audit"], &flags[..]].concat()).assert_code(0).json();
    assert!(audit["data"]["unfinished"][0].as_str().unwrap().contains(&go_on), "{audit:#}");
    let args = [&["-d", &db.url, "cleanup", "audit", "--dry-run"], &flags[1..]].concat();
    let named = markenmate(&args).run().assert_code(0).stdout;
    assert!(named.contains("to go on with it: markenmate -d '"), "{named}");
}

#[test]
fn ended_while_it_exports_it_does_not_say_that_nothing_was_changed() {
    let db = filled();
    let session = db.session();
    let holder = db.session();
    holder.sql("BEGIN; LOCK TABLE markenmate.export IN SHARE MODE");
    let running = export(&db, &["audit", "--max-wait", "60s"]).spawn();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'markenmate' AND datname = current_database() AND wait_event_type = 'Lock'";
    assert!(wait_until(Duration::from_secs(30), || one(&session, waits) == "1"));
    running.signal("INT");
    let ended = running.wait().assert_code(130);
    holder.sql("COMMIT");
    assert!(ended.stdout.contains("done before: audit, "), "{}", ended.stdout);
    assert!(!ended.stdout.contains("nothing was changed"), "{}", ended.stdout);
}

#[test]
fn after_its_time_no_file_is_begun_and_what_is_left_is_said() {
    let db = filled();
    let session = db.session();
    cleanup(&db, &["audit", "--yes"]).assert_code(0);
    let done = export(&db, &["audit", "--max-duration", "0s", "--batch-time", "50ms"]).run();
    let done = done.assert_code(0).json();
    assert_eq!(done["outcome"], "done", "{done:#}");
    assert_eq!(done["data"]["files"], serde_json::json!([]), "{done:#}");
    let due = "SELECT count(*) FROM markenmate.audit_log_archive WHERE created_at < date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'";
    assert_eq!(done["data"]["remaining_export"].to_string(), one(&session, due));
    let folder = db.folder().join("ex");
    let next = format!(
        "markenmate cleanup audit --export {} --export-older-than 0s --batch-time 50ms --max-duration 0s",
        folder.display()
    );
    assert!(done["next"].to_string().contains(&next), "{done:#}");
}

#[test]
fn a_folder_that_is_none_is_refused_before_rows_move() {
    let db = filled();
    let session = db.session();
    let file = db.folder().join("file");
    std::fs::write(&file, "").unwrap();
    for bad in [file.to_str().unwrap(), file.join("below").to_str().unwrap(), "/proc/x"] {
        let refused = cleanup(&db, &["audit", "--yes", "--export", bad]).assert_code(4);
        assert!(refused.stdout.contains("cannot use the folder"), "{}", refused.stdout);
        assert!(refused.stdout.contains("name a folder"), "{}", refused.stdout);
    }
    assert_eq!(archived(&session, "audit_log"), 0);
    // A dry run foretells it, and makes no folder.
    for bad in [file.clone(), file.join("below"), file.join("a/../b")] {
        let args = ["audit", "--dry-run", "--export", bad.to_str().unwrap()];
        let dry = cleanup(&db, &args).assert_code(4).json();
        assert!(dry["error"].to_string().contains("cannot use the folder"), "{dry:#}");
    }
    let new = db.folder().join("new/below");
    cleanup(&db, &["audit", "--dry-run", "--export", new.to_str().unwrap()]).assert_code(0);
    assert!(!db.folder().join("new").exists());
    export(&db, &["audit"]).run().assert_code(0);
    assert!(!files(&db.folder().join("ex")).keys().any(|name| name.starts_with('.')));
}

#[test]
fn a_dry_run_counts_what_the_jobs_will_have_archived() {
    let db = filled();
    let dry = export(&db, &["audit", "--dry-run"]).run().assert_code(0).json();
    let planned = dry["data"]["export"][0]["rows"].as_u64().unwrap();
    let done = export(&db, &["audit"]).run().assert_code(0).json();
    let files = done["data"]["files"].as_array().unwrap();
    assert!(planned > 0);
    assert_eq!(files.iter().map(|file| file["rows"].as_u64().unwrap()).sum::<u64>(), planned);
    let again = export(&db, &["audit"]).run().assert_code(0).json();
    assert!(!again["steps"].to_string().contains("whole months"), "{again:#}");
}

#[test]
fn the_same_path_on_another_host_is_another_folder() {
    let db = filled();
    let session = db.session();
    killed(&db, "audit");
    session.sql("UPDATE markenmate.export SET host = 'elsewhere'");
    let folder = db.folder().join("ex");
    let aside = db.folder().join("aside");
    std::fs::rename(&folder, &aside).unwrap();
    let refused = export(&db, &["audit"]).run().assert_code(4);
    assert!(refused.stdout.contains("on elsewhere"), "{}", refused.stdout);
    // The file is there: it is one folder, seen from two hosts.
    assert!(!folder.exists(), "it was refused, and made a folder");
    std::fs::rename(&aside, &folder).unwrap();
    export(&db, &["audit"]).run().assert_code(0);
}

#[test]
fn a_byte_that_is_no_utf8_is_refused_by_name() {
    let db = TestDb::empty();
    let name = format!("{}_ascii", one(&db.session(), "SELECT current_database()"));
    sql(
        &db,
        &format!(
            "CREATE DATABASE {name} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        ),
    );
    let url = crate::support::cluster().url(&name);
    let session = Session::open(&url);
    session.sql(&schema_file("V1__baseline.sql"));
    markenmate(&["migrate", "--yes"]).url(&url).run().assert_code(0);
    session.sql(
        "INSERT INTO markenmate.audit_log_archive (id, user_id, action, ip_address, user_agent, created_at)
         SELECT n, 'u', 'A', '-', CASE n WHEN 7 THEN convert_from('\\xff', 'SQL_ASCII') ELSE '-' END, now() - interval '200 days'
           FROM generate_series(1, 20) n",
    );
    let folder = db.folder().join("ex");
    let args =
        ["cleanup", "audit", "--yes", "--format", "json", "--export", folder.to_str().unwrap()];
    let refused = markenmate(&args).url(&url).run().assert_code(4);
    assert!(
        refused.stdout.contains("archive_id 7 (id 7) has a byte that is no UTF-8"),
        "{}",
        refused.stdout
    );
}

#[test]
fn a_publication_of_all_tables_stops_no_export() {
    let db = filled();
    db.session().sql("CREATE PUBLICATION everything FOR ALL TABLES");
    for (job, table) in [("audit", "audit_log"), ("app-log", "app_log")] {
        export(&db, &[job, "--older-than", "1d"]).run().assert_code(0);
        assert!(!exported(&db.folder().join("ex"), table).is_empty());
    }
}

#[test]
fn a_folder_of_another_database_is_warned_of() {
    let (one_db, other) = (filled(), filled());
    export(&one_db, &["audit"]).run().assert_code(0);
    let folder = one_db.folder().join("ex");
    let args = ["cleanup", "audit", "--dry-run", "--format", "json", "--export"];
    let into = |db: &TestDb| {
        markenmate(&[args.as_slice(), &[folder.to_str().unwrap()]].concat()).db(db).run()
    };
    let warned = |seen: &Value| {
        seen["findings"].as_array().unwrap().iter().any(|f| f["id"] == "folder-shared")
    };
    assert!(!warned(&into(&one_db).assert_code(0).json()));
    let seen = into(&other).assert_code(0).json();
    assert!(warned(&seen), "{seen:#}");
    let name = one(&one_db.session(), "SELECT current_database()");
    assert!(seen.to_string().contains(&format!("counts both: {name} (server ")), "{seen:#}");
}
