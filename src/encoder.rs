//! What turns pictures into access units, and which one of the two encoders does.

mod fallback;
mod nvenc;
mod openh264;
mod picture;
mod readback;

pub use fallback::{Drawing, Missed, Opened, Plan, Prepared, is_lasting, may_have_aged, where_nvenc_is};
pub use nvenc::{Lost, Nvenc};
pub use openh264::Openh264;
pub use picture::HostPicture;
pub use readback::Readback;

use crate::codec::AccessUnit;
use crate::error::Error;

/// An encoder of one of two kinds, which take their pictures from different places. Boxed, since it moves and
/// OpenH264's is kilobytes large.
pub enum Encoder {
    /// Encodes a picture where it was drawn, or uploads one from host memory. It stays on the thread that opened it.
    Nvenc(Box<Nvenc>),
    /// Encodes pictures that were fetched to host memory. It may run on a thread of its own.
    Openh264(Box<Openh264>),
}

impl Encoder {
    /// Its name, as people know it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Nvenc(_) => "NVENC",
            Self::Openh264(_) => "OpenH264",
        }
    }

    /// Encodes a picture in host memory into `unit`: one picture in, one access unit out. The first picture is an IDR, and
    /// so is one with `force_idr`.
    ///
    /// # Errors
    /// It failed, or produced what breaks streams, and cannot be used any more.
    pub fn encode(&mut self, picture: &HostPicture, force_idr: bool, unit: &mut AccessUnit) -> Result<(), Failed> {
        match self {
            Self::Nvenc(nvenc) => {
                nvenc.encode_host(picture, force_idr, unit)?;
                check_layout(unit).map_err(Lost)?;
            }
            Self::Openh264(openh264) => {
                openh264.encode(picture, force_idr, unit)?;
                check_layout(unit)?;
            }
        }
        Ok(())
    }
}

/// Why a picture was not encoded.
#[derive(Debug)]
pub enum Failed {
    /// Another encoder may do better.
    Lost(Lost),
    /// None would.
    Broken(Error),
}

impl From<Lost> for Failed {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

/// `profile_idc` of a stream, H.264 section A.2. It must not change while somebody watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Profile {
    /// What OpenH264 writes unless it has to go on with another's stream.
    ConstrainedBaseline,
    /// What NVENC writes.
    High,
}

/// Refuses what go2rtc or a browser would take for something else than one picture.
///
/// # Errors
/// The encoder produced it all the same.
pub fn check_layout(unit: &AccessUnit) -> Result<(), Error> {
    let Some(fault) = unit.layout_fault() else { return Ok(()) };
    Err(Error::machine(
        "bad-access-unit",
        format!("the encoder produced an access unit that go2rtc would split wrongly: {fault}"),
        "",
    )
    .examined_by_doctor())
}
