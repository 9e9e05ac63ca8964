//! What an access unit is as bytes, and when they are written.
//!
//! ```text
//! AccessUnit -> AnnexB            -> bytes    as go2rtc takes a raw stream
//! AccessUnit -> Muxer             -> bytes    MPEG-TS, written here
//! AccessUnit -> Ffmpeg            -> bytes    MPEG-TS, written by a child
//! ```
//!
//! A format never writes to the reader: the sink does, which sees whether there is one.

mod annexb;
mod ffmpeg;
mod follower;
mod mpegts;
mod steadier;
mod transport;

pub use annexb::{AnnexB, byte_stream};

use crate::codec::{AccessUnit, room_for};
use crate::control::Control;
use crate::error::Error;
use crate::settings::{FrameRate, MpegTs, Settings};
use crate::sink::Written;
use ffmpeg::Ffmpeg;
pub use mpegts::Muxer;
use rustix::fd::BorrowedFd;
use std::ops::ControlFlow;
use std::time::Duration;
pub use transport::Transport;

/// Where the times of a transport stream begin.
///
/// A stream that somebody takes as it comes begins at the time since the start of the machine. One that follows it, made by
/// another process, then begins later than it has ended: go2rtc passes times on as they are, and a browser that has seen a
/// later one may wait until it comes again.
#[derive(Clone, Copy, Debug)]
pub enum Begin {
    At(Duration),
    /// Behind what another process wrote.
    Behind(Transport),
}

/// Turns access units into bytes, one after the other. Made once a stream.
#[derive(Debug)]
pub enum Format {
    /// A raw stream.
    AnnexB(AnnexB),
    /// MPEG-TS from this process.
    MpegTs(Muxer),
    /// MPEG-TS from an ffmpeg child.
    Ffmpeg(Ffmpeg),
}

impl Format {
    /// The format that `settings` ask for. `steady` is for a stream that somebody takes as it comes, and whose pictures are
    /// due on a grid. One that goes on behind what another process wrote is written here, whoever began it. ffmpeg takes
    /// as long to start as EGL does: open this first.
    ///
    /// # Errors
    /// ffmpeg is not installed.
    pub fn open(settings: &Settings, steady: bool, begin: Begin) -> Result<Self, Error> {
        let mut format = match (settings.mpegts, begin) {
            (Some(_), Begin::Behind(transport)) => {
                Self::MpegTs(Muxer::resuming(settings.frame_rate.interval(), transport))
            }
            (Some(how), Begin::At(time)) => Self::mpegts(how, settings.frame_rate, time)?,
            (None, _) => Self::AnnexB(AnnexB::new((steady && settings.paced).then_some(settings.frame_rate))),
        };
        // So that no picture has to make some.
        format.reserve(room_for(settings.size));
        Ok(format)
    }

    fn reserve(&mut self, bytes: usize) {
        match self {
            Self::AnnexB(annex_b) => annex_b.reserve(bytes),
            Self::MpegTs(muxer) => muxer.reserve(bytes),
            // Its buffers grow with what goes through its pipes.
            Self::Ffmpeg(_) => {}
        }
    }

    /// MPEG-TS of one kind, for pictures at one rate. Its times begin at `begin`.
    ///
    /// # Errors
    /// ffmpeg is not installed.
    pub fn mpegts(how: MpegTs, frame_rate: FrameRate, begin: Duration) -> Result<Self, Error> {
        Ok(match how {
            MpegTs::Ffmpeg => Self::Ffmpeg(Ffmpeg::start(frame_rate, begin)?),
            MpegTs::Native => Self::stamped(frame_rate.interval(), begin),
        })
    }

    /// MPEG-TS from this process. From a picture's time to when it is shown it takes `lead`. Its times begin at `begin`.
    pub fn stamped(lead: Duration, begin: Duration) -> Self {
        Self::MpegTs(Muxer::new(lead, begin))
    }

    /// Has this process go on where ffmpeg cannot. Returns whether it was ffmpeg that wrote so far. From when a picture is
    /// decoded to when it is shown it takes `lead`.
    pub fn stamp_natively(&mut self, lead: Duration) -> bool {
        let Self::Ffmpeg(ffmpeg) = self else { return false };
        *self = Self::MpegTs(Muxer::continuing(lead, ffmpeg.written()));
        true
    }

    /// Where it has come to behind the picture that was due at `pts`, which is written; `None` where there is nothing to
    /// know.
    pub fn transport(&self, pts: Duration) -> Option<Transport> {
        match self {
            Self::AnnexB(_) => None,
            Self::MpegTs(muxer) => Some(muxer.transport()),
            Self::Ffmpeg(ffmpeg) => Some(ffmpeg.transport(pts)),
        }
    }

    /// When to write the picture that was due at `pts` and is ready `now`, both as time since the start of the stream.
    /// MPEG-TS says itself when a picture is shown, so it is written at once.
    pub fn release_at(&mut self, pts: Duration, now: Duration) -> Duration {
        match self {
            Self::AnnexB(annex_b) => annex_b.release_at(pts, now),
            Self::MpegTs(_) | Self::Ffmpeg(_) => now,
        }
    }

    /// The bytes of one picture, all of them. Breaks where `reader` left or a stop was requested before they were to be
    /// had.
    ///
    /// # Errors
    /// ffmpeg ended, or does not answer.
    pub fn lay_out(
        &mut self,
        unit: &AccessUnit,
        reader: Option<BorrowedFd<'_>>,
        control: &Control,
    ) -> Result<ControlFlow<Written, &[u8]>, Error> {
        match self {
            Self::AnnexB(annex_b) => Ok(ControlFlow::Continue(annex_b.lay_out(unit))),
            Self::MpegTs(muxer) => Ok(ControlFlow::Continue(muxer.write(unit))),
            Self::Ffmpeg(ffmpeg) => ffmpeg.wrap(unit, reader, control),
        }
    }
}
