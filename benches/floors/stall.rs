//! The longest that a client of the app waits while a migration wants a table that a reader holds.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use super::child::{Program, median, run};
use super::ground::{Ground, connect, runtime};
use super::table::{Line, ms};

/// How long the reader stays.
const HELD: Duration = Duration::from_secs(8);
/// How long the client is watched before the migration starts.
const IDLE: Duration = Duration::from_secs(2);
/// Between two questions of the client.
const TICK: Duration = Duration::from_millis(5);
/// The tool's default.
const LOCK_TIMEOUT: Duration = Duration::from_millis(50);
/// For a quiet machine.
const MOST: Duration = Duration::from_millis(60);

const QUESTION: &str = r#"SELECT id, name, email FROM public."user" LIMIT 1"#;

/// The longest waits of one client.
#[derive(Debug, Clone, Copy)]
struct Waits {
    idle: Duration,
    migrating: Duration,
}

pub fn stall(g: &Ground) -> Vec<Line> {
    let rounds = if g.full { 5 } else { 1 };
    let tool = |g: &Ground, url: &str| g.tool(["migrate", "--yes", "-d", url]);
    let waits = several(g, rounds, &tool);
    let allowed = LOCK_TIMEOUT + waits.idle;
    let mut lines = vec![
        Line::alone("longest wait of a client, nobody migrating", ms(waits.idle)),
        Line {
            floor: ms(LOCK_TIMEOUT),
            ..Line::alone("longest wait of a client, migrate", ms(waits.migrating))
        }
        .target(
            format!("≤ {} and < {}", ms(allowed), ms(MOST)),
            waits.migrating <= allowed && waits.migrating < MOST,
        ),
    ];
    if g.full {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), super::floor::migrate()).unwrap();
        let hand = several(g, 1, &|g, url| by_hand(g, url, file.path()));
        lines.push(Line::alone("… psql in a loop, lock_timeout 50 ms", ms(hand.migrating)));
        let bare = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(bare.path(), super::floor::migrate().replace("'50ms'", "0")).unwrap();
        let bare_path = bare.path().to_str().unwrap();
        let waits = several(g, 1, &|g, url| g.psql(["-q", "-1", "-d", url, "-f", bare_path]));
        lines.push(Line::alone("… psql without a lock_timeout", ms(waits.migrating)));
    }
    lines
}

/// What careful people write: try, sleep a quarter of a second, try again.
fn by_hand(g: &Ground, url: &str, file: &Path) -> Program {
    let psql = g.psql(["-q", "-1", "-v", "ON_ERROR_STOP=1", "-d", url, "-f"]);
    let words = psql.0.iter().cloned().chain([file.as_os_str().to_owned()]);
    let script = "until \"$@\" 2>/dev/null; do sleep 0.25; done";
    Program::new(["sh", "-c", script, "sh"].map(Into::into).into_iter().chain(words))
}

fn several(g: &Ground, rounds: u32, migration: &dyn Fn(&Ground, &str) -> Program) -> Waits {
    let all: Vec<Waits> = (0..rounds).map(|_| once(g, migration)).collect();
    Waits {
        idle: median(all.iter().map(|waits| waits.idle)),
        migrating: median(all.iter().map(|waits| waits.migrating)),
    }
}

fn once(g: &Ground, migration: &dyn Fn(&Ground, &str) -> Program) -> Waits {
    let url = g.fresh();
    let (migrating, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let arrived = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| read_and_stay(&url, &arrived));
        while !arrived.load(Relaxed) {
            thread::sleep(Duration::from_millis(1));
        }
        let client = scope.spawn(|| ask(&url, &migrating, &over));
        thread::sleep(IDLE);
        migrating.store(true, Relaxed);
        run(&migration(g, &url));
        over.store(true, Relaxed);
        client.join().unwrap()
    })
}

/// A transaction that has read the table and stays open.
fn read_and_stay(url: &str, arrived: &AtomicBool) {
    runtime().block_on(async {
        let reader = connect(url).await;
        reader.batch_execute(&format!("BEGIN; {QUESTION}")).await.unwrap();
        arrived.store(true, Relaxed);
        tokio::time::sleep(HELD).await;
        reader.batch_execute("COMMIT").await.unwrap();
    });
}

/// Asks 200 times a second until `over`, and says how long the longest answer took.
fn ask(url: &str, migrating: &AtomicBool, over: &AtomicBool) -> Waits {
    let runtime = runtime();
    let client = runtime.block_on(connect(url));
    let ask = || runtime.block_on(client.simple_query(QUESTION)).unwrap();
    // A new session's first question reads the catalogue.
    ask();
    let mut waits = Waits { idle: Duration::ZERO, migrating: Duration::ZERO };
    while !over.load(Relaxed) {
        let longest = if migrating.load(Relaxed) { &mut waits.migrating } else { &mut waits.idle };
        let began = Instant::now();
        ask();
        *longest = began.elapsed().max(*longest);
        thread::sleep(TICK.saturating_sub(began.elapsed()));
    }
    waits
}
