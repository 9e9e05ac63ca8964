//! Pictures from outside at the size of the stream: each plane by itself, the aspect kept, black bars beside it.

use super::fit::Fit;
use crate::encoder::HostPicture;
use fast_image_resize::images::{TypedCroppedImageMut, TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

/// Y, Cb and Cr of black in limited range.
const BLACK: [u8; 3] = [16, 128, 128];

/// One plane of a picture that is to be scaled.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    /// From its first sample to its last one.
    pub samples: &'a [u8],
    /// Bytes from one row to the next.
    pub pitch: usize,
    /// Samples in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl<'a> Plane<'a> {
    /// A plane whose rows are not padded.
    pub fn packed(samples: &'a [u8], width: usize, height: usize) -> Self {
        Self { samples, pitch: width, width, height }
    }
}

/// Scales planes into the part of the stream's pictures that shows them.
#[derive(Debug)]
pub struct Scaler {
    fit: Fit,
    resizer: Resizer,
    options: ResizeOptions,
    /// A plane without the padding of its rows.
    packed: Vec<u8>,
}

impl Scaler {
    /// For pictures that lie in those of the stream as `fit` says.
    pub fn new(fit: Fit) -> Self {
        // Every sample of the source counts, however much smaller it becomes, and no edge gets a halo.
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        Self { fit, resizer: Resizer::new(), options, packed: Vec::new() }
    }

    /// Where in the stream's pictures the scaled ones lie.
    pub fn fit(&self) -> Fit {
        self.fit
    }

    /// Fills `picture` with these planes, and what is beside them with black. Without chroma it is grey.
    pub fn scale(&mut self, planes: [Option<Plane<'_>>; 3], picture: &mut HostPicture) {
        let (width, fit) = (picture.size().width() as usize, self.fit);
        let (y, cb, cr) = picture.planes_mut();
        for (at, (plane, (samples, black))) in planes.into_iter().zip([y, cb, cr].into_iter().zip(BLACK)).enumerate() {
            let (width, fit) = if at == 0 { (width, fit) } else { (width / 2, fit.of_chroma()) };
            let Some(plane) = plane else {
                samples.fill(black);
                continue;
            };
            bars(samples, width, fit, black);
            self.plane(plane, samples, width, fit);
        }
    }

    fn plane(&mut self, plane: Plane<'_>, samples: &mut [u8], pitch: usize, fit: Fit) {
        let Plane { samples: mut source, width, height, .. } = plane;
        if plane.pitch > width {
            self.packed.clear();
            for row in source.chunks(plane.pitch).take(height) {
                self.packed.extend_from_slice(&row[..width]);
            }
            source = &self.packed;
        }
        let height_below = samples.len() / pitch;
        let sides = "planes and parts of them are of the sizes given";
        let source = TypedImageRef::<U8>::from_buffer(width as u32, height as u32, source).expect(sides);
        let whole = TypedImage::<U8>::from_buffer(pitch as u32, height_below as u32, samples).expect(sides);
        let [left, top, width, height] = [fit.left, fit.top, fit.width, fit.height].map(|it| it as u32);
        let mut part = TypedCroppedImageMut::new(whole, left, top, width, height).expect(sides);
        self.resizer.resize_typed(&source, &mut part, &self.options).expect(sides);
    }
}

/// Fills what is beside the fitting part of a plane, whose rows have `width` samples.
fn bars(samples: &mut [u8], width: usize, fit: Fit, black: u8) {
    let (above, rest) = samples.split_at_mut(fit.top * width);
    let (beside, below) = rest.split_at_mut(fit.height * width);
    above.fill(black);
    below.fill(black);
    if fit.width < width {
        for row in beside.chunks_exact_mut(width) {
            row[..fit.left].fill(black);
            row[fit.left + fit.width..].fill(black);
        }
    }
}
