//! Where the planes of a picture lie in a buffer of GStreamer's.

use super::wire::Plane;
use crate::settings::{PixelFormat, PlaneLayout, Shape};

/// Where `GstVideoInfo` has them, which holds unless the buffer says otherwise: rows are multiples of four bytes, and where
/// chroma has half the rows, there is room for an even number of luma's.
pub fn usual(shape: &Shape) -> Option<[PlaneLayout; 3]> {
    let mut planes = shape.format.planes(shape.width, shape.height, 4)?;
    if matches!(shape.format, PixelFormat::Yuv420p | PixelFormat::Nv12) && shape.height % 2 == 1 {
        let row = planes[0].pitch;
        for plane in &mut planes[1..] {
            plane.offset = plane.offset.checked_add(row)?;
        }
    }
    Some(planes)
}

/// Where the buffer says that they are. `None` where that cannot be.
pub fn told(shape: &Shape, told: &[Plane]) -> Option<[PlaneLayout; 3]> {
    let mut planes = shape.format.planes(shape.width, shape.height, 1)?;
    let used = planes.iter().filter(|plane| plane.rows > 0).count();
    if told.len() != used {
        return None;
    }
    for (plane, told) in planes.iter_mut().zip(told) {
        plane.offset = usize::try_from(told.offset).ok()?;
        plane.pitch = usize::try_from(told.stride).ok().filter(|pitch| *pitch >= plane.row_bytes)?;
    }
    Some(planes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{ColorRange, Matrix};

    fn shape(format: PixelFormat, width: u32, height: u32) -> Shape {
        Shape { width, height, format, matrix: Matrix::Bt709, range: ColorRange::Limited }
    }

    #[test]
    fn planes_lie_where_gst_video_info_has_them() {
        // Offsets and strides as GStreamer 1.26's gst_video_info_set_format gives them.
        for (format, width, height, expected) in [
            (PixelFormat::Yuv420p, 1920, 1080, &[(0, 1920), (2_073_600, 960), (2_592_000, 960)][..]),
            (PixelFormat::Yuv420p, 13, 5, &[(0, 16), (96, 8), (120, 8)]),
            (PixelFormat::Nv12, 13, 5, &[(0, 16), (96, 16)]),
            (PixelFormat::Nv12, 1366, 768, &[(0, 1368), (1_050_624, 1368)]),
            (PixelFormat::Yuv422p, 13, 5, &[(0, 16), (80, 8), (120, 8)]),
            (PixelFormat::Yuv444p, 13, 5, &[(0, 16), (80, 16), (160, 16)]),
            (PixelFormat::Rgb24, 13, 5, &[(0, 40)]),
            (PixelFormat::Rgba, 13, 5, &[(0, 52)]),
            (PixelFormat::Gray8, 13, 5, &[(0, 16)]),
        ] {
            let planes = usual(&shape(format, width, height)).unwrap();
            let planes: Vec<_> =
                planes.iter().filter(|plane| plane.rows > 0).map(|plane| (plane.offset, plane.pitch)).collect();
            assert_eq!(planes, expected, "{format:?}");
        }
    }

    #[test]
    fn what_a_buffer_says_of_its_planes_holds_if_it_can_be() {
        let nv12 = shape(PixelFormat::Nv12, 64, 36);
        let plane = |offset, stride| Plane { offset, stride };
        let planes = told(&nv12, &[plane(128, 80), plane(4096, 96)]).unwrap();
        let planes = planes.map(|it| (it.offset, it.pitch, it.row_bytes, it.rows));
        assert_eq!(planes[..2], [(128, 80, 64, 36), (4096, 96, 64, 18)]);
        for wrong in [
            &[plane(0, 64)][..],
            &[plane(0, 64), plane(2304, 64), plane(0, 0)],
            &[plane(0, 64), plane(2304, 63)],
            &[plane(0, -64), plane(2304, 64)],
            &[],
        ] {
            assert_eq!(told(&nv12, wrong), None, "{wrong:?}");
        }
    }
}
