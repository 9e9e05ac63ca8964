//! A line between two processes: each message is one line of JSON in one packet, so that none is ever seen in part.
//!
//! The parent makes the pair and passes one end on; the child finds it by [`Link::VARIABLE`]. What is said is none of
//! this file's business.

use super::environment::variable;
use super::process;
use rustix::event::PollFlags;
use rustix::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};
use rustix::process::{Pid, getpid, getppid};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::time::Duration;

/// The longest message in bytes. One that is longer is cut, and then it is none.
const LONGEST: usize = 16 * 1024;
/// How long a message may wait for room: a reader that does not read for so long has stopped.
const PATIENCE: Duration = Duration::from_millis(100);

/// One end of it.
#[derive(Debug)]
pub struct Link {
    socket: OwnedFd,
}

impl Link {
    /// Holds, in a child's environment, whose child it is and the number of the descriptor.
    pub const VARIABLE: &str = "MB_ENCODE_EVENTS";

    /// Both ends. The second one is for a child: see [`Link::for_child`].
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self { socket: ours }, Self { socket: theirs }))
    }

    /// What [`Link::VARIABLE`] has to be in a child that inherits this end.
    pub fn for_child(&self) -> String {
        format!("{} {}", getpid().as_raw_nonzero(), self.socket.as_raw_fd())
    }

    /// The end that this process was started with. `None` where its parent passed on none; the variable alone may have
    /// come down from further up.
    pub fn of_this_process() -> Option<Self> {
        let value = variable(Self::VARIABLE)?.into_string().ok()?;
        let (parent, number) = value.split_once(' ')?;
        if Pid::from_raw(parent.parse().ok()?) != getppid() {
            return None;
        }
        process::inherited(number.parse().ok()?).map(|socket| Self { socket })
    }

    /// Sends a message. One that the other end does not take is lost, so that a stopped process holds up nobody.
    pub fn send(&self, message: &impl Serialize) {
        let Ok(mut line) = serde_json::to_vec(message) else { return };
        line.push(b'\n');
        loop {
            match send(&self.socket, &line, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    if super::poll::wait_for(&self.socket, PollFlags::OUT, Some(PATIENCE)).is_empty() {
                        return;
                    }
                }
                _ => return,
            }
        }
    }

    /// The next message that has come, if there is one. What is none of this type is passed over: the other end may be
    /// of another version.
    pub fn receive<T: DeserializeOwned>(&self) -> Received<T> {
        let mut buffer = [0; LONGEST];
        loop {
            match recv(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Received::Closed,
                Ok((bytes, _)) => {
                    if let Ok(message) = serde_json::from_slice(&buffer[..bytes]) {
                        return Received::Message(message);
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Received::Nothing,
                Err(_) => return Received::Closed,
            }
        }
    }
}

impl AsFd for Link {
    /// Readable when there is a message, or when the other end is gone.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What [`Link::receive`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<T> {
    Message(T),
    /// No more for now.
    Nothing,
    /// The other end is gone.
    Closed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_whole_and_in_order_and_a_stranger_is_passed_over() {
        let (ours, theirs) = Link::pair().unwrap();
        assert_eq!(ours.receive::<u32>(), Received::Nothing);
        theirs.send(&1u32);
        theirs.send(&"no number");
        theirs.send(&2u32);
        assert_eq!(ours.receive::<u32>(), Received::Message(1));
        assert_eq!(ours.receive::<u32>(), Received::Message(2));
        drop(theirs);
        assert_eq!(ours.receive::<u32>(), Received::Closed);
        ours.send(&3u32);
    }

    #[test]
    fn nobody_waits_for_an_end_that_does_not_read() {
        let (_ours, theirs) = Link::pair().unwrap();
        for _ in 0..2000 {
            let _ = send(&theirs.socket, &[b'x'; 512], SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        }
        theirs.send(&"one more");
    }
}
