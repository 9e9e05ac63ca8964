//! The pictures that a shader reads as `iChannel0` to `iChannel3`: PNG and JPEG, upright, as four bytes a pixel.

use crate::error::Error;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits};
use std::fs::File;
use std::io::{Cursor, Read as _};
use std::path::{Path, PathBuf};

/// Longer files are no pictures that a shader samples.
const MAX_BYTES: u64 = 64 << 20;
/// Longest side in pixels. With its smaller levels a texture of this size takes 340 MiB.
const MAX_SIDE: u32 = 8192;

/// A decoded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// The file that it is from.
    pub path: PathBuf,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Red, green, blue and opacity, not multiplied; the **bottom** row first, as in GL.
    pub rgba: Vec<u8>,
}

impl Channel {
    /// Reads the picture in `path`.
    ///
    /// # Errors
    /// It cannot be read, is neither PNG nor JPEG, ends early or is broken, or is too large. The fault is the caller's.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let name = path.display();
        let mut bytes = Vec::new();
        File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(|error| {
            Error::input("channel-unreadable", format!("cannot read the picture {name}"), "").caused_by(error)
        })?;
        let too_large =
            |what: String| Error::input("channel-too-large", format!("the picture {name} is too large: {what}"), "");
        if bytes.len() as u64 > MAX_BYTES {
            return Err(too_large(format!("more than {} MiB", MAX_BYTES >> 20)));
        }
        let format = match image::guess_format(&bytes) {
            Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) => format,
            guess => {
                let seen = match guess {
                    Ok(other) => format!("it is {}", other.to_mime_type()),
                    Err(_) if bytes.is_empty() => "it is empty".to_owned(),
                    Err(_) => "it is no picture that is known here".to_owned(),
                };
                return Err(Error::input("channel-format", format!("{name} is neither PNG nor JPEG: {seen}"), ""));
            }
        };
        let broken =
            |why: String| Error::input("channel-broken", format!("cannot decode the picture {name}: {why}"), "");
        if format == ImageFormat::Jpeg && !is_whole_jpeg(&bytes) {
            return Err(broken("it ends in the middle".to_owned()));
        }
        let mut limits = Limits::default();
        limits.max_alloc = Some(1 << 30);
        let mut reader = ImageReader::with_format(Cursor::new(&bytes), format);
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(|error| broken(error.to_string()))?;
        let (width, height) = decoder.dimensions();
        if width > MAX_SIDE || height > MAX_SIDE {
            return Err(too_large(format!("{width}x{height}, and {MAX_SIDE} pixels are the longest side")));
        }
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| broken(error.to_string()))?;
        picture.apply_orientation(orientation);
        let rgba = picture.flipv().into_rgba8();
        let (width, height) = rgba.dimensions();
        Ok(Self { path: path.to_owned(), width, height, rgba: rgba.into_raw() })
    }
}

/// Whether an end (EOI) follows the last start of a scan (SOS) in a JPEG file, ISO/IEC 10918-1 table B.1. Decoders show
/// what there is of one that ends early, as grey as it may be.
fn is_whole_jpeg(bytes: &[u8]) -> bool {
    let last = |marker: [u8; 2]| memchr::memmem::rfind(bytes, &marker);
    last([0xff, 0xd9]) > last([0xff, 0xda])
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayAlphaImage, ImageBuffer, Luma, Rgb, RgbImage, Rgba, RgbaImage};

    /// Two columns and two rows: red, green; blue, white.
    fn corners() -> RgbImage {
        RgbImage::from_fn(2, 2, |x, y| match (x, y) {
            (0, 0) => Rgb([255, 0, 0]),
            (1, 0) => Rgb([0, 255, 0]),
            (0, 1) => Rgb([0, 0, 255]),
            _ => Rgb([255; 3]),
        })
    }

    fn encoded(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.into().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn read(bytes: &[u8]) -> Result<Channel, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("picture");
        std::fs::write(&path, bytes).unwrap();
        Channel::read(&path)
    }

    #[test]
    fn the_bottom_row_comes_first() {
        let channel = read(&encoded(corners(), ImageFormat::Png)).unwrap();
        assert_eq!((channel.width, channel.height), (2, 2));
        assert_eq!(channel.rgba, [[0, 0, 255, 255], [255; 4], [255, 0, 0, 255], [0, 255, 0, 255]].concat());
    }

    #[test]
    fn every_kind_of_png_becomes_four_bytes_a_pixel() {
        let one = |picture: DynamicImage| read(&encoded(picture, ImageFormat::Png)).unwrap().rgba;
        assert_eq!(one(RgbaImage::from_pixel(1, 1, Rgba([10, 20, 30, 40])).into()), [10, 20, 30, 40]);
        assert_eq!(one(GrayAlphaImage::from_pixel(1, 1, image::LumaA([10, 40])).into()), [10, 10, 10, 40]);
        let deep: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_pixel(1, 1, Luma([0x8080]));
        assert_eq!(one(deep.into()), [128, 128, 128, 255]);
        let deep: ImageBuffer<Rgb<u16>, Vec<u16>> = ImageBuffer::from_pixel(1, 1, Rgb([0xffff, 0, 0x4040]));
        assert_eq!(one(deep.into()), [255, 0, 64, 255]);
    }

    /// A JPEG with an EXIF orientation: ISO/IEC 10918-1 APP1, and a TIFF with one entry.
    fn turned(orientation: u8) -> Vec<u8> {
        let picture = RgbImage::from_fn(32, 16, |x, _| if x < 16 { Rgb([255; 3]) } else { Rgb([0; 3]) });
        let jpeg = encoded(picture, ImageFormat::Jpeg);
        let tiff =
            [b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".as_slice(), &[orientation, 0, 0, 0, 0, 0, 0, 0]].concat();
        let exif = [b"Exif\0\0".as_slice(), &tiff].concat();
        let length = (exif.len() as u16 + 2).to_be_bytes();
        [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
    }

    #[test]
    fn a_photograph_stands_upright() {
        let upright = read(&turned(1)).unwrap();
        assert_eq!((upright.width, upright.height), (32, 16));
        assert!(upright.rgba[0] > 240 && upright.rgba[31 * 4] < 15);
        // To be turned by 90 degrees clockwise: what was left is on top.
        let turned = read(&turned(6)).unwrap();
        assert_eq!((turned.width, turned.height), (16, 32));
        assert!(turned.rgba[0] < 15 && turned.rgba[31 * 16 * 4] > 240);
    }

    #[test]
    fn what_is_no_picture_is_refused_with_the_reason() {
        let png = encoded(RgbImage::from_pixel(64, 64, Rgb([1, 2, 3])), ImageFormat::Png);
        let jpeg = encoded(RgbImage::from_fn(64, 64, |x, y| Rgb([(x * y) as u8; 3])), ImageFormat::Jpeg);
        // A PNG says its size in bytes 16 to 24, and the checksum of that part behind.
        let mut huge = png.clone();
        huge[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        let checksum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&huge[12..29]);
        huge[29..33].copy_from_slice(&checksum.to_be_bytes());
        let cases: [(&[u8], &str, &str); 8] = [
            (b"", "channel-format", "empty"),
            (b"void mainImage() {}", "channel-format", "no picture"),
            (b"GIF89a\x01\0\x01\0", "channel-format", "image/gif"),
            (&png[..png.len() / 2], "channel-broken", "cannot decode"),
            (&jpeg[..jpeg.len() / 2], "channel-broken", "in the middle"),
            (&jpeg[..20], "channel-broken", ""),
            (&png[..20], "channel-broken", ""),
            (&huge, "channel-too-large", "65536x65536"),
        ];
        for (bytes, code, words) in cases {
            let error = read(bytes).unwrap_err();
            assert_eq!(error.code(), code, "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
        for path in ["/no/such/picture.png", "/"] {
            assert_eq!(Channel::read(Path::new(path)).unwrap_err().code(), "channel-unreadable");
        }
    }
}
