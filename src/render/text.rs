//! Lines of 8x8 pixel letters in a small texture, stretched into the picture.

use crate::error::Error;
use crate::gl::{Gl, Region, Target, Texture};
use font8x8::UnicodeFonts;

/// Side of a letter in texels.
const LETTER: u32 = 8;

/// A block of text with a fixed number of lines and letters a line.
#[derive(Debug)]
pub struct TextBlock {
    texture: Texture,
    rgba: Vec<u8>,
    letters: u32,
    lines: u32,
}

impl TextBlock {
    /// Room for `lines` lines of `letters` letters.
    pub fn new(gl: &Gl, letters: u32, lines: u32) -> Result<Self, Error> {
        let (width, height) = (letters * LETTER, lines * LETTER);
        let rgba = vec![0; (width * height * 4) as usize];
        Ok(Self { texture: Texture::new(gl, width, height)?, rgba, letters, lines })
    }

    /// Letters in a line.
    pub fn letters(&self) -> u32 {
        self.letters
    }

    /// Writes line `line`, counted from the top, white on black. What does not fit is cut off; letters that the font
    /// lacks are left blank.
    pub fn write(&mut self, line: u32, text: &str) {
        let row_bytes = (self.letters * LETTER * 4) as usize;
        // The texture's bottom row comes first.
        let bottom = ((self.lines - 1 - line) * LETTER) as usize * row_bytes;
        let band = &mut self.rgba[bottom..bottom + LETTER as usize * row_bytes];
        band.fill(0);
        for (at, letter) in text.chars().take(self.letters as usize).enumerate() {
            let glyph = glyph(letter);
            for (y, row) in band.chunks_exact_mut(row_bytes).rev().enumerate() {
                let start = at * (LETTER * 4) as usize;
                for (x, texel) in row[start..start + (LETTER * 4) as usize].chunks_exact_mut(4).enumerate() {
                    texel.fill(if glyph[y] >> x & 1 == 1 { 255 } else { 0 });
                }
            }
        }
    }

    /// Copies the block into `target` with its bottom left corner at `(x, y)`, each texel `scale` pixels wide.
    pub fn draw(&self, target: &Target, x: u32, y: u32, scale: u32) {
        self.texture.upload(&self.rgba);
        let (width, height) = (self.texture.width() * scale, self.texture.height() * scale);
        target.copy(&self.texture, Region { x, y, width, height });
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

/// Side of a letter in a picture whose texels are `scale` pixels wide.
pub fn letter_side(scale: u32) -> u32 {
    LETTER * scale
}
