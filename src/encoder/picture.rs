//! A picture on its way from the GPU to an encoder on the CPU.

use crate::color;
use crate::gl::Target;
use crate::settings::Size;
use std::time::Duration;
use yuv::{BufferStoreMut, YuvConversionMode, YuvPlanarImageMut, YuvRange, YuvStandardMatrix};

const _: () = assert!(
    color::MATRIX_COEFFICIENTS == 1 && !color::FULL_RANGE,
    "the conversion below is BT.709 in limited range, which is what the VUI announces"
);

/// A picture in host memory as planes of Y, Cb and Cr: 4:2:0, BT.709 limited range, one byte a sample, rows without
/// padding, the **top** row first. Made once and filled again for each picture.
#[derive(Debug)]
pub struct HostPicture {
    size: Size,
    y: Vec<u8>,
    cb: Vec<u8>,
    cr: Vec<u8>,
    pts: Duration,
}

impl HostPicture {
    /// A buffer for pictures of `size`.
    pub fn new(size: Size) -> Self {
        let pixels = size.pixels();
        Self { size, y: vec![0; pixels], cb: vec![0; pixels / 4], cr: vec![0; pixels / 4], pts: Duration::ZERO }
    }

    /// Size in pixels.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The planes of Y, Cb and Cr: `width * height` bytes, and a quarter of that twice.
    pub fn planes(&self) -> (&[u8], &[u8], &[u8]) {
        (&self.y, &self.cb, &self.cr)
    }

    /// When it is to be shown, as time since the start of the stream.
    pub fn pts(&self) -> Duration {
        self.pts
    }
}

/// Fetches pictures from a [`Target`] into a [`HostPicture`].
#[derive(Debug)]
pub struct Readback {
    size: Size,
    /// What the target shows: four bytes a pixel, the bottom row first.
    rgba: Vec<u8>,
    /// Two rows of it, the other way round.
    pair: Vec<u8>,
}

impl Readback {
    /// For pictures of `size`.
    pub fn new(size: Size) -> Self {
        let row = size.width() as usize * 4;
        Self { size, rgba: vec![0; size.pixels() * 4], pair: vec![0; 2 * row] }
    }

    /// Waits until `target` is drawn, and converts what it shows, to be shown at `pts`.
    ///
    /// # Panics
    /// The sizes differ.
    pub fn fetch(&mut self, target: &Target, pts: Duration, picture: &mut HostPicture) {
        assert_eq!(self.size, picture.size, "a picture of the readback's size");
        target.read(&mut self.rgba);
        picture.pts = pts;

        let width = self.size.width();
        let (row, half) = (width as usize, width as usize / 2);
        let luma = picture.y.chunks_exact_mut(2 * row);
        let chroma = picture.cb.chunks_exact_mut(half).zip(picture.cr.chunks_exact_mut(half));
        // Two rows at a time, from the last two to the first two, which turns the picture the right way up.
        for ((y, (cb, cr)), rgba) in luma.zip(chroma).zip(self.rgba.chunks_exact(2 * row * 4).rev()) {
            let (lower, upper) = rgba.split_at(row * 4);
            self.pair[..row * 4].copy_from_slice(upper);
            self.pair[row * 4..].copy_from_slice(lower);
            let mut image = YuvPlanarImageMut {
                y_plane: BufferStoreMut::Borrowed(y),
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
                &self.pair,
                width * 4,
                YuvRange::Limited,
                YuvStandardMatrix::Bt709,
                YuvConversionMode::Balanced,
            )
            .expect("planes and rows are of the sizes given");
        }
    }
}
