//! When a pause in a byte stream means that a picture has ended.

use std::time::Duration;

/// How long the stream has to pause for a picture to have ended.
#[derive(Debug, Default)]
pub struct Patience {
    /// The longest pause within a picture so far.
    longest: Duration,
    /// Pauses between pictures so far.
    between: u32,
}

impl Patience {
    /// Longer than a program is kept from running on a busy machine between two writes of one picture, and far below
    /// the time from one picture to the next.
    const USUAL: Duration = Duration::from_millis(3);
    /// At first, when nothing is known about the source: to lose a picture is worse than a late first one.
    const AT_FIRST: Duration = Duration::from_millis(20);
    /// So many pauses between pictures and none within make it known.
    const KNOWN: u32 = 8;
    /// From the longest pause seen to the longest one expected.
    const MARGIN: u32 = 4;

    /// So long.
    pub fn now(&self) -> Duration {
        let least = if self.between < Self::KNOWN { Self::AT_FIRST } else { Self::USUAL };
        least.max(self.longest * Self::MARGIN)
    }

    /// Takes a pause that is over, which was `between` two pictures or within one.
    pub fn saw(&mut self, pause: Duration, between: bool) {
        if between {
            self.between = self.between.saturating_add(1);
        } else {
            self.longest = self.longest.max(pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn pauses_within_a_picture_make_patient() {
        let mut patience = Patience::default();
        assert_eq!(patience.now(), Patience::AT_FIRST);
        for _ in 0..Patience::KNOWN {
            patience.saw(30 * MS, true);
        }
        assert_eq!(patience.now(), Patience::USUAL);
        patience.saw(7 * MS, false);
        assert_eq!(patience.now(), 28 * MS);
    }
}
