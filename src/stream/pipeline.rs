//! What exists only while somebody watches: what draws, and what encodes.

use super::vitals::Vitals;
use crate::codec::AccessUnit;
use crate::encoder::{Encoder, HostPicture, Lost, Opened, Plan, Readback, check_layout};
use crate::error::Error;
use crate::pacer::Pacer;
use crate::pulse::{Lane, Pulse, Stage};
use crate::settings::Settings;
use crate::source::{Artist, Drawn, Feed, MakeRenderer};
use std::time::Duration;

/// Where a stream gets its pictures.
pub enum Source<'a> {
    /// They are drawn, on the GPU where there is one.
    Drawn(&'a mut dyn MakeRenderer),
    /// They lie in host memory.
    Fed(&'a mut dyn Feed),
}

impl Source<'_> {
    /// Whether pictures are due at the frame rate, and do not come as they like.
    pub fn is_on_grid(&self) -> bool {
        match self {
            Self::Drawn(_) => true,
            Self::Fed(feed) => !feed.is_live(),
        }
    }
}

/// One life of a stream's encoder, and what draws for it. Dropping it releases the GPU.
pub struct Pipeline {
    // First: it lets go of the GPU while the artist's context is still there.
    pub encoder: Encoder,
    /// `None` where pictures lie in host memory.
    pub artist: Option<Artist>,
    /// Why it is OpenH264 where NVENC would have been taken.
    pub instead_of_nvenc: Option<Error>,
}

impl Pipeline {
    /// Opens everything, with the encoder that is planned, and notes what it is.
    pub fn open(settings: &Settings, source: &mut Source<'_>, plan: Plan, vitals: &Vitals) -> Result<Self, Error> {
        let _opening = vitals.pulse.during(Lane::Artist, Stage::Opening);
        let artist = match source {
            Source::Drawn(make_renderer) => {
                Some(Artist::open(settings, &mut |gl, settings| make_renderer(gl, settings))?)
            }
            Source::Fed(_) => None,
        };
        let gl = artist.as_ref().map(Artist::gl);
        let Opened { encoder, instead_of_nvenc } = plan.open_with_fallback(gl, settings)?;
        let drawn_by = match source {
            Source::Drawn(_) => gl.map(|gl| gl.hardware().renderer.clone()).unwrap_or_default(),
            Source::Fed(feed) => feed.name(),
        };
        vitals.choose(drawn_by, &encoder);
        Ok(Self { encoder, artist, instead_of_nvenc })
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
        if let Some(artist) = artist {
            if artist.draw(&tick, pulse)? == Drawn::Over {
                return Err(Error::input("no-picture", "the renderer draws nothing", ""));
            }
        }
        let mut unit = AccessUnit::default();
        let _encoding = pulse.during(Lane::Artist, Stage::Encoding);
        // What nothing was drawn for is one colour.
        let mut picture = HostPicture::new(settings.size);
        if let Encoder::Nvenc(nvenc) = encoder {
            let coded = match artist {
                Some(artist) => nvenc.encode(&artist.target, tick.pts, true, &mut unit),
                None => nvenc.encode_host(&picture, true, &mut unit),
            };
            let Err(Lost(why)) = coded.and_then(|()| check_layout(&unit).map_err(Lost)) else { return Ok(unit) };
            tracing::debug!("NVENC encodes no picture: {}", why.cause());
            let plan = Plan::without_nvenc(settings.encoder, why)?;
            *encoder = plan.open_with_fallback(artist.as_ref().map(Artist::gl), settings)?.encoder;
        }
        if let Encoder::Openh264(openh264) = encoder {
            if let Some(artist) = artist {
                Readback::new(settings.size).fetch(&artist.target, tick.pts, &mut picture);
            }
            openh264.encode(&picture, true, &mut unit)?;
        }
        Ok(unit)
    }
}
