//! The smallest scene: a red bar on black, cleared into place.

use super::{Frame, Renderer};
use crate::error::Error;
use crate::gl::Region;

const WIDTH: u32 = 16;
const PIXELS_PER_PICTURE: u64 = 7;

/// Black, with a 16-pixel red bar that moves 7 pixels a picture and starts again at the left edge.
#[derive(Debug, Default)]
pub struct Bar;

impl Renderer for Bar {
    fn draw(&mut self, frame: &Frame<'_>) -> Result<(), Error> {
        let size = frame.target.size();
        let x = (frame.index * PIXELS_PER_PICTURE % u64::from(size.width())) as u32;
        frame.target.clear(frame.target.whole(), [0.0, 0.0, 0.0]);
        frame.target.clear(Region { x, y: 0, width: WIDTH, height: size.height() }, [1.0, 0.0, 0.0]);
        Ok(())
    }
}
