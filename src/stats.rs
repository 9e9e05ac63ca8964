//! What a stream did: totals, one window at a time for the `--stats` line, and the stages of each picture.

use std::fmt;
use std::time::Duration;

/// Target of the `tracing` spans, at trace level, one of which is open while a stage of a picture runs: `draw`,
/// `convert`, `map`, `copy`, `unmap`, `encode` and `write` with NVENC, `draw`, `read`, `encode` and `write` with
/// OpenH264. Where nobody listens they cost a comparison. `examples/stage_times.rs` listens.
pub const STAGE: &str = "mb_encode::stage";

/// Counts since the start of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Pictures written.
    pub pictures: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Pictures not drawn because this machine was late.
    pub late: u64,
    /// Pictures not drawn because the reader was behind.
    pub held_back: u64,
}

impl Totals {
    /// Pictures not drawn, whatever the reason.
    pub fn skipped(&self) -> u64 {
        self.late + self.held_back
    }

    /// Adds another stream's counts.
    pub fn add(&mut self, other: &Self) {
        self.pictures += other.pictures;
        self.bytes += other.bytes;
        self.late += other.late;
        self.held_back += other.held_back;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} pictures, {} bytes, {} skipped", self.pictures, self.bytes, self.skipped())
    }
}

/// Counts since the start, and those of the window that is open now.
#[derive(Debug)]
pub struct Stats {
    totals: Totals,
    at_opening: Totals,
    opened: Duration,
    window: Option<Duration>,
    /// Encode times in the window, in microseconds.
    encode_us: Vec<u32>,
}

/// One closed window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Pictures written per second.
    pub pictures_per_second: f64,
    /// Bits written per second, in millions.
    pub megabits_per_second: f64,
    /// Pictures not drawn.
    pub skipped: u64,
    /// Median time to code a picture, in milliseconds.
    pub encode_p50_ms: f64,
    /// 99th percentile of the time to code a picture, in milliseconds.
    pub encode_p99_ms: f64,
}

impl Stats {
    /// With the first window opened at time zero; `None` counts totals only.
    pub fn new(window: Option<Duration>) -> Self {
        let encode_us = Vec::with_capacity(if window.is_some() { 1024 } else { 0 });
        Self { totals: Totals::default(), at_opening: Totals::default(), opened: Duration::ZERO, window, encode_us }
    }

    /// Counts a picture that was written.
    pub fn picture(&mut self, bytes: usize, encode_time: Duration) {
        self.totals.pictures += 1;
        self.totals.bytes += bytes as u64;
        if self.window.is_some() {
            self.encode_us.push(encode_time.as_micros() as u32);
        }
    }

    /// Counts pictures that were not drawn because this machine was late.
    pub fn late(&mut self, pictures: u64) {
        self.totals.late += pictures;
    }

    /// Counts a picture that was not drawn because the reader was behind.
    pub fn held_back(&mut self) {
        self.totals.held_back += 1;
    }

    /// Counts since the start.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Closes the window if it is over at `now`, which is time since the start, and opens the next one.
    pub fn close_window(&mut self, now: Duration) -> Option<Window> {
        let open_for = now.saturating_sub(self.opened);
        if open_for < self.window? {
            return None;
        }
        let (totals, before) = (self.totals, self.at_opening);
        let per_second = |count: u64| count as f64 / open_for.as_secs_f64();
        self.encode_us.sort_unstable();
        let window = Window {
            pictures_per_second: per_second(totals.pictures - before.pictures),
            megabits_per_second: per_second(totals.bytes - before.bytes) * 8.0 / 1e6,
            skipped: totals.skipped() - before.skipped(),
            encode_p50_ms: percentile(&self.encode_us, 0.50),
            encode_p99_ms: percentile(&self.encode_us, 0.99),
        };
        self.encode_us.clear();
        self.at_opening = totals;
        self.opened = now;
        Some(window)
    }
}

/// The smallest of the sorted values that `share` of them do not exceed, in milliseconds; 0 without any.
fn percentile(sorted_us: &[u32], share: f64) -> f64 {
    let rank = (sorted_us.len() as f64 * share).ceil() as usize;
    sorted_us.get(rank.saturating_sub(1)).map_or(0.0, |&us| f64::from(us) / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_counts_only_what_happened_in_it() {
        let mut stats = Stats::new(Some(Duration::from_secs(2)));
        stats.picture(1_000_000, Duration::from_millis(9));
        assert_eq!(stats.close_window(Duration::from_millis(1999)), None);
        assert_eq!(stats.close_window(Duration::from_secs(2)).unwrap().megabits_per_second, 4.0);
        for ms in 1..=100 {
            stats.picture(2500, Duration::from_millis(ms));
        }
        stats.late(3);
        stats.held_back();
        let window = stats.close_window(Duration::from_secs(4)).unwrap();
        assert_eq!(
            window,
            Window {
                pictures_per_second: 50.0,
                megabits_per_second: 1.0,
                skipped: 4,
                encode_p50_ms: 50.0,
                encode_p99_ms: 99.0
            }
        );
        assert_eq!(stats.totals(), Totals { pictures: 101, bytes: 1_250_000, late: 3, held_back: 1 });
        let empty = stats.close_window(Duration::from_secs(6)).unwrap();
        assert_eq!((empty.pictures_per_second, empty.encode_p99_ms), (0.0, 0.0));
    }

    #[test]
    fn without_a_window_nothing_is_kept() {
        let mut stats = Stats::new(None);
        stats.picture(1, Duration::ZERO);
        assert_eq!(stats.close_window(Duration::MAX), None);
        assert!(stats.encode_us.is_empty());
    }
}
