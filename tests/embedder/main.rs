//! A crate of somebody else's that has nothing but a path dependency on this one: it builds the example, reaches every
//! type that a signature names, and compiles no command line unless it asks for one.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Names what can be met while a renderer of one's own is streamed, by the paths that a stranger has.
const NAMES: &str = r#"
use mb_encode::gl::{Gl, Hardware, Program, Region, Target, Texture};
use mb_encode::glow::{self, HasContext as _};
use mb_encode::settings::{
    Bitrate, EncoderChoice, FifoMode, FrameRate, Gop, IdrScale, Limits, MpegTs, Named, PipeSize, Preset, Size, Tuning, Vbv,
};
use mb_encode::stream::MakeRenderer;
use mb_encode::{Control, Error, Fault, Frame, Output, Renderer, Settings, Totals, stream};
use std::time::Duration;

pub struct Mine {
    program: Program,
    texture: Texture,
}

impl Renderer for Mine {
    fn draw(&mut self, frame: &Frame<'_>) -> Result<(), Error> {
        let target: &Target = frame.target;
        let size: Size = target.size();
        let region: Region = self.texture.whole();
        target.copy(&self.texture, region, 0, 0);
        self.program.set("aspect", &[size.width() as f32 / size.height() as f32]);
        Ok(())
    }
}

/// Draws with calls of its own.
pub fn clear(gl: &Gl) {
    let context: &glow::Context = gl.glow();
    // SAFETY: the context is current as long as `gl` is there.
    unsafe { context.clear(glow::COLOR_BUFFER_BIT) };
}

pub fn where_it_draws(gl: &Gl) -> &Hardware {
    gl.hardware()
}

pub fn settings(size: Size, frame_rate: FrameRate, bitrate: Bitrate, gop: Gop) -> Settings {
    let (encoder, preset, tuning) = (EncoderChoice::Auto, Preset::P1, Tuning::LowLatency);
    let mpegts: Option<MpegTs> = Some(MpegTs::Native);
    Settings { size, frame_rate, bitrate, gop: Some(gop), encoder, preset, tuning, mpegts, ..Settings::default() }
}

pub fn run(settings: &Settings, output: &Output, make: impl MakeRenderer, control: &Control) -> Result<Totals, Fault> {
    stream::run(settings, output, make, control, Some(Duration::from_secs(2))).map_err(|error| error.fault())
}

pub fn buffer() -> (Option<Vbv>, IdrScale) {
    (Vbv::new(1.5).ok(), IdrScale::default())
}

pub fn places() -> (FifoMode, Option<PipeSize>, Limits, &'static str) {
    (FifoMode::default(), None, Limits::default(), Preset::P1.name())
}
"#;

/// The stranger's crate, in a folder of its own.
struct Stranger(tempfile::TempDir);

impl Stranger {
    /// `dependency` stands behind the path in the manifest.
    fn new(dependency: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        // As in the project, whose builds of OpenH264 and ANGLE are used again. Cargo warns of a package that is not there.
        let of_program =
            if dependency.is_empty() { "[profile.dev.package.mozangle]\nopt-level = 3\ndebug = false\n" } else { "" };
        let manifest = format!(
            "[package]\nname = \"stranger\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
             [lib]\npath = \"names.rs\"\n\n\
             [[bin]]\nname = \"own_renderer\"\npath = \"own_renderer.rs\"\n\n\
             [dependencies]\nmb-encode = {{ path = \"{}\"{dependency} }}\n\n\
             [profile.dev.package.openh264-sys2]\nopt-level = 3\ndebug = false\n{of_program}",
            project.display()
        );
        std::fs::write(folder.path().join("Cargo.toml"), manifest).expect("a file");
        std::fs::write(folder.path().join("names.rs"), NAMES).expect("a file");
        let copy = |from: &str, to: &str| std::fs::copy(project.join(from), folder.path().join(to)).expect("a copy");
        copy("examples/own_renderer.rs", "own_renderer.rs");
        // The same versions, which are here already.
        copy("Cargo.lock", "Cargo.lock");
        Self(folder)
    }

    fn cargo(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO"));
        command.args(words).arg("--offline").current_dir(self.0.path()).env("CARGO_TARGET_DIR", target());
        let output = command.output().expect("cargo can be run");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo {words:?}: {said}");
        assert!(!said.contains("warning"), "cargo {words:?}: {said}");
        output
    }

    /// The packages that are built into it, by their names.
    fn packages(&self) -> Vec<String> {
        let tree = self.cargo(&["tree", "--edges=normal,build", "--prefix=none", "--format={p}"]).stdout;
        let tree = String::from_utf8(tree).expect("UTF-8");
        tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
    }
}

/// The folder that this test was built into.
fn target() -> PathBuf {
    let test = std::env::current_exe().expect("it has a path");
    test.ancestors().nth(3).expect("target/PROFILE/deps/NAME").to_owned()
}

#[test]
fn a_path_dependency_is_all_that_a_renderer_of_ones_own_needs() {
    let stranger = Stranger::new("");
    stranger.cargo(&["check", "--all-targets"]);
    assert!(stranger.packages().iter().any(|name| name == "clap"), "what is looked for below");
}

#[test]
fn without_the_program_there_is_no_command_line_to_compile() {
    let stranger = Stranger::new(", default-features = false");
    stranger.cargo(&["check", "--all-targets"]);
    let packages = stranger.packages();
    assert!(packages.iter().any(|name| name == "glow"), "{packages:?}");
    for program in ["clap", "clap_complete", "clap_mangen", "anyhow", "serde", "serde_json", "tracing-subscriber"] {
        assert!(!packages.iter().any(|name| name == program), "{program}: {packages:?}");
    }
}
