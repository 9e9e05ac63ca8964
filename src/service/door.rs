//! Where readers come from.

mod fifo;
mod place;

pub use fifo::{Company, Fifo, Reader};

use crate::error::Error;
use crate::settings::{FifoMode, PipeSize};
use std::path::PathBuf;

/// Where a FIFO is to be, and how it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FifoPlace {
    /// Its path.
    pub path: PathBuf,
    /// Permission bits if it is made.
    pub mode: FifoMode,
    /// Capacity of the pipe; `None` leaves the system's default.
    pub pipe_size: Option<PipeSize>,
}

/// Nothing deep runs on these threads, and an idle worker is to be small.
fn small_thread(name: &str) -> std::thread::Builder {
    std::thread::Builder::new().name(name.to_owned()).stack_size(128 * 1024)
}

fn no_thread(error: std::io::Error) -> Error {
    Error::machine("too-many-processes", "cannot start a thread", "raise the limit of processes: ulimit -u")
        .caused_by(error)
}
