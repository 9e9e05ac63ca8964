//! What is drawn: the built-in bar, shaders from files, and the example of a renderer of one's own.
//!
//! The test card has tests of its own, for its colours and its strip.

use crate::support::decode::{Decoder, Form, Picture, Source};
use crate::support::process::mb_encode;
use mb_encode::settings::Size;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How far a grey may be off after lossy coding, of 255.
const TOLERANCE: i32 = 3;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What `command` writes, decoded.
fn pictures(command: &mut Command, size: Size, count: usize) -> Vec<Picture> {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut decoder = Decoder::start(Source::Bytes(output.stdout), size, Form::Rgb24, None);
    let pictures = decoder.take_pictures(count);
    decoder.finish();
    pictures
}

/// `count` pictures of mb-encode with these further options, in good quality.
fn drawn(options: &[&str], (width, height): (u32, u32), count: usize) -> Vec<Picture> {
    let mut command = mb_encode();
    command.args(["--stdout", "--no-pace", "--encoder", "openh264", "--bitrate", "20M"]).args(options);
    command.args(["--width", &width.to_string(), "--height", &height.to_string(), "--frames", &count.to_string()]);
    pictures(&mut command, Size::new(width, height).expect("a legal size"), count)
}

/// Pictures of a shader with this text.
fn shaded(source: &str, options: &[&str], size: (u32, u32), count: usize) -> Vec<Picture> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("shader.glsl");
    std::fs::write(&file, source).expect("the folder can be written");
    let mut all = vec!["--shader", file.to_str().expect("a path in UTF-8")];
    all.extend(options);
    drawn(&all, size, count)
}

/// A shader that shows each of `values`, from 0 to 255, as a grey column of 32 pixels.
fn columns(values: &[&str]) -> String {
    let cases: String = values
        .iter()
        .enumerate()
        .map(|(at, value)| format!("    if (column == {at}) level = float({value});\n"))
        .collect();
    format!(
        "void mainImage(out vec4 fragColor, in vec2 fragCoord) {{
    int column = int(fragCoord.x) / 32;
    float level = 0.0;
{cases}
    fragColor = vec4(vec3(level / 255.0), 1.0);
}}"
    )
}

/// What column `at` of [`columns`] shows.
fn level(picture: &Picture, at: u32) -> i32 {
    i32::from(picture.rgb(at * 32 + 16, picture.size.height() / 2)[1])
}

#[track_caller]
fn assert_near(seen: i32, expected: i32, what: &str) {
    assert!((seen - expected).abs() <= TOLERANCE, "{what}: {seen} instead of {expected}");
}

#[test]
fn the_bar_is_red_and_moves_seven_pixels_a_picture() {
    let width = 256;
    for (number, picture) in drawn(&["--scene", "bar"], (width, 64), 40).iter().enumerate() {
        let left = number as u32 * 7 % width;
        for y in [4, 32, 60] {
            for x in 0..width {
                let [red, green, blue] = picture.rgb(x, y);
                // Colour is coded for two pixels at a time, so the pixels beside an edge may be either.
                let inside = x > left + 1 && x + 2 < left + 16;
                let outside = x + 2 < left || x > left + 17;
                if inside {
                    assert!(red > 220 && green < 40 && blue < 40, "picture {number} at {x},{y}: {red} {green} {blue}");
                } else if outside {
                    assert!(red.max(green).max(blue) < 30, "picture {number} at {x},{y}: {red} {green} {blue}");
                }
            }
        }
    }
}

#[test]
fn a_shader_gets_what_shadertoy_gives_it() {
    let source = columns(&[
        "iFrame * 10",
        "iTime * 100.0",
        "iTimeDelta * 1000.0",
        "iFrameRate * 5.0",
        "iResolution.x / 10.0",
        "iResolution.y",
        "iResolution.z * 200.0",
        "iDate.x - 1900.0",
        "iDate.y * 20.0",
        "iDate.z * 8.0",
        "floor(iDate.w / 3600.0) * 10.0",
        "iMouse == vec4(0.0) ? 200.0 : 0.0",
    ]);
    let today = || {
        let date = Command::new("date").args(["-u", "+%Y %m %d %H"]).output().expect("coreutils");
        let text = String::from_utf8(date.stdout).expect("digits");
        text.split_whitespace().map(|part| part.parse().expect("a number")).collect::<Vec<i32>>()
    };
    // An hour may end in between: then the second try is within one.
    let (date, seen) = loop {
        let before = today();
        let seen = shaded(&source, &["--fps", "20"], (384, 64), 10);
        if before == today() {
            break (before, seen);
        }
    };
    for (number, picture) in seen.iter().enumerate() {
        let number = number as i32;
        assert_near(level(picture, 0), number * 10, "iFrame");
        assert_near(level(picture, 1), number * 5, "iTime");
        assert_near(level(picture, 2), 50, "iTimeDelta");
        assert_near(level(picture, 3), 100, "iFrameRate");
        assert_near(level(picture, 4), 38, "iResolution.x");
        assert_near(level(picture, 5), 64, "iResolution.y");
        assert_near(level(picture, 6), 200, "iResolution.z");
        assert_near(level(picture, 7), date[0] - 1900, "the year");
        assert_near(level(picture, 8), (date[1] - 1) * 20, "the month, from 0");
        assert_near(level(picture, 9), date[2] * 8, "the day");
        assert_near(level(picture, 10), date[3] * 10, "the hour");
        assert_near(level(picture, 11), 200, "iMouse");
    }
}

#[test]
fn a_shader_counts_from_the_bottom_left_corner() {
    let source = "void mainImage(out vec4 c, in vec2 p) { c = vec4(p / iResolution.xy, 0.0, 0.0); }";
    let picture = &shaded(source, &[], (256, 128), 1)[0];
    let [left, right] = [8, 248].map(|x| i32::from(picture.rgb(x, 64)[0]));
    let [top, bottom] = [8, 120].map(|y| i32::from(picture.rgb(128, y)[1]));
    assert!(left < 20 && right > 235, "x rises to the right: {left} to {right}");
    assert!(bottom < 25 && top > 225, "y rises to the top: {bottom} to {top}");
}

#[test]
fn the_example_shaders_draw_something_that_moves() {
    let folder = repository("examples/shaders");
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("the examples") {
        let path = entry.expect("an entry").path();
        let seen = drawn(&["--shader", path.to_str().expect("UTF-8"), "--fps", "10"], (320, 180), 5);
        assert_is_alive(&seen, &path.display().to_string());
        count += 1;
    }
    assert!(count >= 3, "{count} shaders in {}", folder.display());
}

#[test]
fn the_example_of_a_renderer_of_ones_own_streams() {
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--quiet", "--locked", "--example", "own_renderer", "--", "20"]);
    command.current_dir(repository(""));
    let seen = pictures(&mut command, Size::new(1280, 720).expect("a legal size"), 20);
    assert_is_alive(&seen, "own_renderer");
    // Its background, in each corner.
    for (x, y) in [(10, 10), (1270, 10), (10, 710), (1270, 710)] {
        for (seen, expected) in seen[19].rgb(x, y).into_iter().zip([5, 8, 15]) {
            assert_near(i32::from(seen), expected, "the background");
        }
    }
}

/// Neither the picture nor the stream is all the same.
fn assert_is_alive(pictures: &[Picture], what: &str) {
    let [first, .., last] = pictures else { panic!("{what}: too few pictures") };
    let distance = |one: &[u8], other: &[u8]| -> u64 {
        one.iter().zip(other).map(|(&a, &b)| u64::from(a.abs_diff(b))).filter(|&it| it > 30).sum()
    };
    let flat = first.bytes[..3].repeat(first.size.pixels());
    assert!(distance(&first.bytes, &flat) > 100_000, "{what} is flat");
    assert!(distance(&first.bytes, &last.bytes) > 10_000, "{what} stands still");
}

#[test]
fn an_empty_label_is_written_on_the_command_line_only() {
    // Bright pixels where the first line is.
    let lit = |command: &mut Command| -> usize {
        command.args(["--stdout", "--no-pace", "--encoder", "openh264", "--bitrate", "20M", "--frames", "1"]);
        let picture = &pictures(
            command.args(["--width", "640", "--height", "360"]),
            Size::new(640, 360).expect("a legal size"),
            1,
        )[0];
        (0..16).flat_map(|y| (0..640).map(move |x| (x, y))).filter(|&(x, y)| picture.rgb(x, y)[1] > 128).count()
    };
    let usual = lit(&mut mb_encode());
    assert!(usual > 100, "{usual}");
    assert!(lit(mb_encode().env("MB_ENCODE_LABEL", "")).abs_diff(usual) < 20);
    assert_eq!(lit(mb_encode().arg("--label=")), 0);
}
