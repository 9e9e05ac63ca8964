//! Deadlines on an absolute grid.
//!
//! The pacer answers one question: which frame is due now, and were any skipped. Picture `k` is due at
//! `k / frame_rate` after the start, computed from `k` each time, so no rounding error adds up and a late
//! picture never makes the next one late. Who comes late skips; the pacer never asks for a burst.
//! It reads no clock: `now` is passed in, which is why its tests need no sleep.

use crate::settings::FrameRate;
use std::time::Duration;

/// One point of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// Position on the grid, from 0.
    pub index: u64,
    /// When the frame is due, as time since the start of the stream. This is the picture's PTS.
    pub pts: Duration,
    /// Grid points passed over since the tick before, because the caller was late.
    pub skipped: u64,
}

/// Hands out ticks in order.
#[derive(Debug)]
pub struct Pacer {
    frame_rate: FrameRate,
    next: u64,
}

impl Pacer {
    /// A pacer whose first frame is due at time zero.
    pub fn new(frame_rate: FrameRate) -> Self {
        Self { frame_rate, next: 0 }
    }

    /// The frame to draw next, given the time since the start of the stream.
    ///
    /// Where its `pts` lies ahead of `now`, wait until then. A frame that is late by less than one interval is
    /// still handed out, to be drawn at once; one that is later than that is skipped, and all skipped ones are
    /// counted.
    pub fn next(&mut self, now: Duration) -> Tick {
        let due = self.frame_rate.frames_in(now);
        let index = self.next.max(due);
        let tick = Tick { index, pts: self.frame_rate.time_of(index), skipped: index - self.next };
        self.next = index + 1;
        tick
    }

    /// The frame after the last one, whatever the time: for streams that run as fast as they can.
    pub fn next_unpaced(&mut self) -> Tick {
        let index = self.next;
        self.next += 1;
        Tick { index, pts: self.frame_rate.time_of(index), skipped: 0 }
    }
}

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
    /// The longest that a picture is held back: what coding a large one may take. A hiccup at a low rate would
    /// otherwise be felt for minutes.
    const MOST: Duration = Duration::from_millis(25);

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
        pts + self.latency
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pacer(num: u32, den: u32) -> Pacer {
        Pacer::new(FrameRate::new(num, den).unwrap())
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn early_callers_get_every_frame() {
        let mut pacer = pacer(50, 1);
        for k in 0..500u64 {
            let now = k.saturating_sub(1) as u32 * 20 * MS + 3 * MS;
            let tick = pacer.next(now);
            assert_eq!((tick.index, tick.skipped), (k, 0));
            assert_eq!(tick.pts, k as u32 * 20 * MS);
        }
    }

    #[test]
    fn a_late_caller_skips_and_never_bursts() {
        let mut pacer = pacer(50, 1);
        pacer.next(Duration::ZERO);
        // Frame 1 was due at 20 ms; at 39 ms it is late but not yet over.
        assert_eq!(pacer.next(39 * MS), Tick { index: 1, pts: 20 * MS, skipped: 0 });
        // 230 ms later frames 2 to 12 have passed; frame 13 began at 260 ms.
        assert_eq!(pacer.next(269 * MS), Tick { index: 13, pts: 260 * MS, skipped: 11 });
        // And the next one lies ahead again: no catching up.
        assert_eq!(pacer.next(269 * MS), Tick { index: 14, pts: 280 * MS, skipped: 0 });
    }

    #[test]
    fn a_day_of_ntsc_does_not_drift() {
        let mut pacer = pacer(30_000, 1001);
        let day = Duration::from_secs(24 * 3600);
        let tick = pacer.next(day);
        // 86400 s * 30000 / 1001 = 2589410.58…: that frame began less than one interval ago.
        assert_eq!(tick.index, 2_589_410);
        assert!(day - tick.pts < Duration::from_micros(33_367));
        assert_eq!(tick.pts.as_nanos(), 2_589_410u128 * 1_001 * 1_000_000_000 / 30_000);
    }

    #[test]
    fn unpaced_ticks_keep_the_grid_of_time_stamps() {
        let mut pacer = pacer(25, 1);
        let pts: Vec<_> = (0..3).map(|_| pacer.next_unpaced().pts).collect();
        assert_eq!(pts, [Duration::ZERO, 40 * MS, 80 * MS]);
    }

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
