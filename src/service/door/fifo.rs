//! A FIFO that is served one reader at a time.
//!
//! Waiting costs nothing: it is a blocking `open`, which the kernel ends when a reader opens the other end.
//!
//! Bytes in a pipe outlive a reader for as long as the writer has it open, so a reader that comes in the instant the
//! last one leaves would find the end of the last one's stream. Therefore each reader gets a pipe of its own: as soon
//! as one has connected, a fresh FIFO takes the place of its FIFO in the folder, in one atomic exchange. Who opens the
//! path from then on has another pipe, which has never held a byte, and waits until its turn comes.
//!
//! Between a reader's open and the exchange another one can open the same pipe, and readers that waited before the
//! worker was there have done so. Nothing tells their pipes apart then, so they get the end of file, all of them, before
//! a byte was written, and can come again.

use super::FifoPlace;
use super::ground;
use super::place::{Accepted, Place};
use crate::control::Control;
use crate::error::Error;
use crate::os::holders::FileId;
use crate::os::openings::Openings;
use crate::os::{poll, threads};
use crate::settings::FifoMode;
use rustix::event::{EventfdFlags, PollFlags, eventfd};
use rustix::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, Stat};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Readers that may wait, each with an open pipe. Further ones wait in their `open`.
const MOST_WAITING: usize = 32;
/// How long it is waited for descriptors, memory or processes that there is a shortage of.
const SHORTAGE: Duration = Duration::from_secs(1);

/// A FIFO in a folder, served by this process alone.
///
/// A thread of its own accepts readers as they come, so that each gets a pipe of its own at once; they are served in
/// their order. Dropping it ends the thread, and gives whoever still waits the end of file.
#[derive(Debug)]
pub struct Fifo {
    path: PathBuf,
    accepted: Receiver<Result<Reader, Error>>,
    /// Readable once for each pipe in `accepted`.
    arrivals: Arc<OwnedFd>,
    /// Readable after each reader that was served.
    turns: Arc<OwnedFd>,
    over: Arc<Control>,
    acceptor: Option<JoinHandle<()>>,
}

/// One that has opened the FIFO.
#[derive(Debug)]
pub struct Reader {
    /// The writing end of its pipe, which nobody has read from or written to and which child processes do not inherit.
    pub pipe: OwnedFd,
    /// Who else has it.
    pub company: Company,
}

/// Who else reads a reader's pipe. Once the FIFO was exchanged, only one that had found the old one before can come.
#[derive(Debug)]
pub struct Company {
    openings: Option<Openings>,
    pipe: Option<FileId>,
}

impl Company {
    /// Their pipe, if there is one and the system names it.
    pub fn pipe(&self) -> Option<FileId> {
        self.pipe
    }

    /// Readable when somebody has opened the pipe; `None` where that is not looked at, or the kernel does not tell.
    pub fn openings(&self) -> Option<&Openings> {
        self.openings.as_ref()
    }

    /// Whether there is any, as far as is known by now.
    pub fn has_come(&self) -> bool {
        self.openings.as_ref().is_some_and(|openings| openings.count() > 1)
    }
}

impl Fifo {
    /// Takes charge of the FIFO, and makes it if nothing is there, with the folders above it. `reopened` is called, on
    /// another thread, when it was removed or replaced.
    ///
    /// # Errors
    /// Something else is at its path, another process serves it, or it cannot be made.
    pub fn serve(at: &FifoPlace, reopened: impl Fn() + Send + 'static) -> Result<Self, Error> {
        let place = Place::claim(at)?;
        let path = place.path().to_owned();
        let arrivals = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK | EventfdFlags::SEMAPHORE);
        let arrivals = Arc::new(arrivals.map_err(|errno| place.failed(errno))?);
        let turns = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let turns = Arc::new(turns.map_err(|errno| place.failed(errno))?);
        let over = Arc::new(Control::new()?);
        let (sender, accepted) = sync_channel(MOST_WAITING);
        let acceptor = Acceptor {
            place,
            accepted: sender,
            arrivals: Arc::clone(&arrivals),
            turns: Arc::clone(&turns),
            over: Arc::clone(&over),
            warned: false,
        };
        let acceptor =
            threads::small("fifo-accept").spawn(move || acceptor.run(&reopened)).map_err(threads::cannot_start)?;
        Ok(Self { path, accepted, arrivals, turns, over, acceptor: Some(acceptor) })
    }

    /// Makes a FIFO at `path` if nothing is there, with the folders above it, without serving it.
    ///
    /// # Errors
    /// Something else is at `path`, or it cannot be made.
    pub fn make(path: &Path, mode: FifoMode) -> Result<(), Error> {
        ground::make_missing(path, mode.bits())
    }

    /// Ends the wait of readers at `path` that nobody serves: they get the end of file. Returns whether there were any.
    pub fn turn_away(path: &Path) -> bool {
        let as_a_name = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(named) = rustix::fs::open(path, as_a_name, Mode::empty()) else { return false };
        let is_fifo = |stat: Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo;
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = || rustix::fs::open(format!("/proc/self/fd/{}", named.as_raw_fd()), flags, Mode::empty());
        // It fails where nobody waits.
        rustix::fs::fstat(&named).is_ok_and(is_fifo) && open().is_ok()
    }

    /// Sends the end of file to readers that came and were not served yet.
    ///
    /// # Errors
    /// Nobody can come any more: see [`Fifo::take_reader`].
    pub fn turn_all_away(&mut self) -> Result<(), Error> {
        while rustix::io::read(&*self.arrivals, &mut [0u8; 8]).is_ok() {
            if let Ok(Err(error)) = self.accepted.recv() {
                return Err(error);
            }
            let _ = rustix::io::write(&*self.turns, &1u64.to_ne_bytes());
        }
        Ok(())
    }

    /// Readable when somebody has come.
    pub fn arrivals(&self) -> BorrowedFd<'_> {
        self.arrivals.as_fd()
    }

    /// Lets the next reader come to its turn. The pipe of the one before must be closed by now.
    pub fn let_next_in(&self) {
        let _ = rustix::io::write(&*self.turns, &1u64.to_ne_bytes());
    }

    /// The next reader, if one has come and is still there.
    ///
    /// # Errors
    /// The FIFO was removed and cannot be made again, and nobody can come any more.
    pub fn take_reader(&mut self) -> Result<Option<Reader>, Error> {
        while rustix::io::read(&*self.arrivals, &mut [0u8; 8]).is_ok() {
            match self.accepted.recv() {
                // It may have given up while it waited for its turn.
                Ok(Ok(reader)) if has_reader(&reader.pipe) => return Ok(Some(reader)),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(error),
                // It ends with this.
                Err(_) => return Ok(None),
            }
        }
        Ok(None)
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        self.over.request_stop();
        // The acceptor may be waiting for room.
        while self.accepted.try_recv().is_ok() {}
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        // Readers at the path would wait for ever now.
        Self::turn_away(&self.path);
    }
}

fn has_reader(pipe: &OwnedFd) -> bool {
    !poll::look(pipe, PollFlags::empty()).contains(PollFlags::ERR)
}

/// The thread that takes readers as they come.
struct Acceptor {
    place: Place,
    accepted: SyncSender<Result<Reader, Error>>,
    arrivals: Arc<OwnedFd>,
    turns: Arc<OwnedFd>,
    over: Arc<Control>,
    /// Of pipes that have to be shared.
    warned: bool,
}

impl Acceptor {
    fn run(mut self, reopened: &dyn Fn()) {
        loop {
            let (reader, shared) = match self.place.accept(reopened, &self.over) {
                Ok(Some(Accepted { pipe, exchanged, openings })) => {
                    if let Err(error) = &exchanged {
                        self.warn(error);
                    }
                    {
                        let company = Company { openings, pipe: FileId::of(&pipe) };
                        (Ok(Reader { pipe, company }), exchanged.is_err())
                    }
                }
                Ok(None) => return,
                Err(error) if error.is_shortage() => {
                    tracing::warn!("cannot take a reader for now: {error}");
                    self.over.wait(None, Some(SHORTAGE));
                    continue;
                }
                Err(error) => (Err(error), false),
            };
            let last = reader.is_err();
            // Forget the turns so far.
            let _ = rustix::io::read(&*self.turns, &mut [0u8; 8]);
            if self.accepted.send(reader).is_err() {
                return;
            }
            let _ = rustix::io::write(&*self.arrivals, &1u64.to_ne_bytes());
            // The next reader would get the same pipe: not before this one was served.
            while shared && rustix::io::read(&*self.turns, &mut [0u8; 8]).is_err() {
                self.over.wait(Some((self.turns.as_fd(), PollFlags::IN)), None);
                if self.over.stop_requested() {
                    return;
                }
            }
            if last {
                return;
            }
        }
    }

    fn warn(&mut self, why: &std::io::Error) {
        if !std::mem::replace(&mut self.warned, true) {
            tracing::warn!(
                "a reader of {} can find the end of an earlier one's stream: no fresh FIFO for each: {why}",
                self.place.path().display()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    /// Each one's exchange wakes the watches of all the others in the folder.
    #[test]
    fn fifos_in_one_folder_lose_no_reader() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for name in 0..6 {
                let path = folder.path().join(format!("{name}.h264"));
                let at = FifoPlace { path: path.clone(), mode: FifoMode::default(), pipe_size: None };
                scope.spawn(move || {
                    let mut fifo = Fifo::serve(&at, || {}).unwrap();
                    let control = Arc::new(Control::new().unwrap());
                    for round in 0..50u8 {
                        let reader = {
                            let (path, control) = (path.clone(), Arc::clone(&control));
                            std::thread::spawn(move || {
                                let mut bytes = Vec::new();
                                std::fs::File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
                                if bytes.is_empty() {
                                    control.request_stop();
                                }
                                bytes
                            })
                        };
                        fifo.let_next_in();
                        let reader_pipe = loop {
                            assert!(!control.stop_requested(), "a reader was sent away");
                            if let Some(reader) = fifo.take_reader().unwrap() {
                                break reader;
                            }
                            control.wait(Some((fifo.arrivals(), PollFlags::IN)), None);
                        };
                        std::fs::File::from(reader_pipe.pipe).write_all(&[round]).unwrap();
                        assert_eq!(reader.join().unwrap(), [round]);
                    }
                });
            }
        });
    }
}
