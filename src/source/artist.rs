//! The drawing half of a stream: a renderer in its GL context, with the target that it draws into.

use super::{Drawn, Frame, Renderer};
use crate::error::Error;
use crate::gl::{Gl, Target};
use crate::gpu::{Opened, Warmth, open_beside_cuda};
use crate::pacer::Tick;
use crate::pulse::{Lane, Pulse, Stage};
use crate::settings::Settings;
use crate::stats::STAGE;
use std::time::SystemTime;
use tracing::trace_span;

/// Makes the renderer of a stream, in the context that it will draw in.
pub trait MakeRenderer: FnMut(&Gl, &Settings) -> Result<Box<dyn Renderer>, Error> {}

impl<F: FnMut(&Gl, &Settings) -> Result<Box<dyn Renderer>, Error>> MakeRenderer for F {}

/// Bound to the thread of its GL context. Dropping it releases the GPU.
pub struct Artist {
    renderer: Box<dyn Renderer>,
    /// What the last picture was drawn into.
    pub target: Target,
    /// What the one before was drawn into, where two are drawn in turn.
    before: Option<Target>,
    /// Whether the target shows a picture.
    has_drawn: bool,
    cuda: Warmth,
    // Last: everything above is freed in this context.
    gl: Gl,
}

impl Artist {
    /// Opens a context on the GPU that `settings` ask for, and the renderer in it.
    ///
    /// # Errors
    /// No GPU or driver that draws, or the renderer's own.
    pub fn open(settings: &Settings, make_renderer: &mut impl MakeRenderer) -> Result<Self, Error> {
        let Opened { gl, cuda } = open_beside_cuda(settings)?;
        let target = Target::new(&gl, settings.size)?;
        let renderer = make_renderer(&gl, settings)?;
        tracing::debug!(renderer = %gl.hardware(), "ready to draw {} at {}/s", settings.size, settings.frame_rate);
        Ok(Self { renderer, target, before: None, has_drawn: false, cuda, gl })
    }

    /// The context that it draws in.
    pub fn gl(&self) -> &Gl {
        &self.gl
    }

    /// Draws the first picture for nobody: drivers compile a program when it is first used.
    ///
    /// # Errors
    /// The renderer's own.
    pub fn try_first(&mut self, tick: &Tick, pulse: &Pulse) -> Result<(), Error> {
        self.draw(tick, pulse)?;
        let _drawing = pulse.during(Lane::Artist, Stage::Drawing);
        self.gl.finish();
        self.has_drawn = false;
        Ok(())
    }

    /// Makes the renderer anew, in the same context: what it was made of has changed.
    ///
    /// # Errors
    /// The renderer's own.
    pub fn remake(&mut self, settings: &Settings, make_renderer: &mut impl MakeRenderer) -> Result<(), Error> {
        self.renderer = make_renderer(&self.gl, settings)?;
        self.has_drawn = false;
        Ok(())
    }

    /// Gives back the memory that only compiling needs, once a first picture is drawn: Mesa's software renderer holds some
    /// 6 MiB for it, a fifth of what a small stream needs. What a GPU's driver does then nobody has seen, and it is left alone.
    pub fn settle(&self) {
        if self.gl.hardware().is_software() {
            self.gl.release_compiler();
            // Who has this as a library has a heap of its own, which may be large.
            #[cfg(feature = "cli")]
            crate::os::memory::give_back();
        }
    }

    /// Lets go of what made the opening of an encoder quick.
    pub fn cool(&mut self) {
        self.cuda = Warmth::default();
    }

    /// It is to be kept for a while, and its CUDA holds no more of the GPU's memory than it has to.
    pub fn shrink(&self) {
        self.cuda.shrink();
    }

    /// Draws the picture of `tick` into the target, unless the target shows it already.
    pub fn draw(&mut self, tick: &Tick, pulse: &Pulse) -> Result<Drawn, Error> {
        let _drawing = pulse.during(Lane::Artist, Stage::Drawing);
        let _stage = trace_span!(target: STAGE, "draw").entered();
        self.target.bind();
        let &Tick { index, pts, delta, .. } = tick;
        let frame = Frame { gl: &self.gl, target: &self.target, index, pts, delta, wall_clock: SystemTime::now() };
        match self.renderer.look(&frame) {
            Drawn::Over => return Ok(Drawn::Over),
            Drawn::Unchanged if self.has_drawn => return Ok(Drawn::Unchanged),
            Drawn::New | Drawn::Unchanged => {}
        }
        self.has_drawn = true;
        self.renderer.draw(&frame).map(|()| Drawn::New)
    }

    /// From now on pictures can be drawn ahead, if the renderer is one whose pictures stand for themselves. Returns whether
    /// they can.
    ///
    /// # Errors
    /// The driver has no second target.
    pub fn begin_ahead(&mut self) -> Result<bool, Error> {
        if self.renderer.fills_target() && self.before.is_none() {
            self.before = Some(Target::new(&self.gl, self.target.size())?);
        }
        Ok(self.before.is_some())
    }

    /// Draws a picture as [`Artist::draw`] does while the last one, which is drawn by now, is still to be read: behind a
    /// [`Drawn::New`] that is in [`Artist::before`].
    pub fn draw_ahead(&mut self, tick: &Tick, pulse: &Pulse) -> Result<Drawn, Error> {
        {
            let _drawing = pulse.during(Lane::Artist, Stage::Drawing);
            // llvmpipe reads a picture beside the next one only if it was through with it before that one began.
            self.gl.finish();
        }
        self.turn();
        let drawn = self.draw(tick, pulse);
        if !matches!(drawn, Ok(Drawn::New)) {
            self.turn();
        }
        self.gl.flush();
        drawn
    }

    /// What the picture before the last one was drawn into, where that was drawn ahead.
    pub fn before(&self) -> &Target {
        self.before.as_ref().unwrap_or(&self.target)
    }

    fn turn(&mut self) {
        if let Some(before) = &mut self.before {
            std::mem::swap(&mut self.target, before);
        }
    }

    /// Releases the GPU, which a driver can hang in as in anything else.
    pub fn release(self, pulse: &Pulse) {
        let _releasing = pulse.during(Lane::Artist, Stage::Drawing);
        drop(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pacer::Pacer;
    use crate::settings::Size;
    use crate::source::Bar;
    use std::time::Duration;

    #[test]
    fn one_that_has_settled_draws_the_same_and_compiles_again() {
        let settings = Settings { size: Size::new(64, 64).unwrap(), ..Settings::default() };
        let mut make = |gl: &Gl, settings: &Settings| Ok(Box::new(Bar::new(gl, settings.size)?) as Box<dyn Renderer>);
        let mut artist = Artist::open(&settings, &mut make).unwrap();
        let tick = Pacer::new(settings.frame_rate).next(Duration::ZERO);
        let picture = |artist: &mut Artist| {
            assert_eq!(artist.draw(&tick, &Pulse::default()).unwrap(), Drawn::New);
            let mut rgba = vec![0; settings.size.pixels() * 4];
            artist.target.read_rows(0, &mut rgba);
            rgba
        };
        let before = picture(&mut artist);
        artist.settle();
        assert_eq!(picture(&mut artist), before);
        artist.remake(&settings, &mut make).unwrap();
        assert_eq!(picture(&mut artist), before);
    }

    #[test]
    fn one_that_is_drawn_ahead_leaves_the_last_one_to_be_read() {
        let settings = Settings { size: Size::new(64, 64).unwrap(), ..Settings::default() };
        let mut make = |gl: &Gl, settings: &Settings| Ok(Box::new(Bar::new(gl, settings.size)?) as Box<dyn Renderer>);
        let mut artist = Artist::open(&settings, &mut make).unwrap();
        assert!(artist.begin_ahead().unwrap());
        let mut pacer = Pacer::new(settings.frame_rate);
        let row = |target: &Target| {
            let mut rgba = vec![0; 64 * 4];
            target.read_rows(0, &mut rgba);
            rgba
        };
        let mut last = None;
        for index in 0..4 {
            let tick = pacer.unpaced(index);
            assert_eq!(artist.draw_ahead(&tick, &Pulse::default()).unwrap(), Drawn::New);
            pacer.drew(&tick);
            let drawn = row(&artist.target);
            if let Some(last) = last {
                assert_eq!(row(artist.before()), last);
                assert_ne!(drawn, last, "the bar moves");
            }
            last = Some(drawn);
        }
    }
}
