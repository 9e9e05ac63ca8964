//! A picture as NV12 on the GPU: one texture of Y, and one of Cb and Cr at half the size, each the top row first.

use super::context::Gl;
use super::program::{Program, WHOLE_TARGET};
use super::target::Target;
use super::texture::Texture;
use crate::color;
use crate::error::Error;
use crate::settings::Size;
use glow::HasContext;
use std::fmt;

/// A texture that holds one plane: row 0 is the **top** row of the picture.
pub struct Plane {
    texture: Texture,
    /// Bytes a texel.
    parts: u32,
}

/// Converts what a [`Target`] shows to NV12, BT.709 in limited range.
#[derive(Debug)]
pub struct Nv12 {
    /// Y, one byte a pixel; then Cb and Cr, two bytes for four pixels.
    planes: [Plane; 2],
    luma: Program,
    chroma: Program,
}

impl Nv12 {
    /// Planes for pictures of `size`.
    ///
    /// # Errors
    /// The driver cannot draw into textures of one and two parts.
    pub fn new(gl: &Gl, size: Size) -> Result<Self, Error> {
        let (width, height) = (size.width(), size.height());
        let planes = [Plane::new(gl, width, height, 1)?, Plane::new(gl, width / 2, height / 2, 2)?];
        let luma = Program::new(gl, WHOLE_TARGET, &luma_shader())?;
        let chroma = Program::new(gl, WHOLE_TARGET, &chroma_shader())?;
        for program in [&luma, &chroma] {
            program.set_int("picture", 0);
        }
        Ok(Self { planes, luma, chroma })
    }

    /// Draws both planes from `target`, and hands the work to the GPU. The bound framebuffer is another one afterwards.
    pub fn convert(&self, target: &Target) {
        for (plane, program) in self.planes.iter().zip([&self.luma, &self.chroma]) {
            let raw = plane.texture.gl.glow();
            // SAFETY: the context is current, and texture and framebuffer live.
            unsafe {
                raw.bind_framebuffer(glow::FRAMEBUFFER, Some(plane.texture.framebuffer));
                raw.viewport(0, 0, plane.texture.width as i32, plane.texture.height as i32);
                // Whatever the renderer left switched on must not touch the planes.
                for state in [glow::SCISSOR_TEST, glow::BLEND, glow::DEPTH_TEST, glow::CULL_FACE, glow::STENCIL_TEST] {
                    raw.disable(state);
                }
                raw.color_mask(true, true, true, true);
                raw.active_texture(glow::TEXTURE0);
                raw.bind_texture(glow::TEXTURE_2D, Some(target.texture_name()));
            }
            program.draw(3);
        }
        let raw = self.planes[0].texture.gl.glow();
        // SAFETY: the context is current.
        unsafe {
            raw.bind_texture(glow::TEXTURE_2D, None);
            raw.flush();
        }
    }

    /// Y, then Cb and Cr.
    pub fn planes(&self) -> &[Plane; 2] {
        &self.planes
    }
}

/// What both shaders start with. The target's bottom row comes first, a plane's top row.
fn head() -> String {
    "#version 330 core
uniform sampler2D picture;
out vec4 code;
vec3 rgb(ivec2 at) {
    return texelFetch(picture, ivec2(at.x, textureSize(picture, 0).y - 1 - at.y), 0).rgb;
}
"
    .to_owned()
}

fn luma_shader() -> String {
    let (kr, kg, kb) = (color::KR, color::KG, color::KB);
    head()
        + &format!(
            "void main() {{
    float y = dot(rgb(ivec2(gl_FragCoord.xy)), vec3({kr:.9}, {kg:.9}, {kb:.9}));
    code = vec4((16.0 + 219.0 * y) / 255.0);
}}
"
        )
}

fn chroma_shader() -> String {
    let (kr, kg, kb) = (color::KR, color::KG, color::KB);
    head()
        + &format!(
            "void main() {{
    ivec2 at = 2 * ivec2(gl_FragCoord.xy);
    vec3 mean = 0.25 * (rgb(at) + rgb(at + ivec2(1, 0)) + rgb(at + ivec2(0, 1)) + rgb(at + ivec2(1, 1)));
    float y = dot(mean, vec3({kr:.9}, {kg:.9}, {kb:.9}));
    vec2 c = vec2((mean.b - y) / {:.9}, (mean.r - y) / {:.9});
    code = vec4((128.0 + 224.0 * c) / 255.0, 0.0, 0.0);
}}
",
            2.0 * (1.0 - kb),
            2.0 * (1.0 - kr)
        )
}

impl Plane {
    fn new(gl: &Gl, width: u32, height: u32, parts: u32) -> Result<Self, Error> {
        let format = if parts == 1 { (glow::R8, glow::RED) } else { (glow::RG8, glow::RG) };
        let texture = Texture::with_format(gl, width, height, format).map_err(|why| {
            Error::machine(
                "gl-limits",
                format!("the GL driver cannot draw into a texture of {width}x{height} with {parts} parts"),
                "",
            )
            .caused_by(why)
        })?;
        Ok(Self { texture, parts })
    }

    /// GL's name of the texture.
    pub fn name(&self) -> u32 {
        self.texture.texture.0.get()
    }

    /// Bytes in a row.
    pub fn row_bytes(&self) -> usize {
        (self.texture.width * self.parts) as usize
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.texture.height as usize
    }

    /// Waits until everything is drawn and reads the plane: rows without padding, the **top** row first.
    pub fn read(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.row_bytes() * self.rows()];
        // SAFETY: the context is current; without a pixel pack buffer GL writes as many bytes as there are.
        unsafe {
            self.texture.gl.glow().bind_buffer(glow::PIXEL_PACK_BUFFER, None);
            self.read_to(glow::PixelPackData::Slice(Some(&mut bytes)));
        }
        bytes
    }

    /// Reads the plane to `to`, as [`Plane::read`] does. The bound framebuffer is another one afterwards.
    ///
    /// # Safety
    /// The context is current, and there is room for as many bytes as the plane has: in the slice, where no pixel pack buffer
    /// is bound, else in that one, behind the offset.
    pub(super) unsafe fn read_to(&self, to: glow::PixelPackData<'_>) {
        let format = if self.parts == 1 { glow::RED } else { glow::RG };
        let (width, height) = (self.texture.width as i32, self.texture.height as i32);
        let raw = self.texture.gl.glow();
        // SAFETY: the framebuffer lives, and rows packed without padding are as many bytes as the plane has, for which the
        // caller has room.
        unsafe {
            raw.bind_framebuffer(glow::FRAMEBUFFER, Some(self.texture.framebuffer));
            raw.pixel_store_i32(glow::PACK_ALIGNMENT, 1);
            raw.read_pixels(0, 0, width, height, format, glow::UNSIGNED_BYTE, to);
            raw.pixel_store_i32(glow::PACK_ALIGNMENT, 4);
        }
    }
}

impl fmt::Debug for Plane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plane({}x{}x{})", self.texture.width, self.texture.height, self.parts)
    }
}
