//! Writes the pictures of the test card, or of a shader, as raw planes (YUV4MPEG2), as a stream's encoder gets them.
//!
//! Other encoders can then be measured on the same pictures. The clock on the card starts at a fixed time, so every run
//! writes the same.
//!
//! ```text
//! cargo run --release --example dump_y4m -- 1280x720 600 card.y4m
//! cargo run --release --example dump_y4m -- 1280x720 600 waves.y4m examples/shaders/waves.glsl
//! ```

use anyhow::Context as _;
use mb_encode::gl::{Gl, Target};
use mb_encode::parts::{HostPicture, Readback, Shader, ShaderScene, TestCard};
use mb_encode::settings::Size;
use mb_encode::{Frame, Renderer, Settings};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// 2026-01-01 12:00:00 UTC.
const CLOCK_STARTS: Duration = Duration::from_secs(1_767_268_800);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (size, pictures, raw, shader) = match &arguments[..] {
        [size, pictures, raw] => (size, pictures, raw, None),
        [size, pictures, raw, shader] => (size, pictures, raw, Some(Path::new(shader))),
        _ => anyhow::bail!("usage: dump_y4m WIDTHxHEIGHT PICTURES RAW.y4m [SHADER.glsl]"),
    };
    let (width, height) = size.split_once('x').context("the size is written like 1280x720")?;
    let size = Size::new(width.parse()?, height.parse()?)?;
    let pictures: u64 = pictures.parse()?;
    let Settings { device, frame_rate, .. } = Settings::default();

    let gl = Gl::open(device)?;
    let target = Target::new(&gl, size)?;
    let mut scene: Box<dyn Renderer> = match shader {
        Some(path) => Box::new(ShaderScene::new(&gl, &Shader::read(path, &Default::default())?)?),
        None => Box::new(TestCard::new(&gl, size, "mb-encode")?),
    };
    let mut readback = Readback::new(&gl, size);
    let mut picture = HostPicture::new(size);

    let mut raw = BufWriter::with_capacity(1 << 20, File::create(raw).with_context(|| format!("cannot write {raw}"))?);
    let (num, den) = (frame_rate.num(), frame_rate.den());
    writeln!(raw, "YUV4MPEG2 W{width} H{height} F{num}:{den} Ip A1:1 C420jpeg XCOLORRANGE=LIMITED")?;
    for index in 0..pictures {
        let pts = frame_rate.time_of(index);
        let wall_clock = UNIX_EPOCH + CLOCK_STARTS + pts;
        target.bind();
        scene.draw(&Frame { gl: &gl, target: &target, index, pts, delta: frame_rate.interval(), wall_clock })?;
        readback.fetch(&target, pts, &mut picture);

        let (y, cb, cr) = picture.planes();
        raw.write_all(b"FRAME\n")?;
        for plane in [y, cb, cr] {
            raw.write_all(plane)?;
        }
    }
    raw.flush()?;
    Ok(())
}
