//! Ended at any moment, a cleanup and its export have lost and doubled nothing once one more run is through.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::support::campaign::{figure, tell};
use crate::support::state::one;
use crate::support::{Invocation, Session, TestDb, markenmate, sql, wait_until};

use super::export::exported;

const COLUMNS: [&str; 9] = [
    "id",
    "user_id",
    "action",
    "target_user_id",
    "metadata",
    "ip_address",
    "user_agent",
    "correlation_id",
    "created_at",
];

/// 2000 rows of the last year, in no order.
const MORE: &str = "
    INSERT INTO public.audit_log (user_id, action, target_user_id, metadata, ip_address, user_agent, correlation_id, created_at)
    SELECT u.id, 'LENDING_UPDATE', CASE WHEN n % 3 = 0 THEN u.id END, '{\"n\":' || n || E'}\\n', '198.51.100.7', 'agent', gen_random_uuid()::text,
           now() - (n * 7919 % 2000) * interval '4 hours'
      FROM generate_series(1, 2000) n
      JOIN (SELECT id, row_number() OVER (ORDER BY id) AS r FROM public.\"user\") u ON u.r = 1 + n % 15";

/// The rows of a table, each as one text.
fn rows(session: &Session, table: &str) -> Vec<String> {
    let columns = COLUMNS.join(", ");
    let sql = format!(
        "SET TimeZone = 'UTC'; SELECT row_to_json(r)::text FROM (SELECT {columns} FROM {table}) r"
    );
    let texts = session.sql(&sql).into_iter().flatten().flatten();
    texts.map(|text| canonical(&serde_json::from_str(&text).unwrap())).collect()
}

fn canonical(row: &Value) -> String {
    COLUMNS.map(|column| row[column].to_string()).join(",")
}

/// All there is, wherever it is.
fn everything(session: &Session, folder: &Path) -> [Vec<String>; 3] {
    [
        rows(session, "public.audit_log"),
        rows(session, "markenmate.audit_log_archive"),
        exported(folder, "audit_log").iter().map(canonical).collect(),
    ]
}

fn sorted(all: [Vec<String>; 3]) -> Vec<String> {
    let mut all = all.concat();
    all.sort();
    all
}

fn run(db: &TestDb, folder: &Path) -> Invocation {
    let folder = folder.to_str().unwrap();
    let args = [
        "cleanup",
        "--yes",
        "--format",
        "json",
        "--batch-time",
        "1ms",
        "--export-older-than",
        "120d",
        "--export",
        folder,
    ];
    markenmate(&args).db(db)
}

#[test]
fn killed_at_any_moment_every_row_is_somewhere_once() {
    let kills = figure("CLEANUP_KILLS", 8);
    let db = TestDb::migrated();
    let session = db.session();
    let (mut stages, mut doubled) = ([0_u32; 4], 0_usize);
    let mut longest = 400;
    for kill in 0..kills {
        let folder = db.folder().join(format!("ex{}", kill / 20));
        if kill % 20 == 0 {
            session.sql("TRUNCATE public.audit_log, public.step_up_token; BEGIN; SELECT markenmate.open_gate('test');
                         TRUNCATE markenmate.audit_log_archive; COMMIT");
        }
        session.sql(MORE);
        let mut original = sorted(everything(&session, &folder));
        original.dedup();
        let running = run(&db, &folder).spawn();
        sleep(Duration::from_millis(u64::from(kill * 7919 % longest)));
        running.signal("KILL");
        let ended = running.wait();
        assert!(wait_until(Duration::from_secs(10), || {
            one(
                &session,
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'markenmate' AND datname = current_database()",
            ) == "0"
        }));

        // Nothing is lost; a file that was written may have what the archive still has.
        let mut all = sorted(everything(&session, &folder));
        let seen = all.len();
        all.dedup();
        assert_eq!(all, original, "after kill {kill}");
        doubled += usize::from(seen > all.len());
        let stage = one(
            &session,
            "SELECT CASE WHEN EXISTS (SELECT FROM markenmate.cleanup WHERE finished_at IS NULL) THEN 1
                         WHEN EXISTS (SELECT FROM markenmate.export WHERE state = 'writing') THEN 2 ELSE 0 END",
        );
        let stage: usize = if ended.code == 0 { 3 } else { stage.parse().unwrap() };
        stages[stage] += 1;

        let again = run(&db, &folder).run().assert_code(0);
        longest = u32::try_from(again.millis.clamp(100, 2000)).unwrap();
        assert_eq!(
            sorted(everything(&session, &folder)),
            original,
            "after kill {kill} and one more run"
        );
        let left = one(
            &session,
            "SELECT concat_ws(' ', (SELECT count(*) FROM markenmate.cleanup WHERE finished_at IS NULL),
                    (SELECT count(*) FROM markenmate.export WHERE state = 'writing'),
                    (SELECT count(*) FROM public.audit_log WHERE created_at < now() - interval '91 days'),
                    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())))",
        );
        assert_eq!(left, "0 0 0 0");
    }
    // Every receipt's rows, and no others, are or were in the archive.
    let receipts = "SELECT sum((detail::json ->> 'archived')::bigint) = (SELECT sum(archived) FROM markenmate.cleanup)
                      FROM markenmate.ledger WHERE command = 'cleanup' AND subject = 'audit'";
    assert_eq!(one(&session, receipts), "t");
    markenmate(&["verify", "--only", "ledger-chain"]).db(&db).run().assert_code(0);
    tell(&format!(
        "{kills} cleanups with export killed: {} between jobs, {} in a job, {} with a file announced, {} had ended; {doubled} left rows in file and archive; 0 rows lost or doubled after one more run",
        stages[0], stages[1], stages[2], stages[3]
    ));
}

/// The server's disk: a backend may not make a file larger than it is.
#[test]
fn where_the_servers_disk_is_full_the_batch_is_taken_back() {
    let db = TestDb::migrated();
    let session = db.session();
    // The archive is larger than a segment of the log, which must be written still.
    session.sql(
        "INSERT INTO markenmate.audit_log_archive (id, user_id, action, metadata, created_at)
         SELECT n, 'u', 'x', repeat('m', 900), now() - interval '1 year' FROM generate_series(1, 22000) n",
    );
    for _ in 0..4 {
        session.sql(MORE);
    }
    session.sql("UPDATE public.audit_log SET user_agent = repeat('u', 900)");
    let before = sorted(everything(&session, Path::new("/nowhere")));
    let size: u64 =
        one(&session, "SELECT pg_relation_size('markenmate.audit_log_archive')").parse().unwrap();
    assert!(size > 18_000_000, "{size}");
    let holder = db.session();
    holder.sql("BEGIN; LOCK TABLE public.audit_log IN EXCLUSIVE MODE");
    let running =
        markenmate(&["cleanup", "audit", "--yes", "--batch-time", "2ms", "--format", "json"])
            .db(&db)
            .spawn();
    running.wait_for_stderr("waiting: pid");
    let pids = session.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'markenmate' AND datname = current_database()");
    for pid in pids.into_iter().flatten().flatten() {
        let limit = format!("--fsize={}", size + 400_000);
        // As the server's own user: root itself may lack the capability.
        let server = std::fs::metadata(format!("/proc/{pid}")).unwrap();
        let mut prlimit = Command::new("prlimit");
        prlimit.args(["--pid", &pid, &limit]).uid(server.uid()).gid(server.gid());
        assert!(prlimit.status().unwrap().success());
    }
    holder.sql("COMMIT");
    let full = running.wait();
    assert_eq!(full.code, 6, "{full:?}");
    assert!(
        full.stdout.contains("could not extend file") && full.stdout.contains("nothing is lost"),
        "{}",
        full.stdout
    );
    assert_eq!(sorted(everything(&session, Path::new("/nowhere"))), before);
    sql(&db, "SELECT 1");
    let done = markenmate(&["cleanup", "audit", "--yes"]).db(&db).run().assert_code(0);
    assert_eq!(sorted(everything(&session, Path::new("/nowhere"))), before, "{done:?}");
}
