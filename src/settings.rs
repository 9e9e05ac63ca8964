//! Validated values with their units.
//!
//! A value that exists is legal: each type checks itself when it is made, and its error names the legal ones.

use crate::error::Error;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Values that go by a name wherever people write them.
pub trait Named: Copy + PartialEq + 'static {
    /// Every value with its name and, where the name does not say it, what it is.
    const ALL: &'static [(Self, &'static str, &'static str)];

    /// The name of this value.
    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(value, ..)| *value == self).map_or("", |(_, name, _)| name)
    }
}

/// Smallest width and height in pixels.
pub const MIN_SIDE: u32 = 64;
/// Largest width and height in pixels; what NVENC's H.264 encoder takes.
pub const MAX_SIDE: u32 = 4096;

/// Everything that decides what a stream looks like. Two streams with equal settings differ only in their pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Picture size in pixels.
    pub size: Size,
    /// Pictures per second.
    pub frame_rate: FrameRate,
    /// Target bitrate of the stream.
    pub bitrate: Bitrate,
    /// Pictures from one IDR to the next; `None` is one second's worth.
    pub gop: Option<Gop>,
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
    /// Who wraps the stream in MPEG-TS; `None` writes it raw.
    pub mpegts: Option<MpegTs>,
    /// Which GPU, as CUDA counts them; `None` takes the first, or software rendering where there is none.
    pub device: Option<u32>,
}

impl Default for Settings {
    /// 1280x720 at 60 pictures/s and 6 Mb/s, one IDR a second, endless, paced.
    fn default() -> Self {
        Self {
            size: Size { width: 1280, height: 720 },
            frame_rate: FrameRate { num: 60, den: 1 },
            bitrate: Bitrate(6_000_000),
            gop: None,
            pictures: None,
            paced: true,
            encoder: EncoderChoice::Auto,
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
        self.gop.map_or_else(|| self.frame_rate.pictures_per_second_rounded(), Gop::pictures)
    }
}

/// Width and height in pixels, both even (4:2:0) and from [`MIN_SIDE`] to [`MAX_SIDE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    width: u32,
    height: u32,
}

impl Size {
    /// Checks both sides.
    ///
    /// # Errors
    /// A side that is odd or out of range.
    pub fn new(width: u32, height: u32) -> Result<Self, Error> {
        for (name, side) in [("width", width), ("height", height)] {
            Self::check_side(side).map_err(|what| Error::input(format!("{name} {side}: {what}"), String::new()))?;
        }
        Ok(Self { width, height })
    }

    /// Checks one side alone; the error names the nearest legal values.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the side.
    pub fn check_side(side: u32) -> Result<u32, String> {
        if !(MIN_SIDE..=MAX_SIDE).contains(&side) {
            return Err(format!("must be an even number from {MIN_SIDE} to {MAX_SIDE}"));
        }
        if side % 2 == 1 {
            return Err(format!("must be even, from {MIN_SIDE} to {MAX_SIDE}: write {} or {}", side - 1, side + 1));
        }
        Ok(side)
    }

    /// Width in pixels.
    pub fn width(self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(self) -> u32 {
        self.height
    }

    /// Number of pixels.
    pub fn pixels(self) -> usize {
        self.width as usize * self.height as usize
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// Pictures per second as a fraction, from 1 to 240.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameRate {
    num: u32,
    den: u32,
}

impl FrameRate {
    const LEGAL: &'static str = "must be from 1 to 240 pictures/s, as 60 or as a fraction like 30000/1001";

    /// `num / den` pictures per second.
    ///
    /// # Errors
    /// A rate under 1 or over 240, or a denominator of 0.
    pub fn new(num: u32, den: u32) -> Result<Self, Error> {
        let wide = (u64::from(num), u64::from(den));
        if den == 0 || wide.0 < wide.1 || wide.0 > 240 * wide.1 {
            return Err(Error::input(format!("{num}/{den}: {}", Self::LEGAL), String::new()));
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

    fn pictures_per_second_rounded(self) -> u32 {
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

impl Bitrate {
    /// `bps` bits per second.
    ///
    /// # Errors
    /// A rate under 64 kb/s or over 400 Mb/s.
    pub fn from_bps(bps: u32) -> Result<Self, Error> {
        if (64_000..=400_000_000).contains(&bps) {
            Ok(Self(bps))
        } else {
            Err(Error::input(format!("bitrate {bps}: {}", Self::LEGAL), String::new()))
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
fn parse_scaled(text: &str, kilo: f64) -> Option<u32> {
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

/// Pictures from one IDR to the next, from 1 to 3600.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gop(u32);

impl Gop {
    /// An IDR every `pictures` pictures.
    ///
    /// # Errors
    /// A length of 0 or over 3600.
    pub fn new(pictures: u32) -> Result<Self, Error> {
        if (1..=3600).contains(&pictures) {
            Ok(Self(pictures))
        } else {
            Err(Error::input(format!("GOP {pictures}: {}", Self::LEGAL), String::new()))
        }
    }

    const LEGAL: &'static str = "must be from 1 to 3600 pictures";

    /// The length in pictures.
    pub fn pictures(self) -> u32 {
        self.0
    }
}

impl FromStr for Gop {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().ok().and_then(|pictures| Self::new(pictures).ok()).ok_or_else(|| Self::LEGAL.to_owned())
    }
}

/// Which encoder codes the pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EncoderChoice {
    /// NVENC where it works, else OpenH264.
    #[default]
    Auto,
    /// NVENC or an error.
    Nvenc,
    /// OpenH264, on the CPU.
    Openh264,
}

/// NVENC's presets, from the fastest to the best picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// Fastest.
    P1,
    /// Between `P1` and `P3`.
    P2,
    /// Between `P2` and `P4`.
    P3,
    /// The middle: on all chips since Turing well within a frame interval at 1080p60.
    #[default]
    P4,
    /// Between `P4` and `P6`.
    P5,
    /// Between `P5` and `P7`.
    P6,
    /// Slowest.
    P7,
}

/// NVENC's tuning for live streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tuning {
    /// Low latency: no reordering, a little more room between pictures of different size.
    LowLatency,
    /// Ultra low latency: every picture within its interval.
    #[default]
    UltraLowLatency,
}

/// Who wraps a stream in MPEG-TS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MpegTs {
    /// An ffmpeg child. It counts pictures from 0, so a skipped one leaves no gap in the presentation times.
    Ffmpeg,
    /// This process, with the presentation times of the pacer.
    Native,
}

/// Permission bits of a new FIFO, octal, at least 0600: this process writes to it and, to wake itself, reads from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FifoMode(u32);

impl FifoMode {
    /// The permission bits.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl Default for FifoMode {
    /// Read and write for the owner and the group.
    fn default() -> Self {
        Self(0o660)
    }
}

impl FromStr for FifoMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        match u32::from_str_radix(digits, 8) {
            Ok(bits @ 0..=0o777) if bits & 0o600 == 0o600 && digits.bytes().all(|b| b.is_ascii_digit()) => {
                Ok(Self(bits))
            }
            _ => Err("must be octal permission bits from 0600 to 0777 with read and write for the owner, like 0660"
                .to_owned()),
        }
    }
}

impl fmt::Display for FifoMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// Capacity of a pipe in bytes, from 4k to 1M. Linux rounds it up to a power of two pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PipeSize(u32);

impl PipeSize {
    /// The capacity in bytes.
    pub fn bytes(self) -> u32 {
        self.0
    }
}

impl FromStr for PipeSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match parse_scaled(text, 1024.0) {
            Some(bytes @ 4096..=1_048_576) => Ok(Self(bytes)),
            _ => Err("must be from 4k to 1M bytes, as 256k or 262144".to_owned()),
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
    fn sides_are_even_and_bounded() {
        assert!(Size::new(64, 4096).is_ok());
        for side in [0, 62, 65, 4095, 4098, u32::MAX] {
            assert!(Size::new(side, 720).is_err());
            assert!(Size::new(1280, side).is_err());
        }
    }

    #[test]
    fn fifo_modes_and_pipe_sizes() {
        assert_eq!("0660".parse::<FifoMode>().unwrap().bits(), 0o660);
        assert_eq!("666".parse::<FifoMode>().unwrap().bits(), 0o666);
        for text in ["", "0888", "rw", "1777", "0o", "-660", "+660", "0060", "0440"] {
            assert!(text.parse::<FifoMode>().is_err(), "{text}");
        }
        assert_eq!("256k".parse::<PipeSize>().unwrap().bytes(), 262_144);
        for text in ["", "4095", "2M", "1.5M", "k"] {
            assert!(text.parse::<PipeSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_default_gop_is_one_second() {
        let mut settings = Settings::default();
        assert_eq!(settings.gop_length(), 60);
        settings.frame_rate = "30000/1001".parse().unwrap();
        assert_eq!(settings.gop_length(), 30);
        settings.gop = Some("7".parse().unwrap());
        assert_eq!(settings.gop_length(), 7);
    }
}
