//! Threads that wait: small, and with one answer where none can be made.

use crate::error::Error;
use std::io;
use std::thread::Builder;

/// One with a small stack, in bytes. Nothing deep runs on these threads, and an idle worker is to be small.
pub fn small(name: &str) -> Builder {
    Builder::new().name(name.to_owned()).stack_size(128 * 1024)
}

/// Why a thread cannot be made.
pub fn cannot_start(error: io::Error) -> Error {
    Error::machine("too-many-processes", "cannot start a thread", "raise the limit of processes: ulimit -u")
        .caused_by(error)
}
