//! Pictures from outside as what the encoder takes: 4:2:0, BT.709 in limited range, of the stream's size.
//!
//! Where the size is the stream's own, each row is converted while it is in the cache, straight into the picture, so that a
//! picture may come a few rows at a time. Where it is not, planes are scaled first and corrected afterwards. Alpha is
//! ignored; transfer and primaries stay as they are.

use super::chroma;
use super::correction::Correction;
use super::fit::{self, Fit};
use super::rgb::{Chroma, Rgb};
use super::scale::{Plane, Scaler};
use crate::color;
use crate::encoder::HostPicture;
use crate::error::Error;
use crate::settings::{ColorRange, Matrix, PixelFormat, Shape, Size};
use crate::source::Planes;
use std::ops::Range;

/// Whether the samples of `shape` are a [`HostPicture`] of `size` as they are, so that nothing has to be converted.
pub fn is_native(shape: &Shape, size: Size) -> bool {
    let own = Shape {
        width: size.width(),
        height: size.height(),
        format: PixelFormat::Yuv420p,
        matrix: Matrix::Bt709,
        range: ColorRange::Limited,
    };
    *shape == own
}

/// Converts pictures of one shape to one size. Holds the memory that it needs on the way.
#[derive(Debug)]
pub struct Converter {
    shape: Shape,
    size: Size,
    rgb: Option<Rgb>,
    correction: Option<Correction>,
    scaler: Option<Scaler>,
    /// Planes of the source's size, on their way to the scaler.
    unscaled: [Vec<u8>; 3],
}

/// Row `at` of a plane that has rows of `pitch` bytes, as far as `length`.
fn row((samples, pitch): (&[u8], usize), at: usize, length: usize) -> &[u8] {
    &samples[at * pitch..][..length]
}

impl Converter {
    /// For pictures of `shape` in a stream of `size`.
    ///
    /// # Errors
    /// Pictures of a size that cannot be.
    pub fn new(shape: &Shape, size: Size) -> Result<Self, Error> {
        fit::check(shape.width, shape.height)?;
        let rgb = Rgb::new(shape.format);
        let correction = match shape.format {
            _ if rgb.is_some() => None,
            // The matrix has to do with chroma, of which there is none.
            PixelFormat::Gray8 => Correction::new(Matrix::Bt709, shape.range),
            _ => Correction::new(shape.matrix, shape.range),
        };
        let is_scaled = (shape.width & !1, shape.height & !1) != (size.width(), size.height());
        let scaler = is_scaled.then(|| Scaler::new(Fit::new(shape.width, shape.height, size)));
        Ok(Self { shape: *shape, size, rgb, correction, scaler, unscaled: Default::default() })
    }

    /// Fills `picture` with what `planes` show.
    ///
    /// # Panics
    /// The planes are not of the shape, or the picture not of the size, that this was made for.
    pub fn convert(&mut self, planes: &Planes<'_>, picture: &mut HostPicture) {
        assert_eq!(self.size, picture.size(), "a picture of the converter's size");
        let Self { shape, rgb, correction, scaler, unscaled, .. } = self;
        match (rgb, scaler) {
            (None, Some(scaler)) => scale_planes(shape, *correction, planes, unscaled, scaler, picture),
            (Some(rgb), Some(scaler)) => scale_rgb(shape, rgb, planes, unscaled, scaler, picture),
            (_, None) => self.convert_rows(planes, 0..picture.size().height() as usize, picture),
        }
    }

    /// Whether [`Converter::convert_rows`] does: the size is the stream's own.
    pub fn goes_by_rows(&self) -> bool {
        self.scaler.is_none()
    }

    /// Fills these rows of `picture`, an even number from an even one on, with what `planes` show: those rows of the source
    /// and no others.
    ///
    /// # Panics
    /// As [`Converter::convert`] does, and where the size is not the stream's own.
    pub fn convert_rows(&mut self, planes: &Planes<'_>, rows: Range<usize>, picture: &mut HostPicture) {
        assert!(self.goes_by_rows() && self.size == picture.size(), "a picture of the converter's size");
        let width = self.size.width() as usize;
        let (y, cb, cr) = picture.planes_mut();
        let y = &mut y[rows.start * width..rows.end * width];
        let [cb, cr] = [cb, cr].map(|plane| &mut plane[rows.start / 2 * (width / 2)..rows.end / 2 * (width / 2)]);
        match &mut self.rgb {
            Some(rgb) => rgb.convert(planes.plane(0), (width, rows.len()), Chroma::Quarter, [y, cb, cr]),
            None => by_rows(self.shape.format, self.correction, planes, width, [y, cb, cr]),
        }
    }
}

/// Luma and chroma of the stream's own size.
fn by_rows(
    format: PixelFormat,
    correction: Option<Correction>,
    planes: &Planes<'_>,
    width: usize,
    [y, cb, cr]: [&mut [u8]; 3],
) {
    let half = width / 2;
    let source = [0, 1, 2].map(|at| planes.plane(at));
    let chroma_rows = cb.chunks_exact_mut(half).zip(cr.chunks_exact_mut(half));
    for (pair, (y, (cb, cr))) in y.chunks_exact_mut(2 * width).zip(chroma_rows).enumerate() {
        let two_rows = |plane: usize, length| [2 * pair, 2 * pair + 1].map(|at| row(source[plane], at, length));
        match format {
            PixelFormat::Yuv420p => {
                cb.copy_from_slice(row(source[1], pair, half));
                cr.copy_from_slice(row(source[2], pair, half));
            }
            PixelFormat::Yuv422p => {
                chroma::mean_of_two(two_rows(1, half), cb);
                chroma::mean_of_two(two_rows(2, half), cr);
            }
            PixelFormat::Yuv444p => {
                chroma::mean_of_four(two_rows(1, width), cb);
                chroma::mean_of_four(two_rows(2, width), cr);
            }
            PixelFormat::Nv12 => color::separate(row(source[1], pair, width), cb, cr),
            _ => {
                cb.fill(128);
                cr.fill(128);
            }
        }
        for (at, y) in (2 * pair..).zip(y.chunks_exact_mut(width)) {
            y.copy_from_slice(row(source[0], at, width));
            let Some(correction) = correction else { continue };
            match format {
                PixelFormat::Yuv422p => correction.luma(y, row(source[1], at, half), row(source[2], at, half)),
                PixelFormat::Yuv444p => correction.luma(y, row(source[1], at, width), row(source[2], at, width)),
                _ => correction.luma(y, cb, cr),
            }
        }
        if let Some(correction) = correction {
            correction.chroma(cb, cr);
        }
    }
}

/// Luma and chroma of another size.
fn scale_planes(
    shape: &Shape,
    correction: Option<Correction>,
    planes: &Planes<'_>,
    unscaled: &mut [Vec<u8>; 3],
    scaler: &mut Scaler,
    picture: &mut HostPicture,
) {
    let [width, height] = [shape.width, shape.height].map(|side| side as usize);
    let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
    let plane = |at, width, height| {
        let (samples, pitch) = planes.plane(at);
        Some(Plane { samples, pitch, width, height })
    };
    let [cb, cr] = match shape.format {
        PixelFormat::Yuv420p => [1, 2].map(|at| plane(at, half_width, half_height)),
        PixelFormat::Yuv422p => [1, 2].map(|at| plane(at, half_width, height)),
        PixelFormat::Yuv444p => [1, 2].map(|at| plane(at, width, height)),
        PixelFormat::Nv12 => {
            let [_, cb, cr] = unscaled;
            cb.resize(half_width * half_height, 0);
            cr.resize(half_width * half_height, 0);
            let rows = cb.chunks_exact_mut(half_width).zip(cr.chunks_exact_mut(half_width));
            for (pairs, (cb, cr)) in planes.rows(1).zip(rows) {
                color::separate(pairs, cb, cr);
            }
            [&*cb, &*cr].map(|samples| Some(Plane::packed(samples, half_width, half_height)))
        }
        _ => [None, None],
    };
    scaler.scale([plane(0, width, height), cb, cr], picture);
    if let Some(correction) = correction {
        correct(correction, scaler.fit(), picture);
    }
}

/// RGB of another size.
fn scale_rgb(
    shape: &Shape,
    rgb: &mut Rgb,
    planes: &Planes<'_>,
    unscaled: &mut [Vec<u8>; 3],
    scaler: &mut Scaler,
    picture: &mut HostPicture,
) {
    let [width, height] = [shape.width, shape.height].map(|side| side as usize);
    let fit = scaler.fit();
    // What grows has use for all of its chroma.
    let shrinks = width >= fit.width && height >= fit.height;
    let (chroma, chroma_width, chroma_height) = if shrinks && width % 2 == 0 && height % 2 == 0 {
        (Chroma::Quarter, width / 2, height / 2)
    } else {
        (Chroma::Full, width, height)
    };
    let [y, cb, cr] = unscaled;
    y.resize(width * height, 0);
    cb.resize(chroma_width * chroma_height, 0);
    cr.resize(chroma_width * chroma_height, 0);
    rgb.convert(planes.plane(0), (width, height), chroma, [y, cb, cr]);
    let [cb, cr] = [&*cb, &*cr].map(|samples| Some(Plane::packed(samples, chroma_width, chroma_height)));
    scaler.scale([Some(Plane::packed(y, width, height)), cb, cr], picture);
}

/// Corrects what lies in the part of a picture that is not bars.
fn correct(correction: Correction, fit: Fit, picture: &mut HostPicture) {
    let width = picture.size().width() as usize;
    let (inner, half) = (fit.left..fit.left + fit.width, fit.of_chroma());
    let half_inner = half.left..half.left + half.width;
    let (y, cb, cr) = picture.planes_mut();
    let chroma_rows = cb.chunks_exact_mut(width / 2).zip(cr.chunks_exact_mut(width / 2));
    let pairs = y.chunks_exact_mut(2 * width).zip(chroma_rows);
    for (y, (cb, cr)) in pairs.skip(half.top).take(half.height) {
        let (cb, cr) = (&mut cb[half_inner.clone()], &mut cr[half_inner.clone()]);
        for y in y.chunks_exact_mut(width) {
            correction.luma(&mut y[inner.clone()], cb, cr);
        }
        correction.chroma(cb, cr);
    }
}

#[cfg(test)]
mod tests;
