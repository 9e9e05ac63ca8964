//! Every sample that a decoder gives is the one that BT.709 in limited range says, at its place.
//!
//! The simulated encoder is lossless, so what differs here went wrong between the shader and the encoder's input.

use crate::run::{Run, size};
use crate::support::decode::Picture;
use mb_encode::parts::Layout;
use mb_encode::parts::{KB, KG, KR, ycbcr_from_rgb};
use mb_encode::settings::Size;

/// Sides that no row length, no macroblock and no rule for pitches fits, beside ones that they all fit, from the least that
/// chips take.
const SIZES: [(u32, u32); 6] = [(160, 64), (146, 66), (642, 362), (1278, 718), (4096, 64), (146, 4096)];
const PITCHES: [&str; 4] = ["512", "4", "512+4", "32+20"];
const PICTURES: usize = 3;

/// The planes of a picture.
pub struct Planes<'a> {
    size: Size,
    y: &'a [u8],
    cb: &'a [u8],
    cr: &'a [u8],
}

impl<'a> Planes<'a> {
    pub fn of(picture: &'a Picture) -> Self {
        let pixels = picture.size.pixels();
        let (y, chroma) = picture.bytes.split_at(pixels);
        let (cb, cr) = chroma.split_at(pixels / 4);
        Self { size: picture.size, y, cb, cr }
    }

    /// Y, Cb, Cr at a pixel, counted from the top left.
    pub fn at(&self, x: u32, y: u32) -> [u8; 3] {
        let width = self.size.width() as usize;
        let (x, y) = (x as usize, y as usize);
        let chroma = y / 2 * (width / 2) + x / 2;
        [self.y[y * width + x], self.cb[chroma], self.cr[chroma]]
    }
}

/// What the shader below draws in picture `number` at a pixel counted from the top left: no two rows, no two columns
/// and no two pictures are alike, and the three parts have nothing in common.
pub fn drawn(x: u32, y: u32, number: u32) -> [u8; 3] {
    [x * 5 + y + number * 17, y * 3 + x / 2 + number * 29, x * y / 16 + x * 11 + number * 41].map(|part| part as u8)
}

pub fn shader(size: Size) -> String {
    format!(
        "void mainImage(out vec4 colour, in vec2 at) {{
    int x = int(at.x), y = {} - int(at.y);
    ivec3 parts = ivec3(x * 5 + y + iFrame * 17, y * 3 + x / 2 + iFrame * 29, x * y / 16 + x * 11 + iFrame * 41);
    colour = vec4(vec3(parts & 255) / 255.0, 1.0);
}}
",
        size.height() - 1
    )
}

/// Y, Cb and Cr of a colour, before they are rounded. The weights are the library's, whose rounded codes are checked
/// against the published ones next to them.
pub fn codes([r, g, b]: [f64; 3]) -> [f64; 3] {
    let luma = KR * r + KG * g + KB * b;
    let cb = (b - luma) / (2.0 * (1.0 - KB));
    let cr = (r - luma) / (2.0 * (1.0 - KR));
    [16.0 + 219.0 * luma / 255.0, 128.0 + 224.0 * cb / 255.0, 128.0 + 224.0 * cr / 255.0]
}

/// Whether `code` is the whole number nearest to `exact`; a tie, to the accuracy of a GPU, may go either way.
fn is_nearest(code: u8, exact: f64) -> bool {
    (f64::from(code) - exact).abs() < 0.5 + 1e-3
}

#[test]
fn every_sample_of_a_pattern_is_exact_at_every_size_and_pitch() {
    for (at, (width, height)) in SIZES.into_iter().enumerate() {
        // Every pitch at the sizes where it makes a difference and costs little.
        for pitch in if width * height < 20_000 { &PITCHES[..] } else { &PITCHES[at % 4..=at % 4] } {
            check_pattern(size(width, height), &[("MB_SIM_PITCH_ALIGN", pitch)]);
        }
    }
}

#[test]
fn every_sample_is_there_in_time_though_copies_that_nobody_waits_for_come_late() {
    check_pattern(size(162, 66), &[("MB_SIM_ASYNC", "late")]);
}

fn check_pattern(size: Size, variables: &[(&str, &str)]) {
    let what = format!("{size}, {variables:?}");
    let mut run = Run::new(&["--stdout", "--no-pace", "--frames", &PICTURES.to_string()]);
    let file = run.folder.path().join("pattern.glsl");
    std::fs::write(&file, shader(size)).expect("room for a shader");
    run.command.arg("--shader").arg(&file);
    run.command.args(["--width", &size.width().to_string(), "--height", &size.height().to_string()]);
    let ended = run.env(variables).finish();
    let pictures = ended.assert_well().pictures(size);
    assert_eq!(pictures.len(), PICTURES, "{what}");
    for (number, picture) in pictures.iter().enumerate() {
        let seen = Planes::of(picture);
        let source = |x, y| drawn(x, y, number as u32).map(f64::from);
        for y in 0..size.height() {
            for x in 0..size.width() {
                let (luma, exact) = (seen.at(x, y)[0], codes(source(x, y))[0]);
                assert!(is_nearest(luma, exact), "{what}, picture {number}: Y at {x},{y} is {luma}, not {exact:.3}");
                if x % 2 == 1 || y % 2 == 1 {
                    continue;
                }
                let four = [source(x, y), source(x + 1, y), source(x, y + 1), source(x + 1, y + 1)];
                let mean = [0, 1, 2].map(|part| four.iter().map(|pixel| pixel[part]).sum::<f64>() / 4.0);
                let ([_, cb, cr], exact) = (seen.at(x, y), codes(mean));
                assert!(
                    is_nearest(cb, exact[1]) && is_nearest(cr, exact[2]),
                    "{what}, picture {number}: Cb, Cr at {x},{y} are {cb}, {cr}, not {:.3}, {:.3}",
                    exact[1],
                    exact[2]
                );
            }
        }
    }
}

#[test]
fn the_test_cards_patches_have_the_published_codes_to_their_edges() {
    for (width, height) in [(146, 130), (320, 180), (642, 362), (1278, 718)] {
        let size = size(width, height);
        let (width, height) = (width.to_string(), height.to_string());
        let run = Run::new(&["--stdout", "--no-pace", "--frames", "4", "--width", &width, "--height", &height]);
        let ended = run.finish();
        for (number, picture) in ended.assert_well().pictures(size).iter().enumerate() {
            let seen = Planes::of(picture);
            for (region, rgb) in Layout::new(size).patches() {
                let wanted = ycbcr_from_rgb(rgb);
                // Regions count from the bottom row, pictures from the top one.
                let top = size.height() - region.y - region.height;
                for y in top..top + region.height {
                    for x in region.x..region.x + region.width {
                        assert_eq!(seen.at(x, y), wanted, "{size}, picture {number}: {rgb:?} at {x},{y}");
                    }
                }
            }
            assert_eq!(picture.mark().map(|mark| mark.frame as usize), Some(number), "{size}");
        }
    }
}
