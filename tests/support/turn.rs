//! Turns of the tests that need the machine to themselves, across all test programs that run at the same time.
//!
//! It never keeps other tests from running: these only do not meet each other.

use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::path::Path;

/// The turn of one test, which ends when this is dropped, or with the test program.
#[must_use = "the turn ends when this is dropped"]
pub struct Turn(#[expect(dead_code, reason = "the lock lives as long as the file is open")] File);

/// Waits for its turn. Who plays a stream in real time does so first of all, so that a small machine plays it smoothly.
pub fn alone() -> Turn {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("turn");
    // Each opening has a lock of its own, so this holds between threads as well.
    let file = File::create(path).expect("the target folder can be written");
    while let Err(error) = flock(&file, FlockOperation::LockExclusive) {
        assert_eq!(error, rustix::io::Errno::INTR, "waiting for a turn");
    }
    Turn(file)
}
