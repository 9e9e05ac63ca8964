//! When pictures come.

use crate::annex_b::pictures;
use crate::fifo::Viewer;
use crate::support::decode;
use crate::support::process::{Process, mb_encode};
use std::process::{Command, Stdio};
use std::time::Instant;

const SIZE: (u32, u32) = (320, 180);

fn command(options: &[&str]) -> Command {
    let mut command = mb_encode();
    command.args(["--stdout", "--width", "320", "--height", "180", "--log-level", "debug"]).args(options);
    command.stdout(Stdio::piped());
    command
}

#[test]
fn the_rate_is_the_one_that_was_asked_for() {
    for (fps, rate) in [("30000/1001", 30_000.0 / 1001.0), ("60", 60.0), ("24", 24.0)] {
        let mut process = Process::start(&mut command(&["--fps", fps]));
        let mut viewer = Viewer::new(process.stdout());
        let stream = viewer.units((rate * 2.0) as usize);
        let marks = decode::all_marks(&stream, SIZE);
        let (first, last) = (marks[0].wall_clock_ms, marks[marks.len() - 1].wall_clock_ms);
        let measured = (marks.len() - 1) as f64 * 1000.0 / (last - first) as f64;
        // Pictures that are late are skipped: a machine with much else to do makes fewer, and none makes more.
        assert!(measured < rate * 1.05, "{fps}: {measured:.2} pictures/s");
        assert!(measured > rate * 0.5, "{fps}: {measured:.2} pictures/s");
    }
}

#[test]
fn pictures_keep_to_the_grid() {
    let mut process = Process::start(&mut command(&["--fps", "25", "--frames", "75"]));
    let stream = process.stdout().all();
    let ended = process.wait();
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    let marks = decode::all_marks(&stream, SIZE);
    assert_eq!(marks.len(), 75);
    decode::assert_frames_rise_by_one(&marks);
    // Where in its interval of 40 ms each picture was drawn. The grid's own place in it is where most of them are; by
    // chance 17 would be as near to one as that.
    let phases: Vec<u64> = marks.iter().map(|mark| mark.wall_clock_ms % 40).collect();
    let near = |at: u64| phases.iter().filter(|&&phase| (phase + 40 - at) % 40 <= 8).count();
    let on_grid = (0..40).map(near).max().unwrap();
    assert!(on_grid >= 45, "{on_grid} of 75 pictures were drawn within 8 ms of one grid: {phases:?}");
    // Nothing adds up: the last one is as near to the grid as the first.
    let took = marks[74].wall_clock_ms - marks[0].wall_clock_ms;
    assert!(took >= 74 * 40 - 20, "75 pictures in {took} ms");
}

#[test]
fn without_pace_it_is_faster_than_time() {
    let mut process = Process::start(&mut command(&["--fps", "10", "--frames", "60", "--no-pace"]));
    let begun = Instant::now();
    let stream = process.stdout().all();
    let took = begun.elapsed();
    assert_eq!(process.wait().code(), 0);
    assert_eq!(pictures(&stream), 60);
    assert!(took.as_secs_f64() < 5.0, "six seconds of pictures took {took:?}");
}

#[test]
fn a_rate_may_be_any_fraction_within_the_limits() {
    for fps in ["4294967295/4294967295", "4294967295/17895698", "2147483648/2147483647", "240/240", "1001/1000"] {
        let mut process = Process::start(&mut command(&["--fps", fps, "--frames", "3", "--no-pace"]));
        let stream = process.stdout().all();
        let ended = process.wait();
        assert_eq!(ended.code(), 0, "{fps}: {}", ended.stderr);
        assert_eq!(pictures(&stream), 3, "{fps}");
    }
}

#[test]
fn statistics_come_as_often_as_asked_for() {
    let process = Process::start(command(&["--stats", "1"]).stdout(Stdio::null()));
    let line = process.wait_for_nth_line(3, "fps");
    for words in ["Mb/s", "skipped", "encode p50", "p99", " ms"] {
        assert!(line.contains(words), "{line}");
    }
}

#[test]
fn exactly_as_many_pictures_come_as_were_asked_for() {
    for frames in [1usize, 2, 3, 61] {
        for pace in [&["--fps", "240"][..], &["--no-pace"]] {
            let mut command = command(pace);
            let mut process = Process::start(command.args(["--frames", &frames.to_string()]));
            let stream = process.stdout().all();
            assert_eq!(process.wait().code(), 0);
            assert_eq!(pictures(&stream), frames, "{pace:?}");
        }
    }
}
