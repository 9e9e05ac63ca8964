//! A picture in memory to draw rectangles on, before it becomes a texture.

use crate::error::Error;
use crate::gl::{Gl, Region, Texture};

/// RGBA pixels, black at first. Row 0 is the bottom one, as in the texture that it becomes.
pub struct Canvas {
    width: u32,
    height: u32,
    rgba: Vec<u8>,
}

impl Canvas {
    pub fn new(width: u32, height: u32) -> Self {
        Self { width, height, rgba: [0, 0, 0, 255].repeat((width * height) as usize) }
    }

    /// Fills the part of `region` that lies on the canvas.
    pub fn fill(&mut self, region: Region, [r, g, b]: [u8; 3]) {
        let left = region.x.min(self.width) as usize * 4;
        let right = (region.x + region.width).min(self.width) as usize * 4;
        let colour = [r, g, b, 255].repeat((right - left) / 4);
        let rows = self.rgba.chunks_exact_mut(self.width as usize * 4);
        for row in rows.skip(region.y as usize).take(region.height as usize) {
            row[left..right].copy_from_slice(&colour);
        }
    }

    pub fn into_texture(self, gl: &Gl) -> Result<Texture, Error> {
        let texture = Texture::new(gl, self.width, self.height)?;
        texture.upload(&self.rgba);
        Ok(texture)
    }
}
