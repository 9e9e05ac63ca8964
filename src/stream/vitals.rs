//! What a running stream can be asked from outside, without stopping it.

use crate::encoder::Encoder;
use crate::pulse::Pulse;
use crate::sink::{Meter, Reading};
use crate::stats::{Chosen, Stats};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Written by the threads of one stream, and read by whoever watches it.
#[derive(Debug, Default)]
pub struct Vitals {
    /// Counts since the start.
    pub stats: Stats,
    /// Which stage each thread is in, and since when.
    pub pulse: Pulse,
    chosen: Mutex<Option<Chosen>>,
    meter: Mutex<Weak<Meter>>,
}

impl Vitals {
    /// What draws and encodes now; `None` until everything is open. It may change after the loss of a GPU.
    pub fn chosen(&self) -> Option<Chosen> {
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the reader has taken, and what is there for it; `None` where the output is no pipe, or the stream is over.
    pub(crate) fn reading(&self) -> Option<Reading> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner).upgrade().map(|meter| meter.read())
    }

    /// Has the reader's pipe measured for as long as the stream keeps the meter, which holds the pipe open.
    pub(super) fn measure(&self, meter: &Arc<Meter>) {
        *self.meter.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(meter);
    }

    pub(super) fn choose(&self, renderer: String, encoder: &Encoder) {
        let gpu = match encoder {
            Encoder::Nvenc(nvenc) => Some(nvenc.gpu().to_owned()),
            Encoder::Openh264(_) => None,
        };
        let chosen = Chosen { encoder: encoder.name().to_owned(), gpu, renderer };
        *self.chosen.lock().unwrap_or_else(PoisonError::into_inner) = Some(chosen);
    }
}
