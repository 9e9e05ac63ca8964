//! Times as percentiles.

use anyhow::Context as _;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Times, from the shortest.
pub struct Times(Vec<Duration>);

impl Times {
    /// Measures so many times, one after the other, or until `within` seconds are over, then three times at least: what
    /// takes seconds is measured in any case, and soon enough.
    ///
    /// # Errors
    /// The first that there is, with its number.
    pub fn measure(most: u32, within: u32, mut once: impl FnMut() -> anyhow::Result<Duration>) -> anyhow::Result<Self> {
        let began = Instant::now();
        let mut times = Vec::new();
        while times.len() < most as usize && (times.len() < 3 || began.elapsed() < Duration::from_secs(within.into())) {
            times.push(once().with_context(|| format!("start {} of {most}", times.len() + 1))?);
        }
        times.sort_unstable();
        Ok(Self(times))
    }

    /// The shortest time that at least this share of them does not exceed, in milliseconds; 0 where there is none.
    fn ms(&self, share: f64) -> f64 {
        let rank = (self.0.len() as f64 * share).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).map_or(0.0, |time| (time.as_secs_f64() * 1e4).round() / 10.0)
    }

    pub fn json(&self) -> Value {
        json!({ "times": self.0.len(), "p50_ms": self.ms(0.5), "p95_ms": self.ms(0.95), "p99_ms": self.ms(0.99) })
    }

    /// Below [`Times::HEAD`].
    pub fn row(&self, name: &str) -> String {
        let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|share| self.ms(share));
        format!("{name:<12} {p50:>9.1} {p95:>9.1} {p99:>9.1}")
    }

    pub const HEAD: &'static str = "                   p50       p95       p99    milliseconds";
}
