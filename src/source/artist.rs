//! The drawing half of a stream: a renderer in its GL context, with the target that it draws into.

use super::{Drawn, Frame, Renderer};
use crate::error::Error;
use crate::gl::{Gl, Target};
use crate::gpu::open_gl;
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
    pub target: Target,
    /// Whether the target shows a picture.
    has_drawn: bool,
    // Last: everything above is freed in this context.
    gl: Gl,
}

impl Artist {
    /// Opens a context on the GPU that `settings` ask for, and the renderer in it.
    ///
    /// # Errors
    /// No GPU or driver that draws, or the renderer's own.
    pub fn open(settings: &Settings, make_renderer: &mut impl MakeRenderer) -> Result<Self, Error> {
        let gl = open_gl(settings)?;
        let target = Target::new(&gl, settings.size)?;
        let renderer = make_renderer(&gl, settings)?;
        tracing::debug!(renderer = %gl.hardware(), "ready to draw {} at {}/s", settings.size, settings.frame_rate);
        Ok(Self { renderer, target, has_drawn: false, gl })
    }

    /// The context that it draws in.
    pub fn gl(&self) -> &Gl {
        &self.gl
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

    /// Releases the GPU, which a driver can hang in as in anything else.
    pub fn release(self, pulse: &Pulse) {
        let _releasing = pulse.during(Lane::Artist, Stage::Drawing);
        drop(self);
    }
}
