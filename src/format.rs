//! A writer with a wrapper in front of it.

pub mod ffmpeg;
pub mod muxer;

use crate::codec::AccessUnit;
use crate::control::Control;
use crate::error::Error;
use crate::settings::{self, FrameRate, Settings};
use crate::sink::{Delivery, Readiness, Sink, Writer};
use ffmpeg::Ffmpeg;
use muxer::Muxer;
use rustix::fd::BorrowedFd;
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Wraps access units in MPEG-TS.
#[derive(Debug)]
pub enum Wrapper {
    /// Through an ffmpeg child.
    Ffmpeg(Ffmpeg),
    /// In this process.
    Native(Muxer),
}

impl Wrapper {
    /// The wrapper that `settings` ask for, if they do. ffmpeg takes as long to start as EGL does: open this first.
    ///
    /// # Errors
    /// ffmpeg is not installed.
    pub fn open(settings: &Settings) -> Result<Option<Self>, Error> {
        settings.mpegts.map(|how| Self::new(how, settings.frame_rate)).transpose()
    }

    /// A wrapper of one kind for pictures at one rate.
    ///
    /// # Errors
    /// ffmpeg is not installed.
    pub fn new(how: settings::MpegTs, frame_rate: FrameRate) -> Result<Self, Error> {
        Ok(match how {
            settings::MpegTs::Ffmpeg => Self::Ffmpeg(Ffmpeg::start(frame_rate)?),
            settings::MpegTs::Native => Self::native(frame_rate.interval()),
        })
    }

    /// A wrapper in this process. From a picture's time to when it is shown it takes `lead`.
    pub fn native(lead: Duration) -> Self {
        Self::Native(Muxer::new(lead))
    }

    /// The transport stream packets of one picture, all of them. Breaks where `reader` left or a stop was requested
    /// before they were to be had.
    ///
    /// # Errors
    /// ffmpeg ended, or does not answer.
    pub fn wrap(
        &mut self,
        unit: &AccessUnit,
        reader: Option<BorrowedFd<'_>>,
        control: &Control,
    ) -> Result<ControlFlow<Delivery, &[u8]>, Error> {
        match self {
            Self::Ffmpeg(ffmpeg) => ffmpeg.wrap(unit, reader, control),
            Self::Native(muxer) => Ok(ControlFlow::Continue(muxer.write(unit))),
        }
    }
}

/// Writes a transport stream where `writer` writes. The reader is looked at there, behind the wrapper, which never
/// holds a picture.
#[derive(Debug)]
pub struct MpegTs {
    writer: Writer,
    wrapper: Mutex<Wrapper>,
}

impl MpegTs {
    /// `writer` itself, or with the wrapper in front if there is one.
    pub fn sink(writer: Writer, wrapper: Option<Wrapper>) -> Box<dyn Sink> {
        match wrapper {
            Some(wrapper) => Box::new(Self { writer, wrapper: Mutex::new(wrapper) }),
            None => Box::new(writer),
        }
    }
}

impl Sink for MpegTs {
    fn readiness(&self) -> Readiness {
        self.writer.readiness()
    }

    fn write(&self, unit: &AccessUnit, control: &Control) -> Result<Delivery, Error> {
        let mut wrapper = self.wrapper.lock().unwrap_or_else(PoisonError::into_inner);
        match wrapper.wrap(unit, self.writer.reader(), control)? {
            ControlFlow::Continue(packets) => self.writer.write_all(packets, control),
            ControlFlow::Break(delivery) => Ok(delivery),
        }
    }

    fn reader(&self) -> Option<BorrowedFd<'_>> {
        self.writer.reader()
    }
}
