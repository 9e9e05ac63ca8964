//! What mb-encode draws is in the colour of the table.

use crate::support::decode::{Decoder, Form, Source};
use crate::support::process::mb_encode;
use crate::table::{self, Colour, FRAME, RATE, SIDE};
use mb_encode::settings::Size;
use std::path::Path;
use std::process::Output;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

/// Runs mb-encode on a shader with these bytes, which lies in `folder`, and lets it write `drawn.h264` there.
pub fn run(folder: &Path, bytes: &[u8], options: &[&str]) -> Output {
    let shader = folder.join("shader.glsl");
    std::fs::write(&shader, bytes).expect("the folder can be written");
    let mut command = mb_encode();
    command.current_dir(folder).args(["--shader", "shader.glsl", "--out", "drawn.h264", "--no-pace"]);
    command.args(["--encoder", "openh264", "--gop", "1", "--bitrate", "100M", "--log-level", "warn"]);
    command.args(["--width", &SIDE.to_string(), "--height", &SIDE.to_string()]);
    command.args(["--fps", &RATE.to_string(), "--frames", &(FRAME + 1).to_string()]);
    command.args(options).output().expect("it starts")
}

/// The mean colour of what [`run`] has written.
pub fn mean(folder: &Path) -> Colour {
    let size = Size::new(SIDE, SIDE).expect("a legal size");
    let mut decoder = Decoder::start(Source::File(&folder.join("drawn.h264")), size, Form::Rgb24, None);
    let picture = decoder.take_pictures(FRAME + 1).pop().expect("a picture");
    decoder.finish();
    let sum = |part: usize| picture.bytes.iter().skip(part).step_by(3).map(|&it| f64::from(it)).sum::<f64>();
    [0, 1, 2].map(|part| sum(part) / size.pixels() as f64)
}

/// The mean colour of a shader with these bytes.
///
/// # Errors
/// What is said on standard error, if it is not drawn.
pub fn colour(bytes: &[u8], options: &[&str]) -> Result<Colour, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let output = run(folder.path(), bytes, options);
    match output.status.success() {
        true => Ok(mean(folder.path())),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// A folder with the picture of the table in it, and the option that names it.
pub fn with_picture() -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("picture.png");
    table::picture().save(&path).expect("it can be written");
    let option = format!("--channel0={}", path.display());
    (folder, option)
}

#[test]
fn every_shader_has_the_colour_of_the_table() {
    let (_folder, option) = with_picture();
    let (shaders, stored) = (table::corpus(), table::stored());
    let shaders: Vec<_> = shaders.iter().collect();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((name, text)) = shaders.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let expected = stored.get(*name).unwrap_or_else(|| panic!("{name} is not in the table")).0;
                    match colour(text.as_bytes(), &[&option]) {
                        Ok(colour) if table::is_near(&colour, &expected) => {}
                        other => wrong.lock().unwrap().push(format!("{name}: {other:?} instead of {expected:?}")),
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), shaders.len(), wrong.join("\n"));
}

#[test]
fn noise_is_encoded_in_small_pictures_as_well() {
    let noise = "void mainImage(out vec4 color, vec2 at) {
        color = fract(sin(vec4(dot(at, vec2(12.9898, 78.233))) + iTime * 7.0 + vec4(0.0, 1.0, 2.0, 3.0)) * 43758.5453);
    }";
    let folder = tempfile::tempdir().unwrap();
    let (shader, drawn) = (folder.path().join("noise.glsl"), folder.path().join("drawn.h264"));
    std::fs::write(&shader, noise).unwrap();
    for (width, height) in [(320, 240), (640, 360)] {
        let mut command = mb_encode();
        command.arg("--shader").arg(&shader).arg("--out").arg(&drawn).args(["--encoder", "openh264", "--no-pace"]);
        command.args(["--width", &width.to_string(), "--height", &height.to_string()]);
        let output = command.args(["--bitrate", "2M", "--frames", "12"]).output().expect("it starts");
        assert!(output.status.success(), "{width}x{height}: {}", String::from_utf8_lossy(&output.stderr));
        let size = Size::new(width, height).expect("a legal size");
        let mut decoder = Decoder::start(Source::File(&drawn), size, Form::Yuv420p, None);
        assert_eq!(decoder.take_pictures(12).len(), 12);
        decoder.finish();
    }
}
