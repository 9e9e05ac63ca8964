//! The time that a driver takes to come up, as a test ordered it. It passes once in a process for each function.

use crate::{hang, setting};
use std::sync::{Once, OnceLock};
use std::time::Duration;

/// What the first call of a function takes.
#[derive(Debug)]
pub(crate) struct Start {
    time: Option<Duration>,
    passed: Once,
}

impl Start {
    pub(crate) fn of(function: &str) -> Start {
        Start { time: ordered(function), passed: Once::new() }
    }

    /// Returns when the driver is up: the first caller brings it up, the others wait for that.
    pub(crate) fn take_time(&self) {
        if let Some(time) = self.time {
            self.passed.call_once(|| std::thread::sleep(time));
        }
    }
}

/// How long the first call of `function` takes, if that was ordered.
pub(crate) fn ordered(function: &str) -> Option<Duration> {
    static ORDERS: OnceLock<Vec<(String, Duration)>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let order = setting::text(setting::START).unwrap_or_default();
        parse_all(&order).unwrap_or_else(|problem| panic!("{}: {problem}", setting::START))
    });
    orders.iter().find(|(ordered, _)| hang::is_same(ordered, function)).map(|&(_, time)| time)
}

/// Reads the whole order, in the grammar of [`setting::START`].
fn parse_all(order: &str) -> Result<Vec<(String, Duration)>, String> {
    let entries = order.split([',', ';']).map(str::trim).filter(|entry| !entry.is_empty());
    let parse = |entry: &str| {
        let (function, ms) = entry.split_once('=')?;
        let time = Duration::from_millis(ms.parse().ok()?);
        hang::is_function(function).then(|| (function.to_owned(), time))
    };
    entries.map(|entry| parse(entry).ok_or_else(|| format!("cannot read the time {entry:?}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::{Start, parse_all};
    use std::sync::Once;
    use std::time::{Duration, Instant};

    #[test]
    fn a_function_and_its_milliseconds() {
        let ms = Duration::from_millis;
        let orders = parse_all("cuInit=500, nvEncOpenEncodeSessionEx=200;eglInitialize=0").unwrap();
        assert_eq!(orders.iter().map(|(_, time)| *time).collect::<Vec<_>>(), [ms(500), ms(200), ms(0)]);
        for order in ["cuInit", "cuInit=", "cuInit=x", "open=3", "=3", "cuInit:3"] {
            assert!(parse_all(order).is_err(), "{order}");
        }
    }

    #[test]
    fn the_time_passes_once_and_for_all() {
        let time = Duration::from_millis(50);
        let start = Start { time: Some(time), passed: Once::new() };
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    start.take_time();
                    assert!(begun.elapsed() >= time);
                });
            }
        });
        let begun = Instant::now();
        start.take_time();
        assert!(begun.elapsed() < time);
    }
}
