//! What turns pictures into access units.

mod nvenc;
mod openh264;
mod picture;

pub use picture::{HostPicture, Readback};

use crate::codec::AccessUnit;
use crate::error::Error;
use crate::gl::{Gl, Target};
use crate::settings::{EncoderChoice, Settings};
use std::time::{Duration, Instant};

/// An encoder of one of two kinds, by where it takes its pictures from.
pub enum Encoder {
    /// Codes a picture where it was drawn. It stays on the thread of its GL context.
    Gpu(Box<dyn GpuEncoder>),
    /// Codes pictures that were fetched to host memory. It may run on a thread of its own.
    Host(Box<dyn HostEncoder>),
}

/// Codes pictures that lie on the GPU.
pub trait GpuEncoder {
    /// Codes what `target` shows into `unit`, to be shown at `pts`: one picture in, one access unit out. The first
    /// picture is an IDR, and so is one with `force_idr`.
    ///
    /// # Errors
    /// The encoder failed and cannot be used any more; a new one may work.
    fn encode(&mut self, target: &Target, pts: Duration, force_idr: bool, unit: &mut AccessUnit) -> Result<(), Error>;
}

/// Codes pictures from host memory.
pub trait HostEncoder: Send {
    /// Codes `picture` into `unit`: one picture in, one access unit out. The first picture is an IDR, and so is one
    /// with `force_idr`.
    ///
    /// # Errors
    /// The encoder failed; it cannot be used any more.
    fn encode(&mut self, picture: &HostPicture, force_idr: bool, unit: &mut AccessUnit) -> Result<(), Error>;
}

/// `profile_idc` of a stream, H.264 section A.2. It must not change while somebody watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// What OpenH264 writes unless it has to go on with another's stream.
    ConstrainedBaseline,
    /// What NVENC writes.
    High,
}

impl Encoder {
    /// The encoder that `settings` ask for, for pictures drawn with `gl`; with [`EncoderChoice::Auto`] OpenH264 comes
    /// with the reason why NVENC is not to be had.
    ///
    /// # Errors
    /// It is not to be had here, or cannot code this size.
    pub fn open(gl: &Gl, settings: &Settings) -> Result<(Self, Option<Error>), Error> {
        match settings.encoder {
            EncoderChoice::Openh264 => Ok((Self::openh264(settings, Profile::ConstrainedBaseline)?, None)),
            EncoderChoice::Nvenc => Ok((Self::nvenc(gl, settings)?, None)),
            EncoderChoice::Auto => {
                let began = Instant::now();
                match Self::nvenc(gl, settings) {
                    Ok(nvenc) => Ok((nvenc, None)),
                    Err(why) => {
                        tracing::debug!("looked for NVENC for {} us", began.elapsed().as_micros());
                        Ok((Self::openh264(settings, Profile::ConstrainedBaseline)?, Some(why)))
                    }
                }
            }
        }
    }

    /// NVENC on the GPU that `gl` draws on.
    ///
    /// # Errors
    /// Some part of the way to it is missing; the message says which, and what to do.
    pub fn nvenc(gl: &Gl, settings: &Settings) -> Result<Self, Error> {
        Ok(Self::Gpu(Box::new(nvenc::Nvenc::open(gl, settings)?)))
    }

    /// OpenH264, in a profile that the stream has already or is to have.
    ///
    /// # Errors
    /// The size is more than OpenH264 codes.
    pub fn openh264(settings: &Settings, profile: Profile) -> Result<Self, Error> {
        Ok(Self::Host(Box::new(openh264::Openh264::open(settings, profile)?)))
    }
}
