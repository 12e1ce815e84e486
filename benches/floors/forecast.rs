//! Whether the locks are held as long as was forecast, and the rates that the forecast stands on.

use std::process::Command;
use std::time::{Duration, Instant};

use markenmate::migrations::forecast::{READ, WRITTEN};
use markenmate::sandbox::sample::Sample;
use serde_json::Value;

use super::child::Program;
use super::ground::Ground;
use super::table::Line;

const LARGE: &str = "bench_forecast";

/// The migrations' reads of a large table, beside what the dry run said.
pub fn forecast(g: &Ground) -> Vec<Line> {
    let url = g.build(LARGE, Sample::default());
    let rows = if g.full { 5_000_000 } else { 1_000_000 };
    g.execute(
        LARGE,
        &format!(
            "INSERT INTO public.\"user\" (id, name, email) \
             SELECT md5(n::text), 'User number ' || n, 'user.' || n || '@example.org' \
               FROM generate_series(1, {rows}) n"
        ),
    );
    g.execute(LARGE, "VACUUM ANALYZE public.\"user\"");
    g.execute(LARGE, "CHECKPOINT");
    let plan = data(&g.tool(["migrate", "--dry-run", "--format", "json", "-d", &url]));
    let users =
        plan["forecast"].as_array().unwrap().iter().find(|l| l["table"] == "public.\"user\"");
    let bytes = users.unwrap()["bytes"].as_f64().unwrap();
    let run = data(&g.tool(["migrate", "--yes", "--format", "json", "-d", &url]));
    let told = Duration::from_secs_f64(plan["expected_lock_ms"].as_f64().unwrap() / 1000.0);
    let held = Duration::from_secs_f64(run["longest_lock_ms"].as_f64().unwrap() / 1000.0);

    let rate = |what: &str, sql: &str, assumed: f64| {
        let began = Instant::now();
        g.execute(LARGE, sql);
        let rate = bytes / 1e6 / began.elapsed().as_secs_f64();
        Line::alone(what, format!("{rate:.0} MB/s"))
            .target(format!("≥ {assumed} MB/s"), rate >= assumed)
    };
    vec![
        Line::beside(
            &format!(
                "migrate at {} million users ({:.0} MB): locks held, beside the forecast",
                rows / 1_000_000,
                bytes / 1e6
            ),
            held,
            told,
        )
        .at_most(1.0),
        // As the guards' migration reads: on one core.
        rate(
            "a table that is read",
            "SET max_parallel_workers_per_gather = 0; \
             SELECT count(*) FROM public.\"user\" WHERE is_master_admin",
            READ / 1e6,
        ),
        rate(
            "a table that is written anew, with its indexes",
            "ALTER TABLE public.\"user\" \
               ADD COLUMN seen timestamptz DEFAULT clock_timestamp() NOT NULL",
            WRITTEN / 1e6,
        ),
    ]
}

fn data(program: &Program) -> Value {
    let output = Command::new(&program.0[0]).args(&program.0[1..]).output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    document["data"].clone()
}
