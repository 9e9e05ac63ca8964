//! Every line of `examples/README.md` that makes frames, shown in each way that it says.

use crate::how::{How, commands};
use crate::place::{Group, Place};
use crate::python::{environment, need_packages};
use crate::rig::until;
use crate::seen::{Patch, assert_right, of_clip, size};
use crate::support::process::{DEADLINE, Process};
use mb_encode::settings::Size;
use std::process::Command;

/// So many are looked at.
const FRAMES: &str = "20";

/// What the line shows that begins with this program.
fn shown(line: &str) -> (Size, Vec<Patch>) {
    let bars = vec![
        ((45, 100), [255, 255, 255]),
        ((137, 100), [255, 255, 0]),
        ((228, 100), [0, 255, 255]),
        ((320, 100), [0, 255, 0]),
        ((411, 100), [255, 0, 255]),
        ((502, 100), [255, 0, 0]),
        ((594, 100), [0, 0, 255]),
    ];
    let fields = vec![
        ((40, 20), [0, 0, 0]),
        ((120, 20), [255, 0, 0]),
        ((200, 60), [255, 0, 255]),
        ((300, 20), [0, 0, 255]),
        ((440, 20), [0, 255, 0]),
        ((600, 20), [255, 255, 255]),
    ];
    match line.split(' ').next() {
        Some("ffmpeg" | "python3") => (size(640, 480), fields),
        Some("gst-launch-1.0") => (size(640, 480), bars),
        // Blue changes; so does what is seen of the others, a little.
        Some("node") => (size(640, 480), vec![]),
        Some("sh") => (size(320, 240), vec![((5, 0), [255, 128, 0]), ((300, 0), [255, 128, 0])]),
        _ => panic!("what does it show? {line}"),
    }
}

/// A folder with a clip that is as large as the lines say.
fn place() -> Place {
    need_packages();
    let place = Place::new();
    let source = "testsrc=size=640x480:rate=30:duration=10";
    place.run(&format!("ffmpeg -v error -f lavfi -i {source} -c:v mpeg4 -q:v 2 clip.mp4"), DEADLINE);
    place
}

fn shell(place: &Place, line: &str) -> Command {
    let mut command = place.shell(line);
    environment(&mut command);
    // Colours are looked at, not what a tight rate does to them.
    command.env("MB_ENCODE_BITRATE", "20M");
    command
}

fn run(place: &Place, line: &str) {
    crate::place::run(line, shell(place, line), DEADLINE);
}

fn assert_clip(place: &Place, line: &str) {
    let (size, patches) = shown(line);
    let pictures = of_clip(&place.path("clip.h264"), size);
    assert_eq!(pictures.len().to_string(), FRAMES, "{line}");
    assert_right(&pictures, &patches, line);
}

#[test]
fn each_line_can_be_piped() {
    let _alone = crate::alone();
    let place = place();
    for line in commands(How::Produce) {
        run(&place, &format!("{line} | mb-encode --input - --frames {FRAMES} --out clip.h264"));
        assert_clip(&place, &line);
    }
}

#[test]
fn each_line_can_be_run_by_the_program() {
    let _alone = crate::alone();
    let place = place();
    for line in commands(How::Produce) {
        let command = line.replace('\'', r"'\''");
        run(&place, &format!("mb-encode --input-command '{command}' --frames {FRAMES} --out clip.h264"));
        assert_clip(&place, &line);
    }
}

#[test]
fn each_line_can_be_written_into_a_fifo() {
    let _alone = crate::alone();
    let place = place();
    for (number, line) in commands(How::Produce).iter().enumerate() {
        let fifo = place.path(&format!("{number}.y4m"));
        let encode = format!("exec mb-encode --input {number}.y4m --frames {FRAMES} --out clip.h264");
        let encode = Process::start(&mut shell(&place, &encode));
        until(DEADLINE, "the FIFO is there", || fifo.exists().then_some(()));
        let _producer = Group::start(&mut shell(&place, &format!("{line} > {number}.y4m")));
        let ended = encode.wait();
        assert_eq!(ended.code(), 0, "{line}\n{}", ended.stderr);
        assert_clip(&place, line);
    }
}
