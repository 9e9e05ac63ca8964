//! Where bytes go, and whether anybody takes them.

mod meter;
mod writer;

pub use meter::{Meter, Reading};
pub use writer::{LAST_WRITE, Writer};

use crate::control::Control;
use crate::error::Error;
use rustix::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// What is looked at before a picture is drawn.
pub trait Gate: Sync {
    /// Whether a picture drawn now would be taken at once. Never blocks.
    fn readiness(&self) -> Readiness;

    /// Reports an error condition (`POLLERR` or `POLLHUP`) as soon as the reader leaves, written to or not.
    fn reader(&self) -> Option<BorrowedFd<'_>>;
}

/// A gate before there is a reader, who could come or go.
pub struct Nobody;

impl Gate for Nobody {
    fn readiness(&self) -> Readiness {
        Readiness::Ready
    }

    fn reader(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// What takes the bytes of one picture after the other, whole.
pub trait Outlet: Sync {
    /// Writes `bytes` whole, waiting for the reader as long as it takes.
    ///
    /// # Errors
    /// The sink is broken: the disk is full, say. A reader that left is no error.
    fn write(&self, bytes: &[u8], control: &Control) -> Result<Written, Error>;
}

/// What a gate says before a picture is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Draw.
    Ready,
    /// The reader is behind: skip this picture.
    Busy,
    /// The reader left.
    Gone,
}

/// How much of a picture was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// All of it.
    Whole,
    /// The reader left before it had all of it.
    ReaderGone,
    /// A stop was requested, and the reader took too long for the rest.
    Stopped,
}

/// Where a stream is to go.
#[derive(Debug)]
pub enum Output {
    /// The standard output of this process.
    Stdout,
    /// A file, replaced if it exists.
    File(PathBuf),
    /// The writing end of a pipe or socket that somebody reads.
    Pipe {
        /// It must not be written to meanwhile.
        fd: OwnedFd,
        /// What it is called in messages.
        name: String,
    },
}
