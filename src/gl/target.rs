//! What pictures are drawn into, and read back from.

use super::context::Gl;
use super::texture::{Region, Texture};
use crate::error::Error;
use crate::settings::Size;
use glow::HasContext;

/// What pictures are drawn into: an RGBA8 framebuffer of the stream's size, row 0 at the bottom.
#[derive(Debug)]
pub struct Target {
    texture: Texture,
    size: Size,
}

impl Target {
    /// A target of `size`, black.
    ///
    /// # Errors
    /// The driver refuses the size.
    pub fn new(gl: &Gl, size: Size) -> Result<Self, Error> {
        let texture = Texture::new(gl, size.width(), size.height())?;
        let this = Self { texture, size };
        this.clear([0.0; 3]);
        Ok(this)
    }

    /// Its size in pixels.
    pub fn size(&self) -> Size {
        self.size
    }

    pub(super) fn texture_name(&self) -> glow::Texture {
        self.texture.texture
    }

    /// Makes it the framebuffer that GL draws into, with the viewport on all of it.
    pub fn bind(&self) {
        let raw = self.texture.gl.glow();
        // SAFETY: the context is current and the framebuffer lives as long as `self`.
        unsafe {
            raw.bind_framebuffer(glow::FRAMEBUFFER, Some(self.texture.framebuffer));
            raw.viewport(0, 0, self.size.width() as i32, self.size.height() as i32);
        }
    }

    /// Fills it with one colour; each part from 0 to 1. It is bound afterwards.
    pub fn clear(&self, rgb: [f32; 3]) {
        self.texture.clear(rgb);
    }

    /// Copies `region` of `from` to `(x, y)`, pixel by pixel. What would land outside is left out. It is bound
    /// afterwards.
    ///
    /// # Panics
    /// `region` reaches past `from`.
    pub fn copy(&self, from: &Texture, region: Region, x: u32, y: u32) {
        self.texture.copy(from, region, x, y);
        self.bind();
    }

    /// Waits until everything is drawn and reads rows of the picture into `rgba`, as many as it holds, from row `first`
    /// upwards: four bytes a pixel, rows without padding. Row 0 is the **bottom** one. It is bound afterwards.
    ///
    /// # Panics
    /// `rgba` does not hold whole rows, or more than there are.
    pub fn read_rows(&self, first: u32, rgba: &mut [u8]) {
        let row = self.size.width() as usize * 4;
        let rows = rgba.len() / row;
        assert_eq!(rgba.len() % row, 0, "whole rows of the target");
        assert!(first as usize + rows <= self.size.height() as usize, "rows that the target has");
        let raw = self.texture.gl.glow();
        // SAFETY: the context is current and the framebuffer lives, no pixel pack buffer is bound, and the slice's length was
        // checked against what GL writes with its default packing (rows of a multiple of 4 bytes are what RGBA gives
        // anyway).
        unsafe {
            raw.bind_framebuffer(glow::READ_FRAMEBUFFER, Some(self.texture.framebuffer));
            // llvmpipe waits for its threads at each reading of what is bound to be drawn into.
            raw.bind_framebuffer(glow::DRAW_FRAMEBUFFER, None);
            raw.bind_buffer(glow::PIXEL_PACK_BUFFER, None);
            raw.read_pixels(
                0,
                first as i32,
                self.size.width() as i32,
                rows as i32,
                glow::RGBA,
                glow::UNSIGNED_BYTE,
                glow::PixelPackData::Slice(Some(rgba)),
            );
        }
        self.bind();
    }
}
