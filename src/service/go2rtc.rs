//! go2rtc: what it is told.

pub mod alone;
pub mod api;
pub mod config;
mod errands;
pub mod gate;
pub mod inside;
pub mod keyframes;
pub mod lock;
mod names;
pub mod safe;

use crate::error::Error;
use std::net::SocketAddr;

/// A port that somebody else has. `name` is what its option is called by.
pub fn port_taken(address: SocketAddr, name: &str) -> Error {
    Error::machine(
        "port-taken",
        format!("cannot listen on {address}"),
        format!("choose another port with --{name}-port"),
    )
}
