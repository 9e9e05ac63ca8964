//! What exists only while somebody watches: the renderer, its GL context, and the encoder.

use super::vitals::Vitals;
use crate::codec::AccessUnit;
use crate::encoder::{Encoder, HostPicture, Lost, Opened, Plan, Readback, check_layout};
use crate::error::Error;
use crate::gl::{Gl, Target};
use crate::gpu::open_gl;
use crate::pacer::{Pacer, Tick};
use crate::pulse::{Lane, Pulse, Stage};
use crate::settings::Settings;
use crate::source::{Frame, Renderer};
use crate::stats::STAGE;
use std::time::{Duration, SystemTime};
use tracing::trace_span;

/// Makes the renderer of a stream, in the context that it will draw in.
pub trait MakeRenderer: FnMut(&Gl, &Settings) -> Result<Box<dyn Renderer>, Error> {}

impl<F: FnMut(&Gl, &Settings) -> Result<Box<dyn Renderer>, Error>> MakeRenderer for F {}

/// One life of a stream's encoder, and what draws for it. Dropping it releases the GPU.
pub struct Pipeline {
    // First: it lets go of the GPU while the artist's context is still there.
    pub encoder: Encoder,
    pub artist: Artist,
    /// Why OpenH264 codes where NVENC would have been taken.
    pub instead_of_nvenc: Option<Error>,
}

/// The drawing half, bound to the thread of its GL context.
pub struct Artist {
    renderer: Box<dyn Renderer>,
    pub target: Target,
    // Last: everything above is freed in this context.
    gl: Gl,
}

impl Pipeline {
    /// Opens everything, with the encoder that is planned, and notes what it is.
    pub fn open(
        settings: &Settings,
        make_renderer: &mut impl MakeRenderer,
        plan: Plan,
        vitals: &Vitals,
    ) -> Result<Self, Error> {
        let _opening = vitals.pulse.during(Lane::Artist, Stage::Opening);
        let gl = open_gl(settings)?;
        let target = Target::new(&gl, settings.size)?;
        let renderer = make_renderer(&gl, settings)?;
        let Opened { encoder, instead_of_nvenc } = plan.open_with_fallback(&gl, settings)?;
        tracing::debug!(renderer = %gl.hardware(), "ready to draw {} at {}/s", settings.size, settings.frame_rate);
        vitals.choose(&gl, &encoder);
        Ok(Self { encoder, artist: Artist { renderer, target, gl }, instead_of_nvenc })
    }

    /// Draws and encodes the first picture of a stream, to see that it works, and releases the GPU.
    pub fn first_picture(mut self, settings: &Settings, pulse: &Pulse) -> Result<AccessUnit, Error> {
        let unit = self.try_picture(settings, pulse);
        let _releasing = pulse.during(Lane::Artist, Stage::Encoding);
        drop(self);
        unit
    }

    /// As a stream would, it goes on with what there is to go on with.
    fn try_picture(&mut self, settings: &Settings, pulse: &Pulse) -> Result<AccessUnit, Error> {
        let Self { encoder, artist, .. } = self;
        let tick = Pacer::new(settings.frame_rate).next(Duration::ZERO);
        artist.draw(&tick, pulse)?;
        let mut unit = AccessUnit::default();
        let _encoding = pulse.during(Lane::Artist, Stage::Encoding);
        if let Encoder::Nvenc(nvenc) = encoder {
            let coded = nvenc.encode(&artist.target, tick.pts, true, &mut unit);
            let Err(Lost(why)) = coded.and_then(|()| check_layout(&unit).map_err(Lost)) else { return Ok(unit) };
            tracing::debug!("NVENC codes no picture: {}", why.cause());
            let plan = Plan::without_nvenc(settings.encoder, why)?;
            *encoder = plan.open_with_fallback(&artist.gl, settings)?.encoder;
        }
        if let Encoder::Openh264(openh264) = encoder {
            let mut picture = HostPicture::new(settings.size);
            Readback::new(settings.size).fetch(&artist.target, tick.pts, &mut picture);
            openh264.encode(&picture, true, &mut unit)?;
        }
        Ok(unit)
    }
}

impl Artist {
    /// Draws the picture of `tick` into the target.
    pub fn draw(&mut self, tick: &Tick, pulse: &Pulse) -> Result<(), Error> {
        let _drawing = pulse.during(Lane::Artist, Stage::Drawing);
        let _stage = trace_span!(target: STAGE, "draw").entered();
        self.target.bind();
        let &Tick { index, pts, delta, .. } = tick;
        let frame = Frame { gl: &self.gl, target: &self.target, index, pts, delta, wall_clock: SystemTime::now() };
        self.renderer.draw(&frame)
    }

    /// Gives the GPU back, which a driver can hang in as in anything else.
    pub fn release(self, pulse: &Pulse) {
        let _releasing = pulse.during(Lane::Artist, Stage::Drawing);
        drop(self);
    }
}
