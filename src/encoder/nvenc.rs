//! NVENC, fed from GL through CUDA, where no picture leaves the GPU, or from host memory by one upload: where there is no
//! GL, or none that CUDA can share with, whose pictures are read back first.

use super::{HostPicture, Readback};
use crate::codec::AccessUnit;
use crate::cuda::CudaContext;
use crate::error::Error;
use crate::gl::{Gl, Nv12, Target};
use crate::gpu::{Candidate, GlImages, candidates, gpu_of};
use crate::nvenc::{Config, Input, Session, no_encoder_at};
use crate::nvidia::has_no_encoder;
use crate::settings::{EncoderChoice, Settings, Size};
use crate::stats::STAGE;
use std::fmt;
use std::time::Duration;
use tracing::trace_span;

/// The GPU's encoder, with everything between it and its pictures. It belongs to the thread that opened it.
#[derive(Debug)]
pub struct Nvenc {
    // Dropped from the top: the session lets go of its buffer and its CUDA context, then what brings pictures there goes.
    session: Session,
    way: Way,
    gpu: String,
    /// Which one that is, as CUDA counts them.
    device: u32,
}

/// How pictures come.
#[derive(Debug)]
enum Way {
    /// From a GL target, on the GPU.
    Drawn(Drawn),
    /// From a GL target, through host memory.
    ReadBack(ReadBack),
    /// From host memory.
    Host,
}

/// What brings a picture from a GL target to host memory.
#[derive(Debug)]
struct ReadBack {
    readback: Readback,
    picture: HostPicture,
    /// Whether the picture is the one that is to be encoded next.
    is_fetched: bool,
}

/// What brings a picture from a GL target to CUDA.
#[derive(Debug)]
struct Drawn {
    // Dropped from the top: CUDA lets go of the planes, and then they go, while their GL context is still there.
    images: GlImages<2>,
    nv12: Nv12,
}

/// A picture is lost, since NVENC failed on it or the GPU was reset under what drew it. Nothing that was open can be used
/// any more; whatever it failed with, a new one may work.
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
        let context = open_context(gpu_of(gl)?, settings)?;
        let session = open_session(&context, settings, Input::nv12)?;
        let nv12 = Nv12::new(gl, settings.size)?;
        let images = GlImages::register(&context, nv12.planes())?;
        Ok(Self::on(&context, session, Way::Drawn(Drawn { images, nv12 })))
    }

    /// Opens an encoder for pictures that `gl` draws and CUDA does not share: they are read back and uploaded. Which GPU
    /// that is depends on the drawing no more than for [`Nvenc::open_for_host`].
    ///
    /// # Errors
    /// As [`Nvenc::open_for_host`].
    pub fn open_reading_back(gl: &Gl, settings: &Settings) -> Result<Self, Error> {
        let (readback, picture) = (Readback::new(gl, settings.size), HostPicture::new(settings.size));
        let way = Way::ReadBack(ReadBack { readback, picture, is_fetched: false });
        Ok(Self { way, ..Self::open_for_host(settings)? })
    }

    /// Opens the encoder of the GPU that was asked for, as CUDA counts them, else of the first one that has an encoder: of
    /// several GPUs the first may have none. It takes pictures from host memory, and nothing of GL is needed.
    ///
    /// # Errors
    /// No driver, no such GPU, none with an encoder, or the driver refuses the settings.
    pub fn open_for_host(settings: &Settings) -> Result<Self, Error> {
        let mut search = Search::default();
        // As in `open`: without the driver this is the end.
        for gpu in candidates(settings.device)? {
            let opened = open_context(gpu, settings).and_then(|context| {
                let session = open_session(&context, settings, Input::i420)?;
                Ok(Self::on(&context, session, Way::Host))
            });
            if let Some(end) = search.end(opened) {
                return end;
            }
        }
        Err(search.why())
    }

    /// Looks whether `gpu` opens a session now, which needs no GL.
    ///
    /// # Errors
    /// It does not.
    pub fn try_gpu(gpu: Candidate) -> Result<(), Error> {
        may_have_one(gpu)?;
        Session::open(&gpu.open()?).map(drop)
    }

    fn on(context: &CudaContext, session: Session, way: Way) -> Self {
        let (gpu, device) = (context.name(), context.ordinal());
        tracing::debug!(gpu, device, "encoding with NVENC");
        Self { session, way, gpu, device }
    }

    /// The name of the GPU that it is on.
    pub fn gpu(&self) -> &str {
        &self.gpu
    }

    /// The number of that GPU, as CUDA counts them.
    pub fn device(&self) -> u32 {
        self.device
    }

    /// Whether pictures that are drawn go through host memory.
    pub fn reads_back(&self) -> bool {
        matches!(self.way, Way::ReadBack(_))
    }

    /// Reads back what `target` shows, to be encoded next. Only [`Nvenc::reads_back`] needs it, and does it in
    /// [`Nvenc::encode`] where it was not done before: GL can hang in it, and NVENC in the rest.
    pub fn read_back(&mut self, target: &Target, pts: Duration) {
        if let Way::ReadBack(way) = &mut self.way {
            way.fetch(target, pts);
            way.is_fetched = true;
        }
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
        match &mut self.way {
            Way::Drawn(drawn) => drawn.bring(target, &self.session).map_err(Lost)?,
            Way::ReadBack(way) => {
                if !std::mem::take(&mut way.is_fetched) {
                    way.fetch(target, pts);
                }
                upload(&way.picture, &self.session).map_err(Lost)?;
            }
            Way::Host => panic!("opened for pictures from host memory"),
        }
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
        upload(picture, &self.session).map_err(Lost)?;
        self.encode_input(picture.pts(), force_idr, unit)
    }

    fn encode_input(&mut self, pts: Duration, force_idr: bool, unit: &mut AccessUnit) -> Result<(), Lost> {
        let encoded = trace_span!(target: STAGE, "encode").in_scope(|| self.session.encode(pts, force_idr, unit));
        encoded.map_err(|why| Lost(self.session.fault_below().unwrap_or(why)))
    }
}

impl ReadBack {
    fn fetch(&mut self, target: &Target, pts: Duration) {
        let Self { readback, picture, .. } = self;
        trace_span!(target: STAGE, "read").in_scope(|| readback.fetch(target, pts, picture));
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

/// Opens the context of `gpu`, unless it is known that it has no encoder. Who asks for NVENC by name has the driver asked all
/// the same.
fn open_context(gpu: Candidate, settings: &Settings) -> Result<CudaContext, Error> {
    if settings.encoder != EncoderChoice::Nvenc {
        may_have_one(gpu)?;
    }
    gpu.open()
}

/// Refuses a GPU of which it is known that it has no encoder: to be told so by the driver takes it longer than all else that
/// happens before the first picture.
fn may_have_one(gpu: Candidate) -> Result<(), Error> {
    let capability = gpu.capability()?;
    if has_no_encoder(capability) { Err(no_encoder_at(capability)) } else { Ok(()) }
}

/// Whether a GPU failed since it has no encoder, so that another one may do better.
pub fn has_none(why: &Error) -> bool {
    why.code() == "no-nvenc"
}

/// Goes from one GPU to the next, as long as the first one has no encoder.
#[derive(Debug, Default)]
pub struct Search {
    /// The error that says most: of a GPU with an encoder, if there is one.
    why: Option<Error>,
}

impl Search {
    /// Takes what came of a GPU. Returns what the search comes to, if it need not go on.
    pub fn end<T>(&mut self, opened: Result<T, Error>) -> Option<Result<T, Error>> {
        let error = match opened {
            Err(error) if self.why.is_some() || has_none(&error) => error,
            opened => return Some(opened),
        };
        tracing::debug!("no NVENC on this GPU: {}", error.cause());
        if self.why.as_ref().is_none_or(|kept| has_none(kept) && !has_none(&error)) {
            self.why = Some(error);
        }
        None
    }

    /// Why there is no encoder.
    ///
    /// # Panics
    /// No GPU was tried.
    pub fn why(self) -> Error {
        self.why.expect("there is a GPU, and it was tried")
    }
}

/// Copies `picture` to the input of `session`.
fn upload(picture: &HostPicture, session: &Session) -> Result<(), Error> {
    trace_span!(target: STAGE, "upload").in_scope(|| session.input().upload(picture.samples()))
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
        vbv: settings.vbv(),
        idr_scale: settings.idr_scale,
        preset: settings.preset,
        tuning: settings.tuning,
    };
    session.set_up(&config, input)?;
    Ok(session)
}
