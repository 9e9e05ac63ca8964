//! What comes out, next to what colorimetry says of what went in, in floating point.

use super::*;
use crate::color::{KB, KB_BT601, KR, KR_BT601, ycbcr_from_rgb};
use crate::settings::{Named as _, PlaneLayout};
use proptest::prelude::*;

/// A picture from outside, whose rows are padded to multiples of `align` bytes.
struct Source {
    shape: Shape,
    bytes: Vec<u8>,
    layouts: [PlaneLayout; 3],
}

fn variants() -> impl Iterator<Item = (PixelFormat, ColorRange, Matrix)> {
    let formats = PixelFormat::ALL.iter();
    formats.flat_map(|&(format, ..)| {
        ColorRange::ALL
            .iter()
            .flat_map(move |&(range, ..)| Matrix::ALL.iter().map(move |&(matrix, ..)| (format, range, matrix)))
    })
}

/// Luma from 0 to 1 and chroma from -0.5 to 0.5, by the weights of red and blue.
fn ycbcr([r, g, b]: [f64; 3], (kr, kb): (f64, f64)) -> [f64; 3] {
    let y = kr * r + (1.0 - kr - kb) * g + kb * b;
    [y, (b - y) / (2.0 * (1.0 - kb)), (r - y) / (2.0 * (1.0 - kr))]
}

/// The other way round.
fn rgb([y, cb, cr]: [f64; 3], (kr, kb): (f64, f64)) -> [f64; 3] {
    let (r, b) = (y + 2.0 * (1.0 - kr) * cr, y + 2.0 * (1.0 - kb) * cb);
    [r, (y - kr * r - kb * b) / (1.0 - kr - kb), b]
}

fn weights(matrix: Matrix) -> (f64, f64) {
    match matrix {
        Matrix::Bt709 => (KR, KB),
        Matrix::Bt601 => (KR_BT601, KB_BT601),
    }
}

impl Source {
    fn new(shape: Shape, align: usize) -> Self {
        let layouts = shape.format.planes(shape.width, shape.height, align).unwrap();
        let bytes = vec![0xA5; layouts.iter().map(|plane| plane.pitch * plane.rows).sum()];
        Self { shape, bytes, layouts }
    }

    fn planes(&self) -> Planes<'_> {
        Planes::new(&self.bytes, self.layouts).unwrap()
    }

    /// Where the samples of a pixel are: R, G and B, or Y, Cb and Cr.
    fn places(&self, x: usize, y: usize) -> [usize; 3] {
        let at = |plane: usize, column, row| self.layouts[plane].offset + row * self.layouts[plane].pitch + column;
        match self.shape.format {
            PixelFormat::Rgb24 => [0, 1, 2].map(|it| at(0, x * 3 + it, y)),
            PixelFormat::Bgr24 => [2, 1, 0].map(|it| at(0, x * 3 + it, y)),
            PixelFormat::Rgba => [0, 1, 2].map(|it| at(0, x * 4 + it, y)),
            PixelFormat::Bgra => [2, 1, 0].map(|it| at(0, x * 4 + it, y)),
            PixelFormat::Gray8 => [at(0, x, y); 3],
            PixelFormat::Yuv420p => [at(0, x, y), at(1, x / 2, y / 2), at(2, x / 2, y / 2)],
            PixelFormat::Yuv422p => [at(0, x, y), at(1, x / 2, y), at(2, x / 2, y)],
            PixelFormat::Yuv444p => [0, 1, 2].map(|plane| at(plane, x, y)),
            PixelFormat::Nv12 => [at(0, x, y), at(1, x / 2 * 2, y / 2), at(1, x / 2 * 2 + 1, y / 2)],
        }
    }

    /// Zero and span of luma, and the span of chroma.
    fn scale(&self) -> (f64, f64, f64) {
        match self.shape.range {
            ColorRange::Limited => (16.0, 219.0, 224.0),
            ColorRange::Full => (0.0, 255.0, 255.0),
        }
    }

    /// Writes a pixel that was made of RGB.
    fn put(&mut self, x: usize, y: usize, color: [u8; 3]) {
        let (black, luma, chroma) = self.scale();
        let samples = if self.shape.format.is_ycbcr() {
            let [y, cb, cr] = ycbcr(color.map(|it| f64::from(it) / 255.0), weights(self.shape.matrix));
            [black + luma * y, 128.0 + chroma * cb, 128.0 + chroma * cr].map(|it| it.round() as u8)
        } else {
            color
        };
        let count = if self.shape.format == PixelFormat::Gray8 { 1 } else { 3 };
        for (place, sample) in self.places(x, y).into_iter().zip(samples).take(count) {
            self.bytes[place] = sample;
        }
    }

    /// What a pixel is in BT.709 and limited range.
    fn exact(&self, x: usize, y: usize) -> [f64; 3] {
        let samples = self.places(x, y).map(|place| f64::from(self.bytes[place]));
        let (black, luma, chroma) = self.scale();
        let [y, cb, cr] = if !self.shape.format.is_ycbcr() {
            ycbcr(samples.map(|it| it / 255.0), (KR, KB))
        } else if self.shape.format == PixelFormat::Gray8 {
            [(samples[0] - black) / luma, 0.0, 0.0]
        } else {
            let [y, cb, cr] = samples;
            let normalized = [(y - black) / luma, (cb - 128.0) / chroma, (cr - 128.0) / chroma];
            ycbcr(rgb(normalized, weights(self.shape.matrix)), (KR, KB))
        };
        [16.0 + 219.0 * y, 128.0 + 224.0 * cb, 128.0 + 224.0 * cr]
    }

    fn convert(&self, size: Size) -> HostPicture {
        let mut picture = HostPicture::new(size);
        // Twice, for nothing of one picture may be left in the next.
        let mut converter = Converter::new(&self.shape, size).unwrap();
        for _ in 0..2 {
            converter.convert(&self.planes(), &mut picture);
        }
        picture
    }

    /// Converts to its own size and finds each sample within `tolerance` of what it is exactly.
    fn check(&self, tolerance: f64) {
        let size = Size::new(self.shape.width & !1, self.shape.height & !1).unwrap();
        let picture = self.convert(size);
        let (y, cb, cr) = picture.planes();
        let (width, half) = (size.width() as usize, size.width() as usize / 2);
        let close = |what: &str, x, y, sample: u8, exact: f64| {
            let exact = exact.clamp(0.0, 255.0);
            let is_close = (f64::from(sample) - exact).abs() <= tolerance;
            assert!(is_close, "{:?}: {what} at {x},{y} is {sample}, not {exact:.2}", self.shape);
        };
        for (at, (&cb, &cr)) in cb.iter().zip(cr).enumerate() {
            let (column, row) = (at % half * 2, at / half * 2);
            let mut sums = [0.0; 2];
            for (x, y_at) in [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(right, down)| (column + right, row + down)) {
                let [luma, cb, cr] = self.exact(x, y_at);
                close("Y", x, y_at, y[y_at * width + x], luma);
                sums = [sums[0] + cb, sums[1] + cr];
            }
            close("Cb", column, row, cb, sums[0] / 4.0);
            close("Cr", column, row, cr, sums[1] / 4.0);
        }
    }
}

fn shape(width: u32, height: u32, (format, range, matrix): (PixelFormat, ColorRange, Matrix)) -> Shape {
    Shape { width, height, format, matrix, range }
}

#[test]
fn patches_of_all_colours_keep_them_in_every_format_range_and_matrix() {
    for variant in variants() {
        let mut source = Source::new(shape(64, 64, variant), 1);
        let color = |x: usize, y: usize| [x / 16, y / 16, x / 4 % 4].map(|step| step as u8 * 85);
        for (x, y) in (0..64).flat_map(|y| (0..64).map(move |x| (x, y))) {
            source.put(x, y, color(x, y));
        }
        source.check(1.2);
        if variant.0 != PixelFormat::Gray8 {
            // And of what the colours were before they were rounded for the source.
            let picture = source.convert(Size::new(64, 64).unwrap());
            let (luma, cb, cr) = picture.planes();
            for (x, y) in (0..32).flat_map(|y| (0..32).map(move |x| (x, y))) {
                let expected = ycbcr_from_rgb(color(2 * x, 2 * y));
                let samples = [luma[y * 2 * 64 + x * 2], cb[y * 32 + x], cr[y * 32 + x]];
                let is_close = samples.iter().zip(expected).all(|(it, expected)| it.abs_diff(expected) <= 2);
                assert!(is_close, "{variant:?}: {samples:?}, not {expected:?}");
            }
        }
    }
}

#[test]
fn gradients_stay_smooth_and_odd_sides_lose_their_last_line() {
    for variant in variants() {
        for (width, height, align) in [(129, 65, 1), (130, 66, 64), (131, 66, 4), (255, 67, 7)] {
            let mut source = Source::new(shape(width, height, variant), align);
            for (x, y) in (0..height as usize).flat_map(|y| (0..width as usize).map(move |x| (x, y))) {
                source.put(x, y, [x, 3 * y, 255 - (x + y) / 2].map(|it| it as u8));
            }
            source.check(1.5);
        }
    }
}

#[test]
fn what_is_like_the_streams_pictures_already_is_told_apart() {
    let size = Size::new(640, 480).unwrap();
    for variant in variants() {
        let native = variant == (PixelFormat::Yuv420p, ColorRange::Limited, Matrix::Bt709);
        assert_eq!(is_native(&shape(640, 480, variant), size), native, "{variant:?}");
        assert!(!is_native(&shape(641, 480, variant), size) && !is_native(&shape(640, 482, variant), size));
    }
    let mut source = Source::new(shape(64, 66, (PixelFormat::Yuv420p, ColorRange::Limited, Matrix::Bt709)), 1);
    source.bytes.iter_mut().enumerate().for_each(|(at, it)| *it = (at * 7 % 256) as u8);
    assert_eq!(source.convert(Size::new(64, 66).unwrap()).samples(), source.bytes, "it is copied as it is");
}

#[test]
fn sizes_that_cannot_be_are_refused() {
    let size = Size::new(640, 480).unwrap();
    for (width, height) in [(0, 480), (640, 0), (16385, 480), (u32::MAX, u32::MAX)] {
        let shape = shape(width, height, (PixelFormat::Rgb24, ColorRange::Limited, Matrix::Bt709));
        let error = Converter::new(&shape, size).unwrap_err();
        assert_eq!(error.code(), "frames-size", "{error}");
    }
}

/// Finds the bars of a picture black and hands over what lies between them: Y, Cb and Cr.
fn between_bars(picture: &HostPicture, fit: Fit) -> [Vec<u8>; 3] {
    let width = picture.size().width() as usize;
    let (y, cb, cr) = picture.planes();
    let planes = [(y, width, fit, 16), (cb, width / 2, fit.of_chroma(), 128), (cr, width / 2, fit.of_chroma(), 128)];
    planes.map(|(plane, width, fit, black)| {
        let mut between = Vec::new();
        for (at, &sample) in plane.iter().enumerate() {
            let (column, row) = (at % width, at / width);
            if (fit.left..fit.left + fit.width).contains(&column) && (fit.top..fit.top + fit.height).contains(&row) {
                between.push(sample);
            } else {
                assert_eq!(sample, black, "a bar at {column},{row} of {}", picture.size());
            }
        }
        between
    })
}

fn mean(samples: &[u8]) -> f64 {
    samples.iter().map(|&it| f64::from(it)).sum::<f64>() / samples.len() as f64
}

#[test]
fn a_picture_of_one_colour_has_it_at_every_size_between_black_bars() {
    for variant in variants() {
        for (from, to) in [((96, 72), (192, 108)), ((192, 108), (96, 72)), ((1, 1), (128, 64)), ((35, 199), (64, 64))] {
            let mut source = Source::new(shape(from.0, from.1, variant), 16);
            for (x, y) in (0..from.1 as usize).flat_map(|y| (0..from.0 as usize).map(move |x| (x, y))) {
                source.put(x, y, [200, 40, 90]);
            }
            let exact = source.exact(0, 0);
            let size = Size::new(to.0, to.1).unwrap();
            let planes = between_bars(&source.convert(size), Fit::new(from.0, from.1, size));
            for (plane, exact) in planes.iter().zip(exact) {
                let is_close = plane.iter().all(|&it| (f64::from(it) - exact).abs() <= 1.5);
                assert!(is_close, "{variant:?} {from:?} as {to:?}: {exact:.2} in {:?}", &plane[..2]);
            }
        }
    }
}

#[test]
fn scaling_takes_every_pixel_into_account_and_keeps_the_mean() {
    for variant in variants() {
        let mut source = Source::new(shape(300, 200, variant), 1);
        for (x, y) in (0..200).flat_map(|y| (0..300).map(move |x| (x, y))) {
            let light = if (x / 2 + y / 2) % 2 == 0 { 60 } else { 0 };
            source.put(x, y, [x / 2, y, 255 - x / 2 - y / 3].map(|it| (it * 3 / 4 + light) as u8));
        }
        let mut sums = [0.0; 3];
        for (x, y) in (0..200).flat_map(|y| (0..300).map(move |x| (x, y))) {
            sums.iter_mut().zip(source.exact(x, y)).for_each(|(sum, it)| *sum += it);
        }
        // A third of the size, and somewhat more.
        for (width, height) in [(96, 64), (336, 224)] {
            let size = Size::new(width, height).unwrap();
            let planes = between_bars(&source.convert(size), Fit::new(300, 200, size));
            for (plane, sum) in planes.iter().zip(sums) {
                let (mean, exact) = (mean(plane), sum / 60_000.0);
                assert!((mean - exact).abs() < 1.0, "{variant:?} as {size}: {mean:.2}, not {exact:.2}");
            }
            // Of squares of two pixels nothing is left to see in a third; the nearest pixels would show them.
            if width == 96 {
                let steps = planes[0].windows(2).map(|two| two[0].abs_diff(two[1]));
                let rough = steps.filter(|&step| step > 12).count();
                assert!(rough < 96, "{variant:?}: {rough} steps");
            }
        }
    }
}

/// Pictures that are as flat as they can be, and the other way round.
#[test]
fn the_longest_sides_are_scaled() {
    let variant = (PixelFormat::Nv12, ColorRange::Limited, Matrix::Bt709);
    for (from, to) in [((16384, 1), (64, 512)), ((1, 16384), (512, 64)), ((16384, 3), (4096, 64)), ((2, 2), (64, 4096))]
    {
        Source::new(shape(from.0, from.1, variant), 1).convert(Size::new(to.0, to.1).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the samples: they are within 2 codes, whose range none leaves.
    #[test]
    fn any_samples_of_any_size_are_converted(
        width in 64..100u32,
        height in 64..80u32,
        align in 1..40usize,
        variant in 0..variants().count(),
        seed in any::<u64>(),
    ) {
        let variant = variants().nth(variant).unwrap();
        let mut source = Source::new(shape(width, height, variant), align);
        let mut state = seed | 1;
        for sample in &mut source.bytes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *sample = (state >> 56) as u8;
        }
        source.check(2.0);
    }

    #[test]
    fn any_size_is_scaled_to_any_other(
        from in (1..200u32, 1..200u32),
        to in (32..80u32, 32..80u32),
        align in 1..40usize,
        variant in 0..variants().count(),
    ) {
        let source = Source::new(shape(from.0, from.1, variants().nth(variant).unwrap()), align);
        let size = Size::new(to.0 * 2, to.1 * 2).unwrap();
        let picture = source.convert(size);
        if (from.0 & !1, from.1 & !1) != (size.width(), size.height()) {
            between_bars(&picture, Fit::new(from.0, from.1, size));
        }
    }
}
