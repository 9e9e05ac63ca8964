//! The other end of a connection, and a client that is connected to it.

use super::super::super::Wanted;
use super::super::super::intake::{Keep, Next};
use super::super::connection::Connection;
use super::super::wire::tests::buffer;
use super::super::*;
use crate::os::poll;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::pwrite;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::io::{IoSlice, Read as _};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};

pub const DEADLINE: Duration = Duration::from_secs(20);
/// What the caps below describe.
pub const GREY: &str = "video/x-raw, format=(string)GRAY8, width=(int)6, height=(int)2";
pub const GREY_BYTES: u64 = 16;

/// The other end of a connection.
pub struct Peer(pub UnixStream);

impl Peer {
    /// One that a connection leads to.
    pub fn pair() -> (Connection, Self) {
        let (connection, peer) = Connection::pair();
        (connection, Self(peer))
    }

    pub fn send(&self, bytes: &[u8], fds: &[&OwnedFd]) {
        let fds: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
        let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(fds.len()))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(fds.is_empty() || control.push(SendAncillaryMessage::ScmRights(&fds)));
        // What has been cut off is not sent either.
        let _ = sendmsg(&self.0, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL);
    }

    /// Sends a buffer of all of `memory`.
    pub fn picture(&self, id: u64, memory: &OwnedFd) {
        self.send(&buffer(id, 0, &[(0, GREY_BYTES)], &[]), &[memory]);
    }

    /// What has come back: the numbers of buffers.
    pub fn released(&mut self, count: usize) -> Vec<u64> {
        let mut bytes = vec![0; 16 * count];
        self.0.set_read_timeout(Some(DEADLINE)).unwrap();
        self.0.read_exact(&mut bytes).unwrap();
        let id = |message: &[u8]| {
            let id = u64::from_ne_bytes(message[8..].try_into().unwrap());
            assert_eq!(message, wire::release(id));
            id
        };
        bytes.chunks_exact(16).map(id).collect()
    }

    /// Waits until the client has gone. What it has released before is of no matter.
    pub fn is_left(&mut self) -> bool {
        self.0.set_read_timeout(Some(DEADLINE)).unwrap();
        match self.0.read_to_end(&mut Vec::new()) {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

/// Of a stream that pictures of a few bytes are scaled to: it cannot be as small as they are.
pub fn intake(keep: Keep) -> Intake {
    let wanted = Wanted { width: Some(64), height: Some(64), frame_rate: None };
    Intake::new(keep).unwrap().for_stream(wanted)
}

/// Memory that cannot shrink, of one value.
pub fn memory(value: u8) -> OwnedFd {
    let fd = memfd("unixfd", &[value; GREY_BYTES as usize]);
    fcntl_add_seals(&fd, SealFlags::SHRINK).unwrap();
    fd
}

pub fn memfd(name: &str, bytes: &[u8]) -> OwnedFd {
    let fd = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    assert_eq!(pwrite(&fd, bytes, 0).unwrap(), bytes.len());
    fd
}

/// Runs a connection on what a producer has sent before it left. Returns how it ended, what was shown last, and what was
/// given back.
pub fn session(producer: impl FnOnce(&Peer)) -> (End, Option<Arrived>, Vec<u64>) {
    let (connection, mut peer) = Peer::pair();
    producer(&peer);
    peer.0.shutdown(Shutdown::Write).unwrap();
    let intake = intake(Keep::Latest);
    let end = Session::new(&Address::new("test".into()), connection, &intake, &mut DeviceFrames::default()).run();
    let shown = match intake.take().unwrap() {
        Next::Picture(picture) => Some(picture),
        Next::Nothing | Next::Ended => None,
    };
    let mut back = Vec::new();
    // A connection that ends with something unread is reset, once all that came back is read.
    let _ = peer.0.read_to_end(&mut back);
    let released = back.chunks_exact(16).map(|it| u64::from_ne_bytes(it[8..].try_into().unwrap())).collect();
    (end, shown, released)
}

pub fn broken(producer: impl FnOnce(&Peer)) -> String {
    match session(producer).0 {
        End::Lost(Lost::Broken(Broken(what))) => what,
        end => panic!("{end:?}"),
    }
}

pub fn left(end: &End) -> bool {
    matches!(end, End::Lost(Lost::Left))
}

/// Starts a client of the socket in a folder of its own, and gives its producer and the stream to `test`.
pub fn with_client(test: impl FnOnce(&UnixListener, &Intake)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("frames");
    let listener = UnixListener::bind(&path).unwrap();
    let intake = intake(Keep::Latest);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| UnixFd::new(path).run(&intake));
        // A test that fails must not wait for the client.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(&listener, &intake)));
        intake.close();
        let ended = client.join().unwrap();
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        ended.unwrap();
    });
}

pub fn accept(listener: &UnixListener) -> Peer {
    assert!(poll::readable_until(listener, Instant::now() + DEADLINE), "nobody connects");
    Peer(listener.accept().unwrap().0)
}

pub fn shown(intake: &Intake) -> Arrived {
    assert!(poll::readable_until(&intake.arrivals(), Instant::now() + DEADLINE), "no picture comes");
    match intake.take().unwrap() {
        Next::Picture(picture) => picture,
        next => panic!("{next:?}"),
    }
}
