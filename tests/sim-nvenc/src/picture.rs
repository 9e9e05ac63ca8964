//! One picture in host memory: NV12, padded to whole macroblocks by repeating its edge.

use crate::cuda::{Cuda, Place};
use crate::input::{Input, NV12};
use crate::status::{GENERIC, Refusal, broken};

const MACROBLOCK: usize = 16;

/// Bytes of an I_PCM macroblock: 16x16 luma, then 8x8 of each chroma.
pub(crate) const PCM_BYTES: usize = 384;

/// Where a picture lies on the device.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    /// Y, and from this row on Cb and Cr in turn.
    Nv12 { place: Place, chroma_row: usize },
    /// Y, and elsewhere Cb, and Cr from this row on.
    Planes { luma: Place, chroma: Place, cr_row: usize },
}

/// The vendor's header wants a pitch that is a multiple of 4. What turns planes into NV12 is a kernel of the driver's that
/// reads more than that at once: with rows that do not begin at a multiple of 16 it was seen to end in
/// CUDA_ERROR_MISALIGNED_ADDRESS (drivers 595 and 610).
const KERNEL_READS: usize = 16;

impl Source {
    pub(crate) fn of(input: &Input) -> Result<Source, Refusal> {
        let (place, height) = (input.place, input.height as usize);
        match place {
            Place::Pitched { address, pitch } if input.format != NV12 => {
                let chroma = Place::Pitched { address: address + pitch * height, pitch: pitch / 2 };
                match pitch / 2 % KERNEL_READS {
                    0 => Ok(Source::Planes { luma: place, chroma, cr_row: height / 2 }),
                    _ => Err(broken(GENERIC, "rows-of-a-plane-not-aligned")),
                }
            }
            _ => Ok(Source::Nv12 { place, chroma_row: height }),
        }
    }
}

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

    /// Fetches the picture.
    pub(crate) fn fetch(&mut self, cuda: &Cuda, from: Source) -> bool {
        let (width, height, pitch) = (self.width, self.height, self.coded_width);
        let fetched = match from {
            Source::Nv12 { place, chroma_row } => {
                cuda.fetch(place, 0, (width, height), &mut self.luma, pitch)
                    && cuda.fetch(place, chroma_row, (width, height / 2), &mut self.chroma, pitch)
            }
            Source::Planes { luma, chroma, cr_row } => {
                cuda.fetch(luma, 0, (width, height), &mut self.luma, pitch)
                    && self.fetch_chroma(cuda, chroma, 0, 0)
                    && self.fetch_chroma(cuda, chroma, cr_row, 1)
            }
        };
        if fetched {
            pad(&mut self.luma, pitch, width, height, 1);
            pad(&mut self.chroma, pitch, width, height / 2, 2);
        }
        fetched
    }

    /// Fetches the plane of Cb (`part` 0) or Cr (1) that begins at row `first` of the source.
    fn fetch_chroma(&mut self, cuda: &Cuda, from: Place, first: usize, part: usize) -> bool {
        let (width, rows) = (self.width / 2, self.height / 2);
        let mut plane = vec![0; width * rows];
        let fetched = cuda.fetch(from, first, (width, rows), &mut plane, width);
        for (row, samples) in self.chroma.chunks_exact_mut(self.coded_width).zip(plane.chunks_exact(width)) {
            for (pair, sample) in row.chunks_exact_mut(2).zip(samples) {
                pair[part] = *sample;
            }
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
