//! `rollback` and `migrate` after it beside the guide's five psql calls and its migration, with clients working
//! all the while: time, and the longest wait of any of them.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use markenmate::sandbox::sample::Sample;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};

use super::child::{Program, listen, median};
use super::ground::{Ground, connect, runtime};
use super::table::{Line, ms};

/// Rows of the audit log, and lendings, half of them with a version above 1; with `--full` a million.
const ROWS: [u32; 2] = [100_000, 1_000_000];

const LARGE: &str = "bench_back";

const FILL: [&str; 5] = [
    "INSERT INTO public.audit_log (user_id, action, target_user_id, metadata, ip_address, user_agent, correlation_id, created_at)
     SELECT u.id, 'LENDING_UPDATE', CASE WHEN n % 3 = 0 THEN u.id END,
            format('{\"lendingId\":%s,\"personName\":\"P\",\"oldTokenCount\":1,\"newTokenCount\":2}', n), '198.51.100.7',
            'Mozilla/5.0 (X11; Linux x86_64)', gen_random_uuid(), now() - n * interval '1 second'
       FROM generate_series(1, %ROWS%) n JOIN (SELECT id, row_number() OVER (ORDER BY id) AS r FROM public.\"user\") u ON u.r = 1 + n % 200",
    "INSERT INTO public.token_lending (user_id, lend_to_user_id, person_name, token_count, total_tokens_lent, version)
     SELECT u.id, u.id, u.name, n % 20, n % 31, 1 + n % 2 * (n % 5 + 1)
       FROM generate_series(1, %ROWS%) n JOIN (SELECT id, left(name, 40) AS name, row_number() OVER (ORDER BY id) AS r FROM public.\"user\") u ON u.r = 1 + n % 200",
    "INSERT INTO public.step_up_token (token, user_id, expires_at)
     SELECT md5(u.id || n), u.id, now() FROM generate_series(1, 5) n, public.\"user\" u",
    "UPDATE public.app_log SET correlation_id = gen_random_uuid()",
    "VACUUM ANALYZE",
];

/// The guide's option 1, with the names it forgets.
const GUIDE_BACK: [&str; 5] = [
    "DROP TABLE IF EXISTS step_up_token CASCADE;",
    "DROP TABLE IF EXISTS audit_log CASCADE;",
    "ALTER TABLE \"user\" DROP COLUMN IF EXISTS is_master_admin;",
    "ALTER TABLE token_lending DROP COLUMN IF EXISTS version;",
    "ALTER TABLE app_log DROP COLUMN IF EXISTS correlation_id;",
];

const CLIENTS: usize = 8;
/// Between two transactions of one client: together some 400 a second.
const TICK: Duration = Duration::from_millis(20);
const IDLE: Duration = Duration::from_secs(3);
const ROLLBACK: Duration = Duration::from_millis(250);
const RETURN: Duration = Duration::from_millis(100);

/// One way there and back.
#[derive(Debug, Clone, Copy, Default)]
struct Round {
    /// The longest wait while nothing else is done, on the way back, on the way up.
    waits: [Duration; 3],
    back: Duration,
    up: Duration,
    locked: Duration,
}

pub fn back(g: &Ground) -> Vec<Line> {
    g.build(LARGE, Sample::default());
    g.execute(LARGE, &format!("ALTER DATABASE {LARGE} SET search_path = public"));
    super::child::run(&g.tool(["migrate", "--yes", "-d", &g.url(LARGE)]));
    for statement in FILL {
        g.execute(LARGE, &statement.replace("%ROWS%", &ROWS[usize::from(g.full)].to_string()));
    }
    let hardening = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(hardening.path(), markenmate::migrations::registry::APP[1].sql).unwrap();
    let file = hardening.path().to_str().unwrap().to_owned();
    let rounds = if g.full { 3 } else { 1 };
    let (mut tool, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        tool.push(once(
            g,
            &|url, name| g.tool(["rollback", "--confirm", name, "--format", "json", "-d", url]),
            &|url| g.tool(["migrate", "--yes", "--format", "json", "-d", url]),
        ));
        floor.push(once(g, &|url, _| by_the_guide(g, url), &|url| {
            again(&g.psql(["-q", "-1", "-v", "ON_ERROR_STOP=1", "-d", url, "-f", &file]))
        }));
    }
    let of = |rounds: &[Round], what: fn(&Round) -> Duration| median(rounds.iter().map(what));
    let both = |what: &str, of_one: fn(&Round) -> Duration| {
        Line::beside(what, of(&tool, of_one), of(&floor, of_one))
    };
    let rows = if g.full { "1 million" } else { "100,000" };
    vec![
        both(
            &format!(
                "rollback at {rows} audit rows and lendings : the guide's five psql calls, which keep nothing"
            ),
            |r| r.back,
        ),
        both("migrate, all of it returning : psql -1 -f of V2, which brings nothing back", |r| {
            r.up
        }),
        Line::alone("tables locked during rollback", ms(of(&tool, |r| r.locked))),
        both("longest wait of 8 clients, nobody migrating", |r| r.waits[0]),
        met(
            both("longest wait of 8 clients, rollback", |r| r.waits[1]),
            of(&tool, |r| r.waits[1]),
            ROLLBACK,
        ),
        met(
            both("longest wait of 8 clients, everything returning", |r| r.waits[2]),
            of(&tool, |r| r.waits[2]),
            RETURN,
        ),
    ]
}

fn met(line: Line, wait: Duration, most: Duration) -> Line {
    line.target(format!("< {} ms", most.as_millis()), wait < most)
}

fn by_the_guide(g: &Ground, url: &str) -> Program {
    let psql = g.psql(["-q", "-d", url, "-c"]);
    // The statements come first, psql and its arguments last.
    let script = "a=$1 b=$2 c=$3 d=$4 e=$5; shift 5; \
                  for sql in \"$a\" \"$b\" \"$c\" \"$d\" \"$e\"; do until \"$@\" \"$sql\" 2>/dev/null; do sleep 0.25; done; done";
    let words = ["sh", "-c", script, "sh"].into_iter().chain(GUIDE_BACK).map(Into::into);
    Program(words.chain(psql.0).collect())
}

/// A deadlock with a client ends psql as likely as the client.
fn again(psql: &Program) -> Program {
    let script = "until \"$@\" 2>/dev/null; do sleep 0.25; done";
    let words = ["sh", "-c", script, "sh"].map(Into::into);
    Program(words.into_iter().chain(psql.0.iter().cloned()).collect())
}

fn once(g: &Ground, back: &dyn Fn(&str, &str) -> Program, up: &dyn Fn(&str) -> Program) -> Round {
    const NAME: &str = "bench_there_and_back";
    g.create(NAME, Some(LARGE));
    g.execute(NAME, "VACUUM ANALYZE");
    g.execute(NAME, "CHECKPOINT");
    let url = g.url(NAME);
    let clients = Clients::default();
    let round = thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (url, clients) = (&url, &clients);
            scope.spawn(move || clients.work(url, number));
        }
        while clients.ready.load(Relaxed) < CLIENTS {
            thread::sleep(Duration::from_millis(1));
        }
        let mut round = Round::default();
        thread::sleep(IDLE);
        round.waits[0] = clients.longest();
        let (cost, said) = listen(&back(&url, NAME));
        (round.back, round.waits[1]) = (cost.wall, clients.longest());
        let locked = serde_json::from_str::<serde_json::Value>(&said).ok();
        let locked = locked.and_then(|report| report["data"]["longest_lock_ms"].as_f64());
        round.locked = Duration::from_secs_f64(locked.unwrap_or_default() / 1000.0);
        thread::sleep(Duration::from_millis(500));
        clients.longest();
        (round.up, round.waits[2]) = (listen(&up(&url)).0.wall, clients.longest());
        clients.over.store(true, Relaxed);
        round
    });
    eprintln!("    {round:?}");
    g.wait(g.server.drop_database(NAME)).unwrap();
    round
}

/// Clients that do what the application does with and without the migration.
#[derive(Default)]
struct Clients {
    ready: AtomicUsize,
    over: AtomicBool,
    /// Of any statement since it was asked for, in microseconds.
    longest: AtomicU64,
}

impl Clients {
    fn longest(&self) -> Duration {
        // What began to wait before is still to be told.
        thread::sleep(Duration::from_millis(300));
        Duration::from_micros(self.longest.swap(0, Relaxed))
    }

    fn work(&self, url: &str, number: usize) {
        let runtime = runtime();
        let client = runtime.block_on(connect(url));
        let mut seed = number as u64 + 1;
        runtime.block_on(transaction(&client, &mut seed));
        self.ready.fetch_add(1, Relaxed);
        while !self.over.load(Relaxed) {
            let began = Instant::now();
            let wait = runtime.block_on(transaction(&client, &mut seed));
            self.longest.fetch_max(u64::try_from(wait.as_micros()).unwrap(), Relaxed);
            thread::sleep(TICK.saturating_sub(began.elapsed()));
        }
    }
}

/// A user and a lending are read, the lending is accepted, and that is logged: the longest of these.
async fn transaction(client: &Client, seed: &mut u64) -> Duration {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let lending = i32::try_from((*seed >> 33) % u64::from(ROWS[0])).unwrap() + 1;
    let id: [(&(dyn ToSql + Sync), Type); 1] = [(&lending, Type::INT4)];
    let mut longest = Duration::ZERO;
    for sql in [
        "SELECT id, name, email, role::text FROM public.\"user\" ORDER BY id LIMIT 1 OFFSET $1 % 200",
        "SELECT id, token_count, person_name FROM public.token_lending WHERE id = $1",
        "UPDATE public.token_lending SET acceptance_status = 'accepted' WHERE id = $1",
        "INSERT INTO public.app_log (message) SELECT 'AUDIT: ACCEPT_LENDING ' || $1::integer",
    ] {
        let began = Instant::now();
        match client.query_typed(sql, &id).await {
            Ok(_) => {}
            // The guide's calls lock in an order of their own.
            Err(error) if error.code() == Some(&SqlState::T_R_DEADLOCK_DETECTED) => {
                eprintln!("    a client was ended by a deadlock");
            }
            Err(error) => panic!("{sql}: {error:?}"),
        }
        longest = longest.max(began.elapsed());
    }
    longest
}
