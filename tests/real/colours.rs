//! Colours and orientation, as a player sees them.

use crate::size;
use crate::support::decode::{Decoder, Form, Picture, Source};
use crate::support::process::mb_encode;
use mb_encode::parts::Layout;
use mb_encode::settings::Size;

/// How far a decoded value may be from the drawn one, of 255.
const TOLERANCE: u8 = 3;
const PICTURES: usize = 6;

/// The pictures of a test card with the label `L`, through a file.
fn pictures(size: Size, form: Form) -> Vec<Picture> {
    let folder = tempfile::tempdir().expect("a folder");
    let clip = folder.path().join("clip.h264");
    let mut encoder = mb_encode();
    // More bits than a player would want: this is about colours, not about what a tight rate does to them.
    encoder.args(["--bitrate", "20M"]);
    encoder.args(["--no-pace", "--label", "L", "--frames", &PICTURES.to_string(), "--out"]).arg(&clip);
    encoder.args(["--width", &size.width().to_string(), "--height", &size.height().to_string()]);
    let output = encoder.output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let mut decoder = Decoder::start(Source::File(&clip), size, form, None);
    let pictures = decoder.take_pictures(PICTURES);
    decoder.finish();
    pictures
}

#[test]
fn the_patches_come_out_as_they_were_drawn_and_where_they_were_drawn() {
    // At the least size, 64x64, a patch is smaller than the blocks that a coder rounds together.
    for (width, height) in [(66, 130), (640, 360), (1280, 720), (1920, 1080)] {
        let size = size(width, height);
        for (number, picture) in pictures(size, Form::Rgb24).iter().enumerate() {
            let mut wrong = Vec::new();
            for (region, drawn) in Layout::new(size).patches() {
                // Regions count from the bottom row, pictures from the top one.
                let (x, y) = (region.x + region.width / 2, height - 1 - (region.y + region.height / 2));
                let seen = picture.rgb(x, y);
                if drawn.iter().zip(seen).any(|(&drawn, seen)| drawn.abs_diff(seen) > TOLERANCE) {
                    wrong.push(format!("at {x},{y} drawn {drawn:?}, seen {seen:?}"));
                }
            }
            assert!(wrong.is_empty(), "{size}, picture {number}:\n{}", wrong.join("\n"));
        }
    }
}

#[test]
fn the_picture_stands_upright_and_is_not_mirrored() {
    let size = size(1280, 720);
    let picture = &pictures(size, Form::Yuv420p)[0];
    let width = size.width() as usize;

    // Above the patches stand three lines of text; the first holds nothing but the letter L.
    let text = Layout::new(size).patches().map(|(region, _)| region.y + region.height).max().expect("16 patches");
    let line = ((size.height() - text) / 3) as usize;
    let bright: Vec<_> = (0..line)
        .flat_map(|y| (0..width).map(move |x| (x, y)))
        .filter(|&(x, y)| picture.luma()[y * width + x] > 126)
        .collect();
    let span = |values: &mut dyn Iterator<Item = usize>| {
        let values: Vec<_> = values.collect();
        (*values.iter().min().expect("the letter is there"), *values.iter().max().expect("the letter is there"))
    };
    let (left, right) = span(&mut bright.iter().map(|&(x, _)| x));
    let (top, bottom) = span(&mut bright.iter().map(|&(_, y)| y));
    assert!(right < width / 2 && right - left < 2 * line, "one letter on the left, not at {left} to {right}");
    let on_the_left = bright.iter().filter(|&&(x, _)| x <= (left + right) / 2).count();
    let below = bright.iter().filter(|&&(_, y)| y > (top + bottom) / 2).count();
    assert!(on_the_left * 2 > bright.len(), "the stem of the L is on the left: {on_the_left} of {}", bright.len());
    assert!(below * 2 > bright.len(), "the foot of the L is at the bottom: {below} of {}", bright.len());

    let mark = picture.mark().expect("the strip stands at the bottom left");
    assert_eq!(mark.frame, 0);
}
