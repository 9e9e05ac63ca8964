//! A FIFO that producers write into, read from while somebody watches and at no other time.
//!
//! While nobody has it open for reading, a producer's `open` waits, or says `ENXIO` where it must not wait: that is how it
//! learns that nobody watches. As soon as one has come, a fresh FIFO takes the place of its own, in one atomic exchange;
//! the next one finds that, and learns the same, since there is room for one. Where two come in the same instant, both
//! share a pipe, which the kernel tells by the number of openings.

use super::ground::{self, Ground};
use super::path::FifoPath;
use crate::error::Error;
use crate::os::openings::Openings;
use crate::source::input::Comers;
use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::fs::{Mode, OFlags};
use std::path::Path;
use std::time::{Duration, Instant};

/// Permissions of a FIFO that is made for producers: this user alone writes into it.
const MODE: u32 = 0o600;
/// The stream before may still be ending, in its own process.
const HANDOVER: Duration = Duration::from_secs(1);

/// A FIFO in a folder, read from by this process alone.
pub struct InputFifo {
    ground: Ground,
    open: Option<OwnedFd>,
    openings: Option<Openings>,
}

impl InputFifo {
    /// Makes the FIFO at a path if nothing is there, without taking charge of it.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn make(path: &Path) -> Result<(), Error> {
        ground::make_missing(path, MODE).map_err(|error| unusable(path, error))
    }

    /// Takes charge of the FIFO at a path.
    ///
    /// # Errors
    /// Another process reads from it, or something else than a FIFO is there.
    pub fn at(path: &Path) -> Result<Self, Error> {
        let at = FifoPath::resolve(path).map_err(|error| unusable(path, error))?;
        let until = Instant::now() + HANDOVER;
        let ground = loop {
            match Ground::take(at.clone()) {
                Err(error) if error.code() == "fifo-taken" && Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                taken => break taken.map_err(|error| unusable(path, error))?,
            }
        };
        Ok(Self { ground, open: None, openings: None })
    }
}

/// What is wrong with a FIFO, said of one that producers write into.
fn unusable(path: &Path, error: Error) -> Error {
    // What the machine is short of is the same for both.
    if error.is_shortage() || error.code() == "fifo-taken" {
        return error;
    }
    Error::input("input-unusable", format!("cannot use --input {}: {}", path.display(), error.cause()), "")
}

impl Comers for InputFifo {
    fn open(&mut self) -> Result<OwnedFd, Error> {
        let kept = self.ground.keep().and_then(|()| self.ground.inode(MODE));
        let inode = kept.map_err(|error| unusable(&self.ground.path, error))?;
        let pipe = format!("/proc/self/fd/{}", inode.as_raw_fd());
        self.openings = Openings::of(&pipe)
            .inspect_err(|error| tracing::debug!("producers that come at once cannot be told apart here: {error}"))
            .ok();
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&pipe, flags, Mode::empty()).map_err(|errno| {
            let shown = self.ground.path.display();
            Error::input(
                "input-unusable",
                format!("cannot read from the FIFO {shown}"),
                format!("allow it: chmod u+rw {shown}"),
            )
            .caused_by(errno)
        })?;
        self.open = Some(inode);
        Ok(opened)
    }

    fn close_behind(&mut self) {
        let Some(inode) = &self.open else { return };
        let prepared = self.ground.prepare(inode);
        if let Err(error) = self.ground.exchange(inode, prepared) {
            tracing::debug!("another producer would share the pipe of the first one: {error}");
        }
    }

    fn is_alone(&self) -> bool {
        self.openings.as_ref().is_none_or(|openings| openings.count() <= 1)
    }

    fn is_in_place(&self) -> bool {
        self.open.as_ref().is_none_or(|inode| self.ground.is_at_path(inode))
    }

    fn name(&self) -> String {
        self.ground.path.display().to_string()
    }
}
