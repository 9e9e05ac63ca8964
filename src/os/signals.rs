//! Signals become requests. The first SIGTERM or SIGINT asks the stream to stop, a second one ends the process.
//! A FIFO worker passes SIGUSR1 on to the process that encodes.

use crate::{Control, Error};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
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

    /// Passes SIGUSR1 on. A process that does not listen for it yet would be ended by it, and needs none: its stream
    /// begins with an IDR.
    fn ask_for_idr(&self) {
        let child = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pid) = child.filter(|&pid| listens(pid)) {
            let _ = kill_process(pid, Signal::USR1);
        }
    }
}

/// Whether the process has a handler for SIGUSR1, by its `SigCgt` mask: see proc_pid_status(5).
fn listens(pid: Pid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (SIGUSR1 - 1) & 1 == 1
}

/// Starts to listen. The thread sleeps in a read until a signal comes.
pub fn start(control: &Arc<Control>, child: &Child) -> Result<(), Error> {
    let failed = |error| Error::machine("cannot listen for signals", "").caused_by(error);
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGUSR1, SIGXFSZ]).map_err(failed)?;
    let (control, child) = (Arc::clone(control), child.clone());
    let listen = move || {
        for signal in signals.forever() {
            match signal {
                // Caught, so that the write fails and says what it failed at.
                SIGXFSZ => {}
                SIGUSR1 => {
                    control.request_idr();
                    child.ask_for_idr();
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
