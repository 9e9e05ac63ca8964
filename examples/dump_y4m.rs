//! Writes the test card's pictures as raw planes (YUV4MPEG2), and the same pictures as a stream encodes them.
//!
//! Other encoders can then be measured on the same pictures, and each encoded stream against the raw ones. The clock on
//! the card starts at a fixed time, so every run writes the same.
//!
//! ```text
//! cargo run --release --example dump_y4m -- 1280x720 600 6M card.y4m card.h264
//! ```

use anyhow::{Context as _, Error};
use mb_encode::gl::{Gl, Target};
use mb_encode::parts::{AccessUnit, HostPicture, Openh264, Profile, Readback, TestCard, byte_stream};
use mb_encode::settings::Size;
use mb_encode::{Frame, Renderer, Settings};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::{Duration, UNIX_EPOCH};

/// 2026-01-01 12:00:00 UTC.
const CLOCK_STARTS: Duration = Duration::from_secs(1_767_268_800);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [size, pictures, bitrate, raw, coded] = &arguments[..] else {
        anyhow::bail!("usage: dump_y4m WIDTHxHEIGHT PICTURES BITRATE RAW.y4m CODED.h264");
    };
    let (width, height) = size.split_once('x').context("the size is written like 1280x720")?;
    let size = Size::new(width.parse()?, height.parse()?)?;
    let pictures: u64 = pictures.parse()?;
    let settings = Settings { size, bitrate: bitrate.parse().map_err(Error::msg)?, ..Settings::default() };
    let frame_rate = settings.frame_rate;

    let gl = Gl::open(settings.device)?;
    let target = Target::new(&gl, size)?;
    let mut card = TestCard::new(&gl, size, "mb-encode")?;
    let mut readback = Readback::new(size);
    let mut picture = HostPicture::new(size);
    let mut encoder = Openh264::open(&settings, Profile::ConstrainedBaseline)?;
    let (mut unit, mut stream) = (AccessUnit::default(), Vec::new());

    let mut raw = BufWriter::with_capacity(1 << 20, File::create(raw).with_context(|| format!("cannot write {raw}"))?);
    let mut coded = BufWriter::new(File::create(coded).with_context(|| format!("cannot write {coded}"))?);
    let (num, den) = (frame_rate.num(), frame_rate.den());
    writeln!(raw, "YUV4MPEG2 W{width} H{height} F{num}:{den} Ip A1:1 C420jpeg XCOLORRANGE=LIMITED")?;
    for index in 0..pictures {
        let pts = frame_rate.time_of(index);
        let wall_clock = UNIX_EPOCH + CLOCK_STARTS + pts;
        target.bind();
        card.draw(&Frame { gl: &gl, target: &target, index, pts, delta: frame_rate.interval(), wall_clock })?;
        readback.fetch(&target, pts, &mut picture);

        let (y, cb, cr) = picture.planes();
        raw.write_all(b"FRAME\n")?;
        for plane in [y, cb, cr] {
            raw.write_all(plane)?;
        }
        encoder.encode(&picture, false, &mut unit)?;
        stream.clear();
        byte_stream(&unit, &mut stream);
        coded.write_all(&stream)?;
    }
    raw.flush()?;
    coded.flush()?;
    Ok(())
}
