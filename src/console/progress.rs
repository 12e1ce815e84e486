//! How far something is that takes a while: a bar at a terminal, a line every ten seconds elsewhere.

use std::fmt;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::{Console, escape};

/// Off a terminal.
const EVERY: Duration = Duration::from_secs(10);

/// One piece of work.
pub struct Progress<'a> {
    console: &'a Console,
    bar: Option<ProgressBar>,
    what: String,
    total: u64,
    began: Instant,
    said: Instant,
    noted: Option<Instant>,
}

impl Console {
    /// Begins to tell how far `what` is, of `total` rows.
    pub fn progress(&self, what: &str, total: u64) -> Progress<'_> {
        let bar =
            (self.is_interactive() && !self.is_quiet() && self.width().is_some() && total > 0)
                .then(|| {
                    let bar =
                        ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
                    let style = ProgressStyle::with_template(
                        "{msg} [{bar:24}] {pos}/{len} rows, {rate}, {eta} left",
                    );
                    bar.with_style(
                        style
                            .unwrap_or_else(|_| ProgressStyle::default_bar())
                            .with_key("rate", rate)
                            .progress_chars("=> "),
                    )
                    .with_message(escape(what).into_owned())
                });
        let now = Instant::now();
        Progress {
            console: self,
            bar,
            what: what.to_owned(),
            total,
            began: now,
            said: now,
            noted: None,
        }
    }
}

impl Progress<'_> {
    /// So many rows are done.
    pub fn set(&mut self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done.min(self.total));
        } else if self.said.elapsed() >= EVERY {
            self.said = Instant::now();
            let line = line(&self.what, done, self.total, self.began.elapsed());
            self.console.say(&line);
        }
    }

    /// Says why it does not go on: at once, and then every ten seconds, at a terminal every second.
    pub fn note(&mut self, line: &str) {
        let every = if self.bar.is_some() { Duration::from_secs(1) } else { EVERY };
        if self.noted.is_some_and(|at| at.elapsed() < every) {
            return;
        }
        self.noted = Some(Instant::now());
        match &self.bar {
            Some(bar) => bar.println(escape(line)),
            None => self.console.say(line),
        }
    }

    /// Takes the bar away.
    pub fn end(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn rate(state: &ProgressState, to: &mut dyn fmt::Write) {
    // Where it cannot be written there is nobody to read it.
    let _ = write!(to, "{:.0}/s", state.per_sec());
}

/// `audit: 12000 of 50000 rows, 4000/s, 10s left`
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn line(what: &str, done: u64, total: u64, took: Duration) -> String {
    let rate = done as f64 / took.as_secs_f64().max(0.001);
    let left = total.saturating_sub(done) as f64 / rate.max(0.001);
    let left = humantime::format_duration(Duration::from_secs(left.min(1e9) as u64));
    format!("{what}: {done} of {total} rows, {rate:.0}/s, {left} left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_rate_and_time_left() {
        let line = line("audit", 12_000, 50_000, Duration::from_secs(3));
        assert_eq!(line, "audit: 12000 of 50000 rows, 4000/s, 9s left");
    }
}
