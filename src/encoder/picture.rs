//! A picture in host memory, on its way to an encoder.

use crate::settings::Size;
use std::time::Duration;

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
