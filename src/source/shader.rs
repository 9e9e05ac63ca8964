//! A fragment shader from a file, as on Shadertoy.
//!
//! A file goes through `text` (encodings), `comments` and `scan` (what it declares by itself) to `dialect`, which has the
//! ways to compile it, and `translate`, which makes desktop GLSL of a browser's. The first way that the driver takes is
//! drawn; `complaint` words why none is.

mod channel;
mod comments;
mod complaint;
mod dialect;
#[cfg(fuzzing)]
pub mod fuzz;
mod moment;
mod scan;
mod text;
mod translate;

use super::{Frame, Renderer};
use crate::error::Error;
use crate::gl::{Gl, Program, Texture};
use channel::Channel;
use comments::Bare;
use dialect::{Candidate, Language, candidates};
use scan::Scan;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// More than any shader that a person or a program would write.
const MAX_BYTES: u64 = 1 << 20;

/// How many pictures a shader may read.
pub const CHANNELS: usize = 4;

/// A shader and the pictures that it reads, as they were found in their files.
#[derive(Clone, Debug)]
pub struct Shader {
    /// Stands for it in messages.
    name: String,
    bare: Bare,
    channels: [Option<Channel>; CHANNELS],
}

impl Shader {
    /// Reads the file `path`, and those of its channels.
    ///
    /// # Errors
    /// One cannot be read, or is not what it has to be.
    pub fn read(path: &Path, channels: &[Option<PathBuf>; CHANNELS]) -> Result<Self, Error> {
        let name = path.display().to_string();
        let mut bytes = Vec::new();
        // Not only files end: a path may lead to a device.
        let read = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
        if let Err(error) = read {
            return Err(
                Error::input("shader-unreadable", format!("cannot read the shader {name}"), "").caused_by(error)
            );
        }
        if bytes.len() as u64 > MAX_BYTES {
            return Err(Error::input(
                "shader-unreadable",
                format!("the shader {name} is longer than {} MiB", MAX_BYTES >> 20),
                "",
            ));
        }
        let mut this = Self::of(&name, &bytes);
        for (channel, path) in this.channels.iter_mut().zip(channels) {
            *channel = path.as_deref().map(Channel::read).transpose()?;
        }
        Ok(this)
    }

    /// The shader that a file `name` with these `bytes` holds.
    fn of(name: &str, bytes: &[u8]) -> Self {
        let bare = Bare::of(&text::text_of(bytes));
        Self { name: name.to_owned(), bare, channels: Default::default() }
    }
}

impl fmt::Display for Shader {
    /// Its name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Draws what a file's `void mainImage(out vec4 fragColor, in vec2 fragCoord)` computes, or its own `main`.
///
/// It may read `iResolution` (vec3, pixels), `iTime` and `iTimeDelta` (float, seconds), `iFrame` (int), `iFrameRate`
/// (float), `iDate` (vec4: year, month from 0, day, seconds since midnight, in UTC), and the pictures `iChannel0` to
/// `iChannel3` with `iChannelResolution` (vec3 each, pixels). `iTime` starts over every 7100 s and `iFrame` every
/// 14,414,400 frames, so that both stay exact: see `moment`. `iMouse` (vec4) and `iChannelTime` are 0, as of a mouse that
/// nobody has touched and of pictures that stand still; `iSampleRate` is 44100. `fragCoord` counts from the bottom left
/// corner. Uniforms that a file declares for itself are set where they have a name that means one of these elsewhere
/// (`time`, `u_resolution`). The language is GLSL ES 3.00 as in
/// browsers, else 3.30 core.
#[derive(Debug)]
pub struct ShaderScene {
    program: Program,
    channels: [Option<Texture>; CHANNELS],
    /// Whether it discards no pixel.
    fills_target: bool,
}

/// The channels as shaders call them.
const CHANNEL_NAMES: [&str; CHANNELS] = ["iChannel0", "iChannel1", "iChannel2", "iChannel3"];
/// The names that the size of the picture goes by: on Shadertoy, and on pages and in programs with other customs.
const SIZE_NAMES: [&str; 4] = ["iResolution", "resolution", "u_resolution", "uResolution"];
/// Likewise of the time.
const TIME_NAMES: [&str; 5] = ["iTime", "iGlobalTime", "time", "u_time", "uTime"];
/// Likewise of the number of the picture.
const FRAME_NAMES: [&str; 4] = ["iFrame", "frame", "u_frame", "uFrame"];
/// Whatever else has a value, which may be 0.
const OTHER_NAMES: [&str; 12] = [
    "iTimeDelta",
    "u_delta",
    "iFrameRate",
    "iSampleRate",
    "iDate",
    "u_date",
    "iMouse",
    "mouse",
    "u_mouse",
    "uMouse",
    "iChannelTime",
    "iChannelResolution",
];

impl ShaderScene {
    /// Compiles `shader`, and uploads its pictures.
    ///
    /// # Errors
    /// The source has nothing to call, or does not compile. Then the message has a line `name:line: words` for each of
    /// the compiler's complaints, with the file's own line numbers. The fault is the caller's.
    pub fn new(gl: &Gl, shader: &Shader) -> Result<Self, Error> {
        let program = shader.compile(gl)?;
        let fills_target = !Scan::of(&shader.bare.code).words.contains("discard");
        let mut scene = Self { program, channels: Default::default(), fills_target };
        for (unit, channel) in shader.channels.iter().enumerate() {
            scene.program.set_int(CHANNEL_NAMES[unit], unit as i32);
            scene.program.set_int(&format!("iCh{unit}.sampler"), unit as i32);
            if let Some(channel) = channel {
                scene.channels[unit] = Some(uploaded(gl, channel)?);
                let size = [channel.width as f32, channel.height as f32, 1.0];
                scene.program.set(&format!("iChannelResolution[{unit}]"), &size);
                scene.program.set(&format!("iCh{unit}.size"), &size);
                scene.program.set_int(&format!("iCh{unit}.loaded"), 1);
            }
        }
        scene.program.set("iSampleRate", &[44_100.0]);
        Ok(scene)
    }

    /// The channels that the shader reads and that were given no picture: they are black.
    pub fn without_picture(&self) -> Vec<usize> {
        let is_read = |unit: usize| {
            let names = [CHANNEL_NAMES[unit].to_owned(), format!("iCh{unit}.sampler")];
            self.program.uniforms().any(|uniform| names.iter().any(|name| name == uniform))
        };
        (0..CHANNELS).filter(|&unit| self.channels[unit].is_none() && is_read(unit)).collect()
    }

    /// The uniforms that the shader declares for itself and that have no value here.
    pub fn unset(&self) -> Vec<&str> {
        let known = [&SIZE_NAMES[..], &TIME_NAMES, &FRAME_NAMES, &CHANNEL_NAMES, &OTHER_NAMES].concat();
        // Each element of an array is there as well, behind the array itself.
        let whole = self.program.uniforms().filter(|name| !name.contains('[') && !name.starts_with("gl_"));
        whole.filter(|name| !known.contains(name) && !name.starts_with("iCh")).collect()
    }
}

/// Compiles a file in one way. What the compiler says is the error.
fn compiled(gl: &Gl, way: &Candidate, scan: &Scan) -> Result<Program, String> {
    let made = match way.language {
        Language::Web => {
            let fragment = translate::translate(&way.source)?;
            let inputs: Vec<_> = scan.inputs.iter().map(|name| translate::translated_name(name)).collect();
            let vertex = dialect::vertex(inputs.iter().map(String::as_str));
            Program::renamed(gl, &vertex, &fragment, &translate::original_name)
        }
        Language::Desktop(_) => {
            let vertex = dialect::vertex(scan.inputs.iter().map(String::as_str));
            Program::new(gl, &vertex, &way.source)
        }
    };
    // It begins with our own words.
    made.map_err(|error| error.cause().trim_start_matches("the fragment shader does not compile: ").to_owned())
}

fn uploaded(gl: &Gl, channel: &Channel) -> Result<Texture, Error> {
    let (width, height, longest) = (channel.width, channel.height, Texture::largest(gl));
    if width > longest || height > longest {
        let what = format!("{width}x{height}, and the GL driver takes {longest} pixels a side");
        let name = channel.path.display();
        return Err(Error::input("channel-too-large", format!("the picture {name} is too large: {what}"), ""));
    }
    Texture::sampled(gl, width, height, &channel.rgba)
}

impl Shader {
    fn compile(&self, gl: &Gl) -> Result<Program, Error> {
        let (name, scan) = (&self.name, Scan::of(&self.bare.code));
        let mut refusals = Vec::new();
        for way in candidates(&scan) {
            match compiled(gl, &way, &scan) {
                Ok(program) => return Ok(program),
                Err(log) => refusals.push((way, log)),
            }
        }
        if let Some(line) = self.bare.open_comment {
            return Err(Error::input(
                "shader-comment",
                format!("{name}:{line}: the comment that begins here never ends"),
                "",
            ));
        }
        // The first way is what the file was written for, as far as one can tell.
        let is_for_desktop = scan.version.as_deref().is_some_and(dialect::is_for_desktop);
        let expected = |way: &Candidate| (way.language == Language::Web) != is_for_desktop;
        let Some((way, log)) = refusals.iter().find(|(way, _)| expected(way)).or(refusals.first()) else {
            return Err(self.without_main(&scan));
        };
        if let Some(&(line, character)) = self.bare.foreign.first() {
            return Err(Error::input(
                "shader-characters",
                format!("{name}:{line}: the code has a '{character}' (U+{:04X})", u32::from(character)),
                "",
            ));
        }
        let mut told = complaint::told(name, log, way.head, &scan);
        if told.contains("samplerCube") || (told.contains("texture") && told.contains("no matching")) {
            told +=
                "\niChannel0 to iChannel3 are pictures here (sampler2D): cube maps, volumes and sound are not known";
        }
        Err(Error::input("shader-compile", format!("the shader {name} does not compile"), told))
    }

    fn without_main(&self, scan: &Scan) -> Error {
        let name = &self.name;
        let seen = if self.bare.code.trim().is_empty() {
            ": it is empty".to_owned()
        } else if let Some(other) = ["mainSound", "mainVR", "mainCubemap"].iter().find(|&&it| scan.words.contains(it)) {
            format!(", only {other}")
        } else {
            String::new()
        };
        Error::input(
            "shader-no-main",
            format!("{name} has no mainImage{seen}"),
            "write: void mainImage(out vec4 fragColor, in vec2 fragCoord) { fragColor = vec4(1.0); }",
        )
    }
}

impl Renderer for ShaderScene {
    fn fills_target(&self) -> bool {
        self.fills_target
    }

    fn draw(&mut self, frame: &Frame<'_>) -> Result<(), Error> {
        let size = frame.target.size();
        let now = time::UtcDateTime::from(frame.wall_clock);
        let midnight = now.replace_time(time::Time::MIDNIGHT);
        let seconds = |time: Duration| time.as_secs_f64() as f32;

        let program = &self.program;
        for name in SIZE_NAMES {
            program.set(name, &[size.width() as f32, size.height() as f32, 1.0]);
        }
        for name in TIME_NAMES {
            program.set(name, &[moment::time(frame.pts)]);
        }
        for name in FRAME_NAMES {
            program.set_int(name, moment::frame(frame.index));
        }
        for name in ["iTimeDelta", "u_delta"] {
            program.set(name, &[seconds(frame.delta)]);
        }
        program.set("iFrameRate", &[1.0 / seconds(frame.delta)]);
        for name in ["iDate", "u_date"] {
            program.set(
                name,
                &[
                    now.year() as f32,
                    f32::from(u8::from(now.month()) - 1),
                    f32::from(now.day()),
                    (now - midnight).as_seconds_f32(),
                ],
            );
        }
        for (unit, channel) in self.channels.iter().enumerate() {
            Texture::bind(frame.gl, unit as u32, channel.as_ref());
        }
        program.draw(3);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shader_fills_its_target_but_where_it_discards() {
        let gl = Gl::open(None).unwrap();
        let fills = |body: &str| {
            let source = format!("void mainImage(out vec4 colour, in vec2 at) {{ {body} colour = vec4(1.0); }}");
            ShaderScene::new(&gl, &Shader::of("a", source.as_bytes())).unwrap().fills_target()
        };
        assert!(fills("// discard\n"));
        assert!(!fills("if (at.x < 9.0) discard;"));
        assert!(!fills("\n#define HIDE discard\nif (at.x < 9.0) HIDE;"));
    }
}
