//! Frames that other programs make, seen from outside: how they are handed over, what a producer learns, what a viewer
//! sees meanwhile, and everything that a producer can do wrong.
//!
//! Needs ffmpeg, and for [`playing`] go2rtc and Chromium.
#![allow(clippy::print_stderr, reason = "times are reported beside what is asserted")]

#[allow(dead_code, reason = "another target uses the rest")]
#[path = "../behaviour/annex_b.rs"]
mod annex_b;
#[allow(dead_code, reason = "another target uses the rest")]
#[path = "../distribution/rig.rs"]
mod distribution;
#[path = "../support/sim.rs"]
mod sim;
#[path = "../support/mod.rs"]
mod support;

mod crowds;
mod dma_bufs;
mod hostile;
mod paging;
mod playing;
mod producer;
mod rig;
mod shapes;
mod standing;
mod unixfd;
mod wrong_use;

use support::turn::alone;
