//! Decodes a clip of the test card and checks that each picture is the right one, by the frame number that it carries.
//!
//! A picture that is fetched from a GPU before it is drawn shows the previous one, or half of each, which nobody would
//! see; its number gives it away.
//!
//! ```text
//! mb-encode --out clip.h264 --frames 240 --no-pace
//! cargo run --release --example check_clip -- clip.h264 240
//! ```
//!
//! With `-` for the clip it checks what comes on standard input, while it comes.

mod units;

use anyhow::{Context as _, ensure};
use mb_encode::parts::{START_CODE_LONG, Strip};
use mb_encode::settings::Size;
use openh264::decoder::{DecodedYUV, Decoder};
use openh264::formats::YUVSource;
use std::fs::File;
use std::io::Read;
use std::process::ExitCode;
use units::for_each_unit;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            complain(&format!("error: {why:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [clip, pictures] = &arguments[..] else {
        anyhow::bail!("usage: check_clip CLIP.h264|- PICTURES");
    };
    let pictures: usize = pictures.parse().with_context(|| format!("{pictures} is no number of pictures"))?;
    let stream: Box<dyn Read> = match clip.as_str() {
        "-" => Box::new(std::io::stdin().lock()),
        path => Box::new(File::open(path).with_context(|| format!("cannot read {path}"))?),
    };

    let mut frames = Frames::default();
    let mut decoder = Decoder::new()?;
    let mut packet = Vec::new();
    let mut at = 0;
    for_each_unit(stream, |unit| {
        packet.clear();
        packet.extend_from_slice(&START_CODE_LONG);
        packet.extend_from_slice(unit.bytes());
        let decoded = decoder.decode(&packet).with_context(|| format!("NAL unit {at} cannot be decoded"))?;
        at += 1;
        decoded.map_or(Ok(()), |picture| frames.check(&picture))
    })?;
    for picture in decoder.flush_remaining()? {
        frames.check(&picture)?;
    }
    ensure!(frames.checked == pictures, "{} pictures are there instead of {pictures}", frames.checked);
    say(&format!("{pictures} pictures, each the right one"));
    Ok(())
}

/// The pictures so far, all of them the right ones.
#[derive(Default)]
struct Frames {
    checked: usize,
}

impl Frames {
    fn check(&mut self, picture: &DecodedYUV<'_>) -> anyhow::Result<()> {
        let due = self.checked;
        match frame_number(picture)? {
            Some(found) => ensure!(found as usize == due, "picture {due} shows frame {found}"),
            None => anyhow::bail!("the strip of picture {due} cannot be read: it is torn, or of other colours"),
        }
        self.checked += 1;
        Ok(())
    }
}

fn frame_number(picture: &DecodedYUV<'_>) -> anyhow::Result<Option<u32>> {
    let (width, height) = picture.dimensions();
    let strip = Strip::new(Size::new(width.try_into()?, height.try_into()?)?);
    Ok(strip.read(picture.y(), picture.strides().0).map(|mark| mark.frame))
}

#[allow(clippy::print_stderr)] // It has no log.
fn complain(line: &str) {
    eprintln!("{line}");
}

#[allow(clippy::print_stdout)] // No video goes there.
fn say(line: &str) {
    println!("{line}");
}
