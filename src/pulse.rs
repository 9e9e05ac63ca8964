//! Where a stream is right now, for whoever watches that it does not hang.
//!
//! The threads of a stream say which stage they enter; a watchdog, which is another thread or another process, sees how
//! long ago that was. Saying it costs an atomic store and a look at the clock, and nobody waits for anybody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a thread of a stream is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[repr(u8)]
pub enum Stage {
    /// Waiting for a deadline, for the other thread, or for a reader: for as long as it takes.
    Idle,
    /// Loading drivers and making everything that a stream needs.
    Opening,
    /// In the renderer.
    Drawing,
    /// Reading a picture back from where it was drawn.
    Reading,
    /// In the encoder.
    Encoding,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Idle => "waiting",
            Self::Opening => "opening the drivers",
            Self::Drawing => "drawing a frame",
            Self::Reading => "reading back a frame",
            Self::Encoding => "encoding a frame",
        })
    }
}

/// The two threads of a stream. With NVENC all is done by the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Opens and draws.
    Artist,
    /// Encodes and writes.
    Coder,
}

/// Shared by the threads of a stream and its watchdog.
#[derive(Debug)]
pub struct Pulse {
    start: Instant,
    /// For each lane: milliseconds since `start` above the lowest 8 bits, which hold the stage.
    lanes: [AtomicU64; 2],
}

impl Default for Pulse {
    /// Idle on both lanes.
    fn default() -> Self {
        Self { start: Instant::now(), lanes: Default::default() }
    }
}

impl Pulse {
    /// Notes that a lane enters a stage now.
    pub fn enter(&self, lane: Lane, stage: Stage) {
        let now = self.start.elapsed().as_millis() as u64;
        self.lanes[lane as usize].store(now << 8 | stage as u64, Ordering::Relaxed);
    }

    /// Notes that a lane is in a stage from now until what this returns is dropped, whatever comes between, and idle
    /// then.
    pub fn during(&self, lane: Lane, stage: Stage) -> impl Drop {
        self.enter(lane, stage);
        Idle { pulse: self, lane }
    }

    /// The stage that has lasted longest on either lane, the idle ones aside, and for how long.
    pub fn longest(&self) -> (Stage, Duration) {
        let now = self.start.elapsed().as_millis() as u64;
        let lanes = self.lanes.iter().map(|lane| lane.load(Ordering::Relaxed));
        let busy = lanes.map(|lane| (stage(lane as u8), now.saturating_sub(lane >> 8)));
        let longest = busy.filter(|&(stage, _)| stage != Stage::Idle).max_by_key(|&(_, for_ms)| for_ms);
        longest.map_or((Stage::Idle, Duration::ZERO), |(stage, for_ms)| (stage, Duration::from_millis(for_ms)))
    }
}

/// Ends a stage.
struct Idle<'a> {
    pulse: &'a Pulse,
    lane: Lane,
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.pulse.enter(self.lane, Stage::Idle);
    }
}

fn stage(number: u8) -> Stage {
    const ALL: [Stage; 5] = [Stage::Idle, Stage::Opening, Stage::Drawing, Stage::Reading, Stage::Encoding];
    ALL.get(usize::from(number)).copied().unwrap_or(Stage::Idle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_stage_is_told_and_waiting_is_none() {
        let pulse = Pulse::default();
        assert_eq!(pulse.longest().0, Stage::Idle);
        pulse.enter(Lane::Artist, Stage::Drawing);
        std::thread::sleep(Duration::from_millis(20));
        pulse.enter(Lane::Coder, Stage::Encoding);
        let (stage, since) = pulse.longest();
        assert!(stage == Stage::Drawing && since >= Duration::from_millis(19), "{stage:?} {since:?}");
        pulse.enter(Lane::Artist, Stage::Idle);
        assert_eq!(pulse.longest().0, Stage::Encoding);
        let reading = pulse.during(Lane::Coder, Stage::Reading);
        assert_eq!(pulse.longest().0, Stage::Reading);
        drop(reading);
        assert_eq!(pulse.longest().0, Stage::Idle);
    }
}
