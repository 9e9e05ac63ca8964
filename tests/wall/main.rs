//! The wall in real browsers: what is seen plays and nothing else, what is down says why, and who it can be used by.
#![allow(clippy::print_stderr, reason = "times are reported beside what is asserted")]

#[path = "../distribution/rig.rs"]
#[allow(dead_code, reason = "another target uses the rest")]
mod rig;
#[path = "../support/mod.rs"]
mod support;

mod healing;
mod looks;
mod paging;
mod selecting;
mod sight;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Tests that play streams in real time take turns, so that a small machine plays them smoothly.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
