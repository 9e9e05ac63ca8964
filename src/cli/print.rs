//! Standard output, where it carries text for people or programs instead of video.

use crate::Error;
use std::io::{self, ErrorKind, Write as _, stdout};

/// Prints all of `text`. A reader that has seen enough, `| head` say, is no error.
pub fn print(text: &[u8]) -> anyhow::Result<()> {
    match stdout().write_all(text) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| not_printed(error).into()),
    }
}

/// Why nothing, or not all, was printed.
pub fn not_printed(error: io::Error) -> Error {
    Error::machine("print-failed", "cannot write to standard output", "").caused_by(error)
}
