//! What is to be seen in decoded frames.

use crate::support::decode::{Decoder, Form, Picture, Source};
use mb_encode::settings::Size;
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
    let differs = |a: &Picture, b: &Picture| {
        a.bytes.chunks(3).zip(b.bytes.chunks(3)).any(|(a, b)| a.iter().zip(b).any(|(a, &b)| a.abs_diff(b) > 40))
    };
    let moved = pictures.windows(2).filter(|pair| differs(&pair[0], &pair[1])).count();
    assert!(moved >= 2, "{what}: nothing moves in {} frames", pictures.len());
}

/// How many pixels have a colour.
pub fn count(picture: &Picture, colour: [u8; 3]) -> usize {
    picture.bytes.chunks(3).filter(|pixel| is_near([pixel[0], pixel[1], pixel[2]], colour)).count()
}
