//! A picture's samples where they lie, without a copy.

use crate::settings::{PlaneLayout, Shape};

/// The planes of one picture from outside, as its [`Shape`] has them: the **top** row first. What has fewer than three
/// has empty ones in the end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Planes<'a> {
    planes: [(&'a [u8], PlaneLayout); 3],
}

impl<'a> Planes<'a> {
    /// A picture whose rows are not padded, in `bytes`; `None` where they are too few.
    pub fn packed(shape: &Shape, bytes: &'a [u8]) -> Option<Self> {
        Self::new(bytes, shape.format.planes(shape.width, shape.height, 1)?)
    }

    /// A picture with planes at these places in `bytes`; `None` where one of them is not in there.
    pub fn new(bytes: &'a [u8], layouts: [PlaneLayout; 3]) -> Option<Self> {
        let mut planes = [(&[][..], PlaneLayout::default()); 3];
        for (plane, layout) in planes.iter_mut().zip(layouts) {
            let PlaneLayout { offset, pitch, row_bytes, rows } = layout;
            if rows == 0 {
                continue;
            }
            let end = offset.checked_add(pitch.checked_mul(rows - 1)?)?.checked_add(row_bytes)?;
            if pitch < row_bytes {
                return None;
            }
            *plane = (bytes.get(offset..end)?, layout);
        }
        Some(Self { planes })
    }

    /// The bytes of plane `at`, from its first row to the end of its last one, and the bytes from one row to the next.
    pub fn plane(&self, at: usize) -> (&'a [u8], usize) {
        let (bytes, layout) = self.planes[at];
        (bytes, layout.pitch)
    }

    /// The rows of plane `at`, without padding.
    pub fn rows(&self, at: usize) -> impl Iterator<Item = &'a [u8]> {
        let (bytes, PlaneLayout { pitch, row_bytes, rows, .. }) = self.planes[at];
        (0..rows).map(move |row| &bytes[row * pitch..][..row_bytes])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{ColorRange, Matrix, PixelFormat};

    #[test]
    fn rows_come_without_their_padding_and_nothing_lies_outside() {
        let bytes: Vec<u8> = (0..32).collect();
        let layouts = PixelFormat::Gray8.planes(3, 4, 8).unwrap();
        let planes = Planes::new(&bytes[..27], layouts).unwrap();
        assert_eq!(planes.rows(0).collect::<Vec<_>>(), [&[0, 1, 2][..], &[8, 9, 10], &[16, 17, 18], &[24, 25, 26]]);
        assert!(Planes::new(&bytes[..26], layouts).is_none());
        let far = PlaneLayout { offset: usize::MAX, ..layouts[0] };
        assert!(Planes::new(&bytes, [far, layouts[1], layouts[2]]).is_none());
        let shape = Shape {
            width: 4,
            height: 8,
            format: PixelFormat::Gray8,
            matrix: Matrix::Bt709,
            range: ColorRange::Limited,
        };
        assert!(Planes::packed(&shape, &bytes).is_some() && Planes::packed(&shape, &bytes[1..]).is_none());
    }
}
