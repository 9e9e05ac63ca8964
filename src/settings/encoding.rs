//! Who encodes, and how it is asked to.

use super::named::Named;

/// Which encoder to use.
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

impl Named for EncoderChoice {
    const ALL: &'static [(Self, &'static str, &'static str)] =
        &[(Self::Auto, "auto", ""), (Self::Nvenc, "nvenc", ""), (Self::Openh264, "openh264", "")];
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

impl Named for Preset {
    const ALL: &'static [(Self, &'static str, &'static str)] = &[
        (Self::P1, "p1", ""),
        (Self::P2, "p2", ""),
        (Self::P3, "p3", ""),
        (Self::P4, "p4", ""),
        (Self::P5, "p5", ""),
        (Self::P6, "p6", ""),
        (Self::P7, "p7", ""),
    ];
}

/// NVENC's tuning for live streams. How large a picture may be, and that none waits for another, is set beside it: what is
/// left to it are choices of the driver's own. Both deliver each picture before the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tuning {
    /// Low latency: for streams that have an IDR now and then.
    #[default]
    LowLatency,
    /// Ultra low latency: for lines that carry no more than the bitrate, on which IDRs are asked for one by one.
    UltraLowLatency,
}

impl Named for Tuning {
    const ALL: &'static [(Self, &'static str, &'static str)] =
        &[(Self::LowLatency, "ll", ""), (Self::UltraLowLatency, "ull", "")];
}

/// Who wraps a stream in MPEG-TS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MpegTs {
    /// An ffmpeg child. It counts pictures from 0, so a skipped one leaves no gap in the presentation times.
    Ffmpeg,
    /// This process, with the presentation times of the pacer.
    #[default]
    Native,
}

impl Named for MpegTs {
    const ALL: &'static [(Self, &'static str, &'static str)] = &[
        (Self::Ffmpeg, "ffmpeg", "An ffmpeg child"),
        (Self::Native, "native", "This process: keeps each picture's own time, needs no ffmpeg"),
    ];
}
