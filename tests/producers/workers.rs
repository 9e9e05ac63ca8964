//! The workers of `examples/python`, started as `examples/README.md` says.

use crate::how::{How, commands};
use crate::place::Place;
use crate::python::{environment, need_packages};
use crate::rig::{Rig, until};
use crate::seen::{Viewer, assert_moves, assert_right, count, size};
use crate::support::browser::Browser;
use crate::support::decode::{Decoder, Form, Source};
use crate::support::process::{DEADLINE, Process};
use rustix::process::Signal;
use serde_json::json;
use std::process::Command;

/// The line of the pages that has all of these words.
pub fn line_with(words: &[&str]) -> String {
    let lines = commands(How::Feed);
    let found = lines.iter().find(|line| words.iter().all(|word| line.contains(word)));
    found.unwrap_or_else(|| panic!("no line with {words:?}: {lines:?}")).clone()
}

pub fn start(place: &Place, line: &str) -> Process {
    let mut command: Command = place.shell(&format!("exec {line}"));
    environment(&mut command);
    command.env("MB_ENCODE_BITRATE", "8M");
    Process::start(&mut command)
}

/// How many frames the worker says it has rendered, in its `nth` report from now on.
pub fn rendered(worker: &Process, nth: usize) -> u32 {
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

/// Name, size, and a part that moves, in its colour. All of them are on white.
const ENVIRONMENTS: [(&str, (u32, u32), [u8; 3]); 4] = [
    ("CartPole", (600, 400), [202, 152, 101]),
    ("MountainCar", (600, 400), [128, 128, 128]),
    ("Acrobot", (500, 500), [0, 204, 204]),
    ("Pendulum", (500, 500), [204, 77, 77]),
];

#[test]
fn four_gymnasium_environments_are_four_streams() {
    need_packages();
    let _alone = crate::alone();
    let place = Place::new();
    let rig = place.start(&line_with(&["scripts/start", "{id}.y4m"]));
    let inputs = (0..4).map(|number| place.path(&format!("temp/frames/omega-{number}.y4m")));
    inputs.for_each(|fifo| until(DEADLINE, "the producer's FIFO is there", || fifo.exists().then_some(())));
    let worker = start(&place, &line_with(&["gymnasium_worker.py"]));
    assert_eq!(rendered(&worker, 2), 0, "nobody watches");

    let mut so_far = 0;
    for (number, (name, (width, height), part)) in ENVIRONMENTS.into_iter().enumerate() {
        let (address, size) = (rig.rtsp(&format!("omega-{number}")), size(width, height));
        let mut viewer = Decoder::start(Source::Rtsp(&address), size, Form::Rgb24, None);
        let pictures = viewer.take_pictures(30);
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
    on_one_page(&rig);
    // The browser takes its time to close the page.
    until(DEADLINE, "nothing is rendered any more", || (rendered(&worker, 1) == rendered(&worker, 1)).then_some(()));
    worker.signal(Signal::TERM);
    worker.wait();
}

/// All four in a browser, over WebRTC.
fn on_one_page(rig: &Rig) {
    let browser = Browser::start(1300, 1000);
    let sources: Vec<_> = (0..4).map(|number| format!("src=omega-{number}")).collect();
    browser.open(&rig.http(&format!("stream.html?{}&mode=webrtc", sources.join("&"))));
    let parts: Vec<_> = ENVIRONMENTS.iter().map(|(_, _, part)| part).collect();
    let seen = browser.run(LOOK, json!([parts]));
    let context = || format!("{seen}\n{}\n{}", rig.log(), browser.log());
    for (number, (name, (width, height), _)) in ENVIRONMENTS.into_iter().enumerate() {
        let (video, pixels) = (&seen[number], f64::from(width * height));
        assert_eq!(video["size"], json!([width, height]), "{name}: {}", context());
        assert!(video["part"].as_f64() > Some(30.0), "{name}: {}", context());
        assert!(video["white"].as_f64() > Some(pixels / 3.0), "{name}: {}", context());
        assert!(video["moved"].as_f64() > Some(30.0), "{name}: {}", context());
        eprintln!("{name}: first frame {} ms after the page was asked for", video["first"]);
    }
}

/// Looks at the first and the twentieth frame of each video: how many pixels of the last have the colour of its part, or
/// are white, and how many are not what they were in the first.
const LOOK: &str = "
const [parts, done] = arguments;
const isNear = (data, at, colour) => colour.every((value, channel) => Math.abs(data[at + channel] - value) < 24);
const watch = (video, part) => new Promise(resolve => {
    let frames = 0, first, before;
    const pixels = () => {
        const canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
        const context = canvas.getContext('2d', {willReadFrequently: true});
        context.drawImage(video, 0, 0);
        return context.getImageData(0, 0, canvas.width, canvas.height).data;
    };
    const look = () => {
        if (++frames === 1) {
            [first, before] = [Math.round(performance.now()), pixels()];
        }
        if (frames < 20) {
            return video.requestVideoFrameCallback(look);
        }
        const data = pixels(), found = {part: 0, white: 0, moved: 0};
        for (let at = 0; at < data.length; at += 4) {
            found.part += isNear(data, at, part);
            found.white += isNear(data, at, [255, 255, 255]);
            found.moved += !isNear(data, at, before.slice(at, at + 3));
        }
        resolve({...found, first, size: [video.videoWidth, video.videoHeight]});
    };
    video.requestVideoFrameCallback(look);
});
const videos = [...document.querySelectorAll('video')];
setTimeout(() => done({tookTooLong: videos.map(video => [video.videoWidth, video.readyState, video.currentTime])}), 50000);
Promise.all(videos.map((video, at) => watch(video, parts[at]))).then(done);
";
