//! Shaders, compiled and linked. What they draw into is bound by somebody else.

use super::context::Gl;
use crate::error::Error;
use glow::HasContext;
use std::fmt;

/// A compiled and linked pair of shaders that draws triangles from `gl_VertexID` alone.
pub struct Program {
    gl: Gl,
    program: glow::Program,
    vertex_array: glow::VertexArray,
    /// Those that the shaders use. Asked for once: each question to GL would allocate.
    uniforms: Vec<Uniform>,
}

/// A uniform that a shader uses, or one element of an array of them.
struct Uniform {
    name: String,
    /// GL's name of its type.
    kind: u32,
    location: glow::UniformLocation,
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
        Self::renamed(gl, vertex, fragment, &str::to_owned)
    }

    /// As [`Program::new`], for sources that were translated: `original` is what a uniform was called before.
    ///
    /// # Errors
    /// As of [`Program::new`].
    pub(crate) fn renamed(
        gl: &Gl,
        vertex: &str,
        fragment: &str,
        original: &dyn Fn(&str) -> String,
    ) -> Result<Self, Error> {
        let raw = gl.glow();
        let refused = |stage: &str, log: String| {
            Error::input("gl-program", format!("the {stage} does not compile"), String::new())
                .caused_by(log.trim().to_owned())
        };
        let broken =
            |why: String| Error::machine("gl-program", "the GL driver makes no program", String::new()).caused_by(why);
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
                        this.uniforms.push(Uniform { name: original(&name), kind: uniform.utype, location });
                    }
                }
            }
            Ok(this)
        }
    }

    /// Sets the uniform `name`, of a type from `float` to `vec4` or `int`, to `values`. Where the shader declares fewer
    /// parts the rest is left out, and where it declares more they are 0. A uniform that the shader does not use is left
    /// out, as in GL.
    ///
    /// # Panics
    /// `values` is empty or has more than four parts.
    pub fn set(&self, name: &str, values: &[f32]) {
        assert!((1..=4).contains(&values.len()), "a uniform has one to four parts, not {}", values.len());
        let Some(uniform) = self.uniform(name) else { return };
        let part = |at: usize| values.get(at).copied().unwrap_or(0.0);
        let raw = self.gl.glow();
        let location = Some(&uniform.location);
        // SAFETY: the context is current and the program lives as long as `self`.
        unsafe {
            raw.use_program(Some(self.program));
            match uniform.kind {
                glow::FLOAT_VEC2 => raw.uniform_2_f32(location, part(0), part(1)),
                glow::FLOAT_VEC3 => raw.uniform_3_f32(location, part(0), part(1), part(2)),
                glow::FLOAT_VEC4 => raw.uniform_4_f32(location, part(0), part(1), part(2), part(3)),
                glow::INT => raw.uniform_1_i32(location, part(0) as i32),
                _ => raw.uniform_1_f32(location, part(0)),
            }
        }
    }

    /// Sets the uniform `name`, an `int`, a sampler by its texture unit, or a `float`.
    pub fn set_int(&self, name: &str, value: i32) {
        let Some(uniform) = self.uniform(name) else { return };
        let raw = self.gl.glow();
        // SAFETY: as in `set`.
        unsafe {
            raw.use_program(Some(self.program));
            match uniform.kind {
                glow::FLOAT => raw.uniform_1_f32(Some(&uniform.location), value as f32),
                _ => raw.uniform_1_i32(Some(&uniform.location), value),
            }
        }
    }

    /// The uniforms that the shaders use, by name: an array's first element, its name alone, and its other elements.
    pub fn uniforms(&self) -> impl Iterator<Item = &str> {
        self.uniforms.iter().map(|uniform| uniform.name.as_str())
    }

    fn uniform(&self, name: &str) -> Option<&Uniform> {
        self.uniforms.iter().find(|uniform| uniform.name == name)
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
    use crate::gl::Target;
    use crate::settings::Size;

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

    #[test]
    fn a_value_fits_the_type_that_the_shader_declares() {
        let gl = Gl::open(None).unwrap();
        let size = Size::new(64, 64).unwrap();
        let target = Target::new(&gl, size).unwrap();
        let fragment = "#version 330 core
uniform vec2 fewer;
uniform vec4 more;
uniform float number;
uniform int whole;
out vec4 pixel;
void main() {
    pixel = vec4(fewer.y, more.x + more.w, number / 5.0, whole == 3);
}
";
        let program = Program::new(&gl, WHOLE_TARGET, fragment).unwrap();
        program.set("fewer", &[0.0, 0.2, 1.0]);
        program.set("more", &[0.4]);
        program.set_int("number", 3);
        program.set("whole", &[3.0]);
        target.bind();
        program.draw(3);
        let mut rgba = vec![0; size.pixels() * 4];
        target.read_rows(0, &mut rgba);
        assert_eq!(rgba[..4], [51, 102, 153, 255]);
        let mut used: Vec<_> = program.uniforms().collect();
        used.sort_unstable();
        assert_eq!(used, ["fewer", "more", "number", "whole"]);
    }
}
