//! What a value is counted in, and how people read it.

use std::time::Duration;

use serde::Serialize;

/// What a metric's values are counted in. The words are a promise to scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Things.
    Count,
    /// Things a day.
    PerDay,
    /// Milliseconds, as the server counts them.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// From 0 to 1.
    Ratio,
}

impl Unit {
    /// As Prometheus has it, which knows base units only.
    pub fn exposed(self, value: f64) -> f64 {
        if self == Self::Milliseconds { value / 1000.0 } else { value }
    }

    /// As people read it.
    pub fn shown(self, value: f64) -> String {
        match self {
            Self::Count => number(value),
            Self::PerDay => format!("{}/day", number(value)),
            Self::Milliseconds => format!("{value:.2} ms"),
            Self::Seconds => duration(value),
            Self::Bytes => bytes(value),
            Self::Ratio => percent(value),
        }
    }

    /// Reads what an operator typed: a number in this unit; a time such as `2h`, a part such as `95%`, a size such
    /// as `1.5GB`, where the unit is one.
    pub fn parse(self, text: &str) -> Option<f64> {
        let typed = match self {
            Self::Milliseconds => time(text).map(|time| time.as_secs_f64() * 1000.0),
            // A number alone could be of seconds or of days.
            Self::Seconds => return time(text).map(|time| time.as_secs_f64()),
            // 50, 50% and 0.5 are the same; more than all of it is none.
            Self::Ratio => {
                let percent = text.strip_suffix('%').and_then(|n| n.trim().parse().ok());
                let number = percent.or_else(|| text.parse().ok().filter(|n: &f64| *n > 1.0));
                return number
                    .map(hundredth)
                    .or_else(|| text.parse().ok())
                    .filter(|share| (0.0..=1.0).contains(share));
            }
            Self::Bytes => size(text),
            Self::Count | Self::PerDay => None,
        };
        typed.or_else(|| text.parse().ok()).filter(|value: &f64| value.is_finite() && *value >= 0.0)
    }
}

fn hundredth(percent: f64) -> f64 {
    percent / 100.0
}

fn size(text: &str) -> Option<f64> {
    let units = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0)];
    let (number, factor) =
        units.iter().find_map(|(word, factor)| Some((text.strip_suffix(word)?, factor)))?;
    Some(number.trim().parse::<f64>().ok()? * factor)
}

fn time(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

/// Never rounded up to all of it.
fn percent(ratio: f64) -> String {
    format!("{} %", number((ratio * 1000.0).floor() / 10.0))
}

fn bytes(value: f64) -> String {
    match value {
        ..1e3 => format!("{value:.0} B"),
        ..1e6 => format!("{:.1} kB", value / 1e3),
        ..1e9 => format!("{:.1} MB", value / 1e6),
        _ => format!("{:.2} GB", value / 1e9),
    }
}

/// The two largest parts of it: nobody needs the seconds of a month.
fn duration(seconds: f64) -> String {
    // A clock that was set back makes it less than nothing.
    if seconds < 0.0 {
        return format!("in {}", duration(-seconds));
    }
    let whole = Duration::try_from_secs_f64(seconds.floor()).unwrap_or(Duration::MAX);
    let mut left = whole.as_secs();
    let mut parts = Vec::new();
    for (word, length) in [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)] {
        if left >= length {
            parts.push(format!("{}{word}", left / length));
            left %= length;
        }
    }
    match parts.is_empty() {
        true => "0s".into(),
        false => parts.into_iter().take(2).collect::<Vec<_>>().join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_in_their_unit() {
        for (unit, value, shown) in [
            (Unit::Count, 12.0, "12"),
            (Unit::PerDay, 0.25, "0.2/day"),
            (Unit::Milliseconds, 1.234, "1.23 ms"),
            (Unit::Seconds, 0.4, "0s"),
            (Unit::Seconds, 93_784.0, "1d 2h"),
            (Unit::Seconds, -61.0, "in 1m 1s"),
            (Unit::Bytes, 8192.0, "8.2 kB"),
            (Unit::Ratio, 0.9999, "99.9 %"),
            (Unit::Ratio, 1.0, "100 %"),
        ] {
            assert_eq!(unit.shown(value), shown);
        }
    }

    #[test]
    fn what_is_typed_is_read_in_the_metrics_unit() {
        assert_eq!(Unit::Milliseconds.parse("7.5"), Some(7.5));
        assert_eq!(Unit::Milliseconds.parse("1s"), Some(1000.0));
        assert_eq!(Unit::Seconds.parse("2h"), Some(7200.0));
        assert_eq!(Unit::Ratio.parse("95%"), Some(0.95));
        assert_eq!(Unit::Bytes.parse("1.5GB"), Some(1.5e9));
        assert_eq!(Unit::Bytes.parse("8192"), Some(8192.0));
        for wrong in ["", "-1", "nan", "inf", "2h"] {
            assert_eq!(Unit::Count.parse(wrong), None, "{wrong}");
        }
    }
}
