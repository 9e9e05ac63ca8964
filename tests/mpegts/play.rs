//! Frame numbers as a player sees them.

use crate::support::decode::{Decoder, Form, Source};
use mb_encode::settings::Size;
use std::path::Path;

/// Those of the `count` pictures that a file holds, no more and no less. ffmpeg must have nothing to complain about.
pub fn frame_numbers_in(file: &Path, count: usize) -> Vec<u32> {
    frame_numbers(Source::MpegTs(file), None, count)
}

/// Those of the first `count` pictures at an RTSP address.
pub fn frame_numbers_at(address: &str, count: usize) -> Vec<u32> {
    frame_numbers(Source::Rtsp(address), Some(count as u32), count)
}

fn frame_numbers(source: Source<'_>, limit: Option<u32>, count: usize) -> Vec<u32> {
    let size = Size::new(320, 240).expect("even");
    let mut decoder = Decoder::start(source, size, Form::Yuv420p, limit);
    let marks = decoder.take_marks(count);
    decoder.finish();
    marks.iter().map(|mark| mark.frame).collect()
}
