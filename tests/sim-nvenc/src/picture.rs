//! One picture in host memory: NV12, padded to whole macroblocks by repeating its edge.

use crate::cuda::{Cuda, Place};

const MACROBLOCK: usize = 16;

/// Bytes of an I_PCM macroblock: 16x16 luma, then 8x8 of each chroma.
pub(crate) const PCM_BYTES: usize = 384;

#[derive(Clone, Debug)]
pub(crate) struct Picture {
    width: usize,
    height: usize,
    coded_width: usize,
    luma: Vec<u8>,
    /// Cb and Cr in turn, half as many rows.
    chroma: Vec<u8>,
}

impl Picture {
    /// A picture of even width and height, with nothing in it yet.
    pub(crate) fn new(width: u32, height: u32) -> Picture {
        let (width, height) = (width as usize, height as usize);
        let coded_width = width.next_multiple_of(MACROBLOCK);
        let coded_height = height.next_multiple_of(MACROBLOCK);
        Picture {
            width,
            height,
            coded_width,
            luma: vec![0; coded_width * coded_height],
            chroma: vec![0; coded_width * coded_height / 2],
        }
    }

    fn macroblocks_per_row(&self) -> usize {
        self.coded_width / MACROBLOCK
    }

    /// Fetches the picture; its chroma rows begin at row `chroma_row` of the source.
    pub(crate) fn fetch(&mut self, cuda: &Cuda, from: Place, chroma_row: usize) -> bool {
        let (width, height, pitch) = (self.width, self.height, self.coded_width);
        let fetched = cuda.fetch(from, 0, (width, height), &mut self.luma, pitch)
            && cuda.fetch(from, chroma_row, (width, height / 2), &mut self.chroma, pitch);
        if fetched {
            pad(&mut self.luma, pitch, width, height, 1);
            pad(&mut self.chroma, pitch, width, height / 2, 2);
        }
        fetched
    }

    /// Where a macroblock's rows begin: luma, chroma.
    fn origin(&self, macroblock: usize) -> (usize, usize) {
        let row = macroblock / self.macroblocks_per_row();
        let left = macroblock % self.macroblocks_per_row() * MACROBLOCK;
        let luma = row * MACROBLOCK * self.coded_width + left;
        (luma, row * MACROBLOCK / 2 * self.coded_width + left)
    }

    /// Whether a macroblock has the same pixels in both pictures, which have the same size.
    pub(crate) fn same(&self, other: &Picture, macroblock: usize) -> bool {
        let (luma, chroma) = self.origin(macroblock);
        let pitch = self.coded_width;
        let row = |start: usize, row: usize| start + row * pitch..start + row * pitch + MACROBLOCK;
        (0..16).all(|y| self.luma[row(luma, y)] == other.luma[row(luma, y)])
            && (0..8).all(|y| self.chroma[row(chroma, y)] == other.chroma[row(chroma, y)])
    }

    /// A macroblock's samples in the order of 7.3.5: luma, Cb, Cr.
    pub(crate) fn samples(&self, macroblock: usize) -> [u8; PCM_BYTES] {
        let (luma, chroma) = self.origin(macroblock);
        let pitch = self.coded_width;
        let mut samples = [0; PCM_BYTES];
        let (y_samples, chroma_samples) = samples.split_at_mut(256);
        let (cb, cr) = chroma_samples.split_at_mut(64);
        for (y, row) in y_samples.chunks_exact_mut(16).enumerate() {
            row.copy_from_slice(&self.luma[luma + y * pitch..][..16]);
        }
        for y in 0..8 {
            let row = &self.chroma[chroma + y * pitch..][..16];
            for x in 0..8 {
                cb[y * 8 + x] = row[2 * x];
                cr[y * 8 + x] = row[2 * x + 1];
            }
        }
        samples
    }
}

/// Repeats the last sample (of `step` bytes) of each row, then the last row, to the plane's end.
fn pad(plane: &mut [u8], pitch: usize, width: usize, height: usize, step: usize) {
    for row in plane.chunks_exact_mut(pitch).take(height) {
        for x in width..pitch {
            row[x] = row[x - step];
        }
    }
    let last = (height - 1) * pitch;
    let rows = plane.len() / pitch;
    for row in height..rows {
        plane.copy_within(last..last + pitch, row * pitch);
    }
}
