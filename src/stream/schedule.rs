//! When the next picture is drawn, and whether.

use super::checkpoint::Course;
use super::clock::{End, Time};
use super::opening::Opening;
use super::report::Report;
use super::vitals::Vitals;
use crate::control::Control;
use crate::pacer::{Pacer, Tick};
use crate::settings::Settings;
use crate::sink::{Gate, Readiness};
use crate::stats::Stats;
use rustix::fd::BorrowedFd;
use std::time::Duration;

/// What two pictures are apart at the least.
const LEAST_STEP: Duration = Duration::from_millis(1);

/// Hands out the pictures of a stream, through all lives of its encoder. A picture that would not be taken is never
/// drawn.
pub struct Schedule<'a> {
    paced: bool,
    /// How many pictures there are.
    pictures: Option<u64>,
    pacer: Pacer,
    time: &'a dyn Time,
    gate: &'a dyn Gate,
    control: &'a Control,
    stats: &'a Stats,
    course: &'a Course,
    report: Report,
    opening: Opening,
    interval: Duration,
    /// From when on a picture that comes as it likes is not too early for the rate.
    not_before: Duration,
}

/// What is to be done about pictures that come as they like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Take the one that is there.
    Arrival(Tick),
    /// None has come, and the last one is to be sent again.
    Standstill(Tick),
}

impl<'a> Schedule<'a> {
    /// From the first picture on, which is due at time zero, or from the one on that the stream has come to.
    pub fn new(
        settings: &Settings,
        time: &'a dyn Time,
        gate: &'a dyn Gate,
        control: &'a Control,
        vitals: &'a Vitals,
        report: Report,
        opening: Opening,
    ) -> Self {
        let Settings { frame_rate, paced, pictures, .. } = *settings;
        let Vitals { stats, course, .. } = vitals;
        let pacer = Pacer::going_on(frame_rate, course.from().map(|from| from.point).unwrap_or_default());
        let (interval, not_before) = (frame_rate.interval(), Duration::ZERO);
        Self { paced, pictures, pacer, time, gate, control, stats, course, report, opening, interval, not_before }
    }

    /// Whether pictures are held to real time.
    pub fn is_paced(&self) -> bool {
        self.paced
    }

    /// Whether all pictures are drawn.
    fn is_done(&self) -> bool {
        self.pictures == Some(self.pacer.drawn())
    }

    /// Waits until a picture is due that the sink has room for, or returns how the stream ends.
    pub fn next(&mut self) -> Result<Tick, End> {
        if self.is_done() { Err(End::Done) } else { self.next_wanted(self.pacer.drawn()) }
    }

    /// As [`Schedule::next`], where the picture of `ahead` is drawn already and is not on its way yet.
    pub fn next_behind(&mut self, ahead: Option<&Tick>) -> Result<Tick, End> {
        let Some(ahead) = ahead else { return self.next() };
        let index = ahead.index + 1;
        if self.pictures == Some(index) {
            return Err(End::Done);
        }
        let tick = self.next_wanted(index)?;
        Ok(Tick { index, delta: tick.pts - ahead.pts, ..tick })
    }

    fn next_wanted(&mut self, index: u64) -> Result<Tick, End> {
        loop {
            let tick = if self.paced { self.pacer.next(self.time.now()) } else { self.pacer.unpaced(index) };
            if self.paced {
                self.time.wait_until(tick.pts).map_or(Ok(()), Err)?;
            }
            self.stats.late(tick.skipped);
            self.report.tell(self.time.now(), self.stats);
            if self.control.stop_requested() {
                return Err(End::Stopped);
            }
            match self.gate.readiness() {
                Readiness::Gone => return Err(End::ReaderGone),
                // Without pacing nothing is gained by skipping: the writer waits for the reader.
                Readiness::Busy if self.paced => self.stats.held_back(),
                Readiness::Busy | Readiness::Ready => {
                    if self.opening.is_due(tick.index) {
                        self.control.request_idr();
                    }
                    return Ok(tick);
                }
            }
        }
    }

    /// Waits for a picture that is made when it is asked for, or that waits in `arrivals`, and until it is due.
    pub fn next_of(&mut self, arrivals: Option<BorrowedFd<'_>>) -> Result<Tick, End> {
        // None is waited for that is not wanted.
        if let (Some(arrivals), false) = (arrivals, self.is_done()) {
            self.time.wait_for(arrivals, Duration::MAX)?;
        }
        self.next()
    }

    /// Waits for a picture in `arrivals` that the sink has room for, or until the last one is to be sent again. They are
    /// taken as they come, up to the frame rate; one that comes up to half an interval early is not made to wait, for
    /// producers are not as even as clocks.
    pub fn moment(&mut self, arrivals: BorrowedFd<'_>, stands: Duration) -> Result<Moment, End> {
        if self.is_done() {
            return Err(End::Done);
        }
        loop {
            let earliest = self.not_before.saturating_sub(self.interval / 2);
            self.time.wait_until(earliest).map_or(Ok(()), Err)?;
            let has_arrived = self.time.wait_for(arrivals, stands)?;
            let now = self.time.now();
            self.report.tell(now, self.stats);
            if self.control.stop_requested() {
                return Err(End::Stopped);
            }
            match self.gate.readiness() {
                Readiness::Gone => return Err(End::ReaderGone),
                Readiness::Busy => {
                    self.stats.held_back();
                    self.time.wait_until(now + self.interval).map_or(Ok(()), Err)?;
                    continue;
                }
                Readiness::Ready => {}
            }
            let tick = self.pacer.off_grid(now);
            if !has_arrived {
                return Ok(Moment::Standstill(tick));
            }
            self.not_before = self.not_before.max(now) + self.interval;
            if self.opening.is_due(tick.index) {
                self.control.request_idr();
            }
            return Ok(Moment::Arrival(tick));
        }
    }

    /// Stamps a picture that was there `age` before its tick. Times only rise.
    pub fn stamp(&self, tick: &Tick, age: Duration) -> Tick {
        let earliest = self.pacer.last_pts().map_or(Duration::ZERO, |last| last + LEAST_STEP);
        Tick { pts: tick.pts.saturating_sub(age).max(earliest), ..*tick }
    }

    /// The picture was drawn and is on its way.
    pub fn drew(&mut self, tick: &Tick) {
        self.pacer.drew(tick);
        self.course.drew(self.pacer.point());
    }

    /// The picture was not drawn: the encoder is behind.
    pub fn too_late(&mut self) {
        self.stats.late(1);
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock::tests::Still;
    use super::*;
    use crate::stats::Totals;
    use rustix::event::{EventfdFlags, eventfd};
    use rustix::fd::{AsFd as _, OwnedFd};
    use std::sync::Mutex;

    const MS: Duration = Duration::from_millis(1);

    /// Says what it was told to, and then that it is ready.
    struct Scripted(Mutex<Vec<Readiness>>);

    impl Gate for Scripted {
        fn readiness(&self) -> Readiness {
            self.0.lock().unwrap().pop().unwrap_or(Readiness::Ready)
        }

        fn reader(&self) -> Option<BorrowedFd<'_>> {
            None
        }
    }

    /// Runs a schedule of 50 pictures/s, in front of a gate that says `said`, the first one first.
    fn with(
        change: impl FnOnce(&mut Settings),
        time: &Still,
        said: &[Readiness],
        check: impl FnOnce(&mut Schedule<'_>, &Control),
    ) -> Totals {
        let mut settings = Settings { frame_rate: "50".parse().unwrap(), ..Settings::default() };
        change(&mut settings);
        let gate = Scripted(Mutex::new(said.iter().rev().copied().collect()));
        let (control, vitals) = (Control::new().unwrap(), Vitals::default());
        check(
            &mut Schedule::new(
                &settings,
                time,
                &gate,
                &control,
                &vitals,
                Report::new(None),
                Opening::new(&settings, true),
            ),
            &control,
        );
        vitals.stats.totals()
    }

    #[test]
    fn pictures_come_when_they_are_due_and_so_many_as_were_asked_for() {
        let time = Still::default();
        let totals = with(
            |settings| settings.pictures = Some(3),
            &time,
            &[],
            |schedule, _| {
                for k in 0..3u32 {
                    let tick = schedule.next().unwrap();
                    assert_eq!((tick.index, tick.pts, time.now()), (k.into(), k * 20 * MS, k * 20 * MS));
                    schedule.drew(&tick);
                    time.pass(15 * MS);
                }
                assert_eq!(schedule.next(), Err(End::Done));
            },
        );
        assert_eq!(totals, Totals::default());
    }

    #[test]
    fn a_busy_reader_costs_the_pictures_that_it_would_not_take() {
        let time = Still::default();
        let totals = with(
            |_| (),
            &time,
            &[Readiness::Ready, Readiness::Busy, Readiness::Busy],
            |schedule, _| {
                let first = schedule.next().unwrap();
                schedule.drew(&first);
                let tick = schedule.next().unwrap();
                assert_eq!((tick.index, tick.pts, tick.delta), (1, 60 * MS, 60 * MS));
            },
        );
        assert_eq!((totals.held_back, totals.late), (2, 0));
    }

    #[test]
    fn who_is_late_skips() {
        let time = Still::default();
        let totals = with(
            |_| (),
            &time,
            &[],
            |schedule, _| {
                let first = schedule.next().unwrap();
                schedule.drew(&first);
                time.pass(110 * MS);
                assert_eq!(schedule.next().unwrap().pts, 100 * MS);
                schedule.too_late();
            },
        );
        assert_eq!((totals.held_back, totals.late), (0, 5));
    }

    #[test]
    fn without_pace_time_does_not_matter_and_a_busy_reader_is_waited_for() {
        let time = Still::default();
        let totals = with(
            |settings| settings.paced = false,
            &time,
            &[Readiness::Busy; 3],
            |schedule, _| {
                for k in 0..3u32 {
                    let tick = schedule.next().unwrap();
                    assert_eq!((tick.index, tick.pts, time.now()), (k.into(), k * 20 * MS, Duration::ZERO));
                    schedule.drew(&tick);
                }
            },
        );
        assert_eq!(totals, Totals::default());
    }

    #[test]
    fn one_that_is_drawn_ahead_comes_behind_the_one_that_is_not_on_its_way() {
        with(
            |settings| (settings.paced, settings.pictures) = (false, Some(3)),
            &Still::default(),
            &[],
            |schedule, _| {
                let mut ahead = None;
                for k in 0..3u32 {
                    let tick = schedule.next_behind(ahead.as_ref()).unwrap();
                    assert_eq!((tick.index, tick.pts, tick.delta), (k.into(), k * 20 * MS, 20 * MS));
                    if let Some(drawn) = ahead.replace(tick) {
                        schedule.drew(&drawn);
                    }
                }
                assert_eq!(schedule.next_behind(ahead.as_ref()), Err(End::Done));
            },
        );
    }

    /// Readable from the start, or never.
    fn arrivals(has_some: bool) -> OwnedFd {
        eventfd(has_some.into(), EventfdFlags::CLOEXEC).unwrap()
    }

    #[test]
    fn pictures_that_come_as_they_like_are_taken_at_once_and_not_more_often_than_the_rate() {
        let (time, waiting) = (Still::default(), arrivals(true));
        with(
            |_| (),
            &time,
            &[],
            |schedule, _| {
                let mut next = |passes: u32| {
                    time.pass(passes * MS);
                    let Ok(Moment::Arrival(tick)) = schedule.moment(waiting.as_fd(), Duration::MAX) else { panic!() };
                    schedule.drew(&tick);
                    assert_eq!(tick.pts, time.now());
                    tick.pts.as_millis()
                };
                // 20 ms apart, and up to 10 ms early; a producer without a break is held to the rate.
                assert_eq!([3, 20, 17, 24, 20].map(&mut next), [3, 23, 40, 64, 84]);
                let flood: Vec<_> = (0..50).map(|_| next(0)).collect();
                assert_eq!((flood[0], flood[49]), (94, 94 + 49 * 20));
            },
        );
    }

    #[test]
    fn where_none_comes_the_last_one_is_due_again() {
        let (time, none) = (Still::default(), arrivals(false));
        with(
            |_| (),
            &time,
            &[Readiness::Busy],
            |schedule, _| {
                let moment = schedule.moment(none.as_fd(), 200 * MS);
                // A busy reader is given a picture's time.
                let tick = Tick { index: 0, pts: 220 * MS, delta: 20 * MS, skipped: 0 };
                assert_eq!(moment, Ok(Moment::Standstill(tick)));
            },
        );
    }

    #[test]
    fn a_picture_has_the_time_at_which_it_came_and_times_rise() {
        with(
            |_| (),
            &Still::default(),
            &[],
            |schedule, _| {
                let tick = |ms: u32| Tick { index: 0, pts: ms * MS, delta: Duration::ZERO, skipped: 0 };
                let first = schedule.stamp(&tick(30), 10 * MS);
                assert_eq!(first.pts, 20 * MS);
                schedule.drew(&first);
                assert_eq!(schedule.stamp(&tick(50), 35 * MS).pts, 21 * MS);
                assert_eq!(schedule.stamp(&tick(50), 60 * MS).pts, 21 * MS);
            },
        );
    }

    #[test]
    fn a_stop_and_a_reader_that_leaves_end_it_also_in_a_wait() {
        for end in [End::Stopped, End::ReaderGone] {
            let time = Still { end: Some((50 * MS, end)), ..Still::default() };
            with(
                |_| (),
                &time,
                &[],
                |schedule, _| {
                    let ticks: Vec<_> = std::iter::repeat_with(|| schedule.next()).take(4).collect();
                    assert!(ticks[..3].iter().all(Result::is_ok) && ticks[3] == Err(end), "{ticks:?}");
                },
            );
            assert_eq!(time.now(), 50 * MS);
        }
        let time = Still::default();
        with(|_| (), &time, &[Readiness::Gone], |schedule, _| assert_eq!(schedule.next(), Err(End::ReaderGone)));
        with(
            |settings| settings.paced = false,
            &time,
            &[],
            |schedule, control| {
                control.request_stop();
                assert_eq!(schedule.next(), Err(End::Stopped));
            },
        );
    }
}
