//! A picture on its way from the GPU to an encoder on the CPU.

use crate::color;
use crate::gl::Target;
use crate::settings::Size;
use crate::stats::STAGE;
use std::time::Duration;
use tracing::trace_span;
use yuv::{BufferStoreMut, YuvConversionMode, YuvPlanarImageMut, YuvRange, YuvStandardMatrix};

const _: () = assert!(
    color::MATRIX_COEFFICIENTS == 1 && !color::FULL_RANGE,
    "the conversion below is BT.709 in limited range, which is what the VUI announces"
);

/// A picture in host memory as planes of Y, Cb and Cr, one behind the other: 4:2:0, BT.709 limited range, one byte a
/// sample, rows without padding, the **top** row first. Made once and filled again for each picture.
#[derive(Debug)]
pub struct HostPicture {
    size: Size,
    samples: Vec<u8>,
    pts: Duration,
}

impl HostPicture {
    /// A buffer for pictures of `size`.
    pub fn new(size: Size) -> Self {
        Self { size, samples: vec![0; Self::bytes(size)], pts: Duration::ZERO }
    }

    /// Bytes of a picture of `size`.
    pub fn bytes(size: Size) -> usize {
        size.pixels() / 2 * 3
    }

    /// Size in pixels.
    pub fn size(&self) -> Size {
        self.size
    }

    /// All three planes, one behind the other: [`HostPicture::bytes`].
    pub fn samples(&self) -> &[u8] {
        &self.samples
    }

    /// All three planes, to be filled.
    pub fn samples_mut(&mut self) -> &mut [u8] {
        &mut self.samples
    }

    /// The planes of Y, Cb and Cr: `width * height` bytes, and a quarter of that twice.
    pub fn planes(&self) -> (&[u8], &[u8], &[u8]) {
        let (y, chroma) = self.samples.split_at(self.size.pixels());
        let (cb, cr) = chroma.split_at(chroma.len() / 2);
        (y, cb, cr)
    }

    /// The planes, to be filled.
    pub fn planes_mut(&mut self) -> (&mut [u8], &mut [u8], &mut [u8]) {
        let (y, chroma) = self.samples.split_at_mut(self.size.pixels());
        let (cb, cr) = chroma.split_at_mut(chroma.len() / 2);
        (y, cb, cr)
    }

    /// Takes the planes of a picture that is of this size and lies as this one does. Returns its own ones, to be filled
    /// again.
    ///
    /// # Panics
    /// They are of another size.
    pub fn exchange(&mut self, samples: Vec<u8>) -> Vec<u8> {
        assert_eq!(samples.len(), self.samples.len(), "the planes of a picture of {}", self.size);
        std::mem::replace(&mut self.samples, samples)
    }

    /// When it is to be shown, as time since the start of the stream.
    pub fn pts(&self) -> Duration {
        self.pts
    }

    /// Sets when it is to be shown.
    pub fn show_at(&mut self, pts: Duration) {
        self.pts = pts;
    }
}

/// How much of a picture is read at a time: so little that it is converted while it still lies in the processor's second
/// cache. On two cores without a GPU, at 720p, 4 MiB at a time cost 3 to 4 % more CPU time a picture, drawing and encoding
/// included.
const BAND_BYTES: usize = 256 << 10;

/// Fetches pictures from a [`Target`] into a [`HostPicture`].
#[derive(Debug)]
pub struct Readback {
    size: Size,
    /// A part of what the target shows: pairs of rows of four bytes a pixel, the lowest row first.
    band: Vec<u8>,
    /// Y of two rows, the lower one first.
    pair: Vec<u8>,
}

impl Readback {
    /// For pictures of `size`.
    pub fn new(size: Size) -> Self {
        let (row, height) = (size.width() as usize, size.height() as usize);
        let pairs = (BAND_BYTES / (8 * row)).clamp(1, height / 2);
        Self { size, band: vec![0; pairs * 8 * row], pair: vec![0; 2 * row] }
    }

    /// Waits until `target` is drawn, and converts what it shows, to be shown at `pts`.
    ///
    /// # Panics
    /// The sizes differ.
    pub fn fetch(&mut self, target: &Target, pts: Duration, picture: &mut HostPicture) {
        assert_eq!(self.size, picture.size, "a picture of the readback's size");
        picture.pts = pts;

        let width = self.size.width() as usize;
        let samples = self.band.len() / 4;
        let (y, cb, cr) = picture.planes_mut();
        let luma = y.chunks_mut(samples);
        let chroma = cb.chunks_mut(samples / 4).zip(cr.chunks_mut(samples / 4));
        // From the top, which is the target's last rows, down to its row 0.
        let mut first = self.size.height();
        for (y, (cb, cr)) in luma.zip(chroma) {
            first -= (y.len() / width) as u32;
            let band = &mut self.band[..y.len() * 4];
            target.read_rows(first, band);
            trace_span!(target: STAGE, "planes")
                .in_scope(|| convert(band, &mut self.pair, self.size.width(), y, cb, cr));
        }
    }
}

/// Converts rows of `width` pixels from the lowest to the highest to rows of samples from the highest to the lowest.
/// `pair` is room for two rows of Y.
fn convert(rgba: &[u8], pair: &mut [u8], width: u32, y: &mut [u8], cb: &mut [u8], cr: &mut [u8]) {
    let (row, half) = (width as usize, width as usize / 2);
    let chroma = cb.chunks_exact_mut(half).zip(cr.chunks_exact_mut(half));
    // Two rows at a time, from the last two to the first two. Their Cb and Cr are means of both, so their Y alone changes
    // places, which is a quarter of the bytes that were read.
    for ((y, (cb, cr)), rgba) in y.chunks_exact_mut(2 * row).zip(chroma).zip(rgba.chunks_exact(8 * row).rev()) {
        let mut image = YuvPlanarImageMut {
            y_plane: BufferStoreMut::Borrowed(&mut *pair),
            y_stride: width,
            u_plane: BufferStoreMut::Borrowed(cb),
            u_stride: width / 2,
            v_plane: BufferStoreMut::Borrowed(cr),
            v_stride: width / 2,
            width,
            height: 2,
        };
        yuv::rgba_to_yuv420(
            &mut image,
            rgba,
            width * 4,
            YuvRange::Limited,
            YuvStandardMatrix::Bt709,
            YuvConversionMode::Balanced,
        )
        .expect("planes and rows are of the sizes given");
        let (lower, upper) = pair.split_at(row);
        y[..row].copy_from_slice(upper);
        y[row..].copy_from_slice(lower);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gl::{Gl, Texture};

    #[test]
    fn every_row_lands_in_its_place_whatever_the_band() {
        let gl = Gl::open(None).unwrap();
        // One band, several with a smaller last one, and several that fit.
        for (width, height) in [(64, 66), (1920, 1080), (2048, 1538), (4096, 512)] {
            let size = Size::new(width, height).unwrap();
            let target = Target::new(&gl, size).unwrap();
            // Each row has its own, also within a pair.
            let grey = |row_from_top: u32| (row_from_top * 7 % 251) as u8;
            let shown = Texture::new(&gl, width, height).unwrap();
            let row = |from_bottom: u32| vec![grey(height - 1 - from_bottom); width as usize * 4];
            shown.upload(&(0..height).flat_map(row).collect::<Vec<_>>());
            target.copy(&shown, shown.whole(), 0, 0);
            let mut picture = HostPicture::new(size);
            Readback::new(size).fetch(&target, Duration::ZERO, &mut picture);
            let (y, cb, cr) = picture.planes();
            for (row, samples) in y.chunks_exact(width as usize).enumerate() {
                let [expected, ..] = color::ycbcr_from_rgb([grey(row as u32); 3]);
                assert!(samples.iter().all(|&it| it.abs_diff(expected) <= 1), "{size}, row {row}");
            }
            assert!(cb.iter().chain(cr).all(|&it| it.abs_diff(128) <= 1), "{size}");
        }
    }
}
