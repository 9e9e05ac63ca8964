//! How unevenly NVENC may spend the bitrate: what is in its rate buffer, and what an IDR picture may take of it.

use super::rate::{Bitrate, FrameRate};
use crate::error::Error;
use std::fmt;
use std::str::FromStr;

/// How many pictures' share of the bitrate a rate buffer holds (H.264 annex C), by a thousand: what a picture may be larger
/// than its share, and how long a line of just this bitrate takes for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Vbv(u32);

impl Vbv {
    /// Where an IDR comes about each second. Why: `scripts/README.md`, "What a keyframe may weigh".
    pub(super) const OFTEN: Self = Self(1500);
    /// Where IDRs are rare.
    pub(super) const RARE: Self = Self(1000);

    /// A buffer for `pictures`, to the nearest thousandth.
    ///
    /// # Errors
    /// Less than 1 picture, in which none of average size fits, or more than 240.
    pub fn new(pictures: f64) -> Result<Self, Error> {
        if (1.0..=240.0).contains(&pictures) {
            Ok(Self((pictures * 1000.0).round() as u32))
        } else {
            Err(Error::input("", format!("VBV of {pictures}: {}", Self::LEGAL), String::new()))
        }
    }

    const LEGAL: &'static str = "must be a number of frames from 1 to 240, as 3 or 1.5";

    /// Its size in bits; what is more than a driver can be told is the most that it can.
    pub fn bits(self, bitrate: Bitrate, rate: FrameRate) -> u32 {
        let bits =
            u128::from(bitrate.bps()) * u128::from(rate.den()) * u128::from(self.0) / (u128::from(rate.num()) * 1000);
        u32::try_from(bits).unwrap_or(u32::MAX)
    }
}

impl FromStr for Vbv {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // `f64::from_str` also takes "inf", "1e9" and a sign; here only digits and one point are legal.
        let is_plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let pictures = text.parse().ok().filter(|_| is_plain);
        pictures.and_then(|pictures| Self::new(pictures).ok()).ok_or_else(|| Self::LEGAL.to_owned())
    }
}

/// In the form in which it is read.
impl fmt::Display for Vbv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.0) / 1000.0)
    }
}

/// How many times the bits of another picture an IDR picture may take, from 1 to 10, where the rate buffer holds one picture.
/// nvEncodeAPI.h calls it `lowDelayKeyFrameScale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdrScale(u8);

impl Default for IdrScale {
    /// Three times. Left to itself the driver takes one (ultra low latency) or two (low latency): an IDR picture is as coarse as
    /// that share makes it, and the stream pulses with each. With three, an IDR picture a second at 60 pictures/s costs the
    /// others 3 % of their bits, and comes two intervals late on a line that carries just the bitrate. Four would cost them
    /// 5 %, and another interval.
    fn default() -> Self {
        Self(3)
    }
}

impl IdrScale {
    /// So many `times` the bits.
    ///
    /// # Errors
    /// None, or more than 10 times.
    pub fn new(times: u8) -> Result<Self, Error> {
        if (1..=10).contains(&times) {
            Ok(Self(times))
        } else {
            Err(Error::input("", format!("IDR scale {times}: {}", Self::LEGAL), String::new()))
        }
    }

    const LEGAL: &'static str = "must be a whole number from 1 to 10";

    /// The number.
    pub fn times(self) -> u8 {
        self.0
    }
}

impl FromStr for IdrScale {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let times = text.parse().ok().and_then(|times| Self::new(times).ok());
        times.ok_or_else(|| Self::LEGAL.to_owned())
    }
}

impl fmt::Display for IdrScale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_buffer_holds_pictures_or_parts_of_them() {
        let (bitrate, film) = ("2.5M".parse().unwrap(), "24000/1001".parse().unwrap());
        for (text, bits) in [("1", 104_270), ("1.5", 156_406), ("3", 312_812), ("240", 25_025_000)] {
            let vbv: Vbv = text.parse().unwrap();
            assert_eq!((vbv.bits(bitrate, film), vbv.to_string().as_str()), (bits, text));
        }
        assert_eq!("1.0006".parse::<Vbv>().unwrap().to_string(), "1.001");
        let most = "240".parse::<Vbv>().unwrap().bits("400M".parse().unwrap(), "1".parse().unwrap());
        assert_eq!(most, u32::MAX);
        for text in ["", "0", "0.99", "240.1", "-1", "+2", "1e2", "inf", "nan", "1.5.2", "2s", "1,5"] {
            assert!(text.parse::<Vbv>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_idr_takes_at_least_what_another_picture_takes() {
        for (text, times) in [("1", 1), ("3", 3), ("10", 10)] {
            let scale: IdrScale = text.parse().unwrap();
            assert_eq!((scale.times(), scale.to_string().as_str()), (times, text));
        }
        for text in ["", "0", "11", "1.5", "-1", "256"] {
            assert!(text.parse::<IdrScale>().is_err(), "{text}");
        }
    }
}
