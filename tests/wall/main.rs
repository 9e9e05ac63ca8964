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

use support::turn::alone;
