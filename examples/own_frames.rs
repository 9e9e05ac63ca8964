//! Streams frames that lie in host memory: your own renderer, camera or simulation through mb-encode, without GL.
//!
//! ```sh
//! cargo run --release --example own_frames | ffplay -f h264 -
//! cargo run --release --example own_frames -- 120 > rings.h264     # two seconds
//! ```

use mb_encode::settings::{PixelFormat, Shape, Size};
use mb_encode::{Control, Drawn, Error, Frames, Output, Settings, stream};
use std::time::Duration;

/// Rings that spread for two seconds, and then stand still for one.
struct Rings {
    width: u32,
    height: u32,
}

impl Frames for Rings {
    fn shape(&self) -> Shape {
        Shape::new(self.width, self.height, PixelFormat::Rgb24)
    }

    fn fill(&mut self, _: u64, pts: Duration, samples: &mut [u8]) -> Result<Drawn, Error> {
        let seconds = pts.as_secs_f32() % 3.0;
        if seconds > 2.0 {
            return Ok(Drawn::Unchanged);
        }
        let rows = samples.chunks_exact_mut(self.width as usize * 3);
        for (y, row) in rows.enumerate() {
            for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
                let (dx, dy) = (x as f32 - self.width as f32 / 2.0, y as f32 - self.height as f32 / 2.0);
                let ring = ((dx * dx + dy * dy).sqrt() * 0.08 - seconds * 6.0).sin();
                pixel.copy_from_slice(&[(128.0 + 100.0 * ring) as u8, 64, (128.0 - 100.0 * ring) as u8]);
            }
        }
        Ok(Drawn::New)
    }
}

fn main() -> Result<(), Error> {
    let usage = |_| Error::input("", "the number of frames is a whole number", "write: own_frames 120");
    let pictures = std::env::args().nth(1).map(|pictures| pictures.parse().map_err(usage)).transpose()?;
    let settings = Settings { size: Size::new(640, 360)?, pictures, ..Settings::default() };
    let rings = Rings { width: settings.size.width(), height: settings.size.height() };
    stream::run_frames(&settings, &Output::Stdout, rings, &Control::new()?, None)?;
    Ok(())
}
