//! A connection to a producer. It never waits: neither for more of a message nor for room for what goes back.

use super::wire::{self, Broken, HEADER, Header, MOST_PIECES, Message};
use crate::error::Error;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, connect, recvmsg, send, socket_with,
};
use std::fmt;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where a producer listens: the path of a socket, or behind an `@` a name that needs no file.
#[derive(Clone, Debug)]
pub struct Address(PathBuf);

/// Shows it as it is typed.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix:{}", self.0.display())
    }
}

impl Address {
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    fn resolve(&self) -> Result<SocketAddrUnix, Errno> {
        match self.0.as_os_str().as_bytes() {
            [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name),
            _ => SocketAddrUnix::new(&self.0),
        }
    }

    /// Connects to the producer. `None` where there is none.
    ///
    /// # Errors
    /// There will be none, unless somebody mends something.
    pub fn connect(&self) -> Result<Option<Connection>, Error> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(|errno| self.error(errno))?;
        match self.resolve().and_then(|it| connect(&socket, &it)) {
            Ok(()) => Ok(Some(Connection::new(socket))),
            Err(Errno::CONNREFUSED) if is_other_than_a_socket(&self.0) => Err(self.error(Errno::NOTSOCK)),
            // Refused by a socket that a producer has left behind, or for now by one that has many waiting.
            Err(Errno::NOENT | Errno::CONNREFUSED | Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(errno) => Err(self.error(errno)),
        }
    }

    fn error(&self, errno: Errno) -> Error {
        match errno {
            Errno::NOTSOCK | Errno::PROTOTYPE => Error::input(
                "unixfd-no-socket",
                format!("{self} is not the socket of a GStreamer unixfdsink"),
                "name the one that the sink makes: … ! unixfdsink socket-path=/run/sim/frames",
            ),
            Errno::ACCESS | Errno::PERM => Error::input(
                "unixfd-denied",
                format!("may not connect to {self}"),
                "run both as the same user, or allow it: chmod ug+rw on the socket, ug+x on its folders",
            )
            .caused_by(errno),
            _ => Error::input(
                "unixfd-path",
                format!("cannot connect to {self}"),
                "name a socket by a path of at most 107 bytes",
            )
            .caused_by(errno),
        }
    }
}

fn is_other_than_a_socket(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|it| !it.file_type().is_socket())
}

/// Why nothing more comes.
#[derive(Debug, PartialEq, Eq)]
pub enum Lost {
    /// The producer has left.
    Left,
    /// It cannot be understood.
    Broken(Broken),
}

impl From<Broken> for Lost {
    fn from(why: Broken) -> Self {
        Self::Broken(why)
    }
}

/// A message, with the descriptors that came along.
pub type Received = (Message, Vec<OwnedFd>);

/// The socket, and the message that is on its way.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
    /// The bytes of the message, `arrived` of which are there.
    bytes: Vec<u8>,
    arrived: usize,
    /// Once it is known.
    header: Option<Header>,
    fds: Vec<OwnedFd>,
    /// When its first byte came.
    began: Option<Instant>,
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Connection {
    fn new(socket: OwnedFd) -> Self {
        Self { socket, bytes: vec![0; HEADER], arrived: 0, header: None, fds: Vec::new(), began: None }
    }

    /// Since when a message is on its way that is not all there.
    pub fn amid_message_since(&self) -> Option<Instant> {
        self.began
    }

    /// The next message; `None` where it is not all there.
    ///
    /// # Errors
    /// None will come.
    pub fn receive(&mut self) -> Result<Option<Received>, Lost> {
        loop {
            if self.arrived == self.bytes.len() {
                match (self.header, self.bytes.first_chunk()) {
                    (Some(header), _) => return self.complete(header).map(Some),
                    (None, Some(bytes)) => {
                        let header = Header::parse(*bytes)?;
                        self.header = Some(header);
                        self.bytes.resize(HEADER + header.payload, 0);
                    }
                    (None, None) => self.bytes.resize(HEADER, 0),
                }
            } else if !self.read_some()? {
                return Ok(None);
            }
        }
    }

    fn complete(&mut self, header: Header) -> Result<Received, Lost> {
        let message = Message::parse(header, &self.bytes[HEADER..])?;
        let fds = std::mem::take(&mut self.fds);
        self.bytes.truncate(HEADER);
        (self.arrived, self.header, self.began) = (0, None, None);
        Ok((message, fds))
    }

    /// Reads what there is of this message, and none of the next one: the kernel keeps descriptors beside their bytes.
    fn read_some(&mut self) -> Result<bool, Lost> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_PIECES))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut rest = [IoSliceMut::new(&mut self.bytes[self.arrived..])];
        let received = match recvmsg(&self.socket, &mut rest, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(received) => received,
            Err(Errno::AGAIN) => return Ok(false),
            Err(Errno::INTR) => return Ok(true),
            Err(Errno::CONNRESET) => return Err(Lost::Left),
            Err(errno) => return Err(Broken(format!("cannot be read from: {errno}")).into()),
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                self.fds.extend(fds);
            }
        }
        // The kernel closes those for which there is no room.
        if received.flags.contains(ReturnFlags::CTRUNC) || self.fds.len() > MOST_PIECES {
            return Err(Broken(format!("sent more than {MOST_PIECES} descriptors with a frame")).into());
        }
        if received.bytes == 0 {
            return Err(if self.arrived == 0 { Lost::Left } else { Broken::from("left amid a message").into() });
        }
        self.began.get_or_insert_with(Instant::now);
        self.arrived += received.bytes;
        Ok(true)
    }

    /// Gives a buffer back.
    ///
    /// # Errors
    /// The producer takes none back.
    pub fn release(&self, id: u64) -> Result<(), Broken> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match send(&self.socket, &wire::release(id), flags) {
            // It takes so few bytes whole or not at all.
            Err(Errno::AGAIN) => Err("takes no frames back: it does not read from its socket".into()),
            // One that has left has them all, and is found out by reading.
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
impl Connection {
    /// One whose other end is in the hands of the test.
    pub fn pair() -> (Self, std::os::unix::net::UnixStream) {
        let (socket, peer) = std::os::unix::net::UnixStream::pair().unwrap();
        socket.set_nonblocking(true).unwrap();
        (Self::new(socket.into()), peer)
    }
}
