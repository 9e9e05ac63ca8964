//! What the program does, seen from outside: bytes, exit codes, messages, signals, readers that come and go.
//!
//! Needs ffmpeg, and Mesa's EGL: `apt install ffmpeg libegl1 libgl1-mesa-dri`.

#[path = "../support/mod.rs"]
mod support;

mod annex_b;
mod backpressure;
mod cutting;
mod driver;
mod fifo;
mod help;
mod pacing;
mod scenes;
mod stopping;
mod wrong_use;

/// Which encoder the tests ask for that ask for one. Another target runs them with another.
const ENCODER: &str = "openh264";
/// The least width that it takes.
const LEAST_WIDTH: u32 = 64;
