//! What a viewer sees: frames out of mb-encode's own FIFO, decoded.

use crate::reader::open_fifo;
use crate::support::decode::{Decoder, Form, Picture, Source};
use crate::support::process::Reader;
use mb_encode::parts::{NalUnit, NalUnitType, nal_units};
use mb_encode::settings::Size;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// How far a decoded value may be from the one that was made, of 255, within an even region.
const TOLERANCE: u8 = 5;

/// A region of one colour, by a place in it.
pub type Patch = ((u32, u32), [u8; 3]);

pub fn size(width: u32, height: u32) -> Size {
    Size::new(width, height).expect("a legal size")
}

fn is_near(seen: [u8; 3], made: [u8; 3]) -> bool {
    seen.iter().zip(made).all(|(seen, made)| seen.abs_diff(made) <= TOLERANCE)
}

/// All frames of a clip.
pub fn of_clip(clip: &Path, size: Size) -> Vec<Picture> {
    let mut decoder = Decoder::start(Source::File(clip), size, Form::Rgb24, None);
    let pictures: Vec<_> = decoder.by_ref().collect();
    decoder.finish();
    pictures
}

/// A viewer, who is there until this is dropped.
pub struct Viewer {
    bytes: Reader<File>,
    stream: Vec<u8>,
}

impl Viewer {
    /// Opens the FIFO of a stream.
    pub fn open(fifo: &Path) -> Self {
        Self { bytes: open_fifo(fifo), stream: Vec::new() }
    }

    /// Waits for so many frames of the stream, counted from its first, and returns them all.
    pub fn frames(&mut self, count: usize, size: Size) -> Vec<Picture> {
        let is_slice = |unit: &NalUnit<'_>| matches!(unit.nal_unit_type(), NalUnitType::Slice | NalUnitType::IdrSlice);
        // A slice is a picture, and is whole once another one has begun.
        while nal_units(&self.stream).filter(is_slice).count() <= count {
            let mut bytes = [0; 65536];
            let read = self.bytes.read(&mut bytes).expect("the stream goes on");
            assert!(read > 0, "the stream has ended");
            self.stream.extend_from_slice(&bytes[..read]);
        }
        Decoder::start(Source::Bytes(self.stream.clone()), size, Form::Rgb24, None).take_pictures(count)
    }
}

/// Each frame has these colours there, and they are not all the same.
pub fn assert_right(pictures: &[Picture], patches: &[Patch], what: &str) {
    for (number, picture) in pictures.iter().enumerate() {
        for &((x, y), made) in patches {
            let seen = picture.rgb(x, y);
            assert!(is_near(seen, made), "{what}, frame {number}: at {x},{y} {made:?} was made, {seen:?} is seen");
        }
    }
    assert_moves(pictures, what);
}

/// The frames are not all the same.
pub fn assert_moves(pictures: &[Picture], what: &str) {
    // A prime number, so that it looks everywhere.
    let some = |picture: &Picture| picture.bytes.iter().copied().step_by(29).collect::<Vec<_>>();
    let first = some(&pictures[0]);
    let differs = |picture: &Picture| some(picture).iter().zip(&first).any(|(a, &b)| a.abs_diff(b) > 40);
    let moved = pictures.iter().filter(|picture| differs(picture)).count();
    assert!(moved >= 2, "{what}: nothing moves in {} frames", pictures.len());
}

/// How many pixels have a colour.
pub fn count(picture: &Picture, colour: [u8; 3]) -> usize {
    picture.bytes.chunks(3).filter(|pixel| is_near([pixel[0], pixel[1], pixel[2]], colour)).count()
}
