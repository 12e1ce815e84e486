//! `cleanup` beside the guide's statements, with a client that writes the audit log all the while and a standby that
//! follows: time, the longest transaction, what others see of it.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use markenmate::sandbox::sample::Sample;

use super::child::{Cost, Program, listen, median};
use super::ground::{Ground, connect, runtime};
use super::table::{Line, mib, ms};

/// Audit rows, half of them old, dates at random; expired tokens are half as many. With `--full` the larger ones.
const SIZES: [[u32; 2]; 2] = [[20_000, 200_000], [200_000, 2_000_000]];

const FILL: [&str; 3] = [
    "INSERT INTO public.audit_log (user_id, action, metadata, ip_address, user_agent, correlation_id, created_at)
     SELECT u.id, 'LENDING_UPDATE', format('{\"lendingId\":%s,\"personName\":\"P\",\"oldTokenCount\":1,\"newTokenCount\":2}', n), '198.51.100.7',
            'Mozilla/5.0 (X11; Linux x86_64)', gen_random_uuid(), now() - random() * interval '180 days'
       FROM generate_series(1, %ROWS%) n JOIN (SELECT id, row_number() OVER (ORDER BY id) AS r FROM public.\"user\") u ON u.r = 1 + n % 200",
    "INSERT INTO public.step_up_token (token, user_id, expires_at)
     SELECT md5(n::text), u.id, now() - random() * interval '1 day'
       FROM generate_series(1, %ROWS% / 2) n JOIN (SELECT id, row_number() OVER (ORDER BY id) AS r FROM public.\"user\") u ON u.r = 1 + n % 200",
    "VACUUM ANALYZE",
];

/// The guide's archive, with the table that it forgets; one transaction, so that a stop loses nothing.
const GUIDE_AUDIT: &str = "CREATE TABLE public.audit_log_archive (LIKE public.audit_log); \
    INSERT INTO public.audit_log_archive SELECT * FROM public.audit_log WHERE created_at < NOW() - INTERVAL '90 days'; \
    DELETE FROM public.audit_log WHERE created_at < NOW() - INTERVAL '90 days';";
/// The same into a table that has a key of its own, as ours has: what an export goes by, and replication.
const GUIDE_KEYED: &str = "CREATE TABLE public.audit_log_archive (LIKE public.audit_log, archive_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY); \
    INSERT INTO public.audit_log_archive (id, user_id, action, target_user_id, metadata, ip_address, user_agent, correlation_id, created_at) \
    SELECT id, user_id, action, target_user_id, metadata, ip_address, user_agent, correlation_id, created_at \
      FROM public.audit_log WHERE created_at < NOW() - INTERVAL '90 days'; \
    DELETE FROM public.audit_log WHERE created_at < NOW() - INTERVAL '90 days';";
const GUIDE_TOKENS: &str = "DELETE FROM public.step_up_token WHERE expires_at < NOW();";

/// 200 rows a second.
const TICK: Duration = Duration::from_millis(5);
const IDLE: Duration = Duration::from_secs(3);
const WAIT: Duration = Duration::from_millis(50);
const MEMORY: u64 = 16 << 20;

/// One run, and what was seen of it.
#[derive(Debug, Clone, Copy)]
struct Round {
    cost: Cost,
    /// As the tool says; of the guide's statements, the sampler's.
    transaction: Duration,
    /// Of the client: with nobody cleaning up, and during the run.
    waits: [Duration; 2],
    seen: Seen,
}

/// The most that a sampler saw.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    writer: Duration,
    snapshot: Duration,
    lag: Duration,
}

pub fn cleanup(g: &Ground) -> Vec<Line> {
    let [small, large] = SIZES[usize::from(g.full)];
    let rounds = if g.full { 3 } else { 2 };
    let mut lines = Vec::new();
    let mut per_row = Vec::new();
    for rows in [small, large] {
        let name = format!("bench_cleanup_{rows}");
        g.build(&name, Sample::default());
        super::child::run(&g.tool(["migrate", "--yes", "-d", &g.url(&name)]));
        for statement in FILL {
            g.execute(&name, &statement.replace("%ROWS%", &rows.to_string()));
        }
        let tool = |job: &'static str| {
            move |g: &Ground, url: &str| {
                g.tool([
                    "cleanup",
                    job,
                    "--yes",
                    "--batch-time",
                    "17ms",
                    "--format",
                    "json",
                    "-d",
                    url,
                ])
            }
        };
        let guide = |sql: &'static str| {
            move |g: &Ground, url: &str| {
                g.psql(["-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql])
            }
        };
        let (mut audit, mut pair, mut keyed) = (vec![], vec![], vec![]);
        let (mut tokens, mut delete) = (vec![], vec![]);
        for _ in 0..rounds {
            audit.push(once(g, &name, &tool("audit"), false));
            pair.push(once(g, &name, &guide(GUIDE_AUDIT), false));
            keyed.push(once(g, &name, &guide(GUIDE_KEYED), false));
            tokens.push(once(g, &name, &tool("tokens"), false));
            delete.push(once(g, &name, &guide(GUIDE_TOKENS), false));
        }
        per_row.push(wall(&audit).as_secs_f64() / f64::from(rows));
        if rows == small {
            lines.push(memory(&audit, rows));
            g.wait(g.server.drop_database(&name)).unwrap();
            continue;
        }
        lines.push(memory(&audit, rows));
        lines.extend(beside(
            &format!(
                "audit: {} of {rows} rows archived : the guide's pair in one transaction",
                rows / 2
            ),
            &audit,
            &pair,
            Some(0.01),
        ));
        lines.extend(seen(g, &name, [&tool("audit"), &guide(GUIDE_AUDIT)]));
        lines.push(Line::beside(
            "  the guide's pair into a table with a key, as the archive is : without (for scale)",
            wall(&keyed),
            wall(&pair),
        ));
        // One statement of a few hundred milliseconds: a hundredth of it is shorter than a batch is to be.
        lines.extend(beside(
            &format!("tokens: {} rows deleted : the guide's DELETE", rows / 2),
            &tokens,
            &delete,
            None,
        ));
        g.wait(g.server.drop_database(&name)).unwrap();
    }
    let ratio = per_row[1] / per_row[0];
    lines.push(
        Line::alone(format!("time per row at {large} rows / at {small}"), format!("{ratio:.2}"))
            .target("< 1.2", ratio < 1.2),
    );
    lines
}

/// What makes a program of a database's URL.
type Made<'a> = &'a dyn Fn(&Ground, &str) -> Program;

/// What others see, in a round of its own: a standby takes a core, which it has elsewhere, and whoever looks a part
/// of one.
fn seen(g: &Ground, name: &str, programs: [Made<'_>; 2]) -> Vec<Line> {
    let standby = Standby::start(g);
    let [tool, guide] = programs.map(|program| once(g, name, program, true).seen);
    drop(standby);
    g.execute("postgres", "SELECT pg_drop_replication_slot('bench_standby')");
    let both = |what: &str, of: fn(&Seen) -> Duration| Line::beside(what, of(&tool), of(&guide));
    vec![
        both("  longest that a row was locked, as others see it", |seen| seen.writer),
        both("  oldest snapshot, which keeps vacuum from its work", |seen| seen.snapshot),
        both("  how far a standby on the same machine was behind", |seen| seen.lag),
    ]
}

fn wall(rounds: &[Round]) -> Duration {
    median(rounds.iter().map(|r| r.cost.wall))
}

fn memory(rounds: &[Round], rows: u32) -> Line {
    let most = rounds.iter().map(|r| r.cost.memory).max().unwrap_or_default();
    Line::alone(format!("memory, cleanup audit at {rows} rows"), mib(most))
        .target("< 16 MiB", most < MEMORY)
}

fn beside(what: &str, tool: &[Round], floor: &[Round], longest: Option<f64>) -> Vec<Line> {
    let of = |rounds: &[Round], what: fn(&Round) -> Duration| median(rounds.iter().map(what));
    let both = |what: &str, of_one: fn(&Round) -> Duration| {
        Line::beside(what, of(tool, of_one), of(floor, of_one))
    };
    let [idle, during] = [0, 1].map(|at| median(tool.iter().map(|r| r.waits[at])));
    let transaction = both("  longest transaction", |r| r.transaction);
    vec![
        both(what, |r| r.cost.wall).at_most(1.25),
        match longest {
            Some(longest) => transaction.at_most(longest),
            None => transaction,
        },
        both("  longest wait of a client that inserts 200 a second, nobody cleaning up", |r| {
            r.waits[0]
        }),
        both("  longest wait of that client", |r| r.waits[1])
            .target(format!("< {} + 50 ms", ms(idle)), during < idle + WAIT),
    ]
}

/// A run beside the client; `watched` by a sampler as well, which takes its part of the machine.
fn once(g: &Ground, template: &str, program: Made<'_>, watched: bool) -> Round {
    const NAME: &str = "bench_cleaned_up";
    g.create(NAME, Some(template));
    g.execute(NAME, "CHECKPOINT");
    let url = g.url(NAME);
    caught_up(g, &url);
    let over = AtomicBool::new(false);
    let longest = AtomicU64::new(0);
    let seen = [const { AtomicU64::new(0) }; 3];
    let take = || Duration::from_micros(longest.swap(0, Relaxed));
    let round = thread::scope(|scope| {
        scope.spawn(|| client(&url, &over, &longest));
        if watched {
            scope.spawn(|| sampler(&url, &over, &seen));
        }
        thread::sleep(Duration::from_millis(500));
        take();
        thread::sleep(IDLE);
        let idle = take();
        seen.iter().for_each(|seen| seen.store(0, Relaxed));
        let (cost, said) = listen(&program(g, &url));
        let during = take();
        // How far it is behind at the end is seen, too.
        caught_up(g, &url);
        over.store(true, Relaxed);
        let [writer, snapshot, lag] =
            [0, 1, 2].map(|at| Duration::from_micros(seen[at].load(Relaxed)));
        let told = serde_json::from_str::<serde_json::Value>(&said).ok();
        let told = told.and_then(|report| report["data"]["jobs"][0]["longest_batch_ms"].as_f64());
        // The guide's is one transaction.
        let transaction = told.map_or(cost.wall, |ms| Duration::from_secs_f64(ms / 1000.0));
        Round { cost, transaction, waits: [idle, during], seen: Seen { writer, snapshot, lag } }
    });
    eprintln!("    {round:?}");
    g.wait(g.server.drop_database(NAME)).unwrap();
    round
}

/// Waits until the standby, if there is one, has all that was done so far.
fn caught_up(g: &Ground, url: &str) {
    let sql = "SELECT count(*)::int FROM pg_replication_slots
                 LEFT JOIN pg_stat_replication r ON r.pid = active_pid AND r.state = 'streaming'
                WHERE r.replay_lsn IS NULL OR r.replay_lsn < pg_current_wal_lsn()";
    let client = g.wait(connect(url));
    let began = Instant::now();
    while g.wait(client.query_one(sql, &[])).unwrap().get::<_, i32>(0) > 0 {
        assert!(began.elapsed() < Duration::from_secs(120), "the standby does not follow");
        thread::sleep(Duration::from_millis(20));
    }
}

fn client(url: &str, over: &AtomicBool, longest: &AtomicU64) {
    let runtime = runtime();
    let client = runtime.block_on(connect(url));
    while !over.load(Relaxed) {
        let began = Instant::now();
        let sql = "INSERT INTO public.audit_log (user_id, action) SELECT min(id), 'STEP_UP_AUTH_SUCCESS' FROM public.\"user\"";
        runtime.block_on(client.simple_query(sql)).unwrap();
        let took = began.elapsed();
        longest.fetch_max(u64::try_from(took.as_micros()).unwrap(), Relaxed);
        thread::sleep(TICK.saturating_sub(took));
    }
}

/// The age of the oldest writer, of the oldest snapshot, and how far the standby is behind.
fn sampler(url: &str, over: &AtomicBool, seen: &[AtomicU64; 3]) {
    let runtime = runtime();
    let client = runtime.block_on(connect(url));
    let sql = "SELECT (1000000 * extract(epoch FROM max(clock_timestamp() - xact_start) FILTER (WHERE backend_xid IS NOT NULL)))::bigint::text,
                      (1000000 * extract(epoch FROM max(clock_timestamp() - xact_start) FILTER (WHERE backend_xmin IS NOT NULL)))::bigint::text,
                      (SELECT (1000000 * extract(epoch FROM max(replay_lag)))::bigint::text FROM pg_stat_replication)
                 FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
    while !over.load(Relaxed) {
        for message in runtime.block_on(client.simple_query(sql)).unwrap() {
            if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
                for (at, seen) in seen.iter().enumerate() {
                    seen.fetch_max(
                        row.get(at).and_then(|n| n.parse().ok()).unwrap_or_default(),
                        Relaxed,
                    );
                }
            }
        }
        // A look takes a good part of a millisecond from whoever is at work.
        thread::sleep(Duration::from_millis(5));
    }
}

/// A standby of the bench's server, as the user whose server that is.
struct Standby {
    bindir: PathBuf,
    data: PathBuf,
    user: [u32; 2],
    _folder: tempfile::TempDir,
}

impl Standby {
    fn start(g: &Ground) -> Self {
        let folder = tempfile::Builder::new().prefix("mmsb").tempdir_in("/tmp").unwrap();
        let data_directory = g.wait(async {
            let client = connect(&g.url("postgres")).await;
            let row = client.query_one("SHOW data_directory", &[]).await.unwrap();
            row.get::<_, String>(0)
        });
        let owner = Path::new(&data_directory).metadata().unwrap();
        chown(folder.path(), Some(owner.uid()), Some(owner.gid())).unwrap();
        let standby = Self {
            // Where the programs really lie, should this folder hold links only.
            bindir: g
                .server
                .bindir()
                .join("initdb")
                .canonicalize()
                .unwrap()
                .parent()
                .unwrap()
                .into(),
            data: folder.path().join("d"),
            user: [owner.uid(), owner.gid()],
            _folder: folder,
        };
        let data = standby.data.to_str().unwrap().to_owned();
        standby.run(
            "pg_basebackup",
            &[
                "-d",
                &g.url("postgres"),
                "-D",
                &data,
                "-R",
                "-X",
                "stream",
                "-c",
                "fast",
                // Else what it has not read yet is thrown away under it, and nothing is measured.
                "-C",
                "-S",
                "bench_standby",
            ],
        );
        let socket = format!(
            "-c listen_addresses='' -c unix_socket_directories={} -c port=5433 -c max_connections=200",
            standby._folder.path().display()
        );
        standby.run(
            "pg_ctl",
            &["start", "-w", "-D", &data, "-l", &format!("{data}.log"), "-o", &socket],
        );
        standby
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(self.bindir.join(program));
        command
            .args(arguments)
            .uid(self.user[0])
            .gid(self.user[1])
            .current_dir("/")
            .stdout(std::process::Stdio::null());
        let ended = command.status();
        assert!(thread::panicking() || ended.is_ok_and(|status| status.success()), "{program}");
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        self.run("pg_ctl", &["stop", "-m", "immediate", "-D", self.data.to_str().unwrap()]);
    }
}
