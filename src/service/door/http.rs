//! Readers who come by HTTP: where, who is let in, and what everybody else is told. Streams are not made here.

mod admission;
mod asking;
mod lobby;
mod token;

#[cfg(fuzzing)]
pub mod fuzz;

pub use admission::{Rules, Wish, admit};
pub use asking::LONGEST_HEAD;
pub use lobby::{Guest, Lobby, Reply, Spot};
pub use token::TokenFile;

use std::net::SocketAddr;
use std::time::Duration;

/// Where readers come by HTTP, and how many at once.
#[derive(Clone, Debug)]
pub struct HttpPlace {
    /// Port 0 is one that the system chooses.
    pub address: SocketAddr,
    /// From 1.
    pub most_readers: usize,
    /// What only one reader at a time can be shown, by its name for people.
    pub for_one: Option<String>,
    /// Who has it may read.
    pub token: Option<TokenFile>,
    /// For how long streams go on at most, once a stop was requested.
    pub linger: Duration,
}

impl HttpPlace {
    /// Whether only this machine reaches it.
    pub fn is_local(&self) -> bool {
        is_local(self.address)
    }
}

/// Whether only this machine reaches an address.
pub fn is_local(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}
