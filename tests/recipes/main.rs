//! Programs of others beside a worker that serves readers by HTTP: players, MediaMTX and Prometheus, with the commands and
//! files of `examples/`. All of them are real.
//!
//! Needs curl, ffmpeg, GStreamer, MediaMTX, Prometheus and Chromium.
#![allow(clippy::print_stderr, reason = "times are reported, not asserted")]

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code, reason = "the tests of the whole system use more of it")]
#[path = "../distribution/rig.rs"]
mod rig;

#[allow(dead_code, reason = "the tests of the pages use more of them")]
#[path = "../readme/how.rs"]
mod how;
#[allow(dead_code, reason = "the tests of the pages use more of them")]
#[path = "../readme/page.rs"]
mod page;
#[allow(dead_code, reason = "the tests of the pages use more of them")]
#[path = "../readme/place.rs"]
mod place;

mod mediamtx;
mod prometheus;
mod readers;
mod worker;

use support::turn::alone;
