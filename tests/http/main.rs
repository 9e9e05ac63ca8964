//! Readers by HTTP: every answer, who is let in, streams from their first byte to their last, and clients of every kind.
//!
//! Most workers here draw nothing (`tests/sim-gl`), so that what is tested is the connection.
#![allow(clippy::print_stderr, reason = "times are reported, not asserted")]

#[path = "../support/sim.rs"]
mod sim;
#[path = "../support/mod.rs"]
mod support;

mod answers;
mod clients;
mod crowd;
mod door;
mod leaving;
mod players;
mod readers;
mod starting;
mod tokens;
