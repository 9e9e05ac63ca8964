//! Writes to a file descriptor without ever blocking in the write itself.
//!
//! A stalled reader must not keep the process from stopping, and an inherited standard output must not be made
//! non-blocking: the flag belongs to the open file description, which the parent shares. So a pipe is asked to
//! take what it has room for: by `pwritev2`, where the kernel can do that, which is a pipe without a name and Linux 6.5; or by
//! being non-blocking already, as a worker opens its FIFO. Else each write waits in `poll` and hands over no more than
//! `PIPE_BUF` bytes, which a pipe that polls writable always takes, or, where nothing is in the pipe, no more than it
//! holds: a reader that keeps up is woken once for a picture.

use super::{Gate, Meter, Outlet, Output, Readiness, Written};
use crate::control::Control;
use crate::error::Error;
use crate::os::others::Link;
use crate::os::poll;
use rustix::event::PollFlags;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::{Errno, ReadWriteFlags};
use std::io::{IoSlice, IsTerminal};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
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
    /// Whether a write to it never waits.
    is_nonblocking: bool,
    /// Whether the kernel is asked to write at once or not at all, until it says that it cannot.
    asks: AtomicBool,
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
            Output::File(path) => Self::file(path, OFlags::CREATE | OFlags::TRUNC),
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

    /// Opens `output` behind what was written to it by another process.
    ///
    /// # Errors
    /// As [`Writer::open`], and where a file is not there any more.
    pub fn append(output: &Output) -> Result<Self, Error> {
        match output {
            Output::File(path) => Self::file(path, OFlags::APPEND),
            Output::Stdout | Output::Pipe { .. } => Self::open(output),
        }
    }

    /// Counts what another process has sent.
    pub fn note_sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Release);
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

    fn file(path: &Path, how: OFlags) -> Result<Self, Error> {
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
        let flags = OFlags::WRONLY | OFlags::CLOEXEC | how | kept;
        let fd = rustix::fs::open(path, flags, Mode::from_raw_mode(0o666))
            .map_err(|errno| Error::input("out-unwritable", format!("cannot write {name}"), "").caused_by(errno))?;
        Self::new(fd, name)
    }

    fn new(fd: OwnedFd, name: String) -> Result<Self, Error> {
        let stat = rustix::fs::fstat(&fd).map_err(|errno| {
            Error::machine("out-unusable", format!("cannot examine {name}"), String::new()).caused_by(errno)
        })?;
        let file_type = FileType::from_raw_mode(stat.st_mode);
        let is_nonblocking = rustix::fs::fcntl_getfl(&fd).is_ok_and(|flags| flags.contains(OFlags::NONBLOCK));
        Ok(Self {
            fd,
            is_nonblocking,
            name,
            chunk: if file_type == FileType::RegularFile { usize::MAX } else { PIPE_BUF },
            is_pipe: file_type == FileType::Fifo,
            asks: AtomicBool::new(file_type == FileType::Fifo),
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

    /// How much of `wanted` bytes is taken without blocking by what has just polled writable.
    fn room(&self, wanted: usize) -> usize {
        let is_empty = || rustix::io::ioctl_fionread(&self.fd).is_ok_and(|unread| unread == 0);
        if !self.is_pipe || wanted <= self.chunk || !is_empty() {
            return self.chunk;
        }
        rustix::pipe::fcntl_getpipe_size(&self.fd).map_or(self.chunk, |bytes| bytes.max(self.chunk))
    }

    /// Hands over what is taken without waiting: one system call for a picture, and not the three that look before a
    /// write. `None` where the kernel cannot say so.
    fn write_at_once(&self, bytes: &[u8]) -> Option<Result<usize, Errno>> {
        // Where the file is at, which a pipe is nowhere.
        const HERE: u64 = u64::MAX;
        if self.asks.load(Ordering::Relaxed) {
            match rustix::io::pwritev2(&self.fd, &[IoSlice::new(bytes)], HERE, ReadWriteFlags::NOWAIT) {
                // A FIFO, an older kernel, or a filter of system calls.
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::PERM) => {
                    self.asks.store(false, Ordering::Relaxed);
                }
                written => return Some(written),
            }
        }
        // Asked last: the flag of standard output is also its other owners', who may take it back.
        (self.is_pipe && self.is_nonblocking).then(|| rustix::io::write(&self.fd, bytes))
    }

    /// Waits until it polls writable, or returns how the writing ends before.
    fn wait_for_room(&self, control: &Control, give_up_at: &mut Option<Instant>) -> Option<Written> {
        loop {
            let events = if control.stop_requested() {
                let give_up_at = *give_up_at.get_or_insert_with(|| Instant::now() + LAST_WRITE);
                let left = give_up_at.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Some(Written::Stopped);
                }
                poll::wait_for(&self.fd, PollFlags::OUT, Some(left))
            } else {
                control.wait(Some((self.fd.as_fd(), PollFlags::OUT)), None)
            };
            if events.intersects(poll::GONE) {
                return Some(Written::ReaderGone);
            }
            if events.contains(PollFlags::OUT) {
                return None;
            }
        }
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
            let written = match self.write_at_once(rest) {
                Some(Err(Errno::AGAIN | Errno::INTR)) | None => {
                    if let Some(end) = self.wait_for_room(control, &mut give_up_at) {
                        return Ok(end);
                    }
                    rustix::io::write(&self.fd, &rest[..rest.len().min(self.room(rest.len()))])
                }
                Some(written) => written,
            };
            match written {
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

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};

    #[test]
    fn an_empty_pipe_takes_all_that_it_holds_and_any_other_a_page() {
        let (reading, writing) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        fcntl_setpipe_size(&writing, 16 * PIPE_BUF).unwrap();
        let size = fcntl_getpipe_size(&writing).unwrap();
        let mut writer = Writer::new(writing, "a pipe".to_owned()).unwrap();
        // As on an older kernel.
        writer.asks = false.into();
        assert_eq!([PIPE_BUF, PIPE_BUF + 1].map(|wanted| writer.room(wanted)), [PIPE_BUF, size]);

        let control = Control::new().unwrap();
        // Less than a page makes the next write begin in the middle of one.
        let (mut sent, mut read) = (0, vec![0; size]);
        for bytes in [1, size, size / 2 + 77, size] {
            let unit: Vec<_> = (sent..sent + bytes).map(|at| (at / 3) as u8).collect();
            assert_eq!(writer.write(&unit, &control).unwrap(), Written::Whole, "nobody reads meanwhile");
            assert_eq!((writer.room(size), writer.readiness()), (PIPE_BUF, readiness(bytes == size)), "{bytes}");
            assert_eq!(rustix::io::read(&reading, &mut read).unwrap(), bytes);
            assert!(read[..bytes] == unit, "{bytes}");
            sent += bytes;
        }
        assert_eq!(writer.room(size), size);
        for asks in [true, false] {
            writer.asks = asks.into();
            let (reading, writing) = pipe_with(PipeFlags::CLOEXEC).unwrap();
            writer.fd = writing;
            drop(reading);
            assert_eq!(writer.write(&read[..1], &control).unwrap(), Written::ReaderGone);
        }
    }

    #[test]
    fn a_pipe_is_filled_without_a_look_and_what_is_left_goes_as_room_comes() {
        for is_nonblocking in [true, false] {
            let (reading, writing) = pipe_with(PipeFlags::CLOEXEC).unwrap();
            let flags = if is_nonblocking { OFlags::NONBLOCK } else { OFlags::empty() };
            rustix::fs::fcntl_setfl(&writing, flags).unwrap();
            let mut writer = Writer::new(writing, "a pipe".to_owned()).unwrap();
            assert_eq!(writer.is_nonblocking, is_nonblocking);
            fill(&reading, &writer);
            // As a FIFO, which cannot be asked.
            writer.asks = false.into();
            fill(&reading, &writer);
        }
    }

    fn fill(reading: &OwnedFd, writer: &Writer) {
        let size = fcntl_getpipe_size(&writer.fd).unwrap();
        let bytes: Vec<_> = (0..size + 12_345).map(|at| (at / 3) as u8).collect();
        let at_once = writer.write_at_once(&bytes);
        let asks = writer.asks.load(Ordering::Relaxed) || writer.is_nonblocking;
        assert_eq!(at_once, asks.then_some(Ok(size)), "all that it holds, or nothing by a kernel that cannot");
        if asks {
            assert_eq!(writer.write_at_once(&bytes), Some(Err(Errno::AGAIN)), "full");
        }
        let control = Control::new().unwrap();
        let sent = at_once.map_or(0, |written| written.unwrap());
        let read = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut read = vec![0; bytes.len()];
                let mut count = 0;
                while count < bytes.len() {
                    count += rustix::io::read(reading, &mut read[count..]).unwrap();
                }
                read
            });
            assert_eq!(writer.write(&bytes[sent..], &control).unwrap(), Written::Whole);
            reader.join().unwrap()
        });
        assert!(read == bytes);
    }

    fn readiness(is_full: bool) -> Readiness {
        if is_full { Readiness::Busy } else { Readiness::Ready }
    }

    #[test]
    fn a_file_takes_everything() {
        let file = rustix::fs::open("/dev/null", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        assert_eq!(Writer::new(file, "nothing".to_owned()).unwrap().room(usize::MAX), PIPE_BUF, "a device is no file");
        let file = tempfile::tempfile().unwrap();
        assert_eq!(Writer::new(file.into(), "a file".to_owned()).unwrap().room(1 << 30), usize::MAX);
    }
}
