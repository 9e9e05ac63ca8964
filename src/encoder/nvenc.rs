//! NVENC fed from GL through CUDA: no picture leaves the GPU.

use crate::codec::AccessUnit;
use crate::cuda::PitchedBuffer;
use crate::error::Error;
use crate::gl::{Gl, Nv12, Target};
use crate::gpu::{GlImages, open_cuda};
use crate::nvenc::{Config, Session};
use crate::settings::Settings;
use crate::stats::STAGE;
use std::fmt;
use std::time::Duration;
use tracing::trace_span;

/// The GPU's encoder, with everything between it and a GL target.
#[derive(Debug)]
pub struct Nvenc {
    // Dropped from the top: the session lets go of its buffer and its CUDA context, CUDA of the planes, and then they
    // go, while their GL context is still there.
    session: Session,
    images: GlImages<2>,
    nv12: Nv12,
    gpu: String,
}

/// NVENC failed on a picture, for this reason. It cannot be used any more; whatever it failed with, a new one may work.
#[derive(Debug)]
pub struct Lost(pub Error);

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Lost> for Error {
    fn from(Lost(error): Lost) -> Self {
        error
    }
}

impl Nvenc {
    /// Opens the encoder of the GPU that `gl` draws on.
    ///
    /// # Errors
    /// Some part of the way is missing; the message says which, and what to do.
    pub fn open(gl: &Gl, settings: &Settings) -> Result<Self, Error> {
        let size = settings.size;
        // A machine without the driver gets no further than this, in well under a millisecond.
        let context = open_cuda(gl)?;
        let mut session = Session::open(&context, size)?;
        let input = PitchedBuffer::new(&context, size.width() as usize, size.height() as usize * 3 / 2)?;
        let config = Config {
            size,
            frame_rate: settings.frame_rate,
            bitrate: settings.bitrate,
            gop_length: settings.gop_length(),
            preset: settings.preset,
            tuning: settings.tuning,
        };
        session.set_up(&config, input)?;
        let nv12 = Nv12::new(gl, size)?;
        let images = GlImages::register(&context, nv12.planes())?;
        let gpu = context.name();
        tracing::debug!(gpu, device = context.ordinal(), "encoding with NVENC");
        Ok(Self { session, images, nv12, gpu })
    }

    pub fn open_for_host(_: &Settings) -> Result<Self, Error> {
        Err(Error::machine("", "TODO", ""))
    }
    pub fn encode_host(&mut self, _: &super::HostPicture, _: bool, _: &mut AccessUnit) -> Result<(), Lost> {
        Err(Lost(Error::machine("", "TODO", "")))
    }

    /// The name of the GPU that it is on.
    pub fn gpu(&self) -> &str {
        &self.gpu
    }

    /// Encodes what `target` shows into `unit`, to be shown at `pts`: one picture in, one access unit out. The first
    /// picture is an IDR, and so is one with `force_idr`.
    ///
    /// # Errors
    /// [`Lost`], whatever failed.
    pub fn encode(
        &mut self,
        target: &Target,
        pts: Duration,
        force_idr: bool,
        unit: &mut AccessUnit,
    ) -> Result<(), Lost> {
        self.encode_here(target, pts, force_idr, unit).map_err(Lost)
    }

    fn encode_here(
        &mut self,
        target: &Target,
        pts: Duration,
        force_idr: bool,
        unit: &mut AccessUnit,
    ) -> Result<(), Error> {
        trace_span!(target: STAGE, "convert").in_scope(|| self.nv12.convert(target));
        let mapped = trace_span!(target: STAGE, "map").in_scope(|| self.images.map(self.nv12.planes()))?;
        trace_span!(target: STAGE, "copy").in_scope(|| mapped.copy_to(self.session.input()))?;
        trace_span!(target: STAGE, "unmap").in_scope(|| mapped.unmap())?;
        trace_span!(target: STAGE, "encode").in_scope(|| self.session.encode(pts, force_idr, unit))
    }
}
