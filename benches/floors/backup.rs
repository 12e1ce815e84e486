//! A backup beside the guide's `pg_dump > file`: time, size, memory.

use std::cell::Cell;
use std::fs;
use std::path::Path;

use markenmate::sandbox::sample::Sample;

use super::child::alternate;
use super::ground::Ground;
use super::table::{Line, costs, mib};

/// Rows of each of two tables: about 100 MB of plain dump, and about 1 GB with `--full`.
const ROWS: [u32; 2] = [230_000, 2_300_000];

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
    let rows = ROWS[usize::from(g.full)];
    let url = g.build("bench_backup", Sample::default());
    for statement in FILL {
        g.execute("bench_backup", &statement.replace("%ROWS%", &rows.to_string()));
    }
    g.execute("bench_backup", "CHECKPOINT");
    let folder = tempfile::TempDir::new().unwrap();
    let path = |name: String| folder.path().join(name).to_str().unwrap().to_owned();
    let number = Cell::new(0);
    // Each under a name of its own; the one before is not to fill the disk.
    let fresh = |extension: &str| {
        let n = number.replace(number.get() + 1);
        if n > 2 {
            remove(folder.path(), n - 2);
        }
        path(format!("{n}{extension}"))
    };
    let rounds = if g.full { 5 } else { 3 };
    let runs = alternate(
        rounds,
        [&|| g.tool(["backup", "-q", "-d", &url, "-o", &fresh("")]), &|| {
            g.pg_dump(["-d", &url, "-f", &fresh(".sql")])
        }],
    );
    let n = number.get();
    let [ours, plain] = [path(format!("{}", n - 2)), path(format!("{}.sql", n - 1))].map(size);
    let what = format!("backup of {} : pg_dump -f, plain", mib(plain));
    let [wall, cpu] = costs(&what, &runs, None).try_into().unwrap();
    let ratio = ours as f64 / plain as f64;
    vec![
        wall.at_most(1.1),
        cpu,
        Line {
            floor: mib(plain),
            ratio: Some(ratio),
            ..Line::alone("its size", mib(ours)).target("≤ 0.34 × floor", ratio <= 0.34)
        },
        Line {
            floor: mib(runs[1].memory()),
            ..Line::alone("peak memory of a backup", mib(runs[0].memory()))
                .target("< 32 MiB", runs[0].memory() < 32 << 20)
        },
    ]
}

fn remove(folder: &Path, n: u32) {
    let _ = fs::remove_dir_all(folder.join(n.to_string()));
    let _ = fs::remove_file(folder.join(format!("{n}.manifest.json")));
    let _ = fs::remove_file(folder.join(format!("{n}.sql")));
}

fn size(path: String) -> u64 {
    let path = Path::new(&path);
    match path.is_dir() {
        true => fs::read_dir(path).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum(),
        false => path.metadata().unwrap().len(),
    }
}
