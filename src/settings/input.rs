//! How pictures that come from outside lie in memory, and what their values mean.

use super::named::Named;

/// How the samples of a picture lie in memory, by ffmpeg's names for them. Rows run from the **top** one down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Three bytes a pixel: R, G, B.
    Rgb24,
    /// Three bytes a pixel: B, G, R. OpenCV's own.
    Bgr24,
    /// Four bytes a pixel: R, G, B, alpha. Alpha is ignored.
    Rgba,
    /// Four bytes a pixel: B, G, R, alpha. Alpha is ignored.
    Bgra,
    /// One byte a pixel: luma.
    Gray8,
    /// A plane of Y, then Cb and Cr, each of half the width and half the height, rounded up.
    Yuv420p,
    /// A plane of Y, then Cb and Cr, each of half the width, rounded up.
    Yuv422p,
    /// Planes of Y, Cb and Cr, all of full size.
    Yuv444p,
    /// A plane of Y, then one of Cb and Cr by turns, of half the height, rounded up.
    Nv12,
}

impl Named for PixelFormat {
    const ALL: &'static [(Self, &'static str, &'static str)] = &[
        (Self::Rgb24, "rgb24", ""),
        (Self::Bgr24, "bgr24", ""),
        (Self::Rgba, "rgba", ""),
        (Self::Bgra, "bgra", ""),
        (Self::Gray8, "gray8", ""),
        (Self::Yuv420p, "yuv420p", ""),
        (Self::Yuv422p, "yuv422p", ""),
        (Self::Yuv444p, "yuv444p", ""),
        (Self::Nv12, "nv12", ""),
    ];
}

/// Where one plane of a picture lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlaneLayout {
    /// Bytes from the start of the picture to its first row.
    pub offset: usize,
    /// Bytes from one row to the next.
    pub pitch: usize,
    /// Bytes of a row that hold samples.
    pub row_bytes: usize,
    /// Rows.
    pub rows: usize,
}

impl PixelFormat {
    /// Its planes for a picture of this size in pixels, one behind the other, with each row a multiple of `align` bytes
    /// long: 1 for rows without padding. What has fewer than three planes has empty ones in the end. `None` where the
    /// numbers are too large for memory.
    pub fn planes(self, width: u32, height: u32, align: usize) -> Option<[PlaneLayout; 3]> {
        let (width, height) = (width as usize, height as usize);
        let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
        let shapes = match self {
            Self::Rgb24 | Self::Bgr24 => [(width.checked_mul(3)?, height), (0, 0), (0, 0)],
            Self::Rgba | Self::Bgra => [(width.checked_mul(4)?, height), (0, 0), (0, 0)],
            Self::Gray8 => [(width, height), (0, 0), (0, 0)],
            Self::Yuv420p => [(width, height), (half_width, half_height), (half_width, half_height)],
            Self::Yuv422p => [(width, height), (half_width, height), (half_width, height)],
            Self::Yuv444p => [(width, height); 3],
            Self::Nv12 => [(width, height), (half_width.checked_mul(2)?, half_height), (0, 0)],
        };
        let mut planes = [PlaneLayout::default(); 3];
        let mut offset = 0usize;
        for (plane, (row_bytes, rows)) in planes.iter_mut().zip(shapes) {
            let pitch = row_bytes.checked_next_multiple_of(align)?;
            *plane = PlaneLayout { offset, pitch, row_bytes, rows };
            offset = offset.checked_add(pitch.checked_mul(rows)?)?;
        }
        Some(planes)
    }

    /// The range of samples in this format, where nothing tells: a grey picture is one of a camera or an array, which use
    /// all values; luma with chroma is video's.
    pub fn usual_range(self) -> ColorRange {
        match self {
            Self::Gray8 => ColorRange::Full,
            _ => ColorRange::Limited,
        }
    }

    /// Whether its samples are luma and chroma already, so that a matrix and a range belong to them.
    pub fn is_ycbcr(self) -> bool {
        !matches!(self, Self::Rgb24 | Self::Bgr24 | Self::Rgba | Self::Bgra)
    }
}

/// The matrix that made luma and chroma of RGB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Matrix {
    /// Rec. ITU-R BT.709: HD, and what this program puts out.
    #[default]
    Bt709,
    /// Rec. ITU-R BT.601: SD, and what many programs use for all sizes.
    Bt601,
}

impl Named for Matrix {
    const ALL: &'static [(Self, &'static str, &'static str)] =
        &[(Self::Bt709, "bt709", "HD's"), (Self::Bt601, "bt601", "SD's")];
}

/// Which of the 256 values a sample of luma or chroma uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ColorRange {
    /// Luma from 16 to 235, chroma from 16 to 240.
    #[default]
    Limited,
    /// All of them, as in JPEG.
    Full,
}

impl Named for ColorRange {
    const ALL: &'static [(Self, &'static str, &'static str)] = &[
        (Self::Limited, "limited", "Luma from 16 to 235: video's"),
        (Self::Full, "full", "Luma from 0 to 255: JPEG's"),
    ];
}

/// What a picture from outside is. Every picture of a producer has the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// How they lie in memory.
    pub format: PixelFormat,
    /// What luma and chroma mean; without meaning for RGB.
    pub matrix: Matrix,
    /// Likewise.
    pub range: ColorRange,
}

impl Shape {
    /// Pictures of this size in pixels, in BT.709 and limited range where the format is of luma and chroma.
    pub fn new(width: u32, height: u32, format: PixelFormat) -> Self {
        Self { width, height, format, matrix: Matrix::default(), range: ColorRange::default() }
    }

    /// Bytes of a picture without padding; `None` where they are too many for memory.
    pub fn bytes(&self) -> Option<usize> {
        let planes = self.format.planes(self.width, self.height, 1)?;
        Some(planes.iter().map(|plane| plane.pitch * plane.rows).sum())
    }
}

/// What holds for pictures where their header does not say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputSettings {
    /// The matrix of luma and chroma.
    pub matrix: Matrix,
    /// Their range, where the pictures do not tell. `None` is that of the format.
    pub range: Option<ColorRange>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_have_as_many_bytes_as_ffmpeg_gives_them() {
        let shape = |format, width, height| Shape {
            width,
            height,
            format,
            matrix: Matrix::default(),
            range: ColorRange::default(),
        };
        for (format, even, odd) in [
            (PixelFormat::Rgb24, 6912, 195),
            (PixelFormat::Bgr24, 6912, 195),
            (PixelFormat::Rgba, 9216, 260),
            (PixelFormat::Bgra, 9216, 260),
            (PixelFormat::Gray8, 2304, 65),
            (PixelFormat::Yuv420p, 3456, 65 + 2 * 21),
            (PixelFormat::Yuv422p, 4608, 65 + 2 * 35),
            (PixelFormat::Yuv444p, 6912, 195),
            (PixelFormat::Nv12, 3456, 65 + 42),
        ] {
            assert_eq!(shape(format, 64, 36).bytes(), Some(even), "{format:?}");
            assert_eq!(shape(format, 13, 5).bytes(), Some(odd), "{format:?}");
        }
        assert_eq!(shape(PixelFormat::Rgba, u32::MAX, u32::MAX).bytes(), None);
    }

    #[test]
    fn rows_can_be_padded() {
        let planes = PixelFormat::Yuv420p.planes(13, 5, 4).unwrap();
        assert_eq!(
            planes.map(|it| (it.offset, it.pitch, it.row_bytes, it.rows)),
            [(0, 16, 13, 5), (80, 8, 7, 3), (104, 8, 7, 3)]
        );
    }
}
