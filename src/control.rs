//! Requests from outside the loop: stop, and make the next picture an IDR.
//!
//! A signal handler, another thread or a test makes the request; whatever the stream waits for also polls
//! [`Control::wake_fd`], so no wait outlives a stop request.

use crate::error::Error;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Shared between the stream and whoever may stop it.
#[derive(Debug)]
pub struct Control {
    stop: AtomicBool,
    idr: AtomicBool,
    wake: OwnedFd,
}

impl Control {
    /// With no request pending.
    ///
    /// # Errors
    /// No file descriptor is left.
    pub fn new() -> Result<Self, Error> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|errno| {
            Error::machine("cannot make an event descriptor", "raise the limit of open files: ulimit -n 1024")
                .caused_by(errno)
        })?;
        Ok(Self { stop: AtomicBool::new(false), idr: AtomicBool::new(false), wake })
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
    }

    /// Whether an IDR was asked for since the last call.
    pub fn take_idr_request(&self) -> bool {
        self.idr.swap(false, Ordering::AcqRel)
    }

    /// Readable from the stop request on.
    pub fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Waits until `fd` reports one of `events` or an error, a stop is requested, or `timeout` is over. Gives what
    /// `fd` reported.
    pub(crate) fn wait(&self, fd: Option<(BorrowedFd<'_>, PollFlags)>, timeout: Option<Duration>) -> PollFlags {
        let wake = PollFd::new(&self.wake, PollFlags::IN);
        let timeout = timeout
            .map(|timeout| Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: i64::from(timeout.subsec_nanos()) });
        // An interrupted poll reports nothing; callers loop.
        match fd {
            Some((fd, events)) => {
                let mut fds = [PollFd::from_borrowed_fd(fd, events), wake];
                match poll(&mut fds, timeout.as_ref()) {
                    Ok(_) => fds[0].revents(),
                    Err(_) => PollFlags::empty(),
                }
            }
            None => {
                let _ = poll(&mut [wake], timeout.as_ref());
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
