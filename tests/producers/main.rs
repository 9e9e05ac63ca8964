//! Programs that make frames, with the program that shows them: Python's `Frames`, Gymnasium, MuJoCo, and every line of
//! `examples/README.md`. All of them are real.
//!
//! Needs ffmpeg, GStreamer, Node, ImageMagick and the Python packages of `requirements.txt`.
#![allow(clippy::print_stderr, reason = "delays are reported, not asserted")]

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

mod frames;
mod lines;
mod pages;
mod paging;
mod python;
mod reader;
mod seen;
mod unwatched;
mod workers;

use support::turn::alone;
