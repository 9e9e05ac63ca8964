//! What a stream has per second, and per IDR: pictures and bits.

use crate::error::Error;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Pictures per second as a fraction, from 1 to 240.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameRate {
    num: u32,
    den: u32,
}

impl Default for FrameRate {
    /// 60 pictures per second.
    fn default() -> Self {
        Self { num: 60, den: 1 }
    }
}

impl FrameRate {
    const LEGAL: &'static str = "must be from 1 to 240 fps, as 60 or as a fraction like 30000/1001";

    /// `num / den` pictures per second.
    ///
    /// # Errors
    /// A rate under 1 or over 240, or a denominator of 0.
    pub fn new(num: u32, den: u32) -> Result<Self, Error> {
        let wide = (u64::from(num), u64::from(den));
        if den == 0 || wide.0 < wide.1 || wide.0 > 240 * wide.1 {
            return Err(Error::input("", format!("{num}/{den}: {}", Self::LEGAL), String::new()));
        }
        Ok(Self { num, den })
    }

    /// Numerator of the rate.
    pub fn num(self) -> u32 {
        self.num
    }

    /// Denominator of the rate.
    pub fn den(self) -> u32 {
        self.den
    }

    /// The rate as a floating-point number, for drivers that take no fraction.
    pub fn as_f32(self) -> f32 {
        self.num as f32 / self.den as f32
    }

    /// The interval from one picture to the next.
    pub fn interval(self) -> Duration {
        self.time_of(1)
    }

    /// When frame `index` is due, as time since frame 0. Rounded down to the nanosecond.
    pub fn time_of(self, index: u64) -> Duration {
        let nanos = u128::from(index) * u128::from(self.den) * 1_000_000_000 / u128::from(self.num);
        // u64 nanoseconds last for 584 years of stream.
        Duration::from_nanos(nanos as u64)
    }

    /// The last frame due at or before `time`.
    pub fn frames_in(self, time: Duration) -> u64 {
        let index = (time.as_nanos() * u128::from(self.num) / (u128::from(self.den) * 1_000_000_000)) as u64;
        // `time_of` rounds down, so a caller that wakes exactly on it would be counted to the frame before.
        if self.time_of(index + 1) <= time { index + 1 } else { index }
    }

    pub(super) fn pictures_per_second_rounded(self) -> u32 {
        ((u64::from(self.num) + u64::from(self.den) / 2) / u64::from(self.den)) as u32
    }
}

impl FromStr for FrameRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (num, den) = text.split_once('/').unwrap_or((text, "1"));
        let rate = num.parse().ok().zip(den.parse().ok()).and_then(|(num, den)| Self::new(num, den).ok());
        rate.ok_or_else(|| Self::LEGAL.to_owned())
    }
}

impl fmt::Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.den {
            1 => write!(f, "{}", self.num),
            _ => write!(f, "{}/{}", self.num, self.den),
        }
    }
}

/// Bits per second, from 64k to 400M.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bitrate(u32);

impl Default for Bitrate {
    /// 6 Mb/s.
    fn default() -> Self {
        Self(6_000_000)
    }
}

impl Bitrate {
    /// `bps` bits per second.
    ///
    /// # Errors
    /// A rate under 64 kb/s or over 400 Mb/s.
    pub fn from_bps(bps: u32) -> Result<Self, Error> {
        if (64_000..=400_000_000).contains(&bps) {
            Ok(Self(bps))
        } else {
            Err(Error::input("", format!("bitrate {bps}: {}", Self::LEGAL), String::new()))
        }
    }

    const LEGAL: &'static str = "must be from 64k to 400M bits/s, as 6M, 2.5M, 800k or 6000000";

    /// The rate in bits per second.
    pub fn bps(self) -> u32 {
        self.0
    }
}

impl FromStr for Bitrate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bps = parse_scaled(text, 1000.0).and_then(|bps| Self::from_bps(bps).ok());
        bps.ok_or_else(|| Self::LEGAL.to_owned())
    }
}

/// A number with an optional decimal part and an optional suffix k or M, each worth `kilo` more than the one before.
pub(super) fn parse_scaled(text: &str, kilo: f64) -> Option<u32> {
    let (digits, scale) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], kilo),
        b'm' | b'M' => (&text[..text.len() - 1], kilo * kilo),
        _ => (text, 1.0),
    };
    // `f64::from_str` also takes "inf", "1e9" and a sign; here only digits and one point are legal.
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let value = digits.parse::<f64>().ok()? * scale;
    (value.fract() == 0.0 && value <= f64::from(u32::MAX)).then_some(value as u32)
}

impl fmt::Display for Bitrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bps if bps % 100_000 == 0 => write!(f, "{}M", f64::from(bps) / 1e6),
            bps if bps % 100 == 0 => write!(f, "{}k", f64::from(bps) / 1e3),
            bps => write!(f, "{bps}"),
        }
    }
}

/// From one IDR to the next: from 1 to 3600 pictures, or a time up to a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gop(Length);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Length {
    Pictures(u32),
    Millis(u32),
}

impl Gop {
    /// An IDR every `pictures` pictures.
    ///
    /// # Errors
    /// A length of 0 or over 3600.
    pub fn new(pictures: u32) -> Result<Self, Error> {
        Self::check((1..=3600).contains(&pictures), Length::Pictures(pictures))
    }

    /// An IDR after `time`, which is rounded to whole pictures, at least one.
    ///
    /// # Errors
    /// A time under a millisecond or over a minute.
    pub fn lasting(time: Duration) -> Result<Self, Error> {
        let millis = time.as_millis();
        Self::check((1..=60_000).contains(&millis), Length::Millis(millis.min(60_000) as u32))
    }

    fn check(is_legal: bool, length: Length) -> Result<Self, Error> {
        let this = Self(length);
        if is_legal { Ok(this) } else { Err(Error::input("", format!("GOP {this}: {}", Self::LEGAL), String::new())) }
    }

    const LEGAL: &'static str = "must be from 1 to 3600 frames, or a time from 1ms to 60s, as 4s or 500ms";

    /// The length in pictures at `rate`.
    pub fn pictures(self, rate: FrameRate) -> u32 {
        match self.0 {
            Length::Pictures(pictures) => pictures,
            Length::Millis(millis) => {
                let per_mille = u64::from(millis) * u64::from(rate.num);
                let pictures = (per_mille / u64::from(rate.den) + 500) / 1000;
                pictures.max(1) as u32
            }
        }
    }
}

impl FromStr for Gop {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (number, per_unit) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
                (Some(number), _) => (number, 1.0),
                (None, Some(number)) => (number, 1000.0),
                (None, None) => return Self::new(text.parse().ok()?).ok(),
            };
            // `f64::from_str` also takes "inf", "1e9" and a sign; here only digits and one point are legal.
            let is_plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            let millis = number.parse::<f64>().ok().filter(|_| is_plain)? * per_unit;
            let is_whole = millis.fract() == 0.0 && millis <= f64::from(u32::MAX);
            is_whole.then(|| Self::lasting(Duration::from_millis(millis as u64)).ok()).flatten()
        };
        parse().ok_or_else(|| Self::LEGAL.to_owned())
    }
}

/// In the form in which it is read.
impl fmt::Display for Gop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Length::Pictures(pictures) => write!(f, "{pictures}"),
            Length::Millis(millis) if millis % 1000 == 0 => write!(f, "{}s", millis / 1000),
            Length::Millis(millis) => write!(f, "{millis}ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_rates() {
        for (text, rate) in [("60", (60, 1)), ("30000/1001", (30_000, 1001)), ("1", (1, 1)), ("240", (240, 1))] {
            let parsed: FrameRate = text.parse().unwrap();
            assert_eq!((parsed.num(), parsed.den()), rate);
            assert_eq!(parsed.to_string(), text);
        }
        for text in ["0", "241", "29.97", "-1", "60/0", "1/2", "60/1/1", "", "/", "4294967296", "481/2", "fast"] {
            assert!(text.parse::<FrameRate>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_grid_and_its_inverse_agree() {
        for rate in ["1", "7", "30000/1001", "60", "240", "24000/1001"] {
            let rate: FrameRate = rate.parse().unwrap();
            for index in (0..100_000).step_by(37) {
                let due = rate.time_of(index);
                assert_eq!(rate.frames_in(due), index, "{rate} {index}");
                assert_eq!(rate.frames_in(rate.time_of(index + 1) - Duration::from_nanos(1)), index);
            }
        }
    }

    #[test]
    fn bitrates() {
        for (text, bps) in [("6M", 6_000_000), ("2.5M", 2_500_000), ("800k", 800_000), ("64000", 64_000)] {
            assert_eq!(text.parse::<Bitrate>().unwrap().bps(), bps);
        }
        for text in ["", "M", "6G", "0", "63k", "401M", "1e7", "inf", "-6M", "6 M", "6MM", "1.2.3M", "64000.5"] {
            assert!(text.parse::<Bitrate>().is_err(), "{text}");
        }
        assert_eq!(Bitrate(6_000_000).to_string(), "6M");
        assert_eq!(Bitrate(150_000).to_string(), "150k");
    }

    #[test]
    fn a_gop_is_a_number_of_pictures_or_a_time() {
        let rate = |text: &str| text.parse::<FrameRate>().unwrap();
        for (text, at_30, at_film) in [
            ("60", 60, 60),
            ("10s", 300, 240),
            ("500ms", 15, 12),
            ("1ms", 1, 1),
            ("60s", 1800, 1439),
            ("1500ms", 45, 36),
        ] {
            let gop: Gop = text.parse().unwrap();
            assert_eq!((gop.pictures(rate("30")), gop.pictures(rate("24000/1001"))), (at_30, at_film), "{text}");
            assert_eq!(gop.to_string(), text);
        }
        assert_eq!("2.5s".parse::<Gop>(), "2500ms".parse());
        assert_eq!("4000ms".parse::<Gop>().unwrap().to_string(), "4s");
        for text in ["0", "0s", "0ms", "0.1ms", "61s", "60001ms", "3601", "1h", "s", "ms", "4 s", "-4s", "1e1s", "4ks"]
        {
            assert!(text.parse::<Gop>().is_err(), "{text}");
        }
    }
}
