//! Threads: small where they wait, and with one answer where none can be made.

use crate::error::Error;
use std::io;
use std::thread::Builder;

/// One with a small stack, in bytes. Nothing deep runs on these threads, and an idle worker is to be small.
pub fn small(name: &str) -> Builder {
    Builder::new().name(name.to_owned()).stack_size(128 * 1024)
}

/// One with the stack that the system gives a program's first thread, in bytes, for a driver that compiles. What nobody
/// touches of it takes no memory.
pub fn deep(name: &str) -> Builder {
    Builder::new().name(name.to_owned()).stack_size(8 << 20)
}

/// Why a thread cannot be made.
pub fn cannot_start(error: io::Error) -> Error {
    Error::machine("too-many-processes", "cannot start a thread", "raise the limit of processes: ulimit -u")
        .caused_by(error)
}
