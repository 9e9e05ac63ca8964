//! How a drawn picture gets to an encoder on the CPU. What the processor drew it reads and converts in bands. What a GPU drew is
//! converted there, and comes in one transfer: each reading waits for the GPU, and takes 0.1 ms and more.

use super::HostPicture;
use crate::color;
use crate::gl::{Download, Gl, Target};
use crate::settings::Size;
use crate::stats::STAGE;
use std::time::Duration;
use tracing::trace_span;
use yuv::{BufferStoreMut, YuvConversionMode, YuvPlanarImageMut, YuvRange, YuvStandardMatrix};

const _: () = assert!(
    color::MATRIX_COEFFICIENTS == 1 && !color::FULL_RANGE,
    "the conversion below is BT.709 in limited range, which is what the VUI announces"
);

/// Fetches pictures from a [`Target`] into a [`HostPicture`].
#[derive(Debug)]
pub struct Readback {
    size: Size,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// From what the processor drew.
    Bands(Bands),
    /// From what a GPU drew.
    Planes(Box<Download>),
}

impl Readback {
    /// For pictures of `size` that `gl` draws.
    pub fn new(gl: &Gl, size: Size) -> Self {
        if gl.hardware().is_software() { Self::in_bands(size) } else { Self::by_planes(gl, size) }
    }

    fn in_bands(size: Size) -> Self {
        Self { size, way: Way::Bands(Bands::new(size)) }
    }

    fn by_planes(gl: &Gl, size: Size) -> Self {
        match Download::new(gl, size) {
            Ok(download) => Self { size, way: Way::Planes(Box::new(download)) },
            Err(why) => {
                tracing::debug!("the GPU does not convert frames: {}", why.cause());
                Self::in_bands(size)
            }
        }
    }

    /// Waits until `target` is drawn, and converts what it shows, to be shown at `pts`.
    ///
    /// # Panics
    /// The sizes differ.
    pub fn fetch(&mut self, target: &Target, pts: Duration, picture: &mut HostPicture) {
        assert_eq!(self.size, picture.size(), "a picture of the readback's size");
        picture.show_at(pts);
        if let Way::Planes(download) = &self.way {
            let is_brought = download.bring(target, |luma, chroma| {
                let (y, cb, cr) = picture.planes_mut();
                trace_span!(target: STAGE, "planes").in_scope(|| {
                    y.copy_from_slice(luma);
                    color::separate(chroma, cb, cr);
                });
            });
            if is_brought {
                return;
            }
            // Or an older picture would be shown. Who has lost the GPU is told so when it is asked.
            tracing::debug!("the GL driver maps no buffer: reading frames back without");
            self.way = Way::Bands(Bands::new(self.size));
        }
        if let Way::Bands(bands) = &mut self.way {
            bands.fetch(target, picture);
        }
    }
}

/// How much of a picture is read at a time: so little that it is converted while it still lies in the processor's second
/// cache. On two cores without a GPU, at 720p, 4 MiB at a time cost 3 to 4 % more CPU time a picture, drawing and encoding
/// included.
const BAND_BYTES: usize = 256 << 10;

/// What is read a part at a time, as RGBA.
#[derive(Debug)]
struct Bands {
    size: Size,
    /// A part of what the target shows: pairs of rows of four bytes a pixel, the lowest row first.
    band: Vec<u8>,
    /// Y of two rows, the lower one first.
    pair: Vec<u8>,
}

impl Bands {
    fn new(size: Size) -> Self {
        let (row, height) = (size.width() as usize, size.height() as usize);
        let pairs = (BAND_BYTES / (8 * row)).clamp(1, height / 2);
        Self { size, band: vec![0; pairs * 8 * row], pair: vec![0; 2 * row] }
    }

    fn fetch(&mut self, target: &Target, picture: &mut HostPicture) {
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
    use crate::gl::Texture;

    #[test]
    fn every_row_lands_in_its_place_by_either_way() {
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
            for mut readback in [Readback::in_bands(size), on_gpu(&gl, size)] {
                let mut picture = HostPicture::new(size);
                readback.fetch(&target, Duration::ZERO, &mut picture);
                let (y, cb, cr) = picture.planes();
                for (row, samples) in y.chunks_exact(width as usize).enumerate() {
                    let [expected, ..] = color::ycbcr_from_rgb([grey(row as u32); 3]);
                    assert!(samples.iter().all(|&it| it.abs_diff(expected) <= 1), "{readback:?}, row {row}");
                }
                assert!(cb.iter().chain(cr).all(|&it| it.abs_diff(128) <= 1), "{readback:?}");
            }
        }
    }

    fn on_gpu(gl: &Gl, size: Size) -> Readback {
        let readback = Readback::by_planes(gl, size);
        assert!(matches!(readback.way, Way::Planes(_)), "{readback:?}");
        readback
    }

    #[test]
    fn both_ways_bring_the_same_colours() {
        let gl = Gl::open(None).unwrap();
        // Rows whose length is no multiple of four.
        let size = Size::new(162, 66).unwrap();
        let target = Target::new(&gl, size).unwrap();
        let shown = Texture::new(&gl, 162, 66).unwrap();
        // Blocks of two by two pixels, so that what becomes of an edge between them does not matter.
        let pixel = |at: u32| {
            let (x, y) = (at % 162 / 2, at / 162 / 2);
            [(x * 3) as u8, (y * 7) as u8, (x * 5 + y * 11) as u8, 255]
        };
        shown.upload(&(0..162 * 66).flat_map(pixel).collect::<Vec<_>>());
        target.copy(&shown, shown.whole(), 0, 0);
        let mut pictures = [HostPicture::new(size), HostPicture::new(size)];
        let ways = [Readback::in_bands(size), on_gpu(&gl, size)];
        for (mut readback, picture) in ways.into_iter().zip(&mut pictures) {
            // What was there before does not show.
            for _ in 0..2 {
                readback.fetch(&target, Duration::from_secs(1), picture);
            }
            assert_eq!(picture.pts(), Duration::from_secs(1));
        }
        let [by_cpu, by_gpu] = &pictures;
        let furthest = by_cpu.samples().iter().zip(by_gpu.samples()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(furthest <= Some(2), "{furthest:?} apart");
        assert!(by_cpu.samples().iter().min() < by_cpu.samples().iter().max());
        // The renderer goes on drawing where it did.
        target.clear([0.0; 3]);
        on_gpu(&gl, size).fetch(&target, Duration::ZERO, &mut pictures[0]);
        assert!(pictures[0].planes().0.iter().all(|&it| it == 16));
    }
}
