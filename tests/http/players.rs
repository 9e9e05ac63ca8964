//! Programs that people read streams with: a real ffmpeg, and a real go2rtc with its viewers.

use crate::door::Door;
use crate::support::decode::{Decoder, Form, Source, assert_frames_rise_by_one, assert_in_order};
use crate::support::go2rtc::Go2rtc;
use crate::support::process::{DEADLINE, mb_encode, until};
use mb_encode::settings::Size;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};

const SMALL: [&str; 6] = ["--width", "320", "--height", "180", "--fps", "30"];

/// They play in real time, and take turns.
static TURN: Mutex<()> = Mutex::new(());

fn size() -> Size {
    Size::new(320, 180).expect("a legal size")
}

fn start() -> Door {
    Door::start_as(mb_encode().args(SMALL).stdin(Stdio::null()).stdout(Stdio::null()), &[])
}

#[test]
fn ffmpeg_reads_both_formats_from_the_first_frame_on() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let door = start();
    for (path, format) in [("stream.ts", "mpegts"), ("stream.h264", "h264")] {
        let address = format!("http://{}/{path}", door.address);
        let mut player = Decoder::start(Source::Http(&address, format), size(), Form::Yuv420p, Some(60));
        let marks = player.take_marks(60);
        player.finish();
        assert_eq!(marks[0].frame, 0, "{path} begins with its first frame");
        assert_in_order(&marks);
        if door.metric("mb_encode_pictures_skipped_total{cause=\"late\"}") == 0.0 {
            assert_frames_rise_by_one(&marks);
        }
        door.wait_until_alone();
    }
    door.end();
}

#[test]
fn go2rtc_pages_both_formats_with_its_viewers() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let door = start();
    let sources = ["ts", "h264"].map(|ending| (ending, format!("http://{}/stream.{ending}", door.address)));
    let go2rtc = Go2rtc::start(&sources.each_ref().map(|(name, source)| (*name, source.as_str())));
    assert_eq!(door.children(), [], "nobody watches");
    for (name, _) in &sources {
        for round in 0..2 {
            let mut viewer = Decoder::start(Source::Rtsp(&go2rtc.rtsp(name)), size(), Form::Yuv420p, Some(45));
            let mut marks = viewer.take_marks(20);
            // Behind its last frame it leaves.
            assert_eq!(door.children().len(), 1, "one encoder for it");
            marks.extend(viewer.take_marks(25));
            viewer.finish();
            assert!(marks[0].frame < 60, "{name}, round {round}: a fresh stream: {:?}", marks[0]);
            assert_in_order(&marks);
            door.wait_until_alone();
        }
    }
    // Two viewers of one stream are one reader, and one of each are two.
    let watch = |name: &str| Decoder::start(Source::Rtsp(&go2rtc.rtsp(name)), size(), Form::Yuv420p, None);
    let mut viewers = ["ts", "ts", "h264"].map(watch);
    viewers.iter_mut().for_each(|viewer| drop(viewer.take_marks(10)));
    assert_eq!(door.children().len(), 2);
    drop(viewers);
    door.wait_until_alone();
    door.end();
}

#[test]
fn a_viewer_is_told_why_there_is_nothing_to_see() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a folder");
    let shader = folder.path().join("waves.glsl");
    let good = "void mainImage(out vec4 colour, in vec2 at) { colour = vec4(1.0); }\n";
    std::fs::write(&shader, good).expect("room for a shader");
    let options = ["--shader", shader.to_str().expect("a plain path")];
    let door = Door::start_as(mb_encode().args(SMALL).stdin(Stdio::null()).stdout(Stdio::null()), &options);
    // Somebody breaks it while the worker waits.
    std::fs::write(&shader, good.replace("vec4(1.0)", "missing")).expect("room for a shader");
    let refused = door.stream("/stream.ts");
    assert_eq!((refused.head.status, refused.head.header("retry-after")), (500, None), "{:?}", refused.head);
    let words = String::from_utf8(refused.rest()).expect("text");
    assert!(words.contains("does not compile") && words.contains("waves.glsl"), "{words}");
    let health = crate::support::http::get(door.address, "/healthz");
    assert_eq!((health.status, door.metric("mb_encode_up")), (503, 0.0), "{health:?}");
    assert!(health.header("retry-after").is_some() && health.text().contains("does not compile"), "{health:?}");
    assert_eq!(door.status()["state"], "failing");
    std::fs::write(&shader, good).expect("room for a shader");
    until(DEADLINE, "it takes readers again", || {
        (crate::support::http::get(door.address, "/healthz").status == 200).then_some(())
    });
    door.stream("/stream.ts").take(188);
    assert_eq!(door.metric("mb_encode_ends_total{cause=\"failed\"}"), 1.0);
    door.end();
}
