//! Textures, and the rectangles that are copied from one to another. They know no shaders.

use super::context::Gl;
use crate::error::Error;
use glow::HasContext;
use std::fmt;

/// A rectangle in pixels. `y` counts up from the bottom row, as everywhere in GL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Left edge.
    pub x: u32,
    /// Bottom edge.
    pub y: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

impl Region {
    fn is_inside(self, width: u32, height: u32) -> bool {
        self.x.checked_add(self.width).is_some_and(|right| right <= width)
            && self.y.checked_add(self.height).is_some_and(|top| top <= height)
    }
}

/// An RGBA8 texture, to copy from and to copy to. Texel row 0 is the bottom one.
pub struct Texture {
    pub(super) gl: Gl,
    pub(super) texture: glow::Texture,
    pub(super) framebuffer: glow::Framebuffer,
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Texture {
    /// A texture of `width` x `height` texels with undefined contents.
    ///
    /// # Errors
    /// The driver refuses the size.
    pub fn new(gl: &Gl, width: u32, height: u32) -> Result<Self, Error> {
        Self::with_format(gl, width, height, (glow::RGBA8, glow::RGBA)).map_err(|why| {
            Error::machine("gl-limits", format!("the GL driver refuses a texture of {width}x{height}"), "")
                .caused_by(why)
        })
    }

    /// One of another internal format, and the format that its parts are given in. What the driver says is the error.
    pub(super) fn with_format(
        gl: &Gl,
        width: u32,
        height: u32,
        (internal, format): (u32, u32),
    ) -> Result<Self, String> {
        let raw = gl.glow();
        // SAFETY: the context of `gl` is current on this thread, as `Gl` promises for its whole life.
        unsafe {
            let texture = raw.create_texture()?;
            raw.bind_texture(glow::TEXTURE_2D, Some(texture));
            // One level: it can be sampled and rendered to at once, without mipmaps.
            raw.tex_parameter_i32(glow::TEXTURE_2D, glow::TEXTURE_MAX_LEVEL, 0);
            raw.tex_parameter_i32(glow::TEXTURE_2D, glow::TEXTURE_MIN_FILTER, glow::NEAREST as i32);
            raw.tex_parameter_i32(glow::TEXTURE_2D, glow::TEXTURE_MAG_FILTER, glow::NEAREST as i32);
            raw.tex_image_2d(
                glow::TEXTURE_2D,
                0,
                internal as i32,
                width as i32,
                height as i32,
                0,
                format,
                glow::UNSIGNED_BYTE,
                glow::PixelUnpackData::Slice(None),
            );
            raw.bind_texture(glow::TEXTURE_2D, None);
            let framebuffer = match raw.create_framebuffer() {
                Ok(framebuffer) => framebuffer,
                Err(why) => {
                    raw.delete_texture(texture);
                    return Err(why);
                }
            };
            let this = Self { gl: gl.clone(), texture, framebuffer, width, height };
            raw.bind_framebuffer(glow::FRAMEBUFFER, Some(framebuffer));
            raw.framebuffer_texture_2d(glow::FRAMEBUFFER, glow::COLOR_ATTACHMENT0, glow::TEXTURE_2D, Some(texture), 0);
            let status = raw.check_framebuffer_status(glow::FRAMEBUFFER);
            raw.bind_framebuffer(glow::FRAMEBUFFER, None);
            if status != glow::FRAMEBUFFER_COMPLETE {
                return Err(format!("framebuffer status {status:#x}"));
            }
            Ok(this)
        }
    }

    /// Replaces all texels with `rgba`: four bytes a texel, rows without padding, the bottom row first.
    ///
    /// # Panics
    /// `rgba` is not `width * height * 4` bytes long.
    pub fn upload(&self, rgba: &[u8]) {
        assert_eq!(rgba.len(), self.width as usize * self.height as usize * 4, "texel data of the texture's size");
        let raw = self.gl.glow();
        // SAFETY: the context is current, and the slice's length was checked against what GL reads.
        unsafe {
            raw.bind_texture(glow::TEXTURE_2D, Some(self.texture));
            raw.tex_sub_image_2d(
                glow::TEXTURE_2D,
                0,
                0,
                0,
                self.width as i32,
                self.height as i32,
                glow::RGBA,
                glow::UNSIGNED_BYTE,
                glow::PixelUnpackData::Slice(Some(rgba)),
            );
            raw.bind_texture(glow::TEXTURE_2D, None);
        }
    }

    /// A picture that shaders sample: smooth at any size, and repeated beyond its edges. `rgba` is as for
    /// [`Texture::upload`].
    ///
    /// # Errors
    /// As of [`Texture::new`].
    ///
    /// # Panics
    /// As of [`Texture::upload`].
    pub fn sampled(gl: &Gl, width: u32, height: u32, rgba: &[u8]) -> Result<Self, Error> {
        let this = Self::new(gl, width, height)?;
        this.upload(rgba);
        let raw = gl.glow();
        // SAFETY: the context is current, and the texture has its first level.
        unsafe {
            raw.bind_texture(glow::TEXTURE_2D, Some(this.texture));
            for (parameter, value) in [
                (glow::TEXTURE_MAX_LEVEL, 1000),
                (glow::TEXTURE_MIN_FILTER, glow::LINEAR_MIPMAP_LINEAR as i32),
                (glow::TEXTURE_MAG_FILTER, glow::LINEAR as i32),
                (glow::TEXTURE_WRAP_S, glow::REPEAT as i32),
                (glow::TEXTURE_WRAP_T, glow::REPEAT as i32),
            ] {
                raw.tex_parameter_i32(glow::TEXTURE_2D, parameter, value);
            }
            raw.generate_mipmap(glow::TEXTURE_2D);
            raw.bind_texture(glow::TEXTURE_2D, None);
        }
        Ok(this)
    }

    /// Has the texture unit `unit` show `texture`, or opaque black where there is none, as GL does.
    pub fn bind(gl: &Gl, unit: u32, texture: Option<&Self>) {
        let raw = gl.glow();
        // SAFETY: the context is current; a core context has 16 units or more, and one that it lacks is an error of GL's
        // alone.
        unsafe {
            raw.active_texture(glow::TEXTURE0 + unit);
            raw.bind_texture(glow::TEXTURE_2D, texture.map(|texture| texture.texture));
            raw.active_texture(glow::TEXTURE0);
        }
    }

    /// The largest width and height of a texture.
    pub fn largest(gl: &Gl) -> u32 {
        // SAFETY: the context is current.
        let side = unsafe { gl.glow().get_parameter_i32(glow::MAX_TEXTURE_SIZE) };
        u32::try_from(side).unwrap_or(0)
    }

    /// Copies `region` of `from` to `(x, y)` in this texture, texel by texel. What would land outside is left out.
    ///
    /// Software renderers do this without compiling a shader, which costs them more time than everything else up to
    /// the first picture.
    ///
    /// # Panics
    /// `region` reaches past `from`.
    pub fn copy(&self, from: &Texture, region: Region, x: u32, y: u32) {
        assert!(region.is_inside(from.width, from.height), "{region:?} lies inside {from:?}");
        let width = region.width.min(self.width.saturating_sub(x)) as i32;
        let height = region.height.min(self.height.saturating_sub(y)) as i32;
        let (from_x, from_y, x, y) = (region.x as i32, region.y as i32, x as i32, y as i32);
        let raw = self.gl.glow();
        // SAFETY: the context is current and both framebuffers live; both rectangles lie inside them and are of one
        // size.
        unsafe {
            raw.bind_framebuffer(glow::READ_FRAMEBUFFER, Some(from.framebuffer));
            raw.bind_framebuffer(glow::DRAW_FRAMEBUFFER, Some(self.framebuffer));
            raw.blit_framebuffer(
                from_x,
                from_y,
                from_x + width,
                from_y + height,
                x,
                y,
                x + width,
                y + height,
                glow::COLOR_BUFFER_BIT,
                glow::NEAREST,
            );
        }
    }

    /// The region that covers all of it.
    pub fn whole(&self) -> Region {
        Region { x: 0, y: 0, width: self.width, height: self.height }
    }

    /// Fills all of it with one colour; each part from 0 to 1.
    pub(super) fn clear(&self, [r, g, b]: [f32; 3]) {
        let raw = self.gl.glow();
        // SAFETY: the context is current and the framebuffer lives.
        unsafe {
            raw.bind_framebuffer(glow::FRAMEBUFFER, Some(self.framebuffer));
            raw.clear_color(r, g, b, 1.0);
            raw.clear(glow::COLOR_BUFFER_BIT);
        }
    }
}

impl Drop for Texture {
    fn drop(&mut self) {
        let raw = self.gl.glow();
        // SAFETY: both objects were made in this context and are deleted only here.
        unsafe {
            raw.delete_framebuffer(self.framebuffer);
            raw.delete_texture(self.texture);
        }
    }
}

impl fmt::Debug for Texture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Texture({}x{})", self.width, self.height)
    }
}
