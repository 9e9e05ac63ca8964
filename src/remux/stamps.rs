//! When the pictures of somebody else's stream are shown.

use crate::settings::FrameRate;
use std::time::Duration;

/// Where the clock is ahead of the pictures by more than this, pictures are missing.
const GAP: Duration = Duration::from_millis(250);
/// The least from one picture to the next where pictures are stamped when they arrive.
const LEAST_STEP: Duration = Duration::from_millis(1);

/// Says when pictures are to be shown.
#[derive(Debug)]
pub enum Stamps {
    /// On a grid, by their number.
    Grid { frame_rate: FrameRate, next: u64, start: Option<Duration> },
    /// When they arrive.
    Arrival { last: Option<Duration>, start: Duration },
}

impl Stamps {
    /// On the grid of `frame_rate`, or as pictures arrive.
    pub fn new(frame_rate: Option<FrameRate>) -> Self {
        match frame_rate {
            Some(frame_rate) => Self::Grid { frame_rate, next: 0, start: None },
            None => Self::Arrival { last: None, start: Duration::ZERO },
        }
    }

    /// The time of the next picture, which began to arrive at `arrived`.
    pub fn time_of(&mut self, arrived: Duration) -> Duration {
        match self {
            Self::Grid { frame_rate, next, start } => {
                let since = arrived.saturating_sub(*start.get_or_insert(arrived));
                if since > frame_rate.time_of(*next) + GAP {
                    *next = frame_rate.frames_in(since);
                }
                *next += 1;
                frame_rate.time_of(*next - 1)
            }
            Self::Arrival { last, start } => {
                let time = match *last {
                    Some(last) => arrived.saturating_sub(*start).max(last + LEAST_STEP),
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
