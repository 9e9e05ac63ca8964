//! What turns pictures into access units.

mod openh264;

use crate::error::Error;
use crate::gl::Target;
use crate::h264::AccessUnit;
use crate::settings::{EncoderChoice, Settings, Size};
use std::time::Duration;

/// An encoder of one of two kinds, by where it takes its pictures from.
pub enum Encoder {
    /// Codes a picture that was read back to host memory. It may run on a thread of its own.
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

/// A picture in host memory, in a buffer that is filled again and again.
#[derive(Debug)]
pub struct HostPicture {
    /// Four bytes a pixel, rows without padding, the bottom row first.
    rgba: Vec<u8>,
    pts: Duration,
}

impl HostPicture {
    /// A buffer for pictures of `size`.
    pub fn new(size: Size) -> Self {
        Self { rgba: vec![0; size.pixels() * 4], pts: Duration::ZERO }
    }

    /// Waits until `target` is drawn, and takes what it shows.
    pub fn read(&mut self, target: &Target, pts: Duration) {
        target.read(&mut self.rgba);
        self.pts = pts;
    }

    /// When it is to be shown, as time since the start of the stream.
    pub fn pts(&self) -> Duration {
        self.pts
    }
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
