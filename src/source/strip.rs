//! A strip of black and white blocks that carries the frame number and the wall clock through lossy encoding.
//!
//! # Layout
//! 96 blocks, read row by row from the top left, hold 96 bits, the most significant bit of each field first; white
//! is 1:
//!
//! | bits | field |
//! |---|---|
//! | 0 to 31 | frame number, modulo 2^32 |
//! | 32 to 79 | wall clock in milliseconds since 1970-01-01 00:00 UTC |
//! | 80 to 95 | CRC-16/IBM-3740 of the ten bytes before |
//!
//! The strip stands in the bottom left corner of the picture, as 3 rows of 32 blocks where those are at least 8
//! pixels wide, else as 6 rows of 16. Blocks are squares with an even side, at least 4 pixels, and the strip is at
//! most three eighths of the picture high. [`Strip::new`] computes it from the size alone, so who knows a picture's
//! size can read it.

use crate::gl::Region;
use crate::settings::Size;

/// How many blocks there are.
pub const BLOCKS: usize = 96;
const BITS: u32 = BLOCKS as u32;
const CRC: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_IBM_3740);

/// What the strip says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Frame number, modulo 2^32.
    pub frame: u32,
    /// Wall clock in milliseconds since 1970-01-01 00:00 UTC; only the low 48 bits are carried.
    pub wall_clock_ms: u64,
}

impl Mark {
    fn to_bits(self) -> u128 {
        let fields = (u128::from(self.frame) << 48) | (u128::from(self.wall_clock_ms) & ((1 << 48) - 1));
        fields << 16 | u128::from(CRC.checksum(&fields.to_be_bytes()[6..]))
    }

    fn from_bits(bits: u128) -> Option<Self> {
        let fields = bits >> 16;
        let mark = Self { frame: (fields >> 48) as u32, wall_clock_ms: (fields & ((1 << 48) - 1)) as u64 };
        (mark.to_bits() == bits).then_some(mark)
    }
}

/// Where the blocks lie in a picture of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strip {
    columns: u32,
    rows: u32,
    /// Side of a block in pixels.
    block: u32,
    picture: Size,
}

impl Strip {
    /// The strip of a picture of `picture` pixels.
    pub fn new(picture: Size) -> Self {
        let block = |columns: u32| {
            let rows = BITS / columns;
            let side = (picture.width() / columns).min(picture.height() * 3 / 8 / rows);
            side - side % 2
        };
        let columns = if block(32) >= 8 { 32 } else { 16 };
        Self { columns, rows: BITS / columns, block: block(columns), picture }
    }

    /// The region that it covers, counted from the bottom row.
    pub fn region(&self) -> Region {
        Region { x: 0, y: 0, width: self.columns * self.block, height: self.rows * self.block }
    }

    /// Side of a block in pixels.
    pub fn block(&self) -> u32 {
        self.block
    }

    /// The bottom left corner of each block, counted from the bottom row, in the order of [`Strip::draw`].
    pub fn corners(&self) -> impl Iterator<Item = (u32, u32)> + use<> {
        let Self { columns, rows, block, .. } = *self;
        (0..BITS).map(move |at| (at % columns * block, (rows - 1 - at / columns) * block))
    }

    /// `mark` as one value a block, `true` for white, row by row from the top left.
    pub fn draw(&self, mark: Mark) -> impl Iterator<Item = bool> + use<> {
        let bits = mark.to_bits();
        (0..BITS).rev().map(move |bit| bits >> bit & 1 == 1)
    }

    /// The middle of each block as `(x, y)` from the top left corner of the picture, in the order of [`Strip::draw`].
    pub fn centres(&self) -> impl Iterator<Item = (u32, u32)> + use<> {
        let Self { columns, rows, block, picture } = *self;
        let top = picture.height() - rows * block;
        (0..BITS).map(move |at| (at % columns * block + block / 2, top + at / columns * block + block / 2))
    }

    /// Reads the strip from a decoded picture: `luma` holds one byte a pixel, the **top** row first, rows `stride`
    /// bytes apart. `None` where the checksum does not match.
    pub fn read(&self, luma: &[u8], stride: usize) -> Option<Mark> {
        // The middle quarter of a block: encoding blurs the edges.
        let reach = (self.block / 4).max(1) as usize;
        let mut bits = 0;
        for (x, y) in self.centres() {
            let (x, y) = (x as usize, y as usize);
            let rows = luma.chunks(stride).skip(y - reach).take(2 * reach);
            let sum: usize = rows
                .map(|row| {
                    row.get(x - reach..x + reach).map(|part| part.iter().map(|&v| usize::from(v)).sum::<usize>())
                })
                .sum::<Option<_>>()?;
            let mean = sum / (4 * reach * reach);
            bits = bits << 1 | u128::from(mean >= 126);
        }
        Mark::from_bits(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes() -> impl Iterator<Item = Size> {
        [(64, 64), (64, 4096), (4096, 64), (66, 130), (640, 360), (1280, 720), (1920, 1080), (4096, 4096)]
            .into_iter()
            .map(|(width, height)| Size::new(width, height).unwrap())
    }

    fn draw(strip: &Strip, size: Size, mark: Mark) -> Vec<u8> {
        let (width, height) = (size.width() as usize, size.height() as usize);
        let (columns, block) = (strip.columns as usize, strip.block as usize);
        let top = height - strip.rows as usize * block;
        let mut luma = vec![60; width * height];
        for (at, white) in strip.draw(mark).enumerate() {
            for y in 0..block {
                let start = (top + at / columns * block + y) * width + at % columns * block;
                luma[start..start + block].fill(if white { 235 } else { 16 });
            }
        }
        luma
    }

    #[test]
    fn reads_back_what_was_drawn_at_every_size() {
        for size in sizes() {
            let strip = Strip::new(size);
            assert!(strip.block >= 4 && strip.block % 2 == 0, "{size}: {strip:?}");
            assert!(strip.region().height * 8 <= size.height() * 3, "{size}: {strip:?}");
            assert!(strip.region().width <= size.width());
            for mark in [
                Mark { frame: 0, wall_clock_ms: 0 },
                Mark { frame: u32::MAX, wall_clock_ms: (1 << 48) - 1 },
                Mark { frame: 123_456, wall_clock_ms: 1_795_000_000_123 },
            ] {
                assert_eq!(strip.read(&draw(&strip, size, mark), size.width() as usize), Some(mark));
            }
        }
    }

    #[test]
    fn one_wrong_block_is_noticed_and_so_is_a_blank_picture() {
        for size in sizes() {
            let strip = Strip::new(size);
            let (width, pixels) = (size.width() as usize, size.pixels());
            let luma = draw(&strip, size, Mark { frame: 7, wall_clock_ms: 1_795_000_000_000 });
            for (x, y) in strip.centres() {
                let mut luma = luma.clone();
                for row in y - strip.block / 2..y + strip.block / 2 {
                    let start = row as usize * width + (x - strip.block / 2) as usize;
                    luma[start..start + strip.block as usize].iter_mut().for_each(|v| *v = 251 - *v);
                }
                assert_eq!(strip.read(&luma, width), None);
            }
            for blank in [0, 16, 128, 235, 255] {
                assert_eq!(strip.read(&vec![blank; pixels], width), None);
            }
            assert_eq!(strip.read(&luma[..pixels / 2], width), None, "a cut picture");
        }
    }
}
