//! Pictures that shaders read: what they show, where they come from, and which files are refused.

use crate::drawn::{self, colour, with_picture};
use crate::support::process::{Process, mb_encode};
use crate::table;
use image::{ImageFormat, RgbImage};
use std::path::Path;
use std::process::Stdio;

const FLAT: &str = "void mainImage(out vec4 c, in vec2 p) { c = texture(iChannel1, p / iResolution.xy); }\n";

fn save(path: &Path, rgb: [u8; 3], format: ImageFormat) {
    RgbImage::from_pixel(40, 30, image::Rgb(rgb)).save_with_format(path, format).expect("it can be written");
}

#[test]
fn png_and_jpeg_are_read_whatever_they_are_called() {
    let folder = tempfile::tempdir().expect("a folder");
    for (format, name) in [(ImageFormat::Png, "a.jpg"), (ImageFormat::Jpeg, "b.png"), (ImageFormat::Jpeg, "c")] {
        let path = folder.path().join(name);
        save(&path, [200, 100, 50], format);
        let option = format!("--channel1={}", path.display());
        let drawn = colour(FLAT.as_bytes(), &[&option]);
        assert!(drawn.as_ref().is_ok_and(|drawn| table::is_near(drawn, &[200.0, 100.0, 50.0])), "{name}: {drawn:?}");
    }
}

#[test]
fn a_variable_names_a_picture_as_well() {
    let folder = tempfile::tempdir().expect("a folder");
    save(&folder.path().join("picture.png"), [10, 220, 30], ImageFormat::Png);
    std::fs::write(folder.path().join("shader.glsl"), FLAT).expect("it can be written");
    let mut command = mb_encode();
    command.current_dir(folder.path()).env("MB_ENCODE_CHANNEL1", "picture.png").env("MB_ENCODE_CHANNEL0", "");
    command.args(["--shader", "shader.glsl", "--out", "drawn.h264", "--frames", "2", "--no-pace", "--gop", "1"]);
    command.args(["--width", "64", "--height", "64", "--encoder", "openh264", "--bitrate", "100M"]);
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let drawn = drawn::mean(folder.path());
    assert!(table::is_near(&drawn, &[10.0, 220.0, 30.0]), "{drawn:?}");
    // A variable for other streams is none of the test card's.
    let mut card = mb_encode();
    card.env("MB_ENCODE_CHANNEL1", "nothing.png").args(["--out", "/dev/null", "--frames", "1", "--no-pace"]);
    assert!(card.output().expect("it starts").status.success());
}

#[test]
fn the_video_never_replaces_a_picture() {
    let (folder, option) = with_picture();
    std::fs::write(folder.path().join("shader.glsl"), FLAT).expect("it can be written");
    std::os::unix::fs::symlink("picture.png", folder.path().join("link.h264")).expect("a link");
    let before = std::fs::read(folder.path().join("picture.png")).expect("the picture");
    for out in ["picture.png", "link.h264"] {
        let mut command = mb_encode();
        command.current_dir(folder.path()).args(["--shader", "shader.glsl", "--out", out, &option]);
        let output = command.output().expect("it starts");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("--channel0") && told.contains("[out-is-shader]"), "{told}");
        assert_eq!(std::fs::read(folder.path().join("picture.png")).expect("it is there"), before);
    }
}

#[test]
fn what_is_no_picture_stops_the_start_also_of_a_worker() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("shader.glsl"), FLAT).expect("it can be written");
    save(&path("whole.png"), [1, 2, 3], ImageFormat::Png);
    let whole = std::fs::read(path("whole.png")).expect("it was written");
    std::fs::write(path("half.png"), &whole[..whole.len() / 2]).expect("it can be written");
    std::fs::write(path("film.gif"), b"GIF89a\x01\0\x01\0\x80\0\0").expect("it can be written");
    for (file, code) in
        [("half.png", "channel-broken"), ("film.gif", "channel-format"), ("no.png", "channel-unreadable")]
    {
        for output in ["--stdout", "--fifo=demo.h264"] {
            let mut command = mb_encode();
            command.current_dir(folder.path()).stdout(Stdio::null());
            let ended = Process::start(command.args(["--shader", "shader.glsl", "--channel1", file, output])).wait();
            assert_eq!(ended.code(), 2, "{file}: {}", ended.stderr);
            assert!(ended.stderr.contains(&format!("[{code}]")) && ended.stderr.contains(file), "{}", ended.stderr);
        }
        assert!(!path("demo.h264").exists(), "nothing is made");
    }
}
