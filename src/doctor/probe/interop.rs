//! Whether CUDA sees what GL drew, byte for byte.

use super::checks::{Probe, ok, up};
use crate::color;
use crate::cuda::{CudaContext, PitchedBuffer};
use crate::doctor::part::Part;
use crate::error::Error;
use crate::gl::{Gl, Nv12, Target, Texture};
use crate::gpu::{GlImages, open_cuda, open_gl};
use crate::settings::Size;
use std::time::Instant;

/// GL and CUDA on one GPU, and pictures that go from the one to the other.
pub fn interop(probe: &mut Probe<'_>) -> Option<()> {
    let (gl, context) = probe.check(Part::GlOnCuda, |settings| {
        let gl = open_gl(settings)?;
        let began = Instant::now();
        let context = open_cuda(&gl)?;
        let took = began.elapsed();
        let found = format!("GL draws on CUDA device {}, {}{}", context.ordinal(), context.name(), up(took));
        Ok(ok((gl, context), found)?.held_against(took))
    })?;
    probe.check(Part::Interop, |_| ok((), pictures_through_cuda(&gl, &context)?))
}

/// Odd for memory: no row begins where a copy without its pitch would put it.
const SIZE: (u32, u32) = (642, 362);

/// Different pictures, one right after the other: a picture that is seen late shows.
const PICTURES: u32 = 6;

/// Draws known pictures, converts them as a stream does, reads them back through CUDA, and only then with glReadPixels.
fn pictures_through_cuda(gl: &Gl, context: &CudaContext) -> Result<String, Error> {
    let (width, height) = SIZE;
    let size = Size::new(width, height)?;
    let target = Target::new(gl, size)?;
    let picture = Texture::new(gl, width, height)?;
    let nv12 = Nv12::new(gl, size)?;
    let buffer = PitchedBuffer::new(context, width as usize, height as usize * 3 / 2)?;
    let mut images = GlImages::register(context, nv12.planes())?;
    let mut before = Vec::new();
    for number in 0..PICTURES {
        picture.upload(&rgba(number));
        target.copy(&picture, picture.whole(), 0, 0);
        nv12.convert(&target);
        let mapped = images.map(nv12.planes())?;
        mapped.copy_to(&buffer)?;
        mapped.unmap()?;
        let by_cuda = buffer.read()?;
        let by_gl = nv12.planes().iter().flat_map(|plane| plane.read()).collect::<Vec<u8>>();
        drawn_right(number, &by_gl)?;
        if by_cuda != by_gl {
            let differ = by_cuda.iter().zip(&by_gl).filter(|(cuda, gl)| cuda != gl).count();
            let late = if by_cuda == before { ": it sees the picture before" } else { "" };
            return Err(Error::machine(
                "cuda-wrong-pixels",
                format!(
                    "CUDA does not see what GL drew: {differ} of {} bytes differ in picture {number}{late}",
                    by_gl.len()
                ),
                "",
            ));
        }
        before = by_gl;
    }
    Ok(format!("{PICTURES} pictures of {size} as NV12 are, byte for byte, what glReadPixels gives"))
}

/// The colour of a block of two by two pixels, counted from the bottom left.
fn colour(number: u32, x: u32, y: u32) -> [u8; 3] {
    let mut bits = (number * 4096 + y) * 4096 + x;
    // Neighbours in space and time differ a lot.
    for _ in 0..2 {
        bits = (bits ^ bits >> 15).wrapping_mul(0x2c1b_3c6d);
    }
    let [r, g, b, _] = bits.to_be_bytes();
    [r, g, b]
}

fn rgba(number: u32) -> Vec<u8> {
    let (width, height) = SIZE;
    let pixel = |x, y| {
        let [r, g, b] = colour(number, x / 2, y / 2);
        [r, g, b, 255]
    };
    (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).collect()
}

/// Compares with the conversion on the processor. A GPU may round the other way.
fn drawn_right(number: u32, nv12: &[u8]) -> Result<(), Error> {
    let (width, height) = (SIZE.0 as usize, SIZE.1 as usize);
    let (luma, chroma) = nv12.split_at(width * height);
    for row in 0..height / 2 {
        for column in 0..width / 2 {
            // GL's first row is the last one of the picture.
            let rgb = colour(number, column as u32, (height / 2 - 1 - row) as u32);
            let [y, cb, cr] = color::ycbcr_from_rgb(rgb);
            let at = 2 * row * width + 2 * column;
            let c = row * width + 2 * column;
            let seen = [luma[at], luma[at + 1], luma[at + width], luma[at + width + 1], chroma[c], chroma[c + 1]];
            if seen.iter().zip([y, y, y, y, cb, cr]).any(|(seen, right)| seen.abs_diff(right) > 1) {
                return Err(Error::machine(
                    "gl-wrong-pixels",
                    format!("GL converts a picture wrongly: {rgb:?} becomes {seen:?}, not {:?}", [y, y, y, y, cb, cr]),
                    "",
                ));
            }
        }
    }
    Ok(())
}
