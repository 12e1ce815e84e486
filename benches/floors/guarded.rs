//! What the guards cost the application: the same statements on the same server in a database with
//! guards and in one without, in turn; and what `verify` costs where there is much to verify.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::child::{alternate, median, run};
use super::ground::{BASELINE, CURRENT, Ground, connect, runtime};
use super::table::{Line, ms};

/// At version 2.
const UNGUARDED: &str = "bench_unguarded";
/// With a million lendings, at the latest version.
const LARGE: &str = "bench_large";

/// What a network of a data centre adds to each statement, on top of the socket's own way.
const NETWORK: Duration = Duration::from_micros(500);
const MOST: f64 = 1.05;
/// Rounds that fill caches, and do not count.
const WARM: usize = 100;

/// As the application changes a count.
const LENDING: &str = "UPDATE public.token_lending SET token_count = $3, version = version + 1, updated_at = now() \
                       WHERE id = $1 AND version = $2 RETURNING version";
const ROLE: &str = r#"UPDATE public."user" SET role = $2::text::public.user_role, updated_at = now() WHERE id = $1"#;

/// One statement of the application's: the time from asking to its answer.
async fn timed(
    client: &Client,
    sql: &str,
    parameters: &[(&(dyn ToSql + Sync), Type)],
) -> (Duration, Vec<Row>) {
    let began = Instant::now();
    let rows = client.query_typed(sql, parameters).await.unwrap();
    (began.elapsed(), rows)
}

/// A lending, and a user who becomes an admin and a user again. Each is committed by itself, as the
/// application does it, or all are one transaction that is taken back.
async fn once(
    client: &Client,
    commit: bool,
    lending: &mut (i32, i32),
    user: &str,
) -> [Duration; 3] {
    if !commit {
        client.batch_execute("BEGIN").await.unwrap();
    }
    let (id, version) = *lending;
    let count = 1 + version % 20;
    let parameters: [(&(dyn ToSql + Sync), Type); 3] =
        [(&id, Type::INT4), (&version, Type::INT4), (&count, Type::INT4)];
    let (update, rows) = timed(client, LENDING, &parameters).await;
    let (up, _) = timed(client, ROLE, &[(&user, Type::TEXT), (&"admin", Type::TEXT)]).await;
    let (down, _) = timed(client, ROLE, &[(&user, Type::TEXT), (&"user", Type::TEXT)]).await;
    if commit {
        lending.1 = rows[0].get(0);
    } else {
        client.batch_execute("ROLLBACK").await.unwrap();
    }
    [update, up, down]
}

/// The cost of each guarded statement beside the unguarded one.
pub fn guards(g: &Ground) -> Vec<Line> {
    g.create(UNGUARDED, Some(BASELINE));
    run(&g.tool(["migrate", "--yes", "--to", "2", "-d", &g.url(UNGUARDED)]));
    let rounds = if g.full { 8000 } else { 1500 };
    let bare = g.wait(in_turn(g, rounds, false)).map(|sides| sides.map(quick));
    let committed = g.wait(in_turn(g, rounds, true)).map(|sides| sides.map(quick));
    let names = ["update of a lending", "role: user to admin", "role: admin to user"];
    let lines = names.iter().enumerate().flat_map(|(n, name)| {
        let line = |what, [with, without]: [Duration; 2]| {
            micro(Line::beside(&format!("{name}, {what}"), with, without), with, without)
        };
        [
            line("guarded : not, by itself", bare.map(|side| side[n])),
            line("committed, over a network", committed.map(|side| side[n] + NETWORK))
                .at_most(MOST),
        ]
    });
    lines.collect()
}

/// The times of the three statements, with guards and without.
async fn in_turn(g: &Ground, rounds: usize, commit: bool) -> [[Vec<Duration>; 3]; 2] {
    let mut times = [const { [const { Vec::new() }; 3] }; 2];
    let clients = [connect(&g.url(CURRENT)).await, connect(&g.url(UNGUARDED)).await];
    let ids = r#"SELECT array(SELECT id FROM public.token_lending WHERE version = 1 ORDER BY id),
                        array(SELECT id FROM public."user" WHERE role = 'user' ORDER BY id)"#;
    let row = clients[0].query_typed(ids, &[]).await.unwrap().remove(0);
    let mut lendings: [Vec<(i32, i32)>; 2] =
        [(); 2].map(|()| row.get::<_, Vec<i32>>(0).into_iter().map(|id| (id, 1)).collect());
    let users: Vec<String> = row.get(1);
    for round in 0..rounds + WARM {
        for ((client, times), lendings) in clients.iter().zip(&mut times).zip(&mut lendings) {
            let (lending, user) = (round % lendings.len(), round % users.len());
            let costs = once(client, commit, &mut lendings[lending], &users[user]).await;
            if round >= WARM {
                times.iter_mut().zip(costs).for_each(|(all, cost)| all.push(cost));
            }
        }
    }
    times
}

/// What nine of ten take longer than: where nothing else wanted the machine in between. Of statements this
/// short the median is what the machine does beside.
fn quick(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 10]
}

/// These are too short for milliseconds.
fn micro(line: Line, tool: Duration, floor: Duration) -> Line {
    let text = |time: Duration| format!("{} µs", time.as_micros());
    Line { tool: text(tool), floor: text(floor), ..line }
}

/// `verify` of a million lendings, and how long `--probe` makes a client wait; with `--full` only.
pub fn verify(g: &Ground) -> Vec<Line> {
    if !g.full {
        return Vec::new();
    }
    g.create(LARGE, Some(CURRENT));
    g.execute(
        LARGE,
        "INSERT INTO public.token_lending (user_id, lend_to_user_id, person_name, token_count, total_tokens_lent)
         SELECT u.id, u.id, u.name, n % 20, n % 31 FROM generate_series(1, 1000000) n
           JOIN (SELECT id, left(name, 40) AS name, row_number() OVER (ORDER BY id) AS r FROM public.\"user\") u
             ON u.r = 1 + n % 200",
    );
    g.execute(LARGE, "VACUUM ANALYZE");
    let url = g.url(LARGE);
    let [quick, verify, probe] = alternate(
        5,
        [&|| g.tool(["status", "-d", &url]), &|| g.findings(["verify", "-d", &url]), &|| {
            g.findings(["verify", "--probe", "--yes", "-d", &url])
        }],
    );
    let (idle, probed) = waits(g, &url);
    const TIME: Duration = Duration::from_secs(2);
    const LOCKS: Duration = Duration::from_millis(50);
    vec![
        Line::alone("status at 1 million lendings (for scale)", ms(quick.wall())),
        Line::alone("verify at 1 million lendings", ms(verify.wall()))
            .target("< 2 s", verify.wall() < TIME),
        Line::alone("verify --probe of them", ms(probe.wall()))
            .target("< 2 s", probe.wall() < TIME),
        Line::alone("longest wait of a client that changes admins, nobody probing", ms(idle)),
        Line::alone("longest wait of it, verify --probe", ms(probed))
            .target("< 50 ms", probed < LOCKS),
    ]
}

/// The longest wait of a client that changes admins all the time, alone and during a probe: medians.
fn waits(g: &Ground, url: &str) -> (Duration, Duration) {
    let rounds: Vec<_> = (0..5)
        .map(|_| {
            let (probing, over) = (AtomicBool::new(false), AtomicBool::new(false));
            thread::scope(|scope| {
                let client = scope.spawn(|| change_admins(url, &probing, &over));
                thread::sleep(Duration::from_secs(1));
                probing.store(true, Relaxed);
                run(&g.findings(["verify", "--probe", "--yes", "-d", url]));
                over.store(true, Relaxed);
                client.join().unwrap()
            })
        })
        .collect();
    (median(rounds.iter().map(|r| r.0)), median(rounds.iter().map(|r| r.1)))
}

/// Locks every admin's row and the row where changes of admins queue, again and again.
fn change_admins(url: &str, probing: &AtomicBool, over: &AtomicBool) -> (Duration, Duration) {
    const CHANGE: &str =
        "BEGIN; UPDATE public.\"user\" SET updated_at = now() WHERE role = 'admin';
                          UPDATE markenmate.turn SET turn = turn; ROLLBACK";
    let runtime = runtime();
    let client = runtime.block_on(connect(url));
    let (mut idle, mut probed) = (Duration::ZERO, Duration::ZERO);
    runtime.block_on(client.batch_execute(CHANGE)).unwrap();
    while !over.load(Relaxed) {
        let longest = if probing.load(Relaxed) { &mut probed } else { &mut idle };
        let began = Instant::now();
        runtime.block_on(client.batch_execute(CHANGE)).unwrap();
        *longest = began.elapsed().max(*longest);
        thread::sleep(Duration::from_millis(1));
    }
    (idle, probed)
}
