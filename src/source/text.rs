//! Lines of 8x8 pixel letters, each texel of a letter `scale` pixels wide.

use super::canvas::Canvas;
use crate::error::Error;
use crate::gl::{Gl, Region, Texture};
use font8x8::UnicodeFonts;

/// Side of a letter in a picture.
pub fn letter_side(scale: u32) -> u32 {
    8 * scale
}

/// Draws `letter` in white on black with its bottom left corner at `(x, y)`. What the font lacks is left blank.
pub fn draw_letter(canvas: &mut Canvas, letter: char, x: u32, y: u32, scale: u32) {
    let glyph = glyph(letter);
    for row in 0..8u32 {
        for column in 0..8u32 {
            let lit = glyph[row as usize] >> column & 1 == 1;
            let texel = Region { x: x + column * scale, y: y + (7 - row) * scale, width: scale, height: scale };
            canvas.fill(texel, if lit { [255; 3] } else { [0; 3] });
        }
    }
}

fn glyph(letter: char) -> [u8; 8] {
    let fonts = [
        font8x8::BASIC_FONTS.get(letter),
        font8x8::LATIN_FONTS.get(letter),
        font8x8::GREEK_FONTS.get(letter),
        font8x8::BOX_FONTS.get(letter),
    ];
    fonts.into_iter().flatten().next().unwrap_or_default()
}

/// A line of text that changes from picture to picture. Only the letters that changed are drawn again.
#[derive(Debug)]
pub struct ChangingLine {
    /// Bottom left corner in the picture.
    corner: (u32, u32),
    shown: Vec<u8>,
}

impl ChangingLine {
    /// An empty line of up to `letters` letters.
    pub fn new(corner: (u32, u32), letters: usize) -> Self {
        Self { corner, shown: vec![b' '; letters] }
    }

    /// Makes `picture` show `text`. What does not fit is cut off.
    pub fn show(&mut self, text: &[u8], letters: &Letters, picture: &Texture) {
        let text = text.iter().copied().chain(std::iter::repeat(b' '));
        for (at, (shown, letter)) in self.shown.iter_mut().zip(text).enumerate() {
            if std::mem::replace(shown, letter) != letter {
                let x = self.corner.0 + at as u32 * letters.side;
                picture.copy(&letters.texture, letters.region(letter), x, self.corner.1);
            }
        }
    }
}

/// The letters of numbers and times, drawn once.
#[derive(Debug)]
pub struct Letters {
    texture: Texture,
    side: u32,
}

/// A letter that is not among them shows as the first, a blank.
const CHANGING: &[u8] = b" 0123456789:.-UTC";

impl Letters {
    pub fn new(gl: &Gl, scale: u32) -> Result<Self, Error> {
        let side = letter_side(scale);
        let mut canvas = Canvas::new(side * CHANGING.len() as u32, side);
        for (at, &letter) in (0..).zip(CHANGING) {
            draw_letter(&mut canvas, char::from(letter), at * side, 0, scale);
        }
        Ok(Self { texture: canvas.into_texture(gl)?, side })
    }

    fn region(&self, letter: u8) -> Region {
        let at = CHANGING.iter().position(|&known| known == letter).unwrap_or(0) as u32;
        Region { x: at * self.side, y: 0, width: self.side, height: self.side }
    }
}
