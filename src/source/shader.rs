//! A fragment shader from a file, in Shadertoy's convention.

use super::{Frame, Renderer};
use crate::error::Error;
use crate::gl::{Gl, Program, WHOLE_TARGET};
use std::time::Duration;

/// Draws what a file's `void mainImage(out vec4 fragColor, in vec2 fragCoord)` computes.
///
/// It may read `iResolution` (vec3, pixels), `iTime` and `iTimeDelta` (float, seconds), `iFrame` (int), `iFrameRate`
/// (float) and `iDate` (vec4: year, month from 0, day, seconds since midnight, in UTC). `fragCoord` counts from the
/// bottom left corner. GLSL is 3.30 core. There are no input channels; `iMouse` (vec4) is 0, as of a mouse that nobody
/// has touched.
#[derive(Debug)]
pub struct ShaderScene {
    program: Program,
}

/// Declared in front of the file. `#line` makes the compiler count from the file's own first line.
const HEAD: &str = "#version 330 core
uniform vec3 iResolution;
uniform float iTime;
uniform float iTimeDelta;
uniform float iFrameRate;
uniform int iFrame;
uniform vec4 iDate;
const vec4 iMouse = vec4(0.0);
out vec4 mb_encode_colour;
#line 1
";
/// Behind the file. Its lines are counted on from the file's.
const TAIL: &str = "
void main() {
    vec4 colour = vec4(0.0, 0.0, 0.0, 1.0);
    mainImage(colour, gl_FragCoord.xy);
    mb_encode_colour = vec4(colour.rgb, 1.0);
}
";

impl ShaderScene {
    /// Compiles `source`; `name` stands for it in messages.
    ///
    /// # Errors
    /// The source has no `mainImage`, or does not compile. Then the message has a line `name:line: words` for each of
    /// the compiler's complaints, with the source's own line numbers. The fault is the caller's.
    pub fn new(gl: &Gl, name: &str, source: &str) -> Result<Self, Error> {
        if let Some(at) = source.lines().position(|line| line.trim_start().starts_with("#version")) {
            return Err(Error::input(
                "shader-version",
                format!("{name}:{}: the shader has a #version line", at + 1),
                "remove it: the shader is compiled as GLSL 3.30 core, and the line is written for you",
            ));
        }
        if !source.contains("mainImage") {
            return Err(Error::input(
                "shader-no-main",
                format!("{name} has no mainImage"),
                "write: void mainImage(out vec4 fragColor, in vec2 fragCoord) { fragColor = vec4(1.0); }",
            ));
        }
        match Program::new(gl, WHOLE_TARGET, &format!("{HEAD}{source}{TAIL}")) {
            Ok(program) => Ok(Self { program }),
            Err(error) => {
                let mut log = numbered(name, &error.cause(), source.lines().count());
                if log.contains("iChannel") {
                    // Mesa lists every function that it could have been.
                    log.truncate(log.match_indices('\n').nth(2).map_or(log.len(), |(at, _)| at));
                    log += "\nthere are no input channels here: a picture is computed, iChannel0 to iChannel3 are not known";
                }
                Err(Error::input("shader-compile", format!("the shader {name} does not compile"), log))
            }
        }
    }
}

/// The compiler's log with each `0:12(5):` (Mesa) or `0(12) :` (NVIDIA) written as `name:12:`.
fn numbered(name: &str, log: &str, lines: usize) -> String {
    // The first line begins with our own words.
    let log = log.strip_prefix("the fragment shader does not compile: ").unwrap_or(log);
    let line = |text: &str| match line_number(text) {
        Some((line, words)) if line <= lines => format!("{name}:{line}: {words}"),
        // Behind the file's end: `mainImage` has another signature than the one it is called with.
        Some((_, words)) => format!("{name}: mainImage(out vec4, in vec2): {words}"),
        None => text.to_owned(),
    };
    log.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn line_number(text: &str) -> Option<(usize, &str)> {
    let rest = text.strip_prefix("0:").or_else(|| text.strip_prefix("0("))?;
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let line = rest[..digits].parse().ok()?;
    // Behind the number: `(5): error: …` or `) : error C0000: …`.
    let words = rest[digits..].split_once(": ").map_or("", |(_, words)| words);
    Some((line, words.trim_start()))
}

impl Renderer for ShaderScene {
    fn draw(&mut self, frame: &Frame<'_>) -> Result<(), Error> {
        let size = frame.target.size();
        let now = time::UtcDateTime::from(frame.wall_clock);
        let midnight = now.replace_time(time::Time::MIDNIGHT);
        let seconds = |time: Duration| time.as_secs_f64() as f32;

        let program = &self.program;
        program.set("iResolution", &[size.width() as f32, size.height() as f32, 1.0]);
        program.set("iTime", &[seconds(frame.pts)]);
        program.set("iTimeDelta", &[seconds(frame.delta)]);
        program.set("iFrameRate", &[1.0 / seconds(frame.delta)]);
        program.set_int("iFrame", frame.index as i32);
        program.set(
            "iDate",
            &[
                now.year() as f32,
                f32::from(u8::from(now.month()) - 1),
                f32::from(now.day()),
                (now - midnight).as_seconds_f32(),
            ],
        );
        program.draw(3);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_logs_get_the_files_own_lines() {
        let mesa = "the fragment shader does not compile: 0:3(12): error: `x' undeclared\n0:9(1): error: no function with name 'mainImage'";
        assert_eq!(
            numbered("a.glsl", mesa, 5),
            "a.glsl:3: error: `x' undeclared\na.glsl: mainImage(out vec4, in vec2): error: no function with name 'mainImage'"
        );
        let nvidia = "0(4) : error C1503: undefined variable \"x\"";
        assert_eq!(numbered("a.glsl", nvidia, 5), "a.glsl:4: error C1503: undefined variable \"x\"");
        assert_eq!(numbered("a.glsl", "out of memory", 5), "out of memory");
    }
}
