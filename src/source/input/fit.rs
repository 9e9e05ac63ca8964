//! How large a stream is that shows pictures from outside, and where in its own ones they lie.

use crate::error::Error;
use crate::settings::{MAX_SIDE, MIN_SIDE, Size};

/// Longest side of a picture from outside, in pixels.
pub const LONGEST: u32 = 16384;

/// Checks the size of pictures from outside.
///
/// # Errors
/// A side that is 0 or longer than [`LONGEST`].
pub fn check(width: u32, height: u32) -> Result<(), Error> {
    if (1..=LONGEST).contains(&width) && (1..=LONGEST).contains(&height) {
        return Ok(());
    }
    Err(Error::input(
        "frames-size",
        format!("frames of {width}x{height} cannot be shown; each side has from 1 to {LONGEST} pixels"),
        "",
    ))
}

/// `length * to / from` to the nearest even number, in what a side can be.
fn scaled(length: u32, to: u32, from: u32) -> u64 {
    let (length, to, from) = (u64::from(length), u64::from(to), u64::from(from));
    ((length * to + from) / (2 * from) * 2).max(2)
}

/// The size of a stream that shows pictures of `width` x `height`.
///
/// Both sides that were given; where one was, the other as the aspect has it, with bars where it would be out of range;
/// where none was, the pictures' own, without the last column and row where there is an odd number of them.
///
/// # Errors
/// Pictures of a size that cannot be, or sides that a stream cannot have.
pub fn size_for(width: u32, height: u32, wanted_width: Option<u32>, wanted_height: Option<u32>) -> Result<Size, Error> {
    check(width, height)?;
    let other = |length, to, from| scaled(length, to, from).clamp(MIN_SIDE.into(), MAX_SIDE.into()) as u32;
    match (wanted_width, wanted_height) {
        (Some(wanted), Some(wanted_too)) => Size::new(wanted, wanted_too),
        (Some(wanted), None) => Size::new(wanted, other(height, wanted, width)),
        (None, Some(wanted)) => Size::new(other(width, wanted, height), wanted),
        (None, None) => Size::new(width & !1, height & !1).map_err(|_| {
            Error::input(
                "input-scale",
                format!("the frames are {width}x{height}, and the sides of a stream from {MIN_SIDE} to {MAX_SIDE}"),
                "",
            )
        }),
    }
}

/// The part of a stream's picture that shows one from outside; black bars are beside it. All even, so that it ends where
/// chroma does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Columns to the left of it.
    pub left: usize,
    /// Rows above it.
    pub top: usize,
    /// Its width.
    pub width: usize,
    /// Its height.
    pub height: usize,
}

impl Fit {
    /// Where a picture of `width` x `height` is largest in one of `size`, in its middle.
    pub fn new(width: u32, height: u32, size: Size) -> Self {
        let (full_width, full_height) = (size.width(), size.height());
        // What is wider than the stream fills its width.
        let wider = u64::from(full_width) * u64::from(height) <= u64::from(full_height) * u64::from(width);
        let (inner_width, inner_height) = if wider {
            (full_width.into(), scaled(height, full_width, width).min(full_height.into()))
        } else {
            (scaled(width, full_height, height).min(full_width.into()), full_height.into())
        };
        let (inner_width, inner_height) = (inner_width as usize, inner_height as usize);
        Self {
            left: (full_width as usize - inner_width) / 4 * 2,
            top: (full_height as usize - inner_height) / 4 * 2,
            width: inner_width,
            height: inner_height,
        }
    }

    /// The same part of a plane of chroma.
    pub fn of_chroma(self) -> Self {
        Self { left: self.left / 2, top: self.top / 2, width: self.width / 2, height: self.height / 2 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_has_the_sides_that_were_given_and_else_those_of_its_pictures() {
        let size = |width, height, wanted| {
            let (wanted_width, wanted_height) = wanted;
            let size = size_for(width, height, wanted_width, wanted_height).map_err(|error| error.code().to_owned());
            size.map(|size| (size.width(), size.height()))
        };
        for (of, wanted, expected) in [
            ((640, 480), (None, None), (640, 480)),
            ((641, 481), (None, None), (640, 480)),
            ((65, 64), (None, None), (64, 64)),
            ((4097, 4097), (None, None), (4096, 4096)),
            ((640, 480), (Some(320), Some(320)), (320, 320)),
            ((640, 480), (Some(320), None), (320, 240)),
            ((640, 480), (None, Some(720)), (960, 720)),
            ((1920, 1080), (Some(854), None), (854, 480)),
            ((1080, 1920), (Some(720), None), (720, 1280)),
            ((1, 1), (Some(64), None), (64, 64)),
            // Bars are needed.
            ((4096, 64), (Some(640), None), (640, 64)),
            ((1, 16384), (Some(640), None), (640, 4096)),
            ((16384, 1), (None, Some(128)), (4096, 128)),
        ] {
            assert_eq!(size(of.0, of.1, wanted), Ok(expected), "{of:?} as {wanted:?}");
        }
        for of in [(63, 64), (64, 1), (4098, 480), (16384, 16384)] {
            assert_eq!(size(of.0, of.1, (None, None)), Err("input-scale".to_owned()), "{of:?}");
        }
        for of in [(0, 480), (640, 0), (16385, 16), (16, u32::MAX)] {
            for wanted in [(None, None), (Some(640), None), (Some(640), Some(480))] {
                assert_eq!(size(of.0, of.1, wanted), Err("frames-size".to_owned()), "{of:?}");
            }
        }
        assert!(size(640, 480, (Some(641), Some(480))).is_err());
    }

    #[test]
    fn a_picture_is_as_large_as_it_can_be_in_the_middle_and_bars_are_even() {
        for (of, size, expected) in [
            ((640, 480), (1280, 720), (160, 0, 960, 720)),
            ((1920, 1080), (1280, 720), (0, 0, 1280, 720)),
            ((854, 480), (1280, 720), (0, 0, 1280, 720)),
            ((1920, 1080), (640, 480), (0, 60, 640, 360)),
            ((1080, 1920), (1280, 720), (436, 0, 406, 720)),
            ((4096, 64), (64, 64), (0, 30, 64, 2)),
            ((1, 1), (128, 64), (32, 0, 64, 64)),
            ((1, 16384), (4096, 64), (2046, 0, 2, 64)),
            ((16384, 16384), (640, 480), (80, 0, 480, 480)),
        ] {
            let Fit { left, top, width, height } = Fit::new(of.0, of.1, Size::new(size.0, size.1).unwrap());
            assert_eq!((left, top, width, height), expected, "{of:?} in {size:?}");
        }
    }
}
