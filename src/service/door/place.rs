//! Where a FIFO is: its path, who may serve it, and the pipe behind it, which is another one for each reader.

use super::FifoPlace;
use crate::control::Control;
use crate::error::Error;
use crate::os::openings::Openings;
use crate::os::{poll, threads};
use crate::settings::PipeSize;
use rustix::event::{EventfdFlags, PollFlags, eventfd};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Uid, inotify};
use rustix::io::Errno;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A reader's pipe.
#[derive(Debug)]
pub struct Accepted {
    /// The writing end.
    pub pipe: OwnedFd,
    /// Whether a fresh FIFO has taken its place.
    pub exchanged: io::Result<()>,
    /// Who has opened it, where the kernel tells.
    pub openings: Option<Openings>,
}

/// Where the FIFO is and how it is made.
#[derive(Debug)]
pub struct Place {
    /// What has lain at the path until a moment ago, and until when: who had found one before the exchange, and was kept
    /// from running since, may open it only now, and nobody else ever will.
    gone: Mutex<Vec<(OwnedFd, Instant)>>,
    pub path: PathBuf,
    mode: u32,
    pipe_size: Option<PipeSize>,
    /// Held while this process serves the FIFO; the kernel lets go of it when the process ends, however it ends.
    _claim: UnixListener,
}

/// For so long somebody may still open what no longer lies at the path.
const AFTERWARDS: Duration = Duration::from_secs(5);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Each of them is an open descriptor.
const MOST_GONE: usize = 32;

/// What the watch beside a blocking open wakes for.
#[derive(Clone, Copy)]
enum Wakes {
    Opened,
    Stop,
    Changed,
}

impl Place {
    /// Takes charge of the FIFO, and makes it if nothing is there, with the folders above it.
    pub fn claim(at: &FifoPlace) -> Result<Self, Error> {
        let path = resolve(&at.path)?;
        let claim = claim(&path)?;
        let place = Self { gone: Mutex::default(), path, mode: at.mode.bits(), pipe_size: at.pipe_size, _claim: claim };
        place.ensure()?;
        Ok(place)
    }

    /// Waits for the next reader, and makes way for the one after it.
    pub fn accept(&self, reopened: &dyn Fn(), over: &Control) -> Result<Option<Accepted>, Error> {
        loop {
            let inode = self.ensure()?;
            let Some(accepted) = self.open_for_reader(&inode, over)? else {
                if over.stop_requested() {
                    return Ok(None);
                }
                tracing::info!(fifo = %self.path.display(), "the FIFO was replaced or removed, waiting on it anew");
                reopened();
                continue;
            };
            if let Some(size) = self.pipe_size {
                if let Err(errno) = rustix::pipe::fcntl_setpipe_size(&accepted.pipe, size.bytes() as usize) {
                    tracing::warn!("cannot set the pipe size to {} bytes: {errno}", size.bytes());
                }
            }
            return Ok(Some(accepted));
        }
    }

    /// Makes the FIFO if it is missing, and gives a descriptor that names its inode without opening the pipe.
    fn ensure(&self) -> Result<OwnedFd, Error> {
        let open = || rustix::fs::open(&self.path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        let inode = match open() {
            Err(Errno::NOENT) => {
                self.make_with_folders().map_err(|error| not_made(&self.path, error))?;
                open()
            }
            other => other,
        };
        let inode = inode.map_err(|errno| self.failed(errno))?;
        let stat = rustix::fs::fstat(&inode).map_err(|errno| self.failed(errno))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Fifo => Ok(inode),
            other => Err(refuse(&self.path, other)),
        }
    }

    /// Makes the FIFO and the folders above it, or nothing at all.
    fn make_with_folders(&self) -> io::Result<()> {
        let missing: Vec<_> = self.path.ancestors().skip(1).take_while(|folder| !folder.exists()).collect();
        let made = std::fs::create_dir_all(self.path.parent().unwrap_or(Path::new("/")))
            .and_then(|()| Ok(make(&self.path, self.mode)?));
        if made.is_err() {
            // The deepest first; one that is not there or not empty stays as it is.
            missing.iter().for_each(|folder| drop(std::fs::remove_dir(folder)));
        }
        made
    }

    /// Blocks until a reader opens the FIFO. `None` when a stop was requested or the FIFO is no longer at its path.
    fn open_for_reader(&self, inode: &OwnedFd, control: &Control) -> Result<Option<Accepted>, Error> {
        let done = eventfd(0, EventfdFlags::CLOEXEC).map_err(|errno| self.failed(errno))?;
        // Without it, where a user has too many watches, a FIFO that is removed is missed.
        let folder = self.watch_folder().ok();
        // It may have gone before anybody watched.
        if !self.is_at_path(inode) {
            return Ok(None);
        }
        // Opening through /proc reaches the inode even after its name is gone.
        let pipe = format!("/proc/self/fd/{}", inode.as_raw_fd());
        let openings = Openings::of(&pipe).inspect_err(|error| {
            tracing::debug!("readers that come in the same instant cannot be told apart here: {error}");
        });
        std::thread::scope(|scope| {
            let watch = threads::small("fifo-watch")
                .spawn_scoped(scope, || self.wake_when_over(inode, &pipe, folder.as_ref(), &done, control))
                .map_err(threads::cannot_start)?;
            let opened = loop {
                match rustix::fs::open(&pipe, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) {
                    Err(Errno::INTR) => {}
                    other => break other,
                }
            };
            // Before the exchange, which the watch would take for somebody else's.
            let _ = rustix::io::write(&done, &1u64.to_ne_bytes());
            // At once: who opens the path before this shares the pipe.
            let exchanged = if control.stop_requested() { Ok(()) } else { self.exchange(inode) };
            let woken = watch.join().unwrap_or(true);
            if woken || exchanged.is_ok() {
                self.leave(inode);
            }
            match opened {
                Ok(_) if woken || control.stop_requested() => Ok(None),
                Ok(pipe) => Ok(Some(Accepted { pipe, exchanged, openings: openings.ok() })),
                Err(errno) => Err(Error::machine(
                    "fifo-unwritable",
                    format!("cannot write to the FIFO {}", self.path.display()),
                    format!("allow it: chmod ug+rw {}", self.path.display()),
                )
                .caused_by(errno)),
            }
        })
    }

    /// Runs beside a blocking open and ends it, by opening the other end for a moment, when a stop is requested or the
    /// FIFO's name is gone. Returns whether it did; else it returns when `done` is readable.
    fn wake_when_over(
        &self,
        inode: &OwnedFd,
        pipe: &str,
        folder: Option<&OwnedFd>,
        done: &OwnedFd,
        control: &Control,
    ) -> bool {
        let wake = control.wake_fd();
        loop {
            let mut fds = poll::Set::default();
            fds.add(Wakes::Opened, done);
            fds.add(Wakes::Stop, &wake);
            if let Some(folder) = folder {
                fds.add(Wakes::Changed, folder);
            }
            let (mut opened, mut stop, mut changed) = (false, false, false);
            let again = self.turn_away_from_gone(Instant::now()).then_some(LOOK);
            for (what, _) in fds.wait(again) {
                match what {
                    Wakes::Opened => opened = true,
                    Wakes::Stop => stop = true,
                    Wakes::Changed => changed = true,
                }
            }
            if opened {
                return false;
            }
            if let (true, Some(folder)) = (changed, folder) {
                // What changed is read off the path itself; the events only say when to look.
                let _ = rustix::io::read(folder, &mut [0u8; 4096]);
            }
            // It may have been opened, and exchanged by this very process, since the poll.
            if stop || changed && !self.is_at_path(inode) && !poll::is_readable(done) {
                break;
            }
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let reader = rustix::fs::open(pipe, flags, Mode::empty());
        // Held until the blocked open has returned, which `done` tells.
        poll::wait_for(done, PollFlags::IN, None);
        drop(reader);
        true
    }

    /// Notes that `inode` no longer lies at the path.
    fn leave(&self, inode: &OwnedFd) {
        if let Ok(inode) = inode.try_clone() {
            let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
            gone.push((inode, Instant::now() + AFTERWARDS));
            let too_many = gone.len().saturating_sub(MOST_GONE);
            gone.drain(..too_many);
        }
    }

    /// Gives the end of file to whoever has opened what is gone. Returns whether that is to be done again.
    fn turn_away_from_gone(&self, now: Instant) -> bool {
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.retain(|(inode, until)| {
            let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
            // Fails where nobody has. A reader that is still served has another writer, and notices nothing.
            let _ = rustix::fs::open(format!("/proc/self/fd/{}", inode.as_raw_fd()), flags, Mode::empty());
            now < *until
        });
        !gone.is_empty()
    }

    fn watch_folder(&self) -> Result<OwnedFd, Errno> {
        use inotify::{CreateFlags, WatchFlags};
        let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let events = WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        inotify::add_watch(&watch, folder, events)?;
        Ok(watch)
    }

    fn is_at_path(&self, inode: &OwnedFd) -> bool {
        match (rustix::fs::fstat(inode), rustix::fs::lstat(&self.path)) {
            (Ok(ours), Ok(there)) => same_file(&ours, &there),
            _ => false,
        }
    }

    /// Puts a fresh FIFO with the same owner and permissions in the place of `inode`.
    fn exchange(&self, inode: &OwnedFd) -> io::Result<()> {
        let old = rustix::fs::fstat(inode)?;
        // Short: the FIFO's own name may be as long as names can be.
        let fresh = self.path.with_file_name(format!(".mb-encode.{}.{}", std::process::id(), old.st_ino));
        // Left by a process with our id that was killed right here.
        let _ = rustix::fs::unlink(&fresh);
        make(&fresh, old.st_mode & 0o7777)?;
        // Only root may give files away; for everybody else the owner is right already, and the group may differ.
        let _ = rustix::fs::chown(&fresh, Some(Uid::from_raw(old.st_uid)), Some(Gid::from_raw(old.st_gid)));
        let exchanged = self.put_in_place(&fresh, &old);
        let _ = rustix::fs::unlink(&fresh);
        exchanged
    }

    fn put_in_place(&self, fresh: &Path, old: &Stat) -> io::Result<()> {
        let swap = || rustix::fs::renameat_with(CWD, fresh, CWD, &self.path, RenameFlags::EXCHANGE);
        match swap() {
            Ok(()) => {
                // Something else may have taken the path since the reader opened it; then it goes back untouched.
                if !rustix::fs::lstat(fresh).is_ok_and(|there| same_file(old, &there)) {
                    swap()?;
                    return Err(io::Error::other("something else has taken its place"));
                }
                Ok(())
            }
            // File systems without the exchange, NFS for one.
            Err(Errno::INVAL | Errno::NOSYS)
                if rustix::fs::lstat(&self.path).is_ok_and(|there| same_file(old, &there)) =>
            {
                Ok(rustix::fs::rename(fresh, &self.path)?)
            }
            Err(errno) => Err(errno.into()),
        }
    }

    pub fn failed(&self, errno: Errno) -> Error {
        Error::machine("fifo-unwritable", format!("cannot use the FIFO {}", self.path.display()), String::new())
            .caused_by(errno)
    }
}

/// The path with symbolic links followed, whether or not its last part exists.
fn resolve(path: &Path) -> Result<PathBuf, Error> {
    let shown = path.display();
    match std::fs::canonicalize(path) {
        Ok(path) => return Ok(path),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::input(
                "fifo-folder",
                format!("cannot use {shown} as a FIFO"),
                "choose a path in a folder that you may enter: mb-encode --fifo temp/streams/demo.h264",
            )
            .caused_by(error));
        }
        Err(_) => {}
    }
    if path.is_symlink() {
        return Err(Error::input(
            "fifo-broken-link",
            format!("{shown} is a symbolic link to nothing"),
            format!("remove it, or make what it points to: rm {shown}"),
        ));
    }
    let (Some(name), Some(folder)) = (path.file_name(), path.parent()) else {
        return Err(Error::input(
            "no-file-name",
            format!("{shown} names no file"),
            "write: mb-encode --fifo temp/streams/demo.h264",
        ));
    };
    // Known before any folder is made for it.
    if name.len() > 255 {
        return Err(Error::input(
            "fifo-name-too-long",
            format!("cannot make the FIFO {shown}: its name is too long, more than 255 bytes"),
            "choose a shorter name: mb-encode --fifo temp/streams/demo.h264",
        ));
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let folder = match std::fs::canonicalize(folder) {
        Ok(folder) => folder,
        Err(_) => std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()),
    };
    Ok(folder.join(name))
}

/// Two writers would mix their streams. An abstract socket is a lock that leaves no file and dies with its owner.
fn claim(path: &Path) -> Result<UnixListener, Error> {
    use std::os::unix::ffi::OsStrExt;
    const CRC: crc::Crc<u64> = crc::Crc::<u64>::new(&crc::CRC_64_XZ);
    let bytes = path.as_os_str().as_bytes();
    // A socket's name holds 107 bytes, a path 4095.
    let tail = &bytes[bytes.len().saturating_sub(60)..];
    let mut name = format!("mb-encode fifo {:016x} ", CRC.checksum(bytes)).into_bytes();
    name.extend_from_slice(tail);
    let taken = SocketAddr::from_abstract_name(name).and_then(|address| UnixListener::bind_addr(&address));
    taken.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => Error::input(
            "fifo-taken",
            format!("another mb-encode serves the FIFO {}", path.display()),
            "choose another path, or stop the other one",
        ),
        _ => Error::machine("too-many-files", "cannot make a socket", String::new()).caused_by(error),
    })
}

/// Makes a FIFO at `path` if nothing is there, with the folders above it, without serving it.
pub fn make_missing(path: &Path, mode: u32) -> Result<(), Error> {
    let path = resolve(path)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| not_made(&path, error))?;
    }
    match make(&path, mode) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => match rustix::fs::lstat(&path) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Fifo => Ok(()),
            Ok(stat) => Err(refuse(&path, FileType::from_raw_mode(stat.st_mode))),
            Err(errno) => Err(not_made(&path, errno.into())),
        },
        Err(errno) => Err(not_made(&path, errno.into())),
    }
}

fn make(path: &Path, mode: u32) -> Result<(), Errno> {
    let mode = Mode::from_raw_mode(mode);
    rustix::fs::mknodat(CWD, path, FileType::Fifo, mode, 0)?;
    // The process's umask took bits away.
    rustix::fs::chmodat(CWD, path, mode, AtFlags::empty())
}

fn not_made(path: &Path, error: io::Error) -> Error {
    Error::input(
        "fifo-folder",
        format!("cannot make the FIFO {}", path.display()),
        "choose a folder that you may write to: mb-encode --fifo temp/streams/demo.h264",
    )
    .caused_by(error)
}

fn same_file(a: &Stat, b: &Stat) -> bool {
    (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
}

fn refuse(path: &Path, file_type: FileType) -> Error {
    let what = match file_type {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a folder",
        FileType::Symlink => "a symbolic link",
        FileType::Socket => "a socket",
        _ => "a device",
    };
    let shown = path.display();
    Error::input(
        "fifo-not-a-fifo",
        format!("{shown} is {what}, not a FIFO; it was left as it is"),
        "choose another path; a file is written with mb-encode --out clip.h264",
    )
}
