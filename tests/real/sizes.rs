//! Every size is coded whole and without a gap.

use crate::size;
use crate::support::decode::{Decoder, Form, Source, assert_in_order};
use crate::support::process::mb_encode;
use std::process::Stdio;

const PICTURES: usize = 8;

#[test]
fn the_strip_is_readable_in_every_picture_of_every_size() {
    for (width, height) in [(64, 64), (66, 130), (640, 360), (1280, 720), (1920, 1080)] {
        let mut encoder = mb_encode();
        encoder.args(["--stdout", "--no-pace", "--frames", &PICTURES.to_string()]);
        encoder.args(["--width", &width.to_string(), "--height", &height.to_string()]);
        let output = encoder.stdin(Stdio::null()).output().expect("it starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

        let mut decoder = Decoder::start(Source::Bytes(output.stdout), size(width, height), Form::Yuv420p, None);
        let marks = decoder.take_marks(PICTURES);
        decoder.finish();
        assert_eq!(marks[0].frame, 0, "{width}x{height}");
        assert_in_order(&marks);
    }
}
