//! Textures, render targets and programs. Each holds its context and frees itself.

use super::Gl;
use crate::error::Error;
use crate::settings::Size;
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
    gl: Gl,
    texture: glow::Texture,
    framebuffer: glow::Framebuffer,
    width: u32,
    height: u32,
}

impl Texture {
    /// A texture of `width` x `height` texels with undefined contents.
    ///
    /// # Errors
    /// The driver refuses the size.
    pub fn new(gl: &Gl, width: u32, height: u32) -> Result<Self, Error> {
        let refused = |why: String| {
            Error::machine(format!("the GL driver refuses a texture of {width}x{height}"), "choose a smaller size")
                .caused_by(why)
        };
        let raw = gl.glow();
        // SAFETY: the context of `gl` is current on this thread, as `Gl` promises for its whole life.
        unsafe {
            let texture = raw.create_texture().map_err(refused)?;
            raw.bind_texture(glow::TEXTURE_2D, Some(texture));
            // One level: it can be sampled and rendered to at once, without mipmaps.
            raw.tex_parameter_i32(glow::TEXTURE_2D, glow::TEXTURE_MAX_LEVEL, 0);
            raw.tex_parameter_i32(glow::TEXTURE_2D, glow::TEXTURE_MIN_FILTER, glow::NEAREST as i32);
            raw.tex_parameter_i32(glow::TEXTURE_2D, glow::TEXTURE_MAG_FILTER, glow::NEAREST as i32);
            raw.tex_image_2d(
                glow::TEXTURE_2D,
                0,
                glow::RGBA8 as i32,
                width as i32,
                height as i32,
                0,
                glow::RGBA,
                glow::UNSIGNED_BYTE,
                glow::PixelUnpackData::Slice(None),
            );
            raw.bind_texture(glow::TEXTURE_2D, None);
            let framebuffer = match raw.create_framebuffer() {
                Ok(framebuffer) => framebuffer,
                Err(why) => {
                    raw.delete_texture(texture);
                    return Err(refused(why));
                }
            };
            let this = Self { gl: gl.clone(), texture, framebuffer, width, height };
            raw.bind_framebuffer(glow::FRAMEBUFFER, Some(framebuffer));
            raw.framebuffer_texture_2d(glow::FRAMEBUFFER, glow::COLOR_ATTACHMENT0, glow::TEXTURE_2D, Some(texture), 0);
            let status = raw.check_framebuffer_status(glow::FRAMEBUFFER);
            raw.bind_framebuffer(glow::FRAMEBUFFER, None);
            if status != glow::FRAMEBUFFER_COMPLETE {
                return Err(refused(format!("framebuffer status {status:#x}")));
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
    fn clear(&self, [r, g, b]: [f32; 3]) {
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
    /// upwards: four bytes a pixel, rows without padding. Row 0 is the **bottom** one.
    ///
    /// # Panics
    /// `rgba` does not hold whole rows, or more than there are.
    pub fn read_rows(&self, first: u32, rgba: &mut [u8]) {
        let row = self.size.width() as usize * 4;
        let rows = rgba.len() / row;
        assert_eq!(rgba.len() % row, 0, "whole rows of the target");
        assert!(first as usize + rows <= self.size.height() as usize, "rows that the target has");
        let raw = self.texture.gl.glow();
        self.bind();
        // SAFETY: the context is current, no pixel pack buffer is bound, and the slice's length was checked against
        // what GL writes with its default packing (rows of a multiple of 4 bytes are what RGBA gives anyway).
        unsafe {
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
    }
}

/// A compiled and linked pair of shaders that draws triangles from `gl_VertexID` alone.
pub struct Program {
    gl: Gl,
    program: glow::Program,
    vertex_array: glow::VertexArray,
    /// Those that the shaders use, by name. Asked for once: each question to GL would allocate.
    uniforms: Vec<(String, glow::UniformLocation)>,
}

/// A vertex shader that covers the whole target with one triangle: draw it with `draw(3)`.
pub const WHOLE_TARGET: &str = "#version 330 core
void main() {
    vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1);
    gl_Position = vec4(corner * 4.0 - 1.0, 0.0, 1.0);
}
";

impl Program {
    /// Compiles and links two GLSL 3.30 sources. The fragment shader has one `out vec4`.
    ///
    /// # Errors
    /// The compiler's own words; the fault is the caller's.
    pub fn new(gl: &Gl, vertex: &str, fragment: &str) -> Result<Self, Error> {
        let raw = gl.glow();
        let refused = |stage: &str, log: String| {
            Error::input(format!("the {stage} does not compile"), String::new()).caused_by(log.trim().to_owned())
        };
        let broken = |why: String| Error::machine("the GL driver makes no program", String::new()).caused_by(why);
        // SAFETY: the context is current; each object made here is deleted on every way out.
        unsafe {
            let program = raw.create_program().map_err(broken)?;
            let vertex_array = match raw.create_vertex_array() {
                Ok(vertex_array) => vertex_array,
                Err(why) => {
                    raw.delete_program(program);
                    return Err(broken(why));
                }
            };
            let mut this = Self { gl: gl.clone(), program, vertex_array, uniforms: Vec::new() };
            let stages =
                [(glow::VERTEX_SHADER, "vertex shader", vertex), (glow::FRAGMENT_SHADER, "fragment shader", fragment)];
            for (kind, name, source) in stages {
                let shader = raw.create_shader(kind).map_err(broken)?;
                raw.shader_source(shader, source);
                raw.compile_shader(shader);
                let compiled = raw.get_shader_compile_status(shader);
                let log = raw.get_shader_info_log(shader);
                raw.attach_shader(program, shader);
                // Deletion takes effect when the program lets go of it.
                raw.delete_shader(shader);
                if !compiled {
                    return Err(refused(name, log));
                }
            }
            raw.link_program(program);
            if !raw.get_program_link_status(program) {
                return Err(refused("shader program", raw.get_program_info_log(program)));
            }
            for at in 0..raw.get_program_parameter_i32(program, glow::ACTIVE_UNIFORMS).max(0) as u32 {
                let Some(uniform) = raw.get_active_uniform(program, at) else { continue };
                // GL names an array by its first element; whoever sets it may name any, or none.
                let mut names = vec![uniform.name.clone()];
                if let Some(array) = uniform.name.strip_suffix("[0]") {
                    names.push(array.to_owned());
                    names.extend((1..uniform.size).map(|element| format!("{array}[{element}]")));
                }
                for name in names {
                    // What GL itself provides has no location.
                    if let Some(location) = raw.get_uniform_location(program, &name) {
                        this.uniforms.push((name, location));
                    }
                }
            }
            Ok(this)
        }
    }

    /// Sets the `float` or `vec2` to `vec4` uniform `name` to `values`. A uniform that the shader does not use is left
    /// out, as in GL.
    ///
    /// # Panics
    /// `values` is empty or has more than four parts.
    pub fn set(&self, name: &str, values: &[f32]) {
        let raw = self.gl.glow();
        // SAFETY: the context is current and the program lives as long as `self`.
        unsafe {
            raw.use_program(Some(self.program));
            let location = self.location(name);
            match *values {
                [x] => raw.uniform_1_f32(location, x),
                [x, y] => raw.uniform_2_f32(location, x, y),
                [x, y, z] => raw.uniform_3_f32(location, x, y, z),
                [x, y, z, w] => raw.uniform_4_f32(location, x, y, z, w),
                _ => panic!("a uniform has one to four parts, not {}", values.len()),
            }
        }
    }

    /// Sets the `int` uniform `name`.
    pub fn set_int(&self, name: &str, value: i32) {
        let raw = self.gl.glow();
        // SAFETY: as in `set`.
        unsafe {
            raw.use_program(Some(self.program));
            raw.uniform_1_i32(self.location(name), value);
        }
    }

    fn location(&self, name: &str) -> Option<&glow::UniformLocation> {
        self.uniforms.iter().find(|(known, _)| known == name).map(|(_, location)| location)
    }

    /// Draws `vertices / 3` triangles into the bound framebuffer; `gl_VertexID` counts from 0.
    pub fn draw(&self, vertices: u32) {
        let raw = self.gl.glow();
        // SAFETY: the context is current; no vertex attribute is enabled, so no memory is read.
        unsafe {
            raw.use_program(Some(self.program));
            raw.bind_vertex_array(Some(self.vertex_array));
            raw.draw_arrays(glow::TRIANGLES, 0, vertices as i32);
            raw.bind_vertex_array(None);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let raw = self.gl.glow();
        // SAFETY: both objects were made in this context and are deleted only here.
        unsafe {
            raw.delete_vertex_array(self.vertex_array);
            raw.delete_program(self.program);
        }
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Program")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniforms_are_set_by_name_and_arrays_by_any_of_theirs() {
        let gl = Gl::open(None).unwrap();
        let size = Size::new(64, 64).unwrap();
        let target = Target::new(&gl, size).unwrap();
        let fragment = "#version 330 core
uniform float part[3];
uniform int whole;
uniform float unused;
out vec4 pixel;
void main() {
    pixel = vec4(part[0], part[1], part[2], float(whole));
}
";
        let program = Program::new(&gl, WHOLE_TARGET, fragment).unwrap();
        program.set("part", &[0.2]);
        program.set("part[1]", &[0.4]);
        program.set("part[2]", &[0.6]);
        program.set_int("whole", 1);
        program.set("unused", &[1.0]);
        program.set("part[3]", &[1.0]);
        target.bind();
        program.draw(3);
        let mut rgba = vec![0; size.pixels() * 4];
        target.read_rows(0, &mut rgba);
        assert!(rgba.chunks_exact(4).all(|pixel| pixel == [51, 102, 153, 255]), "{:?}", &rgba[..4]);
        program.set("part[0]", &[1.0]);
        program.draw(3);
        target.read_rows(0, &mut rgba);
        assert_eq!(rgba[..4], [255, 102, 153, 255]);
    }
}
