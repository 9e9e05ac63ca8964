//! Where pictures come from that other programs make, and what is at that place.

use super::door::{FifoPath, InputFifo};
use crate::error::Error;
use crate::os::sealed::Sealed;
use crate::source::input::{Command, Fifo, Form, Keep, Once, Onward, Producer, UnixFd};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

/// Where pictures come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Standard input.
    Stdin,
    /// A file, a pipe that this process was handed, or a FIFO, which is made where nothing is.
    Path(PathBuf),
    /// A socket of GStreamer's `unixfdsink`.
    UnixFd(PathBuf),
    /// The standard output of a command, which a shell runs.
    Command(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::Path(path) => write!(f, "--input {}", path.display()),
            Self::UnixFd(path) => write!(f, "--input unix:{}", path.display()),
            Self::Command(_) => f.write_str("--input-command"),
        }
    }
}

impl Place {
    /// The place that was written so.
    pub fn of(text: &OsStr) -> Self {
        match text.as_bytes() {
            b"-" => Self::Stdin,
            bytes => match bytes.strip_prefix(b"unix:") {
                Some(path) => Self::UnixFd(OsStr::from_bytes(path).into()),
                None => Self::Path(text.into()),
            },
        }
    }

    /// Whether it can be read only once, by one process: what that has read is gone for good.
    pub fn is_read_once(&self) -> bool {
        match self {
            Self::Stdin => true,
            Self::Path(path) => Self::is_handed_over(path),
            Self::UnixFd(_) | Self::Command(_) => false,
        }
    }

    /// Whether only one stream can read from it: pictures that one has read are gone.
    pub fn is_for_one(&self) -> bool {
        match self {
            Self::Stdin => true,
            Self::Path(_) => self.file().is_none(),
            Self::UnixFd(_) | Self::Command(_) => false,
        }
    }

    /// What it is read from where it is a file that is there and no FIFO.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Path(path) if path.is_file() => Some(path),
            _ => None,
        }
    }

    /// Whether it is the FIFO at a path, by whatever name.
    pub fn is_fifo_at(&self, fifo: &Path) -> bool {
        match self {
            Self::Path(path) => {
                matches!((FifoPath::resolve(path), FifoPath::resolve(fifo)), (Ok(ours), Ok(other)) if ours == other)
            }
            Self::Stdin | Self::UnixFd(_) | Self::Command(_) => false,
        }
    }

    /// Makes the FIFO that is missing, so that a producer finds one before the first reader comes.
    ///
    /// # Errors
    /// What is there cannot be read from, or the FIFO cannot be made.
    pub fn make(&self) -> Result<(), Error> {
        match self {
            Self::Path(path) if Self::is_handed_over(path) => Ok(()),
            Self::Path(path) => match std::fs::metadata(path) {
                Ok(there) if there.is_file() || there.file_type().is_fifo() => Ok(()),
                Ok(there) if there.file_type().is_socket() => Err(Error::input(
                    "input-socket",
                    format!("{} is a socket", path.display()),
                    format!("where unixfdsink serves it, put unix: in front: --input unix:{}", path.display()),
                )),
                Ok(there) if there.is_dir() => Err(Error::input(
                    "input-unusable",
                    format!("--input {} is a folder", path.display()),
                    "name a file or a FIFO: --input temp/frames/a.y4m",
                )),
                Ok(_) => Ok(()),
                Err(_) => InputFifo::make(path),
            },
            Self::Stdin | Self::UnixFd(_) | Self::Command(_) => Ok(()),
        }
    }

    /// Whether a path names a descriptor that this process was started with, as shells do for `<(command)`.
    fn is_handed_over(path: &Path) -> bool {
        path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd") || path == Path::new("/dev/stdin")
    }

    /// Opens it, with what is known of what is in there, to go on where another process has come to. `every` picture is
    /// wanted, or those that come in time.
    ///
    /// # Errors
    /// What is there cannot be read from.
    pub fn open(&self, form: Form, every: bool, onward: Onward) -> Result<(Box<dyn Producer>, Keep), Error> {
        let kept = |is_live: bool| if is_live && !every { Keep::Latest } else { Keep::Every };
        let once = |fd: OwnedFd, name: String| -> (Box<dyn Producer>, Keep) {
            // A file is never in a hurry.
            let is_file =
                rustix::fs::fstat(&fd).is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file());
            let from = if let (Onward::Byte(byte @ 1..), true) = (onward, is_file) { Some(byte) } else { None };
            let behind = if let Onward::Behind(number) = onward { Sealed::handed_down(number) } else { None };
            (Box::new(Once { fd, form, name, is_file, from, behind: behind.unwrap_or_default() }), kept(!is_file))
        };
        match self {
            Self::Stdin => {
                // Opened anew, it does not block here and still does for whoever shares it. A socket cannot be.
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let fd = rustix::fs::open("/proc/self/fd/0", flags, Mode::empty())
                    .or_else(|_| rustix::io::fcntl_dupfd_cloexec(std::io::stdin(), 3))
                    .map_err(|errno| {
                        Error::input("input-unusable", "standard input cannot be opened", "").caused_by(errno)
                    })?;
                Ok(once(fd, "standard input".to_owned()))
            }
            Self::Path(path) => {
                self.make()?;
                let is_fifo = std::fs::metadata(path).is_ok_and(|there| there.file_type().is_fifo());
                if is_fifo && !Self::is_handed_over(path) {
                    return Ok((Box::new(Fifo { comers: Box::new(InputFifo::at(path)?), form }), kept(true)));
                }
                let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(|errno| {
                    Error::input("input-unusable", format!("cannot read --input {}", path.display()), "")
                        .caused_by(errno)
                })?;
                Ok(once(fd, path.display().to_string()))
            }
            Self::UnixFd(path) => Ok((Box::new(UnixFd::new(path.clone())), kept(true))),
            Self::Command(command) => Ok((Box::new(Command { command: command.clone(), form }), kept(true))),
        }
    }
}
