//! What a running stream can be asked from outside, without stopping it.

use super::checkpoint::{Checkpoint, Course};
use crate::encoder::{Encoder, Missed};
use crate::pulse::Pulse;
use crate::sink::{Meter, Reading};
use crate::stats::{Chosen, Fallback, Stats};
#[cfg(feature = "cli")]
use crate::{events::Event, os::link::Link};
#[cfg(feature = "cli")]
use std::sync::OnceLock;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Written by the threads of one stream, and read by whoever watches it.
#[derive(Debug, Default)]
pub struct Vitals {
    /// Counts since the start.
    pub stats: Stats,
    /// Which stage each thread is in, and since when.
    pub pulse: Pulse,
    /// How far it has come.
    pub(crate) course: Course,
    chosen: Mutex<Option<Chosen>>,
    meter: Mutex<Weak<Meter>>,
    #[cfg(feature = "cli")]
    told: OnceLock<Arc<Link>>,
}

impl Vitals {
    /// Of a stream that another process can go on with, and that goes on itself from a checkpoint.
    #[cfg(feature = "cli")]
    pub(crate) fn of_one_that_may_move(from: Option<Checkpoint>) -> Self {
        let stats = Stats::default();
        from.iter().for_each(|from| stats.go_on(&from.counts));
        Self { stats, course: Course::that_may_move(from), ..Self::default() }
    }

    /// What draws and encodes now; `None` until everything is open. It may change after the loss of a GPU.
    pub fn chosen(&self) -> Option<Chosen> {
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has whoever is at the other end of `link` told what draws and encodes, now and whenever it changes.
    #[cfg(feature = "cli")]
    pub(crate) fn tell(&self, link: Arc<Link>) {
        // There is one who is told.
        let _ = self.told.set(link);
        self.chosen().iter().for_each(|chosen| self.have_told(chosen));
    }

    fn have_told(&self, chosen: &Chosen) {
        #[cfg(feature = "cli")]
        self.told.get().into_iter().for_each(|link| link.send(&Event::Chosen(chosen.clone())));
        #[cfg(not(feature = "cli"))]
        let _ = chosen;
    }

    /// What the reader has taken, and what is there for it; `None` where the output is no pipe, or the stream is over.
    pub(crate) fn reading(&self) -> Option<Reading> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner).upgrade().map(|meter| meter.read())
    }

    /// Has the reader's pipe measured for as long as the stream keeps the meter, which holds the pipe open.
    pub(super) fn measure(&self, meter: &Arc<Meter>) {
        *self.meter.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(meter);
    }

    /// NVENC did not come back, and this is why.
    pub(super) fn fell_back(&self, why: Fallback) {
        self.course.fell_back(why.clone());
        let Some(chosen) = self.chosen() else { return };
        self.set(Chosen { fallback: Some(why), ..chosen });
    }

    /// `missed` is what is done without that would have been taken.
    pub(super) fn choose(&self, renderer: String, encoder: &Encoder, missed: Option<&Missed>) {
        let (gpu, device, through_host) = match encoder {
            Encoder::Nvenc(nvenc) => (Some(nvenc.gpu().to_owned()), Some(nvenc.device()), nvenc.reads_back()),
            Encoder::Openh264(_) => (None, None, false),
        };
        let fallback = match missed {
            Some(Missed::Nvenc(why)) => Some(Fallback::because_of(why)),
            Some(Missed::Sharing(_)) | None => None,
        };
        self.set(Chosen { encoder: encoder.name().to_owned(), gpu, device, renderer, through_host, fallback });
    }

    fn set(&self, chosen: Chosen) {
        self.have_told(&chosen);
        *self.chosen.lock().unwrap_or_else(PoisonError::into_inner) = Some(chosen);
    }
}
