//! When the pictures of somebody else's stream are shown.

use crate::codec::Splitter;
use crate::settings::FrameRate;
use std::time::Duration;

/// Where the clock is ahead of the pictures by more than this, pictures are missing.
const GAP: Duration = Duration::from_millis(250);
/// The least from one picture to the next where pictures are stamped when they arrive.
const LEAST_STEP: Duration = Duration::from_millis(1);
/// More than from one picture to the next, unless there is a pause.
const MOST_STEP: Duration = Duration::from_secs(1);

/// Says when pictures are to be decoded and shown.
#[derive(Debug)]
pub struct Stamps {
    clock: Clock,
    /// From one picture to the next.
    step: Duration,
}

#[derive(Debug)]
enum Clock {
    /// On a grid that begins at `origin`, by their number.
    Grid { frame_rate: FrameRate, next: u64, start: Option<Duration>, origin: Duration },
    /// When they arrive.
    Arrival { last: Option<Duration>, start: Duration },
}

impl Stamps {
    /// On the grid of `frame_rate`, or as pictures arrive.
    pub fn new(frame_rate: Option<FrameRate>) -> Self {
        match frame_rate {
            Some(frame_rate) => Self {
                clock: Clock::Grid { frame_rate, next: 0, start: None, origin: Duration::ZERO },
                step: frame_rate.interval(),
            },
            None => Self { clock: Clock::Arrival { last: None, start: Duration::ZERO }, step: LEAST_STEP },
        }
    }

    /// When the picture that `splitter` gave last and that began to arrive at `arrived` is to be decoded, and how long it
    /// waits then before it is shown.
    pub fn of(&mut self, arrived: Duration, splitter: &Splitter) -> (Duration, Duration) {
        if splitter.completes_frame() {
            let dts = self.within_frame(arrived);
            return (dts, self.step * splitter.waits());
        }
        if splitter.waits() > 0 {
            self.leave_arrival(arrived, splitter.sps().and_then(|sps| sps.frame_rate));
        }
        (self.time_of(arrived), self.step * splitter.waits())
    }

    /// Pictures that are not shown in the order in which they arrive are shown evenly on a grid alone: the stream's own,
    /// if it states one.
    fn leave_arrival(&mut self, arrived: Duration, rate: Option<(u32, u32)>) {
        let Clock::Arrival { last: Some(last), .. } = self.clock else { return };
        let Some(frame_rate) = rate.and_then(|(num, den)| FrameRate::new(num, den).ok()) else { return };
        self.clock = Clock::Grid {
            frame_rate,
            next: 1,
            start: Some(arrived.saturating_sub(frame_rate.interval())),
            origin: last,
        };
        self.step = frame_rate.interval();
    }

    /// The time of a frame's second field that comes by itself.
    fn within_frame(&mut self, arrived: Duration) -> Duration {
        match &self.clock {
            Clock::Grid { frame_rate, next, origin, .. } => {
                *origin + frame_rate.time_of(next.saturating_sub(1)) + self.step / 2
            }
            Clock::Arrival { .. } => self.time_of(arrived),
        }
    }

    /// The time of the next picture, which began to arrive at `arrived`.
    fn time_of(&mut self, arrived: Duration) -> Duration {
        match &mut self.clock {
            Clock::Grid { frame_rate, next, start, origin } => {
                let since = arrived.saturating_sub(*start.get_or_insert(arrived));
                if since > frame_rate.time_of(*next) + GAP {
                    *next = frame_rate.frames_in(since);
                }
                *next += 1;
                *origin + frame_rate.time_of(*next - 1)
            }
            Clock::Arrival { last, start } => {
                let time = match *last {
                    Some(last) => {
                        let time = arrived.saturating_sub(*start).max(last + LEAST_STEP);
                        self.step = (self.step * 7 + (time - last).min(MOST_STEP)) / 8;
                        time
                    }
                    None => {
                        *start = arrived;
                        Duration::ZERO
                    }
                };
                *last = Some(time);
                time
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn pictures_are_counted_and_a_gap_stays_one() {
        let mut stamps = Stamps::new(Some(FrameRate::new(25, 1).unwrap()));
        let arrivals = [1000, 1041, 1079, 1121, 2120, 2160, 2160, 2160];
        let times = arrivals.map(|at| stamps.time_of(at * MS));
        assert_eq!(times, [0, 40, 80, 120, 1120, 1160, 1200, 1240].map(|at| at * MS));
    }

    #[test]
    fn without_a_rate_pictures_have_the_times_of_their_arrival() {
        let mut stamps = Stamps::new(None);
        let times = [1000, 1041, 1041, 1041, 1082].map(|at| stamps.time_of(at * MS));
        assert_eq!(times, [0, 41, 42, 43, 82].map(|at| at * MS));
    }
}
