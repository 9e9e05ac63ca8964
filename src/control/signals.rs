//! Signals become requests: the first SIGTERM or SIGINT asks for a stop, a second one ends the process, and so does a
//! stop that is not obeyed. SIGUSR1 asks for an IDR picture.
//!
//! Nothing is lost in between: while the handlers are put in place the signals are blocked, and the kernel keeps what
//! comes until they are all there.

use super::Control;
use crate::error::Error;
use crate::os::threads;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::iterator::Signals;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The signals that mean something here.
const SIGNALS: [i32; 4] = [SIGINT, SIGTERM, SIGUSR1, SIGXFSZ];

/// A parent that ends may be announced once for each of its threads, all within this: that is one request. While it has
/// threads left it still is the parent, so nothing but the time tells these signals from a second request.
const OF_ONE_END: Duration = Duration::from_millis(200);

/// Starts to listen, on a thread that sleeps until a signal comes. Call it first of all, on the only thread there is.
///
/// A process that is still there `grace` after it was asked to stop is stuck in a driver: `overdue` is called, to say
/// so, and it ends without the driver's own clean-up, which would hang as well.
///
/// # Errors
/// No thread or descriptor is left.
pub fn start(control: &Arc<Control>, grace: Duration, overdue: fn()) -> Result<(), Error> {
    let failed = |error| Error::machine("no-signals", "cannot listen for signals", "").caused_by(error);
    let blocked = Blocked::all();
    let mut signals = Signals::new(SIGNALS).map_err(failed)?;
    let control = Arc::clone(control);
    let inherited = Blocked { before: blocked.before };
    let listen = move || {
        // A thread to take them, whatever a driver does to the others.
        drop(inherited);
        let mut asked = None;
        for signal in signals.forever() {
            match signal {
                // Caught, so that the write fails and says what it failed at.
                SIGXFSZ => {}
                SIGUSR1 => control.request_idr(),
                SIGTERM if asked.is_some_and(|at: Instant| at.elapsed() < OF_ONE_END) => {}
                signal if control.stop_requested() => end(signal),
                signal => {
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
    threads::small("signals").spawn(listen).map_err(failed)?;
    drop(blocked);
    Ok(())
}

/// Ends the process as the signal would have.
fn end(signal: i32) {
    signal_hook::low_level::exit(128 + signal);
}

/// Signals that the kernel keeps back from this thread, and from those that it starts, until this is dropped.
struct Blocked {
    before: libc::sigset_t,
}

impl Blocked {
    fn all() -> Self {
        // SAFETY: a signal set is plain data, which `sigemptyset` initialises before anything reads it; the others take
        // pointers to live sets, and numbers of signals that exist.
        unsafe {
            let mut set = std::mem::zeroed();
            let mut before = std::mem::zeroed();
            libc::sigemptyset(&mut set);
            for signal in SIGNALS {
                libc::sigaddset(&mut set, signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, &set, &mut before);
            Self { before }
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: `before` was filled in by the call that blocked.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut()) };
    }
}
