//! A worker among others: readers that come in crowds or never read, strangers in its folder, and whoever kills it or
//! what it has started.
//!
//! GL draws nothing here, so that a start costs little. `MB_READERS` says how many readers come, and `MB_KILLS` how many
//! processes of readers are killed.
#![allow(clippy::print_stderr, reason = "figures are reported beside what is asserted")]

#[path = "../support/sim.rs"]
mod sim;
#[path = "../support/mod.rs"]
mod support;

mod crowd;
mod folders;
mod idle;
mod kills;
mod locks;
mod rig;
