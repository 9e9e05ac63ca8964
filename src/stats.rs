//! What a stream did, as counts that can be read at any time without stopping it, and the stages of each picture.

use crate::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Target of the `tracing` spans, at trace level, one of which is open while a stage of a picture runs: `draw`,
/// `convert`, `map`, `copy`, `unmap`, `encode` and `write` with NVENC, `draw`, `read` with `planes` in it, `encode` and
/// `write` with OpenH264. Where nobody listens they cost a comparison. `examples/stage_times` listens.
pub const STAGE: &str = "mb_encode::stage";

/// Counts since the start of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(serde::Serialize, serde::Deserialize))]
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
        write!(f, "{} frames, {} bytes, {} skipped", self.pictures, self.bytes, self.skipped())
    }
}

/// Buckets from one time to twice that: a bucket is 9 % wide, and its middle within 5 % of everything in it.
const PER_OCTAVE: f64 = 8.0;
/// From 1 us to 2^25 us, which is half a minute. What takes longer is in the last one.
const BUCKETS: usize = 25 * PER_OCTAVE as usize;

/// Counts since the start of a stream, kept by its threads and read by anybody. Their memory is fixed.
#[derive(Debug)]
pub struct Stats {
    pictures: AtomicU64,
    bytes: AtomicU64,
    late: AtomicU64,
    held_back: AtomicU64,
    /// Pictures by the time that it took to code them.
    encode_times: [AtomicU64; BUCKETS],
}

impl Default for Stats {
    fn default() -> Self {
        let [pictures, bytes, late, held_back] = Default::default();
        Self { pictures, bytes, late, held_back, encode_times: [const { AtomicU64::new(0) }; BUCKETS] }
    }
}

impl Stats {
    /// Counts on from where others have come to.
    #[cfg(feature = "cli")]
    pub(crate) fn go_on(&self, counts: &Snapshot) {
        let Totals { pictures, bytes, late, held_back } = counts.totals;
        let totals = [(&self.pictures, pictures), (&self.bytes, bytes), (&self.late, late)];
        let times = self.encode_times.iter().zip(counts.encode_times.iter().copied());
        for (count, before) in totals.into_iter().chain([(&self.held_back, held_back)]).chain(times) {
            count.fetch_add(before, Ordering::Relaxed);
        }
    }

    /// Counts a picture that was written.
    pub fn picture(&self, bytes: usize, encode_time: Duration) {
        self.encode_times[bucket_of(encode_time)].fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.pictures.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts pictures that were not drawn because this machine was late.
    pub fn late(&self, pictures: u64) {
        self.late.fetch_add(pictures, Ordering::Relaxed);
    }

    /// Counts a picture that was not drawn because the reader was behind.
    pub fn held_back(&self) {
        self.held_back.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts since the start. While the stream runs they may be a picture apart from each other.
    pub fn totals(&self) -> Totals {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Totals {
            pictures: read(&self.pictures),
            bytes: read(&self.bytes),
            late: read(&self.late),
            held_back: read(&self.held_back),
        }
    }

    /// All counts as they are now.
    pub fn snapshot(&self) -> Snapshot {
        let mut encode_times: Vec<_> = self.encode_times.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let used = encode_times.iter().rposition(|&count| count > 0).map_or(0, |last| last + 1);
        encode_times.truncate(used);
        Snapshot { totals: self.totals(), encode_times }
    }
}

/// The counts of a stream at one time, or between two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(serde::Serialize, serde::Deserialize))]
pub struct Snapshot {
    /// Pictures and bytes.
    pub totals: Totals,
    /// Pictures by the time that it took to code them, up to the last bucket that is not empty.
    encode_times: Vec<u64>,
}

impl Snapshot {
    /// What was counted after `earlier`, which is a snapshot of the same stream.
    pub fn since(&self, earlier: &Self) -> Self {
        let (now, then) = (&self.totals, &earlier.totals);
        let totals = Totals {
            pictures: now.pictures.saturating_sub(then.pictures),
            bytes: now.bytes.saturating_sub(then.bytes),
            late: now.late.saturating_sub(then.late),
            held_back: now.held_back.saturating_sub(then.held_back),
        };
        let before = earlier.encode_times.iter().copied().chain(std::iter::repeat(0));
        let encode_times = self.encode_times.iter().zip(before).map(|(now, then)| now.saturating_sub(then)).collect();
        Self { totals, encode_times }
    }

    /// Adds what another stream has counted.
    #[cfg(feature = "cli")]
    pub fn add(&mut self, other: &Self) {
        self.totals.add(&other.totals);
        self.encode_times.resize(self.encode_times.len().max(other.encode_times.len()), 0);
        self.encode_times.iter_mut().zip(&other.encode_times).for_each(|(sum, more)| *sum += more);
    }

    /// The time within which `share` of the pictures were encoded, to 5 %; zero without any.
    pub fn encode_time(&self, share: f64) -> Duration {
        let pictures: u64 = self.encode_times.iter().sum();
        let rank = ((pictures as f64 * share).ceil() as u64).max(1);
        let mut counted = 0;
        let bucket = self.encode_times.iter().position(|count| {
            counted += count;
            counted >= rank
        });
        bucket.map_or(Duration::ZERO, |bucket| bound(bucket as f64 + 0.5))
    }

    /// The upper bound of each bucket of encode times that is not empty, with the pictures in it.
    pub fn encode_times(&self) -> impl Iterator<Item = (Duration, u64)> {
        let buckets = self.encode_times.iter().enumerate().filter(|&(_, &count)| count > 0);
        buckets.map(|(bucket, &count)| (bound(bucket as f64 + 1.0), count))
    }
}

fn bucket_of(time: Duration) -> usize {
    // A float that is cast is cut off at zero and at the largest.
    (((time.as_secs_f64() * 1e6).log2() * PER_OCTAVE) as usize).min(BUCKETS - 1)
}

/// Where a bucket begins, or a part of it.
fn bound(bucket: f64) -> Duration {
    Duration::from_secs_f64((bucket / PER_OCTAVE).exp2() / 1e6)
}

/// What draws and encodes a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(serde::Serialize, serde::Deserialize))]
pub struct Chosen {
    /// The encoder: `NVENC` or `OpenH264`.
    pub encoder: String,
    /// The GPU that encodes; `None` where the CPU does.
    pub gpu: Option<String>,
    /// Its number, as CUDA counts them.
    #[cfg_attr(feature = "cli", serde(default, skip_serializing_if = "Option::is_none"))]
    pub device: Option<u32>,
    /// What draws, as OpenGL calls it.
    pub renderer: String,
    /// Whether each picture that is drawn goes through host memory to the GPU that encodes, since the two do not share it.
    #[cfg_attr(feature = "cli", serde(default, skip_serializing_if = "std::ops::Not::not"))]
    pub through_host: bool,
    /// Why the CPU encodes where a GPU would have been taken.
    #[cfg_attr(feature = "cli", serde(default, skip_serializing_if = "Option::is_none"))]
    pub fallback: Option<Fallback>,
}

/// `NVENC`, or `NVENC through host memory`.
impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.encoder)?;
        f.write_str(if self.through_host { " through host memory" } else { "" })
    }
}

/// Why another encoder was taken than the one that would have been.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(serde::Serialize, serde::Deserialize))]
pub struct Fallback {
    /// The kind of error, as [`Error::code`](crate::Error::code), such as `nvenc-sessions`.
    pub code: String,
    /// What was seen and its cause, on one line.
    pub why: String,
}

impl Fallback {
    /// Because of `error`.
    pub fn because_of(error: &Error) -> Self {
        Self { code: error.code().to_owned(), why: error.cause().replace('\n', " ") }
    }

    /// What was seen, without what lies below it, for people. `None` where there is nothing to look into: a machine without
    /// NVIDIA's driver is as it is meant to be.
    pub fn in_short(&self) -> Option<String> {
        let short = self.why.split(": ").next().unwrap_or_default().to_owned();
        (self.code != "no-nvidia-driver").then(|| Self { why: short, ..self.clone() }.to_string())
    }
}

/// What was seen and why, with its code.
impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = if self.code.is_empty() { String::new() } else { format!(" [{}]", self.code) };
        write!(f, "{}{code}", self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_encodes_is_told_with_the_way_that_frames_take_to_it() {
        let chosen = Chosen { encoder: "NVENC".to_owned(), ..Chosen::default() };
        assert_eq!(chosen.to_string(), "NVENC");
        assert_eq!(Chosen { through_host: true, ..chosen }.to_string(), "NVENC through host memory");
    }

    #[test]
    fn what_was_counted_between_two_snapshots_is_told() {
        let stats = Stats::default();
        stats.picture(1_000_000, Duration::from_millis(900));
        let before = stats.snapshot();
        for ms in 1..=100 {
            stats.picture(2500, Duration::from_millis(ms));
        }
        stats.late(3);
        stats.held_back();
        let between = stats.snapshot().since(&before);
        assert_eq!(between.totals, Totals { pictures: 100, bytes: 250_000, late: 3, held_back: 1 });
        for (share, ms) in [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0), (0.0, 1.0)] {
            let told = between.encode_time(share).as_secs_f64() * 1e3;
            assert!((told / ms - 1.0).abs() < 0.05, "{share}: {told} ms, not {ms}");
        }
        assert_eq!(between.encode_times().map(|(_, count)| count).sum::<u64>(), 100);
        assert_eq!(stats.totals(), Totals { pictures: 101, bytes: 1_250_000, late: 3, held_back: 1 });
        let mut both = before.clone();
        both.add(&between);
        assert_eq!(both, stats.snapshot());
        let onward = Stats::default();
        onward.go_on(&both);
        assert_eq!(onward.snapshot(), both);
        let nothing = stats.snapshot().since(&stats.snapshot());
        assert_eq!((nothing.totals, nothing.encode_time(0.99)), (Totals::default(), Duration::ZERO));
    }

    #[test]
    fn every_time_has_a_bucket_that_is_near() {
        for us in (0..45_000).map(|step| 1.0005f64.powi(step)).take_while(|&us| us < 33e6) {
            let time = Duration::from_secs_f64(us / 1e6);
            let stats = Stats::default();
            stats.picture(1, time);
            let told = stats.snapshot().encode_time(0.5).as_secs_f64() * 1e6;
            assert!((told / us - 1.0).abs() < 0.05, "{us} us, told as {told}");
        }
        for (time, bucket) in [(Duration::ZERO, 0), (Duration::from_nanos(1), 0), (Duration::MAX, BUCKETS - 1)] {
            assert_eq!(bucket_of(time), bucket);
        }
    }

    #[cfg(feature = "cli")]
    #[test]
    fn a_snapshot_crosses_processes() {
        let stats = Stats::default();
        stats.picture(7, Duration::from_micros(2));
        let line = serde_json::to_string(&stats.snapshot()).unwrap();
        assert_eq!(serde_json::from_str::<Snapshot>(&line).unwrap(), stats.snapshot());
    }
}
