//! Requests from outside the loop: stop, and make the next picture an IDR.
//!
//! A signal handler, another thread or a test makes the request; whatever the stream waits for also polls
//! [`Control::wake_fd`], so no wait outlives a stop request.

#[cfg(feature = "cli")]
pub(crate) mod requests;
#[cfg(feature = "cli")]
pub(crate) mod signals;

use crate::error::Error;
use crate::os::event::Event;
use crate::os::poll;
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Shared between the stream and whoever may stop it.
#[derive(Debug)]
pub struct Control {
    stop: AtomicBool,
    idr: AtomicBool,
    wake: Event,
    idr_wake: Event,
}

impl Control {
    /// With no request pending.
    ///
    /// # Errors
    /// No file descriptor is left.
    pub fn new() -> Result<Self, Error> {
        Ok(Self {
            stop: AtomicBool::new(false),
            idr: AtomicBool::new(false),
            wake: Event::new(false)?,
            idr_wake: Event::new(false)?,
        })
    }

    /// Asks the stream to end after the access unit at hand.
    pub fn request_stop(&self) {
        self.stop.store(true, Ordering::Release);
        // Never lowered, so it stays readable for every later poll.
        self.wake.raise();
    }

    /// Whether a stop was asked for.
    pub fn stop_requested(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Asks that the next picture be an IDR.
    pub fn request_idr(&self) {
        self.idr.store(true, Ordering::Release);
        self.idr_wake.raise();
    }

    /// Whether an IDR was asked for since the last call.
    pub fn take_idr_request(&self) -> bool {
        // First: what is asked for from here on raises it again, or is taken.
        self.idr_wake.lower();
        self.idr.swap(false, Ordering::AcqRel)
    }

    /// Readable while an IDR request waits to be taken.
    pub fn idr_fd(&self) -> BorrowedFd<'_> {
        self.idr_wake.as_fd()
    }

    /// Readable from the stop request on.
    pub fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Waits until `fd` reports one of `events` or an error, a stop is requested, or `timeout` is over. Returns what
    /// `fd` reported.
    pub(crate) fn wait(&self, fd: Option<(BorrowedFd<'_>, PollFlags)>, timeout: Option<Duration>) -> PollFlags {
        let wake = PollFd::new(&self.wake, PollFlags::IN);
        match fd {
            Some((fd, events)) => {
                let mut fds = [PollFd::from_borrowed_fd(fd, events), wake];
                match poll::wait(&mut fds, timeout) {
                    0 => PollFlags::empty(),
                    _ => fds[0].revents(),
                }
            }
            None => {
                poll::wait(&mut [wake], timeout);
                PollFlags::empty()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_ends_every_wait_from_then_on() {
        let control = Control::new().unwrap();
        assert!(!control.stop_requested());
        control.request_stop();
        assert!(control.stop_requested());
        // Without the stop these would wait for ever.
        control.wait(None, None);
        control.wait(Some((std::io::stdin().as_fd(), PollFlags::empty())), None);
    }

    #[test]
    fn an_idr_request_is_taken_once() {
        let control = Control::new().unwrap();
        control.request_idr();
        assert!(control.take_idr_request());
        assert!(!control.take_idr_request());
    }
}
