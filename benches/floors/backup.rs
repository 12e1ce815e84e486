//! A backup beside the guide's `pg_dump > file`: time, size, memory.

use std::cell::Cell;
use std::fs;
use std::path::Path;

use markenmate::sandbox::sample::Sample;

use super::child::alternate;
use super::ground::Ground;
use super::table::{Line, costs, mib};

/// Ordinary users: about 100 MB of plain dump, and about 1 GB with `--full`.
const USERS: [u32; 2] = [20_000, 200_000];

pub fn backup(g: &Ground) -> Vec<Line> {
    let users = USERS[usize::from(g.full)];
    let url = g.build("bench_backup", Sample { users, orphans: false });
    g.execute("bench_backup", "VACUUM ANALYZE");
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
