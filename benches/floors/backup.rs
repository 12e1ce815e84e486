//! A backup beside the guide's `pg_dump > file`, and its restore beside `psql < file`: time, size,
//! memory.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::time::Duration;

use markenmate::sandbox::sample::Sample;

use super::child::{Cost, alternate, listen, median, run};
use super::ground::Ground;
use super::table::{Line, costs, mib, ms};

/// Rows of each of two tables: about 100 MB of plain dump, and about 1 GB with `--full`.
const ROWS: [u32; 2] = [230_000, 2_300_000];

const DATABASE: &str = "bench_backup";
/// What psql restores into.
const FLOOR: &str = "bench_restored";

/// Text as an application's is: words, numbers, and an id that nothing compresses.
const FILL: [&str; 3] = [
    "INSERT INTO public.app_log (level, message, created_at)
     SELECT 'info', format('Benutzer %s hat %s Marken an %s verliehen und wartet auf die Antwort; Anfrage %s von 10.0.%s.%s',
                           n, n % 7, n * 31::bigint % 9973, md5(n::text), n % 251, n % 199), now() - n * interval '1 second'
       FROM generate_series(1, %ROWS%) n",
    "INSERT INTO public.verification (id, identifier, value, expires_at)
     SELECT md5(n::text), format('reset-password:%s@example.de', n * 17::bigint % 99991),
            format('{\"user\": \"%s\", \"purpose\": \"reset-password\", \"attempts\": %s, \"language\": \"de-DE\"}', n * 31::bigint, n % 5), now()
       FROM generate_series(1, %ROWS%) n",
    "VACUUM ANALYZE",
];

pub fn backup(g: &Ground) -> Vec<Line> {
    let url = g.build(DATABASE, Sample::default());
    for statement in FILL {
        g.execute(DATABASE, &statement.replace("%ROWS%", &ROWS[usize::from(g.full)].to_string()));
    }
    g.execute(DATABASE, "CHECKPOINT");
    let folder = tempfile::TempDir::new().unwrap();
    let path = |name: String| folder.path().join(name).to_str().unwrap().to_owned();
    let number = Cell::new(0);
    // Each under a name of its own; the one before is not to fill the disk.
    let fresh = |extension: &str| {
        let n = number.replace(number.get() + 1);
        if n > 3 {
            remove(folder.path(), n - 3);
        }
        path(format!("{n}{extension}"))
    };
    let rounds = if g.full { 5 } else { 3 };
    let [tool, plain_dump, bare] = alternate(
        rounds,
        [
            &|| g.tool(["backup", "-q", "-d", &url, "-o", &fresh("")]),
            // What a shell's `>` does not bring to disk is not brought there here.
            &|| g.pg_dump(["--no-sync", "-d", &url, "-f", &fresh(".sql")]),
            // What is left when all is taken away that the tool adds.
            &|| g.pg_dump(["--no-sync", "-d", &url, "-Fd", "-Z1", "-j2", "-f", &fresh(".bare")]),
        ],
    );
    let n = number.get();
    let [ours, plain] = [path(format!("{}", n - 3)), path(format!("{}.sql", n - 2))];
    let [ours_bytes, plain_bytes] = [&ours, &plain].map(size);
    let scale = "pg_dump -Fd -Z1 -j2 of the same : pg_dump > file (for scale), wall";
    let scale = Line::beside(scale, bare.wall(), plain_dump.wall());
    let runs = [tool, plain_dump];
    let what = format!("backup of {} : pg_dump > file", mib(plain_bytes));
    let [wall, cpu] = costs(&what, &runs, None).try_into().unwrap();
    let ratio = ours_bytes as f64 / plain_bytes as f64;
    let mut lines = vec![
        wall.at_most(1.1),
        cpu,
        scale,
        Line {
            floor: mib(plain_bytes),
            ratio: Some(ratio),
            ..Line::alone("its size", mib(ours_bytes)).target("≤ 0.34 × floor", ratio <= 0.34)
        },
        Line {
            floor: mib(runs[1].memory()),
            ..Line::alone("peak memory of a backup", mib(runs[0].memory()))
                .target("< 32 MiB", runs[0].memory() < 32 << 20)
        },
    ];
    lines.extend(restore(g, rounds, &url, &ours, &plain));
    lines
}

fn restore(g: &Ground, rounds: u32, url: &str, ours: &str, plain: &str) -> Vec<Line> {
    let tool = g.tool([
        "rollback",
        "--restore",
        ours,
        "--no-safety-backup",
        "--confirm",
        DATABASE,
        "--format",
        "json",
        "-d",
        url,
    ]);
    let target = g.url(FLOOR);
    let psql = g.psql(["-q", "-v", "ON_ERROR_STOP=1", "-d", &target, "-f", plain]);
    let (mut steps, mut whole, mut floor) = (Vec::new(), Vec::<Cost>::new(), Vec::new());
    for round in 0..=rounds {
        let (cost, said) = listen(&tool);
        let (millis, kept) = read(&said);
        g.wait(g.server.drop_database(&kept)).unwrap();
        g.execute(DATABASE, "CHECKPOINT");
        g.wait(g.server.create_database(FLOOR, None)).unwrap();
        let beside = run(&psql);
        g.wait(g.server.drop_database(FLOOR)).unwrap();
        g.execute(DATABASE, "CHECKPOINT");
        if round > 0 {
            steps.push(Duration::from_millis(millis));
            whole.push(cost);
            floor.push(beside.wall);
        }
    }
    let memory = whole.iter().map(|cost| cost.memory).max().unwrap();
    let walls = median(whole.iter().map(|cost| cost.wall));
    vec![
        Line::beside(
            "restore into a new database : psql < file into one that is there, wall",
            median(steps),
            median(floor.iter().copied()),
        )
        .at_most(0.75),
        Line::alone("all of it: proven, restored, analyzed, compared, swapped", ms(walls)),
        Line::alone("peak memory of a restore", mib(memory)).target("< 32 MiB", memory < 32 << 20),
    ]
}

/// How long it took to make the database and fill it, and what the old one is called.
fn read(said: &str) -> (u64, String) {
    let report: serde_json::Value = serde_json::from_str(said).unwrap();
    let steps = report["steps"].as_array().unwrap().iter();
    let filling =
        steps.filter(|step| ["create", "restore"].contains(&step["id"].as_str().unwrap()));
    let kept = report["data"]["kept_as"].as_str().unwrap().to_owned();
    (filling.map(|step| step["duration_ms"].as_u64().unwrap()).sum(), kept)
}

fn remove(folder: &Path, n: u32) {
    let _ = fs::remove_dir_all(folder.join(n.to_string()));
    let _ = fs::remove_file(folder.join(format!("{n}.manifest.json")));
    let _ = fs::remove_file(folder.join(format!("{n}.sql")));
    let _ = fs::remove_dir_all(folder.join(format!("{n}.bare")));
}

fn size(path: &String) -> u64 {
    let path = Path::new(path);
    match path.is_dir() {
        true => fs::read_dir(path).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum(),
        false => path.metadata().unwrap().len(),
    }
}
