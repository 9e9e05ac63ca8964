//! Streams through a real go2rtc, in both ways that it can read them.

use crate::support::children;
use crate::support::decode::{Decoder, Form, Source, assert_in_order};
use crate::support::go2rtc::Go2rtc;
use crate::support::process::{Process, mb_encode, ready};
use crate::{alone, cat_source, exec_source, size};
use mb_encode::parts::Mark;
use mb_encode::settings::Size;
use rustix::event::PollFlags;
use rustix::fd::{AsFd, OwnedFd};
use rustix::process::Signal;
use std::time::{Duration, Instant};

const PICTURES: usize = 120;
const GONE_WITHIN: Duration = Duration::from_secs(1);

fn small() -> Size {
    size(640, 360)
}
const SMALL: &str = "--width 640 --height 360 --fps 30";

/// Starts a viewer that leaves after `pictures`.
fn watch(go2rtc: &Go2rtc, pictures: usize) -> Decoder {
    Decoder::start(Source::Rtsp(&go2rtc.rtsp("demo")), small(), Form::Yuv420p, Some(pictures as u32))
}

/// Whether these are pictures of a stream that began shortly before them.
fn assert_fresh(marks: &[Mark]) {
    assert!(marks[0].frame < PICTURES as u32 / 2, "the stream was running before its viewer came: {:?}", marks[0]);
}

#[test]
fn exec_mode_plays_stops_with_the_last_viewer_and_starts_again_for_the_next() {
    let _alone = alone();
    let go2rtc = Go2rtc::start(&[("demo", &exec_source(&format!("--stdout {SMALL}")))]);
    assert_eq!(children::of(go2rtc.id()), [], "nobody watches");

    for _ in 0..2 {
        let mut viewer = watch(&go2rtc, PICTURES);
        let mut marks = viewer.take_marks(1);
        let encoder = encoder_of(&go2rtc);
        marks.extend(viewer.take_marks(PICTURES - 1));
        viewer.finish();
        assert_gone(&encoder, &go2rtc);
        assert_fresh(&marks);
        assert_in_order(&marks);
    }
}

#[test]
fn two_viewers_share_one_encoder_and_the_late_one_gets_pictures_too() {
    let _alone = alone();
    let go2rtc = Go2rtc::start(&[("demo", &exec_source(&format!("--stdout {SMALL}")))]);

    let mut early = watch(&go2rtc, PICTURES);
    let mut marks = early.take_marks(15);
    let encoder = encoder_of(&go2rtc);
    let mut late = watch(&go2rtc, PICTURES);
    let late_marks = std::thread::scope(|scope| {
        let late = scope.spawn(|| {
            let marks = late.take_marks(PICTURES);
            assert!(children::of(go2rtc.id()).len() <= 1, "one encoder for all");
            marks
        });
        marks.extend(early.take_marks(PICTURES - 15));
        late.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    early.finish();
    late.finish();
    assert_gone(&encoder, &go2rtc);

    assert_in_order(&marks);
    assert_in_order(&late_marks);
    assert!(late_marks[0].frame > marks[0].frame, "of the same stream: {:?}, {:?}", marks[0], late_marks[0]);
    assert!(late_marks[0].frame < marks[PICTURES - 1].frame, "both at once");
}

#[test]
fn fifo_mode_plays_stops_with_the_last_viewer_and_starts_again_for_the_next() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = folder.path().join("demo.h264");
    let worker = Process::start(mb_encode().args(SMALL.split(' ')).args(["--log-format", "json", "--fifo"]).arg(&fifo));
    worker.wait_for_line("waiting for a reader");
    let go2rtc = Go2rtc::start(&[("demo", &cat_source(&fifo))]);

    for reader in 1..=2 {
        let mut viewer = watch(&go2rtc, PICTURES);
        let marks = viewer.take_marks(PICTURES);
        viewer.finish();
        let left = Instant::now();
        let line = worker.wait_for_nth_line(reader, "reader disconnected");
        let took = left.elapsed();
        assert!(took <= GONE_WITHIN, "the encoder stopped {took:?} after the viewer left:\n{line}");
        let event: serde_json::Value = serde_json::from_str(&line).expect("one JSON object a line");
        assert_eq!(event["reader"], reader);
        assert!(event["frames"].as_u64() >= Some(PICTURES as u64), "{line}");
        assert_fresh(&marks);
        assert_in_order(&marks);
    }
    worker.signal(Signal::TERM);
    let ended = worker.wait();
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
}

#[test]
fn why_a_source_fails_reaches_the_viewer() {
    let folder = tempfile::tempdir().expect("a folder");
    let shader = folder.path().join("broken.glsl");
    let source = "void mainImage(out vec4 colour, in vec2 at) {\n    colour = vec4(1.0);\n    colour.r = missing;\n}\n";
    std::fs::write(&shader, source).expect("room for a shader");
    let go2rtc = Go2rtc::start(&[("demo", &exec_source(&format!("--stdout --shader {}", shader.display())))]);

    let (status, answer) = go2rtc.get("api/stream.mp4?src=demo");
    assert_eq!(status, 500, "{answer}");
    for words in ["does not compile", "broken.glsl:3", "missing"] {
        assert!(answer.contains(words), "{words:?} is not in what the viewer is told: {answer}");
    }
    // It has closed its standard output, which is what go2rtc answers to, and may be at its last instruction.
    children::watch(go2rtc.id()).iter().for_each(|encoder| assert_gone(encoder, &go2rtc));
}

/// A descriptor of the one process that `go2rtc` has started: readable once that has ended.
fn encoder_of(go2rtc: &Go2rtc) -> OwnedFd {
    let mut encoders = children::watch(go2rtc.id());
    assert_eq!(encoders.len(), 1, "one encoder runs while it is watched");
    encoders.remove(0)
}

fn assert_gone(encoder: &OwnedFd, go2rtc: &Go2rtc) {
    let gone = ready(encoder.as_fd(), PollFlags::IN, GONE_WITHIN);
    assert!(gone, "the encoder still runs {GONE_WITHIN:?} after the last viewer left\n{}", go2rtc.log());
}
