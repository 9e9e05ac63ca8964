//! Where readers come from.

mod fifo;
mod fresh;
mod ground;
pub mod http;
mod leftovers;
mod lock;
mod path;
mod place;
mod producers;

pub use fifo::{Company, Fifo, Reader};
pub use path::FifoPath;
pub use producers::InputFifo;

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
