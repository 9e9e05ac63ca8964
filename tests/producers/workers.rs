//! The workers of `examples/python`, started as `examples/README.md` says.

use crate::how::{How, commands};
use crate::place::Place;
use crate::python::{environment, need_packages};
use crate::rig::until;
use crate::seen::{Viewer, assert_moves, assert_right, count, size};
use crate::support::process::{DEADLINE, Process};
use std::process::Command;

/// The line of the pages that has all of these words.
fn line_with(words: &[&str]) -> String {
    let lines = commands(How::Feed);
    let found = lines.iter().find(|line| words.iter().all(|word| line.contains(word)));
    found.unwrap_or_else(|| panic!("no line with {words:?}: {lines:?}")).clone()
}

fn start(place: &Place, line: &str) -> Process {
    let mut command: Command = place.shell(&format!("exec {line}"));
    environment(&mut command);
    command.env("MB_ENCODE_BITRATE", "8M");
    Process::start(&mut command)
}

/// How many frames the worker says it has rendered, in its `nth` report from now on.
fn rendered(worker: &Process, nth: usize) -> u32 {
    let before = worker.lines().iter().filter(|line| line.contains("frames rendered")).count();
    let line = worker.wait_for_nth_line(before + nth, "frames rendered");
    let words: Vec<_> = line.split(' ').collect();
    words.iter().position(|word| *word == "frames").and_then(|at| words[at - 1].parse().ok()).expect("a number")
}

#[test]
fn a_mujoco_scene_is_rendered_while_it_is_watched() {
    need_packages();
    let _alone = crate::alone();
    let place = Place::new();
    let encode = start(&place, &line_with(&["mb-encode", "--fifo", "omega-0.y4m"]));
    let fifo = place.path("temp/streams/omega-0.h264");
    until(DEADLINE, "the FIFO is there", || fifo.exists().then_some(()));
    let worker = start(&place, &line_with(&["mujoco_worker.py"]));
    assert_eq!(rendered(&worker, 2), 0, "nobody watches");
    let mut so_far = 0;
    for _ in 0..2 {
        let mut viewer = Viewer::open(&fifo);
        let background = [51, 102, 204];
        let pictures = viewer.frames(40, size(640, 480));
        assert_right(&pictures, &[((5, 5), background), ((634, 5), background), ((5, 474), background)], "MuJoCo");
        drop(viewer);
        let after = rendered(&worker, 2);
        assert!(after > so_far + 20, "{after} frames");
        assert_eq!(rendered(&worker, 2), after, "nobody watches any more");
        so_far = after;
    }
    assert!(encode.is_running());
}

#[test]
fn four_gymnasium_environments_are_four_streams() {
    need_packages();
    let _alone = crate::alone();
    let place = Place::new();
    let line = line_with(&["mb-encode", "--fifo", "omega-0.y4m"]);
    let fifos: Vec<_> = (0..4).map(|number| place.path(&format!("temp/streams/omega-{number}.h264"))).collect();
    let _encoders: Vec<_> =
        (0..4).map(|number| start(&place, &line.replace("omega-0", &format!("omega-{number}")))).collect();
    for fifo in &fifos {
        until(DEADLINE, "the FIFO is there", || fifo.exists().then_some(()));
    }
    let worker = start(&place, &line_with(&["gymnasium_worker.py"]));
    assert_eq!(rendered(&worker, 2), 0, "nobody watches");

    // A part that moves, in its colour.
    let shown = [
        ("CartPole", size(600, 400), [202, 152, 101]),
        ("MountainCar", size(600, 400), [128, 128, 128]),
        ("Acrobot", size(500, 500), [0, 204, 204]),
        ("Pendulum", size(500, 500), [204, 77, 77]),
    ];
    let mut so_far = 0;
    for (fifo, (name, size, part)) in fifos.iter().zip(shown) {
        let mut viewer = Viewer::open(fifo);
        let pictures = viewer.frames(30, size);
        drop(viewer);
        assert_moves(&pictures, name);
        for picture in pictures.iter().step_by(10) {
            assert!(count(picture, part) > 50, "{name}: hardly anything is {part:?}");
            assert!(count(picture, [255; 3]) > size.pixels() / 3, "{name}: the background is not white");
        }
        let after = rendered(&worker, 2);
        assert!(after > so_far + 10, "{after} frames");
        assert_eq!(rendered(&worker, 2), after, "nobody watches any more");
        so_far = after;
    }
}
