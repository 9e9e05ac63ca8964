//! Every line of `examples/README.md` that reads a stream by HTTP.

use crate::how::{How, commands};
use crate::place::{Group, Place};
use crate::rig::until;
use crate::support::decode::{Decoder, Form, Source};
use crate::support::process::DEADLINE;
use crate::worker::{Worker, assert_rises, size};
use mb_encode::parts::Mark;
use std::path::Path;

/// What the strips of the first `count` pictures in a file say.
fn marks(file: &Path, count: usize) -> Vec<Mark> {
    Decoder::start(Source::Any(file), size(), Form::Yuv420p, None).take_marks(count)
}

#[test]
fn each_line_reads_a_stream() {
    let _alone = crate::alone();
    let worker = Worker::start(&[]);
    let place = Place::new();
    let address = worker.address.to_string();
    for line in commands(How::Read) {
        eprintln!("{line}");
        let here = line.replace("127.0.0.1:9000", &address);
        match line.split(' ').next() {
            Some("ffplay") => {
                let mut player = Group::start(&mut place.shell(&here));
                player.process().wait_for_line("Video: h264");
                player.end();
            }
            // It goes on until somebody ends it.
            Some("curl") => {
                let file = place.path("clip.ts");
                let reader = Group::start(&mut place.shell(&here));
                let has_come = || std::fs::metadata(&file).is_ok_and(|file| file.len() > 50_000).then_some(());
                until(DEADLINE, "it writes a file", has_come);
                reader.end();
                assert_rises(&line, &marks(&file, 10));
            }
            Some("ffmpeg") => {
                place.run(&here, DEADLINE);
                let mut clip = Decoder::start(Source::Any(&place.path("clip.mp4")), size(), Form::Yuv420p, None);
                let marks: Vec<_> = clip.by_ref().filter_map(|picture| picture.mark()).collect();
                clip.finish();
                assert_rises(&line, &marks);
                // Two seconds of a stream that may have skipped some.
                assert!(marks.len() <= 61 && marks.last().is_some_and(|mark| mark.frame >= 58), "{line}: {marks:?}");
            }
            Some("gst-launch-1.0") => {
                place.run(&here, DEADLINE);
                assert_rises(&line, &marks(&place.path("clip.y4m"), 60));
            }
            _ => panic!("what does it write? {line}"),
        }
        worker.wait_until_alone();
    }
}
