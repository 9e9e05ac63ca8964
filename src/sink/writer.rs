//! Writes to a file descriptor without ever blocking in the write itself.
//!
//! A stalled reader must not keep the process from stopping, and an inherited standard output must not be made
//! non-blocking: the flag belongs to the open file description, which the parent shares. So each write waits in `poll`
//! and hands over no more than `PIPE_BUF` bytes, which a pipe that polls writable always takes.

use super::{Gate, Meter, Outlet, Output, Readiness, Written};
use crate::control::Control;
use crate::error::Error;
use crate::os::others::Link;
use crate::os::poll;
use rustix::event::PollFlags;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A pipe that polls writable has a free page at least.
const PIPE_BUF: usize = 4096;
/// How long a reader may take for the rest of an access unit once a stop was requested.
pub const LAST_WRITE: Duration = Duration::from_millis(100);
/// A reader may be this many access units behind before pictures are skipped.
const UNITS_BEHIND: usize = 2;

/// Standard output, a file, or the FIFO that a reader has opened: the gate in front of it and the outlet to it.
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
    /// Bytes, each as soon as it is in the pipe.
    sent: Arc<AtomicU64>,
}

impl Writer {
    /// Opens `output`. A file is emptied if it exists.
    ///
    /// # Errors
    /// Standard output is closed or a terminal, the file cannot be written (the fault is the caller's), or no file
    /// descriptor is left.
    pub fn open(output: &Output) -> Result<Self, Error> {
        match output {
            Output::Stdout => Self::stdout(),
            Output::File(path) => Self::file(path),
            Output::Pipe { fd, name } => {
                let fd = fd.try_clone().map_err(|error| {
                    Error::machine(
                        "out-unusable",
                        format!("cannot use {name}"),
                        "raise the limit of open files: ulimit -n",
                    )
                    .caused_by(error)
                })?;
                Self::new(fd, name.clone())
            }
        }
    }

    /// The standard output of this process.
    ///
    /// # Errors
    /// It is closed, or a terminal.
    pub fn stdout() -> Result<Self, Error> {
        if crate::os::stdio::stdout_was_closed() {
            return Err(Error::input("stdout-closed", "standard output is closed", ""));
        }
        let stdout = std::io::stdout();
        if stdout.is_terminal() {
            return Err(Error::input("stdout-terminal", "standard output is a terminal, which cannot show H.264", ""));
        }
        let fd = stdout
            .as_fd()
            .try_clone_to_owned()
            .map_err(|error| Error::input("stdout-closed", "standard output cannot be used", "").caused_by(error))?;
        Self::new(fd, "standard output".to_owned())
    }

    fn file(path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        if let Ok(stat) = rustix::fs::stat(path) {
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Fifo => {
                    return Err(Error::input(
                        "out-is-fifo",
                        format!("{name} is a FIFO"),
                        format!("write: mb-encode --fifo {name}"),
                    ));
                }
                FileType::Directory => {
                    return Err(Error::input(
                        "out-is-folder",
                        format!("{name} is a folder"),
                        format!("name a file in it: mb-encode --out {}", path.join("clip.h264").display()),
                    ));
                }
                _ => {}
            }
        }
        let kept = if Link::is_own_at(path)? { OFlags::empty() } else { OFlags::NOFOLLOW };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | kept;
        let fd = rustix::fs::open(path, flags, Mode::from_raw_mode(0o666))
            .map_err(|errno| Error::input("out-unwritable", format!("cannot write {name}"), "").caused_by(errno))?;
        Self::new(fd, name)
    }

    fn new(fd: OwnedFd, name: String) -> Result<Self, Error> {
        let stat = rustix::fs::fstat(&fd).map_err(|errno| {
            Error::machine("out-unusable", format!("cannot examine {name}"), String::new()).caused_by(errno)
        })?;
        let file_type = FileType::from_raw_mode(stat.st_mode);
        Ok(Self {
            fd,
            name,
            chunk: if file_type == FileType::RegularFile { usize::MAX } else { PIPE_BUF },
            is_pipe: file_type == FileType::Fifo,
            last_bytes: Default::default(),
            written: AtomicUsize::new(0),
            sent: Arc::default(),
        })
    }

    /// Shows what the reader of a pipe takes; `None` where it is none, or no descriptor is left.
    pub fn meter(&self) -> Option<Meter> {
        let pipe = self.is_pipe.then(|| self.fd.try_clone().ok())??;
        Some(Meter::new(pipe, Arc::clone(&self.sent)))
    }

    fn note_written(&self, bytes: usize) {
        let at = self.written.fetch_add(1, Ordering::Relaxed) % UNITS_BEHIND;
        self.last_bytes[at].store(bytes, Ordering::Relaxed);
    }

    fn failed(&self, errno: Errno) -> Error {
        if errno == Errno::BADF {
            let what = Error::machine("stdout-closed", format!("{} is not open for writing", self.name), "");
            return what.caused_by(errno);
        }
        let remedy = match errno {
            Errno::NOSPC | Errno::DQUOT => "make room on the disk, or write elsewhere",
            Errno::FBIG => "it may not grow further: raise the limit with ulimit -f, or write elsewhere",
            _ => "",
        };
        Error::machine("write-failed", format!("cannot write to {}", self.name), remedy).caused_by(errno)
    }
}

impl AsFd for Writer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Gate for Writer {
    fn readiness(&self) -> Readiness {
        let events = poll::look(&self.fd, PollFlags::OUT);
        if events.intersects(poll::GONE) {
            return Readiness::Gone;
        }
        let behind = || {
            let unread = rustix::io::ioctl_fionread(&self.fd).unwrap_or(0);
            let allowed: usize = self.last_bytes.iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum();
            unread > allowed as u64
        };
        if !events.contains(PollFlags::OUT) || self.is_pipe && behind() { Readiness::Busy } else { Readiness::Ready }
    }

    fn reader(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }
}

impl Outlet for Writer {
    fn write(&self, bytes: &[u8], control: &Control) -> Result<Written, Error> {
        let mut rest = bytes;
        let mut give_up_at = None;
        while !rest.is_empty() {
            let events = if control.stop_requested() {
                let give_up_at = *give_up_at.get_or_insert_with(|| Instant::now() + LAST_WRITE);
                let left = give_up_at.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(Written::Stopped);
                }
                poll::wait_for(&self.fd, PollFlags::OUT, Some(left))
            } else {
                control.wait(Some((self.fd.as_fd(), PollFlags::OUT)), None)
            };
            if events.intersects(poll::GONE) {
                return Ok(Written::ReaderGone);
            }
            if !events.contains(PollFlags::OUT) {
                continue;
            }
            match rustix::io::write(&self.fd, &rest[..rest.len().min(self.chunk)]) {
                Ok(written) => {
                    self.sent.fetch_add(written as u64, Ordering::Release);
                    rest = &rest[written..];
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                // Nobody reads any more: for a filter that is an end like any other.
                Err(Errno::PIPE | Errno::CONNRESET) => return Ok(Written::ReaderGone),
                Err(errno) => return Err(self.failed(errno)),
            }
        }
        self.note_written(bytes.len());
        Ok(Written::Whole)
    }
}
