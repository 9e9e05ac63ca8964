//! Sockets that streams are sent through.

use rustix::fd::{AsFd, AsRawFd as _};
use rustix::net::sockopt;
use std::io;
use std::time::Duration;

/// How long a connection may be silent before the system asks whether the other end is there.
const SILENT: Duration = Duration::from_secs(15);

/// Sets up a TCP socket so that little waits in it: `unsent` bytes at most that could be sent later, and `buffer` bytes with
/// those on their way. What the other end does not confirm within `patience` breaks the connection.
///
/// # Errors
/// It is none of TCP.
pub fn set_up_stream(socket: &impl AsFd, unsent: u32, buffer: usize, patience: Duration) -> io::Result<()> {
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_send_buffer_size(socket, buffer)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, SILENT)?;
    sockopt::set_tcp_user_timeout(socket, u32::try_from(patience.as_millis()).unwrap_or(u32::MAX))?;
    let length = size_of::<u32>() as libc::socklen_t;
    let number = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is borrowed and open; the value is a live u32 of the length that is stated with it.
    let set = unsafe {
        libc::setsockopt(number, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, (&raw const unsent).cast(), length)
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
