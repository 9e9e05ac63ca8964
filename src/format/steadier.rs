//! When a picture of a raw stream is written.

use crate::settings::FrameRate;
use std::time::Duration;

/// Evens out when access units are written.
///
/// go2rtc stamps a raw stream with the time of arrival, so every picture that takes longer to code than the others,
/// each IDR for one, is shown late and the next one early. Here a picture that is ready sooner than usual is held back
/// until its deadline plus the usual latency, which follows the slowest pictures.
#[derive(Debug)]
pub struct Steadier {
    latency: Duration,
    most: Duration,
}

impl Steadier {
    /// The longest that a picture is held back: what encoding a large one may take. A hiccup at a low rate would
    /// otherwise be felt for minutes.
    const MOST: Duration = Duration::from_millis(25);

    /// What is not worth a wait: in real time a second sleep for a picture costs more of the processor than all else that
    /// is done for it, and go2rtc's stamps are no more exact than this on any machine that does something else.
    const LEAST: Duration = Duration::from_micros(250);

    /// Holds pictures of this rate back, by three quarters of an interval at most: in the last quarter the next one
    /// may be on its way.
    pub fn new(frame_rate: FrameRate) -> Self {
        Self { latency: Duration::ZERO, most: (frame_rate.interval() * 3 / 4).min(Self::MOST) }
    }

    /// When to write a picture that was due at `pts` and is ready `now`, both as time since the start of the stream.
    pub fn release(&mut self, pts: Duration, now: Duration) -> Duration {
        let took = now.saturating_sub(pts);
        if took > self.latency {
            // By half: a hiccup of the machine is not the usual.
            self.latency = (self.latency + (took - self.latency) / 2).min(self.most);
        } else {
            // Slowly, so that it lasts from one IDR to the next.
            self.latency -= (self.latency - took) / 256;
        }
        let release = pts + self.latency;
        if release.saturating_sub(now) < Self::LEAST { release.min(now) } else { release }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn slow_idr_pictures_are_written_on_the_grid_too() {
        let mut steadier = Steadier::new(FrameRate::new(50, 1).unwrap());
        let mut late = Vec::new();
        for k in 0..1000u32 {
            let took = if k % 50 == 0 { 6 * MS } else { 3 * MS };
            let ready = k * 20 * MS + took;
            late.push(steadier.release(k * 20 * MS, ready).max(ready) - k * 20 * MS);
        }
        let settled = &late[200..];
        assert!(settled.iter().all(|&late| late >= 5 * MS && late <= 6 * MS), "{settled:?}");
    }

    #[test]
    fn a_moment_is_not_waited_for() {
        let mut steadier = Steadier::new(FrameRate::new(60, 1).unwrap());
        let us = Duration::from_micros(1);
        steadier.release(Duration::ZERO, 800 * us);
        assert_eq!(steadier.release(Duration::ZERO, 160 * us), 160 * us, "239 us less than half of the slow one");
        assert!(steadier.release(Duration::ZERO, 100 * us) > 390 * us);
    }

    #[test]
    fn nothing_is_held_back_into_the_next_interval() {
        let mut steadier = Steadier::new(FrameRate::new(50, 1).unwrap());
        for _ in 0..10 {
            assert!(steadier.release(Duration::ZERO, 400 * MS) <= 15 * MS);
        }
        let mut slow = Steadier::new(FrameRate::new(1, 1).unwrap());
        slow.release(Duration::ZERO, 400 * MS);
        assert!(slow.release(1000 * MS, 1010 * MS) <= 1025 * MS);
    }
}
