//! Ten seconds without a viewer, of producers of every kind at the same time: none of them renders anything. Then
//! somebody looks, and each does.

use crate::frames::{rendered as moments, start_loop};
use crate::place::{Group, Place};
use crate::python::need_packages;
use crate::rig::until;
use crate::seen::{Viewer, size};
use crate::support::process::{DEADLINE, Process};
use crate::workers::{line_with, rendered, start};
use std::time::Duration;

const UNWATCHED: Duration = Duration::from_secs(10);

/// Makes frames, and a file before the first.
const MARKS: &str = "touch started; exec ffmpeg -v error -re -f lavfi -i testsrc=size=320x240:rate=30 -vf format=yuv420p \
    -f yuv4mpegpipe -";

/// An mb-encode behind `input`, which waits for a viewer on `temp/a.h264` in this folder.
fn encode(place: &Place, input: &str) -> Process {
    std::fs::create_dir(place.path("temp")).expect("a folder to write to");
    let encode = start(place, &format!("mb-encode --fifo temp/a.h264 {input}"));
    until(DEADLINE, "the FIFO is there", || place.path("temp/a.h264").exists().then_some(()));
    encode
}

#[test]
fn nothing_is_rendered_in_ten_seconds_without_a_viewer() {
    need_packages();
    let [gymnasium, mujoco, looping, blocked, command] = std::array::from_fn(|_| Place::new());

    let rig = gymnasium.start(&line_with(&["scripts/start", "{id}.y4m"]));
    let inputs = (0..4).map(|number| gymnasium.path(&format!("temp/frames/omega-{number}.y4m")));
    inputs.for_each(|fifo| until(DEADLINE, "the producer's FIFO is there", || fifo.exists().then_some(())));
    let four = start(&gymnasium, &line_with(&["gymnasium_worker.py"]));

    std::fs::create_dir_all(mujoco.path("temp/frames")).expect("a folder to write to");
    let line = line_with(&["mb-encode", "--fifo", "omega-0.y4m"]);
    let _of_scene = start(&mujoco, &line);
    until(DEADLINE, "the FIFO is there", || mujoco.path("temp/frames/omega-0.y4m").exists().then_some(()));
    let scene = start(&mujoco, &line_with(&["mujoco_worker.py"]));

    let _of_loop = encode(&looping, "--input temp/a.y4m");
    let loops = start_loop(&looping.path("temp/a.y4m"), (320, 240), 30, "gray8", "300");

    // One that knows nothing of viewers: the kernel has it wait.
    let _of_blocked = encode(&blocked, "--input temp/a.y4m");
    let _blocked = Group::start(&mut blocked.shell(&format!("({MARKS}) > temp/a.y4m")));

    let _of_command = encode(&command, &format!("--input-command '{MARKS}'"));

    // Both are in their loops.
    assert_eq!([rendered(&four, 1), rendered(&scene, 1)], [0, 0], "nobody watches");
    std::thread::sleep(UNWATCHED);
    assert_eq!([rendered(&four, 1), rendered(&scene, 1)], [0, 0], "nobody watches");
    assert_eq!(loops.lines(), [""; 0], "nobody watches");
    for place in [&blocked, &command] {
        assert!(!place.path("started").exists(), "it runs, and nobody watches");
    }
    assert!(loops.is_running());

    let streams = [&looping, &blocked, &command].map(|place| (place.path("temp/a.h264"), size(320, 240)));
    let of_workers = [
        (gymnasium.path("temp/streams/omega-0.h264"), size(600, 400)),
        (mujoco.path("temp/streams/omega-0.h264"), size(640, 480)),
    ];
    for (fifo, size) in streams.into_iter().chain(of_workers) {
        assert_eq!(Viewer::open(&fifo).frames(2, size).len(), 2, "{}", fifo.display());
    }
    assert!(!moments(&loops.lines()).is_empty());
    for place in [&blocked, &command] {
        assert!(place.path("started").exists());
    }
    assert!(rendered(&four, 2) > 0 && rendered(&scene, 2) > 0);
    drop(rig);
}
