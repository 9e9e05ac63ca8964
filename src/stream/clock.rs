//! The time of a stream, and what ends it.

use crate::control::Control;
use crate::os::poll;
use crate::os::threads::ExactTimers;
use crate::sink::Gate;
use rustix::event::PollFlags;
use rustix::fd::BorrowedFd;
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// Why a stream ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All pictures are written.
    Done,
    /// The reader left.
    ReaderGone,
    /// A stop was requested.
    Stopped,
}

/// Time since the start of a stream. Tests have their own, in which nobody sleeps.
pub trait Time: Sync {
    /// How long the stream has run.
    fn now(&self) -> Duration;

    /// Waits until then, or returns the end that comes before.
    fn wait_until(&self, then: Duration) -> Option<End>;

    /// Waits until `fd` is readable, or until then. Returns whether it is readable.
    ///
    /// # Errors
    /// The end that comes before.
    fn wait_for(&self, fd: BorrowedFd<'_>, then: Duration) -> Result<bool, End>;
}

/// The clock on the wall, for a stream that has a reader and can be stopped.
pub struct Clock<'a> {
    start: Instant,
    gate: &'a dyn Gate,
    control: &'a Control,
    /// So that a picture is drawn when it is due, and one that is held back is written then.
    _timers: ExactTimers,
}

impl<'a> Clock<'a> {
    /// Starts at zero now.
    pub fn start(gate: &'a dyn Gate, control: &'a Control) -> Self {
        Self::of_one_that_ran(Duration::ZERO, gate, control)
    }

    /// Of a stream that has run for so long.
    pub fn of_one_that_ran(time: Duration, gate: &'a dyn Gate, control: &'a Control) -> Self {
        let now = Instant::now();
        Self { start: now.checked_sub(time).unwrap_or(now), gate, control, _timers: ExactTimers::begin() }
    }
}

/// The time since the start of the machine, which is the same for all of its processes.
pub fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}

impl Time for Clock<'_> {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn wait_until(&self, then: Duration) -> Option<End> {
        loop {
            if self.control.stop_requested() {
                return Some(End::Stopped);
            }
            let left = then.saturating_sub(self.now());
            if left.is_zero() {
                return None;
            }
            let reader = self.gate.reader().map(|fd| (fd, PollFlags::empty()));
            if self.control.wait(reader, Some(left)).intersects(poll::GONE) {
                return Some(End::ReaderGone);
            }
        }
    }

    fn wait_for(&self, fd: BorrowedFd<'_>, then: Duration) -> Result<bool, End> {
        let reader = self.gate.reader();
        let wake = self.control.wake_fd();
        loop {
            if self.control.stop_requested() {
                return Err(End::Stopped);
            }
            let left = then.saturating_sub(self.now());
            let mut fds = poll::Set::default();
            fds.add(Wakes::Stop, &wake);
            fds.add(Wakes::Arrival, &fd);
            if let Some(reader) = &reader {
                fds.add_for(Wakes::Reader, reader, PollFlags::empty());
            }
            let mut has_arrived = false;
            for (what, events) in fds.wait(Some(left)) {
                match what {
                    Wakes::Reader if events.intersects(poll::GONE) => return Err(End::ReaderGone),
                    Wakes::Arrival => has_arrived = true,
                    Wakes::Reader | Wakes::Stop => {}
                }
            }
            if has_arrived || left.is_zero() {
                return Ok(has_arrived);
            }
        }
    }
}

/// What a wait for a picture wakes for.
#[derive(Clone, Copy)]
enum Wakes {
    Stop,
    Arrival,
    Reader,
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::sync::Mutex;

    /// A clock that stands still but for waits, which are over at once.
    #[derive(Default)]
    pub struct Still {
        pub now: Mutex<Duration>,
        /// When the reader leaves, or a stop is requested.
        pub end: Option<(Duration, End)>,
    }

    impl Still {
        /// As if something had taken so long.
        pub fn pass(&self, time: Duration) {
            *self.now.lock().unwrap() += time;
        }
    }

    impl Time for Still {
        fn now(&self) -> Duration {
            *self.now.lock().unwrap()
        }

        fn wait_until(&self, then: Duration) -> Option<End> {
            let mut now = self.now.lock().unwrap();
            match self.end {
                Some((at, end)) if at <= then => {
                    *now = (*now).max(at);
                    Some(end)
                }
                _ => {
                    *now = (*now).max(then);
                    None
                }
            }
        }

        fn wait_for(&self, fd: BorrowedFd<'_>, then: Duration) -> Result<bool, End> {
            if poll::is_readable(&fd) {
                return Ok(true);
            }
            self.wait_until(then).map_or(Ok(false), Err)
        }
    }
}
