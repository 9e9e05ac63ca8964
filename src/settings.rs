//! Validated values with their units.
//!
//! A value that exists is legal: each type checks itself when it is made, and its error names the legal ones.

mod buffer;
mod encoding;
mod fifo;
mod input;
mod limits;
#[cfg(feature = "cli")]
mod linger;
mod named;
mod picture;
mod rate;
#[cfg(feature = "cli")]
mod spare;
#[cfg(feature = "cli")]
mod time;

pub use buffer::{IdrScale, Vbv};
pub use encoding::{EncoderChoice, MpegTs, Preset, Tuning};
pub use fifo::{FifoMode, PipeSize};
pub use input::{ColorRange, InputSettings, Matrix, PixelFormat, PlaneLayout, Shape};
pub use limits::Limits;
#[cfg(feature = "cli")]
pub(crate) use linger::Linger;
pub use named::Named;
pub use picture::{MAX_SIDE, MIN_SIDE, Size};
pub use rate::{Bitrate, FrameRate, Gop};
#[cfg(feature = "cli")]
pub(crate) use spare::{Spare, SpareIdle};

use std::time::Duration;

/// Everything that decides what a stream looks like. Two streams with equal settings differ only in their pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Picture size in pixels.
    pub size: Size,
    /// Pictures per second.
    pub frame_rate: FrameRate,
    /// Target bitrate of the stream.
    pub bitrate: Bitrate,
    /// From one IDR to the next, in pictures or as a time; `None` is one second's worth.
    pub gop: Option<Gop>,
    /// What NVENC's rate buffer holds; `None` is [`Settings::vbv`]'s choice. OpenH264 has no such buffer.
    pub vbv: Option<Vbv>,
    /// How much larger than others an IDR picture of NVENC's may be.
    pub idr_scale: IdrScale,
    /// Pictures to code before the stream ends; `None` is endless.
    pub pictures: Option<u64>,
    /// Hold pictures to `frame_rate` in real time. Without it they are made as fast as it goes.
    pub paced: bool,
    /// Which encoder.
    pub encoder: EncoderChoice,
    /// NVENC's speed against quality.
    pub preset: Preset,
    /// How low NVENC's delay is to be.
    pub tuning: Tuning,
    /// Who wraps the stream in MPEG-TS; `None` writes it raw. Wrapped and paced, a stream that is no file begins with two
    /// more IDR pictures within 0.3 s, for go2rtc loses the first one.
    pub mpegts: Option<MpegTs>,
    /// Which GPU, as CUDA counts them; `None` takes the first, or software rendering where there is none.
    pub device: Option<u32>,
}

impl Default for Settings {
    /// 1280x720 at 60 pictures/s and 6 Mb/s, one IDR a second, endless, paced.
    fn default() -> Self {
        Self {
            size: Size::default(),
            frame_rate: FrameRate::default(),
            bitrate: Bitrate::default(),
            gop: None,
            vbv: None,
            idr_scale: IdrScale::default(),
            pictures: None,
            paced: true,
            encoder: EncoderChoice::default(),
            preset: Preset::default(),
            tuning: Tuning::default(),
            mpegts: None,
            device: None,
        }
    }
}

impl Settings {
    /// Pictures from one IDR to the next: as set, or one second's worth.
    pub fn gop_length(&self) -> u32 {
        match self.gop {
            Some(gop) => gop.pictures(self.frame_rate),
            None => self.frame_rate.pictures_per_second_rounded(),
        }
    }

    /// What NVENC's rate buffer holds: as set; else 1.5 pictures where an IDR comes about each second, and one where they
    /// are rarer.
    pub fn vbv(&self) -> Vbv {
        let gop = self.frame_rate.time_of(self.gop_length().into());
        let is_often = gop < Duration::from_secs(2);
        self.vbv.unwrap_or(if is_often { Vbv::OFTEN } else { Vbv::RARE })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_gop_is_one_second() {
        let mut settings = Settings::default();
        assert_eq!(settings.gop_length(), 60);
        settings.frame_rate = "30000/1001".parse().unwrap();
        assert_eq!(settings.gop_length(), 30);
        settings.gop = Some("7".parse().unwrap());
        assert_eq!(settings.gop_length(), 7);
        settings.gop = Some("10s".parse().unwrap());
        assert_eq!(settings.gop_length(), 300);
    }

    #[test]
    fn where_idrs_are_rare_no_picture_is_larger_than_another() {
        let with = |gop: Option<&str>, frame_rate: &str| {
            let gop = gop.map(|gop| gop.parse().unwrap());
            Settings { gop, frame_rate: frame_rate.parse().unwrap(), ..Settings::default() }.vbv().to_string()
        };
        for (gop, vbv) in
            [(None, "1.5"), (Some("1"), "1.5"), (Some("1s"), "1.5"), (Some("2s"), "1"), (Some("60s"), "1")]
        {
            for frame_rate in ["1", "24000/1001", "60", "240"] {
                assert_eq!(with(gop, frame_rate), vbv, "{gop:?}, {frame_rate}");
            }
        }
        assert_eq!(with(Some("119"), "60"), "1.5");
        let settings = Settings { vbv: Some("3".parse().unwrap()), ..Settings::default() };
        assert_eq!(settings.vbv().to_string(), "3");
    }
}
