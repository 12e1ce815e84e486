//! The rows but the stall: each one function.

use std::io::Write as _;

use super::child::{Program, alternate, run};
use super::ground::{CURRENT, Ground};
use super::proxy::Proxy;
use super::table::{Line, costs, mib};

/// Start-up.
pub fn version(g: &Ground) -> Vec<Line> {
    let [tool, floor, scale] = alternate(
        g.times,
        [&|| g.tool(["--version"]), &|| g.psql(["--version"]), &|| Program::new(["true"])],
    );
    let mut lines = costs("--version : psql --version", &[tool, floor], None);
    lines.push(Line::beside("true : true (for scale), wall", scale.wall(), scale.wall()));
    lines
}

/// `migrate` with nothing to do.
pub fn noop(g: &Ground) -> Vec<Line> {
    let url = g.url(CURRENT);
    let runs = alternate(
        g.times,
        [&|| g.tool(["migrate", "--yes", "-d", &url]), &|| g.psql(["-d", &url, "-c", "select 1"])],
    );
    costs("no-op migrate : psql -c 'select 1'", &runs, Some([1.0, 0.6]))
}

/// Every migration on a baseline: one transaction.
pub fn migrate(g: &Ground) -> Vec<Line> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(super::floor::migrate().as_bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    let runs = alternate(
        g.times,
        [&|| g.tool(["migrate", "--yes", "-d", &g.fresh()]), &|| {
            g.psql(["-q", "-1", "-v", "ON_ERROR_STOP=1", "-d", &g.fresh(), "-f", path])
        }],
    );
    costs("migrate of a baseline : psql -1 -f", &runs, Some([1.2, 0.9]))
}

/// Round trips after connecting: what a distant server costs.
pub fn trips(g: &Ground) -> Vec<Line> {
    let proxy = Proxy::start(g.server.socket_dir(), g.server.port());
    let count = |program: &Program| {
        proxy.reset();
        run(program);
        proxy.trips()
    };
    let noop = count(&g.tool(["migrate", "--yes", "-d", &proxy.url(CURRENT)]));
    let name = g.fresh().rsplit_once("@/").unwrap().1.split('?').next().unwrap().to_owned();
    let whole = count(&g.tool(["migrate", "--yes", "-d", &proxy.url(&name)]));
    let floor = count(&g.psql(["-d", &proxy.url(CURRENT), "-c", "select 1"]));
    vec![
        Line {
            floor: floor.to_string(),
            ..Line::alone("round trips of a no-op migrate", noop.to_string())
        }
        .target("≤ 3", noop <= 3),
        Line::alone("round trips of migrate of a baseline", whole.to_string()),
    ]
}

/// Peak memory of each kind of run, beside psql's.
pub fn memory(g: &Ground) -> Vec<Line> {
    const MOST: u64 = 10 * 1_048_576;
    let url = g.url(CURRENT);
    let [version, noop, whole, status, psql] = alternate(
        5,
        [
            &|| g.tool(["--version"]),
            &|| g.tool(["migrate", "--yes", "-d", &url]),
            &|| g.tool(["migrate", "--yes", "-d", &g.fresh()]),
            &|| g.tool(["status", "-d", &url]),
            &|| g.psql(["-d", &url, "-c", "select 1"]),
        ],
    );
    [("--version", version), ("no-op migrate", noop), ("migrate", whole), ("status", status)]
        .into_iter()
        .map(|(name, costs)| {
            let line = Line::alone(format!("peak memory of {name}"), mib(costs.memory()));
            Line { floor: mib(psql.memory()), ..line }.target("< 10 MiB", costs.memory() < MOST)
        })
        .collect()
}
