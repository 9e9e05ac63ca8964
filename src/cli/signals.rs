//! Signals become requests. The first SIGTERM or SIGINT asks the stream to stop, a second one ends the process.
//! A FIFO worker passes SIGUSR1 on to the process that encodes.

use mb_encode::{Control, Error};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use std::sync::{Arc, Mutex, PoisonError};

/// The process that encodes for this one, if there is one.
#[derive(Clone, Debug, Default)]
pub struct Child(Arc<Mutex<Option<Pid>>>);

impl Child {
    /// `None` before it is waited for: its id may then belong to another process.
    pub fn set(&self, pid: Option<Pid>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = pid;
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // It may just have ended.
            let _ = kill_process(pid, signal);
        }
    }
}

/// Starts to listen. The thread sleeps in a read until a signal comes.
pub fn start(control: &Arc<Control>, child: &Child) -> Result<(), Error> {
    let failed = |error| Error::machine("cannot listen for signals", "").caused_by(error);
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGUSR1]).map_err(failed)?;
    let (control, child) = (Arc::clone(control), child.clone());
    let listen = move || {
        for signal in signals.forever() {
            match signal {
                SIGUSR1 => {
                    control.request_idr();
                    child.signal(Signal::USR1);
                }
                signal if control.stop_requested() => signal_hook::low_level::exit(128 + signal),
                _ => control.request_stop(),
            }
        }
    };
    let thread = std::thread::Builder::new().name("signals".to_owned()).stack_size(64 * 1024);
    thread.spawn(listen).map_err(failed)?;
    Ok(())
}
