//! The system that people run: a number of workers, one real go2rtc, viewers, and everything that can happen to them.
#![allow(clippy::print_stderr, reason = "times are reported beside what is asserted")]

#[path = "../support/mod.rs"]
mod support;

mod cold;
mod gate;
mod gpus;
mod healing;
mod joining;
mod locked;
mod machine;
mod playing;
mod rig;
mod sessions;
#[path = "../support/sim.rs"]
mod sim;
mod starting;
mod units;

use support::turn::alone;
