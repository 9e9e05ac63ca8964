//! The smallest scene: a red bar on black, copied into place.

use super::{Frame, Renderer};
use crate::error::Error;
use crate::gl::{Gl, Texture};
use crate::settings::Size;

const WIDTH: u32 = 16;
const PIXELS_PER_PICTURE: u64 = 7;

/// Black, with a 16-pixel red bar that moves 7 pixels a picture and starts again at the left edge.
#[derive(Debug)]
pub struct Bar {
    bar: Texture,
}

impl Bar {
    /// A bar as high as a picture of `size`.
    ///
    /// # Errors
    /// The GL driver is out of memory.
    pub fn new(gl: &Gl, size: Size) -> Result<Self, Error> {
        let bar = Texture::new(gl, WIDTH, size.height())?;
        bar.upload(&[255, 0, 0, 255].repeat((WIDTH * size.height()) as usize));
        Ok(Self { bar })
    }
}

impl Renderer for Bar {
    fn fills_target(&self) -> bool {
        true
    }

    fn draw(&mut self, frame: &Frame<'_>) -> Result<(), Error> {
        let width = u64::from(frame.target.size().width());
        frame.target.clear([0.0; 3]);
        frame.target.copy(&self.bar, self.bar.whole(), (frame.index * PIXELS_PER_PICTURE % width) as u32, 0);
        Ok(())
    }
}
