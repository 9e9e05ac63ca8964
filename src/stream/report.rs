//! The line that `--stats` logs, at an interval.

use crate::stats::{Snapshot, Stats};
use std::time::Duration;

/// Logs what was counted since it last did.
#[derive(Debug)]
pub struct Report {
    every: Option<Duration>,
    last: Snapshot,
    last_at: Duration,
}

impl Report {
    /// A line for each such time, the first one from time zero on; `None` is silent.
    pub fn new(every: Option<Duration>) -> Self {
        Self { every, last: Snapshot::default(), last_at: Duration::ZERO }
    }

    /// Logs a line if one is due at `now`, which is time since the start of the stream.
    pub fn tell(&mut self, now: Duration, stats: &Stats) {
        if let Some(line) = self.line(now, stats) {
            tracing::info!(target: "mb_encode::stats", "{line}");
        }
    }

    fn line(&mut self, now: Duration, stats: &Stats) -> Option<String> {
        let took = now.saturating_sub(self.last_at);
        if took < self.every? {
            return None;
        }
        let snapshot = stats.snapshot();
        let since = snapshot.since(&self.last);
        (self.last, self.last_at) = (snapshot, now);
        let per_second = |count: u64| count as f64 / took.as_secs_f64();
        let ms = |share| since.encode_time(share).as_secs_f64() * 1e3;
        Some(format!(
            "{:.2} fps, {:.2} Mb/s, {} skipped, encode p50 {:.2} ms p99 {:.2} ms",
            per_second(since.totals.pictures),
            per_second(since.totals.bytes) * 8.0 / 1e6,
            since.totals.skipped(),
            ms(0.50),
            ms(0.99)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_only_what_happened_since_the_one_before() {
        let stats = Stats::default();
        let mut report = Report::new(Some(Duration::from_secs(2)));
        stats.picture(1_000_000, Duration::from_millis(9));
        assert_eq!(report.line(Duration::from_millis(1999), &stats), None);
        let first = report.line(Duration::from_secs(2), &stats).unwrap();
        assert!(first.starts_with("0.50 fps, 4.00 Mb/s, 0 skipped, encode p50 "), "{first}");
        for ms in 1..=100 {
            stats.picture(2500, Duration::from_millis(ms));
        }
        stats.late(3);
        stats.held_back();
        let second = report.line(Duration::from_secs(4), &stats).unwrap();
        let (counts, times) = second.split_once(", encode ").unwrap();
        assert_eq!(counts, "50.00 fps, 1.00 Mb/s, 4 skipped");
        let numbers: Vec<f64> = times.split(' ').filter_map(|word| word.parse().ok()).collect();
        assert!((numbers[0] / 50.0 - 1.0).abs() < 0.05 && (numbers[1] / 99.0 - 1.0).abs() < 0.05, "{times}");
        let empty = report.line(Duration::from_secs(6), &stats).unwrap();
        assert_eq!(empty, "0.00 fps, 0.00 Mb/s, 0 skipped, encode p50 0.00 ms p99 0.00 ms");
    }

    #[test]
    fn without_an_interval_nothing_is_told() {
        let stats = Stats::default();
        stats.picture(1, Duration::ZERO);
        assert_eq!(Report::new(None).line(Duration::MAX, &stats), None);
    }
}
