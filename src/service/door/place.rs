//! Waiting for a FIFO's next reader, and making way for the one after it.

use super::FifoPlace;
use super::ground::Ground;
use super::leftovers;
use super::path::{FifoPath, unusable};
use crate::control::Control;
use crate::error::Error;
use crate::os::openings::Openings;
use crate::os::{poll, threads};
use crate::settings::PipeSize;
use rustix::event::{EventfdFlags, PollFlags, eventfd};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, inotify};
use rustix::io::Errno;
use std::io;
use std::path::Path;
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
    ground: Ground,
    mode: u32,
    pipe_size: Option<PipeSize>,
    /// Of somebody else who writes to its readers.
    warned: bool,
}

/// For so long somebody may still open what no longer lies at the path.
const AFTERWARDS: Duration = Duration::from_secs(5);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Somebody who removes a folder has removed what is in it and the folder itself within this.
const REMOVED_WITHIN: Duration = Duration::from_secs(1);
/// How often the path is looked at where the kernel tells of no change: a user has 128 such watches unless told otherwise.
const UNWATCHED: Duration = Duration::from_secs(2);
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
    /// Takes charge of the FIFO, and makes it if nothing is there, with the folders above it, or nothing at all.
    pub fn claim(at: &FifoPlace) -> Result<Self, Error> {
        let path = FifoPath::resolve(&at.path)?;
        let missing: Vec<_> =
            path.folder.ancestors().take_while(|folder| !folder.exists()).map(Path::to_owned).collect();
        let mode = at.mode.bits();
        let claimed = Ground::take(path).and_then(|ground| Ok((ground.inode(mode)?, ground)));
        let (inode, ground) = claimed.inspect_err(|_| {
            // The deepest first; one that is not there or not empty stays as it is.
            missing.iter().for_each(|folder| drop(std::fs::remove_dir(folder)));
        })?;
        leftovers::clear(ground.folder());
        // They may have been made for everybody by an earlier version, or by a person, whose choice that is.
        let others_write = rustix::fs::fstat(&inode).map_or(0, |stat| stat.st_mode & 0o022 & !mode);
        if others_write != 0 {
            let shown = ground.path.display();
            tracing::info!(
                "readers may write to each other's streams of {shown}, which was there before: chmod go-w {shown}"
            );
        }
        Ok(Self { gone: Mutex::default(), ground, mode, pipe_size: at.pipe_size, warned: false })
    }

    /// The FIFO's path, without links.
    pub fn path(&self) -> &Path {
        &self.ground.path
    }

    /// Waits for the next reader, and makes way for the one after it.
    pub fn accept(&mut self, reopened: &dyn Fn(), over: &Control) -> Result<Option<Accepted>, Error> {
        loop {
            let inode = self.inode()?;
            let Some(accepted) = self.open_for_reader(&inode, over)? else {
                if over.stop_requested() {
                    return Ok(None);
                }
                tracing::info!(fifo = %self.path().display(), "the FIFO was replaced or removed, waiting on it anew");
                reopened();
                continue;
            };
            // The FIFO may have another name as well, in another folder, which another worker serves.
            if flock(&accepted.pipe, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
                if !std::mem::replace(&mut self.warned, true) {
                    let shown = self.path().display();
                    tracing::warn!(
                        "another worker writes to the readers of {shown}, under another name perhaps: end one"
                    );
                }
                over.wait(None, Some(LOOK));
                continue;
            }
            if let Some(size) = self.pipe_size {
                if let Err(errno) = rustix::pipe::fcntl_setpipe_size(&accepted.pipe, size.bytes() as usize) {
                    tracing::warn!("cannot set the pipe size to {} bytes: {errno}", size.bytes());
                }
            }
            return Ok(Some(accepted));
        }
    }

    /// What lies at the path, made anew where it was removed, with its folder. Who removes that may still be at it.
    fn inode(&mut self) -> Result<OwnedFd, Error> {
        let until = Instant::now() + REMOVED_WITHIN;
        loop {
            let inode = self.ground.keep().and_then(|()| self.ground.inode(self.mode));
            if inode.is_ok() || self.ground.is_kept() || Instant::now() >= until {
                return inode;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Blocks until a reader opens the FIFO. `None` when a stop was requested or the FIFO is no longer at its path.
    fn open_for_reader(&self, inode: &OwnedFd, control: &Control) -> Result<Option<Accepted>, Error> {
        let done = eventfd(0, EventfdFlags::CLOEXEC).map_err(|errno| self.failed(errno))?;
        let folder = self.watch_folder().ok();
        // It may have gone before anybody watched.
        if !self.ground.is_at_path(inode) {
            return Ok(None);
        }
        let prepared = self.ground.prepare(inode);
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
            let exchanged = if control.stop_requested() { Ok(()) } else { self.ground.exchange(inode, prepared) };
            let woken = watch.join().unwrap_or(true);
            if woken || exchanged.is_ok() {
                self.leave(inode);
            }
            match opened {
                Ok(_) if woken || control.stop_requested() => Ok(None),
                Ok(pipe) => Ok(Some(Accepted { pipe, exchanged, openings: openings.ok() })),
                Err(errno) => Err(Error::machine(
                    "fifo-unwritable",
                    format!("cannot write to the FIFO {}", self.path().display()),
                    format!("allow it: chmod ug+rw {}", self.path().display()),
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
        Openings::are_ours_on_this_thread();
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
            let again = again.or(folder.is_none().then_some(UNWATCHED));
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
            match folder {
                // What changed is read off the path itself; the events only say when to look.
                Some(folder) if changed => drop(rustix::io::read(folder, &mut [0u8; 4096])),
                Some(_) => {}
                None => changed = true,
            }
            // It may have been opened, and exchanged by this very process, since the poll.
            if stop || changed && !self.ground.is_at_path(inode) && !poll::is_readable(done) {
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
        let events = WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        inotify::add_watch(&watch, self.ground.folder_path(), events)?;
        Ok(watch)
    }

    pub fn failed(&self, errno: Errno) -> Error {
        unusable(self.path(), errno)
    }
}
