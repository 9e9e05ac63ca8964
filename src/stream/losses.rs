//! How often a stream starts over: the account of what was lost of it, in all the processes that it had. Time is passed in,
//! and it is the stream's own.

use std::time::Duration;

/// How often in a row a lost GPU is opened again, and how long is waited before each time. Together it is less than the
/// 1.5 s that a picture may stand, beside what the driver takes.
pub const WAITS: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(300), Duration::from_millis(900)];
/// How often in a row a driver that hangs is started anew. Each time the picture has stood for as long as a hang takes to
/// be seen as one.
const HANGS: u32 = 1;
/// A GPU that has worked for so long is trusted again. It is time of the stream: of one that is not paced, as many pictures.
pub const TRUSTED_AFTER: Duration = Duration::from_secs(30);

/// The losses of one stream, in all the processes that it had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(serde::Serialize, serde::Deserialize))]
pub struct Losses {
    in_a_row: usize,
    hangs: u32,
    /// The time of the stream at which it came back last.
    came_back: Option<Duration>,
}

/// Another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Which one in a row, from 1.
    pub number: usize,
    pub wait: Duration,
}

impl Losses {
    /// The GPU was lost in a stream that has come to this time. Returns the attempt to make, if there is one left.
    pub fn lost(&mut self, at: Duration) -> Option<Attempt> {
        self.trust(at);
        let &wait = WAITS.get(self.in_a_row)?;
        self.in_a_row += 1;
        Some(Attempt { number: self.in_a_row, wait })
    }

    /// The driver hung. Returns whether it is to be started anew.
    pub fn hung(&mut self, at: Duration) -> bool {
        self.trust(at);
        self.hangs += 1;
        self.came_back = Some(at);
        self.hangs <= HANGS
    }

    /// It works again.
    pub fn came_back(&mut self, at: Duration) {
        self.came_back = Some(at);
    }

    fn trust(&mut self, at: Duration) {
        if self.came_back.is_some_and(|then| at.saturating_sub(then) > TRUSTED_AFTER) {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_picture_stands_for_less_than_a_second_and_a_half_beside_what_the_driver_takes() {
        let mut losses = Losses::default();
        let waits = std::iter::from_fn(|| losses.lost(Duration::ZERO)).map(|attempt| attempt.wait);
        assert!(waits.sum::<Duration>() < 1500 * MS);
    }

    #[test]
    fn a_driver_that_hangs_again_is_not_started_anew_until_it_has_proved_itself() {
        let mut losses = Losses::default();
        assert!(losses.hung(5000 * MS));
        assert!(!losses.hung(10_000 * MS));
        assert!(losses.hung(10_001 * MS + TRUSTED_AFTER));
    }
}
