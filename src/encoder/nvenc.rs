//! NVENC, fed from GL through CUDA, where no picture leaves the GPU, or from host memory by one upload, where there is no
//! GL, or none that CUDA can share with.

use super::HostPicture;
use crate::codec::AccessUnit;
use crate::cuda::CudaContext;
use crate::error::Error;
use crate::gl::{Gl, Nv12, Target};
use crate::gpu::{GlImages, cuda_contexts, open_cuda};
use crate::nvenc::{Config, Input, Session};
use crate::settings::{Settings, Size};
use crate::stats::STAGE;
use std::fmt;
use std::time::Duration;
use tracing::trace_span;

/// The GPU's encoder, with everything between it and its pictures. It belongs to the thread that opened it.
#[derive(Debug)]
pub struct Nvenc {
    // Dropped from the top: the session lets go of its buffer and its CUDA context, then what brings pictures there goes.
    session: Session,
    /// `None` where pictures come from host memory.
    drawn: Option<Drawn>,
    gpu: String,
}

/// What brings a picture from a GL target to CUDA.
#[derive(Debug)]
struct Drawn {
    // Dropped from the top: CUDA lets go of the planes, and then they go, while their GL context is still there.
    images: GlImages<2>,
    nv12: Nv12,
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
    /// Opens the encoder of the GPU that `gl` draws on, for pictures drawn there.
    ///
    /// # Errors
    /// Some part of the way is missing; the message says which, and what to do.
    pub fn open(gl: &Gl, settings: &Settings) -> Result<Self, Error> {
        // A machine without the driver gets no further than this, in well under a millisecond.
        let context = open_cuda(gl)?;
        let session = open_session(&context, settings, Input::nv12)?;
        let nv12 = Nv12::new(gl, settings.size)?;
        let images = GlImages::register(&context, nv12.planes())?;
        Ok(Self::on(&context, session, Some(Drawn { images, nv12 })))
    }

    /// Opens the encoder of the GPU that was asked for, as CUDA counts them, else of the first one that has an encoder: of
    /// several GPUs the first may have none. It takes pictures from host memory, and nothing of GL is needed.
    ///
    /// # Errors
    /// No driver, no such GPU, none with an encoder, or the driver refuses the settings.
    pub fn open_for_host(settings: &Settings) -> Result<Self, Error> {
        let mut without_encoder = None;
        // As in `open`: without the driver this is the end.
        for context in cuda_contexts(settings.device)? {
            let context = context?;
            match open_session(&context, settings, Input::i420) {
                Ok(session) => return Ok(Self::on(&context, session, None)),
                Err(why) if why.code() == "no-nvenc" => {
                    tracing::debug!(gpu = context.name(), device = context.ordinal(), "this GPU has no NVENC encoder");
                    without_encoder.get_or_insert(why);
                }
                Err(why) => return Err(why),
            }
        }
        Err(without_encoder.expect("there is a GPU, and it was tried"))
    }

    fn on(context: &CudaContext, session: Session, drawn: Option<Drawn>) -> Self {
        let gpu = context.name();
        tracing::debug!(gpu, device = context.ordinal(), "encoding with NVENC");
        Self { session, drawn, gpu }
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
    ///
    /// # Panics
    /// It was opened for pictures from host memory.
    pub fn encode(
        &mut self,
        target: &Target,
        pts: Duration,
        force_idr: bool,
        unit: &mut AccessUnit,
    ) -> Result<(), Lost> {
        let drawn = self.drawn.as_mut().expect("opened for pictures that are drawn");
        drawn.bring(target, &self.session).map_err(Lost)?;
        self.encode_input(pts, force_idr, unit)
    }

    /// Encodes `picture` into `unit`, as [`Nvenc::encode`] does. The picture may be filled again when this returns.
    ///
    /// # Errors
    /// [`Lost`], whatever failed.
    ///
    /// # Panics
    /// It was opened for pictures that are drawn, or for another size.
    pub fn encode_host(&mut self, picture: &HostPicture, force_idr: bool, unit: &mut AccessUnit) -> Result<(), Lost> {
        let upload = || self.session.input().upload(picture.samples());
        trace_span!(target: STAGE, "upload").in_scope(upload).map_err(Lost)?;
        self.encode_input(picture.pts(), force_idr, unit)
    }

    fn encode_input(&mut self, pts: Duration, force_idr: bool, unit: &mut AccessUnit) -> Result<(), Lost> {
        trace_span!(target: STAGE, "encode").in_scope(|| self.session.encode(pts, force_idr, unit)).map_err(Lost)
    }
}

impl Drawn {
    /// Copies what `target` shows to the input of `session`.
    fn bring(&mut self, target: &Target, session: &Session) -> Result<(), Error> {
        trace_span!(target: STAGE, "convert").in_scope(|| self.nv12.convert(target));
        let mapped = trace_span!(target: STAGE, "map").in_scope(|| self.images.map(self.nv12.planes()))?;
        trace_span!(target: STAGE, "copy").in_scope(|| mapped.copy_to(session.input().buffer()))?;
        trace_span!(target: STAGE, "unmap").in_scope(|| mapped.unmap())
    }
}

/// Opens a session that takes its pictures from what `make_input` makes.
fn open_session(
    context: &CudaContext,
    settings: &Settings,
    make_input: fn(&CudaContext, Size) -> Result<Input, Error>,
) -> Result<Session, Error> {
    let mut session = Session::open(context)?;
    let input = make_input(context, settings.size)?;
    let config = Config {
        size: settings.size,
        frame_rate: settings.frame_rate,
        bitrate: settings.bitrate,
        gop_length: settings.gop_length(),
        preset: settings.preset,
        tuning: settings.tuning,
    };
    session.set_up(&config, input)?;
    Ok(session)
}
