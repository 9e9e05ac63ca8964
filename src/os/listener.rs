//! Listening sockets, and one that outlives who serves it: the parent has it, and passes it on to one child after the other.
//! So the port is never anybody else's, and who comes in between waits for the next one.

use super::environment::variable;
use super::process;
use rustix::net::sockopt::socket_acceptconn;
use rustix::process::getpid;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;

/// Holds, in a child's environment, whose child it is and the number of the descriptor.
pub const VARIABLE: &str = "MB_ENCODE_LISTENER";

/// Listens at an address. Nobody is waited for: where nobody has come, `accept` fails.
///
/// # Errors
/// The address is taken, or not this machine's.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// What [`VARIABLE`] has to be in a child that inherits `listener`.
pub fn for_child(listener: &impl AsRawFd) -> String {
    format!("{} {}", getpid().as_raw_nonzero(), listener.as_raw_fd())
}

/// The socket that this process was started with, as [`bind`] makes one, if it listens at `address`. To be asked for once.
pub fn of_this_process(address: SocketAddr) -> Option<TcpListener> {
    let socket = process::handed_down(&variable(VARIABLE)?.into_string().ok()?)?;
    if !socket_acceptconn(&socket).ok()? {
        return None;
    }
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(true).ok()?;
    (listener.local_addr().ok()? == address).then_some(listener)
}
