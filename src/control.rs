//! Requests from outside the loop: stop, and make the next picture an IDR.
//!
//! A signal handler, another thread or a test makes the request; whatever the stream waits for also polls
//! [`Control::wake_fd`], so no wait outlives a stop request.

#[cfg(feature = "cli")]
pub(crate) mod requests;
#[cfg(feature = "cli")]
pub(crate) mod signals;

use crate::error::Error;
use crate::os::poll;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Shared between the stream and whoever may stop it.
#[derive(Debug)]
pub struct Control {
    stop: AtomicBool,
    idr: AtomicBool,
    wake: OwnedFd,
    idr_wake: OwnedFd,
}

impl Control {
    /// With no request pending.
    ///
    /// # Errors
    /// No file descriptor is left.
    pub fn new() -> Result<Self, Error> {
        let event = || {
            eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|errno| {
                Error::machine(
                    "too-many-files",
                    "cannot make an event descriptor",
                    "raise the limit of open files: ulimit -n 1024",
                )
                .caused_by(errno)
            })
        };
        Ok(Self { stop: AtomicBool::new(false), idr: AtomicBool::new(false), wake: event()?, idr_wake: event()? })
    }

    /// Asks the stream to end after the access unit at hand.
    pub fn request_stop(&self) {
        self.stop.store(true, Ordering::Release);
        // Never read, so it stays readable for every later poll. It can only fail when the counter is full, and
        // then it is readable too.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    /// Whether a stop was asked for.
    pub fn stop_requested(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Asks that the next picture be an IDR.
    pub fn request_idr(&self) {
        self.idr.store(true, Ordering::Release);
        // Where the counter is full it is readable already.
        let _ = rustix::io::write(&self.idr_wake, &1u64.to_ne_bytes());
    }

    /// Whether an IDR was asked for since the last call.
    pub fn take_idr_request(&self) -> bool {
        let taken = self.idr.swap(false, Ordering::AcqRel);
        if taken {
            let _ = rustix::io::read(&self.idr_wake, &mut [0u8; 8]);
        }
        taken
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
