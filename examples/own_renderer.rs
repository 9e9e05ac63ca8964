//! Streams a spinning cube: your own GL drawing through mb-encode.
//!
//! ```sh
//! cargo run --release --example own_renderer | ffplay -f h264 -
//! cargo run --release --example own_renderer -- 120 > cube.h264     # two seconds
//! ```

use mb_encode::gl::{Gl, Program};
use mb_encode::{Control, Error, Frame, Output, Renderer, Settings, stream};

const VERTEX: &str = "#version 330 core
uniform float seconds;
uniform float aspect;
out vec3 normal;
out vec3 colour;

void main() {
    // Six faces of two triangles each, from the vertex number alone.
    int face = gl_VertexID / 6, axis = face / 2;
    float side = face % 2 == 0 ? 1.0 : -1.0;
    vec2 corner = vec2[6](vec2(-1), vec2(1, -1), vec2(1), vec2(-1), vec2(1), vec2(-1, 1))[gl_VertexID % 6];
    vec3 position = vec3(side, side > 0.0 ? corner : corner.yx);
    vec3 facing = vec3(side, 0, 0);
    for (int turn = 0; turn < axis; turn++) {
        position = position.zxy;
        facing = facing.zxy;
    }
    float a = seconds * 0.9, b = seconds * 0.6;
    mat3 spin = mat3(cos(a), 0, -sin(a), 0, 1, 0, sin(a), 0, cos(a))
              * mat3(1, 0, 0, 0, cos(b), sin(b), 0, -sin(b), cos(b));
    vec3 seen = spin * position - vec3(0, 0, 6);
    normal = spin * facing;
    colour = 0.5 + 0.5 * facing.zxy * side + 0.2 * position;
    gl_Position = vec4(seen.x * 2.2 / aspect, seen.y * 2.2, -seen.z - 2.0, -seen.z);
}
";

const FRAGMENT: &str = "#version 330 core
in vec3 normal;
in vec3 colour;
out vec4 pixel;

void main() {
    // The cube is convex: what faces the viewer is never hidden, so no depth buffer is needed.
    if (!gl_FrontFacing) discard;
    float light = 0.25 + 0.75 * max(dot(normalize(normal), normalize(vec3(0.4, 0.7, 0.9))), 0.0);
    pixel = vec4(colour * light, 1.0);
}
";

struct Cube(Program);

impl Renderer for Cube {
    fn draw(&mut self, frame: &Frame<'_>) -> Result<(), Error> {
        let size = frame.target.size();
        frame.target.clear([0.02, 0.03, 0.06]);
        self.0.set("seconds", &[frame.pts.as_secs_f32()]);
        self.0.set("aspect", &[size.width() as f32 / size.height() as f32]);
        self.0.draw(36);
        Ok(())
    }
}

fn main() -> Result<(), Error> {
    let usage = |_| Error::input("", "the number of pictures is a whole number", "write: own_renderer 120");
    let pictures = std::env::args().nth(1).map(|pictures| pictures.parse().map_err(usage)).transpose()?;
    let settings = Settings { pictures, ..Settings::default() };
    let make = |gl: &Gl, _: &Settings| Ok(Box::new(Cube(Program::new(gl, VERTEX, FRAGMENT)?)) as Box<dyn Renderer>);
    stream::run(&settings, &Output::Stdout, make, &Control::new()?, None)?;
    Ok(())
}
