//! OpenH264 on the CPU: constrained baseline, one slice a picture, one thread, and the quantisers that [`Rate`] chooses.
//!
//! OpenH264's own rate control is off. It spreads the bits over eight pictures: those behind an IDR pay for it, and the IDR
//! of a picture that stands still is worse than what it replaces by up to 16 dB, once each GOP. It counts on 60 pictures a
//! second at most, so that 240 take four times the bitrate, and it has no coarse quantiser for noise.

mod rate;
#[cfg(test)]
mod tests;

use super::{HostPicture, Profile};
use crate::codec::{self, AccessUnit};
use crate::error::Error;
use crate::openh264::{Failed, Parameters, Session};
use crate::settings::Settings;
use rate::Rate;

/// The highest bitrate of level 5.2 in bits per second, H.264 table A-1 with the factor of clause A.3.1 j).
const MAX_BITRATE: u32 = 288_000_000;
/// The longer and the shorter side that OpenH264 supports at most.
const MAX_SIDES: (u32, u32) = (3840, 2160);

/// The quantiser of a picture that had no room when it was coded with a finer one. With it, the pictures that take most,
/// samples that are black or white at random, take half of the room.
const ROOMY: u8 = 36;

/// The encoder on the CPU.
pub struct Openh264 {
    parameters: Parameters,
    /// Opened when there is something to encode, since it holds several pictures.
    session: Option<Session>,
    rate: Rate,
    /// Pictures since the last IDR, with that one; 0 before the first.
    since_idr: u32,
    bitstream: Vec<u8>,
}

impl Openh264 {
    /// Opens it, in a profile that the stream has already or is to have.
    ///
    /// # Errors
    /// The size is more than OpenH264 codes.
    pub fn open(settings: &Settings, profile: Profile) -> Result<Self, Error> {
        let size = settings.size;
        let sides = (size.width().max(size.height()), size.width().min(size.height()));
        if sides.0 > MAX_SIDES.0 || sides.1 > MAX_SIDES.1 {
            return Err(Error::input(
                "openh264-size",
                format!("OpenH264 does not support {size}"),
                format!("choose at most {}x{}, or a GPU with NVENC", MAX_SIDES.0, MAX_SIDES.1),
            ));
        }
        let bitrate = settings.bitrate.bps();
        if bitrate > MAX_BITRATE {
            return Err(Error::input(
                "openh264-bitrate",
                format!("OpenH264 does not support {} bits/s", settings.bitrate),
                "",
            ));
        }
        if let Some(vbv) = settings.vbv {
            tracing::info!("OpenH264 has no rate buffer that could hold {vbv} frames: its frames vary as it likes");
        }
        let gop = settings.gop_length();
        let parameters = Parameters {
            width: size.width(),
            height: size.height(),
            bitrate,
            frame_rate: settings.frame_rate.as_f32(),
            idr_interval: gop,
            profile: match profile {
                Profile::ConstrainedBaseline => 66,
                Profile::High => 100,
            },
        };
        let rate = Rate::new(bitrate, settings.frame_rate.interval(), gop, size.pixels());
        let bitstream = Vec::with_capacity(codec::room_for(size));
        Ok(Self { parameters, session: None, rate, since_idr: 0, bitstream })
    }

    /// Opens the library's encoder, which the first picture would have to wait for: a reader has it sooner where this is
    /// done while that is drawn.
    ///
    /// # Errors
    /// Out of memory.
    pub fn warm_up(&mut self) -> Result<(), Error> {
        if self.session.is_none() {
            self.session = Some(Session::open(self.parameters)?);
        }
        Ok(())
    }

    /// Encodes `picture` into `unit`: one picture in, one access unit out. The first picture is an IDR, and so is one with
    /// `force_idr`.
    ///
    /// # Errors
    /// It failed, and cannot be used any more.
    pub fn encode(&mut self, picture: &HostPicture, force_idr: bool, unit: &mut AccessUnit) -> Result<(), Error> {
        let is_idr = force_idr || self.since_idr == 0 || self.since_idr >= self.parameters.idr_interval;
        let quantiser = self.rate.quantiser(picture.pts(), is_idr);
        let (quantiser, is_idr) = self.code(picture, quantiser, is_idr)?;
        self.since_idr = if is_idr { 1 } else { self.since_idr + 1 };
        self.rate.took(self.bitstream.len() * 8, quantiser, is_idr);
        unit.begin(picture.pts());
        unit.push_annex_b(&self.bitstream);
        Ok(())
    }

    /// Encodes `picture` into the bitstream. Returns the quantiser that it has, and whether it is an IDR: both as asked for,
    /// or what there is room for.
    fn code(&mut self, picture: &HostPicture, quantiser: u8, is_idr: bool) -> Result<(u8, bool), Error> {
        let failed = |failed| {
            Error::machine("openh264-failed", "OpenH264 failed to encode a frame", String::new()).caused_by(failed)
        };
        let mut session = self.session.take().map_or_else(|| Session::open(self.parameters), Ok)?;
        let mut coded = (quantiser, is_idr);
        match code(&mut session, picture, coded, &mut self.bitstream) {
            Err(Failed::TooLarge) => {
                // It goes on as a new stream does, which has the same parameter sets.
                tracing::debug!(quantiser, "no room for a frame of noise, encoding it again");
                session = Session::open(self.parameters)?;
                coded = (quantiser.max(ROOMY), true);
                code(&mut session, picture, coded, &mut self.bitstream).map_err(failed)?;
            }
            done => done.map_err(failed)?,
        }
        self.session = Some(session);
        Ok(coded)
    }
}

fn code(
    session: &mut Session,
    picture: &HostPicture,
    (quantiser, is_idr): (u8, bool),
    into: &mut Vec<u8>,
) -> Result<(), Failed> {
    if is_idr {
        session.force_idr();
    }
    session.set_quantiser(quantiser)?;
    into.clear();
    let (y, cb, cr) = picture.planes();
    session.encode([y, cb, cr], picture.pts(), into)
}
