//! GStreamer's caps as text, and what they say of the pictures that follow.

use super::device_format::DeviceFormat;
use crate::settings::{ColorRange, FrameRate, Matrix, PixelFormat, Shape};

/// More bytes than a picture of 8K has in any format: whoever sends the caps decides how much memory a picture takes.
const LARGEST_PICTURE: usize = 256 << 20;

/// The height up to which GStreamer takes a picture for SD, where its colours are not told.
const HIGHEST_SD: u32 = 576;

/// GStreamer's name for memory that comes as dma-bufs.
const DEVICE_MEMORY: &str = "memory:DMABuf";

/// What a producer says of the pictures that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    pub shape: Shape,
    /// `None` for one that varies, or is not told.
    pub frame_rate: Option<FrameRate>,
    /// `None` for memory that any program reads.
    pub device: Option<DeviceFormat>,
}

/// What makes these caps none for pictures that can be read.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// No raw video, but this.
    Type(String),
    /// Raw video in this format.
    Format(String),
    /// In memory that only a library reads, by GStreamer's name for it.
    Memory(String),
    /// In memory of a device, in this format.
    Device(String),
    /// Fields, by GStreamer's name for how they lie.
    Interlaced(String),
    /// Luma and chroma of this colorimetry.
    Colorimetry(String),
    /// Of this size.
    Size(String),
}

/// Reads fixed caps. `None` where the sink has none yet.
///
/// # Errors
/// What they describe cannot be read.
pub fn parse(text: &str) -> Result<Option<Caps>, Refused> {
    // What GStreamer writes for no caps, and for none in particular.
    if matches!(text.trim(), "" | "NULL" | "EMPTY" | "ANY") {
        return Ok(None);
    }
    let parts = split(text);
    let (head, fields) = parts.split_first().map_or(("", &[][..]), |(head, fields)| (*head, fields));
    let (name, features) = head.trim().split_once('(').unwrap_or((head.trim(), ""));
    let value = |wanted: &str| {
        let mut fields = fields.iter().filter_map(|field| field.split_once('='));
        fields.find(|(name, _)| name.trim() == wanted).map(|(_, value)| bare(value))
    };
    if name.trim() != "video/x-raw" {
        return Err(Refused::Type(shortened(name)));
    }
    let mut is_device = false;
    for feature in features.trim_end_matches(')').split(',').map(str::trim) {
        match feature {
            DEVICE_MEMORY => is_device = true,
            "memory:SystemMemory" => {}
            other if other.starts_with("memory:") => return Err(Refused::Memory(shortened(feature))),
            _ => {}
        }
    }
    if let Some(mode) = value("interlace-mode").filter(|mode| mode != "progressive") {
        return Err(Refused::Interlaced(shortened(&mode)));
    }
    let name = value("format").unwrap_or_default();
    let (format, device) = match pixel_format(&name) {
        Some(format) if is_device => (format, Some(DeviceFormat::untold(format))),
        Some(format) => (format, None),
        None if is_device && name == "DMA_DRM" => {
            let drm = value("drm-format").unwrap_or_default();
            let (device, format) = DeviceFormat::parse(&drm).ok_or_else(|| Refused::Device(shortened(&drm)))?;
            (format, Some(device))
        }
        None if is_device => return Err(Refused::Device(shortened(&name))),
        None => return Err(Refused::Format(shortened(&name))),
    };
    let side = |name| value(name).and_then(|side| side.parse::<u32>().ok()).filter(|side| *side > 0);
    let size = || format!("{}x{}", value("width").unwrap_or_default(), value("height").unwrap_or_default());
    let (Some(width), Some(height)) = (side("width"), side("height")) else {
        return Err(Refused::Size(shortened(&size())));
    };
    let (matrix, range) = match value("colorimetry").and_then(|text| Some((colorimetry(&text)?, text))) {
        Some(((tag, range), text)) => {
            colors(format, height, tag, range).ok_or_else(|| Refused::Colorimetry(shortened(&text)))?
        }
        None => untold(format, height),
    };
    let shape = Shape { width, height, format, matrix, range };
    shape.bytes().filter(|bytes| *bytes <= LARGEST_PICTURE).ok_or_else(|| Refused::Size(shortened(&size())))?;
    let frame_rate = value("framerate").and_then(|rate| {
        let (num, den) = rate.split_once('/')?;
        FrameRate::new(num.parse().ok()?, den.parse().ok()?).ok()
    });
    Ok(Some(Caps { shape, frame_rate, device }))
}

/// What the sink says, for a message: it may be anything, and of any length.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 40;
    let mut short: String =
        text.trim().chars().take(LONGEST).map(|it| if it.is_control() { '?' } else { it }).collect();
    if text.trim().chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}

/// The parts between the commas that stand for themselves, of the first of several structures.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0u32);
    let (mut quoted, mut escaped) = (false, false);
    for (at, it) in text.char_indices() {
        match it {
            _ if std::mem::take(&mut escaped) => {}
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' | '>' => depth = depth.saturating_sub(1),
            ',' | ';' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
                if it == ';' {
                    return parts;
                }
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// A value without its type and its quotation marks.
fn bare(value: &str) -> String {
    let value = value.trim();
    let value = match value.strip_prefix('(').and_then(|value| value.split_once(')')) {
        Some((_type, value)) => value.trim(),
        None => value,
    };
    match value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) {
        Some(quoted) => quoted.replace('\\', ""),
        None => value.to_owned(),
    }
}

/// GStreamer's names.
fn pixel_format(name: &str) -> Option<PixelFormat> {
    Some(match name {
        "RGBA" | "RGBx" => PixelFormat::Rgba,
        "BGRA" | "BGRx" => PixelFormat::Bgra,
        "RGB" => PixelFormat::Rgb24,
        "BGR" => PixelFormat::Bgr24,
        "GRAY8" => PixelFormat::Gray8,
        "I420" => PixelFormat::Yuv420p,
        "Y42B" => PixelFormat::Yuv422p,
        "Y444" => PixelFormat::Yuv444p,
        "NV12" => PixelFormat::Nv12,
        _ => return None,
    })
}

/// `GstVideoColorMatrix`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tag {
    Untold,
    Rgb,
    Known(Matrix),
    Other,
}

/// The matrix and the range of one of GStreamer's names, or of `range:matrix:transfer:primaries`. `None` for anything else.
fn colorimetry(text: &str) -> Option<(Tag, Option<ColorRange>)> {
    let limited = Some(ColorRange::Limited);
    Some(match text {
        "bt601" => (Tag::Known(Matrix::Bt601), limited),
        "bt709" => (Tag::Known(Matrix::Bt709), limited),
        "sRGB" => (Tag::Rgb, Some(ColorRange::Full)),
        "smpte240m" | "bt2020" | "bt2020-10" | "bt2100-pq" | "bt2100-hlg" => (Tag::Other, limited),
        numbers => {
            let numbers: Vec<u32> = numbers.split(':').map(|it| it.parse().ok()).collect::<Option<_>>()?;
            let [range, matrix, _transfer, _primaries] = numbers[..] else { return None };
            let range = match range {
                1 => Some(ColorRange::Full),
                2 => limited,
                _ => None,
            };
            let tag = match matrix {
                0 => Tag::Untold,
                1 => Tag::Rgb,
                // The FCC's differs from BT.601's by less than a value.
                2 | 4 => Tag::Known(Matrix::Bt601),
                3 => Tag::Known(Matrix::Bt709),
                _ => Tag::Other,
            };
            (tag, range)
        }
    })
}

/// What such a tag means for pictures of `format`. `None` where no matrix of this program is meant.
fn colors(format: PixelFormat, height: u32, tag: Tag, range: Option<ColorRange>) -> Option<(Matrix, ColorRange)> {
    let untold = untold(format, height);
    match tag {
        _ if !format.is_ycbcr() => Some(untold),
        // Grey has no chroma, and any matrix leaves its luma alone.
        Tag::Known(_) | Tag::Untold | Tag::Other if format == PixelFormat::Gray8 => {
            Some((untold.0, range.unwrap_or(untold.1)))
        }
        Tag::Known(matrix) => Some((matrix, range.unwrap_or(untold.1))),
        // GStreamer takes these for a mistake, and the whole tag for untold.
        Tag::Rgb | Tag::Untold => Some(untold),
        Tag::Other => None,
    }
}

/// What GStreamer assumes of pictures without a colorimetry.
fn untold(format: PixelFormat, height: u32) -> (Matrix, ColorRange) {
    match format {
        PixelFormat::Gray8 => (Matrix::Bt601, ColorRange::Full),
        _ if height > HIGHEST_SD => (Matrix::Bt709, ColorRange::Limited),
        _ => (Matrix::Bt601, ColorRange::Limited),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Shape {
        parse(text)
            .unwrap_or_else(|refused| panic!("{text}: {refused:?}"))
            .unwrap_or_else(|| panic!("{text}: none yet"))
            .shape
    }

    #[test]
    fn what_gstreamer_writes_is_understood() {
        let text = "video/x-raw, format=(string)RGBA, width=(int)640, height=(int)480, framerate=(fraction)30/1, \
                    multiview-mode=(string)mono, multiview-flags=(GstVideoMultiviewFlagsSet)0:ffffffff:/right-view-first, \
                    pixel-aspect-ratio=(fraction)1/1, interlace-mode=(string)progressive, colorimetry=(string)sRGB";
        let rgba = shape(text);
        assert_eq!((rgba.width, rgba.height, rgba.format), (640, 480, PixelFormat::Rgba));
        for (rate, expected) in [("30/1", FrameRate::new(30, 1).ok()), ("0/1", None), ("30/0", None), ("30", None)] {
            assert_eq!(parse(&text.replace("30/1", rate)).unwrap().unwrap().frame_rate, expected);
        }
        for (name, format) in
            [("BGRx", PixelFormat::Bgra), ("GRAY8", PixelFormat::Gray8), ("Y42B", PixelFormat::Yuv422p)]
        {
            assert_eq!(shape(&text.replace("RGBA", name)).format, format);
        }
        // Others write them by hand, or with fields that hold commas.
        for text in [
            "video/x-raw,format=RGB,width=640,height=480",
            "video/x-raw(memory:SystemMemory, meta:GstVideoOverlayComposition), width=640, height=480, format=RGB",
            "video/x-raw, taps=(int){ 1, 2 }, note=(string)\"a, width=1; \\\" [\", size=(int)< 3, 4 >, format=(string)\"RGB\", \
             width=(int)640, height=(int)480; video/x-raw, format=(string)NV12",
        ] {
            let shape = shape(text);
            assert_eq!((shape.width, shape.height, shape.format), (640, 480, PixelFormat::Rgb24), "{text}");
        }
        for none in ["NULL", "", "EMPTY", "ANY"] {
            assert_eq!(parse(none), Ok(None));
        }
    }

    #[test]
    fn colours_are_as_gstreamer_understands_them() {
        let (bt601, bt709) = (Matrix::Bt601, Matrix::Bt709);
        let (full, limited) = (ColorRange::Full, ColorRange::Limited);
        for (format, height, colorimetry, expected) in [
            ("I420", 480, "bt709", (bt709, limited)),
            ("I420", 1080, "bt601", (bt601, limited)),
            ("NV12", 480, "1:4:0:0", (bt601, full)),
            ("NV12", 480, "2:3:5:1", (bt709, limited)),
            ("NV12", 480, "0:3:5:1", (bt709, limited)),
            ("I420", 576, "", (bt601, limited)),
            ("I420", 577, "", (bt709, limited)),
            // A mistake, so that nothing of it counts.
            ("I420", 480, "sRGB", (bt601, limited)),
            ("I420", 720, "1:0:0:0", (bt709, limited)),
            ("I420", 720, "purple", (bt709, limited)),
            ("I420", 720, "1:3:5", (bt709, limited)),
            ("GRAY8", 480, "", (bt601, full)),
            ("GRAY8", 480, "bt709", (bt601, limited)),
            ("GRAY8", 480, "1:0:0:0", (bt601, full)),
            ("GRAY8", 480, "bt2020", (bt601, limited)),
        ] {
            let tag =
                if colorimetry.is_empty() { String::new() } else { format!(", colorimetry=(string){colorimetry}") };
            let text = format!("video/x-raw, format=(string){format}, width=(int)640, height=(int){height}{tag}");
            let shape = shape(&text);
            assert_eq!((shape.matrix, shape.range), expected, "{text}");
        }
        // The tag of RGB is of no matter.
        assert_eq!(shape("video/x-raw, format=RGB, width=1, height=1, colorimetry=bt2020").format, PixelFormat::Rgb24);
    }

    #[test]
    fn what_lies_in_the_memory_of_a_device_is_named_as_its_driver_names_it() {
        let device = |format: &str| {
            let size = "width=(int)64, height=(int)48, colorimetry=(string)bt709";
            let text = format!("video/x-raw(memory:DMABuf), format=(string){format}, {size}");
            let Caps { shape, device, .. } = parse(&text).unwrap().unwrap();
            let device = device.expect("it is a device's");
            assert_eq!((shape.width, shape.height), (64, 48));
            (shape.format, device.to_string(), device.modifier)
        };
        let (nv12, bgra) = (PixelFormat::Nv12, PixelFormat::Bgra);
        let tiled = 0x0100_0000_0000_0002;
        for (format, expected) in [
            ("NV12", (nv12, "NV12", None)),
            ("BGRx", (bgra, "XR24", None)),
            ("DMA_DRM, drm-format=(string)NV12", (nv12, "NV12", Some(0))),
            ("DMA_DRM, drm-format=(string)AR24", (bgra, "AR24", Some(0))),
            ("DMA_DRM, drm-format=(string)\"R8\\ \\ \"", (PixelFormat::Gray8, "R8", Some(0))),
            ("DMA_DRM, drm-format=NV12:0x0100000000000002", (nv12, "NV12:0x0100000000000002", Some(tiled))),
            ("DMA_DRM, drm-format=NV12:0x00ffffffffffffff", (nv12, "NV12", None)),
        ] {
            let (pixels, name, modifier) = device(format);
            assert_eq!((pixels, name.as_str(), modifier), expected, "{format}");
        }
        assert_eq!(parse("video/x-raw, format=NV12, width=2, height=2").unwrap().unwrap().device, None);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let refused = |text: &str| parse(text).unwrap_err();
        let raw = "video/x-raw, format=(string)I420, width=(int)640, height=(int)480";
        assert_eq!(refused("audio/x-raw, format=(string)S16LE"), Refused::Type("audio/x-raw".into()));
        assert_eq!(refused("video/x-h264"), Refused::Type("video/x-h264".into()));
        assert_eq!(refused(&raw.replace("I420", "P010_10LE")), Refused::Format("P010_10LE".into()));
        assert_eq!(refused("video/x-raw, width=1, height=1"), Refused::Format(String::new()));
        let gl = "video/x-raw(memory:GLMemory), format=(string)RGBA, width=(int)640, height=(int)480";
        assert_eq!(refused(gl), Refused::Memory("memory:GLMemory".into()));
        let device = "video/x-raw(memory:DMABuf), width=(int)640, height=(int)480, format=(string)";
        for (format, shown) in [
            ("P010_10LE", "P010_10LE"),
            ("DMA_DRM", ""),
            ("DMA_DRM, drm-format=(string)P010", "P010"),
            ("DMA_DRM, drm-format=(string)NV12:0x", "NV12:0x"),
            ("DMA_DRM, drm-format=(string)NV12:2", "NV12:2"),
            ("DMA_DRM, drm-format=(string)NV12:0x10000000000000000", "NV12:0x10000000000000000"),
            ("DMA_DRM, drm-format=(string)NV120", "NV120"),
        ] {
            assert_eq!(refused(&format!("{device}{format}")), Refused::Device(shown.into()));
        }
        // A format of devices alone.
        assert_eq!(refused(&raw.replace("I420", "DMA_DRM")), Refused::Format("DMA_DRM".into()));
        let interlaced = format!("{raw}, interlace-mode=(string)interleaved");
        assert_eq!(refused(&interlaced), Refused::Interlaced("interleaved".into()));
        assert_eq!(refused(&format!("{raw}, colorimetry=(string)bt2020")), Refused::Colorimetry("bt2020".into()));
        assert_eq!(refused(&format!("{raw}, colorimetry=2:5:7:1")), Refused::Colorimetry("2:5:7:1".into()));
        for (width, shown) in
            [("0", "0x480"), ("-640", "-640x480"), ("[ 1, 640 ]", "[ 1, 640 ]x480"), ("4294967295", "4294967295x480")]
        {
            assert_eq!(refused(&raw.replace("640", width)), Refused::Size(shown.into()));
        }
        assert_eq!(refused("video/x-raw, format=RGBA, width=65535, height=65535"), Refused::Size("65535x65535".into()));
        let Refused::Type(long) = refused(&"\u{7}x".repeat(1 << 19)) else { panic!() };
        assert_eq!(long, format!("{}…", "?x".repeat(20)));
    }
}
