//! How long to wait before the next try, which grows with each failure in a row.

use std::time::Duration;

/// The waits, and where in them one is.
#[derive(Debug)]
pub struct Backoff {
    waits: &'static [Duration],
    in_a_row: usize,
}

impl Backoff {
    /// One wait after each failure in a row; the last one stays.
    pub const fn new(waits: &'static [Duration]) -> Self {
        Self { waits, in_a_row: 0 }
    }

    /// Notes a failure. Returns how long to wait.
    pub fn fail(&mut self) -> Duration {
        let wait = self.waits[self.in_a_row.min(self.waits.len() - 1)];
        self.in_a_row += 1;
        wait
    }

    /// Notes that it went well: the next failure is a first one.
    pub fn succeed(&mut self) {
        self.in_a_row = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_last_one_and_begin_anew() {
        const WAITS: &[Duration] = &[Duration::from_secs(1), Duration::from_secs(4)];
        let mut backoff = Backoff::new(WAITS);
        let waits: Vec<_> = (0..3).map(|_| backoff.fail().as_secs()).collect();
        assert_eq!(waits, [1, 4, 4]);
        backoff.succeed();
        assert_eq!(backoff.fail().as_secs(), 1);
    }
}
