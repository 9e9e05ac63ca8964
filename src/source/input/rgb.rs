//! RGB in any order, as luma and chroma of BT.709 in limited range.

use crate::settings::PixelFormat;
use yuv::{BufferStoreMut, YuvConversionMode, YuvError, YuvPlanarImageMut, YuvRange, YuvStandardMatrix};

/// How much chroma is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chroma {
    /// A sample for each pixel.
    Full,
    /// The mean of each four pixels. Both sides of the picture are even.
    Quarter,
}

type Convert = fn(
    &mut YuvPlanarImageMut<'_, u8>,
    &[u8],
    u32,
    YuvRange,
    YuvStandardMatrix,
    YuvConversionMode,
) -> Result<(), YuvError>;

/// Converts pictures of one order.
#[derive(Debug)]
pub struct Rgb {
    full: Convert,
    quarter: Convert,
    /// Bytes of a pixel.
    bytes: usize,
    /// Rows without padding.
    packed: Vec<u8>,
}

impl Rgb {
    /// `None` where `format` is luma and chroma already.
    pub fn new(format: PixelFormat) -> Option<Self> {
        let (full, quarter, bytes): (Convert, Convert, _) = match format {
            PixelFormat::Rgb24 => (yuv::rgb_to_yuv444, yuv::rgb_to_yuv420, 3),
            PixelFormat::Bgr24 => (yuv::bgr_to_yuv444, yuv::bgr_to_yuv420, 3),
            PixelFormat::Rgba => (yuv::rgba_to_yuv444, yuv::rgba_to_yuv420, 4),
            PixelFormat::Bgra => (yuv::bgra_to_yuv444, yuv::bgra_to_yuv420, 4),
            _ => return None,
        };
        Some(Self { full, quarter, bytes, packed: Vec::new() })
    }

    /// Converts the first `width` columns and `height` rows of what lies in `pixels`, a row every `pitch` bytes, to planes
    /// of Y, Cb and Cr without padding.
    pub fn convert(
        &mut self,
        (pixels, pitch): (&[u8], usize),
        (width, height): (usize, usize),
        chroma: Chroma,
        [y, cb, cr]: [&mut [u8]; 3],
    ) {
        let (convert, step) = match chroma {
            Chroma::Full => (self.full, 1),
            Chroma::Quarter => (self.quarter, 2),
        };
        // The crate passes over a row whose padding is not all there, as behind the last one.
        let whole = if u32::try_from(pitch).is_ok() { (pixels.len() / pitch).min(height) / step * step } else { 0 };
        self.packed.clear();
        for row in whole..height {
            self.packed.extend_from_slice(&pixels[row * pitch..][..width * self.bytes]);
        }
        let (y, last_y) = y.split_at_mut(whole * width);
        let chroma_width = width / step;
        let (cb, last_cb) = cb.split_at_mut(whole / step * chroma_width);
        let (cr, last_cr) = cr.split_at_mut(whole / step * chroma_width);
        let last = (&*self.packed, width * self.bytes, height - whole, [last_y, last_cb, last_cr]);
        for (pixels, pitch, height, [y, cb, cr]) in [(pixels, pitch, whole, [y, cb, cr]), last] {
            if height == 0 {
                continue;
            }
            let mut image = YuvPlanarImageMut {
                y_plane: BufferStoreMut::Borrowed(y),
                y_stride: width as u32,
                u_plane: BufferStoreMut::Borrowed(cb),
                u_stride: chroma_width as u32,
                v_plane: BufferStoreMut::Borrowed(cr),
                v_stride: chroma_width as u32,
                width: width as u32,
                height: height as u32,
            };
            let (range, matrix) = (YuvRange::Limited, YuvStandardMatrix::Bt709);
            convert(&mut image, pixels, pitch as u32, range, matrix, YuvConversionMode::Balanced)
                .expect("planes and rows are of the sizes given");
        }
    }
}
