//! What turns pictures into access units.

mod nvenc;
mod openh264;
mod picture;

pub use picture::{HostPicture, Readback};

use crate::error::Error;
use crate::gl::{Gl, Target};
use crate::h264::AccessUnit;
use crate::settings::{EncoderChoice, Settings};
use std::time::Duration;

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
    /// The encoder failed and cannot be used any more; after [`Error::is_device_loss`] a new one may work.
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
    /// The encoder that `settings` ask for, for pictures drawn with `gl`.
    ///
    /// # Errors
    /// It is not to be had here, or cannot code this size.
    pub fn open(gl: &Gl, settings: &Settings) -> Result<Self, Error> {
        match settings.encoder {
            EncoderChoice::Openh264 => Self::openh264(settings, Profile::ConstrainedBaseline),
            EncoderChoice::Nvenc => Ok(Self::Gpu(Box::new(nvenc::Nvenc::open(gl, settings)?))),
            EncoderChoice::Auto => match nvenc::Nvenc::open(gl, settings) {
                Ok(nvenc) => Ok(Self::Gpu(Box::new(nvenc))),
                Err(error) => {
                    // Without an NVIDIA driver there is nothing to look into; with one there is.
                    if crate::dl::open("libcuda.so.1").is_ok() {
                        tracing::warn!("coding with OpenH264, since NVENC is not to be had: {}", error.cause());
                    } else {
                        tracing::info!("coding with OpenH264, since NVENC is not to be had: {}", error.cause());
                    }
                    Self::openh264(settings, Profile::ConstrainedBaseline)
                }
            },
        }
    }

    /// OpenH264, in a profile that the stream has already or is to have.
    ///
    /// # Errors
    /// The size is more than OpenH264 codes.
    pub fn openh264(settings: &Settings, profile: Profile) -> Result<Self, Error> {
        Ok(Self::Host(Box::new(openh264::Openh264::open(settings, profile)?)))
    }
}
