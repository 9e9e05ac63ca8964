//! Decodes a clip of the test card and checks that each picture is the right one, by the frame number that it carries.
//!
//! A picture that is fetched from a GPU before it is drawn shows the previous one, or half of each, which nobody would
//! see; its number gives it away.
//!
//! ```text
//! mb-encode --out clip.h264 --frames 240 --no-pace
//! cargo run --release --example check_clip -- clip.h264 240
//! ```

use anyhow::{Context as _, ensure};
use mb_encode::parts::Strip;
use mb_encode::parts::{START_CODE_LONG, nal_units};
use mb_encode::settings::Size;
use openh264::decoder::{DecodedYUV, Decoder};
use openh264::formats::YUVSource;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [clip, pictures] = &arguments[..] else {
        anyhow::bail!("usage: check_clip CLIP.h264 PICTURES");
    };
    let pictures: usize = pictures.parse().with_context(|| format!("{pictures} is no number of pictures"))?;
    let stream = std::fs::read(clip).with_context(|| format!("cannot read {clip}"))?;

    let mut frames = Vec::with_capacity(pictures);
    let mut decoder = Decoder::new()?;
    let mut packet = Vec::new();
    for (at, unit) in nal_units(&stream).enumerate() {
        packet.clear();
        packet.extend_from_slice(&START_CODE_LONG);
        packet.extend_from_slice(unit.bytes());
        let decoded = decoder.decode(&packet).with_context(|| format!("NAL unit {at} cannot be decoded"))?;
        if let Some(picture) = decoded {
            frames.push(frame_number(&picture)?);
        }
    }
    for picture in decoder.flush_remaining()? {
        frames.push(frame_number(&picture)?);
    }

    for (due, found) in frames.iter().enumerate() {
        match found {
            Some(found) => ensure!(*found as usize == due, "picture {due} shows frame {found}"),
            None => anyhow::bail!("the strip of picture {due} cannot be read: it is torn, or of other colours"),
        }
    }
    ensure!(frames.len() == pictures, "{} pictures are there instead of {pictures}", frames.len());
    say(&format!("{pictures} pictures, each the right one"));
    Ok(())
}

fn frame_number(picture: &DecodedYUV<'_>) -> anyhow::Result<Option<u32>> {
    let (width, height) = picture.dimensions();
    let strip = Strip::new(Size::new(width.try_into()?, height.try_into()?)?);
    Ok(strip.read(picture.y(), picture.strides().0).map(|mark| mark.frame))
}

#[allow(clippy::print_stdout)] // No video goes there.
fn say(line: &str) {
    println!("{line}");
}
