//! From a reader's process to its socket, in the kernel: nothing is copied and nothing is kept here. A reader that is slow
//! leaves its pipe full, and the process in front of that skips pictures.

use crate::os::poll;
use crate::os::sockets;
use crate::service::http::Answer;
use crate::service::watched::{Audience, Parted, Wake};
use rustix::event::PollFlags;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use rustix::pipe::{SpliceFlags, splice};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Bytes at once: what a pipe holds.
const CHUNK: usize = 64 * 1024;
/// A reader that takes nothing for so long although something is there is gone.
const STUCK: Duration = Duration::from_secs(30);
/// The end of a pipe whose process has ended comes within this.
const REST: Duration = Duration::from_secs(1);
/// What may wait unsent in the socket. More of it would only be older when it is sent.
const UNSENT: u32 = 16 * 1024;
/// Bytes of the socket's buffer, with what is on its way.
const BUFFER: usize = 256 * 1024;

/// One reader's.
pub struct Pump<'a> {
    socket: &'a TcpStream,
    kind: &'static str,
    /// `None` once it has ended.
    pipe: Option<OwnedFd>,
    /// Whether the reader has its head, and so a stream.
    has_begun: bool,
    is_gone: bool,
    /// The socket has no room.
    is_full: bool,
    /// The first byte has to be there by then.
    begins_by: Instant,
    moved_at: Instant,
}

impl<'a> Pump<'a> {
    /// From `pipe` to `socket`, behind a head that states this media type. The first byte has to come until `begins_by`.
    ///
    /// # Errors
    /// The socket cannot be set up.
    pub fn new(pipe: OwnedFd, socket: &'a TcpStream, kind: &'static str, begins_by: Instant) -> std::io::Result<Self> {
        sockets::set_up_stream(socket, UNSENT, BUFFER, STUCK)?;
        let moved_at = Instant::now();
        let pipe = Some(pipe);
        Ok(Self { socket, kind, pipe, has_begun: false, is_gone: false, is_full: false, begins_by, moved_at })
    }

    /// Whether the reader was sent anything.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Whether the reader has left.
    pub fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Moves what a process that has ended has left in its pipe, for as long as the reader takes it.
    pub fn finish(&mut self, stop: &impl rustix::fd::AsFd) {
        while let (Some(_), false) = (&self.pipe, self.is_gone) {
            let mut fds = poll::Set::default();
            self.watch(Duration::ZERO, &mut fds);
            fds.add(Wake::Stop, stop);
            let patience = if self.is_full { STUCK } else { REST };
            let wakes: Vec<_> = fds.wait(Some(patience)).map(|(wake, _)| wake).collect();
            drop(fds);
            if wakes.is_empty() || wakes.contains(&Wake::Stop) || self.tend(true, Instant::now()).is_some() {
                return;
            }
        }
    }

    /// Moves what there is.
    fn pump(&mut self, now: Instant) {
        while let Some(pipe) = &self.pipe {
            if !self.has_begun {
                match rustix::io::ioctl_fionread(pipe) {
                    Ok(0) if poll::look(pipe, PollFlags::IN).intersects(poll::GONE) => self.pipe = None,
                    Ok(0) => return,
                    _ => self.begin(),
                }
                if self.is_gone {
                    return;
                }
                continue;
            }
            let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
            match splice(pipe, None, self.socket, None, CHUNK, flags) {
                Ok(0) => self.pipe = None,
                Ok(_) => (self.moved_at, self.is_full) = (now, false),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    // Either end may be the one.
                    self.is_full = rustix::io::ioctl_fionread(pipe).is_ok_and(|unread| unread > 0);
                    if !self.is_full {
                        self.moved_at = now;
                    }
                    return;
                }
                Err(_) => {
                    self.is_gone = true;
                    return;
                }
            }
        }
    }

    /// Sends the head, for which a socket that was sent nothing yet has room.
    fn begin(&mut self) {
        let head = Answer::endless(self.kind);
        let sent = send(self.socket, &head, SendFlags::MORE | SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        self.has_begun = true;
        self.is_gone = sent != Ok(head.len());
    }
}

impl Audience for Pump<'_> {
    fn watch<'fd>(&'fd self, _: Duration, fds: &mut poll::Set<'fd, Wake>) {
        let room = if self.is_full { PollFlags::OUT } else { PollFlags::empty() };
        fds.add_for(Wake::Audience, self.socket, PollFlags::RDHUP | room);
        if let Some(pipe) = self.pipe.as_ref().filter(|_| !self.is_full) {
            fds.add(Wake::Audience, pipe);
        }
    }

    fn due(&self) -> Option<Instant> {
        match (self.has_begun, self.is_full) {
            _ if self.pipe.is_none() => None,
            (false, _) => Some(self.begins_by),
            (true, true) => Some(self.moved_at + STUCK),
            (true, false) => None,
        }
    }

    fn tend(&mut self, woken: bool, now: Instant) -> Option<Parted> {
        if woken {
            let left = poll::look(self.socket, PollFlags::RDHUP);
            self.is_gone |= left.intersects(poll::GONE | PollFlags::RDHUP);
            if !self.is_gone {
                self.pump(now);
            }
        }
        self.is_gone |= self.is_full && now >= self.moved_at + STUCK;
        if self.is_gone {
            // Its end is what the process takes for its reader's.
            self.pipe = None;
            return Some(Parted::Left);
        }
        (!self.has_begun && self.pipe.is_some() && now >= self.begins_by).then_some(Parted::Late)
    }
}
