//! A line between two processes: each message is one line of JSON in one packet, so that none is ever seen in part.
//!
//! The parent makes the pair and passes one end on; the child finds it by [`Link::VARIABLE`]. Where others are in between,
//! there is a socket to connect to. A descriptor can go along with a message. What is said is none of this file's business.

use super::environment::variable;
use super::process;
use rustix::event::PollFlags;
use rustix::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen, recvmsg, sendmsg,
    socket_with, socketpair,
};
use rustix::process::{geteuid, getpid};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::path::Path;
use std::time::Duration;

/// The longest message in bytes. One that is longer is cut, and then it is none.
const LONGEST: usize = 16 * 1024;
/// How long a message may wait for room: a reader that does not read for so long has stopped.
const PATIENCE: Duration = Duration::from_millis(100);
const FLAGS: SocketFlags = SocketFlags::CLOEXEC;

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
        process::handed_down(&variable(Self::VARIABLE)?.into_string().ok()?).map(|socket| Self { socket })
    }

    /// Connects to the [`Door`] at `path`.
    ///
    /// # Errors
    /// Nobody is there, or somebody who is neither this user nor root.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, FLAGS, None)?;
        connect(&socket, &SocketAddrUnix::new(path)?)?;
        Self::to_friend(socket)
    }

    fn to_friend(socket: OwnedFd) -> io::Result<Self> {
        let peer = socket_peercred(&socket)?.uid;
        if peer == geteuid() || peer.is_root() {
            Ok(Self { socket })
        } else {
            Err(io::Error::other("another user is at the other end"))
        }
    }

    /// Sends a message. One that the other end does not take is lost, so that a stopped process holds up nobody.
    pub fn send(&self, message: &impl Serialize) {
        self.send_along(message, None);
    }

    /// Sends a message, and a descriptor that the other end gets a copy of. Returns whether they are on their way.
    pub fn send_with(&self, message: &impl Serialize, fd: BorrowedFd<'_>) -> bool {
        self.send_along(message, Some(fd))
    }

    fn send_along(&self, message: &impl Serialize, fd: Option<BorrowedFd<'_>>) -> bool {
        let Ok(mut line) = serde_json::to_vec(message) else { return false };
        line.push(b'\n');
        loop {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let fds = fd.as_slice();
            if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
                return false;
            }
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match sendmsg(&self.socket, &[IoSlice::new(&line)], &mut control, flags) {
                Ok(_) => return true,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    if super::poll::wait_for(&self.socket, PollFlags::OUT, Some(PATIENCE)).is_empty() {
                        return false;
                    }
                }
                Err(_) => return false,
            }
        }
    }

    /// The next message that has come, if there is one. What is none of this type is passed over: the other end may be
    /// of another version.
    pub fn receive<T: DeserializeOwned>(&self) -> Received<T> {
        self.receive_with().0
    }

    /// The same, and the descriptor that has come along, if one has.
    pub fn receive_with<T: DeserializeOwned>(&self) -> (Received<T>, Option<OwnedFd>) {
        let mut buffer = [0; LONGEST];
        loop {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
            let received = recvmsg(&self.socket, &mut [IoSliceMut::new(&mut buffer)], &mut control, flags);
            match received.map(|received| received.bytes) {
                Ok(0) => return (Received::Closed, None),
                Ok(bytes) => {
                    let fd = control.drain().find_map(|message| match message {
                        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
                        _ => None,
                    });
                    if let Ok(message) = serde_json::from_slice(&buffer[..bytes]) {
                        return (Received::Message(message), fd);
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return (Received::Nothing, None),
                Err(_) => return (Received::Closed, None),
            }
        }
    }
}

/// Where processes come that are not children of this one, and want a line to it.
#[derive(Debug)]
pub struct Door {
    socket: OwnedFd,
}

impl Door {
    /// How many may wait to be let in.
    const QUEUE: i32 = 64;

    /// Opens one at `path`, in the place of whatever an earlier run left there.
    ///
    /// # Errors
    /// The path is too long, or the folder takes none.
    pub fn open(path: &Path) -> io::Result<Self> {
        let _ = std::fs::remove_file(path);
        let flags = FLAGS | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        bind(&socket, &SocketAddrUnix::new(path)?)?;
        listen(&socket, Self::QUEUE)?;
        Ok(Self { socket })
    }

    /// The next one who has come, if there is one. Strangers are turned away.
    pub fn let_in(&self) -> Option<Link> {
        loop {
            match accept_with(&self.socket, FLAGS) {
                Ok(socket) => {
                    if let Ok(link) = Link::to_friend(socket) {
                        return Some(link);
                    }
                }
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(_) => return None,
            }
        }
    }
}

impl AsFd for Door {
    /// Readable when somebody has come.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
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
    fn a_descriptor_comes_with_its_message_and_with_no_other() {
        let (ours, theirs) = Link::pair().unwrap();
        let (read, write) = rustix::pipe::pipe().unwrap();
        ours.send(&1u32);
        assert!(ours.send_with(&2u32, write.as_fd()));
        drop(write);
        assert!(matches!(theirs.receive_with::<u32>(), (Received::Message(1), None)));
        let (Received::Message(2), Some(fd)) = theirs.receive_with::<u32>() else { panic!("it did not come") };
        rustix::io::write(&fd, b"x").unwrap();
        drop(fd);
        let mut bytes = [0; 8];
        assert_eq!((rustix::io::read(&read, &mut bytes), rustix::io::read(&read, &mut [0; 8])), (Ok(1), Ok(0)));
        drop(theirs);
        assert!(!ours.send_with(&3u32, read.as_fd()));
    }

    #[test]
    fn nobody_waits_for_an_end_that_does_not_read() {
        let (_ours, theirs) = Link::pair().unwrap();
        for _ in 0..2000 {
            let _ = rustix::net::send(&theirs.socket, &[b'x'; 512], SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        }
        theirs.send(&"one more");
    }

    #[test]
    fn who_comes_to_the_door_gets_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("door");
        assert!(Link::connect(&path).is_err(), "nobody is there");
        // What is left of an earlier one is no obstacle.
        drop(Door::open(&path).unwrap());
        assert!(Link::connect(&path).is_err());
        let door = Door::open(&path).unwrap();
        assert!(door.let_in().is_none());
        let theirs = Link::connect(&path).unwrap();
        let ours = door.let_in().unwrap();
        theirs.send(&1u32);
        ours.send(&2u32);
        assert_eq!((ours.receive::<u32>(), theirs.receive::<u32>()), (Received::Message(1), Received::Message(2)));
        drop(door);
        assert_eq!(theirs.receive::<u32>(), Received::Nothing);
        drop(ours);
        assert_eq!(theirs.receive::<u32>(), Received::Closed);
    }
}
