//! What turns pictures into access units.

mod openh264;
mod picture;

pub use picture::{HostPicture, Readback};

use crate::error::Error;
use crate::h264::AccessUnit;
use crate::settings::{EncoderChoice, Settings};

/// An encoder of one of two kinds, by where it takes its pictures from.
pub enum Encoder {
    /// Codes pictures that were fetched to host memory. It may run on a thread of its own.
    Host(Box<dyn HostEncoder>),
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

impl Encoder {
    /// The encoder that `settings` ask for.
    ///
    /// # Errors
    /// It is not to be had here, or cannot code this size.
    pub fn open(settings: &Settings) -> Result<Self, Error> {
        match settings.encoder {
            EncoderChoice::Nvenc => {
                Err(Error::machine("NVENC is not built into this version", "use --encoder auto or --encoder openh264"))
            }
            EncoderChoice::Auto | EncoderChoice::Openh264 => {
                Ok(Self::Host(Box::new(openh264::Openh264::open(settings)?)))
            }
        }
    }
}
