//! Every line of the pages that shows another program's frames, with one that makes them.

use crate::how::{How, commands};
use crate::place::{Group, Place};
use crate::python::{environment, need_packages};
use crate::rig::until;
use crate::seen::{Viewer, assert_moves, of_clip, size};
use crate::support::process::{DEADLINE, Process};
use mb_encode::settings::Size;
use std::process::Command;

/// Makes frames in real time, as YUV4MPEG2 or as what `form` says.
fn producer(form: &str) -> String {
    format!("ffmpeg -v error -re -f lavfi -i testsrc=size=640x480:rate=30 -vf format=yuv420p {form} -")
}

const Y4M: &str = "-f yuv4mpegpipe";
const RGB: &str = "-pix_fmt rgb24 -f rawvideo";

fn shell(place: &Place, line: &str) -> Command {
    let mut command = place.shell(line);
    environment(&mut command);
    command
}

/// The frames that `line` writes to standard output, with `before` in front.
fn assert_writes(place: &Place, before: &str, line: &str, size: Size) {
    let line = format!("{before}{line} --frames 20 > clip.h264");
    crate::place::run(&line, shell(place, &line), DEADLINE);
    let pictures = of_clip(&place.path("clip.h264"), size);
    assert_eq!(pictures.len(), 20, "{line}");
    assert_moves(&pictures, &line);
}

/// The frames that the worker of `line` serves through its FIFO.
fn assert_serves(place: &Place, line: &str) {
    let words: Vec<_> = line.split(' ').collect();
    let value = |option: &str| words.iter().position(|word| *word == option).map(|at| words[at + 1]);
    let fifo = place.path(value("--fifo").expect("it has one"));
    let _worker = Process::start(&mut shell(place, &format!("exec {line}")));
    until(DEADLINE, "the FIFO is there", || fifo.exists().then_some(()));
    let from = value("--input").map(|input| {
        until(DEADLINE, "the producer's FIFO is there", || place.path(input).exists().then_some(()));
        Group::start(&mut shell(place, &format!("{} > {input}", producer(Y4M))))
    });
    assert_moves(&Viewer::open(&fifo).frames(20, size(640, 480)), line);
    drop(from);
    std::fs::remove_dir_all(place.path("temp")).expect("it was made by the worker");
}

#[test]
fn each_line_that_shows_frames_shows_those_of_a_producer() {
    need_packages();
    let _alone = crate::alone();
    let place = Place::new();
    let simulation = format!("import os\nos.execvp('sh', ['sh', '-c', {:?}])\n", producer(Y4M));
    std::fs::write(place.path("sim.py"), simulation).expect("a folder to write to");
    let sockets = "examples/python/unixfd_producer.py";
    let lines = commands(How::Feed);
    let of_program: Vec<_> = lines.iter().filter(|line| line.starts_with("mb-encode ")).collect();
    assert!(of_program.len() >= 6, "{lines:?}");
    for line in of_program {
        if line.contains("--fifo") && line.contains("unix:") {
            // Run by `tests/inputs`, with the producer that the pages name beside it.
            continue;
        } else if line.contains("--fifo") {
            assert_serves(&place, line);
        } else if line.contains("unix:") {
            // A folder of a system, which is not the tests' to write to.
            let _producer = Group::start(&mut shell(&place, &format!("exec python3 {sockets} sim.sock")));
            let line = line.replace("/run/sim/frames", "sim.sock");
            assert_writes(&place, "", &line, size(640, 360));
        } else {
            let form = if line.contains("rgb24") { RGB } else { Y4M };
            assert_writes(&place, &format!("{} | ", producer(form)), line, size(640, 480));
        }
    }
}
