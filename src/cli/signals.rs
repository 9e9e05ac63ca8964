//! Signals become requests. The first SIGTERM or SIGINT asks the stream to stop, a second one ends the process.

use mb_encode::{Control, Error};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use std::sync::Arc;

/// Starts to listen. The thread sleeps in a read until a signal comes.
pub fn start(control: &Arc<Control>) -> Result<(), Error> {
    let failed = |error| Error::machine("cannot listen for signals", "").caused_by(error);
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGUSR1]).map_err(failed)?;
    let control = Arc::clone(control);
    let listen = move || {
        for signal in signals.forever() {
            match signal {
                SIGUSR1 => control.request_idr(),
                signal if control.stop_requested() => signal_hook::low_level::exit(128 + signal),
                _ => control.request_stop(),
            }
        }
    };
    let thread = std::thread::Builder::new().name("signals".to_owned()).stack_size(64 * 1024);
    thread.spawn(listen).map_err(failed)?;
    Ok(())
}
