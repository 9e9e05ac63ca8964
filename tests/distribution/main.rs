//! The system that people run: a number of workers, one real go2rtc, viewers, and everything that can happen to them.
#![allow(clippy::print_stderr, reason = "times are reported beside what is asserted")]

#[path = "../support/mod.rs"]
mod support;

mod cold;
mod gate;
mod healing;
mod joining;
mod locked;
mod playing;
mod rig;
mod starting;
mod units;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Tests that play streams in real time take turns, so that a small machine plays them smoothly.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
