//! YUV4MPEG2: what its header says about the pictures that follow. See yuv4mpeg(5) of the MJPEG tools.
//!
//! One tag is this program's own: `XPIXFMT=rgb24` (or `bgr24`, `rgba`, `bgra`, `gray8`) says that the pictures are of that
//! format, whatever `C` says, since the format knows no RGB.

use super::fit::LONGEST;
use crate::error::Error;
use crate::settings::{ColorRange, FrameRate, InputSettings, Named as _, PixelFormat, Shape};

/// What a stream begins with.
pub const SIGNATURE: &[u8] = b"YUV4MPEG2";
/// What each picture begins with.
pub const FRAME: &[u8] = b"FRAME";
/// A header is no longer than this, in bytes, with its line break. ffmpeg's are under 130.
pub const LONGEST_HEADER: usize = 1024;

const CONVERT: &str = "convert them in front: ffmpeg -i … -pix_fmt yuv420p -f yuv4mpegpipe -strict -1 -";

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub shape: Shape,
    /// `None` where it is unknown, or no rate of a stream.
    pub frame_rate: Option<FrameRate>,
}

/// Reads a header, without its line break. What it does not tell is as in `settings`.
///
/// # Errors
/// It is none, or of pictures that this program does not take.
pub fn parse(line: &[u8], settings: &InputSettings) -> Result<Header, Error> {
    let text = String::from_utf8_lossy(line);
    let mut tags = text.split(' ');
    if tags.next().map(str::as_bytes) != Some(SIGNATURE) {
        return Err(not_y4m(line));
    }
    let (mut width, mut height, mut frame_rate) = (None, None, None);
    let (mut format, mut pixels) = (PixelFormat::Yuv420p, None);
    let mut range = None;
    for tag in tags.filter(|tag| !tag.is_empty()) {
        let mut letters = tag.chars();
        let (tag_is, value) = (letters.next().unwrap_or(' '), letters.as_str());
        match tag_is {
            'W' => width = Some(side("width", value)?),
            'H' => height = Some(side("height", value)?),
            'F' => frame_rate = rate(value),
            'I' => progressive(value)?,
            'C' => format = format_of(value)?,
            'X' => match value.split_once('=') {
                Some(("COLORRANGE", "FULL")) => range = Some(ColorRange::Full),
                Some(("COLORRANGE", "LIMITED")) => range = Some(ColorRange::Limited),
                Some(("PIXFMT", name)) => pixels = Some(pixel_format(name)?),
                _ => {}
            },
            // The aspect of a pixel, and whatever a later version brings.
            _ => {}
        }
    }
    let (Some(width), Some(height)) = (width, height) else {
        return Err(Error::input("y4m-header", format!("the Y4M header has no width and height: {text:?}"), ""));
    };
    // `Cmono` is the luma of a video, unlike a grey picture that `XPIXFMT` names.
    let usual = pixels.map_or(ColorRange::Limited, PixelFormat::usual_range);
    let range = range.or(settings.range).unwrap_or(usual);
    let (format, matrix) = (pixels.unwrap_or(format), settings.matrix);
    Ok(Header { shape: Shape { width, height, format, matrix, range }, frame_rate })
}

/// Why what came is no header.
pub fn not_y4m(bytes: &[u8]) -> Error {
    let begins: String = String::from_utf8_lossy(&bytes[..bytes.len().min(24)]).escape_debug().collect();
    Error::input("input-not-y4m", format!("the input is no YUV4MPEG2: it begins with \"{begins}\""), "")
}

fn side(name: &str, value: &str) -> Result<u32, Error> {
    let side = value.parse().ok().filter(|side| (1..=LONGEST).contains(side) && !value.starts_with('+'));
    side.ok_or_else(|| {
        Error::input(
            "y4m-header",
            format!("the Y4M header has the {name} {value:?}, which is not from 1 to {LONGEST}"),
            "",
        )
    })
}

/// 0:0 is an unknown one; so is what no stream can have.
fn rate(value: &str) -> Option<FrameRate> {
    let (num, den) = value.split_once(':')?;
    FrameRate::new(num.parse().ok()?, den.parse().ok()?).ok()
}

fn progressive(value: &str) -> Result<(), Error> {
    let order = match value {
        "t" => "top field first",
        "b" => "bottom field first",
        "m" => "mixed",
        _ => return Ok(()),
    };
    Err(Error::input(
        "input-interlaced",
        format!("the input is interlaced ({order}), which browsers do not show"),
        "deinterlace it in front: ffmpeg -i … -vf yadif -f yuv4mpegpipe -",
    ))
}

/// The samples of a `C` tag. Where chroma lies between luma makes no difference to who looks.
fn format_of(value: &str) -> Result<PixelFormat, Error> {
    Ok(match value {
        "420" | "420jpeg" | "420mpeg2" | "420paldv" => PixelFormat::Yuv420p,
        "422" => PixelFormat::Yuv422p,
        "444" => PixelFormat::Yuv444p,
        "mono" => PixelFormat::Gray8,
        _ => {
            let kind =
                if value.contains('p') || value.starts_with("mono") { " (more than 8 bits a sample)" } else { "" };
            return Err(Error::input(
                "input-format",
                format!("the Y4M input has the format C{value}{kind}, which is not supported"),
                CONVERT,
            ));
        }
    })
}

fn pixel_format(name: &str) -> Result<PixelFormat, Error> {
    let format = PixelFormat::ALL.iter().find(|(_, known, _)| *known == name).map(|&(format, ..)| format);
    format.ok_or_else(|| {
        let known: Vec<_> = PixelFormat::ALL.iter().map(|&(_, name, _)| name).collect();
        Error::input(
            "input-format",
            format!("the Y4M input has the format XPIXFMT={name}, which is not supported"),
            format!("use one of these: {}", known.join(", ")),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Matrix;

    fn of(line: &str) -> Result<Header, Error> {
        parse(line.as_bytes(), &InputSettings::default())
    }

    #[test]
    fn headers_of_many_programs_are_read() {
        let header = |width, height, format, range, frame_rate: &str| Header {
            shape: Shape { width, height, format, matrix: Matrix::Bt709, range },
            frame_rate: frame_rate.parse().ok(),
        };
        use ColorRange::{Full, Limited};
        use PixelFormat::{Gray8, Rgb24, Yuv420p, Yuv422p, Yuv444p};
        for (line, expected) in [
            // ffmpeg
            (
                "YUV4MPEG2 W640 H360 F25:1 Ip A1:1 C420jpeg XYSCSS=420JPEG XCOLORRANGE=LIMITED",
                header(640, 360, Yuv420p, Limited, "25"),
            ),
            (
                "YUV4MPEG2 W640 H360 F30000:1001 Ip A0:0 C444 XYSCSS=444 XCOLORRANGE=FULL",
                header(640, 360, Yuv444p, Full, "30000/1001"),
            ),
            // GStreamer's y4menc, x264, mjpegtools, hand-made ones
            ("YUV4MPEG2 W320 H240 Ip F30:1 A1:1 C420", header(320, 240, Yuv420p, Limited, "30")),
            ("YUV4MPEG2 W13 H5 F60:1 I? A0:0 C422", header(13, 5, Yuv422p, Limited, "60")),
            ("YUV4MPEG2 H240 W320 Cmono", header(320, 240, Gray8, Limited, "")),
            ("YUV4MPEG2 W64 H64 F0:0 C420paldv", header(64, 64, Yuv420p, Limited, "")),
            ("YUV4MPEG2 W64 H64 F90000:1", header(64, 64, Yuv420p, Limited, "")),
            ("YUV4MPEG2 W64 H64 F30:1 XPIXFMT=gray8", header(64, 64, Gray8, Full, "30")),
            ("YUV4MPEG2 W64 H64 F30:1 C444 XPIXFMT=rgb24", header(64, 64, Rgb24, Limited, "30")),
        ] {
            assert_eq!(of(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn what_is_not_taken_is_named() {
        for (line, code, word) in [
            ("YUV4MPEG W64 H64", "input-not-y4m", "YUV4MPEG W64"),
            ("RIFF\u{0}\u{1}AVI", "input-not-y4m", "RIFF\\0"),
            ("YUV4MPEG2 W64 F30:1", "y4m-header", "no width and height"),
            ("YUV4MPEG2 W0 H64", "y4m-header", "width"),
            ("YUV4MPEG2 W64 H-1", "y4m-header", "height"),
            ("YUV4MPEG2 W99999999999999999999 H64", "y4m-header", "width"),
            ("YUV4MPEG2 W16385 H64", "y4m-header", "16384"),
            ("YUV4MPEG2 W64 H64 It", "input-interlaced", "top field first"),
            ("YUV4MPEG2 W64 H64 Ib", "input-interlaced", "bottom field first"),
            ("YUV4MPEG2 W64 H64 Im", "input-interlaced", "mixed"),
            ("YUV4MPEG2 W64 H64 C420p10", "input-format", "C420p10 (more than 8 bits"),
            ("YUV4MPEG2 W64 H64 Cmono16", "input-format", "more than 8 bits"),
            ("YUV4MPEG2 W64 H64 C411", "input-format", "C411"),
            ("YUV4MPEG2 W64 H64 C444alpha", "input-format", "C444alpha"),
            ("YUV4MPEG2 W64 H64 XPIXFMT=p010", "input-format", "p010"),
        ] {
            let error = of(line).unwrap_err();
            assert!(error.code() == code && error.cause().contains(word), "{line}: {error}");
        }
    }

    #[test]
    fn what_a_header_does_not_tell_is_as_was_said() {
        let settings = InputSettings { range: Some(ColorRange::Full), matrix: Matrix::Bt601 };
        let shape = parse(b"YUV4MPEG2 W64 H64", &settings).unwrap().shape;
        assert_eq!((shape.range, shape.matrix), (ColorRange::Full, Matrix::Bt601));
        let shape = parse(b"YUV4MPEG2 W64 H64 XCOLORRANGE=LIMITED", &settings).unwrap().shape;
        assert_eq!(shape.range, ColorRange::Limited);
    }
}
