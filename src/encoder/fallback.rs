//! Which encoder a stream uses, and which one goes on where it fails. Nothing else decides that.
//!
//! | `--encoder` | a stream begins            | NVENC failed on a picture | it does not come back       |
//! |-------------|----------------------------|---------------------------|-----------------------------|
//! | `auto`      | NVENC, else OpenH264       | NVENC alone               | OpenH264, in NVENC's profile |
//! | `nvenc`     | NVENC alone                | NVENC alone               | the error                   |
//! | `openh264`  | OpenH264                   |                           |                             |
//!
//! How often NVENC is tried again is not decided here: see `stream/recovery.rs`.

use super::{Encoder, Nvenc, Openh264, Profile};
use crate::cuda;
use crate::error::Error;
use crate::gl::Gl;
use crate::settings::{EncoderChoice, Settings};
use std::time::Instant;

/// What to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// NVENC or an error.
    Nvenc,
    /// NVENC where it works, else OpenH264.
    NvencElseOpenh264,
    /// OpenH264, in a profile that the stream has already or is to have.
    Openh264(Profile),
}

/// An open encoder.
pub struct Opened {
    /// It has encoded nothing yet.
    pub encoder: Encoder,
    /// Why it is OpenH264 where NVENC would have been taken.
    pub instead_of_nvenc: Option<Error>,
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

    /// For a stream whose NVENC failed on a picture, while that is to be tried again: the reader was told of a profile
    /// and has seen pictures, which OpenH264 continues worse.
    pub fn after_a_loss() -> Self {
        Self::Nvenc
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

    /// Opens what is planned, for pictures drawn with `gl`; for those in host memory where that is `None`.
    ///
    /// # Errors
    /// It is unavailable, or does not support this size.
    pub fn open_with_fallback(self, gl: Option<&Gl>, settings: &Settings) -> Result<Opened, Error> {
        let openh264 = |profile| Ok::<_, Error>(Encoder::Openh264(Box::new(Openh264::open(settings, profile)?)));
        let nvenc = || {
            Ok::<_, Error>(Encoder::Nvenc(Box::new(match gl {
                Some(gl) => Nvenc::open(gl, settings)?,
                None => Nvenc::open_for_host(settings)?,
            })))
        };
        let (encoder, instead_of_nvenc) = match self {
            Self::Openh264(profile) => (openh264(profile)?, None),
            Self::Nvenc => (nvenc()?, None),
            Self::NvencElseOpenh264 => {
                let began = Instant::now();
                match nvenc() {
                    Ok(nvenc) => (nvenc, None),
                    Err(why) => {
                        tracing::debug!("looked for NVENC for {} us", began.elapsed().as_micros());
                        (openh264(Profile::ConstrainedBaseline)?, Some(why))
                    }
                }
            }
        };
        Ok(Opened { encoder, instead_of_nvenc })
    }
}

/// Logs why OpenH264 encodes a stream where NVENC would have been taken.
pub fn log_instead_of_nvenc(why: &Error) {
    // Without an NVIDIA driver there is nothing to look into; with one there is.
    let why = why.in_a_line();
    if cuda::is_installed() {
        tracing::warn!("NVENC unavailable, falling back to OpenH264: {why}");
    } else {
        tracing::info!("NVENC unavailable, falling back to OpenH264: {why}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_asked_for_nvenc_alone_is_left_without() {
        let why = || Error::machine("", "it is gone", "");
        for choice in [EncoderChoice::Auto, EncoderChoice::Openh264] {
            assert_eq!(Plan::without_nvenc(choice, why()).unwrap(), Plan::Openh264(Profile::High));
        }
        assert_eq!(Plan::without_nvenc(EncoderChoice::Nvenc, why()).unwrap_err().cause(), "it is gone");
    }
}
