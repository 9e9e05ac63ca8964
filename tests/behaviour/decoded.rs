//! Streams as ffmpeg decodes them, and what the test card's strip says in each picture.

use crate::support::process::{Process, Reader};
use mb_encode::render::strip::{Mark, Strip};
use mb_encode::settings::Size;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

/// Decodes `stream` and gives what the strip says in each picture, `None` where it cannot be read. ffmpeg must find
/// nothing to complain about.
pub fn marks(stream: &[u8], (width, height): (u32, u32)) -> Vec<Option<Mark>> {
    let size = Size::new(width, height).expect("a legal size");
    let strip = Strip::new(size);
    decode(stream, size, |luma| strip.read(luma, width as usize))
}

/// As [`marks`], where every strip is to be read.
pub fn all_marks(stream: &[u8], size: (u32, u32)) -> Vec<Mark> {
    let marks = marks(stream, size);
    let unread: Vec<usize> = (0..marks.len()).filter(|&at| marks[at].is_none()).collect();
    assert!(unread.is_empty(), "of {} pictures, the strip cannot be read in {unread:?}", marks.len());
    marks.into_iter().flatten().collect()
}

/// Checks that the pictures carry the numbers from 0 on without a gap.
pub fn assert_frames_rise_by_one(marks: &[Mark]) {
    for (at, mark) in marks.iter().enumerate() {
        assert_eq!(mark.frame as usize, at, "picture {at} of {}: {mark:?}", marks.len());
    }
}

fn decode<T>(stream: &[u8], size: Size, mut look: impl FnMut(&[u8]) -> T) -> Vec<T> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-f", "h264", "-i", "pipe:0", "-fps_mode", "passthrough"]);
    command.args(["-f", "rawvideo", "-pix_fmt", "yuv420p", "pipe:1"]);
    let mut ffmpeg = Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
    let mut stdin = ffmpeg.stdin();
    let mut stdout: Reader<_> = ffmpeg.stdout();
    let mut seen = Vec::new();
    std::thread::scope(|scope| {
        // A decoder that gives up early is seen by its message below.
        scope.spawn(move || stdin.write_all(stream));
        let mut picture = vec![0; size.pixels() * 3 / 2];
        while stdout.read_exact(&mut picture).is_ok() {
            seen.push(look(&picture[..size.pixels()]));
        }
    });
    let ended = ffmpeg.wait();
    assert!(ended.status.success() && ended.stderr.is_empty(), "{}", ended.stderr);
    seen
}
