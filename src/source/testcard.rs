//! The test card: colours that are known, a motion that is even, and the time in a form for people and programs.
//!
//! From the top: three lines of text (label, frame number, wall clock in UTC to the millisecond), two rows of colour
//! patches, a band that a white bar crosses once in four seconds, and the [`strip`].

use super::canvas::Canvas;
use super::strip::{self, Mark, Strip};
use super::text::{ChangingLine, Letters, draw_letter, letter_side};
use super::{Frame, Renderer};
use crate::error::Error;
use crate::gl::{Gl, Region, Texture};
use crate::settings::Size;
use std::io::Write as _;
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

const BAND: [u8; 3] = [32; 3];
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

    /// Blank pixels left of the text.
    fn margin(&self) -> u32 {
        // Where a line has room for only a few letters, none of it is given away.
        if self.scale > 1 { letter_side(self.scale) / 2 } else { 0 }
    }

    fn band_region(&self) -> Region {
        Region { x: 0, y: self.band, width: self.size.width(), height: self.patches - self.band }
    }

    fn bar_width(&self) -> u32 {
        (self.size.width() / 40).max(4)
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
///
/// It keeps a picture of its own that holds what stays the same, brings the few things that change up to date in it
/// by small copies, and copies it whole into the target.
#[derive(Debug)]
pub struct TestCard {
    layout: Layout,
    card: Texture,
    letters: Letters,
    number: ChangingLine,
    clock: ChangingLine,
    clock_letters: usize,
    /// A black block and a white one, side by side.
    blocks: Texture,
    shown: [bool; strip::BLOCKS],
    /// A piece of the empty band, and the bar.
    band: Texture,
    bar: Texture,
    bar_at: u32,
    line: Vec<u8>,
}

impl TestCard {
    /// A test card of `size` that shows `label` in its first line.
    ///
    /// # Errors
    /// The GL driver is out of memory.
    pub fn new(gl: &Gl, size: Size, label: &str) -> Result<Self, Error> {
        let layout = Layout::new(size);
        let Layout { scale, text, .. } = layout;
        let side = letter_side(scale);
        let clock_letters = ((size.width() - layout.margin()) / side) as usize;

        let mut card = Canvas::new(size.width(), size.height());
        for (at, letter) in (0..).zip(label.chars().take(clock_letters)) {
            draw_letter(&mut card, letter, layout.margin() + at * side, text + 2 * side, scale);
        }
        for (region, rgb) in layout.patches() {
            card.fill(region, rgb);
        }
        card.fill(layout.band_region(), BAND);

        let mut blocks = Canvas::new(2 * layout.strip.block(), layout.strip.block());
        blocks.fill(Region { x: layout.strip.block(), ..layout.strip.region() }, [255; 3]);

        let bar_size = (layout.bar_width(), layout.band_region().height);
        let filled = |rgb| {
            let mut canvas = Canvas::new(bar_size.0, bar_size.1);
            canvas.fill(Region { x: 0, y: 0, width: bar_size.0, height: bar_size.1 }, rgb);
            canvas.into_texture(gl)
        };
        Ok(Self {
            layout,
            card: card.into_texture(gl)?,
            letters: Letters::new(gl, scale)?,
            number: ChangingLine::new((layout.margin(), text + side), clock_letters),
            clock: ChangingLine::new((layout.margin(), text), clock_letters),
            clock_letters,
            blocks: blocks.into_texture(gl)?,
            shown: [false; strip::BLOCKS],
            band: filled(BAND)?,
            bar: filled([255; 3])?,
            bar_at: 0,
            line: Vec::with_capacity(64),
        })
    }

    fn update_text(&mut self, frame: &Frame<'_>) {
        // Writing into a `Vec` cannot fail.
        self.line.clear();
        let _ = write!(self.line, "{:08}", frame.index);
        self.number.show(&self.line, &self.letters, &self.card);

        let now = time::UtcDateTime::from(frame.wall_clock);
        let (hour, minute, second, millisecond) = (now.hour(), now.minute(), now.second(), now.millisecond());
        self.line.clear();
        // The longest form that fits.
        if self.clock_letters >= 27 {
            let (year, month, day) = (now.year(), u8::from(now.month()), now.day());
            let _ = write!(self.line, "{year:04}-{month:02}-{day:02} ");
        }
        if self.clock_letters >= 12 {
            let _ = write!(self.line, "{hour:02}:{minute:02}:");
        }
        let _ = write!(self.line, "{second:02}.{millisecond:03}");
        if self.clock_letters >= 27 {
            let _ = write!(self.line, " UTC");
        }
        self.clock.show(&self.line, &self.letters, &self.card);
    }

    fn update_strip(&mut self, frame: &Frame<'_>) {
        let since_epoch = frame.wall_clock.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mark = Mark { frame: frame.index as u32, wall_clock_ms: since_epoch.as_millis() as u64 };
        let strip = self.layout.strip;
        let side = strip.block();
        let corners = strip.corners();
        for ((shown, white), (x, y)) in self.shown.iter_mut().zip(strip.draw(mark)).zip(corners) {
            if std::mem::replace(shown, white) != white {
                let block = Region { x: if white { side } else { 0 }, y: 0, width: side, height: side };
                self.card.copy(&self.blocks, block, x, y);
            }
        }
    }

    fn update_bar(&mut self, frame: &Frame<'_>) {
        let band = self.layout.band_region();
        let crossed = (frame.pts.as_nanos() % CROSSING.as_nanos()) as f64 / CROSSING.as_nanos() as f64;
        self.card.copy(&self.band, self.band.whole(), self.bar_at, band.y);
        self.bar_at = (crossed * f64::from(band.width)) as u32;
        self.card.copy(&self.bar, self.bar.whole(), self.bar_at, band.y);
    }
}

impl Renderer for TestCard {
    fn fills_target(&self) -> bool {
        true
    }

    fn draw(&mut self, frame: &Frame<'_>) -> Result<(), Error> {
        self.update_text(frame);
        self.update_bar(frame);
        self.update_strip(frame);
        frame.target.copy(&self.card, self.card.whole(), 0, 0);
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
