//! Pictures out of a producer's memory, into memory of the stream's own.
//!
//! A few rows are copied at a time and converted while they are in the cache, so that a picture passes through main memory
//! once. What is scaled, which takes all of its rows, is copied as it is.

use super::super::convert::{Converter, is_native};
use super::super::intake::Intake;
use super::memories::Bytes;
use super::wire::Broken;
use crate::encoder::HostPicture;
use crate::error::Error;
use crate::settings::{PlaneLayout, Shape, Size};
use crate::source::Planes;

/// How much is copied before it is converted: what stays in the cache of a core, beside what it becomes.
const BAND_BYTES: usize = 64 << 10;

/// Takes pictures in. Holds the memory that it needs on the way.
#[derive(Debug, Default)]
pub struct Bands {
    /// For pictures of this shape, where they are converted by rows.
    made_for: Option<(Shape, Size)>,
    conversion: Option<Conversion>,
}

#[derive(Debug)]
struct Conversion {
    converter: Converter,
    /// What the next one is converted to.
    picture: HostPicture,
    /// Rows of the source, without padding.
    band: Vec<u8>,
}

/// A picture's samples.
#[derive(Debug)]
pub struct Taken {
    pub samples: Vec<u8>,
    /// Whether they are the stream's already.
    pub is_converted: bool,
}

impl Bands {
    /// Readies itself for pictures of `shape` in a stream of `size`.
    ///
    /// # Errors
    /// Pictures of a size that cannot be.
    pub fn set_up(&mut self, shape: &Shape, size: Size) -> Result<(), Error> {
        if self.made_for != Some((*shape, size)) {
            let converter = Converter::new(shape, size)?;
            let by_rows = converter.goes_by_rows() && !is_native(shape, size);
            self.conversion =
                by_rows.then(|| Conversion { converter, picture: HostPicture::new(size), band: Vec::new() });
            self.made_for = Some((*shape, size));
        }
        Ok(())
    }

    /// Takes in a picture that it is set up for, whose planes lie at these places in `bytes`.
    ///
    /// # Errors
    /// Something of it is not there.
    pub fn take(
        &mut self,
        bytes: &Bytes,
        shape: &Shape,
        planes: &[PlaneLayout; 3],
        intake: &Intake,
    ) -> Result<Taken, Broken> {
        if let Some(conversion) = &mut self.conversion {
            conversion.convert(bytes, shape, planes)?;
            let picture = &mut conversion.picture;
            let samples = picture.exchange(intake.buffer(HostPicture::bytes(picture.size())));
            return Ok(Taken { samples, is_converted: true });
        }
        let mut samples = intake.buffer(shape.bytes().expect("the caps' size was checked"));
        match copy(bytes, planes, &mut samples) {
            Ok(()) => Ok(Taken { samples, is_converted: false }),
            Err(why) => {
                intake.give_back(samples);
                Err(why)
            }
        }
    }
}

impl Conversion {
    fn convert(&mut self, bytes: &Bytes, shape: &Shape, planes: &[PlaneLayout; 3]) -> Result<(), Broken> {
        let Self { converter, picture, band } = self;
        let height = picture.size().height();
        let of_rows = |rows| shape.format.planes(shape.width, rows, 1).expect("no more than a whole picture");
        let pair: usize = of_rows(2).iter().map(|plane| plane.row_bytes * plane.rows).sum();
        let rows_at_once = (BAND_BYTES / pair).max(1) as u32 * 2;
        for first in (0..height).step_by(rows_at_once as usize) {
            let rows = rows_at_once.min(height - first);
            let (above, packed) = (of_rows(first), of_rows(rows));
            let mut source = *planes;
            for (plane, (above, packed)) in source.iter_mut().zip(above.iter().zip(&packed)) {
                let start = above.rows.checked_mul(plane.pitch).and_then(|start| start.checked_add(plane.offset));
                plane.offset = start.ok_or("shares less than a frame")?;
                plane.rows = packed.rows;
            }
            band.resize(packed.iter().map(|plane| plane.row_bytes * plane.rows).sum(), 0);
            copy(bytes, &source, band)?;
            let planes = Planes::new(band, packed).expect("it was made for them");
            converter.convert_rows(&planes, first as usize..(first + rows) as usize, picture);
        }
        Ok(())
    }
}

/// Copies the planes of a picture, one behind the other and without padding, from where they lie in `bytes`.
fn copy(bytes: &Bytes, planes: &[PlaneLayout; 3], mut samples: &mut [u8]) -> Result<(), Broken> {
    for PlaneLayout { offset, pitch, row_bytes, rows } in *planes {
        // Rows without padding are as one.
        let (len, runs) = if pitch == row_bytes { (row_bytes * rows, rows.min(1)) } else { (row_bytes, rows) };
        for run in 0..runs {
            let (now, later) = samples.split_at_mut(len);
            let start = run.checked_mul(pitch).and_then(|start| start.checked_add(offset));
            bytes.read(start.ok_or("shares less than a frame")? as u64, now)?;
            samples = later;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::intake::Keep;
    use super::super::memories::Memories;
    use super::super::wire::Piece;
    use super::*;
    use crate::settings::{ColorRange, Matrix, Named as _, PixelFormat};
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    use rustix::io::pwrite;

    /// Takes in what lies in shared memory, of which the last `missing` bytes are not there.
    fn take(
        bytes: &[u8],
        missing: usize,
        shape: &Shape,
        planes: &[PlaneLayout; 3],
        size: Size,
    ) -> Result<Taken, Broken> {
        let fd = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        let there = &bytes[..bytes.len() - missing];
        assert_eq!(pwrite(&fd, there, 0).unwrap(), there.len());
        fcntl_add_seals(&fd, SealFlags::SHRINK).unwrap();
        let (mut memories, mut bands) = (Memories::default(), Bands::default());
        let intake = Intake::new(Keep::Latest).unwrap();
        let mut taken = Err(Broken::from(""));
        // Copied by the kernel at first, and out of a mapping when it comes again.
        for _ in 0..2 {
            let piece = Piece { offset: 0, len: there.len() as u64 };
            let memory = memories.open(&[piece], vec![fd.try_clone().unwrap()]).unwrap();
            bands.set_up(shape, size).unwrap();
            taken = bands.take(&memory, shape, planes, &intake);
        }
        taken
    }

    #[test]
    fn by_rows_a_picture_becomes_what_it_becomes_as_a_whole() {
        for (&(format, ..), (width, height)) in
            PixelFormat::ALL.iter().flat_map(|format| [(64, 64), (131, 67), (1922, 202)].map(|sides| (format, sides)))
        {
            let shape = Shape { width, height, format, matrix: Matrix::Bt601, range: ColorRange::Full };
            let size = Size::new(width & !1, height & !1).unwrap();
            for align in [1, 64] {
                let planes = format.planes(width, height, align).unwrap();
                let len = planes.iter().map(|plane| plane.pitch * plane.rows).sum::<usize>();
                let bytes: Vec<u8> = (0..len as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
                let mut whole = HostPicture::new(size);
                let mut converter = Converter::new(&shape, size).unwrap();
                converter.convert(&Planes::new(&bytes, planes).unwrap(), &mut whole);
                let Taken { samples, is_converted } = take(&bytes, 0, &shape, &planes, size).unwrap();
                assert!(is_converted && samples == whole.samples(), "{shape:?}, {align}");
                // What lies in the last rows of the picture, and of the stream as well.
                let missing = align + planes[0].pitch + 1;
                assert!(take(&bytes, missing, &shape, &planes, size).is_err(), "{shape:?}, {align}");
            }
        }
    }

    #[test]
    fn what_needs_no_conversion_or_all_rows_at_once_is_copied_without_padding() {
        let native = Shape::new(64, 66, PixelFormat::Yuv420p);
        let scaled = Shape::new(32, 48, PixelFormat::Rgb24);
        for (shape, size) in [(native, (64, 66)), (scaled, (64, 96))] {
            let planes = shape.format.planes(shape.width, shape.height, 48).unwrap();
            let bytes: Vec<u8> = (0..=255).cycle().take(planes.iter().map(|it| it.pitch * it.rows).sum()).collect();
            let expected: Vec<u8> = {
                let planes = Planes::new(&bytes, planes).unwrap();
                (0..3).flat_map(|at| planes.rows(at).flatten().copied().collect::<Vec<_>>()).collect()
            };
            let taken = take(&bytes, 0, &shape, &planes, Size::new(size.0, size.1).unwrap()).unwrap();
            assert!(!taken.is_converted && taken.samples == expected, "{shape:?}");
        }
    }

    #[test]
    fn rows_that_lie_beyond_all_memory_are_not_there() {
        let shape = Shape::new(64, 512, PixelFormat::Rgba);
        let mut planes = shape.format.planes(64, 512, 1).unwrap();
        planes[0].pitch = usize::MAX / 256;
        assert!(take(&[7; 64 * 512 * 4], 0, &shape, &planes, Size::new(64, 512).unwrap()).is_err());
    }
}
