//! The test card: colours that are known, a motion that is even, and the time in a form for people and programs.
//!
//! From the top: three lines of text (label, frame number, wall clock in UTC to the millisecond), two rows of colour
//! patches, a band that a white bar crosses once in four seconds, and the [`strip`](super::strip).

use super::strip::{Mark, Strip};
use super::text::{TextBlock, letter_side};
use super::{Frame, Renderer};
use crate::error::Error;
use crate::gl::{Gl, Region, Texture};
use crate::settings::Size;
use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

/// The patches as RGB from left to right: the 100 % bars above, 75 % bars and greys below.
pub const PATCHES: [[[u8; 3]; 8]; 2] = [
    [[255, 255, 255], [255, 255, 0], [0, 255, 255], [0, 255, 0], [255, 0, 255], [255, 0, 0], [0, 0, 255], [0, 0, 0]],
    [
        [191, 191, 0],
        [0, 191, 191],
        [191, 0, 191],
        [191, 0, 0],
        [0, 0, 191],
        [191, 191, 191],
        [128, 128, 128],
        [64, 64, 64],
    ],
];

const BAND: [f32; 3] = [0.125, 0.125, 0.125];
const CROSSING: Duration = Duration::from_secs(4);
const LINES: u32 = 3;

/// Where everything is, computed once from the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    strip: Strip,
    size: Size,
    /// Pixels a texel of text.
    scale: u32,
    /// Bottom edges, from the bottom up.
    band: u32,
    patches: u32,
    text: u32,
}

impl Layout {
    /// The layout of a test card of `size`.
    pub fn new(size: Size) -> Self {
        let strip = Strip::new(size);
        let scale = (size.width() / 320).min(size.height() / 180).max(1);
        let band = strip.region().height;
        let text = size.height() - LINES * letter_side(scale);
        // Even edges keep each patch clear of its neighbours' chroma samples.
        let patches = (band + (text - band) / 4) & !1;
        Self { strip, size, scale, band, patches, text }
    }

    /// The strip at the bottom.
    pub fn strip(&self) -> Strip {
        self.strip
    }

    /// Each patch's region, counted from the bottom row, and its RGB value.
    pub fn patches(&self) -> impl Iterator<Item = (Region, [u8; 3])> + use<> {
        let Self { size, patches, text, .. } = *self;
        let edge = move |at: u32| (size.width() * at / 8) & !1;
        let middle = (patches + (text - patches) / 2) & !1;
        let rows = [(middle, text), (patches, middle)];
        rows.into_iter().zip(PATCHES).flat_map(move |((bottom, top), colours)| {
            (0..8).zip(colours).map(move |(column, rgb)| {
                let (x, right) = (edge(column), if column == 7 { size.width() } else { edge(column + 1) });
                (Region { x, y: bottom, width: right - x, height: top - bottom }, rgb)
            })
        })
    }
}

/// The default scene.
#[derive(Debug)]
pub struct TestCard {
    layout: Layout,
    label: String,
    text: TextBlock,
    line: String,
    blocks: Texture,
    block_rgba: Vec<u8>,
}

impl TestCard {
    /// A test card of `size` that shows `label` in its first line.
    ///
    /// # Errors
    /// The GL driver is out of memory.
    pub fn new(gl: &Gl, size: Size, label: impl Into<String>) -> Result<Self, Error> {
        let layout = Layout::new(size);
        let (columns, rows) = layout.strip.blocks();
        Ok(Self {
            layout,
            label: label.into(),
            text: TextBlock::new(gl, size.width() / letter_side(layout.scale), LINES)?,
            line: String::with_capacity(64),
            blocks: Texture::new(gl, columns, rows)?,
            block_rgba: vec![0; (columns * rows * 4) as usize],
        })
    }

    fn write_text(&mut self, frame: &Frame<'_>) {
        self.text.write(0, &self.label);
        self.line.clear();
        let _ = write!(self.line, "{:08}", frame.index);
        self.text.write(1, &self.line);
        let now = time::UtcDateTime::from(frame.wall_clock);
        let clock = format_args!("{:02}:{:02}:{:02}.{:03}", now.hour(), now.minute(), now.second(), now.millisecond());
        self.line.clear();
        // The longest form that fits.
        let _ = match self.text.letters() {
            27.. => write!(self.line, "{} {clock} UTC", now.date()),
            12.. => write!(self.line, "{clock}"),
            _ => write!(self.line, "{:02}.{:03}", now.second(), now.millisecond()),
        };
        self.text.write(2, &self.line);
    }

    fn write_strip(&mut self, frame: &Frame<'_>) {
        let since_epoch = frame.wall_clock.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mark = Mark { frame: frame.index as u32, wall_clock_ms: since_epoch.as_millis() as u64 };
        let (columns, _) = self.layout.strip.blocks();
        let row_bytes = columns as usize * 4;
        let mut blocks = self.layout.strip.draw(mark);
        // The texture's bottom row comes first, the strip's top row.
        for row in self.block_rgba.chunks_exact_mut(row_bytes).rev() {
            for (texel, white) in row.chunks_exact_mut(4).zip(&mut blocks) {
                texel.fill(if white { 255 } else { 0 });
            }
        }
        self.blocks.upload(&self.block_rgba);
    }
}

impl Renderer for TestCard {
    fn draw(&mut self, frame: &Frame<'_>) -> Result<(), Error> {
        let (target, layout) = (frame.target, self.layout);
        let width = layout.size.width();

        target.clear(target.whole(), [0.0; 3]);
        for (region, rgb) in layout.patches() {
            target.clear(region, rgb.map(|part| f32::from(part) / 255.0));
        }

        let height = layout.patches - layout.band;
        target.clear(Region { x: 0, y: layout.band, width, height }, BAND);
        let crossed = (frame.pts.as_nanos() % CROSSING.as_nanos()) as f64 / CROSSING.as_nanos() as f64;
        let bar = Region { x: (crossed * f64::from(width)) as u32, y: layout.band, width: (width / 40).max(4), height };
        target.clear(bar, [1.0; 3]);

        self.write_strip(frame);
        target.copy(&self.blocks, layout.strip.region());
        self.write_text(frame);
        self.text.draw(target, 0, layout.text, layout.scale);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_room_at_every_size() {
        for (width, height) in [(64, 64), (64, 4096), (4096, 64), (66, 130), (640, 360), (1280, 720), (4096, 4096)] {
            let layout = Layout::new(Size::new(width, height).unwrap());
            assert!(layout.patches > layout.band + 2, "{layout:?}");
            assert!(layout.patches().all(|(region, _)| region.width >= 8 && region.height >= 4), "{layout:?}");
            assert_eq!(layout.patches().count(), 16);
            assert!(width / letter_side(layout.scale) >= 8, "{layout:?}");
        }
    }
}
