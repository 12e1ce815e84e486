//! Runs a program and takes its measure: wall time, CPU time, peak memory.
//!
//! Linux counts the memory of whoever starts a program as the program's own peak. So a small
//! process, this very binary under another word, starts it.

use std::ffi::OsString;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4;

/// The first argument of the small process.
pub const WORD: &str = "run-and-measure";

/// A program, its arguments, and nothing of this process's environment but what it needs.
#[derive(Debug, Clone)]
pub struct Program(pub Vec<OsString>);

impl Program {
    pub fn new(words: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self(words.into_iter().map(Into::into).collect())
    }
}

/// What one run cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    pub wall: Duration,
    /// User and system time.
    pub cpu: Duration,
    /// Bytes.
    pub memory: u64,
}

/// Runs it; it must succeed.
pub fn run(program: &Program) -> Cost {
    listen(program).0
}

/// Runs it, and hears what it says on stdout.
pub fn listen(program: &Program) -> (Cost, String) {
    let mut small = Command::new(std::env::current_exe().unwrap());
    small.arg(WORD).args(&program.0).env_clear().env("LC_ALL", "C.UTF-8");
    for name in ["PATH", "HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
        small.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    let output = small.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let (numbers, said) = said.split_once('\n').unwrap_or_default();
    let numbers: Vec<u64> = numbers.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    let [wall, cpu, memory] = numbers[..] else {
        eprintln!("error: {:?}: {}", program.0, String::from_utf8_lossy(&output.stderr));
        std::process::exit(1);
    };
    let cost = Cost { wall: Duration::from_nanos(wall), cpu: Duration::from_nanos(cpu), memory };
    (cost, said.to_owned())
}

/// The small process: nanoseconds, nanoseconds and bytes on stdout, then what the program said there;
/// nothing where it failed.
pub fn serve(words: &[String]) {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::piped());
    let began = Instant::now();
    let mut child = command.spawn().unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    let end = child.wait4().unwrap();
    let wall = began.elapsed();
    if end.status.success() {
        let cpu = end.rusage.utime + end.rusage.stime;
        println!("{} {} {}", wall.as_nanos(), cpu.as_nanos(), end.rusage.maxrss);
        print!("{said}");
    }
}

/// Medians of several runs.
#[derive(Debug, Clone)]
pub struct Costs(Vec<Cost>);

impl Costs {
    pub fn wall(&self) -> Duration {
        median(self.0.iter().map(|cost| cost.wall))
    }

    pub fn cpu(&self) -> Duration {
        median(self.0.iter().map(|cost| cost.cpu))
    }

    /// The most of all runs.
    pub fn memory(&self) -> u64 {
        self.0.iter().map(|cost| cost.memory).max().unwrap_or_default()
    }
}

/// Runs each program in turn, `times` rounds, so that what disturbs the machine disturbs all; one
/// round before does not count. Each is made anew for its run.
pub fn alternate<const N: usize>(times: u32, programs: [&dyn Fn() -> Program; N]) -> [Costs; N] {
    let mut costs = [const { Costs(Vec::new()) }; N];
    for round in 0..=times {
        for (program, costs) in programs.iter().zip(&mut costs) {
            let cost = run(&program());
            if round > 0 {
                costs.0.push(cost);
            }
        }
    }
    costs
}

/// The value in the middle.
pub fn median<T: Ord + Copy>(values: impl IntoIterator<Item = T>) -> T {
    let mut sorted: Vec<T> = values.into_iter().collect();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}
