//! What draws the pictures.
//!
//! [`Renderer`] is the trait that you implement to stream your own GL drawing; the built-in scenes are three of its
//! implementations. See `examples/own_renderer.rs`. [`Frames`] is the one for pictures that lie in host memory already:
//! see `examples/own_frames.rs`.

mod artist;
mod bar;
mod canvas;
mod feed;
pub mod input;
mod planes;
#[cfg(feature = "cli")]
mod shader;
pub mod strip;
pub mod testcard;
mod text;

pub use artist::{Artist, MakeRenderer};
pub use bar::Bar;
pub use feed::{Absent, Feed, Filled, Pulled};
pub use planes::Planes;
#[cfg(all(fuzzing, feature = "cli"))]
pub use shader::fuzz::file as try_shader;
#[cfg(feature = "cli")]
pub use shader::{CHANNELS, Shader, ShaderScene};
pub use testcard::TestCard;

use crate::error::Error;
use crate::gl::{Gl, Target};
use crate::settings::Shape;
use std::time::{Duration, SystemTime};

/// Draws pictures, one at a time.
///
/// A renderer is made for each stream, with the [`Gl`] that it will draw in, and dropped at its end; it stays on one
/// thread. Renderers that need to be made where no context is yet are given as a closure: `|gl, settings| …`.
pub trait Renderer {
    /// Draws one picture into [`Frame::target`], which is bound as the framebuffer with the viewport on all of it.
    ///
    /// What the target holds at first is undefined: draw, or clear, every pixel. Its format is RGBA8 and its alpha
    /// is ignored. Values are as a screen shows them (gamma-encoded sRGB or BT.709 primaries); nothing is converted
    /// but the colour space. Row 0 is the **bottom** row, as in all of GL. Other GL state
    /// may have changed since the last picture: set what you need.
    ///
    /// # Errors
    /// An error ends the stream, with its message.
    fn draw(&mut self, frame: &Frame<'_>) -> Result<(), Error>;

    /// Says whether [`Renderer::draw`] would draw something else than the last time, before it is called.
    ///
    /// A picture that is [`Unchanged`](Drawn::Unchanged) is not drawn. The last one stays on the screen, at next to no cost:
    /// a few small pictures a second are sent, so that whoever joins sees it.
    fn look(&mut self, frame: &Frame<'_>) -> Drawn {
        let _ = frame;
        Drawn::New
    }

    /// Says whether [`Renderer::draw`] writes every pixel, whatever the target holds.
    ///
    /// Then a stream that is not paced draws into two targets in turn, the next picture while the last one is read back,
    /// where that is quicker. With `false`, the default, a picture is drawn over the last one.
    fn fills_target(&self) -> bool {
        false
    }
}

/// Hands over pictures that lie in host memory, one at a time. No GL is loaded for them.
pub trait Frames {
    /// How a picture lies in memory. It stays so.
    fn shape(&self) -> Shape;

    /// Writes one picture into `samples`, as [`Frames::shape`] says and without padding. They hold the picture that was
    /// written last, or before the first one, zeros. A picture that is [`Unchanged`](Drawn::Unchanged) is one that nothing
    /// is written for: what is in `samples` may be sent again.
    ///
    /// `index` counts from 0, and `pts` is when the picture is to be shown, as time since the start of the stream.
    ///
    /// # Errors
    /// An error ends the stream, with its message.
    fn fill(&mut self, index: u64, pts: Duration, samples: &mut [u8]) -> Result<Drawn, Error>;
}

/// What there is to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawn {
    /// A new picture.
    New,
    /// The last one.
    Unchanged,
    /// Nothing any more: the stream ends.
    Over,
}

/// The picture to draw now.
#[derive(Debug)]
pub struct Frame<'a> {
    /// The context that is current.
    pub gl: &'a Gl,
    /// Where to draw.
    pub target: &'a Target,
    /// Which picture of the stream this is, from 0, without gaps: a skipped one is never drawn and has no number.
    pub index: u64,
    /// When it is to be shown, as time since the start of the stream. Skipped pictures leave gaps here, so what
    /// moves by `pts` moves evenly in real time.
    pub pts: Duration,
    /// `pts` less that of the picture before; for the first picture the frame interval.
    pub delta: Duration,
    /// The wall clock.
    pub wall_clock: SystemTime,
}
