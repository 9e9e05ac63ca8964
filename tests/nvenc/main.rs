//! The very same program on the NVENC path, against simulated drivers: what it draws, what it says, what it survives.
//!
//! The simulated map reads real pixels from the GL context, and the simulated encoder writes valid H.264 whose decoded
//! pixels equal its input. What this cannot show is timing, races on a real GPU, and how a real encoder compresses.
//!
//! Needs ffmpeg, go2rtc, and Mesa's EGL: `apt install ffmpeg libegl1 libgl1-mesa-dri`.

#![allow(clippy::print_stderr, reason = "times are reported, not asserted")]

mod support;

use support::sim;

mod apart;
mod asked;
mod chips;
#[allow(dead_code, reason = "another target uses the rest")]
#[path = "../mpegts/demux.rs"]
mod demux;
mod devices;
mod ends;
mod endurance;
mod faults;
mod go2rtc;
mod host;
mod input;
mod losses;
mod moves;
mod pixels;
mod resets;
mod run;
#[path = "../support/rig/process.rs"]
mod scenes_process;
mod spare;
mod starting;

/// The tests of the OpenH264 path, of the NVENC path.
#[path = "../behaviour/annex_b.rs"]
mod annex_b;
#[path = "../behaviour/backpressure.rs"]
mod backpressure;
#[path = "../behaviour/cutting.rs"]
mod cutting;
#[path = "../behaviour/fifo.rs"]
mod fifo;
#[path = "../behaviour/pacing.rs"]
mod pacing;
#[path = "../behaviour/stopping.rs"]
mod stopping;

/// Which encoder the tests of the other path ask for.
const ENCODER: &str = "nvenc";
/// The least width that it takes: 145 pixels, and even.
const LEAST_WIDTH: u32 = 146;
