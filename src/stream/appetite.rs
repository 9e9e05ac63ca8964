//! For how long a reader has taken nothing of what is there for it. Time is passed in.

use crate::events::Intake;
use crate::sink::Reading;
use std::time::{Duration, Instant};

/// What is known of a reader's appetite.
#[derive(Debug)]
pub struct Appetite {
    taken: u64,
    /// Until when it had nothing to take, or took something.
    since: Instant,
}

impl Appetite {
    /// Of one that has come at `now`.
    pub fn new(now: Instant) -> Self {
        Self { taken: 0, since: now }
    }

    /// Takes a meter's reading, in a process that has been awake for so long.
    pub fn look(&mut self, reading: Reading, now: Instant, awake: Duration) -> Intake {
        if reading.taken > self.taken || reading.unread == 0 {
            self.since = now;
        }
        self.taken = self.taken.max(reading.taken);
        let idle = now.saturating_duration_since(self.since).min(awake);
        Intake { taken: self.taken, idle_seconds: idle.as_secs_f64() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_that_could_take_something_is_idle() {
        let start = Instant::now();
        let seconds = Duration::from_secs;
        let mut appetite = Appetite::new(start);
        let mut idle = |taken, unread, at| {
            let now = start + seconds(at);
            appetite.look(Reading { taken, unread }, now, seconds(at)).idle_seconds
        };
        assert_eq!(idle(0, 0, 3), 0.0, "nothing is there yet");
        assert_eq!(idle(0, 100, 8), 5.0);
        assert_eq!(idle(50, 50, 9), 0.0);
        assert_eq!(idle(50, 500, 29), 20.0);
        assert_eq!(idle(40, 500, 30), 21.0, "a reading in the middle of a write");
        assert_eq!(idle(51, 500, 31), 0.0);
        assert_eq!(appetite.look(Reading { taken: 51, unread: 5 }, start + seconds(60), seconds(2)).idle_seconds, 2.0);
    }
}
