//! No signal is lost, from the first instruction of the program on.
//!
//! Each mode is started and asked to end at a random moment, thousands of times; and the moments at which a signal
//! could slip through are aimed at one by one. GL draws nothing here, so that a start costs little.
//!
//! `MB_SIGNAL_TRIES` says how often each mode is started.

#[path = "../support/sim.rs"]
mod sim;
#[path = "../support/mod.rs"]
mod support;

mod aimed;
mod modes;
mod random;
