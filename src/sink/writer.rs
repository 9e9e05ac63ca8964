//! Writes to a file descriptor without ever blocking in the write itself.
//!
//! A stalled reader must not keep the process from stopping, and an inherited standard output must not be made
//! non-blocking: the flag belongs to the open file description, which the parent shares. So each write waits in `poll`
//! and hands over no more than `PIPE_BUF` bytes, which a pipe that polls writable always takes.

use super::{Delivery, Readiness, Sink};
use crate::codec::AccessUnit;
use crate::control::Control;
use crate::error::Error;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A pipe that polls writable has a free page at least.
const PIPE_BUF: usize = 4096;
/// How long a reader may take for the rest of an access unit once a stop was requested.
pub const LAST_WRITE: Duration = Duration::from_millis(100);
/// A reader may be this many access units behind before pictures are skipped.
const UNITS_BEHIND: usize = 2;

/// A sink on standard output, a file, or the FIFO that a reader has opened.
#[derive(Debug)]
pub struct Writer {
    fd: OwnedFd,
    /// For messages.
    name: String,
    /// Most bytes handed to one `write`.
    chunk: usize,
    /// A pipe tells how much of it is unread.
    is_pipe: bool,
    /// Sizes of the last access units; the newest replaces the oldest.
    last_bytes: [AtomicUsize; UNITS_BEHIND],
    written: AtomicUsize,
}

impl Writer {
    /// The standard output of this process.
    ///
    /// # Errors
    /// It is closed, or a terminal.
    pub fn stdout() -> Result<Self, Error> {
        if crate::os::stdio::stdout_was_closed() {
            return Err(Error::input(
                "standard output is closed",
                "pipe it: mb-encode --stdout | ffplay -f h264 -, or write a file: mb-encode --out clip.h264 --frames 240",
            ));
        }
        let stdout = std::io::stdout();
        if stdout.is_terminal() {
            return Err(Error::input(
                "standard output is a terminal, which cannot show H.264",
                "pipe it: mb-encode --stdout | ffplay -f h264 -, or write a file: mb-encode --out clip.h264 --frames 240",
            ));
        }
        let fd = stdout.as_fd().try_clone_to_owned().map_err(|error| {
            Error::input("standard output cannot be used", "pipe it: mb-encode --stdout | ffplay -f h264 -")
                .caused_by(error)
        })?;
        Self::new(fd, "standard output".to_owned())
    }

    /// A file at `path`, emptied if it exists.
    ///
    /// # Errors
    /// It cannot be written; the fault is the caller's.
    pub fn file(path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        if let Ok(stat) = rustix::fs::stat(path) {
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Fifo => {
                    return Err(Error::input(format!("{name} is a FIFO"), format!("write: mb-encode --fifo {name}")));
                }
                FileType::Directory => {
                    return Err(Error::input(
                        format!("{name} is a folder"),
                        format!("name a file in it: mb-encode --out {}", path.join("clip.h264").display()),
                    ));
                }
                _ => {}
            }
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::from_raw_mode(0o666)).map_err(|errno| {
            Error::input(
                format!("cannot write {name}"),
                "name a file in a folder that exists and that you may write to: mb-encode --out clip.h264 --frames 240",
            )
            .caused_by(errno)
        })?;
        Self::new(fd, name)
    }

    /// The writing end of a pipe, from [`Fifo::wait_for_reader`](super::Fifo::wait_for_reader) say; `name` stands for
    /// it in messages.
    ///
    /// # Errors
    /// The descriptor cannot be examined.
    pub fn pipe(fd: OwnedFd, name: impl Into<String>) -> Result<Self, Error> {
        Self::new(fd, name.into())
    }

    fn new(fd: OwnedFd, name: String) -> Result<Self, Error> {
        let stat = rustix::fs::fstat(&fd)
            .map_err(|errno| Error::machine(format!("cannot examine {name}"), String::new()).caused_by(errno))?;
        let file_type = FileType::from_raw_mode(stat.st_mode);
        Ok(Self {
            fd,
            name,
            chunk: if file_type == FileType::RegularFile { usize::MAX } else { PIPE_BUF },
            is_pipe: file_type == FileType::Fifo,
            last_bytes: Default::default(),
            written: AtomicUsize::new(0),
        })
    }

    /// Writes `bytes` whole: one access unit, as it is or wrapped.
    pub(crate) fn write_all(&self, bytes: &[u8], control: &Control) -> Result<Delivery, Error> {
        let mut rest = bytes;
        let mut give_up_at = None;
        while !rest.is_empty() {
            let events = if control.stop_requested() {
                let give_up_at = *give_up_at.get_or_insert_with(|| Instant::now() + LAST_WRITE);
                let left = give_up_at.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(Delivery::Stopped);
                }
                let mut fds = [PollFd::new(&self.fd, PollFlags::OUT)];
                let _ = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: left.subsec_nanos().into() }));
                fds[0].revents()
            } else {
                control.wait(Some((self.fd.as_fd(), PollFlags::OUT)), None)
            };
            if events.intersects(PollFlags::ERR | PollFlags::HUP) {
                return Ok(Delivery::ReaderGone);
            }
            if !events.contains(PollFlags::OUT) {
                continue;
            }
            match rustix::io::write(&self.fd, &rest[..rest.len().min(self.chunk)]) {
                Ok(written) => rest = &rest[written..],
                Err(Errno::AGAIN | Errno::INTR) => {}
                // Nobody reads any more: for a filter that is an end like any other.
                Err(Errno::PIPE | Errno::CONNRESET) => return Ok(Delivery::ReaderGone),
                Err(errno) => return Err(self.failed(errno)),
            }
        }
        self.note_written(bytes.len());
        Ok(Delivery::Written)
    }

    fn note_written(&self, bytes: usize) {
        let at = self.written.fetch_add(1, Ordering::Relaxed) % UNITS_BEHIND;
        self.last_bytes[at].store(bytes, Ordering::Relaxed);
    }

    fn failed(&self, errno: Errno) -> Error {
        let remedy = match errno {
            Errno::NOSPC | Errno::DQUOT => "make room on the disk, or write elsewhere with --out",
            Errno::FBIG => "it may not grow further: raise the limit with ulimit -f, or write elsewhere with --out",
            Errno::BADF => "it is not open for writing: pipe it, mb-encode --stdout | ffplay -f h264 -",
            _ => "",
        };
        Error::machine(format!("cannot write to {}", self.name), remedy).caused_by(errno)
    }
}

impl Sink for Writer {
    fn readiness(&self) -> Readiness {
        let mut fds = [PollFd::new(&self.fd, PollFlags::OUT)];
        // With a zero timeout poll fails on no descriptor that exists.
        let _ = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        let events = fds[0].revents();
        if events.intersects(PollFlags::ERR | PollFlags::HUP) {
            return Readiness::Gone;
        }
        let behind = || {
            let unread = rustix::io::ioctl_fionread(&self.fd).unwrap_or(0);
            let allowed: usize = self.last_bytes.iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum();
            unread > allowed as u64
        };
        if !events.contains(PollFlags::OUT) || self.is_pipe && behind() { Readiness::Busy } else { Readiness::Ready }
    }

    fn write(&self, unit: &AccessUnit, control: &Control) -> Result<Delivery, Error> {
        self.write_all(unit.bytes(), control)
    }

    fn reader(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }
}
