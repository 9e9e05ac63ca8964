//! Signals become requests: the first SIGTERM or SIGINT asks for a stop, a second one ends the process, and so does a
//! stop that is not obeyed. SIGUSR1 asks for an IDR picture.
//!
//! Nothing is lost: all threads keep these signals back, and the kernel holds what comes until the one thread reads it that
//! waits for it. So what comes while the process becomes another program is still there for that; see [`hold`]. A driver may
//! have threads of its own mind: what one of them takes reaches a handler, which hands it on.

use super::Control;
use crate::error::Error;
use crate::os::event::Event;
use crate::os::{poll, process, replace, threads};
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd as _, FromRawFd as _, OwnedFd};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::low_level::register;
use std::io;
use std::os::fd::{AsRawFd as _, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The signals that mean something here.
const SIGNALS: [i32; 4] = [SIGINT, SIGTERM, SIGUSR1, SIGXFSZ];

/// A parent that ends may be announced once for each of its threads, all within this: that is one request. While it has
/// threads left it still is the parent, so nothing but the time tells these signals from a second request.
const OF_ONE_END: Duration = Duration::from_millis(200);

/// Signals that a handler has taken, a bit each.
static CAUGHT: AtomicU64 = AtomicU64::new(0);
/// The descriptor that a handler makes readable.
static CATCHER: AtomicI32 = AtomicI32::new(-1);

/// Held from where a signal is read until it has become a request.
static TURN: Mutex<()> = Mutex::new(());

/// Has the signals that come from now on wait, and those that have been read be requests. As long as what this returns is
/// there no signal is read.
pub fn hold() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts to listen, on a thread that sleeps until a signal comes. Call it first of all, on the only thread there is: those
/// that it starts keep the signals back as well.
///
/// A process that is still there `grace` after it was asked to stop is stuck in a driver: `overdue` is called, to say
/// so, and it ends without the driver's own clean-up, which would hang as well.
///
/// # Errors
/// No thread or descriptor is left.
pub fn start(control: &Arc<Control>, grace: Duration, overdue: fn()) -> Result<(), Error> {
    let failed = |error| Error::machine("no-signals", "cannot listen for signals", "").caused_by(error);
    replace::note_tie();
    let signals = keep_back().map_err(failed)?;
    let caught = Event::new(false)?;
    catch(caught.as_fd().as_raw_fd()).map_err(failed)?;
    let control = Arc::clone(control);
    let listen = move || {
        let mut asked = None;
        loop {
            poll::wait(&mut [PollFd::new(&signals, PollFlags::IN), PollFd::new(&caught, PollFlags::IN)], None);
            let _turn = hold();
            caught.lower();
            match next(&signals).or_else(next_caught) {
                // Somebody else holds them by now, or it was SIGXFSZ: the write fails, and says what it failed at.
                None | Some(SIGXFSZ) => {}
                Some(SIGUSR1) => control.request_idr(),
                Some(SIGTERM) if asked.is_some_and(|at: Instant| at.elapsed() < OF_ONE_END) => {}
                Some(signal) if control.stop_requested() => end(signal),
                Some(signal) => {
                    control.request_stop();
                    asked = Some(Instant::now());
                    let end_it = move || {
                        std::thread::sleep(grace);
                        overdue();
                        end(signal);
                    };
                    // Where no thread can be made, a second signal still ends it.
                    let _ = threads::small("overdue").spawn(end_it);
                }
            }
        }
    };
    threads::small("signals").spawn(listen).map(drop).map_err(failed)
}

/// Ends the process as the signal would have.
fn end(signal: i32) {
    process::leave(128 + signal);
}

/// Has this thread, and those that it starts, keep the signals back. Returns where they can be read.
fn keep_back() -> io::Result<OwnedFd> {
    // SAFETY: a signal set is plain data, which `sigemptyset` initialises before anything reads it; the others take
    // pointers to live sets, and numbers of signals that exist. The descriptor is new, and nobody else's.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in SIGNALS {
            libc::sigaddset(&mut set, signal);
        }
        // First, so that none is lost in between.
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        match libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd)),
        }
    }
}

/// Has signals that some thread does not keep back be noted, and `catcher` be readable then.
fn catch(catcher: RawFd) -> io::Result<()> {
    static ONE: u64 = 1;
    let note = |signal: i32| {
        CAUGHT.fetch_or(1 << signal, Ordering::Relaxed);
        // SAFETY: of all that a handler may call; the descriptor stays open to the end of the process, and what a write
        // leaves in `errno` is put back.
        unsafe {
            let errno = *libc::__errno_location();
            libc::write(CATCHER.load(Ordering::Relaxed), (&raw const ONE).cast(), size_of_val(&ONE));
            *libc::__errno_location() = errno;
        }
    };
    CATCHER.store(catcher, Ordering::Relaxed);
    for signal in SIGNALS {
        // SAFETY: what it does makes no call but those that a handler may.
        unsafe { register(signal, move || note(signal)) }?;
    }
    Ok(())
}

/// The number of the next signal that the handler has taken.
fn next_caught() -> Option<i32> {
    let caught = CAUGHT.load(Ordering::Relaxed);
    let signal = SIGNALS.into_iter().find(|signal| caught >> signal & 1 == 1)?;
    CAUGHT.fetch_and(!(1 << signal), Ordering::Relaxed);
    Some(signal)
}

/// The number of the next signal, if one is there.
fn next(signals: &OwnedFd) -> Option<i32> {
    // `signalfd_siginfo`, which begins with the number.
    let mut info = [0; size_of::<libc::signalfd_siginfo>()];
    rustix::io::read(signals, &mut info).ok()?;
    info.first_chunk().map(|number| i32::from_ne_bytes(*number))
}
