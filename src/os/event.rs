//! A descriptor that says by being readable that something is so, to one thread or many that wait for it.

use crate::error::Error;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};

/// Raised or not. Raising it twice is raising it once.
#[derive(Debug)]
pub struct Event(OwnedFd);

impl Event {
    /// Raised from the start, or not.
    ///
    /// # Errors
    /// No file descriptor is left.
    pub fn new(is_raised: bool) -> Result<Self, Error> {
        eventfd(is_raised.into(), EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map(Self).map_err(|errno| {
            Error::machine(
                "too-many-files",
                "cannot make an event descriptor",
                "raise the limit of open files: ulimit -n 1024",
            )
            .caused_by(errno)
        })
    }

    /// Makes it readable, until it is lowered.
    pub fn raise(&self) {
        // It can only fail when the counter is full, and then it is readable already.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Makes it readable no longer.
    pub fn lower(&self) {
        let _ = rustix::io::read(&self.0, &mut [0u8; 8]);
    }
}

impl AsFd for Event {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
