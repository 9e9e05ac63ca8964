//! Which encoder a stream uses, and which one goes on where it fails. Nothing else decides that.
//!
//! | `--encoder` | a stream begins            | NVENC failed on a picture | it does not come back       |
//! |-------------|----------------------------|---------------------------|-----------------------------|
//! | `auto`      | NVENC, else OpenH264       | NVENC alone               | OpenH264, in NVENC's profile |
//! | `nvenc`     | NVENC alone                | NVENC alone               | the error                   |
//! | `openh264`  | OpenH264                   |                           |                             |
//!
//! NVENC is looked for on the GPU that draws. Where that has none and nobody asked for it, the next one that has an encoder
//! draws in its place, as CUDA counts them. NVENC takes pictures where they are drawn. Where GL and CUDA do not share
//! them, it is given each through host memory, and only then is it unavailable.
//!
//! A stream whose GPU is lost where it only draws goes on with OpenH264 in the profile that it has.
//!
//! How often a lost GPU is tried again is not decided here: see `stream/recovery.rs`.

use super::nvenc::Search;
use super::{Encoder, Nvenc, Openh264, Profile};
use crate::cuda;
use crate::error::Error;
use crate::gl::Gl;
use crate::gpu::{Warmth, is_apart, other_gpus};
use crate::settings::{EncoderChoice, Settings};
use std::time::{Duration, Instant};

/// How long a stream that begins waits for a session that somebody gives back: as long as a process goes on whose reader has
/// left, and takes to end. Without one, OpenH264 has the whole stream.
const HANDOVER: Duration = Duration::from_millis(250);
/// How long it waits before each try.
const AGAIN: Duration = Duration::from_millis(25);

/// What to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Plan {
    /// NVENC or an error.
    Nvenc,
    /// NVENC where it works, else OpenH264.
    NvencElseOpenh264,
    /// OpenH264, in a profile that the stream has already or is to have.
    Openh264(Profile),
}

/// What makes the opening of NVENC quick for pictures in host memory, as long as it is kept. No session is open.
pub struct Prepared {
    cuda: Warmth,
}

impl Prepared {
    /// It is to be kept for a while, and holds no more of the GPU's memory than it has to.
    pub fn shrink(&self) {
        self.cuda.shrink();
    }
}

/// An open encoder.
pub struct Opened {
    /// It has encoded nothing yet.
    pub encoder: Encoder,
    /// What is done without that would have been taken.
    pub missed: Option<Missed>,
    /// What opens another one like it, for a stream whose GPU is lost: the reader was told of a profile and has seen
    /// pictures, which the other encoder continues worse.
    pub again: Plan,
}

/// What a stream does without that it would have had, and why.
#[derive(Debug)]
pub enum Missed {
    /// OpenH264 encodes in place of NVENC.
    Nvenc(Error),
    /// NVENC encodes, and is given each picture that is drawn through host memory.
    Sharing(Error),
}

impl Plan {
    /// For a stream that begins.
    pub fn at_the_start(choice: EncoderChoice) -> Self {
        match choice {
            EncoderChoice::Auto => Self::NvencElseOpenh264,
            EncoderChoice::Nvenc => Self::Nvenc,
            EncoderChoice::Openh264 => Self::Openh264(Profile::ConstrainedBaseline),
        }
    }

    /// For a stream that NVENC began, or was to begin, and does not code: in its profile, since a reader may have been
    /// told of it.
    ///
    /// # Errors
    /// `why`, where NVENC was asked for by name.
    pub fn without_nvenc(choice: EncoderChoice, why: Error) -> Result<Self, Error> {
        match choice {
            EncoderChoice::Nvenc => Err(why),
            EncoderChoice::Auto | EncoderChoice::Openh264 => Ok(Self::Openh264(Profile::High)),
        }
    }

    /// Brings up what NVENC needs before there is a session, for pictures in host memory.
    pub fn prepare_for_host(self, settings: &Settings) -> Prepared {
        let is_nvenc = matches!(self, Self::Nvenc | Self::NvencElseOpenh264);
        Prepared { cuda: if is_nvenc { Warmth::without_gl(settings) } else { Warmth::default() } }
    }

    /// Opens what is planned, for pictures of `drawing`; for those in host memory where that is `None`.
    ///
    /// # Errors
    /// It is unavailable, or does not support this size.
    pub fn open_with_fallback<'d>(
        self,
        mut drawing: Option<&mut (dyn Drawing + 'd)>,
        settings: &Settings,
    ) -> Result<Opened, Error> {
        let openh264 = |profile| Ok::<_, Error>(Encoder::Openh264(Box::new(Openh264::open(settings, profile)?)));
        let opened = |encoder, missed, again| Ok(Opened { encoder, missed, again });
        match self {
            Self::Openh264(profile) => opened(openh264(profile)?, None, self),
            Self::Nvenc => open_nvenc(drawing, settings),
            Self::NvencElseOpenh264 => {
                let began = Instant::now();
                let why = loop {
                    match open_nvenc(drawing.as_deref_mut(), settings) {
                        Err(why) if why.code() == "nvenc-sessions" && began.elapsed() < HANDOVER => {
                            std::thread::sleep(AGAIN);
                        }
                        Err(why) => break why,
                        nvenc => return nvenc,
                    }
                };
                tracing::debug!("looked for NVENC for {} us", began.elapsed().as_micros());
                let profile = Profile::ConstrainedBaseline;
                opened(openh264(profile)?, Some(Missed::Nvenc(why)), Self::Openh264(profile))
            }
        }
    }
}

/// Opens NVENC by the shortest way that pictures can take to it.
///
/// # Errors
/// It is unavailable by each; why, by the one that needs the least.
fn open_nvenc<'d>(drawing: Option<&mut (dyn Drawing + 'd)>, settings: &Settings) -> Result<Opened, Error> {
    let opened = |nvenc, missed| Ok(Opened { encoder: Encoder::Nvenc(Box::new(nvenc)), missed, again: Plan::Nvenc });
    let Some(drawing) = drawing else { return opened(Nvenc::open_for_host(settings)?, None) };
    match where_nvenc_is(drawing, settings.device, |gl| Nvenc::open(gl, settings)) {
        Err(why) if is_apart(&why) => {
            tracing::debug!("GL and CUDA do not share: {}", why.cause());
            opened(Nvenc::open_reading_back(drawing.gl(), settings)?, Some(Missed::Sharing(why)))
        }
        nvenc => opened(nvenc?, None),
    }
}

/// What draws, and can do so on another GPU.
pub trait Drawing {
    /// The context that it draws in.
    fn gl(&self) -> &Gl;

    /// Draws on the GPU that CUDA calls `device` from now on, or on the one that it took by itself. What it drew with is
    /// gone before, and stays so after an error.
    fn move_to(&mut self, device: Option<u32>) -> Result<(), Error>;
}

/// What `open` makes of the first GPU that has an encoder, of all that CUDA shows where none was asked for: the one that
/// draws, else one that draws in its place when this returns. Others are looked at without drawing there.
///
/// # Errors
/// None has one, or none that draws: then the GPU draws that did. Or what draws does not come back.
pub fn where_nvenc_is<T>(
    drawing: &mut dyn Drawing,
    device: Option<u32>,
    mut open: impl FnMut(&Gl) -> Result<T, Error>,
) -> Result<T, Error> {
    let opened = open(drawing.gl());
    let mut search = Search::default();
    if device.is_some() {
        return opened;
    }
    if let Some(end) = search.end(opened) {
        return end;
    }
    let mut is_away = false;
    for gpu in other_gpus(drawing.gl())? {
        let device = gpu.ordinal();
        let found = Nvenc::try_gpu(gpu).and_then(|()| {
            is_away = true;
            drawing.move_to(Some(device)).map_err(|why| {
                Error::machine(
                    "nvenc-elsewhere",
                    "the GPU that draws has no NVENC encoder, and one that has does not draw",
                    "",
                )
                .caused_by(why.cause())
            })
        });
        let opened = found.and_then(|()| open(drawing.gl()));
        if let Some(end) = search.end(opened) {
            tracing::info!(device, "the GPU that drew has no NVENC encoder: drawing and encoding on another one");
            return end;
        }
    }
    if is_away {
        drawing.move_to(None)?;
    }
    Err(search.why())
}

/// Whether there is no NVENC for this reason until something is installed or changed, so that it need not be looked for
/// again. A driver that is not there at all is not looked for in vain: that takes no time. One that shows no GPU may only not
/// be ready yet, and a session may be free the next time.
pub fn is_lasting(why: &Error) -> bool {
    matches!(why.code(), "no-nvenc" | "no-nvenc-library" | "nvidia-driver-old" | "stub-library")
}

/// Whether NVENC may be there all the same, for whoever starts afresh: what was opened for it may have grown old.
pub fn may_have_aged(why: &Error) -> bool {
    !is_lasting(why) && !matches!(why.code(), "no-nvidia-driver" | "nvenc-sessions")
}

impl Missed {
    /// Logs it, in one line.
    pub fn log(&self) {
        match self {
            Self::Sharing(why) => {
                tracing::warn!("copying each frame to NVENC through host memory: {}", why.in_a_line());
            }
            // Without an NVIDIA driver there is nothing to look into; with one there is.
            Self::Nvenc(why) if cuda::is_installed() => {
                tracing::warn!("NVENC unavailable, falling back to OpenH264: {}", why.in_a_line());
            }
            Self::Nvenc(why) => tracing::info!("NVENC unavailable, falling back to OpenH264: {}", why.in_a_line()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_change_by_itself_is_looked_for_again() {
        let why = |code| Error::machine(code, "", "");
        assert!(is_lasting(&why("no-nvenc")) && is_lasting(&why("no-nvenc-library")));
        for code in ["nvenc-sessions", "cuda-no-gpu", "gpu-lost", "gpu-memory", "no-nvidia-driver"] {
            assert!(!is_lasting(&why(code)), "{code}");
        }
        assert!(may_have_aged(&why("gpu-lost")) && !may_have_aged(&why("nvenc-sessions")));
    }

    #[test]
    fn only_who_asked_for_nvenc_alone_is_left_without() {
        let why = || Error::machine("", "it is gone", "");
        for choice in [EncoderChoice::Auto, EncoderChoice::Openh264] {
            assert_eq!(Plan::without_nvenc(choice, why()).unwrap(), Plan::Openh264(Profile::High));
        }
        assert_eq!(Plan::without_nvenc(EncoderChoice::Nvenc, why()).unwrap_err().cause(), "it is gone");
    }
}
