//! Deadlines on an absolute grid.
//!
//! The pacer answers one question: which picture is due now, and were any skipped. Point `k` of the grid is at
//! `k / frame_rate` after the start, computed from `k` each time, so no rounding error adds up and a late
//! picture never makes the next one late. Who comes late skips; the pacer never asks for a burst.
//! It reads no clock: `now` is passed in, which is why its tests need no sleep.

use crate::settings::FrameRate;
use std::time::Duration;

/// One point of the grid, and the picture that is drawn if one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// Number of the picture, from 0 and without gaps: see [`Frame::index`](crate::Frame::index).
    pub index: u64,
    /// When it is due, as time since the start of the stream. This is the picture's PTS.
    pub pts: Duration,
    /// `pts` less that of the last picture drawn; for the first picture the frame interval.
    pub delta: Duration,
    /// Grid points passed over since the tick before, because the caller was late.
    pub skipped: u64,
}

/// How far a pacer has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(serde::Serialize, serde::Deserialize))]
pub struct Point {
    /// The next point of the grid.
    next: u64,
    /// Pictures drawn.
    drawn: u64,
    last_pts: Option<Duration>,
}

impl Point {
    /// When the last picture that was drawn was due.
    pub fn last_pts(&self) -> Option<Duration> {
        self.last_pts
    }
}

/// Hands out ticks in order.
#[derive(Debug)]
pub struct Pacer {
    frame_rate: FrameRate,
    at: Point,
}

impl Pacer {
    /// A pacer whose first picture is due at time zero.
    pub fn new(frame_rate: FrameRate) -> Self {
        Self::going_on(frame_rate, Point::default())
    }

    /// A pacer that goes on where another one has come to.
    pub fn going_on(frame_rate: FrameRate, at: Point) -> Self {
        Self { frame_rate, at }
    }

    /// How far it has come.
    pub fn point(&self) -> Point {
        self.at
    }

    /// The picture to draw next, given the time since the start of the stream.
    ///
    /// Where its `pts` lies ahead of `now`, wait until then. One that is late by less than one interval is still handed
    /// out, to be drawn at once; one that is later than that is skipped, and all skipped ones are counted.
    pub fn next(&mut self, now: Duration) -> Tick {
        let point = self.at.next.max(self.frame_rate.frames_in(now));
        let skipped = point - self.at.next;
        self.at.next = point + 1;
        Tick { skipped, ..self.off_grid(self.frame_rate.time_of(point)) }
    }

    /// Picture `index`, whatever the time: for streams that run as fast as they can. They pass over no point of the grid, and
    /// a picture that was lost is drawn anew for its own.
    pub fn unpaced(&self, index: u64) -> Tick {
        Tick { index, ..self.off_grid(self.frame_rate.time_of(index)) }
    }

    /// A picture that is due at no point of the grid, but at `pts`.
    pub fn off_grid(&self, pts: Duration) -> Tick {
        let delta = self.at.last_pts.map_or_else(|| self.frame_rate.interval(), |last| pts.saturating_sub(last));
        Tick { index: self.at.drawn, pts, delta, skipped: 0 }
    }

    /// When the last picture that was drawn was due.
    pub fn last_pts(&self) -> Option<Duration> {
        self.at.last_pts
    }

    /// The picture of this tick was drawn.
    pub fn drew(&mut self, tick: &Tick) {
        self.at.drawn += 1;
        self.at.last_pts = Some(tick.pts);
    }

    /// Pictures drawn so far.
    pub fn drawn(&self) -> u64 {
        self.at.drawn
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
            assert_eq!((tick.pts, tick.delta), (k as u32 * 20 * MS, 20 * MS));
            pacer.drew(&tick);
        }
    }

    #[test]
    fn pictures_that_are_not_drawn_have_no_number_and_leave_a_gap_in_time() {
        let mut pacer = pacer(50, 1);
        let first = pacer.next(Duration::ZERO);
        pacer.drew(&first);
        // Nobody draws this one.
        pacer.next(20 * MS);
        let tick = pacer.next(40 * MS);
        assert_eq!((tick.index, tick.pts, tick.delta), (1, 40 * MS, 40 * MS));
        pacer.drew(&tick);
        assert_eq!((pacer.drawn(), pacer.next(60 * MS).index), (2, 2));
    }

    #[test]
    fn a_late_caller_skips_and_never_bursts() {
        let mut pacer = pacer(50, 1);
        let first = pacer.next(Duration::ZERO);
        pacer.drew(&first);
        let next = |pacer: &mut Pacer, now| {
            let tick = pacer.next(now);
            pacer.drew(&tick);
            tick
        };
        // Frame 1 was due at 20 ms; at 39 ms it is late but not yet over.
        assert_eq!(next(&mut pacer, 39 * MS), Tick { index: 1, pts: 20 * MS, delta: 20 * MS, skipped: 0 });
        // 230 ms later frames 2 to 12 have passed; frame 13 began at 260 ms.
        let tick = Tick { index: 2, pts: 260 * MS, delta: 240 * MS, skipped: 11 };
        assert_eq!(next(&mut pacer, 269 * MS), tick);
        // And the next one lies ahead again: no catching up.
        assert_eq!(next(&mut pacer, 269 * MS), Tick { index: 3, pts: 280 * MS, delta: 20 * MS, skipped: 0 });
    }

    #[test]
    fn a_day_of_ntsc_does_not_drift() {
        let mut pacer = pacer(30_000, 1001);
        let day = Duration::from_secs(24 * 3600);
        let tick = pacer.next(day);
        // 86400 s * 30000 / 1001 = 2589410.58…: that frame began less than one interval ago.
        assert_eq!(tick.skipped, 2_589_410);
        assert!(day - tick.pts < Duration::from_micros(33_367));
        assert_eq!(tick.pts.as_nanos(), 2_589_410u128 * 1_001 * 1_000_000_000 / 30_000);
    }

    #[test]
    fn unpaced_ticks_keep_the_grid_of_time_stamps_also_where_a_picture_was_lost() {
        let mut pacer = pacer(25, 1);
        for index in 0..3u32 {
            let (lost, tick) = (pacer.unpaced(index.into()), pacer.unpaced(index.into()));
            assert_eq!(tick, lost);
            assert_eq!((tick.index, tick.pts, tick.delta), (index.into(), index * 40 * MS, 40 * MS));
            pacer.drew(&tick);
        }
    }
}
